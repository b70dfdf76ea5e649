"""What it costs to stop a run, store it, and go on."""

from __future__ import annotations

import pytest

from eino import END, START, Graph, GraphInterrupt, MemoryStore


async def one_more(value: int) -> int:
    return value + 1


@pytest.mark.instructions
@pytest.mark.workload("W11", "3 nodes, interrupt before the third, resume, memory store", goal_us=150.0)
def test_w11_interrupt_and_resume(abenchmark):
    """What does an interrupt cost with its resume? Timed: both calls. Not timed: compile."""
    graph = Graph[int, int]()
    for key in "abc":
        graph.add_lambda_node(key, one_more)
    graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", "c").add_edge("c", END)
    runnable = graph.compile(checkpoint_store=MemoryStore(), interrupt_before=["c"])

    async def stop_and_go_on() -> int:
        try:
            await runnable.invoke(0, checkpoint_id="w11")
        except GraphInterrupt:
            return await runnable.invoke(checkpoint_id="w11")
        raise AssertionError("the run did not stop")

    assert abenchmark(stop_and_go_on) == 3
