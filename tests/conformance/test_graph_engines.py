"""Pregel and DAG: which nodes run, when, on what; fan-in; how values and streams reach several nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    Branch,
    BuildError,
    FanIn,
    Graph,
    MaxStepsError,
    MergeError,
    RunContext,
    RunError,
    SourceEnded,
    StreamReader,
    register_merge,
)
from eino_fixtures.clock import VirtualClock

TRIGGERS = pytest.mark.parametrize("trigger", ["any", "all"])
ENGINES = pytest.mark.parametrize(
    "engine",
    [
        pytest.param({"trigger": "any"}, id="pregel"),
        pytest.param({"trigger": "all"}, id="dag"),
        pytest.param({"trigger": "all", "eager": False}, id="dag in steps"),
    ],
)

Value = dict[str, Any]


def plus(text: str) -> Callable[[str], Awaitable[str]]:
    """Return a node that appends `text`."""

    async def append(value: str) -> str:
        return value + text

    return append


def naming(key: str, seen: list[str] | None = None) -> Callable[[Any], Any]:
    """Return a node that gives `{key: key}` whatever it gets, and notes that it ran."""

    async def name(value: Any) -> Value:
        if seen is not None:
            seen.append(key)
        return {key: key}

    return name


def later(key: str, seconds: float, seen: list[str]) -> Callable[[Any], Any]:
    """Return a node like `naming` that takes its time."""

    async def name(value: Any) -> Value:
        seen.append(key)
        await anyio.sleep(seconds)
        seen.append(f"{key} done")
        return {key: key}

    return name


async def test_pregel_ends_with_the_first_value_at_the_end() -> None:
    """S47: what else is ready then is dropped."""
    graph = Graph[str, str]().add_lambda_node("1", lambda text: "node1").add_lambda_node("2", lambda text: "node2")
    graph.add_edge(START, "1").add_edge("1", END).add_edge("1", "2").add_edge("2", END)

    assert await graph.compile().invoke("x") == "node1"
    assert await graph.compile().collect(StreamReader.from_iterable(["x"])) == "node1"


@pytest.mark.parametrize("eager", [True, False])
async def test_a_dag_joins_the_start_with_a_node(eager: bool) -> None:
    """S49: START -> 1 -> 2 and START -> 2."""
    graph = (
        Graph[Value, Value]().add_lambda_node("1", lambda value: {"1": "1"}).add_lambda_node("2", lambda value: value)
    )
    graph.add_edge(START, "1").add_edge("1", "2").add_edge(START, "2").add_edge("2", END)
    runnable = graph.compile(trigger="all", eager=eager)

    assert await runnable.invoke({"start": "start"}) == {"start": "start", "1": "1"}
    assert await runnable.collect(StreamReader.from_iterable([{"start": "start"}])) == {"start": "start", "1": "1"}


@ENGINES
async def test_two_branches_behind_one_node(engine: Any) -> None:
    """S50: each chooses one of its own ends."""
    graph = Graph[Value, Value]()
    for key in "1234":
        graph.add_lambda_node(key, naming(key)).add_edge(key, END)
    graph.add_branch(START, Branch(lambda value: "1", ends=["1", "2"]))
    graph.add_branch(START, Branch(lambda value: "3", ends=["3", "4"]))
    runnable = graph.compile(**engine)

    assert await runnable.invoke({"input": "hi"}) == {"1": "1", "3": "3"}
    assert await runnable.collect(StreamReader.from_iterable([{"input": "hi"}])) == {"1": "1", "3": "3"}


@ENGINES
@pytest.mark.parametrize(("given", "expected"), [("hello", "hello23"), ("hi", "hi1"), ("hellohello", "hellohello24")])
async def test_a_branch_behind_a_branch(engine: Any, given: str, expected: str) -> None:
    """S52: what nobody chose is skipped, and what lies behind it."""
    graph = Graph[str, str]()
    for key in "1234":
        graph.add_lambda_node(key, plus(key))
    graph.add_branch(START, Branch(lambda text: "2" if len(text) > 3 else "1", ends=["1", "2"]))
    graph.add_branch("2", Branch(lambda text: "4" if len(text) > 10 else "3", ends=["3", "4"]))
    for key in "134":
        graph.add_edge(key, END)

    assert await graph.compile(**engine).invoke(given) == expected


@ENGINES
async def test_a_branch_that_chooses_nothing_ends_the_run_with_an_error(engine: Any) -> None:
    """S53: the last nodes are named; nothing is left open in a stream run."""
    graph = Graph[str, str]().add_lambda_node("1", plus("1")).add_lambda_node("2", plus("2")).add_edge(START, "1")
    graph.add_branch("1", Branch(lambda text: set(), ends=["2"])).add_edge("2", END)
    runnable = graph.compile(**engine)

    for run in (runnable.invoke("x"), runnable.collect(StreamReader.from_iterable(["x"]))):
        with pytest.raises(
            RunError, match=r"\[GraphRunError\] no tasks to execute, last completed nodes: \[1\]"
        ) as caught:
            await run
        assert (caught.value.node_path, caught.value.kind) == ((), "graph")


@ENGINES
async def test_a_branch_at_the_start_that_chooses_nothing(engine: Any) -> None:
    """2.4: there is no last node to name."""
    graph = Graph[str, str]().add_lambda_node("1", plus("1")).add_edge("1", END)
    graph.add_branch(START, Branch(lambda text: [], ends=["1"]))

    with pytest.raises(RunError, match="no tasks to execute after graph start"):
        await graph.compile(**engine).invoke("x")


@ENGINES
async def test_a_skipped_end_ends_the_run_with_an_error(engine: Any) -> None:
    """2.5: the end is skipped like any node; then nothing is left to do."""
    graph = Graph[str, str]()
    for key in "123":
        graph.add_lambda_node(key, plus(key))
    graph.add_branch(START, Branch(lambda text: "1", ends=["1", "2"])).add_edge("1", "3").add_edge("2", END)

    with pytest.raises(RunError, match=r"no tasks to execute, last completed nodes: \[3\]"):
        await graph.compile(**engine).invoke("x")


@TRIGGERS
async def test_a_named_fan_in_says_when_each_source_ends(trigger: Any) -> None:
    """S55: two streaming nodes with output keys, merged at the end."""

    async def small(number: int) -> AsyncIterator[int]:
        yield number + 1
        yield number + 2

    async def large(number: int) -> AsyncIterator[int]:
        yield number + 10
        yield number + 20

    graph = Graph[int, Value]()
    graph.add_lambda_node("1", small, output_key="s1").add_lambda_node("2", large, output_key="s2")
    for key in "12":
        graph.add_edge(START, key).add_edge(key, END)
    runnable = graph.compile(trigger=trigger, fan_in={END: FanIn(source_ended=True)})

    async with runnable.stream(1) as reader:
        items: list[Any] = [item async for item in reader]

    assert sorted(item["s1"] for item in items if isinstance(item, dict) and "s1" in item) == [2, 3]
    assert sorted(item["s2"] for item in items if isinstance(item, dict) and "s2" in item) == [11, 21]
    assert sorted(item.source for item in items if isinstance(item, SourceEnded)) == ["1", "2"]
    for key, source in (("s1", "1"), ("s2", "2")):
        last = max(index for index, item in enumerate(items) if isinstance(item, dict) and key in item)
        assert items.index(SourceEnded(source)) > last
    assert await runnable.invoke(1) == {"s1": 3, "s2": 21}  # numbers: the last one wins


async def test_a_named_fan_in_of_one_source_also_ends_with_its_name() -> None:
    """S55, 1.19: one predecessor is a source like any other; value consumers do not see markers."""
    seen: list[Any] = []

    async def look(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for chunk in chunks:
            seen.append(chunk)
            yield chunk

    graph = Graph[str, str]().add_lambda_node("1", plus("1")).add_lambda_node("2", look).add_lambda_node("3", plus("3"))
    graph.add_edge(START, "1").add_edge("1", "2").add_edge("2", "3").add_edge("3", END)
    runnable = graph.compile(fan_in={"2": FanIn(source_ended=True)})

    assert await runnable.collect(StreamReader.from_iterable(["x"])) == "x13"
    assert seen == ["x1", SourceEnded("1")]


async def test_markers_pass_keys_and_checks() -> None:
    """S55: a marker is no chunk: it is not looked into, checked or put under a key."""
    seen: list[Any] = []

    async def look(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            seen.append(chunk)
            yield chunk

    graph = Graph[str, Any]().add_lambda_node("1", plus("1"), output_key="k").add_lambda_node("2", plus("2"))
    graph.add_lambda_node("in", look, input_key="k", output_key="out").add_passthrough_node("p")
    graph.add_edge(START, "1").add_edge("1", "in").add_edge("in", "p").add_edge("p", END)
    runnable = graph.compile(fan_in={"in": FanIn(source_ended=True)})

    async with runnable.stream("x") as reader:
        assert [chunk async for chunk in reader] == [{"out": "x1"}, SourceEnded("1")]
    assert seen == ["x1", SourceEnded("1")]


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize(("given", "expected"), [("hello", "hellohellohello"), ("1", "111")])
async def test_a_dag_of_seven_nodes(eager: bool, given: str, expected: str) -> None:
    """S56: 1, 2 -> 3 -> 4 -> 5; 4 -> 6 -> 7; 1 -> 7 -> END."""
    graph = Graph[str, str]()
    graph.add_lambda_node("1", plus(""), output_key="1").add_lambda_node("2", plus(""), output_key="2")
    graph.add_lambda_node("3", lambda value: value["1"] + value["2"])
    graph.add_lambda_node("4", plus("")).add_lambda_node("5", plus(""))
    graph.add_lambda_node("6", plus(""), output_key="6").add_lambda_node("7", lambda value: value["1"] + value["6"])
    for source, target in ["s1", "s2", "13", "23", "34", "45", "46", "67", "17"]:
        graph.add_edge(START if source == "s" else source, target)
    graph.add_edge("7", END)
    runnable = graph.compile(trigger="all", eager=eager)

    assert await runnable.invoke(given) == expected
    assert await runnable.collect(StreamReader.from_iterable(list(given))) == expected


def test_a_dag_has_no_loops() -> None:
    """S56: edges and branches count; the loop is named."""
    graph = Graph[str, str]()
    for key in "123":
        graph.add_lambda_node(key, plus(key))
    graph.add_edge(START, "1").add_edge("1", "2").add_edge("2", "3").add_edge("3", END)
    graph.add_branch("3", Branch(lambda text: "2", ends=["2", END]))

    with pytest.raises(BuildError, match=r"DAG is invalid, has loop: \[2->3->2\]"):
        graph.compile(trigger="all")
    graph.compile(trigger="any")


@TRIGGERS
async def test_values_that_cannot_be_merged(trigger: Any) -> None:
    """X3: two strings at the end."""
    graph = Graph[str, str]()
    for key in "12":
        graph.add_lambda_node(key, plus(key)).add_edge(START, key).add_edge(key, END)
    runnable = graph.compile(trigger=trigger)

    with pytest.raises(RunError, match=r"\(mergeValues\) unsupported type: str") as caught:
        await runnable.invoke("x")
    assert isinstance(caught.value.__cause__, MergeError)
    assert (caught.value.node_path, caught.value.kind) == ((), "graph")
    with pytest.raises(RunError, match=r"\(mergeValues \| stream type\) unsupported chunk type: str") as caught:
        await runnable.collect(StreamReader.from_iterable(["x"]))
    assert isinstance(caught.value.__cause__, MergeError)
    assert (caught.value.node_path, caught.value.kind) == ((), "graph")


@TRIGGERS
async def test_a_failed_merge_at_a_node_is_the_graphs(trigger: Any) -> None:
    """X3, 2.12: the text names the node whose input it was; it is no failure of that node's code."""
    graph = Graph[str, str]().add_lambda_node("join", plus("!"))
    for key in "12":
        graph.add_lambda_node(key, plus(key)).add_edge(START, key).add_edge(key, "join")
    runnable = graph.add_edge("join", END).compile(trigger=trigger)

    for run in (runnable.invoke("x"), runnable.collect(StreamReader.from_iterable(["x"]))):
        with pytest.raises(RunError, match=r"get the input of node 'join' fail: \(mergeValues") as caught:
            await run
        assert (caught.value.node_path, caught.value.kind) == ((), "graph")


@TRIGGERS
async def test_chunks_of_different_types_are_not_merged(trigger: Any) -> None:
    """2.7: in stream runs the types of the chunks are compared."""
    graph = Graph[str, Any]()
    graph.add_lambda_node("1", lambda text: {"1": text}).add_lambda_node("2", len)
    for key in "12":
        graph.add_edge(START, key).add_edge(key, END)
    runnable = graph.compile(trigger=trigger)

    with pytest.raises(RunError, match=r"\(values merge map\) field type mismatch. expected: dict, got: int"):
        await runnable.invoke("x")
    with pytest.raises(RunError, match=r"\(mergeStream\) chunk type mismatch. expected: dict, got: int"):
        await runnable.collect(StreamReader.from_iterable(["x"]))


@TRIGGERS
async def test_a_key_that_comes_twice(trigger: Any) -> None:
    """2.7, A16 (kept): an error between values; streams are interleaved and joined."""
    graph = Graph[str, Value]()
    for key in "12":
        graph.add_lambda_node(key, plus(key), output_key="k").add_edge(START, key).add_edge(key, END)
    runnable = graph.compile(trigger=trigger)

    with pytest.raises(RunError, match=r"\(values merge map\) duplicated key \('k'\) found"):
        await runnable.invoke("x")
    assert (await runnable.collect(StreamReader.from_iterable(["x"])))["k"] in ("x1x2", "x2x1")


class Score(int):
    """A type with a merge of its own."""


@TRIGGERS
async def test_types_of_ones_own_are_merged_by_their_function(trigger: Any) -> None:
    """1.19: for all graphs, or for one; in stream runs the function only allows the interleaving."""

    def build(**options: Any) -> Any:
        graph = Graph[int, Any](**options)
        for key, factor in (("1", 10), ("2", 100)):
            graph.add_lambda_node(key, times(factor)).add_edge(START, key).add_edge(key, END)
        return graph.compile(trigger=trigger)

    assert await build(merge={Score: lambda scores: Score(sum(scores))}).invoke(1) == 110
    with pytest.raises(RunError, match="unsupported type: Score"):
        await build().invoke(1)
    undo = register_merge(Score, max)
    try:
        assert await build().invoke(1) == 100
        async with build().stream(1) as reader:
            assert sorted([chunk async for chunk in reader]) == [10, 100]
    finally:
        undo()


def times(factor: int) -> Callable[[int], Score]:
    def multiply(number: int) -> Score:
        return Score(number * factor)

    return multiply


@TRIGGERS
async def test_values_are_merged_in_the_order_of_the_edges(trigger: Any) -> None:
    """D16: not in the order of completion."""
    order: list[str] = []

    async def slow(number: int) -> Value:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        return {"slow": number}

    graph = Graph[int, Any](merge={dict: lambda values: order.extend(next(iter(value)) for value in values)})
    graph.add_lambda_node("fast", lambda number: {"fast": number}).add_lambda_node("slow", slow)
    graph.add_edge(START, "slow").add_edge(START, "fast").add_edge("slow", END).add_edge("fast", END)

    await graph.compile(trigger=trigger).invoke(1)

    assert order == ["slow", "fast"]


@TRIGGERS
async def test_an_edge_and_two_branches_each_give_all_of_a_stream(trigger: Any) -> None:
    """X5: an edge to w, a stream branch to x and y, a value branch to z."""
    seen: dict[str, str] = {}

    async def source(text: str) -> AsyncIterator[str]:
        for letter in "abc":
            yield letter

    def reading(key: str) -> Any:
        async def read(chunks: AsyncIterator[str]) -> Value:
            seen[key] = "".join([chunk async for chunk in chunks])
            return {key: seen[key]}

        return read

    async def on_first(chunks: AsyncIterator[str]) -> set[str]:
        async for chunk in chunks:
            return {"x", "y"} if chunk == "a" else set()
        return set()

    graph = Graph[str, Value]().add_lambda_node("source", source).add_edge(START, "source")
    for key in "wxyz":
        graph.add_lambda_node(key, reading(key)).add_edge(key, END)
    graph.add_edge("source", "w")
    graph.add_branch("source", Branch(on_first, ends=["x", "y"]))
    graph.add_branch("source", Branch(lambda text: "z" if text == "abc" else "x", ends=["x", "z"]))
    runnable = graph.compile(trigger=trigger)

    assert await runnable.collect(StreamReader.from_iterable(["-"])) == dict.fromkeys("wxyz", "abc")
    assert seen == dict.fromkeys("wxyz", "abc")


@TRIGGERS
async def test_a_node_behind_an_edge_runs_whatever_a_branch_chooses(trigger: Any) -> None:
    """Architecture 5b, against 2.5: A -> B and a branch A -> {B, C} that picks C: both run, once."""
    seen: list[str] = []
    graph = Graph[str, Value]().add_lambda_node("a", plus("a"))
    for key in "bc":
        graph.add_lambda_node(key, naming(key, seen))
    graph.add_edge(START, "a").add_edge("a", "b")
    graph.add_branch("a", Branch(lambda text: "c", ends=["b", "c"]))
    graph.add_edge("b", END).add_edge("c", END)

    assert await graph.compile(trigger=trigger).invoke("x") == {"b": "b", "c": "c"}
    assert sorted(seen) == ["b", "c"]


async def test_a_diamond_of_unequal_arms() -> None:
    """2.1: in Pregel the join runs for each arm; in a DAG once, with both."""
    seen: list[Value] = []

    def join(value: Value) -> Value:
        seen.append(value)
        return {f"join{len(seen)}": len(value)}

    graph = Graph[str, Value]().add_lambda_node("join", join).add_lambda_node("last", lambda value: value)
    for key in ("short", "long1", "long2"):
        graph.add_lambda_node(key, naming(key))
    graph.add_edge(START, "short").add_edge(START, "long1").add_edge("long1", "long2")
    graph.add_edge("short", "join").add_edge("long2", "join").add_edge("join", "last").add_edge("last", END)

    assert await graph.compile().invoke("x") == {"join1": 1}
    assert seen == [{"short": "short"}, {"long2": "long2"}]  # step 3 of both arms: the end comes only in step 4
    seen.clear()
    assert await graph.compile(trigger="all").invoke("x") == {"join1": 2}
    assert seen == [{"short": "short", "long2": "long2"}]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_exactly_the_allowed_steps_run(limit: int) -> None:
    """2.1: with a limit of k, k super-steps; parallel nodes are one step."""
    seen: list[str] = []
    graph = Graph[str, Any]()
    for key in ("a", "b1", "b2", "c"):
        graph.add_lambda_node(key, naming(key, seen))
    graph.add_edge(START, "a").add_edge("a", "b1").add_edge("a", "b2").add_edge("b1", "c").add_edge("b2", "c")
    graph.add_edge("c", END)
    last = [["a"], ["b1", "b2"], ["c"]]

    if limit == 3:
        assert await graph.compile(max_steps=limit).invoke("x") == {"c": "c"}
    else:
        with pytest.raises(MaxStepsError, match=rf"{limit} steps.*last nodes: \[{', '.join(last[limit - 1])}\]"):
            await graph.compile(max_steps=limit).invoke("x")
    assert sorted(seen) == sorted(key for step in last[:limit] for key in step)


async def test_the_steps_that_are_allowed_when_nobody_says() -> None:
    """1.16: the number of nodes and ten more."""
    rounds: list[int] = []

    def count(number: int) -> int:
        rounds.append(number)
        return number + 1

    graph = Graph[int, int]().add_lambda_node("a", count).add_lambda_node("b", count).add_edge(START, "a")
    graph.add_edge("a", "b").add_branch("b", Branch(lambda number: "a", ends=["a", END]))
    runnable = graph.compile(name="endless")

    with pytest.raises(MaxStepsError, match=r"12 steps of graph 'endless' did not reach the end, last nodes: \[b\]"):
        await runnable.invoke(0)
    assert len(rounds) == 12
    with pytest.raises(MaxStepsError, match=r"last nodes: \[a\]"):
        await runnable.invoke(0, max_steps=3)


async def test_a_stream_goes_through_a_loop_chunk_by_chunk() -> None:
    """X1: three rounds, each decided on its first chunk; nothing is read ahead."""
    rounds = 0

    async def wrap(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        yield "<"
        async for chunk in chunks:
            yield chunk
        yield ">"

    async def again(chunks: AsyncIterator[str]) -> str:
        nonlocal rounds
        async for chunk in chunks:
            assert chunk == "<"
            break
        rounds += 1
        return "wrap" if rounds < 3 else END

    pulled: list[str] = []

    async def source() -> AsyncIterator[str]:
        pulled.append("x")
        yield "x"

    graph = Graph[str, str]().add_lambda_node("wrap", wrap).add_edge(START, "wrap")
    graph.add_branch("wrap", Branch(again, ends=["wrap", END]))

    async with graph.compile().transform(source()) as reader:
        assert (rounds, pulled) == (3, [])
        assert [chunk async for chunk in reader] == ["<", "<", "<", "x", ">", ">", ">"]


async def test_pregel_waits_for_the_slow_node_when_another_fails(virtual_clock: VirtualClock) -> None:
    """X7: a failing node and one of 200 ms in one super-step."""
    seen: list[str] = []
    runnable = failing_beside_slow(seen).compile()

    with pytest.raises(RunError, match="boom") as caught:
        await runnable.invoke("x")

    assert (virtual_clock.now(), seen, caught.value.node_path) == (0.2, ["slow", "slow done"], ("fail",))


async def test_an_eager_dag_fails_at_once_and_cancels_the_rest(virtual_clock: VirtualClock) -> None:
    """X7, A22: nothing goes on behind the caller's back."""
    seen: list[str] = []

    with pytest.raises(RunError, match="boom") as caught:
        await failing_beside_slow(seen).compile(trigger="all").invoke("x")

    assert (virtual_clock.now(), seen, caught.value.node_path) == (0.01, ["slow"], ("fail",))
    await anyio.sleep(1)
    assert seen == ["slow"]


async def test_a_dag_in_steps_waits_like_pregel(virtual_clock: VirtualClock) -> None:
    """X7: without `eager` the step ends first."""
    seen: list[str] = []

    with pytest.raises(RunError, match="boom"):
        await failing_beside_slow(seen).compile(trigger="all", eager=False).invoke("x")

    assert (virtual_clock.now(), seen) == (0.2, ["slow", "slow done"])


def failing_beside_slow(seen: list[str]) -> Graph[str, Value]:
    async def fail(value: Any) -> Value:
        await anyio.sleep(0.01)
        raise ValueError("boom")

    graph = Graph[str, Value]().add_lambda_node("fail", fail).add_lambda_node("slow", later("slow", 0.2, seen))
    for key in ("fail", "slow"):
        graph.add_edge(START, key).add_edge(key, END)
    return graph


async def test_the_first_of_several_failures_is_raised(virtual_clock: VirtualClock) -> None:
    """2.4: first in the order of completion, whatever the order of the nodes."""

    def failing(seconds: float) -> Any:
        async def fail(value: Any) -> Value:
            await anyio.sleep(seconds)
            raise ValueError(f"after {seconds}")

        return fail

    graph = Graph[str, Value]()
    for key, seconds in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
        graph.add_lambda_node(key, failing(seconds)).add_edge(START, key).add_edge(key, END)

    for options, ends_at in (({"trigger": "any"}, 0.3), ({"trigger": "all"}, 0.1)):
        began = virtual_clock.now()
        with pytest.raises(RunError, match=r"after 0\.1") as caught:
            await graph.compile(**options).invoke("x")  # type: ignore[arg-type]  # options of compile
        assert caught.value.node_path == ("b",)
        assert virtual_clock.now() - began == pytest.approx(ends_at)


async def test_an_eager_dag_starts_each_node_as_soon_as_it_can(virtual_clock: VirtualClock) -> None:
    """2.1: what follows a fast node does not wait for a slow one; in steps it does."""
    for eager, ends_at in ((True, 3.0), (False, 5.0)):
        seen: list[str] = []
        graph = Graph[str, Value]()
        for key, seconds in (("fast", 1.0), ("slow", 3.0), ("next", 2.0)):
            graph.add_lambda_node(key, later(key, seconds, seen))
        graph.add_edge(START, "fast").add_edge(START, "slow").add_edge("fast", "next")
        graph.add_edge("next", END).add_edge("slow", END)
        began = virtual_clock.now()

        assert await graph.compile(trigger="all", eager=eager).invoke("x") == {"next": "next", "slow": "slow"}

        assert virtual_clock.now() - began == pytest.approx(ends_at)


async def test_an_eager_dag_cancels_what_still_runs_at_the_end(virtual_clock: VirtualClock) -> None:
    """2.1, A22: a node that leads nowhere does not hold up the run, and does not outlive it."""
    seen: list[str] = []
    graph = Graph[str, Value]().add_lambda_node("fast", later("fast", 1.0, seen))
    graph.add_lambda_node("slow", later("slow", 9.0, seen))
    graph.add_edge(START, "fast").add_edge(START, "slow").add_edge("fast", END)

    assert await graph.compile(trigger="all").invoke("x") == {"fast": "fast"}

    assert virtual_clock.now() == 1.0
    await anyio.sleep(20)
    assert "slow done" not in seen


@ENGINES
async def test_the_start_may_lead_to_the_end(engine: Any) -> None:
    """1.10: a graph without nodes gives what it gets."""
    graph = Graph[str, str]().add_edge(START, END)
    runnable = graph.compile(**engine)

    assert await runnable.invoke("x") == "x"
    async with runnable.transform(StreamReader.from_iterable(["a", "b"])) as reader:
        assert [chunk async for chunk in reader] == ["a", "b"]


@ENGINES
async def test_a_node_that_leads_nowhere_is_legal(engine: Any) -> None:
    """2.2: it runs, what it gives is dropped; one that nobody leads to never runs."""
    seen: list[str] = []
    graph = Graph[str, str]().add_lambda_node("1", plus("1")).add_lambda_node("dead end", naming("dead end", seen))
    graph.add_lambda_node("island", naming("island", seen)).add_lambda_node("2", plus("2"))
    graph.add_edge(START, "1").add_edge(START, "dead end").add_edge("1", "2").add_edge("2", END)
    graph.add_edge("island", "dead end") if engine["trigger"] == "any" else None
    runnable = graph.compile(**engine)

    assert await runnable.invoke("x") == "x12"
    assert await runnable.collect(StreamReader.from_iterable(["x"])) == "x12"
    assert seen == ["dead end", "dead end"]


@ENGINES
async def test_a_nested_graph_chooses_its_own_engine(engine: Any) -> None:
    """2.1: it is one node, and one step, of the graph around it."""
    inner = Graph[str, str]()
    for key in "ab":
        inner.add_lambda_node(key, plus(key))
    inner.add_edge(START, "a").add_edge("a", "b").add_edge("b", END)
    outer = Graph[str, str]().add_graph_node("inner", inner, compile_options={"trigger": "all"})
    outer.add_lambda_node("c", plus("c")).add_edge(START, "inner").add_edge("inner", "c").add_edge("c", END)
    runnable = outer.compile(**engine)

    assert await runnable.invoke("x") == "xabc"
    if engine["trigger"] == "any":
        assert await runnable.invoke("x", max_steps=2) == "xabc"
        with pytest.raises(MaxStepsError):
            await runnable.invoke("x", max_steps=1)


async def test_conditions_may_be_async_and_know_the_run() -> None:
    """4b: a condition may wait and may declare a context."""

    async def choose(text: str, ctx: RunContext[Any]) -> str:
        await anyio.lowlevel.checkpoint()
        return END if ctx.graph_name == "root" and ctx.node_key == "1" else "1"

    graph = Graph[str, str]().add_lambda_node("1", plus("1")).add_edge(START, "1")
    graph.add_branch("1", Branch(choose, ends=["1", END]))

    assert await graph.compile(name="root").invoke("x") == "x1"


@ENGINES
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param("nowhere", "branch invocation returns unintended end node: nowhere", id="unknown"),
        pytest.param({"2", "nowhere"}, "branch invocation returns unintended end node: nowhere", id="one unknown"),
        pytest.param(None, "must return a key or a set of keys", id="nothing"),
        pytest.param(7, "must return a key or a set of keys", id="number"),
    ],
)
async def test_a_condition_that_answers_something_else(engine: Any, answer: Any, text: str) -> None:
    """1.10, D4: an error of the graph at that node, which names the condition."""

    def confused(value: str) -> Any:
        return answer

    graph = Graph[str, str]().add_lambda_node("1", plus("1")).add_lambda_node("2", plus("2")).add_edge(START, "1")
    graph.add_branch("1", Branch(confused, ends=["1", "2"] if engine["trigger"] == "any" else ["2"])).add_edge("2", END)
    runnable = graph.compile(**engine)

    for run in (runnable.invoke("x"), runnable.collect(StreamReader.from_iterable(["x"]))):
        with pytest.raises(RunError, match=text) as caught:
            await run
        assert (caught.value.node_path, caught.value.kind) == (("1",), "graph")
        assert "confused" in str(caught.value)


@ENGINES
async def test_an_error_in_a_condition_has_the_path_of_its_node(engine: Any) -> None:
    """D4: nothing that is raised in a condition escapes as it is, at the root neither."""

    def broken(value: str) -> str:
        raise KeyError("boom")

    graph = Graph[str, str]().add_lambda_node("1", plus("1")).add_edge(START, "1")
    graph.add_branch("1", Branch(broken, ends=[END]))
    at_start = Graph[str, str]().add_branch(START, Branch(broken, ends=[END]))

    for source, path, runnable in (("1", ("1",), graph.compile(**engine)), ("start", (), at_start.compile(**engine))):
        for run in (runnable.invoke("x"), runnable.collect(StreamReader.from_iterable(["x"]))):
            with pytest.raises(RunError, match=f"calculate next step fail, node: {source}: KeyError: 'boom'") as caught:
                await run
            assert isinstance(caught.value.__cause__, KeyError)
            assert (caught.value.node_path, caught.value.kind) == (path, "graph")


async def test_several_keys_may_come_in_any_collection() -> None:
    """1.10: a set, a list, a tuple, or a mapping whose true ones count."""
    for answer in ({"1", "2"}, ["1", "2"], ("2", "1"), {"1": True, "2": True, "3": False}, frozenset({"1", "2"})):
        graph = Graph[str, Value]()
        for key in "123":
            graph.add_lambda_node(key, naming(key)).add_edge(key, END)
        graph.add_branch(START, Branch(answering(answer), ends=["1", "2", "3"]))
        assert await graph.compile().invoke("x") == {"1": "1", "2": "2"}


def answering(answer: Any) -> Callable[[str], Any]:
    def condition(text: str) -> Any:
        return answer

    return condition


async def test_nodes_of_a_step_run_beside_each_other_and_end_in_order(virtual_clock: VirtualClock) -> None:
    """2.1, D16: they overlap in time; their outputs are routed in the order in which they were added."""
    seen: list[str] = []
    graph = Graph[str, Value]()
    for key, seconds in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        graph.add_lambda_node(key, later(key, seconds, seen)).add_edge(START, key).add_edge(key, END)

    assert list(await graph.compile().invoke("x")) == ["a", "b", "c"]
    assert virtual_clock.now() == 3.0
    assert seen[3:] == ["b done", "c done", "a done"]
