"""Running a sleeping task at once, instead of at the loop's next turn.

A reader that needs one element from a task behind its stream would otherwise cost two turns of the loop for each
element: one until the task runs, one until the reader does. asyncio documents how a running task may be left for
another one ("Extending asyncio": `_leave_task`, `_enter_task`); the loop itself does no more than that. The woken
task runs as itself: in its own context, as the current task, so timeouts and cancellation bind to it.

Source: https://docs.python.org/3/library/asyncio-extending.html
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from asyncio.events import _get_running_loop
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Self

from eino._tasks.backend import asyncio_loop
from eino._tasks.parker import Parker

__all__ = ["HandoffParker"]

DEEPEST = 16
"""How many tasks may run inside each other; beyond, the loop's turn is awaited, so that no stack overflows."""


class HandoffParker:
    """A `Parker` whose sleeper can be run inside the call that wakes it, by `hand_off`.

    On asyncio it is itself what the task awaits: as much of a future as a task needs, used again and again. On trio
    it is a `Parker`.
    """

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_loop", "_nesting", "_parker", "_settled", "_sleeper")

    def __init__(self) -> None:
        self._parker = Parker()
        self._sleeper: tuple[Callable[[Any], object], contextvars.Context] | None = None
        self._cancelled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asyncio_future_blocking = False
        self._nesting: _Nesting
        self._settled: asyncio.Future[None]

    @property
    def is_parked(self) -> bool:
        """Whether a task sleeps here."""
        return self._sleeper is not None or self._parker.is_parked

    def park(self) -> Awaitable[None]:
        """Return what the caller must await at once: it sleeps until it is woken.

        Raises:
            RuntimeError: If no event loop runs in this thread.
        """
        if self._loop is None or self._loop is not _get_running_loop():
            self._loop = asyncio_loop()
            if self._loop is None:
                return self._parker.park()
            self._nesting = _threads.nesting
            self._settled = asyncio.Future(loop=self._loop)
            self._settled.set_result(None)
        return self

    def unpark(self) -> None:
        """Wake the sleeper at the loop's next turn; without one, do nothing."""
        loop, sleeper = self._loop, self._sleeper
        self._sleeper = None
        if loop is None:
            self._parker.unpark()
        elif sleeper is None or loop.is_closed():
            return
        elif loop is _get_running_loop():
            loop.call_soon(sleeper[0], self, context=sleeper[1])
        else:
            loop.call_soon_threadsafe(sleeper[0], self, context=sleeper[1])

    def hand_off(self) -> None:
        """Wake the sleeper and let it run now, up to its next wait; without one, do nothing."""
        loop, sleeper = self._loop, self._sleeper
        if loop is None or sleeper is None or loop is not _get_running_loop() or self._nesting.depth >= DEEPEST:
            self.unpark()
            return
        self._sleeper = None
        wake_up, context = sleeper
        caller = asyncio.current_task(loop)
        if caller is not None:
            _leave_task(loop, caller)
        self._nesting.depth += 1
        try:
            context.run(wake_up, self._settled)
        finally:
            self._nesting.depth -= 1
            if caller is not None:
                _enter_task(loop, caller)

    # What asyncio asks of whatever a task awaits, besides `_loop`:

    def __await__(self) -> Generator[Self, None, None]:
        self._cancelled = False
        self._asyncio_future_blocking = True
        yield self

    def add_done_callback(self, wake_up: Callable[[Any], object], *, context: contextvars.Context) -> None:
        """Note how to run the task that falls asleep."""
        self._sleeper = wake_up, context

    def cancel(self, msg: object = None) -> bool:
        """Wake the task with a cancellation; return False if it was being woken already."""
        if self._sleeper is None:
            return False
        self._cancelled = True
        self.unpark()
        return True

    def done(self) -> bool:
        """Return whether nobody sleeps here; tools that look at what tasks wait for ask this."""
        return self._sleeper is None

    def result(self) -> None:
        """Let the woken task go on, or be cancelled."""
        if self._cancelled:
            raise asyncio.CancelledError


class _Nesting:
    """How many tasks run inside each other in one thread."""

    __slots__ = ("depth",)

    def __init__(self) -> None:
        self.depth = 0


class _Threads(threading.local):
    """What each thread has of its own."""

    def __init__(self) -> None:
        self.nesting = _Nesting()


_threads = _Threads()
