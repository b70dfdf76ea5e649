"""Tasks that run behind a stream or a run, and end with it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVarTuple

from eino._tasks.backend import asyncio_loop, is_cancellation

if TYPE_CHECKING:
    import trio

__all__ = ["TaskHandle", "spawn"]

Args = TypeVarTuple("Args")

_log = logging.getLogger("eino.tasks")

_without_handle: set[asyncio.Task[None]] = set()
"""Tasks whose handle was dropped before they ended. asyncio itself keeps only weak references to tasks."""


class TaskHandle(ABC):
    """One background task. Whoever started it cancels it and waits for its end."""

    __slots__ = ("_cancel_requested",)

    def __init__(self) -> None:
        self._cancel_requested = False

    @property
    def cancel_requested(self) -> bool:
        """Whether `cancel` was called: tells an expected end from one that came from outside."""
        return self._cancel_requested

    def cancel(self) -> None:
        """Ask the task to stop. From any thread, at any time, as often as you like; a finished task does not mind."""
        self._cancel_requested = True
        self._cancel()

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the task has ended."""

    @property
    @abstractmethod
    def is_current(self) -> bool:
        """Whether the caller runs in this very task, which therefore cannot wait for its own end."""

    async def join(self) -> None:
        """Wait until the task has ended; cancelling the waiter leaves the task alone.

        Raises:
            BaseException: What the task's function raised, unless it was cancelled.
        """
        await self.wait_ended()
        error = self._failure()
        if error is not None:
            raise error

    @abstractmethod
    async def wait_ended(self) -> None:
        """Wait until the task has ended, however; cancelling the waiter leaves the task alone."""

    @abstractmethod
    def _failure(self) -> BaseException | None: ...

    @abstractmethod
    def _cancel(self) -> None: ...


def spawn(
    async_fn: Callable[[*Args], Coroutine[Any, Any, None]],
    /,
    *args: *Args,
    name: str | None = None,
    context: contextvars.Context | None = None,
) -> TaskHandle:
    """Start `async_fn(*args)` in a task of its own and return its handle.

    The task begins at the loop's next turn, in `context` or a copy of the caller's. Nothing awaits it: keep the
    handle, cancel and join it. A function that can fail should catch its own errors; one that it lets through is
    raised by `join`.

    Raises:
        RuntimeError: If no event loop runs in this thread.
    """
    label = name if name is not None else str(getattr(async_fn, "__qualname__", async_fn))
    loop = asyncio_loop()
    if loop is not None:
        return _AsyncioHandle(loop, async_fn(*args), label, context)
    return _TrioHandle(async_fn, args, label, context or contextvars.copy_context())


class _AsyncioHandle(TaskHandle):
    __slots__ = ("_loop", "_task")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        run: Coroutine[Any, Any, None],
        name: str,
        context: contextvars.Context | None,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._task = loop.create_task(run, name=name, context=context)

    def __repr__(self) -> str:
        return f"<task {self._task.get_name()!r}>"

    @property
    def done(self) -> bool:
        return self._task.done()

    @property
    def is_current(self) -> bool:
        return asyncio.current_task(self._loop) is self._task

    async def wait_ended(self) -> None:
        if not self._task.done():
            await asyncio.wait([self._task])

    def __del__(self) -> None:
        """Keep the task until it has ended. Doing so from its start would cost each one a callback."""
        task: asyncio.Task[None] | None = getattr(self, "_task", None)
        if task is None or task.done() or self._loop.is_closed():
            return
        _without_handle.add(task)
        if asyncio._get_running_loop() is self._loop:
            _until_done(task)
        else:
            self._loop.call_soon_threadsafe(_until_done, task)

    def _failure(self) -> BaseException | None:
        return None if self._task.cancelled() else self._task.exception()

    def _cancel(self) -> None:
        if asyncio._get_running_loop() is self._loop:
            self._task.cancel()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)


def _until_done(task: asyncio.Task[None]) -> None:
    task.add_done_callback(_without_handle.discard)


class _TrioHandle(TaskHandle):
    __slots__ = ("_ended", "_error", "_scope", "_task", "_token")

    def __init__(
        self,
        async_fn: Callable[..., Coroutine[Any, Any, None]],
        args: tuple[Any, ...],
        name: str,
        context: contextvars.Context,
    ) -> None:
        import trio

        super().__init__()
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._error: BaseException | None = None
        self._token = trio.lowlevel.current_trio_token()
        self._task: trio.lowlevel.Task = trio.lowlevel.spawn_system_task(
            self._run, async_fn, args, name=name, context=context
        )

    def __repr__(self) -> str:
        return f"<task {self._task.name!r}>"

    async def _run(self, async_fn: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]) -> None:
        """Keep every error: one that leaves a system task takes the whole run down."""
        try:
            with self._scope:
                await async_fn(*args)
        except BaseException as error:
            if is_cancellation(error):  # the whole run ends
                raise
            self._error = error
        finally:
            self._ended.set()

    @property
    def done(self) -> bool:
        return self._ended.is_set()

    @property
    def is_current(self) -> bool:
        import trio

        return trio.lowlevel.in_trio_task() and trio.lowlevel.current_task() is self._task

    async def wait_ended(self) -> None:
        await self._ended.wait()

    def _failure(self) -> BaseException | None:
        error, self._error = self._error, None
        return error

    def __del__(self) -> None:
        """Do as asyncio does: log an error that nobody looked at."""
        if self._error is not None:
            _log.error("the error of background task %r was never looked at", self._task.name, exc_info=self._error)

    def _cancel(self) -> None:
        import trio

        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._token:
            self._scope.cancel()
            return
        try:
            self._token.run_sync_soon(self._scope.cancel)
        except trio.RunFinishedError:
            return
