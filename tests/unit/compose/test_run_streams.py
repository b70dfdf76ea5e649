"""The streams of a run: what nodes may give, what the caller gets, and who closes what."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    Branch,
    Chain,
    FanIn,
    Graph,
    Lambda,
    MaxStepsError,
    RetryPolicy,
    RunCancelledError,
    RunContext,
    RunError,
    SourceEnded,
    StreamClosedError,
    StreamInUseError,
    StreamReader,
    current_context,
    pipe,
)
from eino.errors import BuildError
from eino_fixtures.clock import VirtualClock


async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


async def passed(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for chunk in chunks:
        yield chunk


def chain(*functions: Any) -> Any:
    built = Chain[Any, Any]()
    for index, function in enumerate(functions):
        built.append_lambda(function, key=f"n{index}")
    return built.compile()


class Countdown:
    """An async iterator that is no generator; it fails once and goes on."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.closed = False

    def __aiter__(self) -> Countdown:
        return self

    async def __anext__(self) -> int:
        await anyio.lowlevel.checkpoint()
        self.left -= 1
        if self.left == 2:
            raise ValueError("at two")
        if self.left < 0:
            raise StopAsyncIteration
        return self.left

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("bound", [True, False])
async def test_a_node_may_give_any_async_iterator(bound: bool) -> None:
    """4b: its errors stand in the place of a chunk, bound to the node unless it says otherwise."""
    given: list[Countdown] = []

    def count(text: str) -> Any:
        given.append(Countdown(5))
        return given[-1]

    runnable = chain(Lambda(stream=count, bound=bound))

    async with runnable.stream("x") as reader:
        assert [await reader.recv(), await reader.recv()] == [4, 3]
        with pytest.raises(RunError, match="ValueError: at two") as caught:
            await reader.recv()
        assert caught.value.node_path == (("n0",) if bound else ())
        assert await reader.recv() == 1
    assert given[0].closed


@pytest.mark.parametrize("bound", [True, False])
async def test_a_node_may_give_a_reader(bound: bool) -> None:
    """4b: of a pipe, a merge, a producer."""

    async def feed(text: str) -> StreamReader[str]:
        reader, writer = pipe()
        await writer.send(text)
        await writer.send_error(ValueError("boom"))
        writer.close()
        return reader

    async with chain(Lambda(feed, bound=bound)).stream("x") as reader:
        assert await reader.recv() == "x"
        with pytest.raises(RunError, match="boom") as caught:
            await reader.recv()
    assert caught.value.node_path == (("n0",) if bound else ())


async def test_a_generator_that_is_not_bound_has_no_node() -> None:
    """4b: `bound=False` spares the cost per chunk, and gives up context and path."""
    seen: list[tuple[str, ...]] = []

    async def look(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            seen.append(current_context().node_path if chunk == "a" else ())
            yield chunk
            raise ValueError("boom")

    for bound, path in ((True, ("n0",)), (False, ())):
        with pytest.raises((RunError, Exception)) as caught:
            async with chain(Lambda(look, bound=bound)).transform(letters("ab" if bound else "b")) as reader:
                async for _ in reader:
                    pass
        assert isinstance(caught.value, RunError)
        assert caught.value.node_path == path
    assert seen == [("n0",), ()]


async def test_a_plain_generator_takes_turns_with_other_tasks() -> None:
    """4b: it yields to the loop now and then; its errors carry its path; it is closed when left early."""
    turns = 0
    closed: list[str] = []

    def many(text: str) -> Iterator[int]:
        try:
            yield from range(2_000)
        finally:
            closed.append("many")

    def broken(text: str) -> Iterator[int]:
        yield 1
        raise ValueError("boom")

    async with anyio.create_task_group() as tasks:

        async def other() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        tasks.start_soon(other)
        async with chain(many).stream("x") as reader:
            assert [item async for item in reader] == list(range(2_000))
        tasks.cancel_scope.cancel()
    assert turns >= 5
    async with chain(many).stream("x") as reader:
        assert await reader.recv() == 0
    assert closed == ["many", "many"]
    with pytest.raises(RunError, match="ValueError: boom") as caught:
        await chain(broken).invoke("x")
    assert caught.value.node_path == ("n0",)


async def test_a_generator_knows_its_node_while_it_is_read() -> None:
    """4b: in the frame of its node, at every pull and when it is closed; the reader's own is as before."""
    seen: list[tuple[str, ...]] = []

    async def look(text: str, ctx: RunContext[Any]) -> AsyncIterator[str]:
        try:
            for letter in text:
                seen.append(current_context().node_path)
                yield letter
        finally:
            seen.append(current_context().node_path)

    def plain(text: str) -> Iterator[str]:
        for letter in text:
            seen.append(current_context().node_path)
            yield letter

    async def reading(text: str) -> str:
        async with chain(look).stream("ab") as reader:
            async for _ in reader:
                seen.append(current_context().node_path)
                break
        return text

    await chain(reading).invoke("x")
    assert seen == [("n0", "n0"), ("n0",), ("n0", "n0")]
    seen.clear()
    async with chain(plain, passed).stream("ab") as reader:
        assert [chunk async for chunk in reader] == ["a", "b"]
    assert seen == [("n0",)] * 2


@pytest.mark.parametrize("timeout_s", [None, 9.0])
async def test_the_output_is_a_reader_like_any_other(timeout_s: float | None) -> None:
    """5b: copied, mapped, joined; closed twice; a second loop goes on where the first one stopped."""
    options: Any = {} if timeout_s is None else {"timeout_s": timeout_s}
    runnable = chain(letters, passed)

    reader = await runnable.stream("abcd", **options)
    async for chunk in reader:
        assert chunk == "a"
        break
    async for chunk in reader:
        assert chunk == "b"
        break
    left, right = reader.copy(2)
    assert await left.concat() == "cd"
    assert [chunk async for chunk in right.map(str.upper)] == ["C", "D"]
    with pytest.raises(StreamInUseError):
        await reader.recv()
    reader = await runnable.stream("abcd", **options)
    assert await reader.recv() == "a"
    await reader.aclose()
    await reader.aclose()
    with pytest.raises(StreamClosedError):
        await reader.recv()
    assert not reader.is_open


async def test_a_stream_may_be_handed_on_in_the_middle_of_a_loop() -> None:
    """What the loop had is closed with the rest."""
    runnable = chain(letters, passed)

    async with runnable.stream("abc") as reader:
        async for _ in reader:
            break
        rest = reader.map(str.upper)
        async for chunk in rest:
            assert chunk == "B"
            break
        await rest.aclose()


async def test_closing_from_inside_the_loop_ends_it() -> None:
    """The loop's own next pull says so."""
    seen: list[str] = []
    reader = await chain(letters, passed).stream("abc")

    async for chunk in reader:
        seen.append(chunk)
        await reader.aclose()
    assert seen == ["a"]


async def test_two_tasks_cannot_read_one_stream(virtual_clock: VirtualClock) -> None:
    """4.9: give each a copy; the stream goes on for the one who was first."""

    async def slow(text: str) -> AsyncIterator[str]:
        for letter in text:
            await anyio.sleep(1)
            yield letter

    for as_loop in (True, False):
        errors: list[str] = []
        got: list[str] = []
        async with chain(slow).stream("ab") as reader, anyio.create_task_group() as tasks:

            async def read(reader: Any = reader, as_loop: bool = as_loop, got: list[str] = got) -> None:
                if as_loop:
                    got.extend([chunk async for chunk in reader])
                else:
                    got.append(await reader.recv())
                    got.append(await reader.recv())

            tasks.start_soon(read)
            await anyio.sleep(0.5)
            for attempt in (reader.recv, reader.aclose):
                with pytest.raises((StreamInUseError, RunError)) as caught:
                    await attempt()
                errors.append(str(caught.value))
            with pytest.raises(StreamInUseError):
                reader.copy(2)
        assert got == ["a", "b"]
        assert len(errors) == 2


async def test_a_reader_can_be_closed_without_waiting() -> None:
    """5b: clean-up goes on in the background."""
    closed: list[str] = []

    async def source(text: str) -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            await anyio.lowlevel.checkpoint()
            closed.append(text)

    async def first(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk

    reader = await chain(source, first).stream("x")
    assert await reader.recv() == "a"
    reader.close()
    assert not reader.is_open
    with anyio.fail_after(5):
        while not closed:
            await anyio.lowlevel.checkpoint()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_reader_that_is_dropped_half_read_warns() -> None:
    """4b: with the line that opened it."""
    readers = [await chain(letters, passed).stream("abc")]
    assert await readers[0].recv() == "a"

    with pytest.warns(ResourceWarning, match="was dropped before its end and never closed"):
        readers.clear()
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


async def test_a_named_fan_in_of_one_source_in_a_dag_and_behind_others() -> None:
    """S55: whichever way the engine takes."""
    for options in ({"trigger": "all"}, {"trigger": "any"}):
        graph = Graph[str, Any]()
        for key in "abc":
            graph.add_lambda_node(key, letters if key == "a" else passed)
        graph.add_lambda_node("dead end", passed)
        graph.add_edge(START, "a").add_edge("a", "b").add_edge("a", "dead end").add_edge("b", "c").add_edge("c", END)
        runnable = graph.compile(fan_in={"b": FanIn(source_ended=True)}, **options)  # type: ignore[arg-type]  # options

        async with runnable.stream("xy") as reader:
            assert [item async for item in reader] == ["x", "y", SourceEnded("a")]


async def test_mappings_of_different_classes_are_merged() -> None:
    """2.7: a dict and another mapping belong together."""
    graph = Graph[str, Any]().add_lambda_node("a", lambda text: {"a": text})
    graph.add_lambda_node("b", lambda text: OrderedDict(b=text))
    for key in "ab":
        graph.add_edge(START, key).add_edge(key, END)
    runnable = graph.compile()

    assert await runnable.invoke("x") == {"a": "x", "b": "x"}
    async with runnable.stream("x") as reader:
        assert [dict(chunk) async for chunk in reader] == [{"a": "x"}, {"b": "x"}]


async def test_an_annotation_that_is_not_true_is_found_out() -> None:
    """1.15: keys need a mapping, whatever the function says it returns."""

    def lies(text: str) -> dict[str, Any]:
        return text  # type: ignore[return-value]  # the lie

    graph = Graph[str, Any]().add_lambda_node("a", lies).add_lambda_node("b", passed, input_key="k")
    runnable = graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", END).compile()

    for run in (runnable.invoke("x"), runnable.collect(StreamReader.from_iterable(["x"]))):
        with pytest.raises(RunError, match="input key 'k' needs a mapping, got str: 'x'"):
            await run


async def test_a_forgotten_await_is_told_at_the_limit_of_steps_too() -> None:
    """4b: the nodes that may still run are run like any others."""

    def forgot(text: Any) -> Any:
        return anyio.lowlevel.checkpoint()

    runnable = chain(forgot, passed, passed)

    with pytest.raises(RunError, match="returned something to await"):
        await runnable.invoke("x", max_steps=2)
    with pytest.raises(MaxStepsError, match=r"last nodes: \[n1\]"):
        await chain(passed, passed, passed).invoke("x", max_steps=2)


async def test_a_context_may_be_given_by_position() -> None:
    """4b: positional-only parameters, in front or behind."""

    def front(ctx: RunContext[Any], text: str, /) -> str:
        return f"{text}{ctx.node_key}"

    def behind(text: str, ctx: RunContext[Any], /) -> str:
        return f"{text}{ctx.node_key}"

    async def streaming(ctx: RunContext[Any], text: str, /) -> AsyncIterator[str]:
        yield text
        yield ctx.node_key

    assert await chain(front, behind, streaming).invoke("x") == "xn0n1n2"


@pytest.mark.parametrize("anyio_backend", [pytest.param(("asyncio", {}), id="asyncio")])
async def test_a_node_that_cancels_itself_is_told_by_its_handle() -> None:
    """5b: there is no result then, and no None in its place."""

    async def gives_up(text: str) -> str:
        raise anyio.get_cancelled_exc_class()  # trio's cannot be made

    async with chain(gives_up).start("x") as handle:
        with pytest.raises(RunCancelledError, match="and not through its handle"):
            await handle.result()


def test_a_condition_gives_no_stream() -> None:
    """1.10: it returns keys."""
    with pytest.raises(BuildError, match="gives a stream: it must return keys"):
        Branch(letters, ends=[END])
    assert repr(Branch(named_condition, ends={"b", "a"})).endswith("test_run_streams.named_condition -> a, b>")


def named_condition(text: str) -> str:
    return text


async def test_the_types_of_a_generic_subclass_are_anything() -> None:
    """4b: bases without parameters tell nothing."""

    class Plain(Graph):  # type: ignore[type-arg]  # the case
        pass

    class Deeper(Plain):
        pass

    assert (Deeper().input_type, Plain().output_type) == (Any, Any)


async def test_retries_keep_the_keys_and_handlers_around_them() -> None:
    """1.15: keys and state handlers are outside the tries: they run once."""
    tries: list[str] = []
    handled: list[str] = []

    def flaky(text: str) -> str:
        tries.append(text)
        if len(tries) < 3:
            raise TimeoutError
        return text

    def pre(value: dict[str, Any], state: list[str]) -> dict[str, Any]:
        handled.append("pre")
        return value

    graph = Graph[dict[str, Any], dict[str, Any]](state=list)
    graph.add_lambda_node(
        "n", flaky, input_key="in", output_key="out", pre=pre, retry=RetryPolicy(base_s=0.0, max_attempts=3)
    )
    runnable = graph.add_edge(START, "n").add_edge("n", END).compile()

    assert await runnable.invoke({"in": "x"}) == {"out": "x"}
    assert (tries, handled) == (["x"] * 3, ["pre"])
