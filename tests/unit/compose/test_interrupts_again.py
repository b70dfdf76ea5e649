"""What a run forgets when a node has ended, and what it must not: answers belong to one place and one round."""

from __future__ import annotations

import itertools
from typing import Any

import anyio
import pytest

from eino import END, START, Branch, Graph, GraphInterrupt, MemoryStore, interrupt


async def answered(runnable: Any, value: Any, answers: dict[str, list[str]]) -> tuple[Any, list[list[str]]]:
    """Run to the end, each place with its next answer; return the output, and who asked at each stop."""
    stops: list[list[str]] = []
    resume: dict[str, Any] = {}
    for _ in range(20):
        try:
            return await runnable.invoke(value, checkpoint_id="run", resume=resume), stops
        except GraphInterrupt as stop:
            stops.append([str(context.info) for context in stop.contexts])
            resume = {context.id: answers[str(context.info)].pop(0) for context in stop.contexts}
    raise AssertionError(f"the run does not end: {stops}")


@pytest.mark.parametrize("durability", ["interrupt", "step"])
async def test_a_node_asks_anew_in_each_round_of_a_loop(durability: Any) -> None:
    rounds = itertools.count(1)

    async def ask(text: str) -> str:
        return text + interrupt("which?")

    graph = Graph[str, str]()
    graph.add_lambda_node("ask", ask)
    graph.add_lambda_node("count", lambda text: f"{text}{next(rounds)}")
    graph.add_edge(START, "ask").add_edge("ask", "count")
    graph.add_branch("count", Branch(lambda text: END if len(text) >= 6 else "ask", ends={"ask", END}))
    runnable = graph.compile(checkpoint_store=MemoryStore(), durability=durability)

    output, stops = await answered(runnable, "", {"which?": ["a", "b", "c"]})

    assert output == "a1b2c3"
    assert stops == [["which?"]] * 3


async def test_a_node_whose_key_begins_like_another_s_keeps_its_answer() -> None:
    """`a` ends first; what is known of `ab` has nothing to do with it."""

    async def quick(text: str) -> str:
        return text + interrupt("a?")

    async def slow(text: str) -> str:
        await anyio.sleep(0.001)
        return text + interrupt("ab?")

    graph = Graph[str, dict[str, str]]()
    graph.add_lambda_node("a", quick, output_key="a")
    graph.add_lambda_node("ab", slow, output_key="ab")
    for key in ("a", "ab"):
        graph.add_edge(START, key).add_edge(key, END)
    runnable = graph.compile(checkpoint_store=MemoryStore())

    output, stops = await answered(runnable, "x", {"a?": ["1"], "ab?": ["2"]})

    assert output == {"a": "x1", "ab": "x2"}
    assert [sorted(stop) for stop in stops] == [["a?", "ab?"]]
