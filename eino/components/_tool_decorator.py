"""`@tool` and `as_tool`: make tools of functions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

from eino.components._function_tool import FunctionTool, StreamingFunctionTool
from eino.components._signature import STREAMING_KINDS, read_signature
from eino.components._tool_settings import Settings, ToolSettings, check_settings

__all__ = ["ToolDecorator", "as_tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")


class ToolDecorator(Protocol):
    """What `@tool(...)` gives: makes a tool of the function below."""

    @overload
    def __call__(
        self, function: Callable[P, AsyncIterator[Any]], /
    ) -> StreamingFunctionTool[P, AsyncIterator[Any]]: ...
    @overload
    def __call__(self, function: Callable[P, Iterator[Any]], /) -> StreamingFunctionTool[P, Iterator[Any]]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(function: Callable[P, AsyncIterator[Any]], /) -> StreamingFunctionTool[P, AsyncIterator[Any]]: ...
@overload
def tool(function: Callable[P, Iterator[Any]], /) -> StreamingFunctionTool[P, Iterator[Any]]: ...
@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(**settings: Unpack[ToolSettings]) -> ToolDecorator: ...
def tool(function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
    """Make a tool of the function below: `@tool`, or `@tool(name="search")` with any of `ToolSettings`.

    Raises:
        BuildError: If the function cannot be described to a model, or the settings contradict each other.
    """
    if function is not None:
        return as_tool(function, **settings)
    return lambda decorated: as_tool(decorated, **settings)


@overload
def as_tool(
    function: Callable[P, AsyncIterator[Any]], **settings: Unpack[ToolSettings]
) -> StreamingFunctionTool[P, AsyncIterator[Any]]: ...
@overload
def as_tool(
    function: Callable[P, Iterator[Any]], **settings: Unpack[ToolSettings]
) -> StreamingFunctionTool[P, Iterator[Any]]: ...
@overload
def as_tool(function: Callable[P, R], **settings: Unpack[ToolSettings]) -> FunctionTool[P, R]: ...
def as_tool(function: Callable[..., Any], **settings: Any) -> Any:
    """Return a tool that calls `function`, a `StreamingFunctionTool` if that is a generator or returns a stream.

    A parameter without a default is required. One annotated as `RunContext` gets the context of the run, one marked
    with `ToolOption` is set by `with_options`; the model sees neither.

    Args:
        function: What the tool does: a function, coroutine function, generator or async generator.
        settings: See `ToolSettings`.

    Raises:
        BuildError: If the function cannot be described to a model, or the settings contradict each other.
        TypeError: If a setting is unknown.
    """
    chosen = Settings(**settings)
    signature = read_signature(function)
    check_settings(function, chosen, signature)
    return (StreamingFunctionTool if signature.kind in STREAMING_KINDS else FunctionTool)(function, chosen, signature)
