"""Google's Gemini models, at the Gemini API and on Vertex AI, on the official SDK."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from eino.components.model import NO_MODEL_OPTIONS, ModelOptions
from eino.components.structured_output import StructuredOutput, object_schema
from eino.errors import BuildError, ComponentError, InvalidRequestError, MissingExtraError
from eino.ext.models._clients import Clients
from eino.ext.models._connected import ConnectedModel
from eino.ext.models._gemini_answer import DETAILS, MODEL_VERSION, RESPONSE_ID, read_answer
from eino.ext.models._gemini_client import Sender, Settings
from eino.ext.models._gemini_errors import status_error
from eino.ext.models._gemini_parts import PART_FIELDS, PARTS, THOUGHT_SIGNATURE
from eino.ext.models._gemini_request import request_body
from eino.ext.models._gemini_stream import StreamDecoder
from eino.ext.models._http_body import ResponseBody
from eino.ext.models._sdk_failures import broken, not_sent, transport_errors
from eino.ext.models._service_errors import Place, unreadable
from eino.ext.models._settings import host_of, own_options, secrets_of, timeouts
from eino.schema.message import Message

if TYPE_CHECKING:
    import httpx2
    from google.auth.credentials import Credentials

if importlib.util.find_spec("google") is None or importlib.util.find_spec("google.genai") is None:
    raise MissingExtraError(
        "eino.ext.models.gemini needs the library 'google-genai', which is not installed; pip install \"eino[gemini]\"",
        name="google.genai",
    )

__all__ = [
    "DETAILS",
    "MODEL_VERSION",
    "PARTS",
    "PART_FIELDS",
    "RESPONSE_ID",
    "THOUGHT_SIGNATURE",
    "GeminiChatModel",
    "response_format",
]

T = TypeVar("T")

DEFAULT_BASE_URL: Final = "https://generativelanguage.googleapis.com"
DEFAULT_API_VERSION: Final = "v1beta"
"""Where tools, thoughts and schemas are; the stable `v1` lags behind."""
DEFAULT_TIMEOUT_S: Final = 600.0
"""Thinking models can be silent for minutes."""


def response_format(of: Any) -> dict[str, Any]:
    """Return the `response_format` that makes Gemini answer with JSON of a type.

    Args:
        of: A pydantic model, a dataclass, a TypedDict or any other type that has a JSON schema. One that is no object
            comes under the key `value`.

    Raises:
        BuildError: If the type has no JSON schema.
    """
    schema, _ = object_schema(of)
    return {"responseMimeType": "application/json", "responseJsonSchema": schema}


class GeminiChatModel(ConnectedModel):
    """A chat model behind Gemini's generateContent protocol.

    Nothing is retried: wrap the model in `RetryChatModel`. One instance may be used by many tasks, threads and event
    loops at once. `async with model:` or `await model.aclose()` closes its connections.

    System messages, wherever they stand, become the system instruction; neighbours with the same role become one turn.
    Finish reasons are Gemini's own (`"STOP"`, `"MAX_TOKENS"`, `"SAFETY"`, ...). Calls come without ids: each gets one
    that is the same whenever the same answer is read. In `message.extra` of an answer:

    - `RESPONSE_ID`, `MODEL_VERSION`: the id of the answer, and which model gave it;
    - `DETAILS`: all else that the service says: sources, citations, safety ratings, tokens by modality, ...;
    - `PARTS`: the parts in order, where the message's fields do not say it all: thought signatures, code that ran.

    Signatures of calls are in `call.extra[THOUGHT_SIGNATURE]`. Keep `extra` when you store a conversation: what came
    with an answer goes back with it.

    Args:
        model: Name of the model.
        api_key: Key; unless given, `GOOGLE_API_KEY` or `GEMINI_API_KEY`.
        base_url: Address of the service, with or without the version; unless given, Google's.
        api_version: Version of the protocol; unless given, the one in `base_url`, else `"v1beta"` (Vertex AI: the
            SDK's).
        vertexai: Whether to use Vertex AI; unless given, `GOOGLE_GENAI_USE_VERTEXAI`.
        project: Google Cloud project, for Vertex AI; unless given, `GOOGLE_CLOUD_PROJECT`.
        location: Its region; unless given, `GOOGLE_CLOUD_LOCATION`.
        credentials: Credentials for Vertex AI; unless given, the machine's (Application Default Credentials).
        temperature: As in `ModelOptions`, like `top_p`, `max_tokens` and `stop`.
        response_format: Settings that shape the answer, such as `responseMimeType`; `response_format(T)` makes them.
            OpenAI's `{"type": "json_object"}` and `json_schema` are understood.
        extra_fields: Further fields of the request, merged into it: `generationConfig` (`thinkingConfig`,
            `responseModalities`, `responseLogprobs`, `seed`, ...), `safetySettings`, `cachedContent`, and tools of the
            service (`{"tools": [{"googleSearch": {}}]}`), which are added to those of the call.
        timeout_s: Longest silence of the server, in seconds; None waits for ever.
        http_client: An `httpx2.AsyncClient` (or `httpx.AsyncClient`) to send with. Its owner closes it.
        headers: Headers of every request.

    Raises:
        BuildError: If there is no key, or an address is not one.
        MissingExtraError: When the module is imported, if the library `google-genai` is not installed.
    """

    _key_hint: ClassVar = (
        "check api_key= or the environment variables GOOGLE_API_KEY and GEMINI_API_KEY (Vertex AI: credentials=)"
    )

    def __init__(
        self,
        *,
        model: str,
        api_key: str | None = None,
        base_url: str | None = None,
        api_version: str | None = None,
        vertexai: bool | None = None,
        project: str | None = None,
        location: str | None = None,
        credentials: Credentials | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        response_format: Mapping[str, Any] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        http_client: httpx2.AsyncClient | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if base_url is not None:
            host_of(base_url, DEFAULT_BASE_URL)
        self._sender = Sender(
            Settings(
                api_key=api_key,
                base_url=base_url,
                api_version=api_version,
                headers=dict(headers or {}),
                vertexai=vertexai,
                project=project,
                location=location,
                credentials=credentials,
            ),
            DEFAULT_API_VERSION,
        )
        self._host = host_of(self._sender.base_url, DEFAULT_BASE_URL)
        key = self._sender.api_key
        if not key.isascii():
            raise BuildError(f"the key of model {model!r} has characters that no header can hold; check api_key=")
        self._secrets = secrets_of(key)
        self._options = own_options(
            model,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            response_format=response_format,
            extra_fields=extra_fields,
        )
        self._clients: Clients[httpx2.AsyncClient] = Clients(
            lambda: http_client or _client(timeout_s), shared=http_client is not None, close=_close
        )

    def with_structured_output(self, target: type[T], *, repairs: int = 1) -> StructuredOutput[T]:
        """Return what asks this model for values of a type: `await structured.invoke(messages)`.

        The server is told the JSON schema; what it answers is validated all the same. Models that cannot have tools
        and a schema at once take `StructuredOutput(model, target)`, which works through a tool call.

        Args:
            target: A pydantic model, a dataclass, a TypedDict, a list of those, ...
            repairs: How often the model may correct an answer that is not of the type.

        Raises:
            BuildError: If the type has no JSON schema.
        """
        return StructuredOutput(self, target, response_format=response_format(target), repairs=repairs)

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the whole answer.

        Raises:
            AuthenticationError: If the key is not accepted.
            PermissionDeniedError: If the key may not do this.
            InvalidRequestError: If the request cannot be served as it is; `ContextLengthError` if it is too long.
            ContentFilterError: If the prompt was blocked. An answer that a filter stopped is an answer, whose finish
                reason says so.
            RateLimitError: If there were too many requests; `retry_after_s` says how long to wait.
            OverloadedError: If the server has no capacity now.
            ServerError: If the server failed.
            RequestTimeoutError: If the server was silent for `timeout_s`.
            ConnectionFailedError: If the server cannot be reached, or the connection broke.
            InvalidResponseError: If what came back is no answer.
        """
        place, body = self._request(messages, options)
        try:
            async with self._sent(place, body, stream=False) as response:
                return read_answer(await response.aread(), place, response.headers.get("content-type", ""))
        except transport_errors() as error:
            raise not_sent(error, place) from error

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        """Yield the answer in chunks, as they arrive; closing the iterator early ends the request.

        Raises:
            ComponentError: As for `generate`, if the answer has not begun.
            StreamBrokenError: If it breaks off after it has begun: the connection drops, the server reports an
                error or sends what is no answer, or it stops before the model had finished. `partial` holds what
                had arrived.
        """
        place, body = self._request(messages, options)
        try:
            async with self._sent(place, body, stream=True) as response:
                decoder = StreamDecoder(place, response.headers.get("content-type", ""))
                async with ResponseBody(response) as pieces:
                    try:
                        async for piece in pieces:
                            for message in decoder.feed(piece):
                                yield message
                    except transport_errors() as error:
                        raise broken(error, decoder, place) from error
                for message in decoder.end():
                    yield message
        except transport_errors() as error:
            raise not_sent(error, place) from error

    def _request(self, messages: Sequence[Message], options: ModelOptions) -> tuple[Place, dict[str, Any]]:
        place, merged = self._asked(options)
        if not _NOT_IN_NAMES.isdisjoint(place.model) or ".." in place.model:
            raise InvalidRequestError(f"{place.model!r} is no name of a model: it becomes a part of the address")
        return place, request_body(messages, merged)

    @asynccontextmanager
    async def _sent(self, place: Place, body: Mapping[str, Any], *, stream: bool) -> AsyncIterator[httpx2.Response]:
        """Send a request; the response is a success, and closed at the end of the block."""
        request = await self._sender.request(place.model, body, stream=stream)
        client = self._clients.get()
        async with client.stream(
            "POST", request.url, content=request.content, headers=dict(request.headers)
        ) as response:
            if response.status_code >= 400:
                raise status_error(response.status_code, response.headers, await response.aread(), place)
            if response.status_code >= 300:
                raise _redirected(response, place)
            yield response


_NOT_IN_NAMES: Final = frozenset("?&#% ")


def _client(timeout_s: float | None) -> httpx2.AsyncClient:
    import httpx2

    return httpx2.AsyncClient(timeout=timeouts(timeout_s))


async def _close(client: httpx2.AsyncClient) -> None:
    await client.aclose()


def _redirected(response: httpx2.Response, place: Place) -> ComponentError:
    """Return the error for a redirection: following it would take the key to another host."""
    where = response.headers.get("location", "")
    return unreadable(place, f"a redirection (HTTP {response.status_code}) to {where!r}", "", b"")
