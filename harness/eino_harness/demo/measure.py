"""A short benchmark of the engine beside hand-written code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from eino import END, START, Branch, Chain, Graph
from eino_harness.bench.loops import open_loop
from eino_harness.bench.measure import Plan, Rounds, quiet_gc
from eino_harness.bench.table import Record, Row, build_rows, render_table
from eino_harness.bench.workload import Workload

__all__ = ["measure_engine"]

_PLAN = Plan(rounds=21, warmup_rounds=2)

Work = Callable[[], Coroutine[Any, Any, int]]


def measure_engine() -> tuple[list[Row], str]:
    """Return two workloads, each measured in turn with its floor, and their table."""
    records = [
        _measured(Workload("W1", "invoke a chain of 10 trivial nodes"), *_chain()),
        _measured(Workload("W3", "Pregel loop of 100 rounds, one branch"), *_loop()),
    ]
    rows = build_rows(records)
    return rows, "\n".join(render_table(rows))


def _measured(workload: Workload, subject: Work, floor: Work) -> Record:
    driver = open_loop("asyncio")
    try:
        rounds = Rounds(driver, [subject, floor], _PLAN)
        with quiet_gc():
            rounds.prepare()
            rounds.warm_up()
            for _ in range(_PLAN.rounds):
                rounds.run_one()
        ours, theirs = rounds.samples()
    finally:
        driver.close()
    return Record(workload, "eino demo", "asyncio", ours, theirs)


async def _one_more(value: int) -> int:
    return value + 1


def _chain() -> tuple[Work, Work]:
    chain = Chain[int, int]()
    for _ in range(10):
        chain.append_lambda(_one_more)
    runnable = chain.compile()
    functions = [_one_more] * 10

    async def by_hand() -> int:
        value = 0
        for function in functions:
            value = await function(value)
        return value

    return lambda: runnable.invoke(0), by_hand


def _loop() -> tuple[Work, Work]:
    async def again(value: int) -> str:
        return "node" if value < 100 else END

    graph = Graph[int, int]()
    graph.add_lambda_node("node", _one_more)
    graph.add_edge(START, "node")
    graph.add_branch("node", Branch(again, ends=["node", END]))
    runnable = graph.compile(max_steps=200)

    async def by_hand() -> int:
        value = 0
        while True:
            value = await _one_more(value)
            if await again(value) == END:
                return value

    return lambda: runnable.invoke(0), by_hand
