"""Ids of the messages that agents make: an event and what is stored of it can be told to be the same message."""

from __future__ import annotations

import os
from random import Random, SystemRandom
from typing import Any, Final

from msgspec.structs import replace

from eino.schema.message import Message

__all__ = ["ID_KEY", "ensure_message_id", "message_id", "new_message_id", "with_message_id"]

ID_KEY: Final = "_eino_msg_id"
"""Key in `Message.extra`. Source: the Go original, so that stored conversations move across."""


class _Source:
    """Random ids without a system call each; a forked process draws others than its parent."""

    def __init__(self) -> None:
        self._pid = 0
        self._random = Random(0)  # noqa: S311 - no secret; seeded from the system before its first use

    def next(self) -> str:
        pid = os.getpid()
        if pid != self._pid:
            self._pid = pid
            self._random = Random(SystemRandom().getrandbits(256))  # noqa: S311 - no secret
        return f"{self._random.getrandbits(128):032x}"


_source = _Source()


def new_message_id() -> str:
    """Return 128 random bits as hexadecimal digits."""
    return _source.next()


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
