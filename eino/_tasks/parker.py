"""The cheapest ways for one task to sleep until another one wakes it."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from eino._tasks.backend import asyncio_loop

if TYPE_CHECKING:
    import trio

__all__ = ["Parker"]


class Parker:
    """Lets one task at a time sleep until it is woken.

    There is no permit: waking nobody is lost, so `park` belongs in a loop that first looks at what it waits for.
    Use it from one thread, the loop's; only finalizers may wake from elsewhere, and then the loop does it at its next
    turn. A cancelled sleeper counts as not parked, at once.
    """

    __slots__ = ("_loop", "_sleeper")

    def __init__(self) -> None:
        self._sleeper: _Sleeper | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_parked(self) -> bool:
        """Whether a task sleeps here."""
        return self._sleeper is not None and not self._sleeper.done()

    def park(self) -> Awaitable[None]:
        """Return what the caller must await at once: it sleeps until `unpark`.

        Raises:
            RuntimeError: If no event loop runs in this thread.
        """
        loop = self._loop
        if loop is None or loop is not _get_running_loop():
            self._loop = loop = asyncio_loop()
            if loop is None:
                self._sleeper = sleeper = _TrioSleeper()
                return sleeper.sleep()
        future: asyncio.Future[None] = asyncio.Future(loop=loop)
        self._sleeper = future
        return future

    def hand_off(self) -> None:
        """Wake the sleeper as soon as may be: here, at the loop's next turn."""
        self.unpark()

    def unpark(self) -> None:
        """Wake the sleeper; without one, do nothing."""
        sleeper = self._sleeper
        if sleeper is None:
            return
        self._sleeper = None
        if sleeper.done():
            return
        loop = self._loop
        if loop is None or loop is _get_running_loop():  # trio finds its thread by itself
            sleeper.set_result(None)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_settle, sleeper)


def _settle(sleeper: _Sleeper) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class _Sleeper(Protocol):
    """One sleep of one task: a future on asyncio."""

    def done(self) -> bool: ...

    def set_result(self, result: None, /) -> None: ...


class _TrioSleeper:
    """One sleep of one trio task."""

    __slots__ = ("_done", "_task", "_token")

    def __init__(self) -> None:
        import trio

        self._done = False
        self._task: trio.lowlevel.Task = trio.lowlevel.current_task()
        self._token = trio.lowlevel.current_trio_token()

    def done(self) -> bool:
        return self._done

    async def sleep(self) -> None:
        import trio

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._done = True
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def set_result(self, _result: None, /) -> None:
        import trio

        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._token:
            self._wake_here()
            return
        try:
            self._token.run_sync_soon(self._wake_here)
        except trio.RunFinishedError:
            return

    def _wake_here(self) -> None:
        import trio

        if not self._done:
            self._done = True
            trio.lowlevel.reschedule(self._task)
