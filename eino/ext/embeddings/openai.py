"""OpenAI's embeddings, and every server that speaks the same protocol, on the official SDK."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import os
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from eino.components._closing import Closing
from eino.components.embedder import NO_EMBEDDER_OPTIONS, EmbedderOptions
from eino.errors import BuildError, InvalidRequestError, MissingExtraError
from eino.ext.embeddings._batches import Answer, Limits, embed_in_batches
from eino.ext.models._clients import Clients
from eino.ext.models._sdk_failures import failure
from eino.ext.models._service_errors import Place, answer_error, unreadable
from eino.ext.models._settings import host_of, secrets_of

if TYPE_CHECKING:
    import httpx2

if importlib.util.find_spec("openai") is None:
    raise MissingExtraError(
        "eino.ext.embeddings.openai needs the library 'openai', which is not installed; pip install \"eino[openai]\"",
        name="openai",
    )

from eino.ext.models.openai import DEFAULT_BASE_URL, _client

__all__ = ["OpenAIEmbedder"]

DEFAULT_TIMEOUT_S: Final = 60.0
MAX_TEXTS: Final = 2048
"""Texts that OpenAI takes in one request. Source: API reference, embeddings, `input`."""
MAX_CHARS: Final = 300_000
"""OpenAI takes 300,000 tokens in one request; no token is shorter than a character of the texts that it stands for,
but for rare characters."""


class OpenAIEmbedder(Closing):
    """An embedder behind OpenAI's embeddings protocol: OpenAI, Azure, DashScope, vLLM, Ollama's `/v1`, ...

    Texts are sent in as many requests as the limits ask for, some at a time, and vectors come back in the order of the
    texts. Retries of the SDK are off. One instance may be used by many tasks, threads and event loops at once.
    `async with embedder:` or `await embedder.aclose()` closes its connections. It fires its own callbacks: `on_end`
    gets an `EmbedderCallbackOutput` with the usage.

    Args:
        model: Name of the model at the server.
        api_key: Key, or an async function that returns one; unless given, `OPENAI_API_KEY`.
        base_url: Address up to what comes before `/embeddings`; unless given, `OPENAI_BASE_URL`, else OpenAI's.
        dimensions: Length of the vectors, for models that can shorten them.
        extra_fields: Further fields of the request, such as `user`.
        max_texts: Most texts in one request.
        max_chars: Most characters in one request; a longer text is sent alone.
        max_concurrency: Most requests at once.
        timeout_s: Longest silence of the server, in seconds; None waits for ever.
        http_client: An `httpx2.AsyncClient` to send with. Its owner closes it.
        default_headers: Headers of every request.
        default_query: Query parameters of every request, such as Azure's `api-version`.

    Raises:
        BuildError: If there is no key, an address is not one, or a limit is below 1.
        MissingExtraError: When the module is imported, if the library `openai` is not installed.
    """

    self_instrumented = True

    def __init__(
        self,
        *,
        model: str,
        api_key: str | Callable[[], Awaitable[str]] | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        extra_fields: Mapping[str, Any] | None = None,
        max_texts: int = MAX_TEXTS,
        max_chars: int = MAX_CHARS,
        max_concurrency: int = 4,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        http_client: httpx2.AsyncClient | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
    ) -> None:
        address = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
        self._host = host_of(address, DEFAULT_BASE_URL)
        key = api_key or os.environ.get("OPENAI_API_KEY")
        if not key:
            raise BuildError(
                f"embedder {model!r} at {self._host} has no key: pass api_key= or set OPENAI_API_KEY; "
                "a server that needs none takes any text"
            )
        if dimensions is not None and dimensions < 1:
            raise BuildError(f"dimensions must be at least 1, got {dimensions!r}")
        self._secrets = secrets_of(key)
        fields = {} if dimensions is None else {"dimensions": dimensions}
        self._options = EmbedderOptions(model=model, extra_fields={**fields, **(extra_fields or {})} or UNSET)
        self._limits = Limits(max_texts, max_chars, max_concurrency)
        settings = {
            "api_key": key,
            "base_url": address,
            "http_client": http_client,
            "default_headers": default_headers,
            "default_query": default_query,
        }
        self._clients = Clients(lambda: _client(settings, timeout_s), shared=http_client is not None)

    def __repr__(self) -> str:
        return f"OpenAIEmbedder(model={self._options.model!r}, host={self._host!r})"

    @property
    def identity(self) -> str:
        """What tells vectors of this embedder from those of another one: server, model and settings."""
        return f"openai {self._host} {self._options!r}"

    async def aclose(self) -> None:
        """Close the connections that the running event loop opened. Safe to call again."""
        await self._clients.aclose()

    async def embed(self, texts: Sequence[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
        """Return one vector for each text, in the same order.

        Raises:
            AuthenticationError: If the key is not accepted.
            InvalidRequestError: If a text is empty, or the server refuses the request.
            RateLimitError: If there were too many requests; `retry_after_s` says how long to wait.
            InvalidResponseError: If what came back is no list of vectors.
            ComponentError: For all else, as `OpenAIChatModel.generate` lists it.
        """
        import openai

        merged = self._options.merge(options)
        if not merged.model:
            raise InvalidRequestError("the options switch the model's name off; a request needs one")
        place = Place(str(merged.model), self._host, self._secrets)
        extra = merged.wanted().get("extra_fields", {})

        async def request(batch: list[str]) -> Answer:
            body = {"encoding_format": "base64", **extra}
            try:
                response = await self._clients.get().embeddings.with_raw_response.create(
                    model=place.model, input=batch, extra_body=body
                )
            except openai.APIError as error:
                raise failure(error, place, openai) from error
            raw = response.http_response
            return read_answer(raw.content, place, raw.headers.get("content-type", ""))

        return await embed_in_batches(texts, merged, self._limits, request, "OpenAIEmbedder")


class _Vector(msgspec.Struct):
    embedding: str | list[float]
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None


class _Body(msgspec.Struct):
    data: list[_Vector] | None = None
    usage: _Usage | None = None
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Body)


def read_answer(body: bytes, place: Place, content_type: str) -> Answer:
    """Return the vectors of a response in the order of their indexes; servers may send them in any order.

    Raises:
        InvalidResponseError: If it is no list of vectors.
        ComponentError: If it reports an error, although the response is a success.
    """
    try:
        answer = _DECODER.decode(body)
        if answer.error:
            raise answer_error(answer.error, place)
        if answer.data is None:
            raise unreadable(place, "no data", content_type, body)
        indexes = [place_in if each.index is None else each.index for place_in, each in enumerate(answer.data)]
        if sorted(indexes) != list(range(len(indexes))):
            raise unreadable(place, f"the indexes of its vectors are {indexes[:20]}", content_type, body)
        vectors: list[list[float]] = [[]] * len(indexes)
        for index, each in zip(indexes, answer.data, strict=True):
            vectors[index] = _unpacked(each.embedding) if isinstance(each.embedding, str) else each.embedding
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, struct.error) as error:
        raise unreadable(place, f"no list of vectors ({error})", content_type, body) from error
    return Answer(vectors, answer.usage.prompt_tokens or 0 if answer.usage else 0)


def _unpacked(text: str) -> list[float]:
    """Return the 32-bit floats, least significant byte first, that a vector in Base64 holds."""
    data = base64.b64decode(text, validate=True)
    return list(struct.unpack(f"<{len(data) // 4}f", data))  # refuses a length that is no multiple of 4
