"""Server-sent events: bytes in any pieces become events. Pure: no I/O, no clock.

Source: WHATWG HTML Living Standard, section 9.2 "Server-sent events", 9.2.5 and 9.2.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["EventTooLongError", "SSEParser", "ServerSentEvent", "may_be_events"]

MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
"""Largest event that is kept, in bytes: far above any real one, below what would exhaust memory."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


_FIELDS: Final = (b":", b"data", b"event", b"id", b"retry")
"""What an event stream begins with, even one that ends before its first event."""


def may_be_events(head: bytes) -> bool:
    """Return whether a body that begins so may be an event stream, however early it was cut off."""
    head = head.lstrip(b"\xef\xbb\xbf\r\n\t ")
    return any(head.startswith(field) or field.startswith(head) for field in _FIELDS)


class EventTooLongError(ValueError):
    """An event grew past the limit without an end."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream."""

    data: str
    """The data lines, joined by line feeds."""
    event: str = ""
    """The type of the event; empty for the default, `message`."""


class SSEParser:
    """Splits a byte stream into events, wherever it is cut: inside a line end, a character, or a byte order mark.

    Ids and reconnection times are left out, since an answer of a model cannot be resumed. Work and memory grow with
    the bytes received, never with their square.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._at_start = True
        self._skip_line_feed = False
        self._data: list[bytes] = []
        self._event = b""
        self._size = 0
        self._max_event_bytes = max_event_bytes

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """Return the events that `piece` completes.

        Raises:
            EventTooLongError: If an event has grown past the limit.
        """
        self._buffer += piece
        if self._at_start and not self._drop_byte_order_mark():
            return []
        events = []
        for line in self._lines():
            event = self._line(line)
            if event is not None:
                events.append(event)
        if self._size + len(self._buffer) > self._max_event_bytes:
            raise EventTooLongError(f"an event is longer than {self._max_event_bytes} bytes")
        return events

    def flush(self) -> ServerSentEvent | None:
        """Return the event that the end of the stream cut off, or None.

        The standard drops it. A model's last event may lack the empty line behind it and still be whole, so the
        caller looks at it.
        """
        if self._buffer:
            self._line(bytes(self._buffer))
            self._buffer.clear()
        return self._take()

    def _drop_byte_order_mark(self) -> bool:
        """Return whether the start is known: a byte order mark may still be incomplete."""
        head = bytes(self._buffer[:3])
        if len(head) < 3 and _BYTE_ORDER_MARK.startswith(head):
            return False
        if head == _BYTE_ORDER_MARK:
            del self._buffer[:3]
        self._at_start = False
        return True

    def _lines(self) -> list[bytes]:
        """Take the complete lines out of the buffer; CR, LF and CR LF end a line."""
        buffer = self._buffer
        if self._skip_line_feed and buffer:
            if buffer[0] == 0x0A:
                del buffer[:1]
            self._skip_line_feed = False
        if b"\r" not in buffer[self._searched :]:  # the usual case; CR needs the slower way
            end = buffer.rfind(b"\n", self._searched)
            if end < 0:
                self._searched = len(buffer)
                return []
            lines = bytes(buffer[:end]).split(b"\n")
        else:
            end = max(buffer.rfind(b"\n"), buffer.rfind(b"\r"))
            self._skip_line_feed = end == len(buffer) - 1 and buffer[end] == 0x0D
            lines = bytes(buffer[: end + 1]).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
        del buffer[: end + 1]
        self._searched = len(buffer)
        return lines

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._take()
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._event = value
        return None

    def _take(self) -> ServerSentEvent | None:
        """Return the event that is complete; one without data lines is none."""
        data, self._data = self._data, []
        event, self._event = self._event, b""
        self._size = 0
        if not data:
            return None
        joined = data[0] if len(data) == 1 else b"\n".join(data)
        return ServerSentEvent(joined.decode("utf-8", "replace"), event.decode("utf-8", "replace"))
