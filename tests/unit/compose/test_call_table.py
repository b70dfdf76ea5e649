"""How linear runs of a graph are fused into segments."""

from __future__ import annotations

from typing import Any

from eino import END, START, Branch, FanIn, Graph
from eino.compose.execute import Execution


def chain_of(keys: str) -> Graph[Any, Any]:
    graph = Graph[Any, Any]()
    for key in keys:
        graph.add_lambda_node(key, lambda value: value)
    for source, target in zip((START, *keys), (*keys, END), strict=True):
        graph.add_edge(source, target)
    return graph


def table_of(graph: Graph[Any, Any], **options: Any) -> Any:
    return Execution(graph.compile(**options).plan).plain


def test_a_line_is_one_segment_that_ends() -> None:
    """Architecture 7: a `for` loop over fused steps."""
    table = table_of(chain_of("abc"))

    assert (table.entry.length, len(table.entry.steps), table.entry.ends) == (3, 3, True)
    assert table.entry.last == 2


def test_a_start_that_leads_to_several_has_no_segment() -> None:
    """Then tasks are needed."""
    graph = chain_of("ab").add_edge(START, "b")

    assert table_of(graph).entry is None
    assert table_of(chain_of("a"), trigger="all").entry is None


def test_a_loop_is_a_segment_that_its_branch_leads_back_to() -> None:
    """And the choice of the end is a segment without nodes."""
    graph = Graph[Any, Any]().add_lambda_node("a", lambda value: value).add_edge(START, "a")
    graph.add_branch("a", Branch(lambda value: END, ends=["a", END]))

    entry = table_of(graph).entry

    assert entry.by_key["a"] is entry
    assert (entry.by_key[END].length, entry.by_key[END].ends, entry.by_key[END].steps) == (0, True, ())


def test_a_circle_of_edges_is_fused_once() -> None:
    """A line that leads back into itself has no end."""
    graph = Graph[Any, Any]()
    for key in "ab":
        graph.add_lambda_node(key, lambda value: value)
    graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", "a").add_edge("b", END)
    graph2 = Graph[Any, Any]()
    for key in "abc":
        graph2.add_lambda_node(key, lambda value: value)
    graph2.add_edge(START, "a").add_edge("a", "b").add_edge("b", "a").add_edge("c", END)

    assert table_of(graph).entry.following is None
    entry = table_of(graph2).entry
    assert entry.following is not None


def test_a_node_that_several_lead_to_begins_a_segment() -> None:
    """Its input may have to be merged."""
    graph = Graph[Any, Any]()
    for key in "abc":
        graph.add_lambda_node(key, lambda value: value)
    graph.add_branch(START, Branch(lambda value: "a", ends=["a", "b"]))
    graph.add_edge("a", "c").add_edge("b", "c").add_edge("c", END)
    table = table_of(graph)

    first, second = table.segment(0), table.segment(1)

    assert first.following is second.following is table.segment(2)
    assert not first.ends


def test_checks_stand_between_the_nodes_under_the_node_that_gives() -> None:
    """4b: the error belongs to the producer."""

    def number(value: int) -> Any:
        return value

    graph = Graph[int, int]().add_lambda_node("a", number).add_lambda_node("b", number)
    graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", END)

    assert [index for index, _, _ in table_of(graph).entry.steps] == [0, 0, 1, 1]


def test_a_named_fan_in_is_work_on_the_way() -> None:
    """S55: of stream runs only."""
    plan = chain_of("ab").compile(fan_in={"b": FanIn(source_ended=True), END: FanIn()}).plan
    execution = Execution(plan)

    assert len(execution.plain.entry.steps) == 2
    assert len(execution._streamed_table.entry.steps) == 3
