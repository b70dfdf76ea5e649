"""Handlers: plain functions that hear when nodes and graphs start, end and fail."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, Literal, get_args

import msgspec

from eino._run.ids import run_id
from eino.errors import BuildError

__all__ = ["TIMINGS", "Handler", "RunInfo", "Timing", "add_global_handler", "handler_builder", "registry", "slots_of"]

Timing = Literal["on_start", "on_end", "on_error", "on_start_stream_input", "on_end_stream_output"]
TIMINGS: tuple[Timing, ...] = get_args(Timing)


class RunInfo(msgspec.Struct, frozen=True, gc=False):
    """What is starting, ending or failing. One object per invocation: its `run_id` joins a start with its end."""

    name: str
    """Name of the node, or its key; for a graph that nobody encloses, the name it was compiled with."""
    type: str
    """Name of the implementation, such as `"OpenAI"`; empty for lambdas and graphs."""
    component: str
    """Kind: `"Graph"`, `"Chain"`, `"Workflow"`, `"ChatModel"`, `"Tool"`, `"Lambda"`, ..."""
    seq: int
    """Number of the invocation, rising in the order of starts."""
    parent_seq: int = 0
    """Number of the enclosing invocation; 0 when there is none, or when nobody listened to it."""

    @property
    def run_id(self) -> str:
        """Id of the invocation, unique in this process."""
        return run_id(self.seq)

    @property
    def parent_id(self) -> str | None:
        """Id of the enclosing invocation; None when there is none."""
        return run_id(self.parent_seq) if self.parent_seq else None


class Handler:
    """Hears the timings whose methods a subclass defines; the others cost nothing.

    The methods are plain functions: they return None and must not wait. A reader that one gets is its own copy of
    the stream; what it leaves unread is closed when the run ends. An error raised here fails the run, with the path
    of the node. Also define `needed(info, timing) -> bool` to choose per call: False spares the copy of a stream.
    """

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - the field's word
        """Hear that something starts with a value."""

    def on_end(self, info: RunInfo, output: Any) -> None:
        """Hear that something ended with a value."""

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        """Hear that something failed or was interrupted. Errors inside a stream that was handed over do not count."""

    def on_start_stream_input(self, info: RunInfo, reader: Any) -> None:
        """Hear that something starts with a stream; `reader` is a copy of it."""

    def on_end_stream_output(self, info: RunInfo, reader: Any) -> None:
        """Hear that something ended with a stream; `reader` is a copy of it."""


class _BuiltHandler(Handler):
    """What `handler_builder` returns: the given functions, as instance attributes."""

    def __init__(self, functions: dict[str, Callable[..., None]]) -> None:
        self.__dict__.update(functions)


def handler_builder(
    *,
    on_start: Callable[[RunInfo, Any], None] | None = None,
    on_end: Callable[[RunInfo, Any], None] | None = None,
    on_error: Callable[[RunInfo, BaseException], None] | None = None,
    on_start_stream_input: Callable[[RunInfo, Any], None] | None = None,
    on_end_stream_output: Callable[[RunInfo, Any], None] | None = None,
    needed: Callable[[RunInfo, Timing], bool] | None = None,
) -> Handler:
    """Return a handler made of functions; only what is set is called.

    Raises:
        BuildError: If one of them is an `async def`, or none is set.
    """
    given: dict[str, Callable[..., Any] | None] = {
        "on_start": on_start,
        "on_end": on_end,
        "on_error": on_error,
        "on_start_stream_input": on_start_stream_input,
        "on_end_stream_output": on_end_stream_output,
    }
    functions = {name: function for name, function in given.items() if function is not None}
    if not functions:
        raise BuildError(f"handler_builder() without a function hears nothing: give at least one of {', '.join(given)}")
    if needed is not None:
        functions["needed"] = needed
    handler = _BuiltHandler(functions)
    slots_of(handler)  # refuses async functions here, where the mistake is
    return handler


MISSING_METHOD = object()
Slot = tuple[Callable[[RunInfo, Any], None], Callable[[RunInfo, Timing], bool] | None]


def slots_of(handler: object) -> dict[Timing, Slot]:
    """Return the timings that `handler` hears, each with its function and the function that says whether to call it.

    Raises:
        BuildError: If the handler hears nothing, or one of its methods is an `async def`.
    """
    needed = _own(handler, "needed")
    slots: dict[Timing, Slot] = {}
    for timing in TIMINGS:
        function = _own(handler, timing)
        if function is None:
            continue
        if inspect.iscoroutinefunction(function):
            raise BuildError(
                f"handler {handler!r}: {timing} is an async def, but handlers are plain functions; "
                "hand the work to a queue, or wrap the component instead"
            )
        slots[timing] = (function, needed)
    if not slots:
        raise BuildError(f"{handler!r} is no callback handler: it defines none of {', '.join(TIMINGS)}")
    return slots


def _own(handler: object, name: str) -> Callable[..., Any] | None:
    """Return the bound method `name` unless it is the do-nothing one of `Handler`."""
    function = getattr(handler, name, None)
    if function is None or getattr(function, "__func__", None) is getattr(Handler, name, MISSING_METHOD):
        return None
    if not callable(function):
        raise BuildError(f"handler {handler!r}: {name} is {function!r}, which cannot be called")
    return function  # type: ignore[no-any-return]  # getattr gives Any


class Registry:
    """The handlers of the process. They are replaced as a whole, so that running runs keep theirs."""

    def __init__(self) -> None:
        self.handlers: tuple[object, ...] = ()
        """What every new run gets, first added first."""
        self._lock = threading.Lock()

    def add(self, handler: object) -> Callable[[], None]:
        """Add a handler, once; return a function that removes it."""
        slots_of(handler)
        with self._lock:
            if not any(known is handler for known in self.handlers):
                self.handlers = (*self.handlers, handler)
        return lambda: self._remove(handler)

    def _remove(self, handler: object) -> None:
        with self._lock:
            self.handlers = tuple(known for known in self.handlers if known is not handler)


registry = Registry()


def add_global_handler(handler: Handler) -> Callable[[], None]:
    """Let `handler` hear every run of this process that starts from now on; return a function that undoes it.

    Adding one handler twice has no further effect.

    Raises:
        BuildError: If it is no handler.
    """
    return registry.add(handler)
