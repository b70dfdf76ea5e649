"""Functions that are told what was compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from eino.compose.introspect import GraphInfo
from eino.errors import BuildError

__all__ = ["CompileCallback", "add_global_compile_callback", "checked_callbacks", "inside_a_graph", "tell"]

CompileCallback = Callable[[GraphInfo], Any]
"""Called with what a graph looks like, right after it was compiled. What it returns is not used."""

inside_a_graph: ContextVar[bool] = ContextVar("inside_a_graph", default=False)
"""Whether the graph being compiled is a node of another one: global callbacks hear of the outermost only."""

_global: tuple[CompileCallback, ...] = ()


def add_global_compile_callback(callback: CompileCallback) -> Callable[[], None]:
    """Call `callback` with the `GraphInfo` of each graph, chain and workflow that is compiled from now on.

    A graph that is compiled as a node of another one is not told by itself: it is in the `NodeInfo.graph` of its node.

    Returns:
        A function that undoes this; calling it again does nothing.

    Raises:
        BuildError: If `callback` is not callable.
    """
    global _global  # noqa: PLW0603 - replaced as a whole, so that a compile elsewhere sees the old or the new one
    checked_callbacks([callback])

    def told(info: GraphInfo) -> Any:  # a new function each time: the same callback may be added twice
        return callback(info)

    _global = (*_global, told)

    def undo() -> None:
        global _global  # noqa: PLW0603
        _global = tuple(each for each in _global if each is not told)

    return undo


def checked_callbacks(callbacks: Any) -> Sequence[CompileCallback]:
    """Return the callbacks of a compile.

    Raises:
        BuildError: If they are no list or tuple of functions.
    """
    if not isinstance(callbacks, (list, tuple)):
        raise BuildError(f"compile(on_compile={callbacks!r}): give a list of functions that take a GraphInfo")
    for callback in callbacks:
        if not callable(callback):
            raise BuildError(f"a compile callback is a function that takes a GraphInfo, got {callback!r}")
    return callbacks


def tell(describe: Callable[[], GraphInfo], callbacks: Sequence[CompileCallback]) -> None:
    """Tell the graph's own callbacks, then the global ones; what one of them raises passes through."""
    everyone = (*callbacks, *(() if inside_a_graph.get() else _global))
    if not everyone:
        return
    info = describe()
    for callback in everyone:
        callback(info)
