"""Time-outs, cancellation and retries: what is told, and that nothing goes on behind the caller's back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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
    Handler,
    Lambda,
    MaxStepsError,
    RateLimitError,
    RetryPolicy,
    RunContext,
    RunError,
    RunInfo,
    RunTimeoutError,
    StreamReader,
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


class Sleeper:
    """Nodes that sleep, and note how they ended."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def node(self, name: str, seconds: float) -> Any:
        async def sleep(value: Any) -> dict[str, Any]:
            try:
                await anyio.sleep(seconds)
            except BaseException as error:
                self.log.append(f"{name} {'cancelled' if not isinstance(error, Exception) else 'failed'}")
                raise
            self.log.append(f"{name} done")
            return {name: seconds}

        return sleep

    def graph(self, **seconds: float) -> Graph[Any, Any]:
        """Return a graph of nodes beside each other."""
        graph = Graph[Any, Any]()
        for name, each in seconds.items():
            graph.add_lambda_node(name, self.node(name, each)).add_edge(START, name).add_edge(name, END)
        return graph


@ENGINES
async def test_a_run_that_takes_too_long_is_ended(engine: Any, virtual_clock: VirtualClock) -> None:
    """4b, 1.17: every node that still runs is cancelled and awaited."""
    sleeper = Sleeper()
    runnable = sleeper.graph(a=1, b=60, c=3600).compile(**engine)

    with pytest.raises(RunTimeoutError, match=r"the run did not finish within timeout_s=5") as caught:
        await runnable.invoke("x", timeout_s=5)

    assert virtual_clock.now() == 5.0
    assert sorted(sleeper.log) == ["a done", "b cancelled", "c cancelled"]
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.kind == "graph"


async def test_a_time_out_names_the_node_that_was_running(virtual_clock: VirtualClock) -> None:
    """4b: also in a nested graph."""
    sleeper = Sleeper()
    inner = Chain[Any, Any]().append_lambda(sleeper.node("deep", 60), key="deep")
    runnable = Chain[Any, Any]().append_lambda(sleeper.node("a", 1)).append_graph(inner, key="inner").compile()

    with pytest.raises(RunTimeoutError, match=r"timeout_s=5, last nodes: \[inner\]") as caught:
        await runnable.invoke("x", timeout_s=5)

    assert caught.value.node_path == ("inner",)
    assert sleeper.log == ["a done", "deep cancelled"]


@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
async def test_a_node_that_takes_too_long_is_ended(as_stream: bool, virtual_clock: VirtualClock) -> None:
    """Bad input: a node that never finishes can be timed out."""
    sleeper = Sleeper()
    graph = Graph[Any, Any]().add_lambda_node("n", sleeper.node("n", 60), timeout_s=2)
    runnable = graph.add_edge(START, "n").add_edge("n", END).compile()

    with pytest.raises(RunTimeoutError, match=r"\[NodeRunError\] the node did not finish within timeout_s=2") as caught:
        await (runnable.collect(StreamReader.from_iterable(["x"])) if as_stream else runnable.invoke("x"))

    assert (caught.value.node_path, caught.value.kind) == (("n",), "node")
    assert (virtual_clock.now(), sleeper.log) == (2.0, ["n cancelled"])


async def ticking(text: str) -> AsyncIterator[str]:
    for letter in text:
        await anyio.sleep(1)
        yield letter


async def test_the_time_of_a_streaming_node_runs_until_its_last_chunk(virtual_clock: VirtualClock) -> None:
    """4b: a deadline that is checked around each pull."""
    graph = Graph[str, str]().add_lambda_node("n", ticking, timeout_s=2.5).add_edge(START, "n").add_edge("n", END)
    runnable = graph.compile()
    given: list[str] = []

    with pytest.raises(RunTimeoutError, match=r"the stream did not end within timeout_s=2\.5") as caught:
        async with runnable.stream("abcdef") as reader:
            async for chunk in reader:
                given.append(chunk)  # noqa: PERF401 - what came before the error counts

    assert (given, virtual_clock.now(), caught.value.node_path) == (["a", "b"], 2.5, ("n",))
    assert await runnable.collect(StreamReader.from_iterable(["ab"])) == "ab"
    with pytest.raises(RunTimeoutError, match=r"the node did not finish within timeout_s=2\.5"):
        await runnable.invoke("abcdef")


async def test_the_time_of_a_stream_run_runs_until_its_last_chunk(virtual_clock: VirtualClock) -> None:
    """1.17: `timeout_s` of a call; what came before is delivered; a slow reader is not to blame for its pauses."""
    runnable = Chain[str, str]().append_lambda(ticking, key="n").compile()

    for as_loop in (False, True):
        given: list[str] = []
        began = virtual_clock.now()
        with pytest.raises(RunTimeoutError, match="the stream of the run did not end within timeout_s"):
            async with runnable.stream("abcdef", timeout_s=2.5) as reader:
                if as_loop:
                    async for chunk in reader:
                        given.append(chunk)  # noqa: PERF401 - what came before the error counts
                while True:
                    given.append(await reader.recv())
        assert (given, virtual_clock.now() - began) == (["a", "b"], 2.5)
    assert await runnable.collect(StreamReader.from_iterable(["ab"]), timeout_s=2.5) == "ab"


async def test_a_node_with_time_left_is_not_bothered(virtual_clock: VirtualClock) -> None:
    """4b: a stream with a deadline that is left early, or never read, closes what it reads from."""
    closed: list[str] = []

    async def source(text: str) -> AsyncIterator[str]:
        try:
            for letter in text:
                yield letter
        finally:
            closed.append(text)

    async def passed(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk

    graph = Graph[str, str]().add_lambda_node("a", source, timeout_s=5).add_lambda_node("b", passed, timeout_s=5)
    runnable = graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", END).compile()

    async with runnable.stream("abc", timeout_s=9) as reader:
        async for chunk in reader:
            assert chunk == "a"
            break
    assert closed == ["abc"]
    async with runnable.stream("abc"):
        pass
    assert await runnable.collect(StreamReader.from_iterable(["xyz"])) == "xyz"
    assert closed == ["abc", "xyz"]


def spinning(**nodes: Any) -> Graph[int, int]:
    """Return a loop that never waits: one node, or one and several beside each other."""
    graph = Graph[int, int](merge={int: max}).add_lambda_node("a", lambda n: n + 1).add_edge(START, "a")
    for key in nodes:
        graph.add_lambda_node(key, lambda n: n + 1).add_edge("a", key)
    for key in nodes or ("a",):
        graph.add_branch(key, Branch(lambda n: "a", ends=["a", END]))
    return graph


@pytest.mark.parametrize("nodes", [{}, {"b": 0}, {"b": 0, "c": 0}], ids=["one", "two in turn", "one, then two"])
async def test_a_loop_that_never_waits_can_be_timed_out(nodes: Any) -> None:
    """Bad input: a million-step loop is stopped by a time-out although it never waits."""
    runnable = spinning(**nodes).compile(max_steps=10**9)

    with pytest.raises(RunTimeoutError, match=r"timeout_s=0\.02"):
        await runnable.invoke(0, timeout_s=0.02)


@pytest.mark.parametrize(
    ("nodes", "limit"),
    [pytest.param({}, 30_000, id="one"), pytest.param({"b": 0, "c": 0}, 4_000, id="one, then two")],
)
async def test_a_loop_of_many_steps_is_stopped_by_its_limit(nodes: Any, limit: int) -> None:
    """Bad input: the last nodes are named; other tasks have their turn meanwhile."""
    runnable = spinning(**nodes).compile(max_steps=limit)
    turns = 0

    async with anyio.create_task_group() as tasks:

        async def other() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        tasks.start_soon(other)
        with pytest.raises(MaxStepsError, match=rf"{limit} steps.*last nodes: \[{', '.join(nodes) or 'a'}\];"):
            await runnable.invoke(0)
        tasks.cancel_scope.cancel()
    assert turns >= limit // 1500


async def test_a_loop_of_streams_that_never_wait_can_be_timed_out() -> None:
    """Bad input: the same in a stream run, with nothing left open."""

    async def passed(chunks: AsyncIterator[int]) -> AsyncIterator[int]:
        async for chunk in chunks:
            yield chunk

    async def again(chunks: AsyncIterator[int]) -> str:
        return "a"

    graph = Graph[int, int]().add_passthrough_node("a").add_edge(START, "a")
    runnable = graph.add_branch("a", Branch(again, ends=["a", END])).compile(max_steps=10**9)

    with pytest.raises(RunTimeoutError):
        await runnable.collect(StreamReader.from_iterable([1]), timeout_s=0.02)
    with pytest.raises(MaxStepsError, match=r"last nodes: \[a\]"):
        await runnable.collect(StreamReader.from_iterable([1]), max_steps=50)


@ENGINES
@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
async def test_a_cancelled_run_cancels_its_nodes_and_waits_for_them(
    engine: Any, as_stream: bool, virtual_clock: VirtualClock
) -> None:
    """S62, 2.11: cancellation passes as it is, and everything has ended when it leaves the call."""
    sleeper = Sleeper()
    errors: list[BaseException] = []

    class Ear(Handler):
        def on_error(self, info: RunInfo, error: BaseException) -> None:
            errors.append(error)

    async def careful(value: Any) -> Any:
        try:
            await anyio.sleep(60)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
            sleeper.log.append("cleaned up")

    graph = sleeper.graph(a=1, b=60).add_lambda_node("c", careful).add_edge(START, "c").add_edge("c", END)
    runnable = graph.compile(**engine)

    with anyio.move_on_after(5) as scope:
        if as_stream:
            await runnable.collect(StreamReader.from_iterable(["x"]), callbacks=[Ear()])
        else:
            await runnable.invoke("x", callbacks=[Ear()])

    assert scope.cancelled_caught
    assert virtual_clock.now() == 6.0
    assert sorted(sleeper.log) == ["a done", "b cancelled", "cleaned up"]
    assert [error for error in errors if isinstance(error, Exception)] == []
    assert len(errors) == 3  # the two nodes and the graph


@ENGINES
async def test_a_run_that_is_cancelled_before_it_starts(engine: Any) -> None:
    """S62: no later than its first wait."""
    sleeper = Sleeper()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await sleeper.graph(a=1, b=2).compile(**engine).invoke("x")

    assert scope.cancelled_caught
    assert "a done" not in sleeper.log


async def test_a_node_that_is_cancelled_while_it_waits(virtual_clock: VirtualClock) -> None:
    """S62: the node's own `except` sees the cancellation, not an error of ours."""
    seen: list[str] = []

    async def slow_node(text: str) -> str:
        try:
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class() as error:
            seen.append(type(error).__name__)
            raise
        return text

    runnable = Chain[str, str]().append_lambda(slow_node, key="slow_node").compile()

    with anyio.move_on_after(1):
        await runnable.invoke("x")

    assert seen in (["CancelledError"], ["Cancelled"])


async def test_a_node_may_turn_a_time_out_of_its_own_into_an_answer(virtual_clock: VirtualClock) -> None:
    """2.11: time-outs inside a node are its own business; one that it lets through is an ordinary error."""

    async def patient(seconds: float) -> str:
        with anyio.move_on_after(1):
            await anyio.sleep(seconds)
            return "in time"
        return "too late"

    async def strict(seconds: float) -> str:
        with anyio.fail_after(1):
            await anyio.sleep(seconds)
        return "in time"

    assert await Chain[float, str]().append_lambda(patient).compile().invoke(60.0, timeout_s=5) == "too late"
    with pytest.raises(RunError, match="TimeoutError") as caught:
        await Chain[float, str]().append_lambda(strict, key="n").compile().invoke(60.0, timeout_s=5)
    assert not isinstance(caught.value, RunTimeoutError)
    assert (caught.value.node_path, caught.value.kind) == (("n",), "node")


@pytest.mark.parametrize("anyio_backend", [pytest.param(("asyncio", {}), id="asyncio")])
async def test_a_native_cancellation_passes_as_well() -> None:
    """2.11: `task.cancel()` of asyncio, while two nodes run."""
    sleeper = Sleeper()
    task = asyncio.ensure_future(sleeper.graph(a=60, b=60).compile().invoke("x"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    task.cancel("enough")

    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(sleeper.log) == ["a cancelled", "b cancelled"]


class Flaky:
    """Fails some times, then works; notes the attempts that the context tells."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.error = error if error is not None else RateLimitError("slow down")
        self.attempts: list[int] = []
        self.closed = 0

    def _fail(self, ctx: RunContext[Any]) -> None:
        self.attempts.append(ctx.attempt)
        if self.left:
            self.left -= 1
            raise self.error

    async def invoke(self, text: str, ctx: RunContext[Any]) -> str:
        self._fail(ctx)
        return text

    async def stream(self, text: str, ctx: RunContext[Any]) -> AsyncIterator[str]:
        self._fail(ctx)
        for letter in text:
            yield letter

    async def transform(self, chunks: AsyncIterator[str], ctx: RunContext[Any]) -> AsyncIterator[str]:
        first = True
        async for chunk in chunks:
            if first:
                first = False
                self._fail(ctx)
            yield chunk


@pytest.mark.parametrize("shape", ["invoke", "stream", "transform"])
@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
async def test_a_node_is_called_again_after_an_error(shape: str, as_stream: bool, virtual_clock: VirtualClock) -> None:
    """1.5 of the issue: with the waits of its policy, each try with the whole input; what follows counts from 1."""
    flaky = Flaky(2)
    after: list[int] = []

    async def next_node(text: str, ctx: RunContext[Any]) -> str:
        after.append(ctx.attempt)
        return text

    chain = Chain[str, str]().append_lambda(getattr(flaky, shape), retry=RetryPolicy(max_attempts=3, seed=1))
    runnable = chain.append_lambda(next_node).compile()

    if as_stream:
        assert await runnable.collect(StreamReader.from_iterable(["ab", "c"])) == "abc"
    else:
        assert await runnable.invoke("abc") == "abc"

    assert (flaky.attempts, after) == ([1, 2, 3], [1])
    assert 0.0 < virtual_clock.now() < 1.5


@pytest.mark.parametrize("as_stream", [False, True], ids=["value", "stream"])
async def test_a_policy_gives_up(as_stream: bool, virtual_clock: VirtualClock) -> None:
    """1.5 of the issue: the last error is raised, with a note of the tries; others are not tried again."""
    flaky = Flaky(9, RateLimitError("slow down", retry_after_s=10.0))
    runnable = Chain[str, str]().append_lambda(flaky.invoke, key="n", retry=RetryPolicy(max_attempts=3)).compile()

    with pytest.raises(RunError, match="slow down") as caught:
        await (runnable.collect(StreamReader.from_iterable(["x"])) if as_stream else runnable.invoke("x"))
    assert flaky.attempts == [1, 2, 3]
    assert isinstance(caught.value.__cause__, RateLimitError)
    assert caught.value.__cause__.__notes__ == ["gave up after 3 tries"]
    assert virtual_clock.now() == 20.0  # what the error asks for is the least

    hopeless = Flaky(9, ValueError("no"))
    runnable = Chain[str, str]().append_lambda(hopeless.invoke, retry=RetryPolicy(max_attempts=3)).compile()
    with pytest.raises(RunError, match="ValueError: no"):
        await (runnable.collect(StreamReader.from_iterable(["x"])) if as_stream else runnable.invoke("x"))
    assert hopeless.attempts == [1]


async def test_a_stream_that_has_begun_is_not_tried_again(virtual_clock: VirtualClock) -> None:
    """Retry: what was delivered cannot be taken back."""
    calls: list[str] = []

    async def breaking(text: str) -> AsyncIterator[str]:
        calls.append(text)
        yield "a"
        raise RateLimitError("in the middle")

    runnable = Chain[str, str]().append_lambda(breaking, key="n", retry=RetryPolicy()).compile()

    with pytest.raises(RunError, match="in the middle") as caught:
        async with runnable.stream("x") as reader:
            assert await reader.recv() == "a"
            await reader.recv()
    assert (calls, caught.value.node_path) == (["x"], ("n",))


async def test_an_empty_stream_is_no_reason_to_try_again() -> None:
    """Retry: an end without chunks is an answer."""
    calls: list[str] = []

    async def nothing(text: str) -> AsyncIterator[str]:
        calls.append(text)
        return
        yield text

    runnable = Chain[str, str]().append_lambda(nothing, retry=RetryPolicy()).compile()

    async with runnable.stream("x") as reader:
        assert [chunk async for chunk in reader] == []
    assert calls == ["x"]


async def test_each_try_has_the_time_of_the_node(virtual_clock: VirtualClock) -> None:
    """`timeout_s` is for one try; a time-out is worth another one."""
    seconds = [60.0, 60.0, 1.0]

    async def slow(text: str) -> str:
        await anyio.sleep(seconds.pop(0))
        return text

    chain = Chain[str, str]().append_lambda(slow, timeout_s=2, retry=RetryPolicy(max_attempts=3, base_s=0.0))

    assert await chain.compile().invoke("x") == "x"
    assert virtual_clock.now() == 5.0


async def test_a_wait_before_the_next_try_can_be_cancelled(virtual_clock: VirtualClock) -> None:
    """Retry: in value and in stream runs, with nothing left open."""
    for as_stream in (False, True):
        flaky = Flaky(9, RateLimitError("slow down", retry_after_s=60.0))
        runnable = Chain[str, str]().append_lambda(flaky.transform, retry=RetryPolicy()).compile()

        async def source() -> AsyncIterator[str]:
            yield "a"
            yield "b"

        with anyio.move_on_after(5) as scope:
            await (runnable.collect(source()) if as_stream else runnable.invoke("x"))
        assert scope.cancelled_caught
        assert flaky.attempts == [1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout_s": 0}, "node 'n': timeout_s=0 must be above 0 seconds"),
        ({"timeout_s": "1"}, "node 'n': timeout_s='1' must be above 0 seconds"),
        ({"input_key": ""}, "node 'n': input_key='' must be a non-empty string"),
        ({"output_key": 3}, "node 'n': output_key=3 must be a non-empty string"),
        ({"nonsense": 3}, "node 'n': unknown option 'nonsense'; the options are"),
        ({"retry": 3}, "node 'n': retry=3 must be a RetryPolicy"),
        ({"name": 3}, "node 'n': name=3 must be a str"),
        ({"compile_options": 3}, "node 'n': compile_options=3 must be a Mapping"),
        ({"effect": "none"}, "node 'n': effect='none' is none of idempotent, at_most_once, transactional"),
    ],
)
def test_malformed_node_options_are_refused(options: Any, text: str) -> None:
    """1.15: when the node is added."""
    with pytest.raises(BuildError, match=text):
        Graph[str, str]().add_lambda_node("n", lambda text: text, **options)


@pytest.mark.parametrize(
    ("numbers", "text"), [({"max_attempts": 0}, "at least 1 call"), ({"base_s": -1}, "cannot be negative")]
)
def test_malformed_policies_are_refused(numbers: Any, text: str) -> None:
    """Retry: when the policy is made."""
    with pytest.raises(BuildError, match=text):
        RetryPolicy(**numbers)


async def test_a_thread_is_awaited_when_its_run_is_cancelled(virtual_clock: VirtualClock) -> None:
    """4b: threads cannot be stopped; a cancelled run waits for them a while."""
    import threading

    begun, go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def block(text: str) -> str:
        begun.set()
        go_on.wait(5)
        ended.append(text)
        return text

    runnable = Chain[str, str]().append_lambda(Lambda(block, threaded=True)).compile()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runnable.invoke, "x")
        while not begun.is_set():
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
        go_on.set()
    assert ended == ["x"]
