"""The bytes of streamed answers as messages: every odd server, and every way to break off."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from eino.errors import (
    ComponentError,
    InvalidRequestError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
    StreamBrokenError,
)
from eino.ext.models._openai_stream import StreamDecoder
from eino.ext.models._service_errors import Place
from eino.ext.models._sse import SSEParser
from eino.ext.models.openai import ANNOTATIONS, REASONING_DETAILS, REFUSAL, REQUEST_ID
from eino.schema import AudioPart, Media, Message, ToolCall, concat_messages, token_usage, tool_call

PLACE = Place("m", "api.example.org")
DONE = b"data: [DONE]\n\n"


def event(payload: Any) -> bytes:
    """Return an event with a payload."""
    return f"data: {json.dumps(payload)}\n\n".encode()


def delta(*, finish: str | None = None, choice: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """Return an event with one delta."""
    return event({"id": "r1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish} | (choice or {})]})


STOP = delta(finish="stop")


def calls(*pieces: dict[str, Any]) -> bytes:
    """Return an event with pieces of tool calls."""
    return delta(tool_calls=list(pieces))


def piece(
    index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: str = ""
) -> dict[str, Any]:
    """Return a piece of a tool call; what is None is left out."""
    function = {"arguments": arguments} | ({} if name is None else {"name": name})
    named = {"index": index, "id": call_id}
    return {key: value for key, value in named.items() if value is not None} | {"function": function}


def decoded(*body: bytes, content_type: str = "text/event-stream") -> list[Message]:
    """Return the chunks of a stream that ends in the regular way, fed whole and byte by byte."""
    whole = b"".join(body)
    runs = []
    for pieces in ([whole], [whole[place : place + 1] for place in range(len(whole))]):
        decoder = StreamDecoder(PLACE, content_type)
        runs.append([message for part in pieces for message in decoder.feed(part)] + list(decoder.end()))
    assert runs[0] == runs[1]
    return runs[0]


def test_a_plain_stream() -> None:
    """Empty deltas are left out; the id comes once; usage may come behind the finish reason."""
    usage = event({"id": "r1", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})

    chunks = decoded(delta(role="assistant", content=""), delta(content="he"), delta(content="y"), STOP, usage, DONE)

    assert [chunk.content for chunk in chunks] == ["he", "y", "", ""]
    whole = concat_messages(chunks)
    assert whole.role == "assistant"
    assert whole.extra == {REQUEST_ID: "r1"}
    assert whole.response_meta is not None
    assert (whole.response_meta.finish_reason, whole.response_meta.usage) == ("stop", token_usage(1, 2))


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b": keep-alive\n\n", id="comment"),
        pytest.param(b"event: ping\ndata: {}\n\n", id="unknown event"),
        pytest.param(b"data: null\n\ndata: 7\n\ndata: []\n\n", id="no object"),
        pytest.param(b"data:\n\n", id="empty data"),
        pytest.param(event({"choices": []}), id="no choice"),
        pytest.param(event({"choices": None, "error": None}), id="nulls"),
        pytest.param(event({"choices": [{"index": 0}]}), id="no delta"),
        pytest.param(event({"choices": [{"index": 0, "delta": None}]}), id="delta is null"),
        pytest.param(event({"choices": [{"index": 1, "delta": {"content": "other"}}]}), id="another choice"),
        pytest.param(event({"choices": [], "prompt_filter_results": [{"x": 1}]}), id="content filter results"),
        pytest.param(delta(content=None, tool_calls=None, role=None), id="a delta of nulls"),
        pytest.param(delta(tool_calls=[None, 3], content=7), id="wrong types"),
    ],
)
def test_what_carries_nothing_is_left_out(noise: bytes) -> None:
    """Anywhere in the stream."""
    chunks = decoded(noise, delta(content="a"), noise, delta(content="b"), noise, STOP, noise, DONE)

    assert [chunk.content for chunk in chunks] == ["a", "b", ""]


def test_repeated_usage_counts_once() -> None:
    """Servers that send running totals: the highest counts."""
    totals = [event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": n}}) for n in (1, 2, 2)]

    meta = concat_messages(decoded(delta(content="a"), *totals, STOP, DONE)).response_meta

    assert meta is not None
    assert meta.usage == token_usage(5, 2)


def test_reasoning_refusal_logprobs_and_sources() -> None:
    """Everything that a delta can carry arrives."""
    logprobs = {"logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}}
    whole = concat_messages(
        decoded(
            delta(reasoning="think", reasoning_details=[{"text": "think"}]),
            delta(content="a", choice=logprobs),
            delta(choice=logprobs),
            delta(refusal="I "),
            delta(refusal="won't", annotations=[{"url": 1}]),
            delta(annotations=[{"url": 2}]),
            STOP,
            DONE,
        )
    )

    assert whole.reasoning_content == "think"
    assert whole.extra == {
        REQUEST_ID: "r1",
        REFUSAL: "I won't",
        ANNOTATIONS: [{"url": 1}, {"url": 2}],
        REASONING_DETAILS: [{"text": "think"}],
    }
    assert whole.response_meta is not None
    assert whole.response_meta.logprobs is not None
    assert [entry.token for entry in whole.response_meta.logprobs.content] == ["a", "a"]


def test_audio_in_pieces() -> None:
    """Data and transcript are joined, the id is not."""
    whole = concat_messages(
        decoded(
            delta(audio={"id": "audio_1", "transcript": "he", "data": "QUJD"}),
            delta(audio={"id": "audio_1", "transcript": "y", "data": "REVG"}),
            STOP,
            DONE,
        )
    )

    part = AudioPart(audio=Media(base64_data="QUJDREVG"), extra={"id": "audio_1", "transcript": "hey"})
    assert whole.assistant_parts == (part,)


def test_a_whole_message_where_a_delta_belongs() -> None:
    """Some servers do."""
    body = event({"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]})

    assert concat_messages(decoded(body)).content == "whole"


ONE = tool_call("f", '{"a":1}', id="c1", index=0)
TWO = tool_call("g", '{"b":2}', id="c2", index=1)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            [
                calls(piece(0, "c1", "f")),
                calls(piece(0, arguments='{"a"')),
                calls(piece(0, arguments=":1}")),
                calls(piece(1, "c2", "g")),
                calls(piece(1, arguments='{"b":2}')),
            ],
            [ONE, TWO],
            id="OpenAI: one after the other",
        ),
        pytest.param(
            [
                calls(piece(1, "c2", "g", '{"b"'), piece(0, "c1", "f", '{"a"')),
                calls(piece(0, arguments=":1}"), piece(1, arguments=":2}")),
            ],
            [ONE, TWO],
            id="interleaved, the second first",
        ),
        pytest.param(
            [calls(piece(0, "c1", "f", '{"a"')), calls(piece(0, "", "", ":1}"))], [ONE], id="Qwen: empty id and name"
        ),
        pytest.param(
            [calls(piece(0, "c1", "f", '{"a"')), calls(piece(0, "c1", "f", ":1}"))], [ONE], id="id and name repeated"
        ),
        pytest.param(
            [calls(piece(0, "c1", "f", '{"a":1}'), piece(0, "c2", "g", '{"b":2}'))], [ONE, TWO], id="all at index 0"
        ),
        pytest.param(
            [calls(piece(None, "c1", "f", '{"a":1}')), calls(piece(None, "c2", "g", '{"b":2}'))],
            [ONE, TWO],
            id="no index",
        ),
        pytest.param(
            [
                calls(piece(None, "c1", "f", '{"a"')),
                calls(piece(None, arguments=":1}")),
                calls(piece(None, "c2", "g", '{"b":2}')),
            ],
            [ONE, TWO],
            id="no index, in pieces",
        ),
        pytest.param([calls(piece(-1, "c1", "f", '{"a":1}'))], [ONE], id="an index that makes no sense"),
        pytest.param(
            [calls(piece(0, None, "f", '{"a"')), calls(piece(0, arguments=":1}"))],
            [ONE.replace(id="")],
            id="no id at all",
        ),
        pytest.param(
            [calls(piece(0, None, "f", '{"a":1}')), calls(piece(0, None, "f", '{"a":1}'))],
            [ONE.replace(id=""), ONE.replace(id="", index=1)],
            id="no id, the same call twice at index 0",
        ),
        pytest.param(
            [calls(piece(None, None, "f", '{"a":1}'), piece(None, None, "f", '{"a":1}'))],
            [ONE.replace(id=""), ONE.replace(id="", index=1)],
            id="neither id nor index, the same call twice",
        ),
        pytest.param(
            [calls(piece(0, None, "f", '{"a"')), calls(piece(0, None, "f", ":1}")), calls(piece(0, None, "f"))],
            [ONE.replace(id="")],
            id="no id, the name repeated",
        ),
        pytest.param([calls(piece(3, "c1", "f", '{"a":1}'))], [ONE.replace(index=3)], id="an index that starts late"),
        pytest.param(
            [delta(function_call={"name": "f", "arguments": '{"a"'}), delta(function_call={"arguments": ":1}"})],
            [ONE.replace(id="")],
            id="before there were tools",
        ),
        pytest.param(
            [calls({"index": 0, "id": "c1", "function": {"name": "f", "arguments": {"a": 1}}})], [ONE], id="object"
        ),
        pytest.param([calls({"index": 0, "id": "c1"})], [tool_call("", id="c1", index=0)], id="no function"),
    ],
)
def test_tool_calls_of_every_server(events: Sequence[bytes], expected: Sequence[ToolCall]) -> None:
    """Pieces find their call; none is lost, none is joined with another one's."""
    whole = concat_messages(decoded(*events, delta(finish="tool_calls"), DONE))

    assert list(whole.tool_calls) == list(expected)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param([STOP, DONE], id="both"),
        pytest.param([STOP], id="no [DONE]"),
        pytest.param([DONE], id="no finish reason"),
        pytest.param([STOP, b"data: [DONE]"], id="[DONE] without the empty line"),
        pytest.param([STOP.rstrip()], id="finish reason without the empty line"),
        pytest.param([STOP, DONE, delta(content="late"), b"data: {"], id="more behind [DONE]"),
    ],
)
def test_what_makes_an_answer_whole(end: list[bytes]) -> None:
    """The server says so, or the model does."""
    assert concat_messages(decoded(delta(content="a"), *end)).content == "a"


@pytest.mark.parametrize(
    ("body", "text", "partial"),
    [
        pytest.param([delta(content="a")], "ended before the model had finished", "a", id="no end"),
        pytest.param([delta(content="a"), b'data: {"cho'], "in the middle of an event", "a", id="cut in an event"),
        pytest.param([delta(content="a"), STOP, b'data: {"us'], "in the middle of an event", "a", id="usage cut off"),
        pytest.param([delta(content="a"), b"data: {]\n\n", STOP], "an event is no JSON", "a", id="garbage"),
        pytest.param([b"data: {]\n\n"], "an event is no JSON .*: '{]'", None, id="garbage first"),
        pytest.param([], "ended before the first event", None, id="nothing"),
        pytest.param([b": comment\n\n"], "ended before the first event", None, id="comments only"),
        pytest.param([event({"choices": []})], "ended before the model", None, id="nothing said"),
    ],
)
def test_what_breaks_an_answer(body: list[bytes], text: str, partial: str | None) -> None:
    """Truncation is never taken for an end, and what had arrived is kept."""
    with pytest.raises(StreamBrokenError, match=text) as caught:
        decoded(*body)

    assert caught.value.retryable
    assert (caught.value.partial.content if isinstance(caught.value.partial, Message) else None) == partial


def test_an_error_in_the_middle_keeps_what_came() -> None:
    """Also what the event with the error carries; whether to retry is the error's business."""
    report = {"error": {"code": 400, "message": "Token limit"}, "usage": {"prompt_tokens": 1, "completion_tokens": 2}}

    with pytest.raises(StreamBrokenError, match=r"HTTP 400.*Token limit") as caught:
        decoded(delta(content="a"), event(report | {"choices": [{"delta": {"content": "b"}}]}), DONE)

    partial = caught.value.partial
    assert isinstance(partial, Message)
    assert partial.content == "ab"
    assert partial.response_meta is not None
    assert partial.response_meta.usage == token_usage(1, 2)
    assert isinstance(caught.value.__cause__, InvalidRequestError)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(event({"error": {"code": 429, "message": "slow"}}), RateLimitError, id="OpenRouter"),
        pytest.param(event({"error": {"type": "server_error", "message": "oops"}}), ServerError, id="OpenAI"),
        pytest.param(b'event: error\ndata: {"message": "oops"}\n\n', ServerError, id="error event"),
        pytest.param(event({"choices": [{"index": 0, "error": {"code": 502}}]}), ServerError, id="in the choice"),
        pytest.param(event({"error": "oops"}), ServerError, id="text"),
    ],
)
def test_an_error_before_the_answer_is_that_error(body: bytes, kind: type[ComponentError]) -> None:
    """Nothing broke off, so the class says what happened."""
    with pytest.raises(kind):
        decoded(body, DONE)


def test_an_error_in_the_last_event_needs_no_empty_line() -> None:
    """The report is whole although the line behind it is missing."""
    with pytest.raises(StreamBrokenError, match="oops") as caught:
        decoded(delta(content="a"), event({"error": {"message": "oops"}}).rstrip())

    assert isinstance(caught.value.__cause__, ServerError)


def test_chunks_that_contradict_each_other_do_not_hide_the_break() -> None:
    """The partial answer then lacks what does not fit."""
    decoder = StreamDecoder(PLACE)
    list(decoder.feed(delta(content="a") + delta(content="b")))
    decoder._chunks[1] = decoder._chunks[1].replace(extra={REQUEST_ID: 7})  # no server does this: ids are texts

    partial = decoder.broken("why").partial

    assert isinstance(partial, Message)
    assert (partial.content, partial.extra) == ("ab", {})


def test_an_answer_in_one_document_is_understood() -> None:
    """From a server that does not stream."""
    body = json.dumps({"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}).encode()

    assert [chunk.content for chunk in decoded(body, content_type="application/json")] == ["whole"]
    with pytest.raises(RateLimitError):
        decoded(b'{"error": {"code": 429}}', content_type="application/json; charset=utf-8")


@pytest.mark.parametrize("content_type", ["text/html", "", "text/event-stream"])
def test_a_page_is_no_answer(content_type: str) -> None:
    """Whatever the server calls it; the beginning of the page is shown."""
    page = b"<html>" + b"Service unavailable. " * 100

    with pytest.raises(InvalidResponseError, match=r"no events.*<html>Service unavailable"):
        decoded(page, content_type=content_type)


def test_a_line_of_ten_megabytes_is_read() -> None:
    """In the time that its bytes take, not the square of it."""
    text = "x" * 10_000_000
    body = delta(content="a") + delta(content=text) + STOP + DONE
    decoder = StreamDecoder(PLACE)

    pieces = [body[place : place + 65_536] for place in range(0, len(body), 65_536)]
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)] + list(decoder.end())

    assert concat_messages(chunks).content == "a" + text


def test_an_endless_event_breaks_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, and what came before is kept."""
    decoder = StreamDecoder(PLACE)
    decoder._parser = SSEParser(max_event_bytes=1000)
    assert [message.content for message in decoder.feed(delta(content="a"))] == ["a"]

    with pytest.raises(StreamBrokenError, match="longer than 1000 bytes") as caught:
        list(decoder.feed(b"data: " + b"x" * 2000))

    assert isinstance(caught.value.partial, Message)
