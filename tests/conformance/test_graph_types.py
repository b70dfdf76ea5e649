"""Types along the edges: what is refused when the graph is built, what is checked while it runs; keys of nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, NewType

import pytest

from eino import (
    END,
    START,
    Branch,
    BuildError,
    Chain,
    ChatTemplate,
    Graph,
    Lambda,
    MaxStepsError,
    Message,
    RunError,
    StreamReader,
    user_message,
)

TRIGGERS = pytest.mark.parametrize("trigger", ["any", "all"])


async def to_int(text: str) -> int:
    return int(text)


async def to_text(number: int) -> str:
    return str(number)


def same(value: Any) -> Any:
    return value


def text_to_anything(text: str) -> Any:
    return 1


def line(*nodes: tuple[str, Any], of: Any = Graph) -> Graph[Any, Any]:
    """Return a graph of these nodes one after another; a node None is a passthrough."""
    graph = of()
    before = START
    for key, node in nodes:
        if node is None:
            graph.add_passthrough_node(key)
        else:
            graph.add_lambda_node(key, node)
        graph.add_edge(before, key)
        before = key
    graph.add_edge(before, END)
    return graph


def test_types_that_never_fit_are_refused_at_the_edge() -> None:
    """2.3: the error names the edge and both types, and the graph is as it was."""
    graph = Graph[str, str]().add_lambda_node("1", to_int).add_lambda_node("2", to_int).add_lambda_node("3", to_text)
    graph.add_edge(START, "1")

    with pytest.raises(BuildError) as caught:
        graph.add_edge("1", "2")

    assert "graph edge[1]-[2]" in str(caught.value)
    assert "output type[int] and end node's input type[str] mismatch" in str(caught.value)
    graph.add_edge("1", "3").add_edge("3", END)
    assert graph.compile().invoke_sync("7") == "7"


@pytest.mark.parametrize("last", [pytest.param(False, id="late edge in"), pytest.param(True, id="late edge out")])
def test_types_are_carried_over_passthrough_nodes(last: bool) -> None:
    """S37: both sides of a passthrough must fit, whichever edge comes last."""
    graph = Graph[str, str]().add_lambda_node("1", same_text).add_passthrough_node("2").add_lambda_node("3", to_text)
    edges = [("1", "2"), ("2", "3")]
    first, second = edges if last else reversed(edges)
    graph.add_edge(*first)

    with pytest.raises(BuildError, match=r"type\[str\].*type\[int\] mismatch") as caught:
        graph.add_edge(*second)

    assert ("graph edge[2]-[3]" if last else "graph edge[1]-[2]") in str(caught.value)


async def same_text(text: str) -> str:
    return text


async def test_values_that_may_fit_are_checked_when_they_come() -> None:
    """S38: any -> any, passthrough, int -> str, the edges added out of order."""
    graph = Graph[Any, str]().add_lambda_node("1", same).add_passthrough_node("2").add_lambda_node("3", to_text)
    graph.add_edge("2", "3").add_edge("1", "2").add_edge(START, "1").add_edge("3", END)
    runnable = graph.compile()

    assert await runnable.invoke(1) == "1"
    with pytest.raises(RunError, match="runtime type check fail, expected type: int, actual type: str"):
        await runnable.invoke("1")
    with pytest.raises(RunError, match="runtime type check fail, expected type: int, actual type: str"):
        await runnable.collect(StreamReader.from_iterable(["1"]))


@TRIGGERS
@pytest.mark.parametrize("stream_condition", [False, True])
async def test_a_condition_is_given_only_its_type(trigger: Any, stream_condition: bool) -> None:
    """S40: a node that may give text gives a number, the condition takes text."""

    async def on_value(text: str) -> str:
        return END

    async def on_stream(texts: AsyncIterator[str]) -> str:
        async for _ in texts:
            break
        return END

    graph = Graph[str, Any]().add_lambda_node("node1", text_to_anything).add_edge(START, "node1")
    graph.add_branch("node1", Branch(on_stream if stream_condition else on_value, ends={END}))
    runnable = graph.compile(trigger=trigger)

    if not stream_condition:
        with pytest.raises(RunError, match="runtime") as caught:
            await runnable.invoke("x")
        assert caught.value.node_path == ("node1",)
    with pytest.raises(RunError, match="runtime") as caught:
        await runnable.collect(StreamReader.from_iterable(["x"]))
    assert caught.value.node_path == ("node1",)


async def test_a_condition_of_another_type_is_refused() -> None:
    """2.3: the error names the branch, its node and both types."""

    async def of_number(number: int) -> str:
        return END

    graph = Graph[str, str]().add_lambda_node("1", same_text).add_edge(START, "1")

    with pytest.raises(BuildError) as caught:
        graph.add_branch("1", Branch(of_number, ends=[END]))

    assert "condition's input type[int] and start node[1]'s output type[str] are mismatched" in str(caught.value)
    graph.add_edge("1", END)
    assert await graph.compile().invoke("x") == "x"


class Speaker(ABC):
    """An interface."""

    @abstractmethod
    def speak(self) -> str: ...


class Polite(Speaker):
    def speak(self) -> str:
        return "i'm fine"


async def test_an_implementation_goes_where_its_interface_is_wanted() -> None:
    """S41: concrete type to interface; with a limit of one step; as a stream."""

    async def node1(text: str) -> Polite:
        return Polite()

    async def node2(speaker: Speaker) -> AsyncIterator[str]:
        yield speaker.speak()
        yield ", thank you"

    runnable = line(("1", node1), ("2", node2), of=Graph[str, str]).compile()

    with pytest.raises(MaxStepsError, match=r"exceeds max steps.*last nodes: \[1\]"):
        await runnable.invoke("how are you", max_steps=1)
    assert await runnable.invoke("how are you", max_steps=2) == "i'm fine, thank you"
    async with runnable.stream("how are you") as reader:
        assert await reader.recv() == "i'm fine"


async def test_an_interface_where_an_implementation_is_wanted_is_checked_at_run_time() -> None:
    """2.3: the output is an interface, the input one of its implementations."""

    class Rude(Speaker):
        def speak(self) -> str:
            return "go away"

    def pick(polite: bool) -> Speaker:
        return Polite() if polite else Rude()

    def hear(speaker: Polite) -> str:
        return speaker.speak()

    runnable = line(("pick", pick), ("hear", hear), of=Graph[bool, str]).compile()

    assert await runnable.invoke(True) == "i'm fine"
    with pytest.raises(RunError, match=r"expected type: Polite, actual type: .*Rude"):
        await runnable.invoke(False)


async def test_the_type_of_a_name_is_the_type_behind_it() -> None:
    """4b: NewType is unwrapped, other than in the Go original."""
    city = NewType("city", str)

    def name(text: str) -> city:  # type: ignore[valid-type]  # made in the test
        return city(text)

    runnable = line(("name", name), ("same", same_text), of=Graph[str, str]).compile()

    assert await runnable.invoke("Bern") == "Bern"


async def test_the_input_of_the_graph_is_checked() -> None:
    """2.3: what the caller gives must be the graph's input type, in value runs and in stream runs."""
    runnable = line(("1", same_text), of=Graph[str, str]).compile()

    with pytest.raises(RunError, match="the input of the graph must be str, got int") as caught:
        await runnable.invoke(3)  # type: ignore[arg-type]  # the test
    assert caught.value.node_path == ()
    with pytest.raises(RunError, match="the input of the graph must be str, got int") as caught:
        await runnable.collect(StreamReader.from_iterable([3]))  # type: ignore[list-item]  # the test
    assert caught.value.node_path == ()


@TRIGGERS
@pytest.mark.parametrize("several", [False, True], ids=["one edge", "several edges"])
@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
async def test_a_failed_check_names_the_node_that_gave_the_value(trigger: Any, several: bool, as_stream: bool) -> None:
    """4b: the error is bound to the producing node, however the graph is compiled and run."""
    graph = Graph[str, Any]().add_lambda_node("a", same).add_lambda_node("b", to_text).add_lambda_node("c", same)
    graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", END)
    if several:
        graph.add_edge("a", "c")
    runnable = graph.compile(trigger=trigger)

    with pytest.raises(RunError, match=r"edge\[a\]-\[b\]") as caught:
        await (runnable.collect(StreamReader.from_iterable(["x"])) if as_stream else runnable.invoke("x"))

    assert (caught.value.node_path, caught.value.kind) == (("a",), "graph")


def template(key: str) -> ChatTemplate:
    return ChatTemplate.from_messages(user_message(f"{key}: {{x}}"))


async def test_each_node_gets_what_lies_under_its_input_key() -> None:
    """S43: three templates with input and output keys, a stream of three chunks."""
    graph = Graph[dict[str, Any], dict[str, Any]]()
    for key in ("1", "2", "3"):
        graph.add_chat_template_node(key, template(key), input_key=key, output_key=key)
        graph.add_edge(START, key).add_edge(key, END)
    runnable = graph.compile()
    chunks = [{key: {"x": f"v{key}"}} for key in ("1", "2", "3")]

    async with runnable.transform(StreamReader.from_iterable(chunks)) as reader:
        given: dict[str, list[Message]] = {}
        async for chunk in reader:
            given |= chunk

    assert {key: messages[0].content for key, messages in given.items()} == {"1": "1: v1", "2": "2: v2", "3": "3: v3"}
    whole = await runnable.invoke({"1": {"x": "a"}, "2": {"x": "b"}, "3": {"x": "c"}})
    assert [whole[key][0].content for key in ("1", "2", "3")] == ["1: a", "2: b", "3: c"]


async def test_a_missing_input_key_is_an_error() -> None:
    """S44: by name in value runs, an empty stream in stream runs."""
    graph = Graph[dict[str, Any], str]().add_lambda_node("n", same_text, input_key="node1")
    runnable = graph.add_edge(START, "n").add_edge("n", END).compile()

    with pytest.raises(RunError, match=r"cannot find input key: node1 \(the input has \['unknown'\]\)") as caught:
        await runnable.invoke({"unknown": "123"})
    assert (caught.value.node_path, caught.value.kind) == (("n",), "node")
    with pytest.raises(RunError, match="stream reader is empty, concat fail") as caught:
        await runnable.collect(StreamReader.from_iterable([{"unknown": "123"}]))
    assert caught.value.node_path == ("n",)


async def test_keys_need_mappings() -> None:
    """1.15: what is no mapping has no keys."""
    graph = Graph[Any, str]().add_lambda_node("n", same_text, input_key="k")
    runnable = graph.add_edge(START, "n").add_edge("n", END).compile()

    for run in (runnable.invoke("x"), runnable.collect(StreamReader.from_iterable(["x"]))):
        with pytest.raises(RunError, match=r"runtime type check fail|needs a mapping"):
            await run


async def test_keys_change_the_outer_types() -> None:
    """1.15: with a key, a node takes or gives a mapping; a chunk without the key is skipped."""
    graph = Graph[str, str]().add_lambda_node("a", same_text, output_key="x").add_lambda_node("b", same_text)
    graph.add_edge(START, "a")
    with pytest.raises(BuildError, match=r"output type\[dict\[str, Any\]\] and end node's input type\[str\] mismatch"):
        graph.add_edge("a", "b")
    graph.add_lambda_node("c", same_text, input_key="x").add_edge("a", "c").add_edge("c", END)
    runnable = graph.compile()

    assert await runnable.invoke("v") == "v"
    assert await runnable.collect(StreamReader.from_iterable(["v", "w"])) == "vw"


@TRIGGERS
async def test_a_passthrough_may_have_both_keys(trigger: Any) -> None:
    """D9: in the Go original this crashes the compiler."""
    graph = Graph[dict[str, Any], dict[str, Any]]().add_passthrough_node("p", input_key="in", output_key="out")
    runnable = graph.add_edge(START, "p").add_edge("p", END).compile(trigger=trigger)

    assert await runnable.invoke({"in": 1, "other": 2}) == {"out": 1}
    async with runnable.transform(StreamReader.from_iterable([{"in": 1}, {"other": 2}, {"in": 3}])) as reader:
        assert [chunk async for chunk in reader] == [{"out": 1}, {"out": 3}]


@pytest.mark.parametrize(
    ("keys", "value", "expected"), [({"input_key": "k"}, {"k": 1}, 1), ({"output_key": "k"}, 1, {"k": 1})]
)
async def test_a_passthrough_may_have_one_key(keys: Any, value: Any, expected: Any) -> None:
    """D9: one key alone works as well."""
    graph = Graph[Any, Any]().add_passthrough_node("p", **keys).add_edge(START, "p").add_edge("p", END)

    assert await graph.compile().invoke(value) == expected


def test_a_branch_on_a_passthrough_checks_the_edges_before_it() -> None:
    """D9: the condition's type becomes the passthrough's, and must fit the edges that were accepted before."""

    async def of_number(number: int) -> str:
        return END

    async def of_text(text: str) -> str:
        return END

    graph = Graph[str, str]().add_lambda_node("1", same_text).add_passthrough_node("p")
    graph.add_edge(START, "1").add_edge("1", "p")
    with pytest.raises(BuildError, match="mismatch"):
        graph.add_branch("p", Branch(of_number, ends=[END]))

    graph.add_branch("p", Branch(of_text, ends=[END]))
    assert graph.compile().invoke_sync("x") == "x"


def test_a_passthrough_without_neighbours_has_no_type() -> None:
    """2.2: what nothing tells the type of is named at compile."""
    graph = Graph[str, str]().add_lambda_node("1", same_text).add_passthrough_node("p").add_passthrough_node("q")
    graph.add_edge(START, "1").add_edge("1", END).add_edge("p", "q")

    with pytest.raises(BuildError, match="some node's input or output types cannot be inferred: p, q"):
        graph.compile()
    graph.add_edge("1", "p")
    assert graph.compile().invoke_sync("x") == "x"


def pre_of(value_type: Any, state_type: Any, result_type: Any) -> Any:
    def handler(value: Any, state: Any) -> Any:
        return value

    handler.__annotations__ = {"value": value_type, "state": state_type, "return": result_type}
    return handler


@pytest.mark.parametrize(
    ("add", "text"),
    [
        pytest.param(
            lambda g: g.add_passthrough_node("1", pre=pre_of(str, str, str)),
            r"passthrough node\[1\]'s pre handler type isn't any",
            id="passthrough pre",
        ),
        pytest.param(
            lambda g: g.add_passthrough_node("1", post=pre_of(str, str, str)),
            r"passthrough node\[1\]'s post handler type isn't any",
            id="passthrough post",
        ),
        pytest.param(
            lambda g: g.add_lambda_node("1", same_text, input_key="k", pre=pre_of(str, str, str)),
            r"node\[1\]'s pre handler type\[str\] is different from its input type\[dict\[str, Any\]\]",
            id="behind an input key",
        ),
        pytest.param(
            lambda g: g.add_lambda_node("5", to_text, pre=pre_of(str, str, str)),
            r"node\[5\]'s pre handler type\[str\] is different from its input type\[int\]",
            id="pre",
        ),
        pytest.param(
            lambda g: g.add_lambda_node("6", to_int, post=pre_of(str, str, str)),
            r"node\[6\]'s post handler type\[str\] is different from its output type\[int\]",
            id="post",
        ),
        pytest.param(
            lambda g: g.add_lambda_node("7", same_text, pre=pre_of(str, int, str)),
            r"node\[7\]'s pre handler state type\[int\] is different from graph\[str\]",
            id="state",
        ),
        pytest.param(
            lambda g: g.add_lambda_node(
                "8", same_text, stream_post=pre_of(AsyncIterator[int], str, AsyncIterator[int])
            ),
            r"node\[8\]'s post handler type\[int\] is different from its output type\[str\]",
            id="stream post",
        ),
    ],
)
def test_handlers_that_do_not_fit_are_refused(add: Any, text: str) -> None:
    """S46: at the call, and the key is free for another try."""
    graph = Graph[str, str](state=str)

    with pytest.raises(BuildError, match=text):
        add(graph)

    graph.add_lambda_node("1", same_text, pre=pre_of(str, str, str), post=pre_of(str, str, str))
    graph.add_passthrough_node("2", pre=pre_of(Any, str, Any))
    graph.add_lambda_node("3", same_text, input_key="k", pre=pre_of(dict[str, Any], str, dict[str, Any]))
    graph.add_lambda_node("4", same_text, stream_pre=pre_of(AsyncIterator[str], str, AsyncIterator[str]))
    graph.add_edge(START, "1").add_edge("1", "2").add_edge("2", END)
    assert graph.compile().invoke_sync("x") == "x"


def test_types_come_from_the_subclass_as_well() -> None:
    """4b: `Graph[str, str]()` or `class MyGraph(Graph[str, str])`."""

    class Shouting(Graph[str, str]):
        pass

    graph = Shouting().add_lambda_node("1", to_int)

    assert (graph.input_type, graph.output_type) == (str, str)
    graph.add_edge(START, "1")
    with pytest.raises(BuildError, match="mismatch"):
        graph.add_edge("1", END)
    bare: Graph[Any, Any] = Graph()
    bare.add_lambda_node("1", to_int).add_edge(START, "1").add_edge("1", END)
    assert bare.compile().invoke_sync("3") == 3


async def test_a_graph_as_a_node_has_its_own_types() -> None:
    """2.3: nested graphs, chains and compiled graphs are checked like any other node."""
    inner = Chain[str, int]().append_lambda(to_int)
    outer = Graph[str, str]().add_graph_node("inner", inner).add_edge(START, "inner")
    with pytest.raises(BuildError, match=r"edge\[inner\]-\[end\].*type\[int\].*type\[str\]"):
        outer.add_edge("inner", END)
    outer.add_lambda_node("text", to_text).add_edge("inner", "text").add_edge("text", END)

    assert await outer.compile().invoke("12") == "12"
    compiled = Chain[str, int]().append_lambda(Lambda(to_int)).compile(name="twelve")
    assert await Chain[str, str]().append_graph(compiled).append_lambda(to_text).compile().invoke("12") == "12"
