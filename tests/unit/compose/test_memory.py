"""Runs leave nothing behind and need little: counted in allocated bytes, not in time."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator

from eino import END, START, Branch, Chain, Graph, Runnable

RUNS = 10_000


async def one_more(value: int) -> int:
    return value + 1


def chain_of_ten() -> Runnable[int, int]:
    chain = Chain[int, int]()
    for _ in range(10):
        chain.append_lambda(one_more)
    return chain.compile()


def test_a_run_of_ten_nodes_allocates_less_than_4_kb() -> None:
    runnable = chain_of_ten()

    async def measure() -> int:
        await runnable.invoke(0)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await runnable.invoke(0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return peak - before

    assert asyncio.run(measure()) < 4096


def test_ten_thousand_runs_leave_nothing_behind() -> None:
    """Values, streams and parallel nodes."""
    line = chain_of_ten()

    async def twice(value: int) -> AsyncIterator[int]:
        yield value
        yield value

    stream = Chain[int, int]().append_lambda(twice).compile()
    fan = Graph[int, dict]()
    for key in "ab":
        fan.add_lambda_node(key, one_more, output_key=key)
        fan.add_edge(START, key)
        fan.add_edge(key, END)
    wide = fan.compile(trigger="all")

    async def run_all(times: int) -> None:
        for _ in range(times):
            assert await line.invoke(0) == 10
            assert await stream.collect(_single()) == 1
            assert await wide.invoke(0) == {"a": 1, "b": 1}

    async def measure() -> int:
        await run_all(100)
        gc.collect()
        tracemalloc.start()
        try:
            await run_all(100)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            await run_all(RUNS // 3)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return after - before

    assert asyncio.run(measure()) < 16_384


async def _single() -> AsyncIterator[int]:
    yield 1


def test_a_long_loop_of_streams_does_not_gather_its_readers() -> None:
    """A stream run keeps what must be closed at its end; finished readers are let go before."""

    async def again(value: int) -> str:
        return "node" if value < 3000 else END

    graph = Graph[int, int]()
    graph.add_lambda_node("node", one_more)
    graph.add_edge(START, "node")
    graph.add_branch("node", Branch(again, ends=["node", END]))
    loop = graph.compile(max_steps=10_000)

    async def peak_of(start: int) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            async with loop.stream(start) as reader:
                assert await reader.concat() == 3000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return peak - before

    async def measure() -> tuple[int, int]:
        await peak_of(2990)
        return await peak_of(2900), await peak_of(0)

    short, long = asyncio.run(measure())
    assert long < short + 200_000
