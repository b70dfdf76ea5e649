"""Laws of reading answers of OpenAI-compatible servers: nothing crashes it, and no cut changes what it reads."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eino.errors import ComponentError
from eino.ext.models._openai_answer import read_answer
from eino.ext.models._openai_stream import StreamDecoder
from eino.ext.models._service_errors import Place, status_error
from eino.schema import Message

PLACE = Place("m", "api.example.org", ("very-secret-key",))

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
NAMES = st.sampled_from(
    [
        "annotations",
        "arguments",
        "audio",
        "bytes",
        "choices",
        "code",
        "completion_tokens",
        "content",
        "data",
        "delta",
        "error",
        "extra_content",
        "finish_reason",
        "function",
        "function_call",
        "id",
        "image_url",
        "images",
        "index",
        "innererror",
        "logprob",
        "logprobs",
        "message",
        "metadata",
        "name",
        "prompt_tokens",
        "prompt_tokens_details",
        "raw",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "text",
        "thinking",
        "token",
        "tool_calls",
        "top_logprobs",
        "transcript",
        "type",
        "url",
        "usage",
        "x_groq",
    ]
)
PAYLOADS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
"""Any JSON under the names that the protocol knows: what a server sends that gets every type wrong."""

DELTAS = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"delta": PAYLOADS, "index": PAYLOADS}), max_size=2)}
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


@given(payloads=st.lists(PAYLOADS | DELTAS, max_size=5), sizes=st.lists(st.integers(1, 30), max_size=20))
def test_any_json_in_a_stream_is_read_or_refused(payloads: list[Any], sizes: list[int]) -> None:
    """No payload raises anything but a component error, and where the bytes are cut does not matter."""
    body = b"".join(f"data: {json.dumps(payload)}\n\n".encode() for payload in payloads) + b"data: [DONE]\n\n"

    assert outcome(body, sizes) == outcome(body, [])


@given(body=st.binary(max_size=200), sizes=st.lists(st.integers(1, 10), max_size=20))
def test_any_bytes_are_read_or_refused(body: bytes, sizes: list[int]) -> None:
    """Garbage too."""
    chunks, ended = outcome(b"data: " + body, sizes)

    assert (chunks, ended) == outcome(b"data: " + body, [])


@given(payload=PAYLOADS)
def test_any_json_as_an_answer_is_read_or_refused(payload: Any) -> None:
    """A whole answer is a message, or a component error that says why not."""
    for body in (payload, {"choices": [payload]}, {"choices": [{"message": payload}]}):
        try:
            message = read_answer(json.dumps(body).encode(), PLACE)
        except ComponentError:
            continue
        assert isinstance(message.content, str)
        assert all(isinstance(call.arguments, str) for call in message.tool_calls)


@given(status=st.integers(400, 599), body=PAYLOADS, wait=st.text(max_size=8))
def test_any_error_body_becomes_an_error(status: int, body: Any, wait: str) -> None:
    """With the status in its text, and without the key."""
    headers = {"retry-after": wait, "retry-after-ms": wait, "date": wait}

    error = status_error(status, headers, {"error": body, "message": "very-secret-key"}, PLACE)

    assert f"HTTP {status}" in str(error)
    assert "very-secret-key" not in str(error)
