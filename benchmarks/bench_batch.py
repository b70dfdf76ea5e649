"""What `batch` costs on top of the runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from eino import Chain, Runnable

RUNS = 10_000


async def one_more(value: int) -> int:
    return value + 1


def chain_of_10() -> Runnable[int, int]:
    chain = Chain[int, int]()
    for _ in range(10):
        chain.append_lambda(one_more)
    return chain.compile()


async def gathered(invoke: Callable[[int], Awaitable[int]]) -> list[int]:
    """The floor: W12's way, all runs at once, a task for each."""
    return await asyncio.gather(*(invoke(value) for value in range(RUNS)))


@pytest.mark.workload("batch", "10,000 chain runs with batch", unit="us/run", per=RUNS, gate_ratio=1.5)
@pytest.mark.parametrize("concurrency", [1, 16, 256])
def test_batch(abenchmark, concurrency):
    """What does a batch cost against the same runs, gathered by hand?

    Timed: 10,000 runs of a chain of 10 trivial nodes. Not timed: compile, loop start. The goal is at most 2 us a run
    above the floor; `batch` has a few workers where the floor has a task for each run, so it should be below.
    """
    chain = chain_of_10()
    done = abenchmark.compare(
        subject=lambda: chain.batch(range(RUNS), concurrency=concurrency),
        floor=lambda: gathered(chain.invoke),
        rounds=5,
        inner=1,
    )
    assert done.subject == done.floor == list(range(10, RUNS + 10))


@pytest.mark.workload("batch", "10,000 chain runs as they complete", unit="us/run", per=RUNS, gate_ratio=2.5)
def test_batch_as_completed(abenchmark):
    """What does it cost to hand each result over when it is there?"""
    chain = chain_of_10()

    async def completed() -> int:
        async with chain.batch_as_completed(range(RUNS)) as items:
            return sum([item.result() async for item in items])

    async def floor() -> int:
        return sum(await gathered(chain.invoke))

    done = abenchmark.compare(subject=completed, floor=floor, rounds=5, inner=1)
    assert done.subject == done.floor
