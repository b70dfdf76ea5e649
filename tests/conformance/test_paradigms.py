"""The four ways to call a graph, whatever its nodes are: which form of a node is called, where streams are joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from eino import (
    END,
    START,
    Branch,
    BuildError,
    Chain,
    ConcatError,
    Graph,
    Lambda,
    Message,
    ModelOptions,
    RunError,
    Runnable,
    StreamReader,
    assistant_message,
    pipe,
    to_list,
    user_message,
)
from eino_fixtures import ByWord, ScriptedChatModel

SHAPES = ("invoke", "stream", "collect", "transform")


async def all_four(runnable: Runnable[Any, Any], chunks: list[Any], **options: Any) -> list[Any]:
    """Return what the four calls give, streams joined by hand."""
    [whole] = chunks if len(chunks) == 1 else ["".join(chunks)]
    results = [await runnable.invoke(whole, **options)]
    async with runnable.stream(whole, **options) as reader:
        results.append("".join([chunk async for chunk in reader]))
    results.append(await runnable.collect(StreamReader.from_iterable(chunks), **options))
    async with runnable.transform(StreamReader.from_iterable(chunks), **options) as reader:
        results.append("".join([chunk async for chunk in reader]))
    return results


def recorded(calls: list[str], *shapes: str) -> Lambda[str, str]:
    """Return a lambda of these shapes that appends "+" and notes which one is called."""

    async def invoke(text: str) -> str:
        calls.append("invoke")
        return f"{text}+"

    async def stream(text: str) -> AsyncIterator[str]:
        calls.append("stream")
        yield text
        yield "+"

    async def collect(chunks: AsyncIterator[str]) -> str:
        calls.append("collect")
        return "".join([chunk async for chunk in chunks]) + "+"

    async def transform(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        calls.append("transform")
        async for chunk in chunks:
            yield chunk
        yield "+"

    functions = {"invoke": invoke, "stream": stream, "collect": collect, "transform": transform}
    return Lambda(**{shape: functions[shape] for shape in shapes})  # type: ignore[arg-type]  # one function a shape


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_shape_serves_all_four_calls(shape: str) -> None:
    """S64: one lambda of one shape with an option; "10" + "+" + the option, however it is called."""

    async def invoke(text: str, *, option: str = "") -> str:
        return f"{text}+{option}"

    async def stream(text: str, *, option: str = "") -> AsyncIterator[str]:
        for part in (text, "+", option):
            yield part

    async def collect(chunks: AsyncIterator[str], *, option: str = "") -> str:
        return "".join([chunk async for chunk in chunks]) + f"+{option}"

    async def transform(chunks: AsyncIterator[str], *, option: str = "") -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk
        yield "+"
        yield option

    function: Callable[..., Any] = {"invoke": invoke, "stream": stream, "collect": collect, "transform": transform}[
        shape
    ]
    runnable = Chain[str, str]().append_lambda(function, key="n").compile()

    assert await all_four(runnable, ["1", "0"], options={"n": {"option": "100"}}) == ["10+100"] * 4
    assert await all_four(runnable, ["10"], options={Lambda: {"option": "100"}}) == ["10+100"] * 4


@pytest.mark.parametrize(
    ("shapes", "in_value_runs", "in_stream_runs"),
    [
        (("invoke", "stream", "collect", "transform"), "invoke", "transform"),
        (("stream", "collect", "transform"), "stream", "transform"),
        (("collect", "transform"), "collect", "transform"),
        (("invoke", "stream", "collect"), "invoke", "stream"),
        (("invoke", "collect"), "invoke", "collect"),
        (("stream", "collect"), "stream", "stream"),
        (("transform",), "transform", "transform"),
        (("invoke",), "invoke", "invoke"),
    ],
)
async def test_the_preferred_form_is_called(shapes: tuple[str, ...], in_value_runs: str, in_stream_runs: str) -> None:
    """2.8: the matrix. A graph offers two forms: values for `invoke`, streams for the three others."""
    calls: list[str] = []
    runnable = Chain[str, str]().append_lambda(recorded(calls, *shapes)).compile()

    assert await all_four(runnable, ["a", "b"]) == ["ab+"] * 4
    assert calls == [in_value_runs, in_stream_runs, in_stream_runs, in_stream_runs]


@pytest.mark.parametrize("first", SHAPES)
@pytest.mark.parametrize("second", SHAPES)
@pytest.mark.parametrize("trigger", ["any", "all"])
async def test_all_pairs_of_shapes_fit_together(first: str, second: str, trigger: Any) -> None:
    """2.8: streams are joined and values wrapped wherever the forms differ."""
    calls: list[str] = []
    graph = Graph[str, str]().add_lambda_node("1", recorded(calls, first)).add_lambda_node("2", recorded(calls, second))
    graph.add_edge(START, "1").add_edge("1", "2").add_edge("2", END)

    assert await all_four(graph.compile(trigger=trigger), ["a", "b"]) == ["ab++"] * 4
    assert Counter(calls) == Counter([first, second] * 4)


async def test_a_model_streams_even_if_the_caller_collects() -> None:
    """2.8: the kind of the run decides, not the call."""
    model = ScriptedChatModel(["one two", "one two", "one two"], chunks=ByWord())
    runnable = Chain[list[Message], Message]().append_chat_model(model).compile()

    assert await runnable.invoke([user_message("hi")]) == assistant_message("one two")
    assert (await runnable.collect(StreamReader.from_iterable([[user_message("hi")]]))).content == "one two"
    async with runnable.stream([user_message("hi")]) as reader:
        assert [chunk.content async for chunk in reader] == ["one", " two"]
    assert [call.streamed for call in model.calls] == [False, True, True]


async def test_an_invokable_node_gives_one_chunk() -> None:
    """2.8: its input is joined, its output is one chunk."""
    runnable = Chain[str, str]().append_lambda(recorded([], "invoke")).compile()

    async with runnable.transform(StreamReader.from_iterable(["a", "b", "c"])) as reader:
        assert [chunk async for chunk in reader] == ["abc+"]


async def test_plain_functions_and_generators_are_shapes_too() -> None:
    """4b: a plain `def` is invoke, a plain generator is stream, a function may give a reader."""

    def double(text: str) -> str:
        return text * 2

    def letters(text: str) -> Iterator[str]:
        yield from text

    def reader_of(text: str) -> StreamReader[str]:
        return StreamReader.from_iterable([text, "!"])

    async def piped(text: str) -> StreamReader[str]:
        reader, writer = pipe()
        await writer.send(text)
        writer.close()
        return reader

    runnable = Chain[str, str]().append_lambda(double).append_lambda(letters).append_lambda(reader_of)
    compiled = runnable.append_lambda(piped).compile()

    assert await all_four(compiled, ["a", "b"]) == ["abab!"] * 4


async def test_an_empty_stream_has_no_value() -> None:
    """2.8: for who needs a value; who transforms may get nothing and give nothing."""

    async def nothing(text: str) -> AsyncIterator[str]:
        return
        yield text

    empty = Chain[str, str]().append_lambda(nothing, key="nothing").compile()
    then = (
        Chain[str, str]().append_lambda(nothing, key="nothing").append_lambda(recorded([], "invoke"), key="n").compile()
    )

    async with empty.stream("x") as reader:
        assert [chunk async for chunk in reader] == []
    for run, path in (
        (empty.invoke("x"), ("nothing",)),
        (then.invoke("x"), ("nothing",)),
        (then.collect(StreamReader.from_iterable(["x"])), ("n",)),
    ):
        with pytest.raises(RunError, match=r"concat stream reader fail.*stream reader is empty, concat fail") as caught:
            await run
        assert isinstance(caught.value.__cause__, ConcatError)
        assert caught.value.node_path == path
    with pytest.raises(RunError, match=r"stream reader is empty, concat fail") as caught:
        await empty.collect(StreamReader.from_iterable(["x"]))
    assert isinstance(caught.value.__cause__, ConcatError)
    assert (caught.value.node_path, caught.value.kind) == ((), "graph")


async def test_an_error_in_a_stream_carries_the_path_of_the_node_that_raised_it() -> None:
    """X11, against the Go original (architecture 4b): not that of the node that reads the stream."""

    async def breaking(text: str) -> AsyncIterator[str]:
        yield text
        raise ValueError("boom")

    runnable = Chain[str, str]().append_lambda(breaking, key="source").append_lambda(recorded([], "invoke")).compile()

    for run in (runnable.invoke("x"), runnable.collect(StreamReader.from_iterable(["x"]))):
        with pytest.raises(RunError, match="ValueError: boom") as caught:
            await run
        assert isinstance(caught.value.__cause__, ValueError)
        assert (caught.value.node_path, caught.value.kind) == (("source",), "node")


async def test_an_error_in_the_final_stream_comes_in_its_place() -> None:
    """5b: what came before it is delivered; it is a RunError with its path."""

    async def breaking(text: str) -> AsyncIterator[str]:
        yield text
        raise ValueError("boom")

    runnable = (
        Chain[str, str]().append_lambda(breaking, key="source").append_lambda(recorded([], "transform")).compile()
    )

    async with runnable.stream("x") as reader:
        assert await reader.recv() == "x"
        with pytest.raises(RunError, match="boom") as caught:
            await reader.recv()
    assert caught.value.node_path == ("source",)


async def test_a_stream_of_many_errors_goes_on_behind_each() -> None:
    """5b: `async for` ends at an error; a new loop, or `recv`, goes on behind it."""

    async def reader_of(text: str) -> StreamReader[str]:
        reader, writer = pipe()
        await writer.send("a")
        await writer.send_error(ValueError("first"))
        await writer.send("b")
        await writer.send_error(KeyError("second"))
        await writer.send("c")
        writer.close()
        return reader

    runnable = Chain[str, str]().append_lambda(reader_of, key="n").compile()
    given: list[str] = []

    async with runnable.stream("x") as reader:
        for text in ("ValueError: first", "KeyError: 'second'"):
            with pytest.raises(RunError, match=text) as caught:
                async for chunk in reader:
                    given.append(chunk)  # noqa: PERF401 - what came before the error counts
            assert caught.value.node_path == ("n",)
        given.extend([chunk async for chunk in reader])

    assert given == ["a", "b", "c"]


async def test_a_value_condition_joins_its_own_copy_of_a_stream() -> None:
    """2.6, 2.9: the node behind the branch still gets the chunks as they were."""
    runnable = (
        Graph[str, str]()
        .add_lambda_node("letters", lambda_of_letters())
        .add_lambda_node("dashes", lambda_of_dashes())
        .add_edge(START, "letters")
        .add_branch("letters", Branch(lambda text: "dashes" if text == "abc" else END, ends=["dashes", END]))
        .add_edge("dashes", END)
        .compile()
    )

    assert await runnable.collect(StreamReader.from_iterable(["abc"])) == "-a-b-c"
    assert await runnable.invoke("abc") == "-abc"  # the values between the nodes are whole
    assert await runnable.invoke("abd") == "abd"


def lambda_of_letters() -> Callable[[str], AsyncIterator[str]]:
    async def letters(text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter

    return letters


def lambda_of_dashes() -> Callable[[AsyncIterator[str]], AsyncIterator[str]]:
    async def dashes(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield f"-{chunk}"

    return dashes


async def test_a_stream_condition_gets_one_chunk_in_value_runs() -> None:
    """2.6: the value, as a stream of one."""
    seen: list[str] = []

    async def look(chunks: AsyncIterator[str]) -> str:
        seen.extend([chunk async for chunk in chunks])
        return END

    graph = Graph[str, str]().add_lambda_node("n", recorded([], "invoke")).add_edge(START, "n")
    runnable = graph.add_branch("n", Branch(look, ends=[END])).compile()

    assert await runnable.invoke("x") == "x+"
    assert seen == ["x+"]


async def test_to_list_puts_a_value_into_a_list() -> None:
    """1.13: each chunk becomes a list; lists are not joined."""
    runnable = Chain[str, list[str]]().append_lambda(to_list()).compile()

    assert await runnable.invoke("x") == ["x"]
    async with runnable.transform(StreamReader.from_iterable(["a", "b"])) as reader:
        assert [chunk async for chunk in reader] == [["a"], ["b"]]
    with pytest.raises(RunError, match="concat"):
        await runnable.collect(StreamReader.from_iterable(["a", "b"]))


def test_a_lambda_needs_a_function() -> None:
    """1.13: none of the four is an error."""
    with pytest.raises(BuildError, match=r"needs to have at least one of four lambda types.*got none"):
        Lambda()


async def test_a_nested_graph_streams_through() -> None:
    """2.8: in a stream run an inner graph is transformed, chunk by chunk."""
    pulled: list[str] = []

    async def source() -> AsyncIterator[str]:
        for letter in "abc":
            pulled.append(letter)
            yield letter

    inner = Chain[str, str]().append_lambda(lambda_of_dashes())
    outer = Chain[str, str]().append_graph(inner).append_lambda(lambda_of_dashes()).compile()

    async with outer.transform(source()) as reader:
        assert (await reader.recv(), pulled) == ("--a", ["a"])
        assert [chunk async for chunk in reader] == ["--b", "--c"]


async def test_the_three_ways_to_open_a_stream() -> None:
    """5: `async for`, `async with`, `await`; nothing runs before."""
    calls: list[str] = []
    runnable = Chain[str, str]().append_lambda(recorded(calls, "stream")).compile()
    opening = runnable.stream("x")
    assert calls == []

    assert [chunk async for chunk in opening] == ["x", "+"]
    async with runnable.stream("x") as reader:
        assert await reader.recv() == "x"
    reader = await runnable.stream("x")
    assert [chunk async for chunk in reader] == ["x", "+"]
    assert calls == ["stream"] * 3


async def test_what_is_no_stream_is_refused() -> None:
    """5b: `collect` and `transform` take any async iterable, and nothing else."""
    runnable = Chain[str, str]().append_lambda(recorded([], "invoke")).compile()

    with pytest.raises(RunError, match="collect and transform take an async iterable, got str"):
        await runnable.collect("x")  # type: ignore[arg-type]  # the test
    with pytest.raises(RunError, match=r"got list.*StreamReader.from_iterable"):
        await runnable.transform(["x"])  # type: ignore[arg-type]  # the test
    with pytest.raises(RunError, match="no input was given"):
        await runnable.invoke()
    with pytest.raises(RunError, match="no input was given"):
        await runnable.stream()


async def test_options_reach_the_form_that_is_called() -> None:
    """2.14: a component's options go to `generate` and to `stream`."""
    model = ScriptedChatModel(["a", "b"])
    runnable = Chain[list[Message], Message]().append_chat_model(model, key="m").compile()
    options: Any = {"m": ModelOptions(temperature=0.5)}

    await runnable.invoke([user_message("x")], options=options)
    async with runnable.stream([user_message("x")], options=options) as reader:
        assert [chunk async for chunk in reader]

    assert [call.options.temperature for call in model.calls] == [0.5, 0.5]
