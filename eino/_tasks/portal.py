"""The one thread with an event loop of its own, for code that cannot await."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from eino._tasks.backend import backend
from eino.errors import EinoError

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

__all__ = ["RunningLoopError", "call_in_portal"]

T = TypeVar("T")


class RunningLoopError(EinoError, RuntimeError):
    """A blocking call was made in a thread whose event loop is running: it would stop the loop."""


class _Portal:
    """Started on first use, once per process; a forked child starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._portal: BlockingPortal | None = None

    def get(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None or self._pid != os.getpid():
                from anyio.from_thread import start_blocking_portal

                stack = ExitStack()
                self._portal = stack.enter_context(start_blocking_portal("asyncio", name="eino-portal"))
                self._pid = os.getpid()
                atexit.register(self._stop, stack, self._pid)
            return self._portal

    @staticmethod
    def _stop(stack: ExitStack, pid: int) -> None:
        if pid == os.getpid():
            stack.close()


_portal = _Portal()


def call_in_portal(function: Callable[..., Awaitable[T]], *args: Any, instead: str) -> T:
    """Return `await function(*args)`, run in the portal's thread; the caller's context variables are visible there.

    Args:
        function: An async function.
        args: Its arguments.
        instead: What to write in async code, for the error.

    Raises:
        RunningLoopError: If the calling thread runs an event loop.
    """
    if _loop_is_running():
        raise RunningLoopError(f"a blocking call inside a running event loop would stop it: write `{instead}` instead")
    return _portal.get().call(function, *args)


def _loop_is_running() -> bool:
    try:
        backend()
    except RuntimeError:
        return False
    return True
