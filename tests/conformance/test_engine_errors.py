"""Errors: where they are found, what they say, whose path they carry; nothing is left open behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    Branch,
    BuildError,
    Chain,
    EinoError,
    FanIn,
    Graph,
    Lambda,
    RunContext,
    RunError,
    StreamReader,
    handler_builder,
    pipe,
)
from eino_fixtures.clock import VirtualClock

ENGINES = pytest.mark.parametrize(
    "engine",
    [
        pytest.param({"trigger": "any"}, id="pregel"),
        pytest.param({"trigger": "all"}, id="dag"),
        pytest.param({"trigger": "all", "eager": False}, id="dag in steps"),
    ],
)


async def plus(text: str) -> str:
    return f"{text}+"


async def failing(text: str) -> str:
    raise ValueError("boom")


def two() -> Graph[str, str]:
    """Return a graph with two nodes and no edges."""
    return Graph[str, str]().add_lambda_node("1", plus).add_lambda_node("2", plus)


def annotated_wrong() -> Any:
    def wrong(number: int) -> int:
        return number

    return wrong


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        pytest.param(lambda g: g.add_lambda_node("1", plus), "node '1' already present", id="key taken"),
        pytest.param(lambda g: g.add_lambda_node(START, plus), "node 'start' is reserved, cannot add manually", id="start"),
        pytest.param(lambda g: g.add_passthrough_node(END), "node 'end' is reserved, cannot add manually", id="end"),
        pytest.param(lambda g: g.add_lambda_node("a/b", plus), "contains '/', which separates", id="separator"),
        pytest.param(lambda g: g.add_lambda_node("", plus), "a node key must be a non-empty string, got ''", id="empty key"),
        pytest.param(lambda g: g.add_lambda_node(3, plus), "a node key must be a non-empty string, got 3", id="no text"),
        pytest.param(lambda g: g.add_lambda_node("3", "plus"), r"Lambda\('plus'\): a function is needed", id="no function"),
        pytest.param(lambda g: g.add_lambda_node("3", Graph()), "is a graph: use add_graph_node", id="graph as lambda"),
        pytest.param(lambda g: g.add_graph_node("3", plus), "is no Graph, Chain or Workflow", id="lambda as graph"),
        pytest.param(lambda g: g.add_chat_model_node("3", plus), "is no ChatModel: a chat model has", id="no model"),
        pytest.param(lambda g: g.add_retriever_node("3", object), "is no Retriever: a retriever has", id="a class"),
        pytest.param(lambda g: g.add_node("3", 7), "node '3': 7 is no component, function or graph", id="no node"),
        pytest.param(lambda g: g.add_lambda_node("3", lambda: 1), "must take 1 positional value", id="arity"),
        pytest.param(lambda g: g.add_lambda_node("3", lambda a, b: 1), "must take 1 positional value", id="more arity"),
        pytest.param(lambda g: g.add_edge("1", "9"), "edge end node '9' needs to be added to graph first; the nodes are '1', '2'", id="no target"),
        pytest.param(lambda g: g.add_edge("9", "1"), "edge start node '9' needs to be added to graph first", id="no source"),
        pytest.param(lambda g: g.add_edge(END, "1"), "END cannot be a start node", id="from the end"),
        pytest.param(lambda g: g.add_edge("1", START), "START cannot be an end node", id="to the start"),
        pytest.param(lambda g: g.add_edge(START, "1"), r"control edge\[start\]-\[1\] have been added yet", id="edge twice"),
        pytest.param(lambda g: g.add_branch("9", Branch(lambda t: "1", ends=["1"])), "edge start node '9' needs", id="branch from nowhere"),
        pytest.param(lambda g: g.add_branch("1", Branch(lambda t: "1", ends=["1", "9"])), "edge end node '9' needs", id="branch to nowhere"),
        pytest.param(lambda g: g.add_branch(END, Branch(lambda t: "1", ends=["1"])), "END cannot be a start node", id="branch from the end"),
        pytest.param(lambda g: g.add_branch("1", lambda t: "1"), r"give a Branch\(condition, ends=\.\.\.\)", id="no branch"),
        pytest.param(lambda g: g.add_branch("1", Branch("x", ends=["1"])), "a condition is a function, got str", id="no condition"),  # type: ignore[arg-type]  # the mistake
        pytest.param(lambda g: g.add_branch("1", Branch(lambda t: "1", ends=[])), "is empty: name the nodes", id="no ends"),
        pytest.param(lambda g: g.add_branch("1", Branch(lambda t: "1", ends="12")), "give the keys as a set or list", id="ends as text"),
        pytest.param(lambda g: g.add_branch("1", Branch(lambda t: "1", ends=[START])), "nothing can lead back to the start", id="branch to the start"),
        pytest.param(lambda g: g.add_branch("1", Branch(lambda t: "1", ends=[3])), "a key is a non-empty string, got 3", id="ends no text"),  # type: ignore[list-item]  # the mistake
        pytest.param(lambda g: g.add_branch("1", Branch(lambda: "1", ends=["2"])), "as a branch condition must take 1", id="condition without a value"),
        pytest.param(lambda g: g.add_branch("1", Branch(annotated_wrong(), ends=["2"])), "condition's input type", id="condition of another type"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_at_its_call_and_leaves_the_graph_as_it_was(
    mistake: Callable[[Any], Any], text: str
) -> None:
    """1.10, 5b: no sticky errors; the graph can still be used."""
    graph = two().add_edge(START, "1")

    with pytest.raises(BuildError, match=text):
        mistake(graph)

    graph.add_edge("1", "2").add_edge("2", END)
    assert graph.compile().plan.keys == ("1", "2")
    assert asyncio.run(graph.compile().invoke("x")) == "x++"


@pytest.mark.parametrize(
    ("build", "options", "text"),
    [
        pytest.param(two, {}, "start node not set", id="no start"),
        pytest.param(lambda: two().add_edge(START, "1"), {}, "end node not set", id="no end"),
        pytest.param(lambda: line(), {"trigger": "some"}, "trigger='some'.: it is 'any'", id="trigger"),
        pytest.param(lambda: line(), {"max_steps": 0}, "max_steps=0.: at least 1 step", id="no steps"),
        pytest.param(lambda: line(), {"max_steps": "5"}, "max_steps='5'.: at least 1 step", id="steps as text"),
        pytest.param(lambda: line(), {"trigger": "all", "max_steps": 3}, "cannot set max run steps in dag mode", id="steps in a dag"),
        pytest.param(lambda: line(), {"eager": True}, "has no meaning in Pregel mode", id="eager pregel"),
        pytest.param(lambda: line(), {"nonsense": 1}, "compile: unknown option 'nonsense'; the options are", id="unknown option"),
        pytest.param(lambda: line(), {"fan_in": {"9": FanIn()}}, "'9' is no node of this graph", id="fan-in nowhere"),
        pytest.param(lambda: line(), {"fan_in": {"1": True}}, r"give FanIn\(source_ended=\.\.\.\)", id="fan-in of nothing"),
        pytest.param(
            lambda: Chain[str, str]().append_lambda(plus, compile_options={"name": "x"}),
            {},
            "compile_options= is for graphs as nodes",
            id="options of a lambda",
        ),
        pytest.param(
            lambda: Chain[str, str]().append_graph(line().compile(), compile_options={"name": "x"}),
            {},
            "is compiled already: give compile_options= to its own compile",
            id="options of what is compiled",
        ),
        pytest.param(
            lambda: Chain[str, str]().append_graph(two(), key="inner"), {}, "graph node 'inner': start node not set", id="inner"
        ),
        pytest.param(lambda: Chain[str, str](), {}, r"number of nodes in chain= 0", id="empty chain"),
        pytest.param(lambda: Chain[str, str]().append_lambda(plus), {"trigger": "all"}, "Chain doesn't support node trigger mode", id="chain as a dag"),
        pytest.param(lambda: Chain[str, int]().append_lambda(plus), {}, r"edge\[node_0\]-\[end\].*mismatch", id="end of a chain"),
    ],
)  # fmt: skip
def test_mistakes_of_the_whole_are_found_by_compile(build: Callable[[], Any], options: Any, text: str) -> None:
    """2.2: the graph can be mended afterwards."""
    graph = build()

    for _ in range(2):
        with pytest.raises(BuildError, match=text):
            graph.compile(**options)


def length(text: str) -> int:
    return len(text)


def line() -> Graph[str, str]:
    """Return a graph that can be compiled."""
    return two().add_edge(START, "1").add_edge("1", "2").add_edge("2", END)


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g.add_lambda_node("3", plus),
        lambda g: g.add_passthrough_node("3"),
        lambda g: g.add_edge("1", END),
        lambda g: g.add_branch("1", Branch(lambda t: END, ends=[END])),
    ],
)
def test_a_compiled_graph_cannot_be_changed(change: Callable[[Any], Any]) -> None:
    """1.10: nor when it was compiled as a node of another one; it can be compiled again."""
    graph = line()
    graph.compile(name="first")
    inner = line()
    Chain[str, str]().append_graph(inner).compile()

    for each in (graph, inner):
        with pytest.raises(BuildError, match="graph has been compiled, cannot be modified"):
            change(each)
    assert asyncio.run(graph.compile(name="second", max_steps=2).invoke("x")) == "x++"


def test_a_compiled_chain_cannot_be_changed() -> None:
    """D12: in the Go original, what is appended then is silently ignored."""
    chain = Chain[str, str]().append_lambda(plus)
    first = chain.compile()

    with pytest.raises(BuildError, match="chain has been compiled, cannot be modified"):
        chain.append_lambda(plus)

    assert asyncio.run(chain.compile().invoke("x")) == asyncio.run(first.invoke("x")) == "x+"


def test_a_chain_that_could_not_be_compiled_can_be_mended() -> None:
    """5b: a failed call leaves things as they were."""
    chain = Chain[str, int]().append_lambda(plus)

    with pytest.raises(BuildError, match="mismatch"):
        chain.compile()
    chain.append_lambda(length)
    with pytest.raises(BuildError, match="unknown option"):
        chain.compile(nonsense=1)  # type: ignore[call-arg]  # the mistake
    with pytest.raises(BuildError, match="mismatch"):
        chain.append_lambda(plus)
    chain.append_passthrough()
    with pytest.raises(BuildError, match="already present"):
        chain.append_lambda(lambda n: n + 1, key="node_1")

    assert asyncio.run(chain.append_lambda(lambda n: n + 1).compile().invoke("x")) == 3


@ENGINES
@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
async def test_an_error_carries_the_path_from_the_outermost_graph(engine: Any, as_stream: bool) -> None:
    """2.12, 4.10: once, from the outside in; the cause is what the node raised."""
    deep = Graph[str, str]().add_lambda_node("bad", failing).add_edge(START, "bad").add_edge("bad", END)
    middle = Chain[str, str]().append_lambda(plus).append_graph(deep, key="deep", compile_options=engine)
    outer = Graph[str, str]().add_graph_node("middle", middle).add_lambda_node("other", plus)
    outer.add_edge(START, "middle").add_edge(START, "other").add_edge("middle", END)
    runnable = outer.compile(**engine)

    with pytest.raises(RunError) as caught:
        await (runnable.collect(StreamReader.from_iterable(["x"])) if as_stream else runnable.invoke("x"))

    assert caught.value.node_path == ("middle", "deep", "bad")
    assert caught.value.kind == "node"
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value) == (
        "[NodeRunError] ValueError: boom\n------------------------\nnode path: [middle, deep, bad]"
    )


async def test_a_graph_called_inside_a_node_is_on_the_path() -> None:
    """A9: whoever calls a runnable inside a node nests it."""
    inner = Chain[str, str]().append_lambda(failing, key="bad").compile()

    async def call(text: str) -> str:
        return await inner.invoke(text)

    with pytest.raises(RunError) as caught:
        await Chain[str, str]().append_lambda(call, key="call").compile().invoke("x")

    assert caught.value.node_path == ("call", "bad")
    with pytest.raises(RunError) as caught:
        await inner.invoke("x")
    assert caught.value.node_path == ("bad",)


async def test_an_error_of_the_inner_graph_itself_has_the_path_of_its_node() -> None:
    """2.12: no task to execute, a failed merge, too many steps: kind graph, path of the node."""
    stuck = Graph[str, str]().add_lambda_node("n", plus).add_edge("n", END)
    stuck.add_branch(START, Branch(lambda text: [], ends=["n"]))

    with pytest.raises(RunError, match="no tasks to execute after graph start") as caught:
        await Chain[str, str]().append_graph(stuck, key="inner").compile().invoke("x")

    assert (caught.value.node_path, caught.value.kind) == (("inner",), "graph")


async def breaking(text: str) -> AsyncIterator[str]:
    yield text
    raise ValueError("boom")


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda: Chain[str, str]().append_lambda(plus, key="x"), id="graph that joins"),
        pytest.param(lambda: Chain[str, str]().append_lambda(passed, key="x"), id="graph that transforms"),
        pytest.param(lambda: Chain[str, str]().append_passthrough(key="x"), id="graph that passes on"),
    ],
)
async def test_an_error_in_a_stream_keeps_its_path_through_other_graphs(read: Callable[[], Any]) -> None:
    """4.10: it passes later nodes and graphs unchanged, deep ones too."""
    source = Chain[str, str]().append_lambda(breaking, key="bad")
    graph = Chain[str, str]().append_graph(source, key="source").append_graph(read(), key="reader")
    runnable = Chain[str, str]().append_graph(graph, key="outer").append_graph(read(), key="last").compile()

    with pytest.raises(RunError, match="ValueError: boom") as caught:
        await runnable.collect(StreamReader.from_iterable(["x"]))

    assert caught.value.node_path == ("outer", "source", "bad")


async def passed(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    async for chunk in chunks:
        yield chunk


async def test_an_error_of_a_copied_stream_is_told_to_every_reader() -> None:
    """2.6: both readers get it, with the same path."""
    graph = Graph[str, dict[str, str]]().add_lambda_node("source", breaking).add_edge(START, "source")
    errors: list[RunError] = []

    async def careful(chunks: AsyncIterator[str]) -> str:
        try:
            return "".join([chunk async for chunk in chunks])
        except RunError as error:
            errors.append(error)
            return "caught"

    for key in "ab":
        graph.add_lambda_node(key, careful, output_key=key).add_edge("source", key).add_edge(key, END)

    assert await graph.compile().collect(StreamReader.from_iterable(["x"])) == {"a": "caught", "b": "caught"}
    assert [error.node_path for error in errors] == [("source",), ("source",)]


async def test_an_error_that_the_caller_puts_into_the_input() -> None:
    """2.12: it comes from outside the graph; the node that reads it fails."""
    reader, writer = pipe()
    await writer.send("a")
    await writer.send_error(KeyError("mine"))
    writer.close()
    runnable = Chain[str, str]().append_lambda(plus, key="n").compile()

    with pytest.raises(RunError, match="KeyError: 'mine'") as caught:
        await runnable.collect(reader)

    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.node_path == ("n",)


@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
@ENGINES
async def test_a_plain_function_that_returns_something_to_await(engine: Any, as_stream: bool) -> None:
    """4b: an error with the remedy; alone, beside others, under handlers, in a condition; nothing is left unawaited."""

    def forgot(text: str) -> Any:
        return plus(text)

    alone = Graph[str, Any]().add_lambda_node("n", forgot).add_edge(START, "n").add_edge("n", END)
    beside = Graph[str, Any]().add_lambda_node("n", forgot).add_lambda_node("m", plus)
    for key in "nm":
        beside.add_edge(START, key).add_edge(key, END)
    choosing = Graph[str, Any]().add_lambda_node("n", plus).add_edge(START, "n")
    choosing.add_branch("n", Branch(forgot, ends=[END]))

    for graph in (alone, beside, choosing):
        for options in ({}, {"callbacks": [handler_builder(on_end=lambda info, value: None)]}):
            runnable = graph.compile(**engine)
            with pytest.raises(
                RunError, match=r"returned something to await \(coroutine\): make it an `async def`"
            ) as caught:
                if as_stream:
                    await runnable.collect(StreamReader.from_iterable(["x"]), **options)  # type: ignore[arg-type]  # options
                else:
                    await runnable.invoke("x", **options)  # type: ignore[arg-type]  # options
            assert caught.value.node_path == ("n",)


async def test_a_function_decorated_into_another_kind_is_what_the_decorator_made() -> None:
    """4b: the outermost layer that says what it is counts."""
    import functools

    def in_time(function: Callable[[str], str]) -> Any:
        @functools.wraps(function)
        async def wrapper(text: str) -> str:
            await anyio.lowlevel.checkpoint()
            return function(text)

        return wrapper

    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(text: str) -> Any:
            return function(text)

        return wrapper

    @in_time
    def plain(text: str) -> str:
        return f"{text}1"

    @logged
    async def waiting(text: str) -> str:
        return f"{text}2"

    @logged
    async def streaming(text: str) -> AsyncIterator[str]:
        yield text
        yield "3"

    class Called:
        async def __call__(self, text: str) -> str:
            return f"{text}4"

    chain = Chain[str, str]()
    for function in (plain, waiting, streaming, Called(), functools.partial(waiting)):
        chain.append_lambda(function)

    assert await chain.compile().invoke("x") == "x12342"


@pytest.mark.parametrize("given", [7, "text", {"a": 1}, None])
async def test_a_streaming_node_that_gives_no_stream(given: Any) -> None:
    """4b: the error shows what it gave."""

    def wrong(text: str) -> Any:
        return given

    runnable = Chain[str, Any]().append_lambda(Lambda(stream=wrong), key="n").compile()

    for run in (runnable.invoke("x"), runnable.collect(StreamReader.from_iterable(["x"]))):
        with pytest.raises(RunError, match=f"the node must give a stream.*got {type(given).__name__}") as caught:
            await run
        assert (caught.value.node_path, caught.value.kind) == (("n",), "node")


class Held:
    """Streams whose closing is noted."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []

    def source(self, name: str) -> Any:
        async def letters(text: str) -> AsyncIterator[str]:
            self.opened.append(name)
            try:
                for letter in "abc":
                    await anyio.lowlevel.checkpoint()
                    yield letter
            finally:
                self.closed.append(name)

        return letters


@ENGINES
@pytest.mark.parametrize("where", ["node", "condition", "merge", "edge", "handler", "stuck", "inner"])
async def test_whatever_fails_no_stream_stays_open(engine: Any, where: str) -> None:
    """4.9: streams between the nodes are closed when the run fails, whoever was to read them."""
    held = Held()

    def broken(*_: Any) -> Any:
        raise ValueError("boom")

    async def begin(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for chunk in chunks:
            yield chunk
            break

    async def first(chunks: AsyncIterator[Any]) -> Any:
        async for chunk in chunks:
            return chunk
        return None

    graph = Graph[str, Any](state=dict)
    for key in "ab":
        graph.add_lambda_node(key, held.source(key), output_key=key).add_edge(START, key)
    graph.add_lambda_node("c", begin).add_lambda_node("d", first).add_lambda_node("e", begin)
    graph.add_edge("a", "c").add_edge("b", "c").add_edge("c", "e").add_edge("a", "d")
    match where:
        case "node":
            graph.add_lambda_node("x", broken).add_edge("d", "x")
        case "condition":
            graph.add_branch("d", Branch(broken, ends=["e"] if engine["trigger"] == "any" else [END]))
        case "merge":
            graph.add_lambda_node("x", lambda value: value)
            graph.add_lambda_node("z", first, output_key="z").add_edge("e", "z").add_edge("z", "x")
            graph.add_lambda_node("w", lambda value: 7).add_edge("e", "w").add_edge("w", "x")
        case "edge":
            graph.add_lambda_node("x", wants_number).add_edge("d", "x")
        case "handler":
            graph.add_lambda_node("x", first, stream_pre=broken).add_edge("c", "x")
        case "stuck":
            graph.add_branch("e", Branch(lambda value: [], ends=[END]))
        case "inner":
            graph.add_graph_node("x", Chain[Any, Any]().append_lambda(broken)).add_edge("e", "x")
    if where != "stuck":
        graph.add_edge("x" if "x" in graph._topology.nodes else "e", END)
    runnable = graph.compile(**engine)

    with pytest.raises(RunError):
        async with runnable.stream("-") as reader:
            async for _ in reader:
                pass

    assert sorted(held.closed) == sorted(held.opened)


def wants_number(number: int) -> int:
    return number


async def test_what_closing_raises_does_not_hide_why_the_run_failed() -> None:
    """4.9: a node's clean-up that fails becomes a note, and the rest is closed all the same."""
    held = Held()

    async def bad_cleanup(text: str) -> AsyncIterator[str]:
        try:
            for letter in "abc":
                yield letter
        finally:
            raise KeyError("clean-up")

    async def fails(chunks: AsyncIterator[str]) -> str:
        async for _ in chunks:
            break
        raise ValueError("boom")

    graph = Graph[str, Any]().add_lambda_node("1", bad_cleanup).add_lambda_node("2", held.source("2"), output_key="k")
    graph.add_lambda_node("fails", fails).add_edge(START, "1").add_edge(START, "2").add_edge("1", "fails")
    runnable = graph.add_edge("fails", END).compile()

    with pytest.raises(RunError, match="ValueError: boom") as caught:
        await runnable.collect(StreamReader.from_iterable(["x"]))

    assert any("clean-up" in note for note in caught.value.__notes__)
    assert held.closed == held.opened


async def test_what_closing_raises_is_an_error_of_the_run_otherwise() -> None:
    """4.9: nothing is swallowed."""

    async def bad_cleanup(text: str) -> AsyncIterator[str]:
        try:
            for letter in "abc":
                yield letter
        finally:
            raise KeyError("clean-up")

    async def first(chunks: AsyncIterator[str]) -> str:
        async for chunk in chunks:
            return chunk
        return ""

    runnable = Chain[str, str]().append_lambda(bad_cleanup).append_lambda(first).compile()

    with pytest.raises(EinoError, match="clean-up"):
        await runnable.collect(StreamReader.from_iterable(["x"]))


async def test_leaving_a_stream_early_stops_everything_behind_it(virtual_clock: VirtualClock) -> None:
    """4.9: what a stream starts, it ends: producers, merges, copies."""
    stopped: list[str] = []

    async def forever(text: str) -> StreamReader[str]:
        async def produce(writer: Any) -> None:
            try:
                while await writer.send("tick"):  # noqa: ASYNC110 - it sends, it does not poll
                    await anyio.sleep(1)
            finally:
                stopped.append(text)

        return StreamReader.from_producer(produce)

    graph = Graph[str, Any]()
    for key in "ab":
        graph.add_lambda_node(key, forever, output_key=key).add_lambda_node(f"{key}2", passed_any)
        graph.add_edge(START, key).add_edge(key, f"{key}2").add_edge(f"{key}2", END).add_edge(key, END)
    runnable = graph.compile(trigger="all")

    async with runnable.stream("x") as reader:
        count = 0
        async for _ in reader:
            count += 1
            if count == 9:
                break

    assert stopped == ["x", "x"]


async def passed_any(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for chunk in chunks:
        yield chunk


async def test_an_error_keeps_its_notes_and_its_own_cause() -> None:
    """4.10: what a node raised is the cause as it was."""
    root = OSError("disk")

    async def chained(text: str) -> str:
        error = ValueError("boom")
        error.add_note("a note")
        raise error from root

    with pytest.raises(RunError) as caught:
        await Chain[str, str]().append_lambda(chained, key="n").compile().invoke("x")

    cause = caught.value.__cause__
    assert isinstance(cause, ValueError)
    assert (cause.__cause__, cause.__notes__) == (root, ["a note"])


async def test_a_node_may_raise_a_run_error_of_its_own() -> None:
    """4.10: it gets the node's path, and keeps its text."""

    async def refuses(text: str, ctx: RunContext[Any]) -> str:
        raise RunError(f"refused in {ctx.node_key}")

    with pytest.raises(RunError, match="refused in n") as caught:
        await Chain[str, str]().append_lambda(refuses, key="n").compile().invoke("x")

    assert caught.value.node_path == ("n",)


async def test_an_empty_text_still_names_the_type() -> None:
    """4.10: `raise ValueError` has no text of its own."""

    async def bare(text: str) -> str:
        raise ValueError

    with pytest.raises(RunError) as caught:
        await Chain[str, str]().append_lambda(bare, key="n").compile().invoke("x")

    assert caught.value.message == "ValueError"


@ENGINES
async def test_a_system_exit_passes_through(engine: Any) -> None:
    """4.10: what is no `Exception` is not ours to wrap, inline and beside other nodes."""

    class Stop(BaseException):
        pass

    async def stops(text: str) -> str:
        raise Stop

    alone = Graph[str, Any]().add_lambda_node("n", stops).add_edge(START, "n").add_edge("n", END)
    beside = Graph[str, Any]().add_lambda_node("n", stops).add_lambda_node("m", plus)
    for key in "nm":
        beside.add_edge(START, key).add_edge(key, END)

    for graph in (alone, beside):
        with pytest.raises(Stop):
            await graph.compile(**engine).invoke("x")
