"""Binds the streams of a node to it: its code runs in the node's frame, and errors carry the node's path.

The body of a generator runs in the context of whoever pulls it, so the frame is set around each pull.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from types import AsyncGeneratorType
from typing import Any

import anyio

from eino._run.frame import GRAPH_LEVEL, Frame, current, here
from eino._tasks import checkpoint, now
from eino._tasks.threads import in_thread
from eino.compose.extra import keep
from eino.compose.failures import graph_failure, node_failure
from eino.errors import RunError, RunTimeoutError
from eino.schema.stream import StreamReader
from eino.schema.stream_ops import SourceEnded

__all__ = ["at_graph", "bind", "converted", "with_deadline"]

_CHECKPOINT_EVERY = 256  # chunks of a plain generator between two yields to the loop
_END = object()


def bind(result: Any, frame: Frame, *, bound: bool, threaded: bool = False) -> StreamReader[Any]:
    """Return what a streaming node gave as a reader.

    Args:
        result: An async generator or iterator, a `StreamReader`, or a plain iterator.
        frame: The frame of the node; nothing else must change it.
        bound: Whether to bind it. What is not bound is read as it is.
        threaded: Whether to pull a plain iterator in a worker thread.

    Raises:
        RunError: If it is none of these.
    """
    if isinstance(result, AsyncGeneratorType):
        return StreamReader.from_async(_bound(result, frame) if bound else result)
    if isinstance(result, StreamReader):
        return result.map(_same, on_error=lambda error: node_failure(error, frame)) if bound else result
    if isinstance(result, AsyncIterator) or hasattr(result, "__aiter__"):
        reader: StreamReader[Any] = StreamReader.from_async(result)
        return reader.map(_same, on_error=lambda error: node_failure(error, frame)) if bound else reader
    if hasattr(result, "__iter__") and not isinstance(result, (str, bytes, dict)):
        return StreamReader.from_async(_bound_plain(iter(result), frame, threaded))
    raise RunError(
        "the node must give a stream (an async generator, a StreamReader, an iterator), "
        f"got {type(result).__qualname__}: {result!r:.200}",
        kind="node",
    )


def _same(item: Any) -> Any:
    return item


async def _bound(generator: AsyncGeneratorType[Any, None], frame: Frame) -> AsyncGenerator[Any, None]:
    enter, pull = current.set, generator.__anext__
    try:
        while True:
            outer = current.get()
            enter(frame)
            try:
                item = await pull()
            except StopAsyncIteration:
                return
            finally:
                enter(outer)
            yield item
    except Exception as error:
        failure = node_failure(error, frame)
        raise failure from failure.__cause__
    finally:
        if generator.ag_frame is not None:
            outer = current.get()
            enter(frame)
            try:
                await generator.aclose()
            finally:
                enter(outer)


async def _bound_plain(iterator: Iterator[Any], frame: Frame, threaded: bool) -> AsyncGenerator[Any, None]:
    enter, pulled = current.set, 0
    try:
        while True:
            outer = current.get()
            enter(frame)
            try:
                item = await in_thread(next, iterator, _END) if threaded else next(iterator, _END)
            finally:
                enter(outer)
            if item is _END:
                return
            yield item
            pulled += 1
            if pulled % _CHECKPOINT_EVERY == 0:
                await checkpoint()
    except Exception as error:
        failure = node_failure(error, frame)
        raise failure from failure.__cause__
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


def converted(reader: StreamReader[Any], convert: Callable[[Any], Any]) -> StreamReader[Any]:
    """Return a reader of `convert(chunk)`; what that raises belongs to the node that the stream comes from.

    Call it where that node is the current one. `SourceEnded` markers pass as they are.
    """
    frame = here.get()
    return keep(reader.map(_bound_function(convert, frame.branch_off(frame.node), "")))


def at_graph(convert: Callable[[Any], Any], doing: str) -> Callable[[Any], Any]:
    """Return `convert` for the chunks of a stream; what it raises belongs to the graph that runs here, to no node."""
    return _bound_function(convert, here.get().branch_off(GRAPH_LEVEL), doing)


def _bound_function(convert: Callable[[Any], Any], frame: Frame, doing: str) -> Callable[[Any], Any]:
    def bound(chunk: Any) -> Any:
        if chunk.__class__ is SourceEnded:
            return chunk
        try:
            return convert(chunk)
        except Exception as error:
            failure = graph_failure(error, frame, doing)
            raise failure from failure.__cause__

    return bound


def with_deadline(reader: StreamReader[Any], frame: Frame, deadline_s: float, timeout_s: float) -> StreamReader[Any]:
    """Return `reader` with a deadline that is checked around each pull, up to the last chunk."""
    return StreamReader.from_async(_until(reader, frame, deadline_s, timeout_s))


async def _until(
    reader: StreamReader[Any], frame: Frame, deadline_s: float, timeout_s: float
) -> AsyncGenerator[Any, None]:
    iterator = aiter(reader)
    try:
        while True:
            with anyio.move_on_after(max(0.0, deadline_s - now())) as scope:
                try:
                    item = await anext(iterator)
                except StopAsyncIteration:
                    return
            if scope.cancelled_caught:
                failure = RunTimeoutError(
                    f"the stream did not end within timeout_s={timeout_s}: raise it, or find what the node waits for",
                    kind="node",
                )
                raise node_failure(failure, frame)
            yield item
    finally:
        await reader.aclose()
