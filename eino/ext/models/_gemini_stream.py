"""A streamed answer of Gemini: bytes in any pieces become chunks of a message. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

import msgspec

from eino.errors import ComponentError
from eino.ext.models._answer_decoder import EventDecoder
from eino.ext.models._gemini_answer import block_error, first_candidate
from eino.ext.models._gemini_chunks import AnswerSoFar
from eino.ext.models._gemini_errors import answer_error
from eino.ext.models._json_stream import JSONObjects, ObjectTooLongError
from eino.ext.models._service_errors import Place
from eino.ext.models._sse import ServerSentEvent
from eino.schema import Message, ResponseMeta, concat_messages

__all__ = ["StreamDecoder"]

_TAIL_BYTES: Final = 64 * 1024
"""How much of what follows the last event is kept: an error in the middle of a stream comes as a bare object."""
_BLANK: Final = b"\xef\xbb\xbf\r\n\t "

_decode: Final = msgspec.json.Decoder().decode


class StreamDecoder(EventDecoder):
    """Turns the body of a streamed answer into chunks of a message, and tells a whole answer from a broken one.

    An answer is whole when the model says so, with a finish reason. The body may be events, which is what is asked
    for, or JSON: an array of objects, or one. Usage, sources and the like come as running totals in several events;
    they are given out once, at the end.
    """

    _END: ClassVar = "a finish reason"

    def __init__(self, place: Place, content_type: str = "text/event-stream") -> None:
        super().__init__(place, content_type)
        self._tail = bytearray()
        self._split_body: Callable[[bytes], list[ServerSentEvent]] | None = None
        self._objects = JSONObjects()
        self._chunks: list[Message] = []
        self._answer = AnswerSoFar()

    def _partial(self) -> Message:
        usage = self._answer.usage
        chunks = [*self._chunks, Message(role="assistant", content="", response_meta=ResponseMeta(usage=usage))]
        return concat_messages(chunks if usage is not None else self._chunks)

    def _rest(self) -> Iterator[Message]:
        if names := self._answer.calls.unfinished:
            raise self.broken(f"the connection ended in the middle of a call of {names[0]!r}")
        yield from self._answer.rest()

    def _split(self, piece: bytes) -> list[ServerSentEvent]:
        """Return what `piece` completes as events, whatever the body is."""
        if self._split_body is None:
            head = bytes(self._head).lstrip(_BLANK)
            if not head:
                return []
            self._split_body = self._from_objects if head[:1] in (b"[", b"{") else self._from_events
            piece = head if len(head) > len(piece) else piece
        return self._split_body(piece)

    def _from_objects(self, piece: bytes) -> list[ServerSentEvent]:
        try:
            return [ServerSentEvent(found.decode("utf-8", "replace")) for found in self._objects.feed(piece)]
        except ObjectTooLongError as error:
            raise self.broken(str(error)) from error

    def _from_events(self, piece: bytes) -> list[ServerSentEvent]:
        events = super()._split(piece)
        if events:
            self._tail.clear()
        if len(self._tail) < _TAIL_BYTES:
            self._tail += piece[-_TAIL_BYTES:]
        return events

    def _incomplete(self) -> ComponentError:
        problem = self._bare_error()
        if problem is not None:
            return self._failed(answer_error(problem, self._place))
        if self._objects.unfinished:
            return self.broken("the connection ended in the middle of an object")
        return super()._incomplete()

    def _bare_error(self) -> Any:
        """Return the error that stands behind the last event as an object of its own, outside of any event."""
        for found in JSONObjects().feed(bytes(self._tail)):
            try:
                payload = _decode(found.decode("utf-8", "replace"))
            except msgspec.DecodeError:
                continue
            if isinstance(payload, dict) and payload.get("error"):
                return payload["error"]
        return None

    def _read(self, event: ServerSentEvent) -> Iterator[Message]:
        payload = self._payload(event.data)
        if not isinstance(payload, dict):
            return
        if problem := payload.get("error"):
            raise self._failed(answer_error(problem, self._place))
        candidate = first_candidate(payload)
        if candidate is None and (refused := block_error(payload, self._place)) is not None:
            raise self._failed(refused)
        message = self._answer.read(payload, candidate)
        self._finished = self._answer.finished
        if message is not None:
            self._chunks.append(message)
            yield message
