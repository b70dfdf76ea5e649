"""The parser of server-sent events; the official vectors are in tests/integration/test_real_traffic.py."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino.ext.models._sse import EventTooLongError, ServerSentEvent, SSEParser

STREAM = (
    "\ufeffdata: one\n\n"
    ": a comment\r\n\r\n"
    "event: note\rdata: two\rdata:  lines ü🎉\r\r"
    "id: 7\nretry: 10\nunknown: x\n\n"
    "event: nothing\n\n"
    "data\n\n"
    "data: last\r\n\n"
).encode()
EVENTS = [
    ServerSentEvent("one"),
    ServerSentEvent("two\n lines ü🎉", "note"),
    ServerSentEvent(""),
    ServerSentEvent("last"),
]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_where_the_bytes_are_cut_does_not_matter(cuts: list[int]) -> None:
    """Line ends, characters and the byte order mark may arrive in pieces, and pieces may be empty."""
    borders = [0, *sorted(cuts), len(STREAM)]
    parser = SSEParser()

    found = [event for start, end in itertools.pairwise(borders) for event in parser.feed(STREAM[start:end])]

    assert found == EVENTS
    assert parser.flush() is None


@pytest.mark.parametrize(
    ("tail", "event"),
    [
        pytest.param(b"data: cut", ServerSentEvent("cut"), id="in the middle of a line"),
        pytest.param(b"event: e\ndata: cut\n", ServerSentEvent("cut", "e"), id="before the empty line"),
        pytest.param(b"data: cut\r", ServerSentEvent("cut"), id="inside a line end"),
        pytest.param(b": comment", None, id="comment"),
        pytest.param(b"event: e\n", None, id="no data"),
    ],
)
def test_what_the_end_cuts_off_can_be_had(tail: bytes, event: ServerSentEvent | None) -> None:
    """The standard drops an event without the empty line behind it; the caller may look at it once."""
    parser = SSEParser()

    assert parser.feed(b"data: whole\n\n" + tail) == [ServerSentEvent("whole")]
    assert parser.flush() == event
    assert parser.flush() is None


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    """As the standard demands: the stream goes on."""
    assert SSEParser().feed(b"data: a\xffb\n\n") == [ServerSentEvent("a\ufffdb")]


def test_a_byte_order_mark_counts_at_the_start_only() -> None:
    """A second one is part of the field name, so that line is no data."""
    assert SSEParser().feed("\ufeff\ufeffdata: 1\n\ndata: 2\n\n".encode()) == [ServerSentEvent("2")]
    parser = SSEParser()
    assert parser.feed(b"\xef\xbb") == []
    assert parser.flush() is None


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 60, b"data: 1234567890\n" * 6, b"x" * 100])
def test_an_event_without_end_is_stopped(piece: bytes) -> None:
    """Memory is bounded, for one long line as for many lines."""
    with pytest.raises(EventTooLongError, match="longer than 50 bytes"):
        SSEParser(max_event_bytes=50).feed(piece)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_ten_megabytes_in_one_line_come_through(line_end: bytes) -> None:
    """Work grows with the bytes: a parser that searched from the start each time would need hours here."""
    text = b"y" * 10_000_000
    parser = SSEParser()
    stream = b"data: " + text + line_end * 2 + b"data: next" + line_end * 2

    found = [event for start in range(0, len(stream), 1000) for event in parser.feed(stream[start : start + 1000])]

    assert [len(event.data) for event in found] == [10_000_000, 4]
