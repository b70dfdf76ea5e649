"""Ties the leak check to tests: inside the loop of a coroutine test, and around every test that asks for it."""

from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from eino_harness._leaks import GeneratorWatch, ProcessSnapshot, TaskWatch, leak_error, settle

__all__ = ["EveryTest", "LeakCheck", "LeakHooks", "open_leak_check"]

_CHECK = pytest.StashKey["LeakCheck"]()


class LeakCheck:
    """The value of the fixture `leak_check`."""

    def __init__(self, ignore_threads: Sequence[str]) -> None:
        self._ignore_threads = ignore_threads
        self._before = ProcessSnapshot.take()
        self.passed = False

    def check(self) -> None:
        """Compare with the start of the test: threads, sockets, files, pipes. Runs by itself when the test passed.

        Raises:
            LeakError: If there is one more of them.
        """
        if leaks := self._before.leaks(ignore_threads=self._ignore_threads):
            raise leak_error(leaks)


@contextmanager
def open_leak_check(request: pytest.FixtureRequest) -> Iterator[LeakCheck]:
    """Yield the fixture's value, and judge the test when it is over.

    Raises:
        LeakError: If the test passed and left something open.
        pytest.UsageError: If the fixture is asked for by `getfixturevalue`: then the loop might run already.
    """
    if "leak_check" not in request.fixturenames:
        raise pytest.UsageError(f"{request.node.nodeid}: ask for leak_check by parameter or usefixtures, to be watched")
    plugins = request.config.pluginmanager
    if not plugins.hasplugin("eino-leaks"):
        plugins.register(LeakHooks(), "eino-leaks")
    if _leaks_are_allowed(request.node):
        yield LeakCheck(())
        return
    check = LeakCheck(request.config.getini("eino_leak_ignore_threads"))
    request.node.stash[_CHECK] = check
    with _small_heap():
        yield check
        if check.passed:
            check.check()


@contextmanager
def _small_heap() -> Iterator[None]:
    """Keep what exists already out of the collector's scans: they would cost more than most tests."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _leaks_are_allowed(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("allow_leaks")
    if marker is None:
        return False
    reason = marker.kwargs.get("reason", marker.args[0] if marker.args else None)
    if not isinstance(reason, str) or not reason.strip():
        raise pytest.UsageError(f"{item.nodeid}: allow_leaks needs a reason: @pytest.mark.allow_leaks('why')")
    return True


class LeakHooks:
    """Watches the event loop of tests that have a leak check."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Wrap the coroutine function of the test, because its loop is gone once it returned."""
        check = item.stash.get(_CHECK, None)
        if check is None or not isinstance(item, pytest.Function):
            return (yield)
        with _watched(item):
            result = yield
        check.passed = True
        return result


class EveryTest:
    """Gives every test of the session a leak check."""

    @pytest.fixture(autouse=True)
    def eino_leak_check_every_test(self, leak_check: LeakCheck) -> None:
        """Ask for the fixture on behalf of the test."""


@contextmanager
def _watched(item: pytest.Function) -> Iterator[None]:
    hypothesis = getattr(item.obj, "hypothesis", None)
    if hypothesis is None:
        holder, name, original = item, "obj", item.obj
    else:
        # anyio keeps the coroutine function on its own wrapper from an earlier backend.
        holder, name = hypothesis, "inner_test"
        original = getattr(hypothesis.inner_test, "_anyio_original_func", hypothesis.inner_test)
    if not inspect.iscoroutinefunction(original):
        yield
        return
    setattr(holder, name, _watching(original))
    try:
        yield
    finally:
        setattr(holder, name, original)


def _watching(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    async def watched(*args: Any, **kwargs: Any) -> Any:
        tasks, generators = TaskWatch(), GeneratorWatch()
        generators.install()
        try:
            result = await test(*args, **kwargs)
            await settle()
            gc.collect()
            leaks = tasks.leaks() + generators.leaks()
        finally:
            generators.remove()
        if leaks:
            raise leak_error(leaks)
        return result

    return watched
