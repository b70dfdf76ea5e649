"""Event loops that stay open for a whole benchmark, so that starting one is not timed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

__all__ = ["LOOP_NAMES", "AsyncioDriver", "LoopDriver", "TrioDriver", "open_loop"]

LOOP_NAMES = ("asyncio", "uvloop", "trio")

_T = TypeVar("_T")


class LoopDriver(Protocol):
    """Runs coroutine functions from synchronous code, in one kind of event loop."""

    name: str

    def run(self, func: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Return what `func()` returns."""
        ...

    def close(self) -> None:
        """End the loop."""
        ...


class AsyncioDriver:
    """One asyncio loop (or uvloop's) for all calls."""

    def __init__(self, name: str, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
        self.name = name
        self._runner = asyncio.Runner(loop_factory=loop_factory)

    def run(self, func: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Return what `func()` returns."""
        return self._runner.run(func())

    def close(self) -> None:
        """Cancel what still runs and close the loop."""
        self._runner.close()


class TrioDriver:
    """A trio run per call: trio cannot be left and entered again."""

    name = "trio"

    def run(self, func: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Return what `func()` returns."""
        import trio

        return trio.run(func)

    def close(self) -> None:
        """Do nothing: each run ended by itself."""


def open_loop(name: str) -> LoopDriver:
    """Return a driver for `"asyncio"`, `"uvloop"` or `"trio"`; close it when done.

    Raises:
        ValueError: If there is no loop of that name.
        ModuleNotFoundError: If its library is not installed.
    """
    match name:
        case "asyncio":
            return AsyncioDriver(name, None)
        case "uvloop":
            import uvloop

            return AsyncioDriver(name, uvloop.new_event_loop)
        case "trio":
            return TrioDriver()
        case _:
            raise ValueError(f"no event loop is named {name!r}: choose one of {LOOP_NAMES}")
