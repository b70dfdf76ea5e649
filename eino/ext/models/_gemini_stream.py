"""A streamed answer of Gemini: bytes in any pieces become chunks of a message. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from eino.errors import ComponentError, StreamBrokenError
from eino.ext.models._gemini_answer import block_error, first_candidate
from eino.ext.models._gemini_chunks import AnswerSoFar
from eino.ext.models._gemini_errors import answer_error
from eino.ext.models._json_stream import JSONObjects, ObjectTooLongError
from eino.ext.models._openai_errors import Place, unreadable
from eino.ext.models._sse import EventTooLongError, SSEParser, may_be_events
from eino.schema import Message, ResponseMeta, concat_messages

__all__ = ["StreamDecoder"]

JSON: TypeAlias = dict[str, Any]

_HEAD_BYTES: Final = 512
"""How much of a body is kept, to be shown when it turns out to be no answer."""
_TAIL_BYTES: Final = 64 * 1024
"""How much of what follows the last event is kept: an error in the middle of a stream comes as a bare object."""
_BLANK: Final = b"\xef\xbb\xbf\r\n\t "

_decode: Final = msgspec.json.Decoder().decode


class StreamDecoder:
    """Turns the body of a streamed answer into chunks of a message, and tells a whole answer from a broken one.

    An answer is whole when the model says so, with a finish reason. The body may be events, which is what is asked
    for, or JSON: an array of objects, or one. Usage, sources and the like come as running totals in several events;
    they are given out once, at the end.
    """

    def __init__(self, place: Place, content_type: str = "text/event-stream") -> None:
        self._place = place
        self._content_type = content_type
        self._head = bytearray()
        self._tail = bytearray()
        self._split: Callable[[bytes], list[str]] | None = None
        self._events = SSEParser()
        self._objects = JSONObjects()
        self._seen = 0
        self._chunks: list[Message] = []
        self._answer = AnswerSoFar()

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Yield the chunks that `piece` completes.

        Raises:
            ComponentError: If the server reports an error, or refuses the prompt, before the first chunk.
            StreamBrokenError: If it does so later, or sends what is no JSON; `partial` holds what came before.
        """
        if len(self._head) < _HEAD_BYTES:
            self._head += piece[:_HEAD_BYTES]
        try:
            texts = self._texts(piece)
        except (EventTooLongError, ObjectTooLongError) as error:
            raise self.broken(str(error)) from error
        for text in texts:
            yield from self._read(text)

    def end(self) -> Iterator[Message]:
        """Yield what is left when the connection has ended in the regular way.

        Raises:
            InvalidResponseError: If what came is no answer of a model.
            StreamBrokenError: If the answer is not whole; `partial` holds what there is.
        """
        event = self._events.flush()  # the last event may lack the empty line behind it
        if event is not None:
            yield from self._last_event(event.data)
        if not self._answer.finished:
            raise self._incomplete()
        if names := self._answer.calls.unfinished:
            raise self.broken(f"the connection ended in the middle of a call of {names[0]!r}")
        for message in self._answer.rest():
            self._chunks.append(message)
            yield message

    def broken(self, why: str, cause: ComponentError | None = None) -> StreamBrokenError:
        """Return the error for a stream that ends here because of `why`; it can be retried if its cause can."""
        error = StreamBrokenError(f"the answer of {self._place} broke off: {why}", partial=self._partial())
        if cause is not None:
            error.retryable = cause.retryable
        return error

    @property
    def started(self) -> bool:
        """Whether a chunk was handed out, so that an error now comes in the middle of an answer."""
        return bool(self._chunks)

    def _texts(self, piece: bytes) -> list[str]:
        """Return the JSON texts that `piece` completes, whatever the body is."""
        if self._split is None:
            head = bytes(self._head).lstrip(_BLANK)
            if not head:
                return []
            self._split = self._from_objects if head[:1] in (b"[", b"{") else self._from_events
            piece = head if len(head) > len(piece) else piece
        return self._split(piece)

    def _from_objects(self, piece: bytes) -> list[str]:
        return [found.decode("utf-8", "replace") for found in self._objects.feed(piece)]

    def _from_events(self, piece: bytes) -> list[str]:
        events = self._events.feed(piece)
        if events:
            self._tail.clear()
        if len(self._tail) < _TAIL_BYTES:
            self._tail += piece[-_TAIL_BYTES:]
        return [event.data for event in events]

    def _last_event(self, data: str) -> Iterator[Message]:
        try:
            yield from self._read(data)
        except StreamBrokenError as error:
            if isinstance(error.__cause__, msgspec.DecodeError):
                raise self.broken("the connection ended in the middle of an event") from error.__cause__
            raise

    def _incomplete(self) -> ComponentError:
        problem = self._bare_error()
        if problem is not None:
            return self._failed(problem)
        if self._objects.unfinished:
            return self.broken("the connection ended in the middle of an object")
        if self._seen:
            return self.broken("the connection ended before the model had finished, without a finish reason")
        if not may_be_events(bytes(self._head)):
            return unreadable(self._place, "no events", self._content_type, bytes(self._head))
        return self.broken("the connection ended before the first event")

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

    def _failed(self, problem: object) -> ComponentError:
        cause = answer_error(problem, self._place)
        if not self._chunks:
            return cause
        error = self.broken(str(cause), cause)
        error.__cause__ = cause
        return error

    def _partial(self) -> Message | None:
        if not self._chunks:
            return None
        usage = self._answer.usage
        chunks = [*self._chunks, Message(role="assistant", content="", response_meta=ResponseMeta(usage=usage))]
        return concat_messages(chunks if usage is not None else self._chunks)

    def _read(self, text: str) -> Iterator[Message]:
        try:
            payload = _decode(text)
        except msgspec.DecodeError as error:
            if not text.strip():
                return
            raise self.broken(f"an event is no JSON ({error}): {text[:100]!r}") from error
        self._seen += 1
        if not isinstance(payload, dict):
            return
        if problem := payload.get("error"):
            raise self._failed(problem)
        candidate = first_candidate(payload)
        if candidate is None and (refused := block_error(payload, self._place)) is not None:
            if not self._chunks:
                raise refused
            raise self.broken(str(refused), refused) from refused
        message = self._answer.read(payload, candidate)
        if message is not None:
            self._chunks.append(message)
            yield message
