"""The Gemini chat model over real HTTP: answers, errors, early ends, connections, secrets, Vertex AI."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import httpx
import httpx2
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from pydantic import BaseModel

from eino.components import ChatModel, ModelOptions, ToolCallingChatModel
from eino.errors import (
    AuthenticationError,
    BuildError,
    ComponentError,
    ConnectionFailedError,
    ContentFilterError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StreamBrokenError,
)
from eino.ext.models.gemini import DETAILS, MODEL_VERSION, RESPONSE_ID, GeminiChatModel
from eino.schema import Message, ToolInfo, concat_messages, tool_call, tool_message, user_message
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
KEY = "AIza-not-a-real-key-0123456789"
BLOCKED = b'{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}}'

Ask = Callable[[GeminiChatModel], Any]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine is set up for does not count."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


async def whole(model: GeminiChatModel, options: ModelOptions | None = None) -> Message:
    """Ask for a whole answer."""
    return await model.generate(HI, options or ModelOptions())


async def streamed(model: GeminiChatModel, options: ModelOptions | None = None) -> Message:
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
async def model_at(server: ProviderServer, **settings: Any) -> AsyncIterator[GeminiChatModel]:
    """Give a model that talks to `server`."""
    async with GeminiChatModel(
        **{"model": "gemini-2.5-flash", "api_key": KEY, "base_url": server.gemini_url} | settings
    ) as model:
        yield model


@BOTH
async def test_a_question_is_answered(server: ProviderServer, ask: Ask) -> None:
    """Both ways give the same message, with usage, finish reason, the server's id and the version."""
    server.add("hello  wörld 🎉")

    async with model_at(server) as model:
        message = await ask(model)

    assert message.content == "hello  wörld 🎉"
    assert message.extra[RESPONSE_ID] == "response_1"
    assert message.extra[MODEL_VERSION] == "gemini-2.5-flash"
    assert set(message.extra[DETAILS]) == {"usageMetadata"}
    assert message.response_meta.finish_reason == "STOP"
    assert message.response_meta.usage.total_tokens > 0


@BOTH
async def test_tools_are_offered_called_and_answered(server: ProviderServer, ask: Ask) -> None:
    """Calls come without ids and get some, the same in both ways; the service never sees those."""
    calls = [tool_call("add", {"a": 1}), tool_call("add", {"a": 2})]
    server.add(Answer(calls), "3")

    async with model_at(server) as model:
        with_tools = model.with_tools([ToolInfo(name="add", description="Adds.")])
        asked = await ask(with_tools)
        results = [tool_message(str(place), call.id) for place, call in enumerate(asked.tool_calls)]
        answer = await with_tools.generate([*HI, asked, *results])

    assert [call.id for call in asked.tool_calls] == ["gemini-call-response_1-0", "gemini-call-response_1-1"]
    assert [(call.name, call.arguments) for call in asked.tool_calls] == [("add", '{"a":1}'), ("add", '{"a":2}')]
    assert answer.content == "3"
    first, second = (request.json for request in server.requests)
    assert first["tools"] == [{"functionDeclarations": [{"name": "add", "description": "Adds."}]}]
    assert second["contents"] == [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "add", "args": {"a": value}}} for value in (1, 2)]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "add", "response": {"output": text}}} for text in ("0", "1")],
        },
    ]


async def test_settings_and_options_reach_the_server(server: ProviderServer) -> None:
    """Settings hold for every call, options for one; `None` switches off; extra fields are merged into the request."""
    server.add("a", "b")
    settings = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 10,
        "stop": ["END"],
        "headers": {"x-team": "eino"},
        "extra_fields": {"generationConfig": {"seed": 7}, "safetySettings": []},
    }

    async with model_at(server, **settings) as model:
        await whole(model)
        await whole(model, ModelOptions(model="gemini-2.5-pro", temperature=None, top_p=0.1))

    first, second = server.requests
    assert first.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert second.path == "/v1beta/models/gemini-2.5-pro:generateContent"
    assert first.headers["x-goog-api-key"] == KEY
    assert first.headers["x-team"] == "eino"
    assert first.json == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "maxOutputTokens": 10,
            "stopSequences": ["END"],
            "seed": 7,
        },
        "safetySettings": [],
    }
    assert second.json["generationConfig"] == {
        "topP": 0.1,
        "maxOutputTokens": 10,
        "stopSequences": ["END"],
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        pytest.param({}, "/v1beta/models/m:generateContent", id="usual"),
        pytest.param({"api_version": "v1"}, "/v1/models/m:generateContent", id="another version"),
        pytest.param({"suffix": "/v1alpha"}, "/v1alpha/models/m:generateContent", id="version in the address"),
        pytest.param(
            {"suffix": "/v1/projects/p/locations/l/publishers/google"},
            "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
            id="version within the address",
        ),
        pytest.param({"suffix": "/proxy"}, "/proxy/v1beta/models/m:generateContent", id="below a path"),
        pytest.param({"model": "models/m"}, "/v1beta/models/m:generateContent", id="whole name"),
        pytest.param({"model": "tunedModels/m"}, "/v1beta/tunedModels/m:generateContent", id="tuned model"),
    ],
)
async def test_where_requests_go(server: ProviderServer, settings: dict[str, Any], path: str) -> None:
    server.add("ok")
    settings = {"model": "m", **settings}
    base_url = server.gemini_url + settings.pop("suffix", "")

    async with model_at(server, base_url=base_url, **settings) as model:
        await whole(model)

    assert server.requests[0].path == path


ERRORS = [
    pytest.param(ErrorAnswer(400), InvalidRequestError, id="400"),
    pytest.param(ErrorAnswer(400, "API key not valid. Please pass a valid API key."), AuthenticationError, id="key"),
    pytest.param(ErrorAnswer(401, f"wrong key {KEY}"), AuthenticationError, id="401"),
    pytest.param(ErrorAnswer(403), PermissionDeniedError, id="403"),
    pytest.param(ErrorAnswer(404), InvalidRequestError, id="404"),
    pytest.param(ErrorAnswer(429, retry_after_s=2), RateLimitError, id="429"),
    pytest.param(ErrorAnswer(500), ServerError, id="500"),
    pytest.param(ErrorAnswer(503), OverloadedError, id="503"),
    pytest.param(ErrorAnswer(504), RequestTimeoutError, id="504"),
    pytest.param(RawAnswer(b"<html>bad gateway</html>", status=502, content_type="text/html"), ServerError, id="page"),
    pytest.param(RawAnswer(b"", status=500), ServerError, id="empty"),
    pytest.param(Dropped("close"), ConnectionFailedError, id="closed"),
    pytest.param(Dropped("reset"), ConnectionFailedError, id="reset"),
    pytest.param(RawAnswer(b"<html>moved</html>", content_type="text/html"), InvalidResponseError, id="page with 200"),
    pytest.param(RawAnswer(BLOCKED), ContentFilterError, id="blocked prompt"),
    pytest.param(RawAnswer(b'{"error": {"code": 429, "message": "slow"}}'), RateLimitError, id="error with 200"),
    pytest.param(
        RawAnswer(b"", status=302, headers={"location": "https://elsewhere.test/"}),
        InvalidResponseError,
        id="redirection",
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
    assert "model 'gemini-2.5-flash' at 127.0.0.1:" in str(caught.value)
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_an_answer_without_candidates_is_none(server: ProviderServer) -> None:
    """A whole answer says nothing; a stream has not begun to."""
    server.add(RawAnswer(b'{"candidates": []}'), RawAnswer(b'data: {"candidates": []}\n\n'))

    async with model_at(server) as model:
        with pytest.raises(InvalidResponseError, match="no candidates"):
            await whole(model)
        with pytest.raises(StreamBrokenError, match="without a finish reason"):
            await streamed(model)


BROKEN = [
    pytest.param(Answer("one two three", events=2, ending="close"), "RemoteProtocolError", "one two", id="closed"),
    pytest.param(Answer("one two three", events=2, ending="reset"), "ReadError", "one two", id="reset"),
    pytest.param(Answer("one two three", events=2), "without a finish reason", "one two", id="cut, but ended in order"),
    pytest.param(Answer("one two", insert={1: b"data: {\n\n"}), "an event is no JSON", "one", id="garbage"),
    pytest.param(
        Answer("one two", insert={1: b'data: {"error": {"code": 503, "message": "oops"}}\n\n'}),
        "oops",
        "one",
        id="error",
    ),
]


@pytest.mark.parametrize(("answer", "text", "said"), BROKEN)
async def test_a_stream_that_breaks_off_keeps_what_came(
    server: ProviderServer, answer: Answer, text: str, said: str
) -> None:
    """The chunks were delivered before, and are in the error too, with the tokens that they cost."""
    server.add(answer)
    seen = []

    async with model_at(server) as model:
        with pytest.raises(StreamBrokenError, match=text) as caught:
            async for chunk in model.stream(HI):
                seen.append(chunk.content)  # noqa: PERF401 - what came before the error counts

    assert "".join(seen) == said
    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.content == said
    assert caught.value.partial.response_meta is not None
    assert caught.value.partial.response_meta.usage is not None
    assert caught.value.partial.response_meta.usage.prompt_tokens > 0


async def test_a_server_that_does_not_stream_is_understood(server: ProviderServer) -> None:
    """Its answer is one document."""
    body = b'{"candidates": [{"content": {"parts": [{"text": "whole"}]}, "finishReason": "STOP"}]}'
    server.add(RawAnswer(body))

    async with model_at(server) as model:
        chunks = [chunk async for chunk in model.stream(HI)]

    assert [chunk.content for chunk in chunks] == ["whole"]


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
        url = gone.gemini_url
    async with GeminiChatModel(model="m", api_key=KEY, base_url=url) as model:
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
        pytest.param(
            b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}\n\n',
            StreamBrokenError,
            id="in the middle",
        ),
    ],
)
async def test_silence(body: bytes | None, kind: type[ComponentError]) -> None:
    """A timeout, or a broken stream once the answer has begun."""
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(partial(silent, body))) as client:
        model = GeminiChatModel(model="m", api_key=KEY, http_client=client)
        with pytest.raises(kind):
            await streamed(model)


def test_nothing_happens_before_the_first_pull(server: ProviderServer) -> None:
    """`stream` itself sends nothing and needs no event loop."""
    GeminiChatModel(model="m", api_key=KEY, base_url=server.gemini_url).stream(HI)

    assert server.requests == []


async def test_closing_early_ends_the_request(server: ProviderServer) -> None:
    """The server sees the client go; no generator is left to the event loop."""
    server.add(Answer("one two three four five", cut=ByBytes(400), delay_s=30.0))

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
    server.add(Answer("one two three", cut=ByBytes(400), delay_s=30.0), "again")

    async with model_at(server) as model:
        with anyio.CancelScope() as scope:
            async for _ in model.stream(HI):
                scope.cancel()
        assert await anyio.to_thread.run_sync(server.requests[0].wait_over)
        assert (await streamed(model)).content == "again"

    assert server.requests[0].disconnected


async def test_a_connection_serves_again(server: ProviderServer) -> None:
    """Whole answers and streams share one, one after the other."""
    server.add("a", "b", "c")

    async with model_at(server) as model:
        said = [(await whole(model)).content, (await streamed(model)).content, (await whole(model)).content]

    assert said == ["a", "b", "c"]
    assert server.connections == 1


def test_one_model_serves_many_event_loops() -> None:
    """Each loop has connections of its own, since a connection cannot outlive its loop."""
    answers: list[str] = []

    with ProviderServer(lambda request: "ok") as server:
        model = GeminiChatModel(model="m", api_key=KEY, base_url=server.gemini_url)

        async def ask() -> None:
            async with model:
                answers.append((await whole(model)).content)
                answers.append((await streamed(model)).content)

        for backend in ("asyncio", "trio", "asyncio"):
            anyio.run(ask, backend=backend)

    assert answers == ["ok"] * 6


async def test_a_client_of_the_older_httpx_works(server: ProviderServer) -> None:
    """Programs that are built on httpx can bring their client; its owner closes it."""
    server.add("a", "b", Dropped("close"))

    async with httpx.AsyncClient() as client:
        async with model_at(server, http_client=client) as model:
            assert (await whole(model)).content == "a"
            assert (await streamed(model)).content == "b"
            with pytest.raises(ConnectionFailedError):
                await whole(model)
        assert not client.is_closed


class City(BaseModel):
    name: str
    people: int


async def test_values_of_a_type(server: ProviderServer) -> None:
    """The server is told the schema; what does not validate goes back once."""
    server.add('{"name": "Paris"}', '{"name": "Paris", "people": 2}')

    async with model_at(server) as model:
        city = await model.with_structured_output(City).invoke(HI)

    assert city == City(name="Paris", people=2)
    settings = server.requests[0].json["generationConfig"]
    assert settings["responseMimeType"] == "application/json"
    assert settings["responseJsonSchema"]["required"] == ["name", "people"]
    assert [content["role"] for content in server.requests[1].json["contents"]] == ["user", "model", "user"]


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT"])
async def test_a_value_that_a_filter_stopped(server: ProviderServer, reason: str) -> None:
    """The answer itself is one, whose finish reason says why; there is no value in it."""
    body = b'{"candidates": [{"finishReason": "%s", "safetyRatings": []}]}' % reason.encode()
    server.add(RawAnswer(body), RawAnswer(body))

    async with model_at(server) as model:
        answer = await whole(model)
        with pytest.raises(ContentFilterError):
            await model.with_structured_output(City).invoke(HI)

    assert answer.response_meta is not None
    assert answer.response_meta.finish_reason == reason


@pytest.mark.parametrize("name", ["", "../evil", "m?key=1", "m#x", "a b"])
async def test_a_model_needs_a_name(server: ProviderServer, name: str) -> None:
    """It becomes a part of the address."""
    async with model_at(server) as model:
        with pytest.raises(InvalidRequestError, match="name"):
            await whole(model, ModelOptions(model=name))


@pytest.mark.parametrize("name", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
async def test_the_key_may_come_from_the_environment(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "from-the-environment")
    server.add("ok")

    async with model_at(server, api_key=None) as model:
        await whole(model)

    assert server.requests[0].headers["x-goog-api-key"] == "from-the-environment"


def test_no_key_is_an_error_at_once() -> None:
    """Not at the first request; nor one that no header can hold."""
    with pytest.raises(BuildError, match="characters that no header can hold"):
        GeminiChatModel(model="m", api_key="schlüssel")
    with pytest.raises(BuildError, match="pass api_key= or set GEMINI_API_KEY"):
        GeminiChatModel(model="m")


@pytest.mark.parametrize(
    "base_url", ["localhost:8000", "ftp://host", "https://", "/v1beta", "http://h:99999", "http://["]
)
def test_an_address_that_is_none_is_an_error_at_once(base_url: str) -> None:
    with pytest.raises(BuildError, match="base_url must be an address"):
        GeminiChatModel(model="m", api_key=KEY, base_url=base_url)


def test_the_key_is_never_shown() -> None:
    """Neither by the model nor by its copies, nor does the address show credentials."""
    model = GeminiChatModel(model="m", api_key=KEY, base_url="https://user:pass@host.example.org:8000")
    shown = repr(model) + repr(copy.copy(model)) + repr(model.with_tools([ToolInfo(name="search")]))

    assert "tools=['search']" in shown
    assert "host='host.example.org:8000'" in shown
    assert "pass@" not in shown
    assert KEY not in shown


def test_it_is_a_chat_model() -> None:
    """A graph takes it wherever it takes a model with tools; a copy leaves the model as it is."""
    model = GeminiChatModel(model="m", api_key=KEY)
    with_tools = model.with_tools([ToolInfo(name="a")])

    assert isinstance(model, ChatModel)
    assert isinstance(model, ToolCallingChatModel)
    assert "tools" not in repr(model)
    assert "tools=['b']" in repr(with_tools.with_tools([ToolInfo(name="b")]))


async def test_vertex_ai_with_a_key(server: ProviderServer) -> None:
    """The address is the project's (here: none, the key has one), the key travels as ever."""
    server.add("a", "b")

    async with model_at(server, vertexai=True, model="gemini-2.5-flash") as model:
        await whole(model)
        await whole(model, ModelOptions(model="meta/llama"))

    assert [request.path for request in server.requests] == [
        "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent",
        "/v1beta1/publishers/meta/models/llama:generateContent",
    ]
    assert server.requests[0].headers["x-goog-api-key"] == KEY


class Failing(Credentials):
    """Credentials that cannot be renewed."""

    def refresh(self, request: Any) -> None:
        raise RefreshError("the account is gone")  # type: ignore[no-untyped-call]


@BOTH
async def test_vertex_ai_with_credentials(server: ProviderServer, ask: Ask) -> None:
    """A token goes in place of the key, on asyncio and on trio; one that cannot be had is an authentication error."""
    server.add("a")
    settings = {"vertexai": True, "api_key": None, "project": "p", "location": "europe-west1"}

    async with model_at(server, **settings, credentials=Credentials("a-token")) as model:  # type: ignore[no-untyped-call]
        assert (await ask(model)).content == "a"
        named = "projects/p/locations/europe-west1/publishers/google/models/gemini-2.5-flash"
        assert server.requests[0].path.startswith(f"/v1beta1/{named}:")
        assert server.requests[0].headers["authorization"] == "Bearer a-token"
    async with model_at(server, **settings, credentials=Failing(None)) as model:  # type: ignore[no-untyped-call]
        with pytest.raises(AuthenticationError, match="no token for Vertex AI: the account is gone"):
            await ask(model)


def test_importing_it_does_not_import_the_sdk() -> None:
    """The SDK takes a second; a program that only names the class should not pay for it."""
    program = (
        "import sys, eino.ext.models.gemini;"
        "print(sorted({'google.genai', 'google.auth', 'httpx2', 'pydantic'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("missing", ["google", "google.genai"])
def test_without_the_sdk_the_extra_is_named(missing: str) -> None:
    """The import fails with the command to run."""
    program = (
        "import importlib.util as u; find = u.find_spec\n"
        f"u.find_spec = lambda name, *rest: None if name == {missing!r} else find(name, *rest)\n"
        "import eino.ext.models.gemini"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "MissingExtraError: eino.ext.models.gemini needs the library 'google-genai'" in done.stderr
    assert 'pip install "eino[gemini]"' in done.stderr


def test_pauses_of_a_replay_are_on_the_clock() -> None:
    """A stream replayed in virtual time comes at the recorded times."""
    pieces = [
        b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}\r\n\r\n',
        b'data: {"candidates": [{"finishReason": "STOP"}]}\r\n\r\n',
    ]
    call = RecordedCall(
        "POST",
        "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse",
        b"",
        200,
        (("content-type", "text/event-stream"),),
        b"".join(pieces),
        ((len(pieces[0]), 5.0), (len(pieces[1]), 60.0)),
    )

    async def main() -> list[float]:
        async with httpx2.AsyncClient(transport=ReplayTransport([call], pace="recorded")) as client:
            model = GeminiChatModel(model="m", api_key=KEY, http_client=client)
            return [anyio.current_time() async for _ in model.stream(HI)]

    assert VirtualClock().run(main, backend="asyncio") == [5.0, 60.0]
    assert VirtualClock().run(main, backend="trio") == [5.0, 60.0]


@BOTH
@pytest.mark.parametrize("size", [1, 7])
async def test_pieces_of_any_size_over_real_sockets(server: ProviderServer, ask: Ask, size: int) -> None:
    """The network may cut an answer anywhere."""
    server.add(Answer("wörld 🎉", ByWord(), cut=ByBytes(size)))

    async with model_at(server) as model:
        assert (await ask(model)).content == "wörld 🎉"
