"""Cutting texts into requests that a server takes, and putting the answers together in the order of the texts."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eino._tasks.group import task_group
from eino.callbacks import around
from eino.components.callback_payloads import EmbedderCallbackInput, EmbedderCallbackOutput
from eino.components.embedder import EmbedderOptions
from eino.errors import BuildError, InvalidRequestError, InvalidResponseError
from eino.schema.usage import TokenUsage

__all__ = ["Answer", "Limits", "embed_in_batches"]

SHOWN_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold, and how many are under way at once.

    Raises:
        BuildError: If one is below 1.
    """

    max_texts: int
    max_chars: int
    max_concurrency: int

    def __post_init__(self) -> None:
        for name in ("max_texts", "max_chars", "max_concurrency"):
            if getattr(self, name) < 1:
                raise BuildError(f"{name} must be at least 1, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Answer:
    """The vectors of one request, and the tokens that they cost."""

    vectors: list[list[float]]
    tokens: int


def cut(texts: Sequence[str], limits: Limits) -> list[list[str]]:
    """Return the texts in batches within the limits; a text that is too long for them has one of its own."""
    batches: list[list[str]] = []
    chars = 0
    for text in texts:
        chars += len(text)
        if not batches or len(batches[-1]) >= limits.max_texts or chars > limits.max_chars:
            batches.append([])
            chars = len(text)
        batches[-1].append(text)
    return batches


async def embed_in_batches(
    texts: Sequence[str],
    options: EmbedderOptions,
    limits: Limits,
    request: Callable[[list[str]], Awaitable[Answer]],
    kind: str,
) -> list[list[float]]:
    """Return one vector for each text, in their order, and tell callback handlers what it cost.

    Args:
        texts: Texts to embed.
        options: For the handlers.
        limits: What one request may hold.
        request: Sends one batch.
        kind: Name of the embedder's class, for handlers.

    Raises:
        InvalidRequestError: If one is no text, or empty; the text names its place.
        InvalidResponseError: If vectors are missing, of different lengths, or no finite numbers.
        ComponentError: What `request` raises; the other requests are cancelled.
    """
    told = EmbedderCallbackInput(texts=tuple(texts), options=options)
    with around("Embedding", name=kind, type=kind, input=told) as span:
        _check_texts(texts)
        answers = await _all(cut(texts, limits), limits.max_concurrency, request)
        vectors = [vector for answer in answers for vector in answer.vectors]
        _check_vectors(vectors)
        tokens = sum(answer.tokens for answer in answers)
        usage = TokenUsage(prompt_tokens=tokens, total_tokens=tokens)
        span.end(EmbedderCallbackOutput(embeddings=tuple(vectors), usage=usage, options=options))
    return vectors


async def _all(
    batches: Sequence[list[str]], at_once: int, request: Callable[[list[str]], Awaitable[Answer]]
) -> list[Answer]:
    async def send(batch: list[str]) -> Answer:
        answer = await request(batch)
        if len(answer.vectors) != len(batch):
            raise InvalidResponseError(
                f"the server returned {len(answer.vectors)} vectors for {len(batch)} texts; check model= and base_url="
            )
        return answer

    if len(batches) <= 1 or at_once == 1:
        return [await send(batch) for batch in batches]
    answers: dict[int, Answer] = {}
    async with task_group() as group:
        waiting = list(enumerate(batches))[::-1]
        running = 0
        while waiting or running:
            while waiting and running < at_once:
                key, batch = waiting.pop()
                group.start(key, send(batch))
                running += 1
            await group.wait()
            key, answer, error = group.done.popleft()
            running -= 1
            if error is not None:
                raise error
            answers[key] = answer
    return [answers[key] for key in range(len(batches))]


def _check_texts(texts: Sequence[Any]) -> None:
    if isinstance(texts, str):
        raise InvalidRequestError(f"texts must be a list of texts, got the single text {texts[:SHOWN_CHARS]!r}")
    for place, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            raise InvalidRequestError(
                f"text {place} of {len(texts)} is {text!r}; only texts that are not empty have vectors"
            )


def _check_vectors(vectors: Sequence[list[float]]) -> None:
    lengths = {len(vector) for vector in vectors}
    if len(lengths) > 1 or 0 in lengths:
        raise InvalidResponseError(f"the server returned vectors of the lengths {sorted(lengths)}; they must be alike")
    # The sum of a vector is finite exactly if its numbers are: they are far from overflowing.
    for place, vector in enumerate(vectors):
        if not math.isfinite(sum(vector)):
            raise InvalidResponseError(f"the server returned a vector for text {place} that holds no finite numbers")
