"""A branch that chooses several nodes sends each of them the value, in both engines, by value and by stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from eino import END, START, Branch, Graph


@pytest.mark.parametrize("trigger", ["any", "all"])
@pytest.mark.parametrize("chosen", [["a", "b"], ["b", "c"], ["a", "b", "c"]], ids="+".join)
async def test_each_chosen_node_gets_the_value(chosen: list[str], trigger: Literal["any", "all"]) -> None:
    graph = Graph[str, dict[str, str]]()
    graph.add_lambda_node("source", lambda text: text.upper())
    for key in "abc":
        graph.add_lambda_node(key, lambda text, key=key: f"{key}:{text}", output_key=key)
        graph.add_edge(key, END)
    graph.add_edge(START, "source").add_branch("source", Branch(lambda _: chosen, ends=set("abc")))
    runnable = graph.compile(trigger=trigger)
    wanted = {key: f"{key}:X" for key in chosen}

    assert await runnable.invoke("x") == wanted
    async with runnable.stream("x") as reader:
        assert await reader.concat() == wanted


async def test_each_chosen_node_gets_every_chunk() -> None:
    async def spelled(text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter

    async def counted(chunks: AsyncIterator[str]) -> int:
        return len([chunk async for chunk in chunks])

    graph = Graph[str, dict[str, Any]]()
    graph.add_lambda_node("spell", spelled)
    for key in "ab":
        graph.add_lambda_node(key, counted, output_key=key)
        graph.add_edge(key, END)
    graph.add_edge(START, "spell").add_branch("spell", Branch(lambda _: ["a", "b"], ends={"a", "b"}))

    async with graph.compile().stream("abc") as reader:
        assert await reader.concat() == {"a": 3, "b": 3}
