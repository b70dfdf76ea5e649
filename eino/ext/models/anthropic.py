"""Claude models over Anthropic's Messages API, on the official SDK."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from eino.components.model import NO_MODEL_OPTIONS, ModelOptions, ToolLike
from eino.components.structured_output import StructuredOutput
from eino.errors import BuildError, MissingExtraError
from eino.ext.models._anthropic_answer import CALL, CONTENT, RESPONSE, THOUGHT, read_answer
from eino.ext.models._anthropic_format import response_format
from eino.ext.models._anthropic_parts import BLOCK
from eino.ext.models._anthropic_request import DEFAULT_MAX_TOKENS, request_body
from eino.ext.models._anthropic_stream import StreamDecoder
from eino.ext.models._clients import Clients
from eino.ext.models._connected import ConnectedModel
from eino.ext.models._http_body import ResponseBody, drain
from eino.ext.models._sdk_failures import broken, failure, transport_errors
from eino.ext.models._service_errors import Place
from eino.ext.models._settings import host_of, own_options, secrets_of, timeouts
from eino.schema.message import Message

if TYPE_CHECKING:
    import httpx2

if importlib.util.find_spec("anthropic") is None:
    raise MissingExtraError(
        "eino.ext.models.anthropic needs the library 'anthropic', which is not installed; "
        'pip install "eino[anthropic]"',
        name="anthropic",
    )

__all__ = [
    "BLOCK",
    "CALL",
    "CONTENT",
    "DEFAULT_MAX_TOKENS",
    "RESPONSE",
    "THOUGHT",
    "AnthropicChatModel",
    "response_format",
]

T = TypeVar("T")

DEFAULT_BASE_URL: Final = "https://api.anthropic.com"
DEFAULT_TIMEOUT_S: Final = 600.0
"""A model that thinks, or uses the service's own tools, can be silent for minutes; the SDK uses the same limit."""
_PATH: Final = "/v1/messages"
_FROM_FUNCTION: Final = "from-a-function"
"""What the SDK is told when each request brings a key of its own."""


class AnthropicChatModel(ConnectedModel):
    """A chat model behind Anthropic's Messages API.

    Retries of the SDK are off: wrap the model in `RetryChatModel`. One instance may be used by many tasks, threads
    and event loops at once. `async with model:` or `await model.aclose()` closes its connections.

    What the service says about an answer is in `message.extra[RESPONSE]`: `id`, `model`, `usage` in its own words
    (with `cache_creation_input_tokens`), `stop_sequence`, `stop_details`, `container`. Reasoning with its signature is
    in `message.assistant_parts`. An answer with blocks that no field of a message expresses (server tools, citations,
    ...) has all its blocks in `message.extra[CONTENT]`. A message that is sent back unchanged, is sent back whole.

    Args:
        model: Name of the model at the service.
        api_key: Key, or an async function that returns one; unless given (nor `auth_token`), `ANTHROPIC_API_KEY`,
            else `ANTHROPIC_AUTH_TOKEN`.
        auth_token: Token of an OAuth login or a gateway, instead of a key.
        base_url: Address up to what comes before `/v1/messages`; unless given, `ANTHROPIC_BASE_URL`, else Anthropic's.
        temperature: As in `ModelOptions`, like `top_p`, `stop` and `response_format`.
        max_tokens: Most tokens of an answer, those for thinking included. The service demands a limit: unless given,
            `DEFAULT_MAX_TOKENS`, to which a `budget_tokens` of `thinking` is added.
        response_format: What `response_format(YourType)` returns.
        thinking: Whether and how much the model thinks: `{"type": "adaptive"}`, or
            `{"type": "enabled", "budget_tokens": 2048}`.
        extra_fields: Further fields of the request, such as `top_k`, `metadata`, `mcp_servers`, `container`, or
            `output_config`. `tools` are added to those of `with_tools` (for the service's own, such as web search);
            `disable_parallel_tool_use` goes into the tool choice; `betas` are added to the argument of that name.
        betas: Names for the header `anthropic-beta`.
        system_in_place: Whether system messages that come later in a conversation are sent where they are, which
            models since Claude Opus 4.8 take after a user's turn; else they join the first ones.
        timeout_s: Longest silence of the service, in seconds; None waits for ever.
        http_client: An `httpx2.AsyncClient` to send with. Its owner closes it.
        default_headers: Headers of every request.
        default_query: Query parameters of every request.

    Raises:
        BuildError: If there is no key, or two, an address is not one, or a client not of `httpx2`.
        MissingExtraError: When the module is imported, if the library `anthropic` is not installed.
    """

    _key_hint: ClassVar = "check api_key= or the environment variable ANTHROPIC_API_KEY"

    def __init__(
        self,
        *,
        model: str,
        api_key: str | Callable[[], Awaitable[str]] | None = None,
        auth_token: str | None = None,
        base_url: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        response_format: Mapping[str, Any] | None = None,
        thinking: Mapping[str, Any] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
        betas: Sequence[str] = (),
        system_in_place: bool = False,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        http_client: httpx2.AsyncClient | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
    ) -> None:
        address = base_url or os.environ.get("ANTHROPIC_BASE_URL") or DEFAULT_BASE_URL
        self._host = host_of(address, DEFAULT_BASE_URL)
        _require_httpx2(http_client)
        self._key = api_key if callable(api_key) else None
        given_key = _FROM_FUNCTION if callable(api_key) else api_key
        credential = _credential(given_key, auth_token, f"model {model!r} at {self._host}")
        self._secrets = secrets_of(*credential.values())
        self._betas = tuple(betas)
        self._system_in_place = system_in_place
        fields = dict(extra_fields or {}) | ({} if thinking is None else {"thinking": dict(thinking)})
        self._options = own_options(
            model,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            response_format=response_format,
            extra_fields=fields or None,
        )
        settings = credential | {
            "base_url": address,
            "http_client": http_client,
            "default_headers": default_headers,
            "default_query": default_query,
        }
        self._clients = Clients(lambda: _client(settings, timeout_s), shared=http_client is not None)

    def with_tools(self, tools: Sequence[ToolLike]) -> Self:
        """Return a copy that may call `tools`; it shares the connections.

        The `extra` of a `ToolInfo` is sent with it (`cache_control`, `strict`, ...); with a `type` in it, it is one of
        the service's own tools.

        Raises:
            TypeError: If one is no tool.
            ValueError: If one has no name, or two have the same one.
        """
        return super().with_tools(tools)

    def with_structured_output(self, target: type[T], *, repairs: int = 1) -> StructuredOutput[T]:
        """Return what asks this model for values of a type: `await structured.invoke(messages)`.

        The service is told the JSON schema; what it answers is validated all the same. For models that know no
        schemas (before Claude 4.5), use `StructuredOutput(model, target)`, which works through a tool call.

        Args:
            target: A pydantic model, a dataclass, a TypedDict, a list of those, ...
            repairs: How often the model may correct an answer that is not of the type.

        Raises:
            BuildError: If the type has no JSON schema, or none that the service takes.
        """
        return StructuredOutput(
            self, target, response_format=response_format(target), repairs=repairs, refusal_of=_refusal
        )

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the whole answer.

        Raises:
            AuthenticationError: If the key is not accepted.
            PermissionDeniedError: If the key may not do this, or the account has no balance left.
            InvalidRequestError: If the request cannot be served as it is; `ContextLengthError` if it is too long.
            ContentFilterError: If the service's content filter refused.
            RateLimitError: If there were too many requests; `retry_after_s` says how long to wait.
            OverloadedError: If the service has no capacity now.
            ServerError: If the service failed.
            RequestTimeoutError: If the service was silent for `timeout_s`.
            ConnectionFailedError: If the service cannot be reached, or the connection broke.
            InvalidResponseError: If what came back is no answer.
        """
        import anthropic

        place, body, headers = self._request(messages, options, stream=False)
        try:
            response = await self._post(body, headers, stream=False)
        except anthropic.APIError as error:
            raise failure(error, place, anthropic) from error
        return read_answer(response.content, place, response.headers.get("content-type", ""))

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        """Yield the answer in chunks, as they arrive; closing the iterator early ends the request.

        Raises:
            ComponentError: As for `generate`, if the answer has not begun.
            StreamBrokenError: If it breaks off after it has begun: the connection drops, the service reports an
                error or sends what is no answer, or it stops before the model had finished. `partial` holds what
                had arrived.
        """
        import anthropic

        place, body, headers = self._request(messages, options, stream=True)
        try:
            response = await self._post(body, headers, stream=True)
        except anthropic.APIError as error:
            raise failure(error, place, anthropic) from error
        decoder = StreamDecoder(place, response.headers.get("content-type", ""))
        async with ResponseBody(response) as pieces:
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

    async def _post(self, body: dict[str, Any], headers: Mapping[str, str], *, stream: bool) -> httpx2.Response:
        """Send a request with what the SDK adds to every one, and return the response as it is.

        Not through `messages.create`, which makes objects of the answer that nobody needs, drops fields that it does
        not know, and warns of old models.
        """
        import httpx2

        client: Any = self._clients.get()
        own = {} if self._key is None else {"Authorization": f"Bearer {await self._key()}"}
        response: httpx2.Response = await client.post(
            _PATH, cast_to=httpx2.Response, body=body, options={"headers": {**headers, **own}}, stream=stream
        )
        return response

    def _request(
        self, messages: Sequence[Message], options: ModelOptions, *, stream: bool
    ) -> tuple[Place, dict[str, Any], dict[str, str]]:
        place, merged = self._asked(options)
        body = request_body(messages, merged, stream=stream, system_in_place=self._system_in_place)
        betas = dict.fromkeys([*self._betas, *body.pop("betas", ())])
        headers = {"anthropic-beta": ",".join(betas)} if betas else {}
        return place, body, headers


def _require_httpx2(client: object) -> None:
    """Refuse a client of another library now, which the SDK would do at the first request."""
    if client is None:
        return
    import httpx2

    if not isinstance(client, httpx2.AsyncClient):
        raise BuildError(f"http_client must be an httpx2.AsyncClient, got {client!r}")


def _credential(api_key: str | None, auth_token: str | None, where: str) -> dict[str, str]:
    """Return the one credential, under the name that the SDK has for it."""
    if api_key and auth_token:
        raise BuildError(f"{where} has two credentials: give either api_key= or auth_token=")
    for name, value in (
        ("api_key", api_key),
        ("auth_token", auth_token),
        ("api_key", os.environ.get("ANTHROPIC_API_KEY")),
        ("auth_token", os.environ.get("ANTHROPIC_AUTH_TOKEN")),
    ):
        if value:
            return {name: value}
    raise BuildError(f"{where} has no key: pass api_key= or set ANTHROPIC_API_KEY; a server that needs none takes any")


def _client(settings: Mapping[str, Any], timeout_s: float | None) -> Any:
    from anthropic import AsyncAnthropic

    return AsyncAnthropic(**settings, timeout=timeouts(timeout_s), max_retries=0)


def _refusal(message: Message) -> str | None:
    """Return why the model refuses: in the service's words, else in its own."""
    if message.response_meta is None or message.response_meta.finish_reason != "refusal":
        return None
    details = message.extra.get(RESPONSE, {}).get("stop_details")
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation or message.content or "it gives no reason"
