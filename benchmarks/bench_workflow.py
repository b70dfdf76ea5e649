"""What workflows cost: building and compiling one, and running it beside the same logic by hand.

The workflow: four layers of five nodes. Each node takes two fields from nodes of the layer before, 40 mappings in all,
into dicts and classes in turn; the end takes the rest.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from eino import START, Runnable, Workflow, map_fields

LAYERS = 4
WIDTH = 5


@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Sum:
    total: int
    spread: int


async def of_pair(pair: Pair) -> Sum:
    return Sum(pair.left + pair.right, pair.left - pair.right)


async def of_dict(pair: dict[str, int]) -> Sum:
    return Sum(pair["left"] + pair["right"], pair["left"] - pair["right"])


def built() -> Workflow[Sum, dict[str, int]]:
    workflow = Workflow[Sum, dict[str, int]]()
    for layer in range(LAYERS):
        for place in range(WIDTH):
            node = workflow.add_lambda_node(f"{layer}_{place}", of_pair if place % 2 else of_dict)
            if layer == 0:
                node.add_input(START, map_fields("total", "left"), map_fields("spread", "right"))
            else:
                node.add_input(f"{layer - 1}_{place}", map_fields("total", "left"))
                node.add_input(f"{layer - 1}_{(place + 1) % WIDTH}", map_fields("spread", "right"))
    for place in range(WIDTH):
        workflow.end().add_input(f"{LAYERS - 1}_{place}", map_fields("total", str(place)))
    return workflow


def compiled() -> Runnable[Sum, dict[str, int]]:
    return built().compile()


async def by_hand(value: Sum) -> dict[str, int]:
    """The floor: a task group for each layer, and the inputs written out."""
    before = [value] * WIDTH
    for _ in range(LAYERS):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    of_pair(Pair(left=before[place].total, right=before[(place + 1) % WIDTH].spread))
                    if place % 2
                    else of_dict({"left": before[place].total, "right": before[(place + 1) % WIDTH].spread})
                )
                for place in range(WIDTH)
            ]
        before = [task.result() for task in tasks]
    return {str(place): before[place].total for place in range(WIDTH)}


@pytest.mark.workload("W9w", "build and compile a workflow of 20 nodes, 45 mappings", unit="us/op", goal_us=1000.0)
def test_w9w_build_and_compile(abenchmark):
    """What does writing down and checking a workflow cost?

    Timed: adding the nodes with their mappings, `compile()`. Not timed: importing, the first reading of annotations.
    Expected: below a millisecond, a few us for each mapping.
    """
    assert abenchmark(compiled).plan.end == LAYERS * WIDTH


@pytest.mark.workload("W9w-run", "run that workflow", goal_ratio=3.0, gate_ratio=5.0)
def test_w9w_run(abenchmark):
    """What does running it cost beside the same logic by hand?

    Timed: one `invoke` inside a running loop, and one call of the floor. Not timed: compile, loop start.
    Expected: within three times the floor.
    """
    workflow = compiled()
    value = Sum(total=3, spread=1)
    done = abenchmark.compare(subject=lambda: workflow.invoke(value), floor=lambda: by_hand(value))
    assert done.subject == done.floor
