"""Task groups for nodes that run beside each other.

Unlike `asyncio.TaskGroup` and nurseries, a group hands over each outcome as it comes, keeps an error apart from the
others instead of wrapping it in an exception group, and lets its owner decide what an error means. When the block
ends, whatever still runs is cancelled and awaited: nothing outlives it.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    import trio

__all__ = ["Outcome", "TaskGroup", "task_group"]

Outcome = tuple[int, Any, "BaseException | None"]
"""Key of the task, its result, and what it raised (None when it returned)."""

_EAGER = sys.version_info >= (3, 12)


class TaskGroup(AbstractAsyncContextManager["TaskGroup"], Protocol):
    """Tasks that end with the block. `done` holds the outcomes nobody took yet, in the order of completion."""

    done: deque[Outcome]

    def start(self, key: int, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` beside what runs already; on Python 3.12 and later it starts at once, up to its first wait."""
        ...

    async def wait(self) -> None:
        """Return when `done` is not empty. Waits for ever when nothing runs."""
        ...


def task_group() -> TaskGroup:
    """Return a new group for the running backend."""
    loop = _get_running_loop()
    return _AsyncioGroup(loop) if loop is not None else _TrioGroup()


class _AsyncioGroup:
    __slots__ = ("_keys", "_loop", "_waiter", "done")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._keys: dict[asyncio.Task[Any], int] = {}
        self._waiter: asyncio.Future[None] | None = None
        self.done: deque[Outcome] = deque()

    async def __aenter__(self) -> Self:
        return self

    def start(self, key: int, work: Coroutine[Any, Any, Any]) -> None:
        if _EAGER:
            task = asyncio.Task(work, loop=self._loop, eager_start=True)  # type: ignore[call-arg]  # since 3.12
            if task.done():
                self.done.append(_outcome(key, task))
                return
        else:
            task = asyncio.Task(work, loop=self._loop)
        self._keys[task] = key
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self.done.append(_outcome(self._keys.pop(task), task))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        if self.done:
            return
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._keys:
            return
        for task in self._keys:
            task.cancel()
        import anyio

        interrupted: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):  # a cancelled scope of anyio would wake us at each turn of the loop
            while self._keys:  # a task may take its time to clean up; ours stays here until the last has ended
                self.done.clear()
                try:
                    await self.wait()
                except asyncio.CancelledError as again:
                    interrupted = again
        if interrupted is not None:
            raise interrupted


def _outcome(key: int, task: asyncio.Task[Any]) -> Outcome:
    try:
        return key, task.result(), None
    except asyncio.CancelledError:
        return key, None, asyncio.CancelledError(f"task {task.get_name()!r} was cancelled from outside its run")
    except BaseException as error:
        return key, None, error


class _TrioGroup:
    __slots__ = ("_manager", "_nursery", "_ready", "done")

    def __init__(self) -> None:
        import trio

        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery
        self._ready = trio.Event()
        self.done: deque[Outcome] = deque()

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        return self

    def start(self, key: int, work: Coroutine[Any, Any, Any]) -> None:
        self._nursery.start_soon(self._run, key, work)

    async def _run(self, key: int, work: Coroutine[Any, Any, Any]) -> None:
        import trio

        try:
            outcome: Outcome = (key, await work, None)
        except trio.Cancelled:
            return  # the block is being left; its own exception tells why
        except BaseException as error:
            outcome = (key, None, error)
        self.done.append(outcome)
        self._ready.set()

    async def wait(self) -> None:
        import trio

        while not self.done:
            if self._ready.is_set():
                self._ready = trio.Event()
            await self._ready.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The nursery never sees the error, because it would wrap it in an exception group.
        self._nursery.cancel_scope.cancel()
        await self._manager.__aexit__(None, None, None)
