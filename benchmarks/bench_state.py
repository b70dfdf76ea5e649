"""What state and branches cost, each beside hand-written code that does the same."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from eino import END, START, Branch, Graph, RunContext, Runnable

NODES = 10
WAYS = 8


@dataclass
class Notes:
    seen: list[int] = field(default_factory=list)


async def one_more(value: int) -> int:
    return value + 1


def note(value: int, state: Notes) -> int:
    state.seen.append(value)
    return value


async def count(value: int, ctx: RunContext[Notes]) -> int:
    return value + len(ctx.state.seen)


def noted_line() -> Runnable[int, int]:
    graph = Graph[int, int](state=Notes)
    for index in range(NODES):
        graph.add_lambda_node(f"n{index}", one_more, pre=note)
        graph.add_edge(START if not index else f"n{index - 1}", f"n{index}")
    graph.add_lambda_node("count", count)
    graph.add_edge(f"n{NODES - 1}", "count").add_edge("count", END)
    return graph.compile()


@pytest.mark.instructions
@pytest.mark.workload("state", "10 nodes that note their input in a state, one that reads it", gate_ratio=12.0)
def test_state(abenchmark):
    """What does a state cost, with a handler in front of each node? The floor passes a state along by hand."""
    runnable = noted_line()

    async def by_hand(value: int) -> int:
        state = Notes()
        for _ in range(NODES):
            value = await one_more(note(value, state))
        return value + len(state.seen)

    done = abenchmark.compare(subject=lambda: runnable.invoke(0), floor=lambda: by_hand(0))
    assert done.subject == done.floor == 2 * NODES


@pytest.mark.instructions
@pytest.mark.workload("branch", "one of 8 nodes is chosen, then a join", gate_ratio=25.0)
def test_branch_of_8(abenchmark):
    """What does a choice cost? The floor is a dictionary of functions."""

    async def choose(value: int) -> str:
        return f"way{value % WAYS}"

    graph = Graph[int, int]()
    ways = [f"way{index}" for index in range(WAYS)]
    graph.add_lambda_node("join", one_more)
    for way in ways:
        graph.add_lambda_node(way, one_more).add_edge(way, "join")
    graph.add_branch(START, Branch(choose, ends=set(ways)))
    graph.add_edge("join", END)
    runnable = graph.compile()
    functions = dict.fromkeys(ways, one_more)

    async def by_hand(value: int) -> int:
        return await one_more(await functions[await choose(value)](value))

    done = abenchmark.compare(subject=lambda: runnable.invoke(5), floor=lambda: by_hand(5))
    assert done.subject == done.floor == 7


@pytest.mark.workload("branch", "several of 8 nodes are chosen, beside each other", variant="many")
def test_branch_to_several(abenchmark):
    """What does it cost to choose four nodes at once? They run beside each other, and a join gathers them."""

    async def choose(value: int) -> set[str]:
        return {f"way{index}" for index in range(0, WAYS, 2)}

    async def total(values: dict[str, int]) -> int:
        return sum(values.values())

    graph = Graph[int, int]()
    ways = [f"way{index}" for index in range(WAYS)]
    graph.add_lambda_node("join", total)
    for way in ways:
        graph.add_lambda_node(way, one_more, output_key=way).add_edge(way, "join")
    graph.add_branch(START, Branch(choose, ends=set(ways)))
    graph.add_edge("join", END)
    runnable = graph.compile(trigger="all")
    assert abenchmark(runnable.invoke, 1) == WAYS
