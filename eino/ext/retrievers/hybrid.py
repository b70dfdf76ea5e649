"""A retriever that asks several at once and joins what they find: by meaning and by words, say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import UNSET

from eino._run.frame import Frame, current
from eino._tasks.group import task_group
from eino.callbacks import around
from eino.components.callback_payloads import RetrieverCallbackInput
from eino.components.naming import type_name
from eino.components.retriever import NO_RETRIEVER_OPTIONS, Retriever, RetrieverOptions
from eino.errors import BuildError, ComponentError, ControlSignal
from eino.flow.fusion import rank_sums
from eino.schema.document import Document

__all__ = ["HybridFusion", "HybridRetriever", "document_key", "fuse_ranks", "fuse_scores"]

HybridFusion: TypeAlias = Callable[[Mapping[str, Sequence[Document]], Mapping[str, float]], dict[str, float]]
"""Takes what each retriever found, best first, and the weights; returns a score by `document_key`."""


def document_key(document: Document) -> str:
    """Return what tells documents apart: the id, or the content where there is none."""
    return f"id:{document.id}" if document.id else f"content:{document.content}"


def fuse_ranks(found: Mapping[str, Sequence[Document]], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weighted sums of `1 / (60 + rank)`, ranks from 1 (reciprocal rank fusion): scores do not count."""
    rankings = [(weights[name], dict.fromkeys(map(document_key, documents))) for name, documents in found.items()]
    return rank_sums(rankings, first_rank=1)


def fuse_scores(found: Mapping[str, Sequence[Document]], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weighted sums of scores, which each retriever's are first stretched to 0 to 1 for.

    Where all scores of a retriever are equal, each counts as 1.
    """
    sums: dict[str, float] = {}
    for name, documents in found.items():
        scores: dict[str, float] = {}
        for document in documents:
            scores.setdefault(document_key(document), document.score)
        if not scores:
            continue
        least, span = min(scores.values()), max(scores.values()) - min(scores.values())
        for key, score in scores.items():
            sums[key] = sums.get(key, 0.0) + weights[name] * ((score - least) / span if span else 1.0)
    return sums


_FUSIONS: Final[Mapping[str, HybridFusion]] = {"ranks": fuse_ranks, "scores": fuse_scores}


class HybridRetriever:
    """Asks retrievers beside each other, joins the results and counts each document once.

    When one fails, the others' results are returned; handlers hear of it through `on_error` of that retriever, whose
    `RunInfo.name` is its key. When all fail, the first error is raised.

    Args:
        retrievers: Retrievers by name, at least one.
        weights: How much each counts; 1 unless given.
        fusion: `"ranks"` (reciprocal rank fusion, for scores that cannot be compared), `"scores"`, or a function.
        top_k: Documents that are returned at most; None sets no limit.
        candidates: Documents that each retriever is asked for; None leaves it to them.
        score_threshold: Least fused score of a document that is returned.
        on_error: `"continue"` with those that did not fail, or `"raise"`.

    Raises:
        BuildError: If a setting cannot work.
    """

    def __init__(
        self,
        retrievers: Mapping[str, Retriever],
        *,
        weights: Mapping[str, float] | None = None,
        fusion: Literal["ranks", "scores"] | HybridFusion = "ranks",
        top_k: int | None = 4,
        candidates: int | None = 20,
        score_threshold: float | None = None,
        on_error: Literal["continue", "raise"] = "continue",
    ) -> None:
        if not retrievers:
            raise BuildError("a hybrid retriever needs at least one retriever")
        unknown = [name for name in weights or {} if name not in retrievers]
        if unknown:
            raise BuildError(f"weights= names {unknown[0]!r}, which is none of {', '.join(retrievers)}")
        self._weights = dict.fromkeys(retrievers, 1.0) | dict(weights or {})
        bad = [name for name, weight in self._weights.items() if not 0.0 <= weight < float("inf")]
        if bad:
            raise BuildError(f"the weight of {bad[0]!r} must be 0 or more, got {self._weights[bad[0]]!r}")
        if on_error not in ("continue", "raise"):
            raise BuildError(f"on_error must be 'continue' or 'raise', got {on_error!r}")
        if isinstance(fusion, str) and fusion not in _FUSIONS:
            raise BuildError(f"unknown fusion {fusion!r}; use 'ranks', 'scores' or a function")
        self._fusion: HybridFusion = _FUSIONS[fusion] if isinstance(fusion, str) else fusion
        self._retrievers = dict(retrievers)
        self._options = RetrieverOptions(
            top_k=top_k, score_threshold=UNSET if score_threshold is None else score_threshold
        )
        self._candidates = candidates
        self._on_error = on_error

    def __repr__(self) -> str:
        return f"HybridRetriever({self._retrievers!r})"

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return the documents with the highest fused scores, best first; `score` is the fused one.

        `top_k` and `score_threshold` are for the joined result; all other options are passed on to each retriever.

        Raises:
            ComponentError: If all retrievers fail, or one with `on_error="raise"`: what the first of them raised.
        """
        wanted = self._options.merge(options).wanted()
        passed = options.given() | {"top_k": UNSET if self._candidates is None else self._candidates}
        found = await self._ask(query, RetrieverOptions(**passed | {"score_threshold": UNSET}))
        scores = self._fusion(found, self._weights)
        documents: dict[str, Document] = {}
        for each in found.values():
            for document in each:
                documents.setdefault(document_key(document), document)
        least = wanted.get("score_threshold")
        ranked = sorted((key for key in documents if key in scores), key=lambda key: -scores[key])
        kept = [key for key in ranked if least is None or scores[key] >= least]
        return [documents[key].with_score(scores[key]) for key in kept[: wanted.get("top_k")]]

    async def _ask(self, query: str, options: RetrieverOptions) -> dict[str, list[Document]]:
        names = list(self._retrievers)
        outcomes: dict[int, list[Document]] = {}
        errors: dict[int, Exception] = {}
        frame = current.get()
        async with task_group() as group:
            for place, name in enumerate(names):
                group.start(place, self._one(name, query, options, frame))
            while len(outcomes) + len(errors) < len(names):
                await group.wait()
                place, documents, error = group.done.popleft()
                if error is None:
                    outcomes[place] = documents
                elif not isinstance(error, Exception) or isinstance(error, ControlSignal):
                    raise error
                elif self._on_error == "raise":
                    raise _component_error(error, f"retriever {names[place]!r} failed")
                else:
                    errors[place] = error
        if not outcomes:
            raise _component_error(errors[min(errors)], "all retrievers failed")
        return {names[place]: outcomes[place] for place in sorted(outcomes)}

    async def _one(self, name: str, query: str, options: RetrieverOptions, frame: Frame | None) -> list[Document]:
        if frame is not None:  # a frame of its own: what runs beside it is no parent of what it does
            own = frame.branch_off(frame.node)
            own.node_seq = frame.node_seq
            current.set(own)
        retriever = self._retrievers[name]
        if getattr(retriever, "self_instrumented", False):
            return await retriever.retrieve(query, options)
        told = RetrieverCallbackInput(query=query, options=options)
        with around("Retriever", name=name, type=type_name(retriever), input=told) as span:
            documents = await retriever.retrieve(query, options)
            span.end(documents)
        return documents


def _component_error(error: Exception, what: str) -> ComponentError:
    if isinstance(error, ComponentError):
        return error
    failure = ComponentError(f"{what}: {error}")
    failure.__cause__ = error
    return failure
