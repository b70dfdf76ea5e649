"""Compiles one node: from what it can do to one function for value runs and one for stream runs.

Each feature (keys, retries, time-outs, handlers, callbacks) is a wrapper around the function, put there once. A node
without features is its own function, called by the runner directly.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from eino._run.context import snapshot
from eino._run.frame import Frame, here
from eino._tasks.threads import in_thread
from eino.compose.attempts import with_attempts
from eino.compose.binding import bind
from eino.compose.body import Body, Shape, ShapeKind
from eino.compose.extra import keep
from eino.compose.handlers import with_handlers
from eino.compose.keyed import with_keys
from eino.compose.node import NodeSpec
from eino.compose.observed import observed
from eino.errors import ConcatError, RunError
from eino.schema._concat import ConcatRegistry
from eino.schema.stream import StreamReader

__all__ = ["Async", "Call", "Stage", "compile_stage", "concat_stream", "context_filled", "refuse_awaitable"]

Async = Callable[[Any], Awaitable[Any]]
Call = tuple[Callable[[Any], Any], bool]
"""A function of one value, and whether to await it."""

_VALUE_ORDER: tuple[ShapeKind, ...] = ("invoke", "stream", "collect", "transform")
_STREAM_ORDER: tuple[ShapeKind, ...] = ("transform", "stream", "collect", "invoke")


class Stage:
    """A compiled node. What only observed runs and stream runs need is made when the first of them comes."""

    def __init__(
        self, spec: NodeSpec, plain: Call, make_observed: Callable[[], Async], make_stream: Callable[[], Async]
    ) -> None:
        self.spec = spec
        self.key = spec.key
        self.plain = plain
        """Function for value runs that nobody observes, and whether to await it."""
        self._make_observed = make_observed
        self._make_stream = make_stream

    @functools.cached_property
    def observed(self) -> Async:
        """Async function for observed value runs."""
        return self._make_observed()

    @functools.cached_property
    def stream(self) -> Async:
        """Async function for stream runs, from reader to reader."""
        return self._make_stream()


def compile_stage(spec: NodeSpec, concat: ConcatRegistry) -> Stage:
    """Return the compiled node; `concat` is the graph's own registry for turning streams into values."""
    body = spec.body
    if body is None:
        wrapped = _wrap(spec, _passthrough, on_stream=False, concat=concat)
        plain: Call = (_same, False) if wrapped is _passthrough else (wrapped, True)
        return Stage(
            spec, plain, lambda: wrapped, lambda: _kept(_wrap(spec, _passthrough, on_stream=True, concat=concat))
        )
    kind = next(kind for kind in _VALUE_ORDER if kind in body.shapes)
    native, is_async = _native(body, kind)
    awaiting = _awaiting(native, is_async)

    def for_values(call: Async) -> Async:
        return _wrap(spec, _as_value(call, kind, concat), on_stream=False, concat=concat)

    def for_streams() -> Async:
        stream_kind = next(kind for kind in _STREAM_ORDER if kind in body.shapes)
        call = observed(spec, body, stream_kind, _awaiting(*_native(body, stream_kind)))
        return _kept(_wrap(spec, _as_stream(call, stream_kind, concat), on_stream=True, concat=concat))

    wrapped = for_values(awaiting)
    plain = (native, is_async) if wrapped is awaiting else (wrapped, True)  # without features a node is its function
    return Stage(spec, plain, lambda: for_values(observed(spec, body, kind, awaiting)), for_streams)


def _wrap(spec: NodeSpec, call: Async, *, on_stream: bool, concat: ConcatRegistry) -> Async:
    """Put the node's features around its function, innermost first."""
    call = with_attempts(spec, call, on_stream=on_stream)
    call = with_keys(spec, call, on_stream=on_stream)
    return with_handlers(spec, call, on_stream=on_stream, concat=concat)


def _kept(stream: Async) -> Async:
    """Return `stream` with its output closed when the run ends, because from here on nobody owns it."""

    async def kept(reader: StreamReader[Any]) -> StreamReader[Any]:
        return keep(await stream(reader))

    return kept


def _same(value: Any) -> Any:
    return value


async def _passthrough(value: Any) -> Any:
    return value


def _native(body: Body, kind: ShapeKind) -> tuple[Callable[[Any], Any], bool]:
    """Return the node's own function of one argument, and whether to await what it returns.

    Streams that it gives come out as readers, bound to the node.
    """
    shape = body.shapes[kind]
    call = context_filled(shape)
    if kind in ("stream", "transform"):
        return _opening(call, shape, bound=body.bound), True
    if shape.threaded:
        return functools.partial(in_thread, call), True
    return call, shape.is_coroutine


def context_filled(shape: Shape) -> Callable[[Any], Any]:
    """Return the function with its `RunContext` parameter filled in at each call."""
    call, name, position = shape.call, shape.context_parameter, shape.context_position
    if name is None:
        return call
    if position == 0:
        return lambda value: call(_context(), value)
    if position is not None:
        return lambda value: call(value, _context())
    return lambda value: call(value, **{name: _context()})


def _context() -> Any:
    return snapshot(here.get())


def _opening(call: Callable[[Any], Any], shape: Shape, *, bound: bool) -> Async:
    async def open_stream(value: Any) -> StreamReader[Any]:
        result = call(value)
        if shape.is_coroutine or hasattr(type(result), "__await__"):
            result = await result
        frame = here.get()
        return bind(result, _fixed(frame), bound=bound, threaded=shape.threaded)

    return open_stream


def _fixed(frame: Frame) -> Frame:
    """Return a frame that stays at this node while the run goes on."""
    return frame.branch_off(frame.node)


def _awaiting(call: Callable[[Any], Any], is_async: bool) -> Async:
    """Return a function that can be awaited in any case."""
    if is_async:
        return call

    async def awaiting(value: Any) -> Any:
        result = call(value)
        if hasattr(type(result), "__await__"):
            refuse_awaitable(result)
        return result

    return awaiting


def refuse_awaitable(result: Any) -> None:
    """Refuse what a plain function returned although it must be awaited.

    Raises:
        RunError: Always.
    """
    close = getattr(result, "close", None)
    if close is not None:
        close()  # a coroutine that nobody awaits would warn
    raise RunError(
        f"a plain function returned something to await ({type(result).__qualname__}): "
        "make it an `async def` that awaits it",
        kind="node",
    )


def _as_value(call: Async, kind: ShapeKind, concat: ConcatRegistry) -> Async:
    """Return `call`, whose shape is `kind`, as a function from value to value."""
    if kind == "invoke":
        return call
    if kind == "collect":
        return lambda value: call(StreamReader.from_iterable((value,)))
    takes_stream = kind == "transform"

    async def drained(value: Any) -> Any:
        reader = await call(StreamReader.from_iterable((value,)) if takes_stream else value)
        return await concat_stream(reader, concat)

    return drained


def _as_stream(call: Async, kind: ShapeKind, concat: ConcatRegistry) -> Async:
    """Return `call`, whose shape is `kind`, as a function from reader to reader."""
    if kind == "transform":

        async def transformed(reader: StreamReader[Any]) -> StreamReader[Any]:
            keep(reader)  # the node may stop before its input ends
            result: StreamReader[Any] = await call(reader)
            return result

        return transformed
    if kind == "stream":

        async def from_value(reader: StreamReader[Any]) -> StreamReader[Any]:
            result: StreamReader[Any] = await call(await concat_stream(reader, concat))
            return result

        return from_value
    if kind == "collect":

        async def collected(reader: StreamReader[Any]) -> StreamReader[Any]:
            keep(reader)
            return StreamReader.from_iterable((await call(reader),))

        return collected

    async def single(reader: StreamReader[Any]) -> StreamReader[Any]:
        return StreamReader.from_iterable((await call(await concat_stream(reader, concat)),))

    return single


async def concat_stream(reader: StreamReader[Any], concat: ConcatRegistry) -> Any:
    """Return the whole stream as one value; the reader is closed in any case.

    Raises:
        ConcatError: If the chunks do not fit together, or there are none.
        RunError: If the stream delivered an error.
    """
    try:
        return await reader.concat(concat)
    except ConcatError as error:
        raise ConcatError(f"concat stream reader fail: {error}") from error
