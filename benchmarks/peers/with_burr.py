"""The workloads with burr's state machines; actions hand on whole states, so there is no W4.

An application keeps its state, so a run begins by setting it back, which is timed with it: a new application for each
run would cost more.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator

from burr.core import ApplicationBuilder, ApplicationContext, State, action, expr
from burr.core.action import create_action
from burr.core.parallelism import MapActions
from workloads import CHAIN, ROUNDS, WIDTH, measure


@action(reads=["value"], writes=["value"])
async def one_more(state: State) -> State:
    return state.update(value=state["value"] + 1)


@action(reads=["value"], writes=[])
async def done(state: State) -> State:
    return state


@action(reads=["value"], writes=["value"])
async def same(state: State) -> State:
    return state.update(value=state["value"])


class Beside(MapActions):
    async def actions(self, state: State, context: ApplicationContext, inputs: dict) -> AsyncGenerator:
        for index in range(WIDTH):
            yield create_action(same, f"beside_{index}")

    def state(self, state: State, inputs: dict) -> State:
        return state

    async def reduce(self, state: State, states: AsyncGenerator[State, None]) -> State:
        total = 0
        async for each in states:
            total += each["value"]
        return state.update(value=total)

    def is_async(self) -> bool:
        return True

    @property
    def reads(self) -> list[str]:
        return ["value"]

    @property
    def writes(self) -> list[str]:
        return ["value"]


def machine(actions: dict, transitions: list, entry: str):
    return (
        ApplicationBuilder()
        .with_actions(**actions)
        .with_transitions(*transitions)
        .with_state(value=0)
        .with_entrypoint(entry)
        .build()
    )


names = [f"n{index}" for index in range(CHAIN)]
line = machine(
    dict.fromkeys(names, one_more),
    [*itertools.pairwise(names), (names[-1], names[0])],
    names[0],
)
loop = machine(
    {"node": one_more, "done": done},
    [("node", "node", expr(f"value < {ROUNDS}")), ("node", "done"), ("done", "node")],
    "node",
)
fan = machine({"first": one_more, "beside": Beside()}, [("first", "beside"), ("beside", "first")], "first")


async def run(application, last: str) -> int:
    application.update_state(application.state.update(value=0))
    _, _, state = await application.arun(halt_after=[last])
    return state["value"]


measure(
    "burr",
    {"W1": lambda: run(line, names[-1]), "W2": lambda: run(fan, "beside"), "W3": lambda: run(loop, "done")},
    distribution="apache-burr",
)
