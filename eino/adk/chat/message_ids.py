"""Ids of the messages that agents make: an event and what is stored of it can be told to be the same message."""

from __future__ import annotations

import itertools
import os
import secrets
from typing import Any, Final

from msgspec.structs import replace

from eino.schema.message import Message

__all__ = ["ID_KEY", "ensure_message_id", "message_id", "new_message_id", "with_message_id"]

ID_KEY: Final = "_eino_msg_id"
"""Key in `Message.extra`. Source: the Go original, so that stored conversations move across."""


_LAST_DIGITS: Final = tuple(f"{number:03x}" for number in range(4096))


class _Source:
    """Ids of a random part, drawn once a process, and a number: drawing each would be half of what an event costs.

    Writing the number out would be a fifth of it, so all but the last three digits are kept from id to id.
    """

    def __init__(self) -> None:
        self._prefix = ""
        self._numbers = itertools.count()
        self._kept: tuple[int, str] = (-1, "")
        """All digits of a number but the last three, and the text of an id up to there."""
        self._is_registered = False

    def next(self) -> str:
        number = next(self._numbers)
        digits, text = self._kept
        if digits != number >> 12:
            text = self._up_to(number >> 12)
        return text + _LAST_DIGITS[number & 4095]

    def _up_to(self, digits: int) -> str:
        if not self._prefix:
            self._prefix = secrets.token_hex(10)
        if not self._is_registered and hasattr(os, "register_at_fork"):
            self._is_registered = True
            os.register_at_fork(after_in_child=self._forget)
        text = f"{self._prefix}{digits:09x}"
        self._kept = digits, text
        return text

    def _forget(self) -> None:
        """Draw anew at the next id: a forked process must not give those of its parent."""
        self._prefix, self._kept = "", (-1, "")


_source = _Source()


new_message_id: Final = _source.next
"""Returns 32 hexadecimal digits that no other message has: 80 random bits, and a number."""


def message_id(message: Message) -> str | None:
    """Return the id that an agent gave the message; None if it has none."""
    found: Any = message.extra.get(ID_KEY)
    return found if isinstance(found, str) else None


def with_message_id(message: Message, id: str) -> Message:  # noqa: A002 - what it is
    """Return a copy that has this id."""
    extra = message.extra
    return replace(message, extra={**extra, ID_KEY: id} if extra else {ID_KEY: id})


def ensure_message_id(message: Message) -> Message:
    """Return the message if it has an id, else a copy that has one; what middlewares send needs it."""
    return message if ID_KEY in message.extra else with_message_id(message, _source.next())
