"""The bytes of streamed answers of Anthropic's API as messages: every odd server, and every way to break off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eino.errors import (
    ComponentError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    RateLimitError,
    ServerError,
    StreamBrokenError,
)
from eino.ext.models._anthropic_stream import StreamDecoder
from eino.ext.models._service_errors import Place
from eino.ext.models._sse import SSEParser
from eino.ext.models.anthropic import CALL, CONTENT, RESPONSE, THOUGHT
from eino.schema import Message, Reasoning, ReasoningPart, ToolCall, concat_messages, token_usage, tool_call

PLACE = Place("m", "api.example.org")


def event(payload: Any, name: str | None = None) -> bytes:
    """Return an event with a payload."""
    kind = name or (payload.get("type") if isinstance(payload, dict) else None) or "message"
    return f"event: {kind}\ndata: {json.dumps(payload)}\n\n".encode()


def begin(**usage: Any) -> bytes:
    """Return the event that begins an answer."""
    usage = {"input_tokens": 5, "output_tokens": 1} | usage
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [], "usage": usage}
    return event({"type": "message_start", "message": message | {"stop_reason": None}})


def start(index: int | None, **block: Any) -> bytes:
    """Return the event that opens a block."""
    placed = {} if index is None else {"index": index}
    return event({"type": "content_block_start", **placed, "content_block": block})


def piece(index: int | None, kind: str, **fields: Any) -> bytes:
    """Return the event with a piece of a block."""
    placed = {} if index is None else {"index": index}
    return event({"type": "content_block_delta", **placed, "delta": {"type": f"{kind}_delta", **fields}})


def close(index: int) -> bytes:
    """Return the event that closes a block."""
    return event({"type": "content_block_stop", "index": index})


def say(text: str, index: int = 0) -> bytes:
    """Return the event with a piece of text."""
    return piece(index, "text", text=text)


def end(reason: str | None = "end_turn", usage: dict[str, Any] | None = None, **more: Any) -> bytes:
    """Return the event that says why the model stopped."""
    delta = {"stop_reason": reason, "stop_sequence": None} | more
    return event({"type": "message_delta", "delta": delta, "usage": usage or {"output_tokens": 2}})


TEXT = start(0, type="text", text="")
STOP = event({"type": "message_stop"})


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
    """Text in pieces, then finish reason and usage, then what else there is to say."""
    chunks = decoded(begin(), TEXT, say("he"), say("y"), close(0), end(), STOP)

    assert [chunk.content for chunk in chunks] == ["he", "y", "", ""]
    whole = concat_messages(chunks)
    assert whole.response_meta is not None
    assert (whole.response_meta.finish_reason, whole.response_meta.usage) == ("end_turn", token_usage(5, 2))
    assert whole.extra == {RESPONSE: {"id": "msg_1", "model": "m-1", "usage": {"input_tokens": 5, "output_tokens": 2}}}


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b": keep-alive\n\n", id="comment"),
        pytest.param(event({"type": "ping"}), id="ping"),
        pytest.param(event({"type": "mood", "mood": "fine"}), id="unknown event"),
        pytest.param(b"data: null\n\ndata: 7\n\ndata: []\n\n", id="no object"),
        pytest.param(b"data:\n\nevent: x\ndata:  \n\n", id="empty data"),
        pytest.param(event({"type": "content_block_delta", "index": 0, "delta": None}), id="delta is null"),
        pytest.param(event({"type": "content_block_start", "index": 9, "content_block": 3}), id="block is no object"),
        pytest.param(event({"type": "content_block_stop", "index": 9}), id="a stop of nothing"),
        pytest.param(event({"type": "message_start", "message": None}), id="message is null"),
        pytest.param(event({"type": "message_delta", "delta": None}), id="message delta is null"),
        pytest.param(piece(0, "text", text=None), id="text is null"),
        pytest.param(piece(0, "text", text=""), id="empty text"),
    ],
)
def test_what_carries_nothing_is_left_out(noise: bytes) -> None:
    """Anywhere in the stream."""
    body = [begin(), TEXT, noise, say("a"), noise, say("b"), noise, close(0), end(), noise, STOP]

    chunks = decoded(*body)

    assert [chunk.content for chunk in chunks if chunk.response_meta is None] == ["a", "b", ""]
    assert concat_messages(chunks).content == "ab"


def test_repeated_usage_counts_once() -> None:
    """Running totals: the highest counts, wherever they are told, also when a later report lacks some."""
    details = {"thinking_tokens": 3}
    chunks = decoded(
        begin(cache_read_input_tokens=7, cache_creation_input_tokens=4, server_tool_use=None),
        TEXT,
        say("a"),
        end(None, {"output_tokens": 4}),
        end("end_turn", {"input_tokens": 0, "output_tokens": 9, "output_tokens_details": details}),
        end("end_turn", {"output_tokens": 9}),
        STOP,
    )

    meta = concat_messages(chunks).response_meta
    assert meta is not None
    assert meta.usage == token_usage(16, 9, cached_tokens=7, reasoning_tokens=3)
    assert chunks[-1].extra[RESPONSE]["usage"]["cache_creation_input_tokens"] == 4


def test_reasoning_is_text_and_signed_part() -> None:
    """Its text streams; the part comes when the block is whole, the redacted ones too."""
    chunks = decoded(
        begin(),
        start(0, type="thinking", thinking="", signature=""),
        piece(0, "thinking", thinking="let me "),
        piece(0, "thinking", thinking="see"),
        piece(0, "signature", signature="c2ln"),
        close(0),
        start(1, type="redacted_thinking", data="ZGF0YQ=="),
        close(1),
        start(2, type="text", text="hm"),
        close(2),
        end(),
        STOP,
    )

    whole = concat_messages(chunks)
    assert [chunk.reasoning_content for chunk in chunks[:2]] == ["let me ", "see"]
    assert (whole.reasoning_content, whole.content) == ("let me see", "hm")
    assert whole.assistant_parts == (
        ReasoningPart(reasoning=Reasoning(text="let me see", signature="c2ln"), extra={THOUGHT: "thinking"}, index=0),
        ReasoningPart(reasoning=Reasoning(signature="ZGF0YQ=="), extra={THOUGHT: "redacted_thinking"}, index=1),
    )
    assert CONTENT not in whole.extra


def test_blocks_of_other_types_are_kept_whole() -> None:
    """Server tools with input in pieces, results, citations, and types and pieces that nobody knows yet."""
    citation = {"type": "web_search_result_location", "url": "https://example.org"}
    chunks = decoded(
        begin(),
        start(0, type="server_tool_use", id="s1", name="web_search", input={}),
        piece(0, "input_json", partial_json=""),
        piece(0, "input_json", partial_json='{"query":'),
        piece(0, "input_json", partial_json=' "x"}'),
        close(0),
        start(1, type="web_search_tool_result", tool_use_id="s1", content=[{"url": "https://example.org"}]),
        close(1),
        start(2, type="text", text="", citations=[]),
        piece(2, "citations", citation=citation),
        piece(2, "citations", citation=citation | {"url": "https://example.com"}),
        say("It is so.", 2),
        close(2),
        start(3, type="compaction", content=None),
        piece(3, "compaction", content="short", level=2, flag=None),
        piece(3, "compaction", content="er"),
        close(3),
        end("pause_turn", container={"id": "c1"}),
        STOP,
    )

    whole = concat_messages(chunks)
    assert (whole.content, whole.tool_calls) == ("It is so.", ())
    assert whole.extra[CONTENT] == [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"url": "https://example.org"}]},
        {"type": "text", "text": "It is so.", "citations": [citation, citation | {"url": "https://example.com"}]},
        {"type": "compaction", "content": "shorter", "level": 2},
    ]
    assert whole.extra[RESPONSE]["container"] == {"id": "c1"}
    assert whole.response_meta is not None
    assert whole.response_meta.finish_reason == "pause_turn"


def test_input_of_a_server_tool_that_is_no_json_is_kept_as_text() -> None:
    """Nothing is lost."""
    body = [start(0, type="mcp_tool_use", id="s", name="n", input={}), piece(0, "input_json", partial_json='{"a')]

    assert decoded(*body, end(), STOP)[-1].extra[CONTENT][0]["input"] == '{"a'


def use(index: int | None, call_id: str | None = "c1", name: str | None = "f", **more: Any) -> bytes:
    """Return the event that opens a call; what is None is left out."""
    named = {
        key: value for key, value in {"id": call_id, "name": name, "input": {}, **more}.items() if value is not None
    }
    return start(index, type="tool_use", **named)


def arguments(index: int | None, text: str) -> bytes:
    """Return the event with a piece of arguments."""
    return piece(index, "input_json", partial_json=text)


ONE = tool_call("f", '{"a":1}', id="c1", index=0)
TWO = tool_call("g", '{"b":2}', id="c2", index=1)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            [use(1), arguments(1, ""), arguments(1, '{"a"'), arguments(1, ":1}"), close(1)], [ONE], id="in pieces"
        ),
        pytest.param(
            [
                use(0),
                use(1, "c2", "g"),
                arguments(1, '{"b"'),
                arguments(0, '{"a"'),
                arguments(0, ":1}"),
                arguments(1, ":2}"),
                close(1),
                close(0),
            ],
            [ONE, TWO],
            id="interleaved",
        ),
        pytest.param([use(0, input={"a": 1}), close(0)], [ONE], id="all at once"),
        pytest.param([use(0, input={"a": 0}), arguments(0, '{"a":1}')], [ONE], id="pieces go over the opening"),
        pytest.param([use(0), arguments(0, ""), close(0)], [tool_call("f", "{}", id="c1", index=0)], id="no arguments"),
        pytest.param([use(0), close(0), close(0)], [tool_call("f", "{}", id="c1", index=0)], id="closed twice"),
        pytest.param([use(0)], [tool_call("f", "{}", id="c1", index=0)], id="never closed"),
        pytest.param([use(0, None), arguments(0, '{"a":1}')], [ONE.replace(id="")], id="no id"),
        pytest.param([use(0, None, None)], [tool_call("", "{}", index=0)], id="neither id nor name"),
        pytest.param(
            [use(0, input="{}", caller={"type": "direct"}), arguments(0, '{"a":1}')],
            [ONE.replace(extra={CALL: {"caller": {"type": "direct"}}})],
            id="more fields, and the input as text",
        ),
        pytest.param([use(None), arguments(None, '{"a":1}')], [ONE], id="no index"),
        pytest.param(
            [use(0), arguments(0, '{"a":1}'), use(0, "c2", "g"), arguments(0, '{"b":2}')], [ONE, TWO], id="one index"
        ),
        pytest.param([arguments(0, '{"a":1}')], [tool_call("", '{"a":1}', index=0)], id="never opened"),
        pytest.param([use(0), arguments(0, '{"a"')], [tool_call("f", '{"a"', id="c1", index=0)], id="broken JSON"),
    ],
)
def test_tool_calls_of_every_server(events: list[bytes], expected: list[ToolCall]) -> None:
    """Pieces find their call; none is lost, none is joined with another one's."""
    whole = concat_messages(decoded(begin(), *events, end("tool_use"), STOP))

    assert list(whole.tool_calls) == expected


def test_text_and_thoughts_that_were_never_opened_are_read() -> None:
    """Also when the index is missing, or the type of the piece."""
    untyped = event({"type": "content_block_delta", "delta": {"text": "!"}})

    whole = concat_messages(decoded(piece(0, "thinking", thinking="hm"), piece(1, "text", text="hi"), untyped, STOP))

    assert (whole.reasoning_content, whole.content) == ("hm", "hi!")


def test_content_that_comes_with_the_beginning_is_read() -> None:
    """Whole blocks, before those that stream."""
    content = [{"type": "text", "text": "a"}, 3, {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]

    whole = concat_messages(
        decoded(event({"type": "message_start", "message": {"content": content}}), TEXT, say("b"), end(), STOP)
    )

    assert whole.content == "ab"
    assert list(whole.tool_calls) == [ONE]


def test_text_and_thoughts_that_come_with_the_opening_are_read() -> None:
    """What follows is added."""
    body = [start(0, type="thinking", thinking="a"), piece(0, "thinking", thinking="b"), close(0)]
    body += [start(1, type="text", text="c"), say("d", 1), close(1)]

    whole = concat_messages(decoded(*body, end(), STOP))

    assert (whole.reasoning_content, whole.content) == ("ab", "cd")
    assert whole.assistant_parts[0].text == "ab"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "last",
    [
        pytest.param([end(), STOP], id="both"),
        pytest.param([end()], id="no message_stop"),
        pytest.param([STOP], id="no stop reason"),
        pytest.param([end(), STOP.rstrip()], id="message_stop without the empty line"),
        pytest.param([end().rstrip()], id="stop reason without the empty line"),
        pytest.param([end(), STOP, say("late"), b"data: {"], id="more behind message_stop"),
    ],
)
def test_what_makes_an_answer_whole(last: list[bytes]) -> None:
    """The server says so, or the model does."""
    assert concat_messages(decoded(begin(), TEXT, say("a"), close(0), *last)).content == "a"


def test_an_answer_without_any_content_is_one_chunk() -> None:
    """So that joining it gives a message."""
    assert decoded(STOP) == [Message(role="assistant", content="")]


@pytest.mark.parametrize(
    ("body", "text", "partial"),
    [
        pytest.param([begin(), TEXT, say("a")], "ended before the model had finished", "a", id="no end"),
        pytest.param([TEXT, say("a"), b'data: {"typ'], "in the middle of an event", "a", id="cut in an event"),
        pytest.param([TEXT, say("a"), end(), b'data: {"ty'], "in the middle of an event", "a", id="stop cut off"),
        pytest.param([TEXT, say("a"), b"data: {]\n\n", STOP], "an event is no JSON", "a", id="garbage"),
        pytest.param([TEXT, say("a").rstrip()], "ended before the model had finished", "a", id="no empty line"),
        pytest.param([b"data: {]\n\n"], "an event is no JSON .*: '{]'", None, id="garbage first"),
        pytest.param([], "ended before the first event", None, id="nothing"),
        pytest.param([b": comment\n\n"], "ended before the first event", None, id="comments only"),
        pytest.param([begin()], "ended before the model", None, id="nothing said"),
    ],
)
def test_what_breaks_an_answer(body: list[bytes], text: str, partial: str | None) -> None:
    """Truncation is never taken for an end, and what had arrived is kept."""
    with pytest.raises(StreamBrokenError, match=text) as caught:
        decoded(*body)

    assert caught.value.retryable
    assert (caught.value.partial.content if isinstance(caught.value.partial, Message) else None) == partial


def test_what_had_arrived_of_every_kind_is_kept() -> None:
    """Reasoning without its signature, half of the arguments of a call, and the usage so far."""
    body = [begin(), start(0, type="thinking", thinking=""), piece(0, "thinking", thinking="hm"), TEXT, say("a")]

    with pytest.raises(StreamBrokenError) as caught:
        decoded(*body, use(2), arguments(2, '{"a":'))

    partial = caught.value.partial
    assert isinstance(partial, Message)
    assert (partial.reasoning_content, partial.content) == ("hm", "a")
    assert [(call.id, call.arguments) for call in partial.tool_calls] == [("c1", '{"a":')]
    assert partial.response_meta is not None
    assert partial.response_meta.usage == token_usage(5, 1)


def test_an_error_in_the_middle_keeps_what_came() -> None:
    """Whether to retry is the error's business."""
    report = {"type": "error", "error": {"type": "invalid_request_error", "message": "no more"}}

    with pytest.raises(StreamBrokenError, match=r"HTTP 400.*no more") as caught:
        decoded(begin(), TEXT, say("a"), event(report), STOP)

    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.content == "a"
    assert isinstance(caught.value.__cause__, InvalidRequestError)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(
            {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, OverloadedError, id="1"
        ),
        pytest.param(
            {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, RateLimitError, id="2"
        ),
        pytest.param({"type": "error", "error": {"type": "api_error", "message": "oops"}}, ServerError, id="3"),
        pytest.param({"error": {"type": "api_error", "message": "oops"}}, ServerError, id="no type"),
        pytest.param({"type": "error", "message": "oops"}, ServerError, id="no error"),
        pytest.param({"type": "error", "error": "oops"}, ServerError, id="text"),
    ],
)
def test_an_error_before_the_answer_is_that_error(body: Any, kind: type[ComponentError]) -> None:
    """Nothing broke off, so the class says what happened."""
    with pytest.raises(kind):
        decoded(begin(), event(body, "error"), STOP)


def test_an_error_in_the_last_event_needs_no_empty_line() -> None:
    """The report is whole although the line behind it is missing."""
    with pytest.raises(StreamBrokenError, match="oops") as caught:
        decoded(TEXT, say("a"), event({"type": "error", "error": {"type": "api_error", "message": "oops"}}).rstrip())

    assert isinstance(caught.value.__cause__, ServerError)


def test_an_answer_in_one_document_is_understood() -> None:
    """From a server that does not stream."""
    body = json.dumps({"content": [{"type": "text", "text": "whole"}], "stop_reason": "end_turn"}).encode()

    assert [chunk.content for chunk in decoded(body, content_type="application/json")] == ["whole"]
    with pytest.raises(OverloadedError):
        decoded(b'{"error": {"type": "overloaded_error"}}', content_type="application/json; charset=utf-8")


@pytest.mark.parametrize("content_type", ["text/html", "", "text/event-stream"])
def test_a_page_is_no_answer(content_type: str) -> None:
    """Whatever the server calls it; the beginning of the page is shown."""
    page = b"<html>" + b"Service unavailable. " * 100

    with pytest.raises(InvalidResponseError, match=r"no events.*<html>Service unavailable"):
        decoded(page, content_type=content_type)


def test_a_line_of_ten_megabytes_is_read() -> None:
    """In the time that its bytes take, not the square of it."""
    text = "x" * 10_000_000
    body = TEXT + say(text) + end() + STOP
    decoder = StreamDecoder(PLACE)

    chunks = [chunk for place in range(0, len(body), 65_536) for chunk in decoder.feed(body[place : place + 65_536])]

    assert chunks[0].content == text


def test_an_endless_event_breaks_the_stream() -> None:
    """Memory is bounded, and what came before is kept."""
    decoder = StreamDecoder(PLACE)
    decoder._parser = SSEParser(max_event_bytes=1000)
    assert [message.content for message in decoder.feed(TEXT + say("a"))] == ["a"]

    with pytest.raises(StreamBrokenError, match="longer than 1000 bytes") as caught:
        list(decoder.feed(b"data: " + b"x" * 2000))

    assert isinstance(caught.value.partial, Message)
