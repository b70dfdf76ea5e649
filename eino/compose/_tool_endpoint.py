"""The inner end of a tool call: the middlewares, the callbacks, the tool itself."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from typing import Any, Final

from eino._run.frame import Frame, current
from eino._run.ids import next_seq
from eino.callbacks import Observer, RunInfo, observer_of
from eino.components.naming import type_name
from eino.compose import instrument
from eino.compose._tool_input import ToolInput, ToolMiddleware, ToolNext, ToolOutput, awaited
from eino.compose.extra import RunExtra
from eino.errors import BuildError, RunError, ToolError
from eino.schema.stream import StreamReader
from eino.schema.tool import ToolInfo
from eino.schema.tool_result import ToolResult

__all__ = ["HandlerFailure", "UnknownTool", "Way", "behind", "run_tool"]


class HandlerFailure(BaseException):
    """A callback handler failed. That fails the run and is no failure of the tool: nothing may answer for it."""

    def __init__(self, error: RunError) -> None:
        super().__init__(str(error))
        self.error = error


class UnknownTool:
    """Stands in for a tool that the model made up: answers with what a function returns for its name."""

    type_name = "UnknownTool"

    def __init__(self, name: str, answer: Any) -> None:
        self.info = ToolInfo(name=name)
        self._answer = answer

    async def run(self, arguments: str) -> str | ToolResult:
        """Return the answer."""
        return await awaited(self._answer(self.info.name, arguments))  # type: ignore[no-any-return]  # checked behind


Way = Callable[[ToolInput], Awaitable[ToolOutput]]
"""From a call to its result."""


def behind(middlewares: Sequence[ToolMiddleware]) -> Way:
    """Return the way through `middlewares`, the first outermost, to the tool.

    Raises:
        BuildError: If one is no `async def`.
    """
    if not isinstance(middlewares, Sequence):
        raise BuildError(f"middlewares={middlewares!r}: give a list of them")
    if not middlewares:
        return run_tool
    way: ToolNext = _run_tool
    for middleware in reversed(middlewares):
        way = _through(middleware, way)
    return way


def _through(middleware: ToolMiddleware, inner: ToolNext) -> ToolNext:
    if not _is_async(middleware):
        raise BuildError(f"{middleware!r} is no tool middleware: make it `async def middleware(call, next)`")

    async def step(call: ToolInput) -> ToolOutput:
        result = await middleware(call, inner)
        if isinstance(result, StreamReader) or not isinstance(result, AsyncIterable):
            return result
        return StreamReader.from_async(result)

    return step


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - looks at the method, not whether there is one


def run_tool(call: ToolInput) -> Awaitable[ToolOutput]:
    """Return the run of the tool, to be awaited at once; it tells the handlers of the run."""
    frame = current.get()
    observer: Observer | None = frame.observer if frame is not None else observer_of(None)
    if observer is None or getattr(call.tool, "self_instrumented", False):
        return _run(call)
    return _watched(call, observer, 0, None) if frame is None else _watched_in(frame, call, observer)


async def _run_tool(call: ToolInput) -> ToolOutput:
    """Do as `run_tool`. A middleware may do with this what it may with any coroutine function."""
    return await run_tool(call)


async def _watched_in(frame: Frame, call: ToolInput, observer: Observer) -> ToolOutput:
    outer_seq = frame.node_seq
    try:
        result = await _watched(call, observer, outer_seq or frame.seq, frame)
    except BaseException:
        frame.node_seq = outer_seq
        raise
    if not isinstance(result, StreamReader):  # else what the tool does at later pulls is still its own
        frame.node_seq = outer_seq
    return result


async def _watched(call: ToolInput, observer: Observer, parent_seq: int, frame: Frame | None) -> ToolOutput:
    info = RunInfo(call.called_name, type_name(call.tool), "Tool", next_seq(), parent_seq)
    if frame is not None:
        frame.node_seq = info.seq
    try:
        _told(observer.start, info, call.arguments)
        result = await _run(call)
        if isinstance(result, StreamReader):
            return await _shared(result, observer, info, frame)
        _told(observer.end, info, result)
        return result
    except BaseException as failure:
        observer.error(info, failure.error if isinstance(failure, HandlerFailure) else failure)
        raise


async def _shared(
    result: StreamReader[Any], observer: Observer, info: RunInfo, frame: Frame | None
) -> StreamReader[Any]:
    """Give the handlers their copies. A stream run closes them when it ends; elsewhere this stream itself does."""
    copies: list[StreamReader[Any]] = []
    extra: RunExtra | None = None if frame is None else frame.extra  # one made here would be this call's alone
    keep = copies.append if extra is None else extra.keep
    try:
        rest: StreamReader[Any] = _told(observer.end_stream, info, result, keep)
    except HandlerFailure:
        for reader in (result, *copies):
            await reader.aclose()
        raise
    return StreamReader.from_async(await _opened(_closing(rest, copies))) if copies else rest


def _told(tell: Any, *payload: Any) -> Any:
    """Call the observer. What its handlers raise passes by everything that answers for failing tools."""
    try:
        return tell(*payload)
    except RunError as error:
        raise HandlerFailure(error) from error


def _run(call: ToolInput) -> Awaitable[ToolOutput]:
    profiler = instrument.active
    return _run_bare(call) if profiler is None else profiler.tool(call.name, lambda: _run_bare(call))


def _run_bare(call: ToolInput) -> Awaitable[ToolOutput]:
    tool: Any = call.tool
    if call.streaming and callable(getattr(tool, "stream", None)):
        return _streaming(call)
    running: Awaitable[ToolOutput] = tool.run(call.arguments)
    if not hasattr(type(running), "__await__"):
        raise ToolError(f"`run` of tool {call.name!r} returned {running!r:.100} at once: make it `async def`")
    return running


async def _streaming(call: ToolInput) -> ToolOutput:
    return StreamReader.from_async(await _opened(_pieces(call)))


_READY: Final[Any] = object()


async def _opened(pieces: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """Return the generator behind its first stop. It was entered, so closing it runs its clean-up in any case."""
    await anext(pieces)
    return pieces


async def _pieces(call: ToolInput) -> AsyncGenerator[Any, None]:
    """Stop once when the first piece is there, so that a tool that cannot start fails before it counts as streaming."""
    tool: Any = call.tool
    source = await awaited(tool.stream(call.arguments))
    if not isinstance(source, AsyncIterable):
        raise ToolError(f"`stream` of tool {call.name!r} gave {source!r:.100}: make it an async generator")
    reader = source if isinstance(source, StreamReader) else StreamReader.from_async(source)
    async with reader:
        pieces = aiter(reader)
        first = await anext(pieces, _READY)
        yield _READY
        if first is _READY:
            return
        yield first
        async for piece in pieces:
            yield piece


async def _closing(rest: StreamReader[Any], copies: list[StreamReader[Any]]) -> AsyncGenerator[Any, None]:
    try:
        yield _READY
        async for piece in rest:
            yield piece
    finally:
        for reader in (rest, *copies):
            await reader.aclose()
