"""Chat models of an Ollama server over its native protocol, on the official library."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, TypeVar

from eino.components.model import NO_MODEL_OPTIONS, ModelOptions
from eino.components.structured_output import StructuredOutput, object_schema
from eino.errors import (
    ComponentError,
    ConnectionFailedError,
    MissingExtraError,
    RequestTimeoutError,
)
from eino.ext.models._clients import Clients
from eino.ext.models._connected import ConnectedModel
from eino.ext.models._http_body import ResponseBody, drain
from eino.ext.models._ollama_place import KEY_HINT, address_of, host_of
from eino.ext.models._ollama_wire import LineDecoder, read_whole, request_body
from eino.ext.models._service_errors import Place, status_error
from eino.ext.models._settings import own_options
from eino.schema.message import Message

if importlib.util.find_spec("ollama") is None:
    raise MissingExtraError(
        "eino.ext.models.ollama needs the library 'ollama', which is not installed; pip install \"eino[ollama]\"",
        name="ollama",
    )

__all__ = ["OllamaChatModel"]

T = TypeVar("T")

DEFAULT_TIMEOUT_S: Final = 300.0
"""The first request loads the model, which can take minutes."""


class OllamaChatModel(ConnectedModel):
    """A chat model on an Ollama server. `async with model:` or `await model.aclose()` closes its connections.

    The protocol has no tool choice: `forbidden` and `allowed_tools` decide what is offered, `forced` is refused.

    Args:
        model: Name of the model; it must have been pulled.
        base_url: Address of the server; unless given, `OLLAMA_HOST`, else this machine's.
        temperature: As in `ModelOptions`, like `top_p`, `max_tokens`, `stop` and `response_format` (a JSON schema).
        extra_fields: Further fields of the request, such as `think`, `keep_alive`, or `options` (`num_ctx`, ...).
        timeout_s: Longest silence of the server, in seconds; None waits for ever.
        headers: Headers of every request.
        transport: An `httpx` transport to send with.

    Raises:
        BuildError: If the address is none.
        MissingExtraError: When the module is imported, if the library `ollama` is not installed.
    """

    _key_hint: ClassVar = KEY_HINT

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        response_format: Mapping[str, Any] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        transport: Any = None,
    ) -> None:
        address = address_of(base_url)
        self._host = host_of(address)
        self._options = own_options(
            model,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            response_format=response_format,
            extra_fields=extra_fields,
        )

        def make() -> Any:
            from ollama import AsyncClient

            return AsyncClient(host=address, timeout=timeout_s, headers=dict(headers or {}), transport=transport)

        self._clients = Clients(make, shared=False)

    def with_structured_output(self, target: type[T], *, repairs: int = 1) -> StructuredOutput[T]:
        """Return what asks this model for values of a type: `await structured.invoke(messages)`.

        The server makes the model keep to the JSON schema; what it answers is validated all the same.

        Args:
            target: A pydantic model, a dataclass, a TypedDict, a list of those, ...
            repairs: How often the model may correct an answer that is not of the type.

        Raises:
            BuildError: If the type has no JSON schema.
        """
        schema, _ = object_schema(target)
        return StructuredOutput(self, target, response_format=schema, repairs=repairs)

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the whole answer.

        Raises:
            InvalidRequestError: If the request cannot be served as it is: often an unknown model.
            ConnectionFailedError: If no server is there, or the connection broke.
            RequestTimeoutError: If the server was silent for `timeout_s`.
            InvalidResponseError: If what came back is no answer.
            ComponentError: If the server failed otherwise.
        """
        import httpx

        place, body = self._request(messages, options, stream=False)
        try:
            response = await self._http().post("/api/chat", json=body)
        except httpx.RequestError as error:
            raise _failure(error, place) from error
        _check(response, response.content, place)
        return read_whole(response.content, place, response.headers.get("content-type", ""))

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        """Yield the answer in chunks, as they arrive; closing the iterator early ends the request.

        Raises:
            ComponentError: As for `generate`, if the answer has not begun.
            StreamBrokenError: If it breaks off after it has begun; `partial` holds what had arrived.
        """
        import httpx

        place, body = self._request(messages, options, stream=True)
        try:
            async with self._http().stream("POST", "/api/chat", json=body) as response:
                if response.status_code >= 400:
                    _check(response, await response.aread(), place)
                decoder = LineDecoder(place, response.headers.get("content-type", ""))
                async with ResponseBody(response) as pieces:
                    try:
                        async for piece in pieces:
                            for message in decoder.feed(piece):
                                yield message
                            if decoder.done:
                                await drain(pieces)
                                break
                    except httpx.RequestError as error:
                        cause = _failure(error, place)
                        raise (decoder.broken(str(cause), cause) if decoder.started else cause) from error
                for message in decoder.end():
                    yield message
        except httpx.RequestError as error:
            raise _failure(error, place) from error

    def _http(self) -> Any:
        """Return the library's own connection: its methods read lines in a way that loses text (see `LineDecoder`)."""
        client: Any = self._clients.get()
        return client._client

    def _request(
        self, messages: Sequence[Message], options: ModelOptions, *, stream: bool
    ) -> tuple[Place, dict[str, Any]]:
        place, merged = self._asked(options)
        return place, request_body(messages, merged, stream=stream)


def _check(response: Any, body: bytes, place: Place) -> None:
    """Raise the error that a response reports by its status."""
    import msgspec

    if response.status_code < 400:
        return
    problem: object = body.decode("utf-8", "replace")
    with suppress(msgspec.DecodeError):
        problem = msgspec.json.decode(str(problem))
    raise status_error(response.status_code, response.headers, problem, place)


def _failure(error: Exception, place: Place) -> ComponentError:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return RequestTimeoutError(f"{place} did not answer in time; raise timeout_s= or try again")
    return ConnectionFailedError(f"the connection to {place} failed: {error}; check base_url=, and that it runs")
