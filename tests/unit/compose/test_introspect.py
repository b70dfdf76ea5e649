"""What `describe()` says, and who is told when a graph is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eino import (
    END,
    START,
    Branch,
    BranchInfo,
    BuildError,
    Chain,
    ChainBranch,
    EdgeInfo,
    Graph,
    GraphInfo,
    Parallel,
    add_global_compile_callback,
)
from eino_fixtures import ScriptedChatModel


def same(text: str) -> str:
    return text


def length(text: str) -> int:
    return len(text)


def to_end(text: str) -> str:
    return END


def test_a_graph_is_described_as_it_was_built() -> None:
    graph = Graph[str, Any]()
    graph.add_lambda_node("one", same, name="First", output_key="text")
    graph.add_lambda_node("two", length, input_key="text")
    graph.add_passthrough_node("three")
    graph.add_edge(START, "one").add_edge("one", "two").add_edge("two", "three").add_edge("three", END)
    info = graph.compile(name="g", max_steps=7).describe()

    assert (info.name, info.kind, info.trigger, info.max_steps) == ("g", "Graph", "any", 7)
    assert (info.input_type, info.output_type) == ("str", "Any")
    assert info.keys() == (START, "one", "two", "three", END)
    assert info.edges == tuple(
        EdgeInfo(source, target, "both")
        for source, target in [(START, "one"), ("one", "two"), ("two", "three"), ("three", END)]
    )
    one, two, three = info.nodes
    assert (one.key, one.name, one.component, one.output_key, one.input_key) == ("one", "First", "Lambda", "text", None)
    assert (one.input_type, one.output_type) == ("str", "str"), "the types inside, without the keys"
    assert (two.input_type, two.output_type, two.input_key) == ("str", "int", "text")
    assert (three.component, three.type, three.graph) == ("Passthrough", "", None)


def test_a_component_has_its_kind_and_its_implementation() -> None:
    (node,) = Chain[Any, Any]().append_chat_model(ScriptedChatModel(["x"])).compile().describe().nodes

    assert node.component == "ChatModel"
    assert "Scripted" in node.type


def test_a_branch_names_nodes_and_not_what_its_condition_returns() -> None:
    branch = ChainBranch(same).add_lambda("x", same, key="left").add_lambda("y", same)
    info = Chain[str, str]().append_branch(branch).compile().describe()

    (described,) = info.branches
    assert (described.source, described.ends) == (START, ("left", "node_0_branch_y"))
    assert described.condition.endswith("same")


def test_every_branch_of_a_node_is_described() -> None:
    graph = Graph[str, str]().add_lambda_node("node", same).add_edge(START, "node")
    graph.add_branch("node", Branch(to_end, ends=["node", END])).add_branch("node", Branch(same, ends=[END]))
    info = graph.compile().describe()

    assert [(each.source, each.ends) for each in info.branches] == [("node", ("node", END)), ("node", (END,))]
    assert isinstance(info.branches[0], BranchInfo)


def test_graphs_inside_graphs_are_described_inside() -> None:
    innermost = Chain[str, str]().append_lambda(same, key="deep")
    middle = Chain[str, Any]().append_parallel(Parallel().add_graph("a", innermost).add_lambda("b", length))
    info = Chain[str, Any]().append_graph(middle, key="outer").compile(name="root").describe()

    (outer,) = info.nodes
    assert outer.component == "Chain"
    assert outer.graph is not None
    inner = outer.graph.nodes[0].graph
    assert inner is not None
    assert inner.keys() == (START, "deep", END)
    assert outer.graph.nodes[1].graph is None


@pytest.fixture
def told() -> Iterator[list[GraphInfo]]:
    """What a global callback was told."""
    infos: list[GraphInfo] = []
    undo = add_global_compile_callback(infos.append)
    yield infos
    undo()


def nested() -> Chain[str, str]:
    return Chain[str, str]().append_graph(Chain[str, str]().append_lambda(same, key="inner"), key="sub")


def test_callbacks_are_told_in_order_what_was_compiled(told: list[GraphInfo]) -> None:
    """1.16: the graph's own callbacks, then the global ones."""
    order: list[tuple[str, GraphInfo]] = []
    runnable = nested().compile(
        name="n",
        on_compile=[
            lambda info: order.append(("first", info)),
            lambda info: order.append(("second", info)),
            lambda info: order.append(("told before", info)) if told else None,
        ],
    )

    assert [name for name, _ in order] == ["first", "second"]
    assert [info for _, info in order] == [runnable.describe()] * 2
    assert told == [runnable.describe()]


def test_global_callbacks_hear_of_the_outermost_graph_only(told: list[GraphInfo]) -> None:
    """1.16: graphs as nodes are in the information of the graph around them."""
    nested().compile(name="outer")

    (info,) = told
    assert info.name == "outer"
    assert info.nodes[0].graph is not None
    assert info.nodes[0].graph.keys() == (START, "inner", END)
    Chain[str, str]().append_lambda(same).compile(name="next")
    assert [each.name for each in told] == ["outer", "next"]


def test_a_graph_that_fails_inside_leaves_global_callbacks_on(told: list[GraphInfo]) -> None:
    with pytest.raises(BuildError, match="graph node 'sub'"):
        Chain[str, str]().append_graph(Graph[str, str](), key="sub").compile()
    assert told == []
    nested().compile(name="good")
    assert [info.name for info in told] == ["good"]


def test_the_compile_options_of_a_node_may_have_callbacks(told: list[GraphInfo]) -> None:
    own: list[GraphInfo] = []
    inner = Chain[str, str]().append_lambda(same, key="inner")
    Chain[str, str]().append_graph(inner, compile_options={"on_compile": [own.append]}).compile()

    assert [info.keys() for info in own] == [(START, "inner", END)]
    assert len(told) == 1


def test_a_callback_is_not_told_of_what_failed(told: list[GraphInfo]) -> None:
    own: list[GraphInfo] = []
    with pytest.raises(BuildError, match="end node not set"):
        Graph[str, str]().add_lambda_node("a", same).add_edge(START, "a").compile(on_compile=[own.append])
    assert own == told == []


@pytest.mark.parametrize("make", [lambda: nested(), lambda: graph_of_one()])
async def test_what_a_callback_raises_stops_the_compile_and_can_be_mended(make: Any) -> None:
    def refuse(info: GraphInfo) -> None:
        raise LookupError(f"{len(info.nodes)} nodes are too many")

    graph = make()
    for _ in range(2):
        with pytest.raises(LookupError, match="1 nodes are too many"):
            graph.compile(on_compile=[refuse])
    assert await graph.compile().invoke("x") == "x"


def graph_of_one() -> Graph[str, str]:
    return Graph[str, str]().add_lambda_node("a", same).add_edge(START, "a").add_edge("a", END)


@pytest.mark.parametrize("wrong", [print, "print", 3, [3], (print, None)])
def test_what_is_no_list_of_functions_is_refused(wrong: Any) -> None:
    with pytest.raises(BuildError, match=r"takes? a GraphInfo"):
        nested().compile(on_compile=wrong)


def test_a_global_callback_must_be_callable() -> None:
    with pytest.raises(BuildError, match="got None"):
        add_global_compile_callback(None)  # type: ignore[arg-type]  # the point


def test_undo_takes_back_one_registration_and_may_be_repeated() -> None:
    infos: list[GraphInfo] = []
    undo_first, undo_second = add_global_compile_callback(infos.append), add_global_compile_callback(infos.append)
    try:
        undo_first()
        undo_first()
        nested().compile()
        assert len(infos) == 1
    finally:
        undo_second()
    nested().compile()
    assert len(infos) == 1
