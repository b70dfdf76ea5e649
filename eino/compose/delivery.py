"""The stream that a run hands to its caller: it carries the run's errors, its deadline, and its clean-up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from types import AsyncGeneratorType
from typing import Any, TypeVar

import anyio

from eino._run.frame import Frame
from eino._run.interrupt import InterruptSignal
from eino._tasks import now
from eino.compose.extra import RunExtra
from eino.compose.failures import error_text, node_failure
from eino.compose.stage import concat_stream
from eino.errors import ConcatError, RunError, RunTimeoutError
from eino.schema._concat import ConcatRegistry
from eino.schema._streams.source import OwningSource
from eino.schema.stream import StreamReader

__all__ = ["deliver", "read_out", "whole_output"]

T = TypeVar("T")


def deliver(reader: StreamReader[Any], frame: Frame, extra: RunExtra, deadline_s: float | None) -> StreamReader[Any]:
    """Return `reader` as the output of a run.

    Errors come out as `RunError`. When the stream ends or is closed, everything of the run is closed.

    Args:
        reader: What reached the end of the graph.
        frame: The frame of the run, at no node any more.
        extra: What belongs to the run.
        deadline_s: When the run must have ended, on the clock of `now()`; None for never.
    """
    return StreamReader(_Delivery(reader, frame, extra, deadline_s))


async def whole_output(reader: StreamReader[Any], concat: ConcatRegistry) -> Any:
    """Return the output stream of a run as one value.

    Raises:
        RunError: If it delivers an error, or its chunks do not fit together.
    """
    try:
        return await concat_stream(reader, concat)
    except ConcatError as error:
        raise RunError(error_text(error)) from error


async def read_out(open_reader: Callable[[], Awaitable[StreamReader[T]]]) -> AsyncIterator[T]:
    """Open a stream, yield what is in it, and close it.

    For the output of a run this is the only generator between its last node and the caller's loop: each one around
    another costs as much per chunk as a node.
    """
    reader = await open_reader()
    source = reader._source
    async with reader:
        if not isinstance(source, _Delivery) or source.has_deadline:
            async for item in reader:
                yield item
            return
        try:
            async for item in source.inner():
                yield item
        except Exception as error:
            failure = source.failure_of(error)
            raise failure from failure.__cause__
        except InterruptSignal as signal:
            raise source.interrupt_of(signal) from None


class _Delivery(OwningSource[Any]):
    """The output stream, with what must be closed when it ends."""

    __slots__ = ("_deadline_s", "_extra", "_frame", "_loop", "_reader")

    def __init__(self, reader: StreamReader[Any], frame: Frame, extra: RunExtra, deadline_s: float | None) -> None:
        super().__init__()
        self._reader = reader
        self._frame = frame
        self._extra = extra
        self._deadline_s = deadline_s
        self._loop: AsyncGeneratorType[Any, None] | None = None
        """What `async for` got. A loop that is left early leaves it open; it is closed with the stream."""

    async def __anext__(self) -> Any:
        self.require_present()
        try:
            return await (self._reader.__anext__() if self._deadline_s is None else self._pull_by(self._deadline_s))
        except StopAsyncIteration:
            await self._extra.finish()
            raise
        except Exception as error:
            failure = self.failure_of(error)
            raise failure from failure.__cause__
        except InterruptSignal as signal:
            raise self.interrupt_of(signal) from None

    async def _pull_by(self, deadline_s: float) -> Any:
        with anyio.move_on_after(max(0.0, deadline_s - now())):
            return await self._reader.__anext__()
        await self._aclose()
        raise RunTimeoutError(
            "the stream of the run did not end within timeout_s: raise it, or find out what the run waits for"
        )

    def iterate(self) -> AsyncIterator[Any]:
        self.require_free()
        if self._deadline_s is not None:
            return self
        loop = self._loop
        if loop is None or loop.ag_frame is None:
            self._loop = loop = self._items()  # type: ignore[assignment]  # it is an async generator
        return loop  # type: ignore[return-value]  # it is there now

    async def _items(self) -> AsyncIterator[Any]:
        """The fast way over the rest. Like any loop over a stream it ends at an error; another one goes on behind."""
        try:
            async for item in self._reader:
                yield item
        except Exception as error:
            failure = self.failure_of(error)
            raise failure from failure.__cause__
        except InterruptSignal as signal:
            raise self.interrupt_of(signal) from None
        await self._extra.finish()

    @property
    def has_deadline(self) -> bool:
        """Whether each pull is watched."""
        return self._deadline_s is not None

    def inner(self) -> AsyncIterator[Any]:
        """Return the stream as it reached the end of the graph, with its errors as they are."""
        self.require_free()
        return aiter(self._reader)

    def failure_of(self, error: Exception) -> RunError:
        """Return an error of the stream as one of the run."""
        return node_failure(error, self._frame, kind="graph")

    def interrupt_of(self, signal: InterruptSignal) -> BaseException:
        """Return an interrupt as the reader of a run's output sees it: inside another run it stays a signal."""
        return signal.told() if self._frame.parent is None else signal

    def _is_unfinished(self) -> bool:
        return not self._extra.finished

    def _is_busy(self) -> bool:
        return self._reader.is_busy or (self._loop is not None and self._loop.ag_running)

    async def aclose(self) -> None:
        if self._gone is None:
            await self._reader.aclose()  # says so when another task is inside the generator that it pulls
        await super().aclose()

    def _moved(self) -> _Delivery:
        moved = _Delivery(self._reader, self._frame, self._extra, self._deadline_s)
        moved._loop = self._loop
        moved.origin = self.origin
        return moved

    def _close(self) -> None:
        self._reader.close()
        self._extra.finish_nowait()

    async def _aclose(self) -> None:
        try:
            await self._reader.aclose()
            if self._loop is not None and not self._loop.ag_running:
                await self._loop.aclose()
        finally:
            await self._extra.finish()
