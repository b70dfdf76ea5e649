"""The state of a graph: handlers around nodes, exclusive access, levels of nested graphs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    Branch,
    BuildError,
    Chain,
    Graph,
    NoRunError,
    RunContext,
    RunError,
    StateError,
    StreamReader,
    current_context,
    process_state,
)
from eino_fixtures.clock import VirtualClock


@dataclass
class Journal:
    """What a run has seen."""

    entries: list[str] = field(default_factory=list)


@dataclass
class Counter:
    """How often something happened."""

    count: int = 0


def noting(value: Any, state: Journal) -> Any:
    state.entries.append(str(value))
    return value


@pytest.mark.parametrize("trigger", ["any", "all"])
async def test_handlers_see_whole_values_in_all_kinds_of_runs(trigger: Any) -> None:
    """S73: invokable -> streamable -> transformable, value handlers before and behind them."""
    states: list[Journal] = []

    def state() -> Journal:
        states.append(Journal())
        return states[-1]

    async def invokable(text: str) -> str:
        return f"InvokableLambda: {text}"

    async def streamable(text: str) -> AsyncIterator[str]:
        for word in f"StreamableLambda: {text}".split(" "):
            yield f"{word} "

    async def transformable(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        yield "TransformableLambda: "
        async for chunk in chunks:
            yield chunk

    graph = Graph[str, str](state=state)
    graph.add_lambda_node("1", invokable, pre=noting, post=noting)
    graph.add_lambda_node("2", streamable, post=noting)
    graph.add_lambda_node("3", transformable, post=noting)
    graph.add_edge(START, "1").add_edge("1", "2").add_edge("2", "3").add_edge("3", END)
    runnable = graph.compile(trigger=trigger)
    expected = "TransformableLambda: StreamableLambda: InvokableLambda: how are you "

    assert await runnable.invoke("how are you") == expected
    async with runnable.stream("how are you") as reader:
        assert [chunk async for chunk in reader] == [expected]  # one chunk: the last handler joins the stream
    assert await runnable.collect(StreamReader.from_iterable(["how ", "are ", "you"])) == expected
    assert [len(each.entries) for each in states] == [4, 4, 4]
    assert states[0].entries[-1] == expected


async def test_stream_handlers_keep_the_stream_flowing() -> None:
    """1.15: they change the reader; in value runs they get one chunk."""
    pulled: list[str] = []

    async def source(text: str) -> AsyncIterator[str]:
        for letter in text:
            pulled.append(letter)
            yield letter

    async def upper(chunks: AsyncIterator[str], state: Journal) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk.upper()

    def counted(reader: StreamReader[str], state: Journal) -> StreamReader[str]:
        state.entries.append("called")
        return reader.map(lambda chunk: f"<{chunk}>")

    async def passed(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk

    graph = Graph[str, str](state=Journal).add_lambda_node("1", source)
    graph.add_lambda_node("2", passed, stream_pre=upper, stream_post=counted)
    runnable = graph.add_edge(START, "1").add_edge("1", "2").add_edge("2", END).compile()

    async with runnable.stream("ab") as reader:
        assert (await reader.recv(), pulled) == ("<A>", ["a"])
        assert [chunk async for chunk in reader] == ["<B>"]
    assert await runnable.invoke("ab") == "<AB>"


async def test_an_inner_state_hides_an_outer_one_of_the_same_type() -> None:
    """S74: the nearest one wins."""
    inner = Chain[str, str](state=lambda: Journal(["inner"])).append_lambda(with_last_entry)
    outer = Chain[str, str](state=lambda: Journal(["outer"])).append_lambda(with_last_entry).append_graph(inner)

    assert await outer.compile().invoke("start") == "start_outer_inner"


async def with_last_entry(text: str) -> str:
    async with process_state(Journal) as state:
        return f"{text}_{state.entries[-1]}"


async def test_states_of_different_types_are_both_there() -> None:
    """S74: by type, however deep; the outer one is changed in place."""
    seen: list[Any] = []

    async def count(text: str, ctx: RunContext[Journal]) -> str:
        async with process_state(Counter) as counter:
            counter.count += 1
        ctx.state.entries.append(text)
        seen.append((ctx.state, ctx.state_of(Counter), ctx.state_of(Journal)))
        return text

    inner = Chain[str, str](state=Journal).append_lambda(count).append_lambda(count)
    outer = Chain[str, str](state=Counter).append_graph(inner)

    assert await outer.compile().invoke("x") == "x"
    assert seen[-1] == (Journal(["x", "x"]), Counter(2), Journal(["x", "x"]))


async def test_a_graph_invoked_inside_a_node_sees_the_state_around_it() -> None:
    """1.18: the level is linked also when a lambda calls a runnable."""
    inner = Chain[str, str]().append_lambda(with_last_entry).compile()

    async def call(text: str) -> str:
        return await inner.invoke(text)

    outer = Chain[str, str](state=lambda: Journal(["outer"])).append_lambda(call).compile()

    assert await outer.invoke("start") == "start_outer"
    with pytest.raises(RunError, match="get state from context fail: have not set state") as caught:
        await inner.invoke("start")
    assert isinstance(caught.value.__cause__, StateError)


async def test_a_state_that_is_not_there() -> None:
    """1.18: the error names both types; outside a run there is no run."""

    async def ask(text: str) -> str:
        async with process_state(Counter):
            return text

    with pytest.raises(
        RunError, match="cannot find state with type: Counter in states chain, current state type: Journal"
    ):
        await Chain[str, str](state=Journal).append_lambda(ask).compile().invoke("x")
    with pytest.raises(NoRunError, match="there is no run here"):
        await ask("x")
    with pytest.raises(NoRunError, match="there is no run here"):
        current_context()


async def test_each_run_has_a_state_of_its_own() -> None:
    """1.10: made once per run."""

    def count(value: int, state: Counter) -> int:
        state.count += 1
        return state.count

    graph = Graph[int, int](state=Counter).add_passthrough_node("n", post=lambda value, state: count(value, state))
    graph.add_edge(START, "n").add_branch("n", Branch(lambda n: END if n == 3 else "n", ends=["n", END]))
    runnable = graph.compile()

    assert await runnable.invoke(0) == 3
    assert await runnable.invoke(0) == 3


@pytest.mark.parametrize("trigger", ["any", "all"])
async def test_nodes_beside_each_other_take_turns_at_the_state(trigger: Any, virtual_clock: VirtualClock) -> None:
    """2.10: a handler that waits holds the state; plain ones wait for it."""

    async def slow(value: int, state: Counter) -> int:
        before = state.count
        await anyio.sleep(1)
        state.count = before + 1
        return value

    def quick(value: int, state: Counter) -> int:
        state.count += 1
        return value

    async def inside(value: int) -> int:
        async with process_state(Counter) as state:
            before = state.count
            await anyio.sleep(1)
            state.count = before + 1
        return value

    final: list[int] = []
    graph = Graph[int, Any](state=Counter, merge={int: sum})
    graph.add_lambda_node("a", inside, pre=slow)
    graph.add_lambda_node("b", inside, pre=slow, post=slow)
    graph.add_lambda_node("c", inside, pre=quick, post=quick)
    graph.add_lambda_node("last", lambda value: value, pre=lambda value, state: final.append(state.count))
    for key in "abc":
        graph.add_edge(START, key)
        graph.add_edge(key, "last")
    graph.add_edge("last", END)

    await graph.compile(trigger=trigger).invoke(1)

    assert final == [8]  # pre and inside of a; pre, inside and post of b and c
    assert virtual_clock.now() == 6.0  # six of them wait for a second, one after the other


async def test_a_handler_may_call_for_the_context() -> None:
    """4b: handlers are `(value, state)`; the context is there all the same."""

    def where(value: str, state: Journal) -> str:
        state.entries.append(current_context().node_key)
        return value

    graph = Graph[str, str](state=Journal).add_lambda_node("n", with_last_entry, pre=where)

    assert await graph.add_edge(START, "n").add_edge("n", END).compile().invoke("x") == "x_n"


@pytest.mark.parametrize("which", ["pre", "post", "stream_pre", "stream_post"])
@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
async def test_a_handler_that_raises_is_the_nodes_failure(which: str, as_stream: bool) -> None:
    """2.12: the text says which handler of which node; a failing pre handler keeps the node from running."""
    ran: list[str] = []

    async def node(text: str) -> str:
        ran.append(text)
        return text

    def broken(value: Any, state: Journal) -> Any:
        raise KeyError("boom")

    graph = Graph[str, str](state=Journal).add_lambda_node("n", node, **{which: broken})  # type: ignore[arg-type]  # options
    runnable = graph.add_edge(START, "n").add_edge("n", END).compile()

    with pytest.raises(RunError) as caught:
        await (runnable.collect(StreamReader.from_iterable(["x"])) if as_stream else runnable.invoke("x"))

    kind = which.removeprefix("stream_")
    assert caught.value.message == f"run node[n] {kind} processor fail: KeyError: 'boom'"
    assert (caught.value.node_path, caught.value.kind) == (("n",), "node")
    assert isinstance(caught.value.__cause__, KeyError)
    assert ran == ([] if kind == "pre" else ["x"])


async def test_an_error_in_a_handlers_stream_is_the_nodes_failure() -> None:
    """2.12: also when it comes late, read by the next node."""

    async def breaking(chunks: AsyncIterator[str], state: Journal) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk
        raise KeyError("boom")

    graph = Graph[str, str](state=Journal).add_passthrough_node("a", stream_post=unannotated(breaking))
    graph.add_lambda_node("b", with_last_entry).add_edge(START, "a").add_edge("a", "b").add_edge("b", END)

    with pytest.raises(RunError, match="KeyError: 'boom'") as caught:
        await graph.compile().collect(StreamReader.from_iterable(["x"]))
    assert caught.value.node_path == ("a",)


def unannotated(handler: Any) -> Any:
    def plain(value, state):  # type: ignore[no-untyped-def]  # a passthrough's handler has no types
        return handler(value, state)

    return plain


@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
async def test_a_state_that_cannot_be_made(as_stream: bool) -> None:
    """1.10: the run fails before its first node, and leaves nothing open."""

    def broken() -> Journal:
        raise KeyError("boom")

    async def source() -> AsyncIterator[str]:
        yield "x"

    runnable = Chain[str, str](state=broken).append_lambda(with_last_entry, key="n").compile()

    with pytest.raises(RunError, match="make the state of the run fail: KeyError: 'boom'") as caught:
        await (runnable.collect(source()) if as_stream else runnable.invoke("x"))
    assert (caught.value.node_path, caught.value.kind) == ((), "graph")
    with pytest.raises(RunError, match="make the state of the run fail") as caught:
        await (
            Chain[str, str]()
            .append_graph(Chain[str, str](state=broken).append_lambda(with_last_entry), key="g")
            .compile()
            .invoke("x")
        )
    assert caught.value.node_path == ("g",)


async def late_state() -> Journal:
    return Journal()


@pytest.mark.parametrize(
    ("build", "text"),
    [
        pytest.param(lambda: Graph(state=3), "give a class or a function that makes the state", id="no function"),  # type: ignore[arg-type]  # the mistake
        pytest.param(
            lambda: Chain(state=late_state), "it is async, but the state of a run is made without", id="async"
        ),
        pytest.param(
            lambda: Graph().add_passthrough_node("n", pre=lambda value, state: value),
            "node 'n' needs state but graph state is not enabled",
            id="no state",
        ),
        pytest.param(
            lambda: Graph(state=Journal).add_passthrough_node("n", pre=print, stream_pre=print),
            "give either pre= or stream_pre=, not both",
            id="two",
        ),
        pytest.param(lambda: Graph(state=Journal).add_passthrough_node("n", post=3), "got 3", id="no handler"),  # type: ignore[arg-type]  # the mistake
        pytest.param(
            lambda: Graph(state=Journal).add_passthrough_node("n", pre=lambda value: value),
            "must take 2 positional values",
            id="arity",
        ),
    ],
)
def test_mistakes_with_states_are_found_when_building(build: Any, text: str) -> None:
    """1.10, 1.15: at the call."""
    with pytest.raises(BuildError, match=text):
        build()
