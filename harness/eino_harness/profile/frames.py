"""Functions through which nodes are called, each named after its node: so a sampling profiler shows nodes as frames.

They drive the awaited thing step by step inside the task that awaits it (as `yield from` does), and tell a clock when
it computes and when it waits.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from functools import cache
from types import FunctionType
from typing import Any, Protocol, cast

__all__ = ["PREFIX", "Clock", "awaiting_frame", "plain_frame"]

PREFIX = "node:"
"""What the names of these frames begin with; the path of the node follows, its keys joined with `/`."""


class Clock(Protocol):
    """Hears when something computes."""

    def resume(self) -> None:
        """It computes from now on."""
        ...

    def pause(self) -> None:
        """It waits, or has ended."""
        ...


def _plain(clock: Clock, call: Callable[[], Any]) -> Any:
    clock.resume()
    try:
        return call()
    finally:
        clock.pause()


def _awaiting(clock: Clock, call: Callable[[], Awaitable[Any]]) -> Generator[Any, Any, Any]:
    clock.resume()
    computes = True
    try:
        iterator: Any = call().__await__()
        send = getattr(iterator, "send", None) or (lambda _: next(iterator))
        step, argument = send, None
        while True:
            try:
                awaited = step(argument)
            except StopIteration as stop:
                return stop.value
            clock.pause()
            computes = False
            try:
                argument = yield awaited
                step = send
            except GeneratorExit:
                iterator.close()
                raise
            except BaseException as error:  # cancellation included: it goes on inside
                step, argument = iterator.throw, error
            clock.resume()
            computes = True
    finally:
        if computes:
            clock.pause()


@cache
def plain_frame(path: tuple[str, ...]) -> Callable[[Clock, Callable[[], Any]], Any]:
    """Return a function that calls what it is given, in a frame named after the node."""
    return _named(_plain, path)


@cache
def awaiting_frame(path: tuple[str, ...]) -> Callable[[Clock, Callable[[], Awaitable[Any]]], Awaitable[Any]]:
    """Return an async function that awaits what the given function returns, in a frame named after the node."""
    return types.coroutine(_named(_awaiting, path))


def _named(function: Callable[..., Any], path: tuple[str, ...]) -> Callable[..., Any]:
    """Return a copy of the function whose code has another name: profilers take it from there."""
    original = cast("FunctionType", function)
    name = PREFIX + "/".join(path)
    code = original.__code__.replace(co_name=name, co_qualname=name)
    return FunctionType(code, original.__globals__, name, closure=original.__closure__)
