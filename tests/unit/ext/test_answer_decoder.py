"""What all decoders of streams do alike, on a protocol of one field. The real ones have tests of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from eino.errors import InvalidResponseError, OverloadedError, RateLimitError, StreamBrokenError
from eino.ext.models._answer_decoder import EventDecoder
from eino.ext.models._service_errors import Place
from eino.ext.models._sse import ServerSentEvent
from eino.schema import Message, assistant_message, concat_messages

PLACE = Place("m-1", "host")


class WordDecoder(EventDecoder):
    """Reads events such as `{"word": "a"}`; `{"end": true}` ends, `{"error": "..."}` fails."""

    _END: ClassVar = "an end"

    def __init__(self, content_type: str = "text/event-stream") -> None:
        super().__init__(PLACE, content_type, lambda body, _: assistant_message(body.decode()))
        self._chunks: list[Message] = []

    def _partial(self) -> Message:
        return concat_messages(self._chunks)

    def _read(self, event: ServerSentEvent) -> Iterator[Message]:
        payload = self._payload(event.data) or {}
        if "error" in payload:
            raise self._failed(OverloadedError(payload["error"], retry_after_s=2.0))
        if "word" in payload:
            self._chunks.append(assistant_message(payload["word"]))
            yield self._chunks[-1]
        self.done = "end" in payload

    def _rest(self) -> Iterator[Message]:
        yield assistant_message(".")


def decoded(decoder: WordDecoder, body: bytes) -> str:
    """Return the texts of all chunks of a whole body, joined."""
    return "".join(chunk.content for part in (decoder.feed(body), decoder.end()) for chunk in part)


def test_whole_answer_is_its_chunks_and_the_rest() -> None:
    """What follows the end is not read; blank events are skipped."""
    body = b'data: {"word": "a"}\n\ndata:   \n\ndata: {"word": "b"}\n\ndata: {"end": true}\n\ndata: no JSON\n\n'

    assert decoded(WordDecoder(), body) == "ab."


def test_last_event_may_lack_the_empty_line() -> None:
    """An event that is whole but for the line behind it counts."""
    assert decoded(WordDecoder(), b'data: {"word": "a"}\n\ndata: {"end": true}') == "a."


def test_document_is_read_at_the_end() -> None:
    """Where the content type says JSON, pieces make one document."""
    decoder = WordDecoder("application/json")

    assert list(decoder.feed(b"o")) == list(decoder.feed(b"ne")) == []
    assert [message.content for message in decoder.end()] == ["one"]


def test_decoder_has_started_with_its_first_chunk() -> None:
    """An event without a chunk does not start an answer."""
    decoder = WordDecoder()

    assert [list(decoder.feed(b"data: {}\n\n")), decoder.started] == [[], False]
    assert [len(list(decoder.feed(b'data: {"word": "a"}\n\n'))), decoder.started] == [1, True]


def test_reported_error_before_the_first_chunk_is_raised_as_it_is() -> None:
    """Nothing was handed out, so another try is a fresh start."""
    with pytest.raises(OverloadedError, match="busy"):
        decoded(WordDecoder(), b'data: {"error": "busy"}\n\n')


def test_reported_error_later_breaks_the_stream() -> None:
    """The error has what came before, its cause, and whether that can be retried."""
    with pytest.raises(StreamBrokenError, match="the answer of model 'm-1' at host broke off: busy") as caught:
        decoded(WordDecoder(), b'data: {"word": "a"}\n\ndata: {"error": "busy"}\n\n')

    assert isinstance(caught.value.__cause__, OverloadedError)
    assert caught.value.retryable
    assert caught.value.partial == assistant_message("a")


def test_broken_stream_can_be_retried_if_its_cause_can() -> None:
    """A quota that is used up stays used up."""
    cause = RateLimitError("no balance")
    cause.retryable = False

    assert WordDecoder().broken("why").retryable
    assert not WordDecoder().broken("why", cause).retryable
    assert WordDecoder().broken("why").partial is None


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        pytest.param(
            b'data: {"word": "a"}\n\n',
            StreamBrokenError,
            "the connection ended before the model had finished, without an end",
            id="after an event",
        ),
        pytest.param(b"", StreamBrokenError, "the connection ended before the first event", id="empty"),
        pytest.param(b": hi\n", StreamBrokenError, "the connection ended before the first event", id="a comment"),
        pytest.param(b"<html>", InvalidResponseError, "no events, content type 'text/event-stream'", id="no events"),
        pytest.param(
            b'data: {"word',
            StreamBrokenError,
            "the connection ended in the middle of an event",
            id="half an event",
        ),
        pytest.param(b"data:  {oops  \n\n", StreamBrokenError, r"an event is no JSON .*: '\{oops'$", id="no JSON"),
    ],
)
def test_what_is_no_whole_answer(body: bytes, error: type[Exception], words: str) -> None:
    """The error tells a cut connection from a server that speaks another language."""
    with pytest.raises(error, match=words):
        decoded(WordDecoder(), body)
