"""What the decoders of all providers' streams do alike. Pure: fed by whoever reads the connection, in any pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

import msgspec

from eino.errors import ComponentError, StreamBrokenError
from eino.ext.models._service_errors import Place, unreadable
from eino.ext.models._sse import EventTooLongError, ServerSentEvent, SSEParser, may_be_events
from eino.schema.message import Message

__all__ = ["AnswerDecoder", "EventDecoder"]

_HEAD_BYTES: Final = 512
"""How much of a body is kept, to be shown when it turns out to be no answer."""

_decode: Final = msgspec.json.Decoder().decode


class AnswerDecoder(ABC):
    """Base of what turns the body of a streamed answer into chunks: where it is, and how it can break."""

    def __init__(self, place: Place, content_type: str) -> None:
        self._place = place
        self._content_type = content_type
        self.started = False
        """Whether a chunk was handed out, so that an error now comes in the middle of an answer."""
        self.done = False
        """Whether the server said that nothing more will come."""

    def broken(self, why: str, cause: ComponentError | None = None) -> StreamBrokenError:
        """Return the error for a stream that ends here because of `why`; it can be retried if its cause can."""
        partial = self._partial() if self.started else None
        error = StreamBrokenError(f"the answer of {self._place} broke off: {why}", partial=partial)
        if cause is not None:
            error.retryable = cause.retryable
        return error

    @abstractmethod
    def _partial(self) -> Message:
        """Return what had arrived; asked for only after the first chunk."""

    def _failed(self, cause: ComponentError) -> ComponentError:
        """Return the error for what the server reports: before the first chunk as it is, later as what broke it."""
        if not self.started:
            return cause
        error = self.broken(str(cause), cause)
        error.__cause__ = cause
        return error


class EventDecoder(AnswerDecoder):
    """Base of the decoders of server-sent events: a protocol says what an event means, and when an answer is whole.

    Args:
        place: Who answers.
        content_type: The response's.
        read_document: How to read a server that answers in one JSON document, although a stream was asked for; unless
            given, the content type does not matter.
    """

    _END: ClassVar[str]
    """How the end of a whole answer is told, for error texts."""

    def __init__(
        self, place: Place, content_type: str, read_document: Callable[[bytes, Place], Message] | None = None
    ) -> None:
        super().__init__(place, content_type)
        self._read_document = read_document if "json" in content_type else None
        self._document = bytearray()
        self._parser = SSEParser()
        self._head = bytearray()
        self._events = 0
        self._finished = False
        """Whether the model said why it stopped: then the answer is whole, even if the server says nothing more."""

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Yield the chunks that `piece` completes.

        Raises:
            ComponentError: If the server reports an error before the first chunk; the class says which.
            StreamBrokenError: If it does so later, or sends what is no JSON; `partial` holds what came before.
        """
        if self._read_document is not None:
            self._document += piece
            return
        if not self._events and len(self._head) < _HEAD_BYTES:
            self._head += piece[:_HEAD_BYTES]
        try:
            events = self._split(piece)
        except EventTooLongError as error:
            raise self.broken(str(error)) from error
        for event in events:
            if self.done:
                return
            for chunk in self._read(event):  # here and in `_last_event`: one more generator would cost 3 % of a chunk
                self.started = True
                yield chunk

    def end(self) -> Iterator[Message]:
        """Yield what is left when the connection has ended in the regular way.

        Raises:
            InvalidResponseError: If what came is no answer of a model.
            StreamBrokenError: If the answer is not whole; `partial` holds what there is.
        """
        if self._read_document is not None:
            yield self._read_document(bytes(self._document), self._place)
            return
        yield from self._last_event()
        if not self.done and not self._finished:
            raise self._incomplete()
        yield from self._rest()

    def _split(self, piece: bytes) -> list[ServerSentEvent]:
        """Return the events that `piece` completes."""
        return self._parser.feed(piece)

    @abstractmethod
    def _read(self, event: ServerSentEvent) -> Iterator[Message]:
        """Yield the chunks that an event carries."""

    @abstractmethod
    def _rest(self) -> Iterator[Message]:
        """Yield what can be told only when the answer is whole."""

    def _payload(self, data: str) -> Any:
        """Return the JSON of an event; None for one that is blank."""
        try:
            payload = _decode(data)
        except msgspec.DecodeError as error:
            text = data.strip()
            if not text:
                return None
            raise self.broken(f"an event is no JSON ({error}): {text[:100]!r}") from error
        self._events += 1
        return payload

    def _last_event(self) -> Iterator[Message]:
        """Read an event that lacks the empty line behind it."""
        event = self._parser.flush()
        if event is None or self.done:
            return
        try:
            for chunk in self._read(event):
                self.started = True
                yield chunk
        except StreamBrokenError as error:
            if isinstance(error.__cause__, msgspec.DecodeError):
                raise self.broken("the connection ended in the middle of an event") from error.__cause__
            raise

    def _incomplete(self) -> ComponentError:
        if self._events:
            return self.broken(f"the connection ended before the model had finished, without {self._END}")
        if not may_be_events(bytes(self._head)):
            return unreadable(self._place, "no events", self._content_type, bytes(self._head))
        return self.broken("the connection ended before the first event")
