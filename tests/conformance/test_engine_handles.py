"""Handles of runs in the background, and calls from code that cannot await."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    Chain,
    Graph,
    HandleError,
    Lambda,
    RunCancelledError,
    RunError,
    RunningLoopError,
    StreamReader,
    current_context,
)
from eino_fixtures.clock import VirtualClock


async def plus(text: str) -> str:
    return f"{text}+"


def slow(log: list[str], seconds: float = 60.0) -> Any:
    """Return a chain of one node that sleeps, and notes how it ended."""

    async def sleep(text: str) -> str:
        try:
            await anyio.sleep(seconds)
        except BaseException:
            log.append("cancelled")
            raise
        log.append("done")
        return f"{text}+"

    return Chain[str, str]().append_lambda(sleep, key="slow").compile(name="slow run")


async def ticking(text: str) -> AsyncIterator[str]:
    for letter in text:
        await anyio.sleep(1)
        yield letter


async def test_a_run_goes_on_beside_the_block(virtual_clock: VirtualClock) -> None:
    """5b: it begins when the block is entered; the result can be asked for as often as one likes."""
    log: list[str] = []

    async with slow(log, 3).start("x") as handle:
        assert not handle.done
        await anyio.sleep(1)
        assert await handle.result() == await handle.result() == "x+"
        assert handle.done
        assert virtual_clock.now() == 3.0
    assert log == ["done"]


async def test_leaving_the_block_cancels_what_still_runs(virtual_clock: VirtualClock) -> None:
    """5b: quietly, and it has ended then."""
    log: list[str] = []

    async with slow(log).start("x"):
        await anyio.sleep(1)

    assert (log, virtual_clock.now()) == (["cancelled"], 1.0)


async def test_an_error_in_the_block_cancels_the_run_and_goes_on(virtual_clock: VirtualClock) -> None:
    """5b: the block's own error is what is raised."""
    log: list[str] = []

    with pytest.raises(KeyError, match="mine"):
        async with slow(log).start("x"):
            await anyio.sleep(1)
            raise KeyError("mine")

    assert log == ["cancelled"]


async def test_a_run_can_be_cancelled(virtual_clock: VirtualClock) -> None:
    """5b: when `cancel` returns nothing of it is left; the result says so; once more does no harm."""
    log: list[str] = []

    async with slow(log).start("x") as handle:
        await anyio.sleep(1)
        await handle.cancel()
        assert (log, handle.done) == (["cancelled"], True)
        for _ in range(2):
            with pytest.raises(RunCancelledError, match="has been canceled through its handle"):
                await handle.result()
        await handle.cancel()


async def test_a_run_that_is_cancelled_before_it_begins() -> None:
    """5b: at once, before the loop's next turn."""
    log: list[str] = []

    async with slow(log).start("x") as handle:
        await handle.cancel()
        with pytest.raises(RunCancelledError):
            await handle.result()
    async with slow(log).start("x"):
        pass
    assert "done" not in log


async def test_a_finished_run_does_not_mind_being_cancelled() -> None:
    """5b: its result stays."""
    async with Chain[str, str]().append_lambda(plus).compile().start("x") as handle:
        assert await handle.result() == "x+"
        await handle.cancel()
        assert await handle.result() == "x+"


async def test_several_tasks_wait_for_one_run(virtual_clock: VirtualClock) -> None:
    """5b: cancelling one of them leaves the run and the others alone."""
    results: list[str] = []

    async with slow([], 3).start("x") as handle, anyio.create_task_group() as tasks:

        async def wait() -> None:
            results.append(await handle.result())

        tasks.start_soon(wait)
        tasks.start_soon(wait)
        with anyio.move_on_after(1):
            await handle.result()
        assert results == []
    assert results == ["x+", "x+"]


async def test_a_failure_is_raised_by_the_result() -> None:
    """5b: not by leaving the block; as the run raised it."""

    async def failing(text: str) -> str:
        raise ValueError("boom")

    async with Chain[str, str]().append_lambda(failing, key="n").compile().start("x") as handle:
        for _ in range(2):
            with pytest.raises(RunError, match="ValueError: boom") as caught:
                await handle.result()
            assert caught.value.node_path == ("n",)
    async with Chain[str, str]().append_lambda(failing, key="n").compile().start("x") as handle:
        await anyio.lowlevel.checkpoint()


class Odd(BaseException):
    """No `Exception`."""


async def test_what_is_no_exception_comes_out_as_well() -> None:
    """Nothing is lost on the way out of the background."""

    async def failing(text: str) -> str:
        raise Odd("boom")

    async with Chain[str, str]().append_lambda(failing).compile().start("x") as handle:
        with pytest.raises(Odd):
            await handle.result()


async def test_none_is_a_result() -> None:
    """A run may give None."""

    def nothing(text: str) -> None:
        return None

    async with Chain[str, None]().append_lambda(nothing).compile().start("x") as handle:
        assert await handle.result() is None


async def test_a_stream_run_hands_out_its_stream(virtual_clock: VirtualClock) -> None:
    """5b: `stream=True`; the stream closes with the block."""
    runnable = Chain[str, str]().append_lambda(ticking).compile()

    async with runnable.start("abc", stream=True) as handle:
        reader = await handle.stream()
        assert [chunk async for chunk in reader] == ["a", "b", "c"]
    async with runnable.start("abc", stream=True) as handle:
        reader = await handle.stream()
        assert await reader.recv() == "a"
    assert not reader.is_open
    async with runnable.start("abc", stream=True) as handle:
        async for chunk in await handle.stream():
            assert chunk == "a"
            break
    async with runnable.start("abc", stream=True) as handle:
        assert await handle.result() == "abc"
    async with runnable.start("abc", stream=True) as handle:
        pass


async def test_the_input_of_a_run_may_be_a_stream() -> None:
    """5b: an async iterable is read as one."""

    async def source() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    runnable = Chain[str, str]().append_lambda(plus).compile()

    async with runnable.start(source()) as handle:
        assert await handle.result() == "ab+"
    async with runnable.start(StreamReader.from_iterable(["a", "b"]), stream=True) as handle:
        assert [chunk async for chunk in await handle.stream()] == ["ab+"]


async def test_the_result_of_a_stream_is_joined_as_the_graph_says() -> None:
    """1.19: by the graph's own functions; what cannot be joined is an error of the run."""

    class Box:
        def __init__(self, items: list[str]) -> None:
            self.items = items

    async def boxes(text: str) -> AsyncIterator[Box]:
        for letter in text:
            yield Box([letter])

    graph = Graph[str, Box](concat={Box: lambda all_: Box([item for box in all_ for item in box.items])})
    runnable = graph.add_lambda_node("n", boxes).add_edge(START, "n").add_edge("n", END).compile()

    async with runnable.start("ab", stream=True) as handle:
        assert (await handle.result()).items == ["a", "b"]
    async with Chain[str, Box]().append_lambda(boxes).compile().start("ab", stream=True) as handle:
        with pytest.raises(RunError, match="Box"):
            await handle.result()


async def test_handles_are_used_in_their_block() -> None:
    """5b: the errors say how."""
    handle = Chain[str, str]().append_lambda(plus).compile().start("x")

    assert not handle.done
    await handle.cancel()
    with pytest.raises(HandleError, match=r"the run has not begun: use `async with"):
        await handle.result()
    async with handle:
        with pytest.raises(HandleError, match="start it with stream=True"):
            await handle.stream()
        with pytest.raises(HandleError, match="a handle stands for one run"):
            await handle.__aenter__()


async def test_options_hold_for_runs_in_the_background(virtual_clock: VirtualClock) -> None:
    """5b: the call options are those of `invoke`; a run without input says so."""
    async with slow([]).start("x", timeout_s=2) as handle:
        with pytest.raises(RunError, match="timeout_s=2"):
            await handle.result()
    async with slow([]).start() as handle:
        with pytest.raises(RunError, match="no input was given"):
            await handle.result()


async def test_a_run_that_a_node_starts_is_below_it(virtual_clock: VirtualClock) -> None:
    """4.8: it sees the context of the node that started it."""
    paths: list[tuple[str, ...]] = []

    async def look(text: str) -> str:
        paths.append(current_context().node_path)
        return text

    inner = Chain[str, str]().append_lambda(look, key="inner").compile()

    async def call(text: str) -> str:
        async with inner.start(text) as handle:
            return await handle.result()

    await Chain[str, str]().append_lambda(call, key="outer").compile().invoke("x")

    assert paths == [("outer", "inner")]


def test_code_that_cannot_await_calls_the_sync_door() -> None:
    """4.1: one thread with a loop serves the whole process."""
    threads: set[int | None] = set()

    async def note(text: str) -> str:
        threads.add(threading.current_thread().ident)
        return f"{text}+"

    runnable = Chain[str, str]().append_lambda(note).compile()

    assert [runnable.invoke_sync("x"), runnable.invoke_sync("y")] == ["x+", "y+"]
    assert list(runnable.stream_sync("z")) == ["z+"]
    assert len(threads) == 1
    assert threading.current_thread().ident not in threads


def test_streams_come_out_of_the_sync_door_chunk_by_chunk() -> None:
    """4.1: leaving early closes the stream."""
    closed: list[str] = []

    async def letters(text: str) -> AsyncIterator[str]:
        try:
            for letter in text:
                yield letter
        finally:
            closed.append(text)

    runnable = Chain[str, str]().append_lambda(letters).compile()
    chunks = runnable.stream_sync("abc")

    assert next(chunks) == "a"
    chunks.close()  # type: ignore[attr-defined]  # a generator
    assert closed == ["abc"]
    assert list(runnable.stream_sync("de")) == ["d", "e"]
    assert closed == ["abc", "de"]


def test_errors_come_out_of_the_sync_door() -> None:
    """4.1: as they are."""

    async def failing(text: str) -> AsyncIterator[str]:
        yield text
        raise ValueError("boom")

    runnable = Chain[str, str]().append_lambda(failing, key="n").compile()

    with pytest.raises(RunError, match="boom") as caught:
        runnable.invoke_sync("x")
    assert caught.value.node_path == ("n",)
    chunks = runnable.stream_sync("x")
    assert next(chunks) == "x"
    with pytest.raises(RunError, match="boom"):
        next(chunks)
    with pytest.raises(RunError, match="no input was given"):
        runnable.invoke_sync()


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_context_variables_go_through_the_sync_door() -> None:
    """4.1: the caller's are visible inside."""

    async def look(text: str) -> str:
        return variable.get()

    token = variable.set("set")
    try:
        assert Chain[str, str]().append_lambda(look).compile().invoke_sync("x") == "set"
    finally:
        variable.reset(token)


async def test_the_sync_door_is_shut_inside_a_loop() -> None:
    """4b: the error names what to write instead."""
    runnable = Chain[str, str]().append_lambda(plus).compile()

    with pytest.raises(RunningLoopError, match=r"write `await runnable\.invoke\(\.\.\.\)` instead"):
        runnable.invoke_sync("x")
    with pytest.raises(RunningLoopError, match=r"async for chunk in runnable\.stream"):
        next(runnable.stream_sync("x"))

    def node(text: str) -> str:
        return runnable.invoke_sync(text)

    with pytest.raises(RunError, match="a blocking call inside a running event loop") as caught:
        await Chain[str, str]().append_lambda(node, key="n").compile().invoke("x")
    assert isinstance(caught.value.__cause__, RunningLoopError)


async def test_a_node_in_a_thread_may_use_the_sync_door() -> None:
    """4.1: there is no loop in its thread; the run is part of the one around it."""
    paths: list[tuple[str, ...]] = []

    async def look(text: str) -> str:
        paths.append(current_context().node_path)
        return f"{text}+"

    inner = Chain[str, str]().append_lambda(look, key="inner").compile()
    outer = Chain[str, str]().append_lambda(Lambda(inner.invoke_sync, threaded=True), key="outer").compile()

    assert await outer.invoke("x") == "x+"
    assert paths == [("outer", "inner")]


def test_one_runnable_serves_several_threads_and_loops() -> None:
    """4.6: at once, with an event loop each."""
    runnable = Chain[int, int]().append_lambda(doubled).append_lambda(doubled).compile()
    results: dict[int, int] = {}

    def run(number: int, backend: str) -> None:
        async def many() -> None:
            for _ in range(20):
                results[number] = await runnable.invoke(number)

        anyio.run(many, backend=backend)

    threads = [threading.Thread(target=run, args=(n, "trio" if n % 2 else "asyncio")) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: 4 * n for n in range(6)}


async def doubled(number: int) -> int:
    await anyio.lowlevel.checkpoint()
    return number * 2


def test_threads_that_run_a_graph_for_the_first_time_at_once() -> None:
    """4.6: what a run prepares for later ones is seen by other threads only when it is complete."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            graph = Graph[int, int](merge={int: max})
            keys = [f"n{index}" for index in range(12)]
            for key in keys:
                graph.add_lambda_node(key, lambda number: number + 1)
            graph.add_edge(START, "n0").add_edge(START, "n1").add_edge("n0", "n2")
            for source, target in itertools.pairwise(keys[1:]):
                graph.add_edge(source, target)
            runnable = graph.add_edge("n11", END).compile()
            results: list[int] = []
            barrier = threading.Barrier(4)

            def run(runnable: Any = runnable, results: list[int] = results, barrier: Any = barrier) -> None:
                barrier.wait(5)
                results.append(asyncio.run(runnable.invoke(0)))

            threads = [threading.Thread(target=run) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert results == [11] * 4
    finally:
        sys.setswitchinterval(interval)
