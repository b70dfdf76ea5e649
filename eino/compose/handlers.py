"""State handlers around a node: functions on its input or output that hold the state of the graph."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from eino._run.frame import here
from eino._run.state import find_level
from eino.compose.binding import bind
from eino.compose.failures import node_failure
from eino.compose.node import NodeSpec, StateHandler
from eino.schema._concat import ConcatRegistry
from eino.schema.stream import StreamReader

__all__ = ["with_handlers"]

Async = Callable[[Any], Awaitable[Any]]


def with_handlers(spec: NodeSpec, call: Async, *, on_stream: bool, concat: ConcatRegistry) -> Async:
    """Return `call` with the state handlers of the node around it."""
    if spec.pre is None and spec.post is None:
        return call
    before = _handler(spec.pre, f"run node[{spec.key}] pre processor fail", on_stream=on_stream, concat=concat)
    after = _handler(spec.post, f"run node[{spec.key}] post processor fail", on_stream=on_stream, concat=concat)

    async def handled(value: Any) -> Any:
        if before is not None:
            value = await before(value)
        value = await call(value)
        return value if after is None else await after(value)

    return handled


def _handler(handler: StateHandler | None, doing: str, *, on_stream: bool, concat: ConcatRegistry) -> Async | None:
    if handler is None:
        return None
    held = _held(handler, doing)
    if handler.on_stream == on_stream:
        return _reader_of(held) if on_stream else held
    if on_stream:

        async def on_whole(reader: StreamReader[Any]) -> StreamReader[Any]:
            return StreamReader.from_iterable((await held(await reader.concat(concat)),))

        return on_whole

    async def on_single(value: Any) -> Any:
        reader = await _reader_of(held)(StreamReader.from_iterable((value,)))
        return await reader.concat(concat)

    return on_single


def _reader_of(held: Async) -> Async:
    """Return `held` as a function whose answer is a reader, whatever kind of stream the handler gives."""

    async def as_reader(reader: StreamReader[Any]) -> StreamReader[Any]:
        result = await held(reader)
        frame = here.get()
        return bind(result, frame.branch_off(frame.node), bound=True)

    return as_reader


def _held(handler: StateHandler, doing: str) -> Async:
    """Return the handler as a function of the value alone, which holds the state while it runs.

    A plain function does not need the lock, because nothing else runs before it returns; but it waits for whoever
    holds the state across a wait.
    """
    function = handler.function

    async def held(value: Any) -> Any:
        frame = here.get()
        level = find_level(frame.state, object)
        try:
            if handler.is_coroutine or level.locked:
                async with level.exclusive() as state:
                    result = function(value, state)
                    return await result if handler.is_coroutine else result
            return function(value, level.value)
        except Exception as error:
            failure = node_failure(error, frame, doing)
            raise failure from failure.__cause__

    return held
