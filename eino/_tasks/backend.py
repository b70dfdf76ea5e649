"""Which event loop runs the caller. Nothing above this package asks."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Literal

__all__ = ["Backend", "asyncio_loop", "backend", "imported_trio", "is_cancellation"]

Backend = Literal["asyncio", "trio"]


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """Return the asyncio loop that runs the caller, or None under trio.

    Raises:
        RuntimeError: If no event loop runs in this thread.
    """
    trio = imported_trio()
    if trio is not None and trio.lowlevel.in_trio_run():
        return None
    return asyncio.get_running_loop()


def backend() -> Backend:
    """Return the name of the event loop library that runs the caller.

    Raises:
        RuntimeError: If no event loop runs in this thread.
    """
    return "trio" if asyncio_loop() is None else "asyncio"


def is_cancellation(error: BaseException) -> bool:
    """Return whether `error` tells a task to stop, in either library."""
    if isinstance(error, asyncio.CancelledError):
        return True
    trio = imported_trio()
    return trio is not None and isinstance(error, trio.Cancelled)


def imported_trio() -> ModuleType | None:
    """Return trio if the program uses it: where it was never imported, nobody runs it."""
    return sys.modules.get("trio")
