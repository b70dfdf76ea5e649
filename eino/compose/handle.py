"""Handles of runs in the background."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from eino._tasks import TaskHandle, shielded, spawn
from eino.compose.delivery import whole_output
from eino.compose.external import External
from eino.errors import EinoError, RunCancelledError
from eino.schema._concat import ConcatRegistry
from eino.schema.stream import StreamReader

__all__ = ["HandleError", "RunHandle"]

O = TypeVar("O")  # noqa: E741 - output, as everywhere in eino


_NONE: Any = object()  # no answer yet; None may be one


class HandleError(EinoError, RuntimeError):
    """A handle was used in a way that does not fit its run."""


class RunHandle(Generic[O]):
    """A run in the background: it begins when the block is entered, and what still runs is cancelled when it is left.

    Any task may use the handle, also several at once.
    """

    def __init__(
        self,
        begin: Callable[[], Awaitable[Any]],
        *,
        streams: bool,
        name: str,
        concat: ConcatRegistry,
        external: External,
    ) -> None:
        """Private: use `Runnable.start`."""
        self._begin = begin
        self._streams = streams
        self._concat = concat
        self._external = external
        self._name = name or "a graph"
        self._task: TaskHandle | None = None
        self._answer: Any = _NONE
        self._failure: BaseException | None = None
        self._cancelled = False

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise HandleError("a handle stands for one run: call runnable.start(...) again for another one")
        self._task = spawn(self._run, name=f"eino: run of {self._name}")
        return self

    async def _run(self) -> None:
        try:
            self._answer = await self._begin()
        except Exception as error:
            self._failure = error

    @property
    def done(self) -> bool:
        """Whether the run has ended; a stream run when its stream is open."""
        return self._task is not None and self._task.done

    async def result(self) -> O:
        """Wait for the run and return its output; a stream run's as one value.

        Cancelling the waiter leaves the run alone.

        Raises:
            RunError: What the run raised.
            RunCancelledError: If the run was cancelled through the handle.
        """
        answer = await self._wait()
        if self._streams:
            return await whole_output(answer, self._concat)  # type: ignore[no-any-return]  # the run's own output type
        return answer  # type: ignore[no-any-return]  # the run's own output type

    async def stream(self) -> StreamReader[O]:
        """Wait until the output stream is open and return it. It belongs to the caller, and closes with the block.

        Raises:
            HandleError: If the run was not started with `stream=True`.
            RunError: What the run raised.
            RunCancelledError: If the run was cancelled through the handle.
        """
        if not self._streams:
            raise HandleError("this run gives a value: start it with stream=True, or call handle.result()")
        return await self._wait()  # type: ignore[no-any-return]  # the run's own output type

    async def interrupt(self, *, timeout_s: float | None = None) -> None:
        """Stop the run so that it can go on later, and return when it has stopped; `result()` raises `GraphInterrupt`.

        Nodes that run are waited for, and what they gave is kept. A run that reaches its end meanwhile ends as usual,
        and so does one whose output stream is open already.

        Args:
            timeout_s: How long to wait for running nodes, in seconds. Those that take longer are cancelled, and run
                again on resume; 0 cancels them at once. None waits for all.

        Raises:
            HandleError: If the run has not begun, or `timeout_s` is negative.
        """
        if self._task is None:
            raise HandleError("the run has not begun: use `async with runnable.start(...) as handle:`")
        if timeout_s is not None and not (isinstance(timeout_s, (int, float)) and timeout_s >= 0):
            raise HandleError(f"interrupt(timeout_s={timeout_s!r}): give seconds from 0, or None")
        self._external.request(timeout_s)
        await self._task.wait_ended()

    async def cancel(self) -> None:
        """Cancel the run and wait until nothing of it is left. A run that has ended does not mind."""
        if self._task is None:
            return
        if not self._task.done:
            self._cancelled = True
            self._task.cancel()
            await self._task.wait_ended()
        if self._streams and self._answer is not _NONE:
            await self._answer.aclose()

    async def _wait(self) -> Any:
        if self._task is None:
            raise HandleError("the run has not begun: use `async with runnable.start(...) as handle:`")
        await self._task.join()
        if self._failure is not None:
            raise self._failure
        if self._cancelled:
            raise RunCancelledError("the run has been canceled through its handle")
        if self._answer is _NONE:
            raise RunCancelledError("the run has been canceled, and not through its handle: its event loop ends")
        return self._answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await shielded(self.cancel)
