"""JSON objects one after another: bytes in any pieces become the bytes of objects. Pure.

A stream of objects comes as an array (`[{...},` and so on, as Google's APIs do unless they are asked for events), or as
objects with anything in between.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["JSONObjects", "ObjectTooLongError"]

MAX_OBJECT_BYTES: Final = 64 * 1024 * 1024
"""Largest object that is kept, in bytes: far above any real one, below what would exhaust memory."""

_OUTSIDE: Final = re.compile(rb'["{}]')
_INSIDE_TEXT: Final = re.compile(rb'["\\]')


class ObjectTooLongError(ValueError):
    """An object grew past the limit without an end."""


class JSONObjects:
    """Splits a byte stream into its outermost JSON objects; each byte is looked at once.

    What stands between objects is skipped. Whether an object is valid is not checked, only where it ends.
    """

    def __init__(self, max_object_bytes: int = MAX_OBJECT_BYTES) -> None:
        self._buffer = bytearray()
        self._place = 0
        self._start = -1
        self._depth = 0
        self._in_text = False
        self._max_object_bytes = max_object_bytes

    @property
    def unfinished(self) -> bytes:
        """The beginning of an object whose end has not come."""
        return bytes(self._buffer[self._start :]) if self._start >= 0 else b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the objects that `piece` completes.

        Raises:
            ObjectTooLongError: If an object has grown past the limit.
        """
        self._buffer += piece
        found: list[bytes] = []
        while match := (_INSIDE_TEXT if self._in_text else _OUTSIDE).search(self._buffer, self._place):
            mark, end = match[0], match.end()
            if mark == b"\\":
                if end == len(self._buffer):
                    self._place = match.start()  # what is escaped has not come yet
                    return found
                end += 1
            elif mark == b'"':
                self._in_text = not self._in_text if self._depth else False
            elif mark == b"{":
                if not self._depth:
                    self._start = match.start()
                self._depth += 1
            elif self._depth:
                self._depth -= 1
                if not self._depth:
                    found.append(bytes(self._buffer[self._start : end]))
                    self._start = -1
            self._place = end
        self._forget()
        return found

    def _forget(self) -> None:
        """Drop what lies before the object that is open, if any."""
        self._place = len(self._buffer)
        done = self._start if self._start >= 0 else self._place
        del self._buffer[:done]
        self._place -= done
        self._start = 0 if self._start >= 0 else -1
        if len(self._buffer) > self._max_object_bytes:
            raise ObjectTooLongError(f"a JSON object is longer than {self._max_object_bytes} bytes")
