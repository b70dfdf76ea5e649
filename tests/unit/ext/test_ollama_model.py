"""The Ollama chat model: requests, calls, broken streams, bad answers."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from eino.components import ModelOptions
from eino.errors import (
    AuthenticationError,
    BuildError,
    ConnectionFailedError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StreamBrokenError,
)
from eino.ext.embeddings.ollama import OllamaEmbedder
from eino.ext.models import _ollama_wire
from eino.ext.models.ollama import OllamaChatModel
from eino.schema import (
    ChatMessagePart,
    ImageMedia,
    ImagePart,
    LogProb,
    LogProbs,
    Message,
    ToolInfo,
    TopLogProb,
    assistant_message,
    concat_messages,
    tool_call,
    tool_message,
    user_message,
)

END = {"message": {"content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


class Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes, size: int | None, error: Exception | None) -> None:
        self._body, self._size, self._error = body, size, error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        dice, at = random.Random(4), 0
        while at < len(self._body):
            size = self._size or dice.randint(1, 40)
            yield self._body[at : at + size]
            at += size
        if self._error is not None:
            raise self._error


def model(
    body: bytes,
    size: int | None = 7,
    *,
    status: int = 200,
    error: Exception | None = None,
    seen: list[Any] | None = None,
    headers: dict[str, str] | None = None,
) -> OllamaChatModel:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(json.loads(request.content))
        return httpx.Response(status, headers=headers, stream=Body(body, size, error))

    return OllamaChatModel(model="m", base_url="http://ollama.test:11434", transport=httpx.MockTransport(answer))


def lines(*payloads: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(item, ensure_ascii=False).encode() + b"\n" for item in payloads)


async def whole(asked: OllamaChatModel, options: ModelOptions | None = None) -> Message:
    async with asked:
        return concat_messages([c async for c in asked.stream([user_message("hi")], options or ModelOptions())])


async def test_calls_thinking_and_a_text_with_a_unicode_line_end() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    body = lines(
        {"message": {"thinking": "hm"}},
        {"message": {"content": "a\x85b", "tool_calls": [call]}},
        {"message": {"tool_calls": [{**call, "id": "x"}]}},
        END,
    )
    answer = await whole(model(body, 1))

    assert (answer.content, answer.reasoning_content) == ("a\x85b", "hm")
    assert [(c.id, c.name, c.arguments) for c in answer.tool_calls] == [("", "f", '{"a":1}'), ("x", "f", '{"a":1}')]


async def test_what_is_sent() -> None:
    seen: list[Any] = []
    asked = model(json.dumps(END | {"message": {"content": "yes"}}).encode(), seen=seen)
    asked = asked.with_tools([ToolInfo(name="f"), ToolInfo(name="g")])
    history = [
        user_message("hi"),
        Message(role="assistant", content="", tool_calls=(tool_call("f", {"a": 1}, id="x"),)),
    ]
    async with asked:
        answer = await asked.generate(
            history,
            ModelOptions(max_tokens=5, stop=["x"], allowed_tools=["g"], response_format={"type": "json_object"}),
        )

    assert answer.content == "yes"
    (body,) = seen
    assert body["options"] == {"num_predict": 5, "stop": ["x"]}
    assert body["format"] == "json"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert body["messages"][1]["tool_calls"] == [{"function": {"name": "f", "arguments": {"a": 1}}, "id": "x"}]


async def test_a_forced_call_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="cannot force"):
        await whole(model(b"").with_tools([ToolInfo(name="f")]), ModelOptions(tool_choice="forced"))


@pytest.mark.parametrize(
    "rest",
    [b"", b"{broken\n", b'{"mess', b'{"a": "\xff"}\n', lines({"error": "out of memory"})],
    ids=["no end", "no JSON", "cut", "no UTF-8", "error"],
)
async def test_a_broken_stream_keeps_what_came(rest: bytes) -> None:
    with pytest.raises(StreamBrokenError) as caught:
        await whole(model(lines({"message": {"content": "abc"}}) + rest))
    assert caught.value.partial is not None
    assert caught.value.partial.content == "abc"  # type: ignore[attr-defined]


async def test_a_dropped_connection_keeps_what_came() -> None:
    with pytest.raises(StreamBrokenError) as caught:
        await whole(model(lines({"message": {"content": "abc"}}), error=httpx.ReadError("gone")))
    assert caught.value.partial is not None


async def test_a_connection_that_drops_before_the_answer_is_a_failed_one() -> None:
    """There is nothing to keep."""
    with pytest.raises(ConnectionFailedError):
        await whole(model(b"\n", error=httpx.ReadError("gone")))
    with pytest.raises(RequestTimeoutError):
        await whole(model(b"\n", error=httpx.ReadTimeout("silent")))


async def test_a_page_instead_of_an_answer() -> None:
    with pytest.raises(InvalidResponseError):
        await whole(model(b"<html>login</html>"))
    with pytest.raises(InvalidResponseError):
        await model(b"<html>login</html>").generate([user_message("hi")])


async def test_a_line_of_ten_megabytes() -> None:
    answer = await whole(model(lines({"message": {"content": "x" * 10_000_000}}, END), 65536))
    assert len(answer.content) == 10_000_000


STATUSES = [
    (400, InvalidRequestError),
    (401, AuthenticationError),
    (403, PermissionDeniedError),
    (404, InvalidRequestError),
    (429, RateLimitError),
    (500, ServerError),
    (503, OverloadedError),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
async def test_statuses(status: int, kind: type[Exception]) -> None:
    """Both ways, from the server itself or from a gateway in front of it."""
    with pytest.raises(kind, match="no such") as caught:
        await whole(model(b'{"error": "no such"}', status=status))
    with pytest.raises(kind, match="no such"):
        await model(b"no such", status=status).generate([user_message("hi")])
    assert type(caught.value) is kind


async def test_a_key_that_is_not_accepted_names_ollamas_own_remedy() -> None:
    with pytest.raises(AuthenticationError, match="OLLAMA_API_KEY") as caught:
        await whole(model(b'{"error": "unauthorized"}', status=401))
    assert "OPENAI" not in str(caught.value)


async def test_a_gateway_says_how_long_to_wait() -> None:
    with pytest.raises(RateLimitError) as caught:
        await whole(model(b"{}", status=429, headers={"retry-after": "3"}))
    assert caught.value.retry_after_s == 3.0


async def test_images_go_as_data() -> None:
    """With the text of their message; an address is refused, since the server fetches nothing."""
    seen: list[Any] = []
    image = ImagePart(image=ImageMedia(base64_data="aW1n", mime_type="image/png"))
    asked = model(json.dumps(END).encode(), seen=seen)

    await asked.generate([user_message(["What ", image, "is this?"])])
    with pytest.raises(InvalidRequestError, match="images as base64_data"):
        await asked.generate([user_message([ImagePart(image=ImageMedia(url="https://x.test/a.png"))])])

    assert seen[0]["messages"] == [{"role": "user", "content": "What is this?", "images": ["aW1n"]}]


class City(BaseModel):
    name: str


async def test_values_of_a_type() -> None:
    """The server is told the schema; whole calls have no index."""
    seen: list[Any] = []
    asked = model(json.dumps(END | {"message": {"content": '{"name": "Paris"}'}}).encode(), seen=seen)

    assert await asked.with_structured_output(City).invoke([user_message("hi")]) == City(name="Paris")
    assert seen[0]["format"]["required"] == ["name"]


@pytest.mark.parametrize("address", ["ftp://x", "http://", "http://a b", "[::1", "h:port", "http://x:99999"])
def test_an_address_that_is_none_is_an_error_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildError, match="base_url must be an address"):
        OllamaChatModel(model="m", base_url=address)
    monkeypatch.setenv("OLLAMA_HOST", address)
    with pytest.raises(BuildError, match="base_url must be an address"):
        OllamaEmbedder(model="m")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:secret@host:1/path", "host:1"),
        ("0.0.0.0", "0.0.0.0"),
        (":56789", ":56789"),
        ("https://[::1]:4", "[::1]:4"),
    ],
)
def test_the_address_is_shown_without_credentials(address: str, shown: str) -> None:
    assert f"host='{shown}'" in repr(OllamaChatModel(model="m", base_url=address))
    assert f"host='{shown}'" in repr(OllamaEmbedder(model="m", base_url=address))


@pytest.mark.parametrize(
    ("raised", "kind"),
    [(httpx.ConnectError("no"), ConnectionFailedError), (httpx.ReadTimeout("t"), RequestTimeoutError)],
)
async def test_no_server(raised: Exception, kind: type[Exception]) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise raised

    asked = OllamaChatModel(model="m", transport=httpx.MockTransport(refuse))
    with pytest.raises(kind):
        await whole(asked)
    with pytest.raises(kind):
        await asked.generate([user_message("hi")])


REFUSED = [
    pytest.param([], {"extra_fields": {"stream": True}}, "must not hold 'stream'", id="field of the call"),
    pytest.param([], {"allowed_tools": ["h"]}, "allowed_tools names 'h'", id="unknown tool"),
    pytest.param([Message(role="", content="a")], {}, "message 0 has the role ''", id="no role"),
    pytest.param(
        [Message(role="user", content="", multi_content=(ChatMessagePart(text="a"),))], {}, "multi_content", id="old"
    ),
    pytest.param(
        [assistant_message("", [tool_call("f", "{")])], {}, "arguments that are no JSON: '{'", id="broken arguments"
    ),
]


@pytest.mark.parametrize(("messages", "options", "words"), REFUSED)
async def test_what_cannot_be_sent_is_refused(messages: list[Message], options: dict[str, Any], words: str) -> None:
    asked = model(b"").with_tools([ToolInfo(name="f")])

    with pytest.raises(InvalidRequestError, match=words):
        await asked.generate(messages, ModelOptions(**options))
    with pytest.raises(InvalidRequestError, match="the model's name"):
        await asked.generate(messages, ModelOptions(model=None))


async def test_tools_results_thoughts_and_forms() -> None:
    """What was thought goes back; a forbidden call means that nothing is offered."""
    seen: list[Any] = []
    asked = model(json.dumps(END).encode(), seen=seen).with_tools([ToolInfo(name="f")])
    schema: dict[str, Any] = {"type": "object"}
    forms: list[dict[str, Any]] = [{"type": "json_schema", "json_schema": {"schema": schema}}, schema]
    thought = assistant_message("a", reasoning_content="hm")

    for form in forms:
        await asked.generate(
            [thought, tool_message("b", "x", tool_name="f")],
            ModelOptions(response_format=form, tool_choice="forbidden", extra_fields={"options": {"num_ctx": 1}}),
        )

    assert [body["format"] for body in seen] == [schema, schema]
    assert seen[0]["messages"] == [
        {"role": "assistant", "content": "a", "thinking": "hm"},
        {"role": "tool", "content": "b", "tool_name": "f", "tool_call_id": "x"},
    ]
    assert seen[0]["options"] == {"num_ctx": 1}
    assert "tools" not in seen[0]


async def test_an_error_in_a_successful_response() -> None:
    """Before the answer it is that error."""
    body = b'{"error": {"message": "busy", "code": 503}}\n'

    with pytest.raises(OverloadedError, match="busy"):
        await whole(model(body))
    with pytest.raises(OverloadedError, match="busy"):
        await model(body).generate([user_message("hi")])
    with pytest.raises(InvalidResponseError, match="utf-8"):
        await model(b'{"message": "\xff"}').generate([user_message("hi")])
    with pytest.raises(ServerError):
        await model(b'{"error": "\xff"}', status=500).generate([user_message("hi")])
    with pytest.raises(InvalidResponseError, match="it has no message"):
        await model(b"[]").generate([user_message("hi")])


async def test_odd_lines_are_skipped_and_odd_fields_count_as_absent() -> None:
    odd = {"message": {"content": 7, "tool_calls": [3, {"function": 4}]}}

    answer = await whole(model(b"[1]\n\n" + lines(odd, {"message": 5}, END | {"eval_count": "x"}, {"late": 1})))

    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("", "{}")]
    assert answer.response_meta is not None
    assert answer.response_meta.usage is not None
    assert answer.response_meta.usage.completion_tokens == 0


LIKELY: dict[str, Any] = {
    "token": "a",
    "logprob": -0.5,
    "bytes": [97],
    "top_logprobs": [{"token": "b", "logprob": -1.5}],
}
SURE = {"token": "c", "logprob": 0}
LOGPROBS = (
    LogProb(token="a", logprob=-0.5, bytes=(97,), top_logprobs=(TopLogProb(token="b", logprob=-1.5),)),
    LogProb(token="c", logprob=0.0),
)


async def test_log_probabilities_are_strung_together() -> None:
    """They come in the line of their text; in a whole answer all at once."""
    seen: list[Any] = []
    wanted = ModelOptions(extra_fields={"logprobs": True, "top_logprobs": 1})
    told = [{"message": {"content": "a"}, "logprobs": [LIKELY]}, {"message": {"content": "c"}, "logprobs": [SURE]}]

    streamed = await whole(model(lines(*told, END), seen=seen), wanted)
    at_once = await model(json.dumps(END | {"logprobs": [LIKELY, SURE]}).encode()).generate(
        [user_message("hi")], wanted
    )

    assert (seen[0]["logprobs"], seen[0]["top_logprobs"]) == (True, 1)
    for answer in (streamed, at_once):
        assert answer.response_meta is not None
        assert answer.response_meta.logprobs == LogProbs(content=LOGPROBS)
        assert answer.response_meta.finish_reason == "stop"
    with pytest.raises(StreamBrokenError) as caught:
        await whole(model(lines(told[0])))
    assert isinstance(caught.value.partial, Message)


NOISE = [
    pytest.param({"logprobs": {"a": 1}}, id="no list of log probabilities"),
    pytest.param({"status": "loading model"}, id="unknown kind"),
    pytest.param({"message": {}}, id="empty message"),
    pytest.param({"message": None, "eval_count": 99}, id="counts before the end"),
    pytest.param({"message": {"content": "", "novelty": [1]}}, id="unknown field"),
]


@pytest.mark.parametrize("noise", NOISE)
async def test_lines_that_carry_nothing_are_left_out(noise: dict[str, Any]) -> None:
    """Wherever they stand; they neither begin an answer nor count."""
    said = [{"message": {"content": text}} for text in ("a", "b")]
    async with model(lines(noise, said[0], noise, said[1], noise, END, noise)) as asked:
        chunks = [chunk async for chunk in asked.stream([user_message("hi")])]

    assert [chunk.content for chunk in chunks] == ["a", "b", ""]
    assert chunks[2].response_meta is not None
    assert chunks[2].response_meta.usage is not None
    assert chunks[2].response_meta.usage.completion_tokens == 2
    with pytest.raises(StreamBrokenError, match="before a line with done"):
        await whole(model(lines(noise)))


async def test_the_first_end_counts() -> None:
    """What comes behind it, such as usage told twice, is not read."""
    again = END | {"eval_count": 50, "message": {"content": "late"}}

    answer = await whole(model(lines({"message": {"content": "a"}}, END, again) + b"{broken"))

    assert answer.content == "a"
    assert answer.response_meta is not None
    assert answer.response_meta.usage is not None
    assert answer.response_meta.usage.completion_tokens == 2


async def test_calls_are_whole_and_keep_their_order_whatever_index_they_tell() -> None:
    """The protocol has no pieces of calls, so two with one index are two calls."""
    told = [
        {"message": {"tool_calls": [{"function": {"index": index, "name": name, "arguments": {}}}]}}
        for index, name in ((1, "f"), (0, "g"), (0, "h"))
    ]

    answer = await whole(model(lines(*told, END)))

    assert [(call.index, call.id, call.name) for call in answer.tool_calls] == [
        (0, "", "f"),
        (1, "", "g"),
        (2, "", "h"),
    ]


async def test_an_endless_line_breaks_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it exhausts memory."""
    monkeypatch.setattr(_ollama_wire, "MAX_LINE_BYTES", 100)

    with pytest.raises(StreamBrokenError, match="a line is longer than 100 bytes"):
        await whole(model(b'{"message": "' + b"x" * 200))


async def test_it_is_asked_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`OLLAMA_HOST` names the server, as for the library."""
    monkeypatch.setenv("OLLAMA_HOST", "elsewhere:99")

    assert "host='elsewhere:99'" in repr(OllamaChatModel(model="m"))
