"""OpenAI's chat completions, and every server that speaks the same protocol, on the official SDK."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar
from urllib.parse import urlsplit

from eino.components.model import NO_MODEL_OPTIONS, ModelOptions
from eino.components.structured_output import StructuredOutput
from eino.errors import BuildError, MissingExtraError
from eino.ext.models._clients import Clients
from eino.ext.models._connected import ConnectedModel
from eino.ext.models._http_body import ResponseBody, drain
from eino.ext.models._openai_answer import ANNOTATIONS, REFUSAL, REQUEST_ID, read_answer
from eino.ext.models._openai_format import response_format
from eino.ext.models._openai_reasoning import REASONING_DETAILS
from eino.ext.models._openai_request import JSON, Dialect, request_body
from eino.ext.models._openai_stream import StreamDecoder
from eino.ext.models._sdk_failures import broken, failure, transport_errors
from eino.ext.models._service_errors import Place
from eino.ext.models._settings import host_of, own_options, secrets_of, timeouts
from eino.schema.message import Message

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

if importlib.util.find_spec("openai") is None:
    raise MissingExtraError(
        "eino.ext.models.openai needs the library 'openai', which is not installed; pip install \"eino[openai]\"",
        name="openai",
    )

__all__ = [
    "ANNOTATIONS",
    "REASONING_DETAILS",
    "REFUSAL",
    "REQUEST_ID",
    "OpenAIChatModel",
    "OpenAISettings",
    "response_format",
]

T = TypeVar("T")

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
DEFAULT_TIMEOUT_S: Final = 600.0
"""Reasoning models can be silent for minutes; the SDK uses the same limit."""


class OpenAISettings(TypedDict, total=False):
    """What `OpenAIChatModel` takes besides the model and where it is, for functions that build one."""

    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: Sequence[str] | None
    response_format: Mapping[str, Any] | None
    extra_fields: Mapping[str, Any] | None
    timeout_s: float | None
    http_client: httpx2.AsyncClient | None
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None
    reasoning_field: str | None
    include_usage: bool
    key_header: str | None


_OWN_HOSTS: Final = (".openai.com", ".azure.com")
"""Hosts that know `max_completion_tokens`, and for new models refuse `max_tokens`."""


class OpenAIChatModel(ConnectedModel):
    """A chat model behind OpenAI's chat completions protocol: OpenAI, Azure, DeepSeek, Qwen, OpenRouter, Ollama, ...

    Retries of the SDK are off: wrap the model in `RetryChatModel`. One instance may be used by many tasks, threads
    and event loops at once. `async with model:` or `await model.aclose()` closes its connections.

    An answer that the model refuses to give has its reason in `message.extra[REFUSAL]`; sources of the text are in
    `message.extra[ANNOTATIONS]`, the server's id of the answer in `message.extra[REQUEST_ID]`, structured reasoning
    (OpenRouter) in `message.extra[REASONING_DETAILS]`.

    Args:
        model: Name of the model at the server.
        api_key: Key, or an async function that returns one; unless given, `OPENAI_API_KEY`.
        base_url: Address up to what comes before `/chat/completions`; unless given, `OPENAI_BASE_URL`, else OpenAI's.
        temperature: As in `ModelOptions`, like `top_p`, `max_tokens`, `stop` and `response_format`.
        extra_fields: Further fields of the request, such as `seed`, `logprobs` or `reasoning_effort`.
        timeout_s: Longest silence of the server, in seconds; None waits for ever.
        http_client: An `httpx2.AsyncClient` (or `httpx.AsyncClient`) to send with. Its owner closes it.
        default_headers: Headers of every request.
        default_query: Query parameters of every request, such as Azure's `api-version`.
        max_tokens_field: What the server calls `max_tokens`; unless given, what OpenAI and Azure use for themselves,
            and `max_tokens` for all others.
        reasoning_field: Under which name the reasoning of earlier answers is sent back, for servers that want it
            (`"reasoning_content"` for DeepSeek, `"reasoning_details"` for OpenRouter's blocks); None: it is not sent.
        key_header: Name of the header that carries the key as it is, for servers (Azure, gateways) that take none in
            `Authorization: Bearer`.
        include_usage: Whether streams are asked for the usage; False for old servers that refuse the request.

    Raises:
        BuildError: If there is no key, or an address is not one.
        MissingExtraError: When the module is imported, if the library `openai` is not installed.
    """

    def __init__(
        self,
        *,
        model: str,
        api_key: str | Callable[[], Awaitable[str]] | None = None,
        base_url: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        response_format: Mapping[str, Any] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        http_client: httpx2.AsyncClient | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None,
        reasoning_field: str | None = None,
        include_usage: bool = True,
        key_header: str | None = None,
    ) -> None:
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
        host = host_of(self._base_url, DEFAULT_BASE_URL)
        key = api_key or os.environ.get("OPENAI_API_KEY")
        if not key:
            raise BuildError(
                f"model {model!r} at {host} has no key: pass api_key= or set OPENAI_API_KEY; "
                "a server that needs none takes any text"
            )
        if key_header is not None and not isinstance(key, str):
            raise BuildError(f"key_header={key_header!r} takes a key that is a text, not a function that returns one")
        self._host = host
        self._headers = None if key_header is None else {key_header: key}
        self._secrets = secrets_of(key)
        own = f".{urlsplit(self._base_url).hostname}".endswith(_OWN_HOSTS)
        self._dialect = Dialect(
            max_tokens_field=max_tokens_field or ("max_completion_tokens" if own else "max_tokens"),
            reasoning_field=reasoning_field,
            include_usage=include_usage,
        )
        self._options = own_options(
            model,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            response_format=response_format,
            extra_fields=extra_fields,
        )
        settings = {
            "api_key": key,
            "base_url": self._base_url,
            "http_client": http_client,
            "default_headers": default_headers,
            "default_query": default_query,
        }
        self._clients = Clients(lambda: _client(settings, timeout_s), shared=http_client is not None)

    def with_structured_output(
        self, target: type[T], *, name: str = "", strict: bool | None = None, repairs: int = 1
    ) -> StructuredOutput[T]:
        """Return what asks this model for values of a type: `await structured.invoke(messages)`.

        The server is told the JSON schema (`response_format`); what it answers is validated all the same. For servers
        that know no schemas, use `StructuredOutput(model, target)`, which works through a tool call.

        Args:
            target: A pydantic model, a dataclass, a TypedDict, a list of those, ...
            name: Name of the schema; unless given, that of the type.
            strict: As for `response_format`.
            repairs: How often the model may correct an answer that is not of the type.

        Raises:
            BuildError: If the type has no JSON schema, or none that can be strict although it must.
        """
        return StructuredOutput(
            self,
            target,
            response_format=response_format(target, name=name, strict=strict),
            repairs=repairs,
            refusal_of=lambda message: message.extra.get(REFUSAL),
        )

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the whole answer.

        Raises:
            AuthenticationError: If the key is not accepted.
            PermissionDeniedError: If the key may not do this.
            InvalidRequestError: If the request cannot be served as it is; `ContextLengthError` if it is too long.
            ContentFilterError: If the server's content filter refused.
            RateLimitError: If there were too many requests; `retry_after_s` says how long to wait.
            OverloadedError: If the server has no capacity now.
            ServerError: If the server failed.
            RequestTimeoutError: If the server was silent for `timeout_s`.
            ConnectionFailedError: If the server cannot be reached, or the connection broke.
            InvalidResponseError: If what came back is no answer.
        """
        import openai

        place, body = self._request(messages, options, stream=False)
        try:
            response = await self._completions().with_raw_response.create(**body)
        except openai.APIError as error:
            raise failure(error, place, openai) from error
        return read_answer(response.content, place, response.headers.get("content-type", ""))

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
        import openai

        place, body = self._request(messages, options, stream=True)
        try:
            async with self._completions().with_streaming_response.create(**body) as response:
                decoder = StreamDecoder(place, response.headers.get("content-type", ""))
                async with ResponseBody(response.http_response) as pieces:
                    try:
                        async for piece in pieces:
                            for message in decoder.feed(piece):
                                yield message
                            if decoder.done:
                                await drain(pieces)
                                break
                    except transport_errors() as error:
                        raise broken(error, decoder, place) from error
                for message in decoder.end():
                    yield message
        except openai.APIError as error:
            raise failure(error, place, openai) from error

    def _completions(self) -> Any:
        return self._clients.get().chat.completions

    def _request(self, messages: Sequence[Message], options: ModelOptions, *, stream: bool) -> tuple[Place, JSON]:
        place, merged = self._asked(options)
        body = request_body(messages, merged, self._dialect, stream=stream)
        arguments: JSON = {name: body.pop(name) for name in ("model", "messages", "stream") if name in body}
        if self._headers is not None:
            arguments["extra_headers"] = _without_bearer(self._headers)
        return place, arguments | {"extra_body": body}


def _client(settings: Mapping[str, Any], timeout_s: float | None) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    return AsyncOpenAI(**settings, timeout=timeouts(timeout_s), max_retries=0)


def _without_bearer(headers: Mapping[str, Any]) -> dict[str, Any]:
    from openai import Omit

    return {**headers, "Authorization": Omit()}
