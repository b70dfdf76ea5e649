"""What a node can do: the ways to call it, its types and its kind. A `Body` is the same for lambdas and components."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from eino.compose.signature import Signature, read_signature

__all__ = ["Body", "Shape", "ShapeKind"]

ShapeKind = Literal["invoke", "stream", "collect", "transform"]
"""Value to value, value to stream, stream to value, stream to stream."""


class Shape(msgspec.Struct, frozen=True):
    """One way to call a node."""

    call: Callable[..., Any]
    """The function itself: one positional value, then options."""
    is_coroutine: bool
    """Whether its result is awaited."""
    is_sync_generator: bool = False
    """Whether it is a plain generator function."""
    context_parameter: str | None = None
    """Name of the parameter that gets the `RunContext`."""
    context_position: int | None = None
    """Its position, when it cannot be given by keyword: 0 or 1."""
    options: frozenset[str] | None = frozenset()
    """Names that call options may set by keyword; None for components, which take one options object."""
    takes_any_option: bool = False
    """Whether it accepts options that it does not name."""
    threaded: bool = False
    """Whether to run it in a worker thread."""

    @classmethod
    def of(cls, function: Callable[..., Any], signature: Signature, *, threaded: bool = False) -> Shape:
        """Return the shape of a function whose signature has been read."""
        return cls(
            call=function,
            is_coroutine=signature.is_coroutine,
            is_sync_generator=signature.is_sync_generator,
            context_parameter=signature.context_parameter,
            context_position=signature.context_position,
            options=signature.options,
            takes_any_option=signature.takes_any_option,
            threaded=threaded,
        )

    @classmethod
    def of_method(cls, method: Callable[..., Any], *, gives_stream: bool) -> Shape:
        """Return the shape of a component's method: it takes a value and, by the name `options`, an options object."""
        signature = read_signature(method, values=1, role="a component's method", strict=False)
        return cls(
            call=method,
            is_coroutine=signature.is_coroutine or not (gives_stream or signature.gives_stream),
            options=None,
        )

    def with_options(self, given: Sequence[Any]) -> Shape:
        """Return the shape with call options filled in; later ones win, field by field."""
        if self.options is None:
            merged = functools.reduce(lambda below, over: below.merge(over), given)
            return msgspec.structs.replace(self, call=functools.partial(_with_object, self.call, merged))
        named = {name: value for each in given for name, value in each.items()}
        own = {name: value for name, value in named.items() if self.takes_any_option or name in self.options}
        return msgspec.structs.replace(self, call=functools.partial(self.call, **own))


def _with_object(call: Callable[..., Any], options: Any, value: Any) -> Any:
    return call(value, options)


class Body(msgspec.Struct, frozen=True):
    """What a node can do."""

    shapes: Mapping[ShapeKind, Shape]
    """The ways to call it; at least one."""
    input_type: Any
    output_type: Any
    component: str
    """Kind, as `RunInfo.component` shows it."""
    type: str = ""
    """Name of the implementation, as `RunInfo.type` shows it."""
    instance: object = None
    """The component itself, for introspection."""
    runnable: Any = None
    """For a graph as a node: the compiled graph."""
    self_instrumented: bool = False
    """Whether it fires its own callbacks, so that the graph must not."""
    bound: bool = True
    """Whether a stream that it gives runs in the node's frame, with its errors carrying the node's path."""
    options_type: Any = None
    """For components: class of their options object; None if they take none."""
    option_kinds: tuple[object, ...] = ()
    """Types under which call options reach it: `options={Lambda: ...}`."""
