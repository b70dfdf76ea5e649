"""`around`: what a component that fires its own callbacks puts around its work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from eino._run.frame import current
from eino._run.ids import next_seq
from eino.callbacks._handler import RunInfo
from eino.callbacks._observer import Observer, observer_of
from eino.errors import EndOfStream
from eino.schema.stream import StreamReader

__all__ = ["Span", "around"]

T = TypeVar("T")


class Span:
    """One piece of work that handlers hear of; made by `around`."""

    __slots__ = ("_ended", "_info", "_observer")

    def __init__(self, observer: Observer | None, info: RunInfo | None) -> None:
        self._observer = observer
        self._info = info
        self._ended = False

    def end(self, output: Any) -> None:
        """Tell the handlers that the work ended with `output`. Call it once, last; without it nothing is told."""
        self._ended = True
        if self._observer is not None and self._info is not None:
            self._observer.end(self._info, output)

    def end_stream(self, reader: StreamReader[T]) -> StreamReader[T]:
        """Tell the handlers that the work gave a stream; return the reader to hand on instead of `reader`.

        Call it once, last, and inside the block. Each handler that wants one gets a copy; what it leaves unread is
        closed when the returned reader ends or is closed.
        """
        self._ended = True
        if self._observer is None or self._info is None:
            return reader
        copies: list[StreamReader[Any]] = []
        try:
            rest: StreamReader[T] = self._observer.end_stream(self._info, reader, copies.append)
        except BaseException:
            for copy in copies:
                copy.close()
            reader.close()
            raise
        return StreamReader.from_async(_WithCopies(rest, copies)) if copies else rest

    def _error(self, failure: BaseException) -> None:
        if self._observer is not None and self._info is not None and not self._ended:
            self._observer.error(self._info, failure)


class _WithCopies:
    """The reader that goes on, which closes the handlers' copies behind it."""

    def __init__(self, rest: StreamReader[Any], copies: list[StreamReader[Any]]) -> None:
        self._rest = rest
        self._copies = copies

    def __aiter__(self) -> _WithCopies:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._rest.recv()
        except EndOfStream:
            await self.aclose()
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        for reader in (self._rest, *self._copies):
            await reader.aclose()


@contextmanager
def around(component: str, *, name: str, type: str = "", input: Any = None) -> Iterator[Span]:  # noqa: A002
    """Tell the handlers of the run that a component starts, ends (`span.end(output)`) or fails.

    A component that gives a stream ends with `return span.end_stream(reader)` instead.

    For components that fire their own callbacks (`self_instrumented = True`) and for work below a node, such as one
    tool call. What runs inside the block counts as its child. Outside a run the global handlers hear it.

    Args:
        component: Kind, such as `"ChatTemplate"` or `"Tool"`.
        name: Name that `RunInfo.name` shows.
        type: Name of the implementation.
        input: What the handlers' `on_start` gets.
    """
    frame = current.get()
    observer = frame.observer if frame is not None else observer_of(None)
    if observer is None:
        yield _SILENT
        return
    outer_seq = (frame.node_seq or frame.seq) if frame is not None else 0
    info = RunInfo(name, type, component, next_seq(), outer_seq)
    span = Span(observer, info)
    if frame is not None:
        frame.node_seq = info.seq
    try:
        observer.start(info, input)
        yield span
    except BaseException as failure:
        span._error(failure)
        raise
    finally:
        if frame is not None:
            frame.node_seq = outer_seq


_SILENT = Span(None, None)
