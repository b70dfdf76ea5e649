"""What the engine costs on top of the work of the nodes.

The workloads are those of the architecture page (W1 to W4, W9, W10, W12), each beside hand-written asyncio code that
does the same. Growth is measured the same way: a large graph against many small ones with as many nodes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from eino import END, START, Branch, Chain, Graph, Handler, Lambda, Runnable

CHUNKS = 1000


async def one_more(value: int) -> int:
    return value + 1


async def one_more_later(value: int) -> int:
    await asyncio.sleep(0)
    return value + 1


async def total(values: dict[str, int]) -> int:
    return sum(values.values())


def chain_of(nodes: int, node: Callable[..., Any] = one_more) -> Runnable[int, int]:
    chain = Chain[int, int]()
    for _ in range(nodes):
        chain.append_lambda(node)
    return chain.compile()


def line_of(nodes: int) -> Callable[[int], Coroutine[Any, Any, int]]:
    """The floor of a chain: a loop over functions."""
    functions = [one_more] * nodes

    async def line(value: int) -> int:
        for function in functions:
            value = await function(value)
        return value

    return line


def fan_of(width: int, node: Callable[..., Any] = one_more) -> Runnable[int, int]:
    """One node, `width` nodes beside each other, one that joins them."""
    graph = Graph[int, int]()
    graph.add_lambda_node("first", one_more)
    graph.add_lambda_node("join", total)
    graph.add_edge(START, "first")
    for index in range(width):
        graph.add_lambda_node(f"beside_{index}", node, output_key=str(index))
        graph.add_edge("first", f"beside_{index}")
        graph.add_edge(f"beside_{index}", "join")
    graph.add_edge("join", END)
    return graph.compile(trigger="all")


def task_group_of(width: int, node: Callable[[int], Coroutine[Any, Any, int]] = one_more) -> Callable[[int], Any]:
    """The floor of a fan: `asyncio.TaskGroup`."""

    async def fan(value: int) -> int:
        value = await one_more(value)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(node(value)) for _ in range(width)]
        return await total({str(index): task.result() for index, task in enumerate(tasks)})

    return fan


@pytest.mark.instructions
@pytest.mark.workload("W1", "invoke a chain of 10 trivial nodes", goal_us=2.0, goal_ratio=3.0, gate_ratio=4.5)
def test_w1_chain_of_10(abenchmark):
    """What does one more node cost?

    Timed: one `invoke` of a compiled chain inside a running loop. Not timed: compile, loop start.
    Expected: near the floor; a fixed cost for the run, then little more than the awaited functions.
    """
    chain, line = chain_of(10), line_of(10)
    done = abenchmark.compare(subject=lambda: chain.invoke(1), floor=lambda: line(1))
    assert done.subject == done.floor == 11


@pytest.mark.instructions
@pytest.mark.workload("W1b", "invoke a chain of 50 trivial nodes", goal_us=6.5, goal_ratio=2.0, gate_ratio=3.0)
def test_w1b_chain_of_50(abenchmark):
    """What is left of the fixed cost in a long chain?"""
    chain, line = chain_of(50), line_of(50)
    done = abenchmark.compare(subject=lambda: chain.invoke(1), floor=lambda: line(1))
    assert done.subject == done.floor == 51


FAN_GATE = 1.4 if sys.version_info >= (3, 12) else 2.2


@pytest.mark.instructions
@pytest.mark.workload("W2", "DAG: 1, then 8 beside each other, then a join", goal_us=20.0, gate_ratio=FAN_GATE)
def test_w2_fan_of_8(abenchmark):
    """What do parallel nodes cost that never wait? The floor is `asyncio.TaskGroup`."""
    graph, floor = fan_of(8), task_group_of(8)
    done = abenchmark.compare(subject=lambda: graph.invoke(1), floor=lambda: floor(1))
    assert done.subject == done.floor == 24


@pytest.mark.workload("W2b", "W2, and each of the 8 waits once", goal_ratio=1.3, gate_ratio=2.0)
def test_w2b_fan_of_8_that_waits(abenchmark):
    """What do parallel nodes cost that do wait?"""
    graph, floor = fan_of(8, one_more_later), task_group_of(8, one_more_later)
    done = abenchmark.compare(subject=lambda: graph.invoke(1), floor=lambda: floor(1))
    assert done.subject == done.floor == 24


@pytest.mark.instructions
@pytest.mark.workload("W3", "Pregel loop of 100 rounds, one branch", goal_us=35.0, goal_ratio=2.5, gate_ratio=3.5)
def test_w3_loop_of_100_rounds(abenchmark):
    """What does a round of a loop cost: a node and a decision?"""

    async def again(value: int) -> str:
        return "node" if value < 100 else END

    graph = Graph[int, int]()
    graph.add_lambda_node("node", one_more)
    graph.add_edge(START, "node")
    graph.add_branch("node", Branch(again, ends={"node", END}))
    loop = graph.compile(max_steps=200)

    async def floor(value: int) -> int:
        while True:
            value = await one_more(value)
            if await again(value) == END:
                return value

    done = abenchmark.compare(subject=lambda: loop.invoke(0), floor=lambda: floor(0))
    assert done.subject == done.floor == 100


async def numbers() -> AsyncIterator[int]:
    for number in range(CHUNKS):
        yield number


async def plus_one(stream: AsyncIterator[int]) -> AsyncIterator[int]:
    async for number in stream:
        yield number + 1


@pytest.mark.instructions(calls=5)
@pytest.mark.workload("W4", "stream 1000 chunks through 3 transforms", unit="us/chunk", per=CHUNKS, gate_ratio=9.0)
@pytest.mark.parametrize("bound", [pytest.param(True, id="bound"), pytest.param(False, id="unbound")])
def test_w4_three_transforms(abenchmark, bound):
    """What does a chunk cost on its way through three nodes? Goals: 2.5 us bound, 0.6 us unbound."""
    chain = Chain[int, int]()
    for _ in range(3):
        chain.append_lambda(Lambda(plus_one, bound=bound))
    runnable = chain.compile()

    async def through_graph() -> int:
        return sum([number async for number in runnable.transform(numbers())])

    async def through_generators() -> int:
        return sum([number async for number in plus_one(plus_one(plus_one(numbers())))])

    done = abenchmark.compare(subject=through_graph, floor=through_generators)
    assert done.subject == done.floor == sum(range(3, CHUNKS + 3))


@pytest.mark.instructions
@pytest.mark.workload("W9", "build and compile the 10-node chain", goal_us=100.0)
def test_w9_build_and_compile(abenchmark):
    """What does it cost to make a chain, types read and checked?"""
    assert len(abenchmark(chain_of, 10).plan.keys) == 10


class Deaf(Handler):
    """Hears every timing and does nothing."""

    def on_start(self, info, input):  # noqa: A002 - the protocol's word
        pass

    def on_end(self, info, output):
        pass

    def on_error(self, info, error):
        pass

    def on_start_stream_input(self, info, reader):
        pass

    def on_end_stream_output(self, info, reader):
        pass


@pytest.mark.instructions
@pytest.mark.workload("W10", "W1 with one no-op handler for every timing", goal_us=8.0, gate_ratio=10.0)
def test_w10_chain_with_a_handler(abenchmark):
    """What does it cost to be listened to? The floor calls two functions around each node and around the run."""
    chain, line, handler = chain_of(10), line_of(10), Deaf()
    functions = [one_more] * 10

    async def floor(value: int) -> int:
        handler.on_start(None, value)
        for function in functions:
            handler.on_start(None, value)
            value = await function(value)
            handler.on_end(None, value)
        handler.on_end(None, value)
        return value

    done = abenchmark.compare(subject=lambda: chain.invoke(1, callbacks=[handler]), floor=lambda: floor(1))
    assert done.subject == done.floor == asyncio.run(line(1))


@pytest.mark.workload(
    "W12", "1000 concurrent W1 runs, one node sleeps 10 ms (CPU)", unit="ms/op", goal_us=12_000, gate_ratio=2.5
)
def test_w12_a_thousand_runs_at_once(abenchmark):
    """What does it cost in CPU to have a thousand runs under way?"""

    async def asleep(value: int) -> int:
        await asyncio.sleep(0.01)
        return value + 1

    chain = Chain[int, int]()
    functions = [one_more] * 5 + [asleep] + [one_more] * 4
    for function in functions:
        chain.append_lambda(function)
    runnable = chain.compile()

    async def line(value: int) -> int:
        for function in functions:
            value = await function(value)
        return value

    async def many(run: Callable[[int], Coroutine[Any, Any, int]]) -> int:
        return sum(await asyncio.gather(*(run(0) for _ in range(1000))))

    done = abenchmark.compare(
        subject=lambda: many(runnable.invoke), floor=lambda: many(line), clock="cpu", rounds=10, inner=1
    )
    assert done.subject == done.floor == 10_000


@pytest.mark.workload(
    "growth", "1000 nodes in one chain, against 100 chains of 10", unit="us/node", per=1000, gate_ratio=1.2
)
def test_growth_of_a_chain(abenchmark):
    """Does a node cost more in a large graph?"""
    large, small = chain_of(1000), chain_of(10)

    async def many() -> int:
        value = 0
        for _ in range(100):
            value = await small.invoke(value)
        return value

    done = abenchmark.compare(subject=lambda: large.invoke(0), floor=many)
    assert done.subject == done.floor == 1000


@pytest.mark.workload(
    "growth", "512 nodes beside each other, against 64 times 8", unit="us/node", per=512, gate_ratio=1.2
)
def test_growth_of_a_fan(abenchmark):
    """Does a parallel node cost more among many?"""
    large, small = fan_of(512), fan_of(8)

    async def many() -> int:
        return sum([await small.invoke(0) for _ in range(64)])

    done = abenchmark.compare(subject=lambda: large.invoke(0), floor=many)
    assert done.subject == done.floor == 1024
