"""The workloads with langgraph; it has no transforms, so there is no W4."""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from workloads import CHAIN, ROUNDS, WIDTH, measure


class State(TypedDict):
    value: int


class Gathered(TypedDict):
    value: int
    parts: Annotated[list[int], operator.add]


async def one_more(state: State) -> State:
    return {"value": state["value"] + 1}


async def part(state: Gathered) -> dict:
    return {"parts": [state["value"]]}


async def join(state: Gathered) -> dict:
    return {"value": sum(state["parts"])}


async def again(state: State) -> str:
    return "node" if state["value"] < ROUNDS else END


line = StateGraph(State)
for index in range(CHAIN):
    line.add_node(f"node_{index}", one_more)
    line.add_edge(START if not index else f"node_{index - 1}", f"node_{index}")
line.add_edge(f"node_{CHAIN - 1}", END)
compiled_line = line.compile()

fan = StateGraph(Gathered)
fan.add_node("first", one_more)
fan.add_node("join", join)
fan.add_edge(START, "first")
for index in range(WIDTH):
    fan.add_node(f"beside_{index}", part)
    fan.add_edge("first", f"beside_{index}")
fan.add_edge([f"beside_{index}" for index in range(WIDTH)], "join")
fan.add_edge("join", END)
compiled_fan = fan.compile()

loop = StateGraph(State)
loop.add_node("node", one_more)
loop.add_edge(START, "node")
loop.add_conditional_edges("node", again, ["node", END])
compiled_loop = loop.compile()


async def w1() -> int:
    return (await compiled_line.ainvoke({"value": 0}))["value"]


async def w2() -> int:
    return (await compiled_fan.ainvoke({"value": 0, "parts": []}))["value"]


async def w3() -> int:
    return (await compiled_loop.ainvoke({"value": 0}, {"recursion_limit": ROUNDS + 1}))["value"]


measure("langgraph", {"W1": w1, "W2": w2, "W3": w3}, distribution="langgraph")
