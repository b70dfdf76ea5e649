"""Blocking functions in worker threads, and the one thread behind blocking calls."""

from __future__ import annotations

import contextvars
import os
import threading

import anyio
import anyio.to_thread
import pytest

from eino._tasks.portal import RunningLoopError, _Portal, call_in_portal
from eino._tasks.threads import in_thread
from eino_fixtures.clock import VirtualClock

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def test_a_function_runs_in_another_thread_with_the_callers_context() -> None:
    """And its result, or its error, comes back."""
    token = variable.set("set")
    try:
        assert await in_thread(lambda: (variable.get(), threading.get_ident() != here)) == ("set", True)
    finally:
        variable.reset(token)
    with pytest.raises(KeyError, match="boom"):
        await in_thread(raising, "boom")


here = threading.get_ident()


def raising(text: str) -> None:
    raise KeyError(text)


async def test_a_cancelled_caller_waits_for_the_thread() -> None:
    """4b: Python cannot stop a thread."""
    begun, go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def block() -> None:
        begun.set()
        go_on.wait(5)
        ended.append("ended")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(in_thread, block)
        while not begun.is_set():
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
        threading.Timer(0.01, go_on.set).start()
    assert ended == ["ended"]


async def test_a_call_that_is_cancelled_before_it_begins_is_never_made() -> None:
    """And nobody waits for it: there is no thread to wait for."""
    called: list[str] = []
    start_s = anyio.current_time()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await in_thread(called.append, "called")

    assert scope.cancelled_caught
    assert called == []
    assert anyio.current_time() - start_s < 1


async def test_a_call_that_is_cancelled_while_all_threads_are_busy_is_never_made() -> None:
    """The thread finds out when its turn comes."""
    limiter = anyio.to_thread.current_default_thread_limiter()
    tokens, limiter.total_tokens = limiter.total_tokens, 1
    begun, go_on = threading.Event(), threading.Event()
    called: list[str] = []

    def block() -> None:
        begun.set()
        go_on.wait(5)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_thread, block)
            while not begun.is_set():
                await anyio.lowlevel.checkpoint()
            with anyio.move_on_after(0.01) as scope:
                await in_thread(called.append, "called")
            go_on.set()
    finally:
        limiter.total_tokens = tokens

    assert scope.cancelled_caught
    assert called == []


async def test_a_thread_that_does_not_end_is_left_after_a_while() -> None:
    """4b: at most `grace_s`; the thread ends by itself, and does not mind that nobody waits."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go_on.wait(5)
        ended.set()

    async def wait_little() -> None:
        await in_thread(block, grace_s=0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_little)
        while not begun.is_set():
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(5)


def test_a_thread_that_outlives_its_loop_does_not_mind() -> None:
    """The loop is gone, and with it whoever waited."""
    go_on, ended = threading.Event(), threading.Event()

    def block() -> None:
        go_on.wait(5)
        ended.set()

    async def main() -> None:
        with anyio.move_on_after(0.01):
            await in_thread(block, grace_s=0.0)

    threading.Timer(0.2, go_on.set).start()
    anyio.run(main)
    assert ended.wait(5)


async def work(number: int) -> tuple[int, str, int]:
    await anyio.lowlevel.checkpoint()
    return number, variable.get(), threading.get_ident()


def test_one_thread_serves_all_blocking_calls() -> None:
    """4.1: the caller's context variables are visible there."""
    token = variable.set("set")
    try:
        first = call_in_portal(work, 1, instead="await")
        second = call_in_portal(work, 2, instead="await")
    finally:
        variable.reset(token)

    assert (first[:2], second[:2]) == ((1, "set"), (2, "set"))
    assert first[2] == second[2] != threading.get_ident()
    assert any(thread.name.startswith("eino-") and thread.ident == first[2] for thread in threading.enumerate())


async def test_a_blocking_call_inside_a_loop_is_refused() -> None:
    """4b: it would stop the loop; what to write instead is named."""
    with pytest.raises(RunningLoopError, match="write `await something` instead"):
        call_in_portal(work, 1, instead="await something")


def test_a_forked_child_starts_a_thread_of_its_own() -> None:
    """Threads do not live on in a child."""
    call_in_portal(work, 1, instead="await")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        number = call_in_portal(work, 2, instead="await")[0]
        os.write(writing, str(number).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)

    assert text == "2"


def test_the_thread_ends_with_its_process_only() -> None:
    """A child that inherited the portal leaves its parent's alone."""
    from contextlib import ExitStack

    closed: list[str] = []
    stack = ExitStack()
    stack.callback(closed.append, "closed")

    _Portal._stop(stack, os.getpid() + 1)
    assert closed == []
    _Portal._stop(stack, os.getpid())
    assert closed == ["closed"]


def test_virtual_time_and_threads_go_together(virtual_clock: VirtualClock) -> None:
    """A thread holds the clock while it runs."""

    async def main() -> float:
        await in_thread(lambda: None)
        await anyio.sleep(60)
        return virtual_clock.now()

    assert virtual_clock.run(main) == 60.0
