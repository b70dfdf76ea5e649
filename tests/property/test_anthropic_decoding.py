"""Laws of reading answers of Anthropic's API: nothing crashes it, no cut changes what it reads, all goes back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eino.components import ModelOptions
from eino.errors import ComponentError
from eino.ext.models._anthropic_answer import read_answer
from eino.ext.models._anthropic_request import request_body
from eino.ext.models._anthropic_stream import StreamDecoder
from eino.ext.models._service_errors import Place
from eino.schema import Message, concat_messages, user_message
from eino_fixtures import Answer, ByBytes, Seeded
from eino_fixtures._wire_anthropic import AnthropicMessages

PLACE = Place("m", "api.example.org")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
NAMES = st.sampled_from(
    [
        "cache_read_input_tokens",
        "citation",
        "citations",
        "content",
        "content_block",
        "data",
        "delta",
        "error",
        "id",
        "index",
        "input",
        "input_tokens",
        "message",
        "name",
        "output_tokens",
        "output_tokens_details",
        "partial_json",
        "signature",
        "stop_reason",
        "text",
        "thinking",
        "thinking_tokens",
        "type",
        "usage",
    ]
)
KINDS = st.sampled_from(
    [
        "content_block_delta",
        "content_block_start",
        "content_block_stop",
        "input_json_delta",
        "message_delta",
        "message_start",
        "ping",
        "redacted_thinking",
        "server_tool_use",
        "signature_delta",
        "text",
        "text_delta",
        "thinking",
        "thinking_delta",
        "tool_use",
    ]
)
PAYLOADS = st.recursive(
    SCALARS | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
"""Any JSON under the names that the protocol knows: what a server sends that gets every type wrong."""
TYPED = st.dictionaries(NAMES, PAYLOADS, max_size=3)
EVENTS = st.builds(
    lambda kind, inner_kind, index, block, delta: {
        "type": kind,
        "index": index,
        "content_block": {"type": inner_kind} | block,
        "delta": {"type": inner_kind} | delta,
        "message": block,
        "usage": delta,
    },
    KINDS,
    KINDS,
    st.integers(0, 2),
    TYPED,
    TYPED,
)


def outcome(body: bytes, sizes: list[int]) -> tuple[list[Message], str]:
    """Return the chunks of a stream that arrives in pieces of these sizes, and how it ended."""
    decoder = StreamDecoder(PLACE)
    chunks: list[Message] = []
    start = 0
    try:
        for size in [*sizes, len(body)]:
            for message in decoder.feed(body[start : start + size]):
                chunks.append(message)  # noqa: PERF402 - what came before an error counts
            start += size
        chunks += decoder.end()
    except ComponentError as error:
        return chunks, f"{type(error).__name__}: {error}"
    return chunks, "whole"


@given(payloads=st.lists(PAYLOADS | EVENTS, max_size=6), sizes=st.lists(st.integers(1, 30), max_size=20))
def test_any_json_in_a_stream_is_read_or_refused(payloads: list[Any], sizes: list[int]) -> None:
    """No payload raises anything but a component error; where the bytes are cut does not matter; the chunks join."""
    body = b"".join(f"data: {json.dumps(payload)}\n\n".encode() for payload in payloads)
    body += b'data: {"type": "message_stop"}\n\n'

    chunks, ended = outcome(body, sizes)

    assert (chunks, ended) == outcome(body, [])
    if chunks:
        joined = concat_messages(chunks)
        request_body([user_message("hi"), joined, user_message("hi")], ModelOptions(model="m"), stream=False)


@given(body=st.binary(max_size=200), sizes=st.lists(st.integers(1, 10), max_size=20))
def test_any_bytes_are_read_or_refused(body: bytes, sizes: list[int]) -> None:
    """Garbage too."""
    assert outcome(b"data: " + body, sizes) == outcome(b"data: " + body, [])


@given(payload=PAYLOADS, blocks=st.lists(PAYLOADS | TYPED, max_size=3))
def test_any_json_as_an_answer_is_read_or_refused(payload: Any, blocks: list[Any]) -> None:
    """A whole answer is a message that can be sent back, or a component error that says why not."""
    for body in (payload, {"content": blocks, "usage": payload, "stop_reason": payload}):
        try:
            message = read_answer(json.dumps(body).encode(), PLACE)
        except ComponentError:
            continue
        assert isinstance(message.content, str)
        request_body([user_message("hi"), message, user_message("hi")], ModelOptions(model="m"), stream=False)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
INPUTS = st.dictionaries(st.sampled_from("ab"), TEXTS | st.integers(-5, 5), max_size=2)
BLOCKS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
        st.builds(lambda text, url: {"type": "text", "text": text, "citations": [{"url": url}]}, TEXTS, TEXTS),
        st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "c2ln"}, TEXTS),
        st.just({"type": "redacted_thinking", "data": "ZGF0YQ=="}),
        st.builds(lambda given: {"type": "tool_use", "id": "c", "name": "f", "input": given}, INPUTS),
        st.builds(lambda given: {"type": "server_tool_use", "id": "s", "name": "web_search", "input": given}, INPUTS),
        st.builds(lambda text: {"type": "web_search_tool_result", "tool_use_id": "s", "content": [text]}, TEXTS),
    ),
    min_size=1,
    max_size=6,
)


@given(blocks=BLOCKS, seed=st.integers(0, 99), size=st.integers(1, 50))
def test_an_answer_goes_back_as_it_came(blocks: list[dict[str, Any]], seed: int, size: int) -> None:
    """Block for block, whatever its blocks are, whole or streamed in any pieces."""
    reply = Message(role="assistant", content="", extra={"anthropic-content": blocks})
    wire, asked = AnthropicMessages(), {"model": "m", "messages": [], "max_tokens": 9}
    answer = Answer(reply, Seeded(seed), cut=ByBytes(size))
    stream = b"".join(wire.events(reply, asked, 1, answer.chunks)) + wire.done
    chunks, ended = outcome(stream, [size] * (len(stream) // size))
    messages = [read_answer(wire.whole(reply, asked, 1), PLACE), concat_messages(chunks)]

    for message in messages:
        body = request_body([user_message("hi"), message, user_message("hi")], ModelOptions(model="m"), stream=False)
        assert body["messages"][1]["content"] == blocks
    assert ended == "whole"
    assert messages[0].content == messages[1].content
    assert messages[0].reasoning_content == messages[1].reasoning_content
