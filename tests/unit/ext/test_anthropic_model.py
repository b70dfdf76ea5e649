"""The Anthropic chat model over real HTTP: answers, errors, early ends, connections, secrets."""

from __future__ import annotations

import copy
import subprocess
import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anthropic
import anyio
import anyio.to_thread
import httpx
import httpx2
import pytest
from pydantic import BaseModel

from eino.components import ChatModel, ModelOptions, RetryChatModel, ToolCallingChatModel
from eino.errors import (
    AuthenticationError,
    BuildError,
    ComponentError,
    ConnectionFailedError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    MessageParseError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RefusalError,
    RequestTimeoutError,
    ServerError,
    StreamBrokenError,
)
from eino.ext.models.anthropic import RESPONSE, AnthropicChatModel
from eino.schema import (
    Message,
    ResponseMeta,
    ToolInfo,
    assistant_message,
    concat_messages,
    tool_call,
    tool_message,
    user_message,
)
from eino_fixtures import Answer, ByBytes, ByWord, Dropped, ErrorAnswer, ProviderServer, RawAnswer

pytestmark = pytest.mark.usefixtures("leak_check")

HI = [user_message("hi")]
KEY = "sk-ant-test-0123456789abcdef"

Ask = Callable[[AnthropicChatModel], Any]


async def whole(model: AnthropicChatModel, options: ModelOptions | None = None) -> Message:
    """Ask for a whole answer."""
    return await model.generate(HI, options or ModelOptions())


async def streamed(model: AnthropicChatModel, options: ModelOptions | None = None) -> Message:
    """Ask for a stream, and join it."""
    return concat_messages([chunk async for chunk in model.stream(HI, options or ModelOptions())])


BOTH = pytest.mark.parametrize("ask", [pytest.param(whole, id="generate"), pytest.param(streamed, id="stream")])


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running
        running.assert_complete()


@asynccontextmanager
async def model_at(server: ProviderServer, **settings: Any) -> AsyncIterator[AnthropicChatModel]:
    """Give a model that talks to `server`."""
    async with AnthropicChatModel(
        **{"model": "claude", "api_key": KEY, "base_url": server.anthropic_url} | settings
    ) as model:
        yield model


@BOTH
async def test_a_question_is_answered(server: ProviderServer, ask: Ask) -> None:
    """Both ways give the same message, with usage, finish reason and the server's id."""
    server.add("hello  wörld 🎉")

    async with model_at(server) as model:
        message = await ask(model)

    assert message.content == "hello  wörld 🎉"
    assert (message.extra[RESPONSE]["id"], message.extra[RESPONSE]["model"]) == ("msg_1", "claude")
    assert message.response_meta.finish_reason == "end_turn"
    assert message.response_meta.usage.total_tokens > 0


@BOTH
async def test_tools_are_offered_and_called(server: ProviderServer, ask: Ask) -> None:
    """A copy with tools offers them; calls come back with ids; streamed ones have an index."""
    server.add([tool_call("search", {"q": "a b"}, id="c1"), tool_call("clock", id="c2")], "no tools")

    async with model_at(server) as model:
        with_tools = model.with_tools([ToolInfo(name="search"), ToolInfo(name="clock")])
        message = await ask(with_tools)
        await ask(with_tools, ModelOptions(tools=()))

    assert [(call.id, call.name, call.arguments.replace(" ", "")) for call in message.tool_calls] == [
        ("c1", "search", '{"q":"ab"}'),
        ("c2", "clock", "{}"),
    ]
    assert [call.index for call in message.tool_calls] == ([None, None] if ask is whole else [0, 1])
    assert [tool["name"] for tool in server.requests[0].json["tools"]] == ["search", "clock"]
    assert "tools" not in server.requests[1].json


@BOTH
async def test_thoughts_go_back_with_the_results_of_calls(server: ProviderServer, ask: Ask) -> None:
    """Signed as they came: the service refuses the conversation otherwise."""
    server.add(assistant_message("", [tool_call("f", id="c")], reasoning_content="think hard"), "done")

    async with model_at(server, thinking={"type": "enabled", "budget_tokens": 1024}) as model:
        answer = await ask(model)
        await model.generate([*HI, answer, tool_message("x", "c")])

    assert answer.reasoning_content == "think hard"
    first, second = (request.json for request in server.requests)
    assert (first["thinking"]["budget_tokens"], first["max_tokens"]) == (1024, 5120)
    thought, use = second["messages"][1]["content"]
    assert (thought["thinking"], thought["signature"]) == ("think hard", "ZWlubw==")
    assert use == {"type": "tool_use", "id": "c", "name": "f", "input": {}}


async def test_settings_and_options_reach_the_server(server: ProviderServer) -> None:
    """Options of the call go over those of the model; headers and query parameters are sent."""
    server.add("a", "b")

    async with model_at(
        server,
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        stop=["END"],
        extra_fields={"top_k": 1, "metadata": {"user_id": "u"}},
        betas=["files-api"],
        default_headers={"x-team": "red"},
        default_query={"beta": "true"},
    ) as model:
        chosen = ModelOptions(
            temperature=0.0, top_p=None, extra_fields={"top_k": 2, "betas": ["skills", "files-api"]}, model="other"
        )
        await model.generate(HI, chosen)
        await streamed(model)

    first, second = server.requests
    assert first.json == {
        "model": "other",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "temperature": 0.0,
        "max_tokens": 7,
        "stop_sequences": ["END"],
        "top_k": 2,
        "metadata": {"user_id": "u"},
    }
    assert (first.path, first.query, first.headers["x-team"]) == ("/v1/messages", "beta=true", "red")
    assert first.headers["anthropic-beta"] == "files-api,skills"
    assert second.headers["anthropic-beta"] == "files-api"
    assert KEY in first.headers["authorization"] + first.headers.get("x-api-key", "")
    assert second.json["stream"] is True


@pytest.mark.parametrize("model", ["claude-3-opus-20240229", "claude-opus-4-6"])
async def test_old_models_can_be_used_without_a_warning(server: ProviderServer, model: str) -> None:
    """The SDK warns of some by their names."""
    server.add("a")

    async with model_at(server, model=model, thinking={"type": "enabled", "budget_tokens": 1024}) as asked:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert (await whole(asked)).content == "a"


ERRORS = [
    pytest.param(ErrorAnswer(400), InvalidRequestError, id="400"),
    pytest.param(ErrorAnswer(400, "prompt is too long: 210000 tokens > 200000 maximum"), ContextLengthError, id="long"),
    pytest.param(ErrorAnswer(400, "Output blocked by content filtering policy"), ContentFilterError, id="filter"),
    pytest.param(ErrorAnswer(401, f"invalid x-api-key {KEY}"), AuthenticationError, id="401"),
    pytest.param(ErrorAnswer(402, type="billing_error"), PermissionDeniedError, id="402"),
    pytest.param(ErrorAnswer(403), PermissionDeniedError, id="403"),
    pytest.param(ErrorAnswer(404, "model: x"), InvalidRequestError, id="404"),
    pytest.param(ErrorAnswer(413), InvalidRequestError, id="413"),
    pytest.param(ErrorAnswer(429, retry_after_s=2), RateLimitError, id="429"),
    pytest.param(ErrorAnswer(500), ServerError, id="500"),
    pytest.param(ErrorAnswer(504, type="timeout_error"), RequestTimeoutError, id="504"),
    pytest.param(ErrorAnswer(529, "Overloaded"), OverloadedError, id="529"),
    pytest.param(RawAnswer(b"<html>bad gateway</html>", status=502, content_type="text/html"), ServerError, id="page"),
    pytest.param(RawAnswer(b"", status=500), ServerError, id="empty"),
    pytest.param(Dropped("close"), ConnectionFailedError, id="closed"),
    pytest.param(Dropped("reset"), ConnectionFailedError, id="reset"),
    pytest.param(RawAnswer(b"<html>moved</html>", content_type="text/html"), InvalidResponseError, id="page with 200"),
    pytest.param(RawAnswer(b'{"type": "message"}'), InvalidResponseError, id="no content with 200"),
    pytest.param(
        RawAnswer(b'{"type": "error", "error": {"type": "overloaded_error"}}'), OverloadedError, id="error with 200"
    ),
]


@BOTH
@pytest.mark.parametrize(("answer", "kind"), ERRORS)
async def test_errors_have_their_class(
    server: ProviderServer, ask: Ask, answer: Any, kind: type[ComponentError]
) -> None:
    """One request, no retry of the SDK; the text names model and host, and never the key."""
    server.add(answer)

    async with model_at(server) as model:
        with pytest.raises(ComponentError) as caught:
            await ask(model)

    assert type(caught.value) is kind
    assert len(server.requests) == 1
    assert "model 'claude' at 127.0.0.1:" in str(caught.value)
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_errors_say_what_to_do_and_where_to_ask(server: ProviderServer) -> None:
    """The request id for the support, the variable with the key, the wait, the SDK's own error."""
    spent = b'{"error": {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}}'
    server.add(ErrorAnswer(401), ErrorAnswer(429, retry_after_s=2.5), RawAnswer(spent, status=429))

    async with model_at(server) as model:
        with pytest.raises(AuthenticationError, match=r"request id 'req_1'.*ANTHROPIC_API_KEY"):
            await whole(model)
        with pytest.raises(RateLimitError, match=r"wait 2.5 s") as limited:
            await whole(model)
        with pytest.raises(RateLimitError, match="enforced_spend_limit_reached") as empty:
            await whole(model)

    assert limited.value.retry_after_s == 2.5
    assert isinstance(limited.value.__cause__, anthropic.RateLimitError)
    assert (limited.value.retryable, empty.value.retryable) == (True, False)


async def test_retries_are_ours(server: ProviderServer) -> None:
    """Wrapped, the model asks again where that may help."""
    server.add(ErrorAnswer(529), "there")

    async with model_at(server) as model:
        assert (await RetryChatModel(model).generate(HI)).content == "there"


BUSY = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
BROKEN = [
    pytest.param(Answer("one two three", events=5, ending="close"), "RemoteProtocolError", "one two", id="closed"),
    pytest.param(Answer("one two three", events=5, ending="reset"), "ReadError", "one two", id="reset"),
    pytest.param(Answer("one two three", events=5), "without message_stop", "one two", id="cut, but ended in order"),
    pytest.param(Answer("one two", insert={4: b"data: {\n\n"}), "an event is no JSON", "one", id="garbage"),
    pytest.param(Answer("one two", insert={4: BUSY}), "Overloaded", "one", id="error"),
]


@pytest.mark.parametrize(("answer", "text", "said"), BROKEN)
async def test_a_stream_that_breaks_off_keeps_what_came(
    server: ProviderServer, answer: Answer, text: str, said: str
) -> None:
    """The chunks were delivered before, and are in the error too."""
    server.add(answer)
    seen = []

    async with model_at(server) as model:
        with pytest.raises(StreamBrokenError, match=text) as caught:
            async for chunk in model.stream(HI):
                seen.append(chunk.content)  # noqa: PERF401 - what came before the error counts

    assert "".join(seen) == said
    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.content == said


async def test_an_error_in_a_stream_that_has_not_begun_is_that_error(server: ProviderServer) -> None:
    """There is nothing to keep."""
    server.add(Answer("one", insert={1: BUSY}), Answer("one", events=0, ending="close"))

    async with model_at(server) as model:
        with pytest.raises(OverloadedError):
            await streamed(model)
        with pytest.raises(ConnectionFailedError, match="broke before an answer began"):
            await streamed(model)


class Odd(httpx2.AsyncBaseTransport):
    """Lets the SDK raise an error of its own that has no class with us."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise anthropic.APIError(f"odd: {KEY}", request, body=None)


@BOTH
async def test_any_other_error_of_the_sdk_is_a_component_error(ask: Ask) -> None:
    """Nothing of the SDK's comes out bare, nor with the key in it."""
    async with httpx2.AsyncClient(transport=Odd()) as client:
        model = AnthropicChatModel(model="m", api_key=KEY, http_client=client)
        with pytest.raises(ComponentError, match=r"the SDK failed for model 'm' .*: odd: \*\*\*") as caught:
            await ask(model)

    assert KEY not in "".join(traceback.format_exception(caught.value))


@BOTH
async def test_nobody_listens(ask: Ask) -> None:
    """A refused connection names the address and the remedy."""
    with ProviderServer() as gone:
        url = gone.anthropic_url
    async with AnthropicChatModel(model="m", api_key=KEY, base_url=url) as model:
        with pytest.raises(ConnectionFailedError, match="check base_url= and the network"):
            await ask(model)


class SilentBody(httpx2.AsyncByteStream):
    """A few bytes, then nothing for too long."""

    def __init__(self, start: bytes) -> None:
        self._start = start

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._start
        raise httpx2.ReadTimeout("")


def silent(body: bytes | None, request: httpx2.Request) -> httpx2.Response:
    """Answer like a server that says nothing for too long, at once or in the middle."""
    if body is None:
        raise httpx2.ReadTimeout("", request=request)
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=SilentBody(body))


SAID = b'data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}\n\n'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(None, RequestTimeoutError, id="no headers"),
        pytest.param(b": wait\n\n", RequestTimeoutError, id="no answer"),
        pytest.param(SAID, StreamBrokenError, id="in the middle"),
    ],
)
async def test_silence(body: bytes | None, kind: type[ComponentError]) -> None:
    """A timeout, or a broken stream once the answer has begun."""
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(partial(silent, body))) as client:
        model = AnthropicChatModel(model="m", api_key=KEY, http_client=client)
        with pytest.raises(kind):
            await streamed(model)


def test_nothing_happens_before_the_first_pull(server: ProviderServer) -> None:
    """`stream` itself sends nothing and needs no event loop."""
    model = AnthropicChatModel(model="m", api_key=KEY, base_url=server.anthropic_url)

    model.stream(HI)

    assert server.requests == []


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_leaving_early_ends_the_request(server: ProviderServer, how: str) -> None:
    """The server sees the client go, and the model can be used again."""
    server.add(Answer("one two three", cut=ByBytes(900), delay_s=30.0), "again")

    async with model_at(server) as model:
        stream = model.stream(HI)
        if how == "close":
            assert (await anext(stream)).content == "one"
            await stream.aclose()  # type: ignore[attr-defined]
        else:
            with anyio.CancelScope() as scope:
                async for _ in stream:
                    scope.cancel()
        assert await anyio.to_thread.run_sync(server.requests[0].wait_over)
        assert (await streamed(model)).content == "again"

    assert server.requests[0].disconnected


async def test_a_connection_serves_again(server: ProviderServer) -> None:
    """Answers that were read to their end, streamed or not, leave their connection open for the next request."""
    server.add("a", "b", Answer("c", done=False), "d")

    async with model_at(server) as model:
        for ask in (streamed, whole, streamed, streamed):
            await ask(model)

    assert server.connections == 1


def test_one_model_serves_many_event_loops() -> None:
    """Each loop has connections of its own, since a connection cannot outlive its loop."""
    answers: list[str] = []

    with ProviderServer(lambda request: "ok") as server:
        model = AnthropicChatModel(model="m", api_key=KEY, base_url=server.anthropic_url)

        async def ask() -> None:
            async with model:
                answers.append((await whole(model)).content)
                answers.append((await streamed(model)).content)

        for backend in ("asyncio", "trio", "asyncio"):
            anyio.run(ask, backend=backend)

    assert answers == ["ok"] * 6


async def test_the_key_may_come_from_a_function_or_be_a_token(server: ProviderServer) -> None:
    """As for tokens that expire, and for gateways."""
    server.add("a", "b", "c")

    async def fresh() -> str:
        return "fresh-token"

    async with model_at(server, api_key=fresh) as model:
        await whole(model)
        await streamed(model)
    async with model_at(server, api_key=None, auth_token="other-token") as model:
        await whole(model)

    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer fresh-token",
        "Bearer fresh-token",
        "Bearer other-token",
    ]


def test_key_and_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments go over it."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "from-environment")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://env.example.org")

    assert "host='env.example.org'" in repr(AnthropicChatModel(model="m"))
    assert "host='arg.example.org'" in repr(AnthropicChatModel(model="m", base_url="https://arg.example.org"))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"api_key": None}, "pass api_key= or set ANTHROPIC_API_KEY; a server that needs none takes any"),
        ({"auth_token": "x"}, "two credentials: give either"),
        ({"base_url": "api.anthropic.com"}, "got 'api.anthropic.com'"),
        ({"base_url": "ftp://x"}, "got 'ftp://x'"),
        ({"http_client": httpx.Client}, "must be an httpx2.AsyncClient"),
    ],
)
def test_settings_that_cannot_work_are_errors_at_once(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], text: str
) -> None:
    """With the remedy."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(BuildError, match=text):
        AnthropicChatModel(**{"model": "m", "api_key": KEY} | settings)


async def test_a_model_needs_a_name(server: ProviderServer) -> None:
    """Options may change it, but not take it away."""
    async with model_at(server) as model:
        with pytest.raises(InvalidRequestError, match="switch the model's name off"):
            await whole(model, ModelOptions(model=None))


def test_the_key_is_never_shown() -> None:
    """Neither by the model nor by its copies, nor does the address show credentials."""
    model = AnthropicChatModel(model="m", api_key=KEY, base_url="https://user:pass@host.example.org:8000/x?key=abc")
    shown = repr(model) + repr(copy.copy(model)) + repr(model.with_tools([ToolInfo(name="search")]))

    assert "tools=['search']" in shown
    assert "host='host.example.org:8000'" in shown
    assert KEY not in shown
    assert "pass@" not in shown


def test_it_is_a_chat_model() -> None:
    """A graph takes it wherever it takes a model with tools; a copy leaves the model as it is."""
    model = AnthropicChatModel(model="m", api_key=KEY)

    assert isinstance(model, ChatModel)
    assert isinstance(model, ToolCallingChatModel)
    model.with_tools([ToolInfo(name="a")])
    assert "tools" not in repr(model)


class Trip(BaseModel):
    """A trip to a city."""

    city: str
    days: int


def said(text: str, reason: str, **extra: Any) -> Message:
    """Return an answer that ends for a reason."""
    return assistant_message(text, response_meta=ResponseMeta(finish_reason=reason), extra={RESPONSE: extra})


async def test_values_of_a_type(server: ProviderServer) -> None:
    """Asked for by schema, validated, corrected once."""
    server.add('{"city": "Paris"}', '{"city": "Paris", "days": 2}')

    async with model_at(server) as model:
        trip = await model.with_structured_output(Trip).invoke(HI)

    assert trip == Trip(city="Paris", days=2)
    wanted = server.requests[0].json["output_config"]["format"]
    assert (wanted["type"], wanted["schema"]["required"]) == ("json_schema", ["city", "days"])
    assert [message["role"] for message in server.requests[1].json["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (
            said("", "refusal", stop_details={"type": "refusal", "explanation": "No weapons."}),
            RefusalError,
            "refuses to answer: No weapons",
        ),
        (said("I cannot.", "refusal", stop_details=None), RefusalError, "refuses to answer: I cannot."),
        (said("", "refusal"), RefusalError, "it gives no reason"),
        (said('{"city": "Pa', "max_tokens"), MessageParseError, "."),
    ],
)
async def test_values_that_do_not_come(
    server: ProviderServer, answer: Message, kind: type[Exception], text: str
) -> None:
    """A refusal says why; an answer that was cut off is not asked for again."""
    server.add(answer)

    async with model_at(server) as model:
        with pytest.raises(kind, match=text) as caught:
            await model.with_structured_output(Trip).invoke(HI)

    if kind is MessageParseError:
        assert "it was cut off: raise max_tokens" in "".join(caught.value.__notes__)


def test_importing_it_does_not_import_the_sdk() -> None:
    """The SDK takes a second or more; a program that only names the class should not pay for it."""
    program = (
        "import sys, eino.ext.models.anthropic; print(sorted({'anthropic', 'httpx2', 'pydantic'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_without_the_sdk_the_extra_is_named() -> None:
    """The import fails with the command to run."""
    program = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'anthropic' else find(name, *rest)\n"
        "import eino.ext.models.anthropic"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "MissingExtraError: eino.ext.models.anthropic needs the library 'anthropic'" in done.stderr
    assert 'pip install "eino[anthropic]"' in done.stderr


@BOTH
@pytest.mark.parametrize("size", [1, 7])
async def test_pieces_of_any_size_over_real_sockets(server: ProviderServer, ask: Ask, size: int) -> None:
    """The network may cut an answer anywhere."""
    server.add(Answer("wörld 🎉", ByWord(), cut=ByBytes(size)))

    async with model_at(server) as model:
        assert (await ask(model)).content == "wörld 🎉"
