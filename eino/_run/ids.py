"""Run ids: cheap, unique in a process, told apart between processes by a random prefix."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable

__all__ = ["next_seq", "restart_ids", "run_id"]


class _Ids:
    """The prefix, drawn again after a fork so that children differ, and the number that ids count from."""

    def __init__(self) -> None:
        self.pid = 0
        self.prefix = ""
        self.fixed = False
        self.start = 0


_ids = _Ids()

next_seq: Callable[[], int] = itertools.count(1).__next__
"""Returns the next number; a run, a node invocation and a tool call each take one when somebody listens."""


def run_id(seq: int) -> str:
    """Return the text form of a number from `next_seq`, such as `"5f2c9a1e-17"`."""
    if not _ids.fixed and _ids.pid != os.getpid():
        _ids.pid = os.getpid()
        _ids.prefix = secrets.token_hex(4)
    return f"{_ids.prefix}-{seq - _ids.start}"


def restart_ids(prefix: str) -> Callable[[], None]:
    """Count from 1 under a fixed prefix, for tests that compare ids; the returned function undoes it."""
    before = (_ids.pid, _ids.prefix, _ids.fixed, _ids.start)
    _ids.prefix, _ids.fixed, _ids.start = prefix, True, next_seq()

    def undo() -> None:
        _ids.pid, _ids.prefix, _ids.fixed, _ids.start = before

    return undo
