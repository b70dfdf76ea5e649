"""The profile of graphs whose times are known: to the digit in virtual time and on a clock that the nodes move."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import anyio
import pytest

from eino import END, START, Chain, Graph, Lambda, Message, ToolsNode, assistant_message, tool, tool_call, user_message
from eino.errors import RunError
from eino.flow import ReactAgent
from eino.schema.stream import StreamReader
from eino_fixtures.clock import VirtualClock, virtual_backends
from eino_harness.profile import NodeTime, Recorder, node_times, overhead_of, recording

pytestmark = pytest.mark.parametrize("anyio_backend", virtual_backends())


class Work:
    """A CPU clock that only nodes move."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def recorder(work: Work, virtual_clock: VirtualClock) -> Recorder:
    return Recorder(wall=virtual_clock.now, cpu=work)


def node(work: Work, *, computes_s: float, waits_s: float) -> Callable[[int], Any]:
    """A node that computes in five parts and waits after each."""

    async def run(value: int) -> int:
        for _ in range(5):
            work.now_s += computes_s / 5
            await anyio.sleep(waits_s / 5)
        return value + 1

    return run


async def total(values: dict[str, int]) -> int:
    return sum(values.values())


def by_path(recorder: Recorder) -> dict[str, NodeTime]:
    return {"/".join(time.path): time for time in node_times(recorder.visits)}


def fan(work: Work) -> Graph[int, int]:
    """Two nodes beside each other, one of them a graph, then a join."""
    inner = Chain[int, int]()
    inner.append_lambda(node(work, computes_s=2, waits_s=10), key="deep")
    graph = Graph[int, int]()
    graph.add_lambda_node("flat", node(work, computes_s=1, waits_s=4), output_key="a")
    graph.add_graph_node("sub", inner, output_key="b")
    graph.add_lambda_node("join", total)
    for key in ("flat", "sub"):
        graph.add_edge(START, key).add_edge(key, "join")
    graph.add_edge("join", END)
    return graph


@pytest.mark.parametrize("trigger", ["any", "all"])
async def test_nodes_beside_each_other_have_their_own_times(work: Work, recorder: Recorder, trigger: Any) -> None:
    """What one task computes while another waits is not mixed up."""
    runnable = fan(work).compile(name="app", trigger=trigger)

    with recording(recorder):
        assert await runnable.invoke(1) == 4

    times = by_path(recorder)
    order = list(times)
    assert (order[0], order[-1]) == ("app", "app/join")
    assert order.index("app/sub/deep") == order.index("app/sub") + 1
    assert times["app/flat"] == NodeTime(("app", "flat"), "Lambda", 1, *(pytest.approx(s) for s in (4, 4, 1, 1)))
    assert times["app/sub/deep"] == NodeTime(
        ("app", "sub", "deep"), "Lambda", 1, *(pytest.approx(s) for s in (10, 10, 2, 2))
    )
    sub, app = times["app/sub"], times["app"]
    assert (sub.wall_s, sub.self_s, sub.cpu_s, sub.own_cpu_s) == pytest.approx((10, 0, 2, 0))
    assert (app.wall_s, app.self_s, app.cpu_s, app.own_cpu_s) == pytest.approx((10, 0, 3, 0))


async def test_graphs_compiled_before_and_after_are_seen_only_inside_the_block(work: Work, recorder: Recorder) -> None:
    before = fan(work).compile(name="before")
    with recording(recorder):
        after = fan(work).compile(name="after")
        await before.invoke(1)
        await after.invoke(1)
    seen = len(recorder.visits)

    await before.invoke(1)
    await after.invoke(1)

    assert len(recorder.visits) == seen == 10
    assert {"before", "after"} <= set(by_path(recorder))


async def test_a_stream_has_the_time_of_its_pulls(work: Work, recorder: Recorder) -> None:
    """Neither what the next node does with a chunk counts for it, nor what the consumer does."""

    async def source(value: int) -> AsyncIterator[int]:
        for number in range(3):
            work.now_s += 1
            await anyio.sleep(2)
            yield number

    async def slow(stream: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in stream:
            work.now_s += 10
            await anyio.sleep(20)
            yield number

    chain = Chain[int, int]()
    chain.append_lambda(source, key="source").append_lambda(slow, key="slow")
    runnable = chain.compile(name="app")

    with recording(recorder):
        async with runnable.stream(0) as reader:
            async for _ in reader:
                await anyio.sleep(1000)

    times = by_path(recorder)
    assert times["app/source"].wall_s == pytest.approx(6)
    assert times["app/source"].cpu_s == pytest.approx(3)
    assert times["app/slow"].wall_s == pytest.approx(66)
    assert times["app/slow"].self_s == pytest.approx(66)
    assert times["app/slow"].own_cpu_s == pytest.approx(30)
    assert times["app"].wall_s == pytest.approx(66)


async def test_a_stream_goes_on_behind_an_error(recorder: Recorder) -> None:
    async def items(value: int) -> StreamReader[int]:
        from eino.schema import pipe

        reader, writer = pipe(capacity=4)
        await writer.send(1)
        await writer.send_error(ValueError("one bad chunk"))
        await writer.send(2)
        writer.close()
        return reader

    graph = Graph[int, int]()
    graph.add_lambda_node("items", Lambda(stream=items))
    graph.add_edge(START, "items").add_edge("items", END)
    runnable = graph.compile()
    got: list[Any] = []

    with recording(recorder):
        async with runnable.stream(0) as reader:
            got.append(await reader.recv())
            with pytest.raises(RunError, match="one bad chunk"):
                await reader.recv()
            got.append(await reader.recv())

    assert got == [1, 2]


class OneSecond:
    """A model that takes a second for each answer."""

    def __init__(self, answers: Iterator[Message]) -> None:
        self._answers = answers

    def with_tools(self, tools: Sequence[Any]) -> OneSecond:
        return self

    async def generate(self, messages: Sequence[Message], options: Any = None) -> Message:
        await anyio.sleep(1)
        return next(self._answers)

    async def stream(self, messages: Sequence[Message], options: Any = None) -> AsyncIterator[Message]:
        yield await self.generate(messages)


@tool
async def look_up(word: str) -> str:
    """Look a word up."""
    await anyio.sleep(3)
    return word.upper()


async def test_overhead_is_end_to_end_minus_models_and_tools(recorder: Recorder) -> None:
    """Two tools beside each other take three seconds together, the model one each time, the lambda four."""
    calls = [tool_call("look_up", {"word": word}, id=word) for word in ("a", "b")]
    answers = iter([assistant_message("", calls), assistant_message("done")])
    agent = ReactAgent(model=OneSecond(answers), tools=[look_up], max_steps=5)

    async def ask(question: str) -> list[Message]:
        await anyio.sleep(4)
        return [user_message(question)]

    chain = Chain[str, Message]()
    chain.append_lambda(ask, key="ask").append_lambda(agent.generate, key="agent")
    runnable = chain.compile(name="app")

    with recording(recorder):
        assert (await runnable.invoke("what?")).content == "done"

    kinds = {visit.kind for visit in recorder.visits}
    overhead = overhead_of(recorder.visits)
    assert {"Run", "Lambda", "ChatModel", "ToolsNode", "Tool"} <= kinds
    assert overhead.runs == 1
    assert overhead.end_to_end_s == pytest.approx(9)
    assert overhead.components_s == pytest.approx(5)
    assert overhead.overhead_s == pytest.approx(4)
    assert overhead.own_code_s == pytest.approx(4)
    assert overhead.framework_s == pytest.approx(0)
    times = by_path(recorder)
    assert times["app/agent"].self_s == pytest.approx(0)  # all of it is the agent's graph
    assert sum(time.calls for time in times.values() if time.kind == "Tool") == 2


async def test_a_tools_node_alone_has_its_tools(recorder: Recorder) -> None:
    node = ToolsNode([look_up])
    message = assistant_message("", [tool_call("look_up", {"word": "a"}, id="1")])

    with recording(recorder):
        await node.invoke(message)

    (time,) = node_times(recorder.visits)
    assert (time.path, time.kind, time.wall_s) == (("look_up",), "Tool", pytest.approx(3))


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_fails_or_is_cancelled_has_a_time_too(work: Work, recorder: Recorder, cancelled: bool) -> None:
    async def failing(value: int) -> int:
        work.now_s += 1
        await anyio.sleep(2)
        raise ValueError("no")

    def plain(value: int) -> int:
        work.now_s += 5
        return value

    chain = Chain[int, int]()
    chain.append_lambda(plain, key="plain").append_lambda(failing, key="failing")
    runnable = chain.compile(name="app")

    with recording(recorder):
        if cancelled:
            with anyio.move_on_after(1):
                await runnable.invoke(1)
        else:
            with pytest.raises(RunError, match="no"):
                await runnable.invoke(1)
        work.now_s += 100

    times = by_path(recorder)
    assert times["app/failing"].wall_s == pytest.approx(1 if cancelled else 2)
    assert times["app/failing"].cpu_s == pytest.approx(1)
    assert times["app/plain"].cpu_s == pytest.approx(5)
    assert times["app"].cpu_s == pytest.approx(6)


async def test_two_profiles_at_once_are_refused(recorder: Recorder) -> None:
    with recording(recorder), pytest.raises(RuntimeError, match="one profile at a time"), recording():
        raise AssertionError("not reached")


async def test_no_run_has_no_overhead(recorder: Recorder) -> None:
    assert overhead_of(recorder.visits).overhead_s == 0.0
    assert node_times(recorder.visits) == []
