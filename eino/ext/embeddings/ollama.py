"""Embeddings of an Ollama server, on the official library."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from eino.components._closing import Closing
from eino.components.embedder import NO_EMBEDDER_OPTIONS, EmbedderOptions
from eino.errors import (
    BuildError,
    ComponentError,
    ConnectionFailedError,
    InvalidRequestError,
    InvalidResponseError,
    MissingExtraError,
    RequestTimeoutError,
)
from eino.ext.embeddings._batches import Answer, Limits, embed_in_batches
from eino.ext.models._clients import Clients
from eino.ext.models._ollama_place import KEY_HINT, address_of, host_of
from eino.ext.models._service_errors import Place, status_error

if importlib.util.find_spec("ollama") is None:
    raise MissingExtraError(
        "eino.ext.embeddings.ollama needs the library 'ollama', which is not installed; pip install \"eino[ollama]\"",
        name="ollama",
    )

__all__ = ["OllamaEmbedder"]

DEFAULT_TIMEOUT_S: Final = 300.0
"""The first request loads the model, which can take minutes."""


class OllamaEmbedder(Closing):
    """An embedder on an Ollama server. Its callbacks, batches and errors are those of `OpenAIEmbedder`.

    Args:
        model: Name of the model; it must have been pulled.
        base_url: Address of the server; unless given, `OLLAMA_HOST`, else this machine's.
        dimensions: Length of the vectors, for models that can shorten them.
        truncate: Whether texts beyond the context window are cut; False makes them an error.
        keep_alive: How long the server keeps the model in memory, such as `"5m"`.
        options: Options of the model, such as `num_ctx`.
        max_texts: Most texts in one request.
        max_chars: Most characters in one request; a longer text is sent alone.
        max_concurrency: Most requests at once.
        timeout_s: Longest silence of the server, in seconds; None waits for ever.
        headers: Headers of every request.

    Raises:
        BuildError: If a limit is below 1, or the address is none.
        MissingExtraError: When the module is imported, if the library `ollama` is not installed.
    """

    self_instrumented = True

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        dimensions: int | None = None,
        truncate: bool | None = None,
        keep_alive: float | str | None = None,
        options: Mapping[str, Any] | None = None,
        max_texts: int = 256,
        max_chars: int = 300_000,
        max_concurrency: int = 1,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if dimensions is not None and dimensions < 1:
            raise BuildError(f"dimensions must be at least 1, got {dimensions!r}")
        self._host = address_of(base_url)
        given = {"dimensions": dimensions, "truncate": truncate, "keep_alive": keep_alive, "options": options}
        fields = {name: value for name, value in given.items() if value is not None}
        self._options = EmbedderOptions(model=model, extra_fields=fields or UNSET)
        self._limits = Limits(max_texts, max_chars, max_concurrency)

        def make() -> Any:
            from ollama import AsyncClient

            return AsyncClient(host=self._host, timeout=timeout_s, headers=dict(headers or {}))

        self._clients = Clients(make, shared=False)

    def __repr__(self) -> str:
        return f"OllamaEmbedder(model={self._options.model!r}, host={host_of(self._host)!r})"

    @property
    def identity(self) -> str:
        """What tells vectors of this embedder from those of another one: server, model and settings."""
        return f"ollama {self._host} {self._options!r}"

    async def aclose(self) -> None:
        """Close the connections that the running event loop opened. Safe to call again."""
        await self._clients.aclose()

    async def embed(self, texts: Sequence[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
        """Return one vector for each text, in the same order.

        Raises:
            InvalidRequestError: If a text is empty, or the server refuses the request: often an unknown model.
            ConnectionFailedError: If no server is there.
            RequestTimeoutError: If the server was silent for `timeout_s`.
            InvalidResponseError: If what came back is no list of vectors.
            ComponentError: If the server failed otherwise.
        """
        merged = self._options.merge(options)
        if not merged.model:
            raise InvalidRequestError("the options switch the model's name off; a request needs one")
        fields = merged.wanted().get("extra_fields", {})

        async def request(batch: list[str]) -> Answer:
            try:
                answer = await self._clients.get().embed(model=str(merged.model), input=batch, **fields)
            except Exception as error:
                raise _failure(error, Place(str(merged.model), host_of(self._host), key_hint=KEY_HINT)) from error
            return Answer([list(vector) for vector in answer.embeddings], answer.prompt_eval_count or 0)

        return await embed_in_batches(texts, merged, self._limits, request, "OllamaEmbedder")


def _failure(error: Exception, place: Place) -> ComponentError:
    import httpx
    from ollama import RequestError, ResponseError

    if isinstance(error, ResponseError) and error.status_code >= 400:
        return status_error(error.status_code, {}, _body(error.error), place)
    if isinstance(error, httpx.TimeoutException):
        return RequestTimeoutError(f"{place} did not answer in time; raise timeout_s= or try again")
    if isinstance(error, ConnectionError | httpx.RequestError):
        return ConnectionFailedError(f"the connection to {place} failed: {error}; check base_url=, and that it runs")
    if isinstance(error, RequestError | TypeError):
        return InvalidRequestError(f"the request for {place} is none: {error}; change the options")
    return InvalidResponseError(f"what came back for {place} is no list of vectors: {error}; check base_url=")


def _body(text: str) -> object:
    """Return the body of an error; the library hands it over as text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
