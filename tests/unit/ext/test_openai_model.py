"""The OpenAI chat model over real HTTP: answers, errors, early ends, connections, secrets."""

from __future__ import annotations

import copy
import gc
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import httpx
import httpx2
import openai
import pytest

from eino.components import ChatModel, ModelOptions, ToolCallingChatModel
from eino.errors import (
    AuthenticationError,
    BuildError,
    ComponentError,
    ConnectionFailedError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StreamBrokenError,
)
from eino.ext.models.openai import REQUEST_ID, OpenAIChatModel
from eino.schema import Message, ToolInfo, concat_messages, tool_call, user_message
from eino_fixtures import (
    Answer,
    ByBytes,
    ByWord,
    Dropped,
    ErrorAnswer,
    ProviderServer,
    RawAnswer,
    ReplayTransport,
    VirtualClock,
)
from eino_fixtures.cassettes import RecordedCall

pytestmark = pytest.mark.usefixtures("leak_check")

HI = [user_message("hi")]
KEY = "sk-test-0123456789abcdef"

Ask = Callable[[OpenAIChatModel], Any]


async def whole(model: OpenAIChatModel, options: ModelOptions | None = None) -> Message:
    """Ask for a whole answer."""
    return await model.generate(HI, options or ModelOptions())


async def streamed(model: OpenAIChatModel, options: ModelOptions | None = None) -> Message:
    """Ask for a stream, and join it."""
    return concat_messages([chunk async for chunk in model.stream(HI, options or ModelOptions())])


BOTH = pytest.mark.parametrize("ask", [pytest.param(whole, id="generate"), pytest.param(streamed, id="stream")])


@contextmanager
def dropped_generators() -> Iterator[list[str]]:
    """Note the async generators that are dropped unfinished while the block runs: the event loop must close those."""
    hooks = sys.get_asyncgen_hooks()
    names: list[str] = []

    def drop(generator: Any) -> None:
        names.append(generator.__qualname__)
        if hooks.finalizer is not None:
            hooks.finalizer(generator)

    sys.set_asyncgen_hooks(finalizer=drop)
    try:
        yield names
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running
        running.assert_complete()


@asynccontextmanager
async def model_at(server: ProviderServer, **settings: Any) -> AsyncIterator[OpenAIChatModel]:
    """Give a model that talks to `server`."""
    async with OpenAIChatModel(
        **{"model": "gpt-4o", "api_key": KEY, "base_url": server.openai_url} | settings
    ) as model:
        yield model


@BOTH
async def test_a_question_is_answered(server: ProviderServer, ask: Ask) -> None:
    """Both ways give the same message, with usage, finish reason and the server's id."""
    server.add("hello  wörld 🎉")

    async with model_at(server) as model:
        message = await ask(model)

    assert message.content == "hello  wörld 🎉"
    assert message.extra == {REQUEST_ID: "chatcmpl-1"}
    assert message.response_meta.finish_reason == "stop"
    assert message.response_meta.usage.total_tokens > 0


@BOTH
async def test_tools_are_offered_and_called(server: ProviderServer, ask: Ask) -> None:
    """A copy with tools offers them; calls come back with ids; streamed ones have an index."""
    server.add([tool_call("search", {"q": "a b"}, id="c1"), tool_call("clock", id="c2")], "no tools")

    async with model_at(server) as model:
        with_tools = model.with_tools([ToolInfo(name="search"), ToolInfo(name="clock")])
        message = await ask(with_tools)
        await ask(with_tools, ModelOptions(tools=()))

    assert [(call.id, call.name, call.arguments) for call in message.tool_calls] == [
        ("c1", "search", '{"q":"a b"}'),
        ("c2", "clock", ""),
    ]
    assert [call.index for call in message.tool_calls] == ([None, None] if ask is whole else [0, 1])
    assert [tool["function"]["name"] for tool in server.requests[0].json["tools"]] == ["search", "clock"]
    assert "tools" not in server.requests[1].json


async def test_settings_and_options_reach_the_server(server: ProviderServer) -> None:
    """Options of the call go over those of the model; headers and query parameters are sent."""
    server.add("a", "b")

    async with model_at(
        server,
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        stop=["END"],
        response_format={"type": "json_object"},
        extra_fields={"seed": 1, "user": "u"},
        default_headers={"x-team": "red"},
        default_query={"api-version": "2024-02-01"},
        include_usage=False,
        reasoning_field="reasoning",
    ) as model:
        await model.generate(HI, ModelOptions(temperature=0.0, top_p=None, extra_fields={"seed": 2}, model="other"))
        await streamed(model)

    first, second = server.requests
    assert first.json == {
        "model": "other",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.0,
        "max_tokens": 7,
        "stop": ["END"],
        "response_format": {"type": "json_object"},
        "seed": 2,
        "user": "u",
    }
    assert (first.query, first.headers["x-team"]) == ("api-version=2024-02-01", "red")
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert second.json["stream"] is True
    assert "stream_options" not in second.json


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://us.api.openai.com/v1", "max_completion_tokens"),
        ("https://x.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://openai.com.example.org/v1", "max_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
    ],
)
async def test_the_limit_of_the_answer_has_the_servers_own_name(base_url: str, field: str) -> None:
    """OpenAI renamed it; others did not."""
    answer = json.dumps({"choices": [{"message": {"content": "a"}}]}).encode()
    transport = ReplayTransport([RecordedCall("POST", f"{base_url}/chat/completions", b"", 200, (), answer)])
    async with httpx2.AsyncClient(transport=transport) as client:
        model = OpenAIChatModel(model="m", api_key=KEY, base_url=base_url, max_tokens=3, http_client=client)
        await model.generate(HI)

    assert json.loads(transport.requests[0].body)[field] == 3


ERRORS = [
    pytest.param(ErrorAnswer(400), InvalidRequestError, id="400"),
    pytest.param(ErrorAnswer(400, code="context_length_exceeded"), ContextLengthError, id="too long"),
    pytest.param(ErrorAnswer(401, f"wrong key {KEY}"), AuthenticationError, id="401"),
    pytest.param(ErrorAnswer(403), PermissionDeniedError, id="403"),
    pytest.param(ErrorAnswer(404, code="model_not_found"), InvalidRequestError, id="404"),
    pytest.param(ErrorAnswer(422), InvalidRequestError, id="422"),
    pytest.param(ErrorAnswer(429, retry_after_s=2), RateLimitError, id="429"),
    pytest.param(ErrorAnswer(500), ServerError, id="500"),
    pytest.param(ErrorAnswer(503), OverloadedError, id="503"),
    pytest.param(ErrorAnswer(529), OverloadedError, id="529"),
    pytest.param(RawAnswer(b"<html>bad gateway</html>", status=502, content_type="text/html"), ServerError, id="page"),
    pytest.param(RawAnswer(b"", status=500), ServerError, id="empty"),
    pytest.param(Dropped("close"), ConnectionFailedError, id="closed"),
    pytest.param(Dropped("reset"), ConnectionFailedError, id="reset"),
    pytest.param(RawAnswer(b"<html>moved</html>", content_type="text/html"), InvalidResponseError, id="page with 200"),
    pytest.param(RawAnswer(b'{"choices": []}'), InvalidResponseError, id="empty choices with 200"),
    pytest.param(RawAnswer(b'{"error": {"code": 429, "message": "slow"}}'), RateLimitError, id="error with 200"),
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
    assert "model 'gpt-4o' at 127.0.0.1:" in str(caught.value)
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_the_cause_is_kept(server: ProviderServer) -> None:
    """The SDK's own error, with the response, for those who need more."""
    server.add(ErrorAnswer(429, retry_after_s=2.5))

    async with model_at(server) as model:
        with pytest.raises(RateLimitError) as caught:
            await whole(model)

    assert caught.value.retry_after_s == 2.5
    assert caught.value.__cause__.response.headers["x-request-id"] == "req_1"  # type: ignore[union-attr]


BROKEN = [
    pytest.param(Answer("one two three", events=3, ending="close"), "RemoteProtocolError", "one two", id="closed"),
    pytest.param(Answer("one two three", events=3, ending="reset"), "ReadError", "one two", id="reset"),
    pytest.param(Answer("one two three", events=3), r"without \[DONE\]", "one two", id="cut, but ended in order"),
    pytest.param(Answer("one two", insert={2: b"data: {\n\n"}), "an event is no JSON", "one", id="garbage"),
    pytest.param(
        Answer("one two", insert={2: b'data: {"error": {"code": 500, "message": "oops"}}\n\n'}),
        "oops",
        "one",
        id="error",
    ),
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


async def test_a_server_that_does_not_stream_is_understood(server: ProviderServer) -> None:
    """Its answer is one chunk."""
    server.add(RawAnswer(b'{"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}'))

    async with model_at(server) as model:
        chunks = [chunk async for chunk in model.stream(HI)]

    assert [chunk.content for chunk in chunks] == ["whole"]


class Odd(httpx2.AsyncBaseTransport):
    """Lets the SDK raise an error of its own that has no class with us."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise openai.APIError(f"odd: {KEY}", request, body=None)


@BOTH
async def test_any_other_error_of_the_sdk_is_a_component_error(ask: Ask) -> None:
    """Nothing of the SDK's comes out bare, nor with the key in it."""
    async with httpx2.AsyncClient(transport=Odd()) as client:
        model = OpenAIChatModel(model="m", api_key=KEY, http_client=client)
        with pytest.raises(ComponentError, match=r"the SDK failed for model 'm' .*: odd: \*\*\*") as caught:
            await ask(model)

    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_whole_answer_that_breaks_off_is_a_failed_connection(server: ProviderServer) -> None:
    """There is nothing to keep."""
    server.add(Answer("one two three", ending="close"))

    async with model_at(server) as model:
        with pytest.raises(ConnectionFailedError, match="RemoteProtocolError"):
            await whole(model)


async def test_a_stream_that_never_begins_is_a_failed_connection(server: ProviderServer) -> None:
    """Headers alone are no answer."""
    server.add(Answer("one", events=0, ending="close"))

    async with model_at(server) as model:
        with pytest.raises(ConnectionFailedError, match="broke before an answer began"):
            await streamed(model)


@BOTH
async def test_nobody_listens(ask: Ask) -> None:
    """A refused connection names the address and the remedy."""
    with ProviderServer() as gone:
        url = gone.openai_url
    async with OpenAIChatModel(model="m", api_key=KEY, base_url=url) as model:
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


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(None, RequestTimeoutError, id="no headers"),
        pytest.param(b": wait\n\n", RequestTimeoutError, id="no answer"),
        pytest.param(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', StreamBrokenError, id="in the middle"),
    ],
)
async def test_silence(body: bytes | None, kind: type[ComponentError]) -> None:
    """A timeout, or a broken stream once the answer has begun."""
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(partial(silent, body))) as client:
        model = OpenAIChatModel(model="m", api_key=KEY, http_client=client)
        with pytest.raises(kind):
            await streamed(model)


def test_nothing_happens_before_the_first_pull(server: ProviderServer) -> None:
    """`stream` itself sends nothing and needs no event loop."""
    model = OpenAIChatModel(model="m", api_key=KEY, base_url=server.openai_url)

    model.stream(HI)

    assert server.requests == []


async def test_closing_early_ends_the_request(server: ProviderServer) -> None:
    """The server sees the client go; no generator of the HTTP library is left to the event loop."""
    server.add(Answer("one two three four five", cut=ByBytes(700), delay_s=30.0))

    async with model_at(server) as model:
        with dropped_generators() as dropped:
            stream = model.stream(HI)
            assert (await anext(stream)).content == "one"
            await stream.aclose()  # type: ignore[attr-defined]
            del stream
        assert await anyio.to_thread.run_sync(server.requests[0].wait_over)

    assert server.requests[0].disconnected
    assert dropped == []


async def test_a_broken_stream_drops_no_generator(server: ProviderServer) -> None:
    """Garbage ends the reading in the middle of the body; the rest of it is not left behind."""
    server.add(Answer("one two three four five", insert={2: b"data: {\n\n"}, delay_s=0.001))

    async with model_at(server) as model:
        with dropped_generators() as dropped, pytest.raises(StreamBrokenError):
            await streamed(model)

    assert dropped == []


async def test_cancelling_ends_the_request(server: ProviderServer) -> None:
    """The connection of a cancelled stream is closed, and the model can be used again."""
    server.add(Answer("one two three", cut=ByBytes(700), delay_s=30.0), "again")

    async with model_at(server) as model:
        with anyio.CancelScope() as scope:
            async for _ in model.stream(HI):
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


async def test_one_model_serves_many_tasks(server: ProviderServer) -> None:
    """Answers do not get mixed up."""
    found: dict[str, str] = {}

    async def ask(model: OpenAIChatModel, text: str) -> None:
        chunks = [chunk async for chunk in model.stream([user_message(text)])]
        found[text] = concat_messages(chunks).content

    with ProviderServer(lambda request: f"you said {request.json['messages'][0]['content']}") as echo:
        async with model_at(echo) as model, anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(ask, model, f"word {number}")

    assert found == {f"word {number}": f"you said word {number}" for number in range(20)}


def test_one_model_serves_many_event_loops() -> None:
    """Each loop has connections of its own, since a connection cannot outlive its loop."""
    answers: list[str] = []

    with ProviderServer(lambda request: "ok") as server:
        model = OpenAIChatModel(model="m", api_key=KEY, base_url=server.openai_url)

        async def ask() -> None:
            async with model:
                answers.append((await whole(model)).content)
                answers.append((await streamed(model)).content)

        for backend in ("asyncio", "trio", "asyncio"):
            anyio.run(ask, backend=backend)
        thread = threading.Thread(target=partial(anyio.run, ask))
        thread.start()
        anyio.run(ask)
        thread.join()

    assert answers == ["ok"] * 10


async def test_a_client_of_the_older_httpx_works(server: ProviderServer) -> None:
    """Programs that are built on httpx can bring their client; its owner closes it."""
    server.add("a", "b", Answer("one two", events=2, ending="close"))

    async with httpx.AsyncClient() as client:
        model = OpenAIChatModel(model="m", api_key=KEY, base_url=server.openai_url, http_client=client)  # type: ignore[arg-type]
        assert (await whole(model)).content == "a"
        assert (await streamed(model)).content == "b"
        with pytest.raises(StreamBrokenError):
            await streamed(model)
        await model.aclose()
        assert not client.is_closed


async def test_a_model_can_be_closed_twice_and_used_again(server: ProviderServer) -> None:
    """Closing ends connections, not the model."""
    server.add("a", "b")

    async with model_at(server) as model:
        await whole(model)
        await model.aclose()
        await model.aclose()
        await whole(model)


async def test_the_key_may_come_from_a_function(server: ProviderServer) -> None:
    """As for tokens that expire."""
    server.add("a")

    async def token() -> str:
        return "fresh-token"

    async with model_at(server, api_key=token) as model:
        await whole(model)

    assert server.requests[0].headers["authorization"] == "Bearer fresh-token"


def test_key_and_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments go over it."""
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://env.example.org/v1")

    assert "host='env.example.org'" in repr(OpenAIChatModel(model="m"))
    assert "host='arg.example.org'" in repr(OpenAIChatModel(model="m", base_url="https://arg.example.org/v1"))


def test_no_key_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the remedy, also for servers that need none."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with pytest.raises(BuildError, match=r"pass api_key= or set OPENAI_API_KEY; a server that needs none"):
        OpenAIChatModel(model="m")


@pytest.mark.parametrize("base_url", ["api.openai.com/v1", "ftp://x", "http://"])
def test_an_address_that_is_none_is_an_error_at_once(base_url: str) -> None:
    """The value is named."""
    with pytest.raises(BuildError, match=f"got '{base_url}'"):
        OpenAIChatModel(model="m", api_key=KEY, base_url=base_url)


async def test_a_model_needs_a_name(server: ProviderServer) -> None:
    """Options may change it, but not take it away."""
    async with model_at(server) as model:
        with pytest.raises(InvalidRequestError, match="switch the model's name off"):
            await whole(model, ModelOptions(model=None))


def test_the_key_is_never_shown() -> None:
    """Neither by the model nor by its copies, nor does the address show credentials."""
    model = OpenAIChatModel(model="m", api_key=KEY, base_url="https://user:pass@host.example.org:8000/v1?key=abc")
    shown = repr(model) + repr(copy.copy(model)) + repr(model.with_tools([ToolInfo(name="search")]))

    assert "tools=['search']" in shown
    assert "host='host.example.org:8000'" in shown
    assert not {KEY, "pass@", "abc"} & set(shown.split("'"))
    assert KEY not in shown


def test_it_is_a_chat_model() -> None:
    """A graph takes it wherever it takes a model with tools; a copy leaves the model as it is."""
    model = OpenAIChatModel(model="m", api_key=KEY)
    with_tools = model.with_tools([ToolInfo(name="a")])

    assert isinstance(model, ChatModel)
    assert isinstance(model, ToolCallingChatModel)
    assert "tools" not in repr(model)
    assert "tools=['b']" in repr(with_tools.with_tools([ToolInfo(name="b")]))


def test_importing_it_does_not_import_the_sdk() -> None:
    """The SDK takes half a second; a program that only names the class should not pay for it."""
    program = "import sys, eino.ext.models.openai; print(sorted({'openai', 'httpx2', 'pydantic'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_without_the_sdk_the_extra_is_named() -> None:
    """The import fails with the command to run."""
    program = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'openai' else find(name, *rest)\n"
        "import eino.ext.models.openai"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "MissingExtraError: eino.ext.models.openai needs the library 'openai'" in done.stderr
    assert 'pip install "eino[openai]"' in done.stderr


def test_pauses_of_a_replay_are_on_the_clock() -> None:
    """A stream replayed in virtual time comes at the recorded times."""
    pieces = [b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', b"data: [DONE]\n\n"]
    call = RecordedCall(
        "POST",
        "https://api.openai.com/v1/chat/completions",
        b"",
        200,
        (("content-type", "text/event-stream"),),
        b"".join(pieces),
        ((len(pieces[0]), 5.0), (len(pieces[1]), 60.0)),
    )

    async def main() -> list[float]:
        async with httpx2.AsyncClient(transport=ReplayTransport([call], pace="recorded")) as client:
            model = OpenAIChatModel(model="m", api_key=KEY, http_client=client)
            times = [anyio.current_time() async for _ in model.stream(HI)]
            return [*times, anyio.current_time()]

    assert VirtualClock().run(main, backend="asyncio") == [5.0, 60.0]
    assert VirtualClock().run(main, backend="trio") == [5.0, 60.0]


@BOTH
@pytest.mark.parametrize("size", [1, 7])
async def test_pieces_of_any_size_over_real_sockets(server: ProviderServer, ask: Ask, size: int) -> None:
    """The network may cut an answer anywhere."""
    server.add(Answer("wörld 🎉", ByWord(), cut=ByBytes(size)))

    async with model_at(server) as model:
        assert (await ask(model)).content == "wörld 🎉"
