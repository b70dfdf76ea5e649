"""Makes pytest-benchmark refuse coroutines: it would time their creation, about 1 us whatever they do."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from eino_harness.errors import UnawaitedCoroutineError

__all__ = ["refuse"]


def refuse() -> Callable[[], None]:
    """Patch pytest-benchmark's fixture; return the function that undoes it."""
    from pytest_benchmark.fixture import BenchmarkFixture

    checks = {"_make_runner": _checked_runner, "_raw": _checked_call, "_raw_pedantic": _checked_call}
    originals = {name: getattr(BenchmarkFixture, name) for name in checks}
    for name, check in checks.items():
        setattr(BenchmarkFixture, name, check(originals[name]))

    def undo() -> None:
        for name, original in originals.items():
            setattr(BenchmarkFixture, name, original)

    return undo


def _checked_call(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(fixture: Any, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(inspect.unwrap(target)):
            raise _error(target)
        return _checked(original(fixture, target, *args, **kwargs), target)

    return call


def _checked_runner(original: Callable[..., Any]) -> Callable[..., Any]:
    """Look at the first result, so that a lambda around a coroutine function is caught before thousands are made."""

    @functools.wraps(original)
    def make_runner(fixture: Any, target: Callable[..., Any], args: Any, kwargs: Any) -> Callable[..., Any]:
        seen = False

        def first_call(*args: Any, **kwargs: Any) -> Any:
            return _checked(target(*args, **kwargs), target)

        checking = original(fixture, first_call, args, kwargs)
        plain = original(fixture, target, args, kwargs)

        def runner(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            if seen:
                return plain(*args, **kwargs)
            seen = True
            return checking(*args, **kwargs)

        return runner

    return make_runner


def _checked(result: Any, target: Callable[..., Any]) -> Any:
    if inspect.iscoroutine(result):
        result.close()
        raise _error(target)
    return result


def _error(target: Callable[..., Any]) -> UnawaitedCoroutineError:
    name = getattr(target, "__qualname__", repr(target))
    return UnawaitedCoroutineError(
        f"benchmark({name}) would time the creation of a coroutine that nobody awaits: use the fixture `abenchmark`, "
        "which awaits it inside a running loop"
    )
