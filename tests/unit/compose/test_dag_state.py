"""The DAG scheduler alone: no clock, no task; who is ready, who is skipped."""

from __future__ import annotations

from typing import Any

from eino import END, START, Branch, Graph
from eino.compose.dag_state import DagShape, DagState


def state_of(graph: Graph[Any, Any]) -> tuple[DagState, Any]:
    """Return a scheduler for a graph, and a function from keys to indices."""
    plan = graph.compile(trigger="all").plan
    index = {key: number for number, key in enumerate((*plan.keys, "end"))} | {"start": -1}
    return DagState(DagShape(plan)), index


def graph_of(keys: str, *edges: tuple[str, str]) -> Graph[Any, Any]:
    graph = Graph[Any, Any]()
    for key in keys:
        graph.add_lambda_node(key, lambda value: value)
    for source, target in edges:
        graph.add_edge(source, target)
    return graph


def test_a_node_is_ready_when_all_before_it_are_done() -> None:
    """2.5: once, in the order in which nodes were added."""
    state, index = state_of(graph_of("abc", (START, "b"), (START, "a"), ("a", "c"), ("b", "c"), ("c", END)))

    state.complete(-1)
    assert state.take_ready() == [index["a"], index["b"]]
    assert state.take_ready() == []
    state.complete(index["b"])
    assert state.take_ready() == []
    assert state.last == [index["b"]]
    state.complete(index["a"])
    assert state.take_ready() == [index["c"]]
    assert state.last == []
    assert not state.end_is_ready
    state.complete(index["c"])
    assert (state.take_ready(), state.end_is_ready) == ([], True)


def test_values_come_in_the_order_of_the_edges() -> None:
    """D16: whoever gave first."""
    state, index = state_of(graph_of("ab", (START, "b"), (START, "a"), ("b", END), ("a", END)))
    end = index["end"]

    state.give(end, index["a"], "from a")
    state.give(end, index["b"], "from b")

    assert state.take_input(end) == [(index["b"], "from b"), (index["a"], "from a")]
    assert state.take_input(end) == []


def branching() -> Graph[Any, Any]:
    graph = graph_of("abcd", ("a", "c"), ("b", "c"), ("c", END), ("b", "d"))
    return graph.add_branch(START, Branch(lambda value: "a", ends=["a", "b"]))


def test_a_skip_goes_on_to_what_nobody_else_lets_run() -> None:
    """2.5: c still waits for a alone; d is skipped with b."""
    state, index = state_of(branching())

    state.complete(-1, {index["a"]})
    assert state.take_ready() == [index["a"]]
    state.complete(index["a"])
    assert state.take_ready() == [index["c"]]
    state.complete(index["c"])
    assert state.end_is_ready


def test_when_nobody_is_chosen_everything_is_skipped() -> None:
    """2.5: the end too; then nothing is ready, and that is all."""
    state, _ = state_of(branching())

    state.complete(-1, set())

    assert (state.take_ready(), state.end_is_ready) == ([], False)


def test_what_was_given_to_a_skipped_node_is_handed_back() -> None:
    """2.6: whoever gave it must close it."""
    graph = graph_of("abc", (START, "b"), ("b", END)).add_edge("a", "c")
    graph.add_branch("b", Branch(lambda value: END, ends=["c", END]))
    graph.add_branch(START, Branch(lambda value: [], ends=["a"]))
    state, index = state_of(graph)
    state.complete(-1, {index["b"]})
    state.give(index["c"], index["b"], "for c")

    dropped = state.complete(index["b"], {index["end"]})

    assert list(dropped) == ["for c"]


def test_what_waits_for_nodes_that_will_not_run_is_left_over() -> None:
    """2.6: at the end of the run."""
    state, index = state_of(graph_of("ab", (START, "a"), ("a", "b"), ("b", END)))
    state.give(index["a"], -1, "x")
    state.give(index["b"], index["a"], "y")

    assert state.leftovers() == ["x", "y"]
    assert state.leftovers() == []


def test_a_plain_edge_lets_a_node_run_whatever_branches_choose() -> None:
    """5b: the branch names it too, and picks another one."""
    graph = graph_of("abc", (START, "a"), ("a", "b"), ("b", END), ("c", END))
    graph.add_branch("a", Branch(lambda value: "c", ends=["b", "c"]))
    state, index = state_of(graph)
    state.complete(-1)
    assert state.take_ready() == [index["a"]]

    state.complete(index["a"], {index["b"], index["c"]})

    assert state.take_ready() == [index["b"], index["c"]]
