"""Who has a run: one call of one process, as the store names it, and whether it is still at work."""

from __future__ import annotations

import functools
import itertools
import os
import secrets
import socket
from typing import Final
from weakref import WeakValueDictionary

__all__ = ["Owner", "is_left_by"]

_AT_WORK: Final[WeakValueDictionary[str, Owner]] = WeakValueDictionary()
_COUNT: Final = itertools.count(1)


class Owner:
    """One call that has, or wants, a run. When it is dropped, the call is over, whatever became of the run.

    So a run that a call could not leave properly, because the store was down or a stream was dropped, can be claimed by
    the next call of the same process. Other processes ask the store whether this one lives.
    """

    def __init__(self) -> None:
        self.name = f"{_process(os.getpid())}/{next(_COUNT)}"
        """As it stands in the store: host, process and number of the call."""
        _AT_WORK[self.name] = self

    def leave(self) -> None:
        """Note that the call is over."""
        _AT_WORK.pop(self.name, None)


def is_left_by(name: str, caller: Owner) -> bool:
    """Return whether the owner of this name is a call of this process that is over, or `caller` itself."""
    return name == caller.name or (name.startswith(f"{_process(os.getpid())}/") and name not in _AT_WORK)


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> str:
    """Return the name of this process; the number of a dead one may be given out again, so it has a random part."""
    return f"{socket.gethostname()}:{pid}:{secrets.token_hex(4)}"
