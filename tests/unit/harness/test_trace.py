"""Traces: the text of a run, the same whatever ran first of what ran at once; comparing with a kept one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pydantic
import pytest

from eino import END, START, Chain, Graph, RunError, tool, tool_call, user_message
from eino.flow import ReactAgent
from eino_fixtures import ScriptedChatModel
from eino_harness._trace_text import digest
from eino_harness.trace import Trace, TraceChangedError


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def agent() -> ReactAgent:
    calls = [tool_call("add", {"a": 2, "b": 2}, id="1"), tool_call("add", {"a": 1, "b": 2}, id="2")]
    return ReactAgent(model=ScriptedChatModel([calls, "four and three"]), tools=[add])


async def test_a_line_for_each_invocation() -> None:
    """Nested as they ran."""
    trace = Trace()
    await agent().generate([user_message("hi")], callbacks=[trace])

    text = await trace.text()
    assert [line.split(" in=")[0] for line in text.splitlines()] == [
        "Graph react",
        "  ChatModel model",
        "  ToolsNode tools",
        "    Tool add",
        "    Tool add",
        "  ChatModel model",
    ]
    assert await trace.text() == text
    again = Trace()
    await agent().generate([user_message("hi")], callbacks=[again])
    assert await again.text() == text


async def test_what_ran_at_once_is_sorted(virtual_clock: Any) -> None:
    """Whichever of two parallel nodes is faster."""

    def graph(left_s: float, right_s: float) -> Any:
        async def left(value: int) -> int:
            await anyio.sleep(left_s)
            return value + 1

        async def right(value: int) -> int:
            await anyio.sleep(right_s)
            return value + 2

        built = Graph[int, dict[str, int]]()
        for key, function in (("right", right), ("left", left)):
            built.add_lambda_node(key, function, output_key=key).add_edge(START, key).add_edge(key, END)
        return built.compile(name="pair")

    texts: list[str] = []
    for delays in ((1, 2), (2, 1)):
        trace = Trace(values=True)
        await graph(*delays).invoke(1, callbacks=[trace])
        texts.append(await trace.text())
        timed = Trace(values=True, times=True)
        await graph(*delays).invoke(1, callbacks=[timed])
        assert f"Lambda left in=1 out=2 0s..{delays[0]}s" in await timed.text()

    assert texts[0] == texts[1]
    assert [line.split()[1] for line in texts[0].splitlines()] == ["pair", "left", "right"]


async def test_streams_count_their_chunks_and_keep_what_they_join_to() -> None:
    """As value and stream give the same, so do their digests."""
    whole, pieces = Trace(), Trace()
    await agent().generate([user_message("hi")], callbacks=[whole])
    async with agent().stream([user_message("hi")], callbacks=[pieces]) as reader:
        async for _ in reader:
            pass

    streamed = await pieces.text()
    assert "chunks=3" in streamed.splitlines()[0]
    first = (await whole.text()).splitlines()[0]
    assert streamed.splitlines()[0].split(" chunks=")[0].split("out=")[1] == first.split("out=")[1]


async def test_failures_are_part_of_the_trace() -> None:
    """Raised, or while a stream was read."""

    async def fails(value: int) -> int:
        raise ValueError("no")

    async def breaks(value: int) -> AsyncIterator[int]:
        yield value
        raise ValueError("no")

    trace = Trace(values=True)
    chain = Chain[int, int]().append_lambda(fails, key="fails").compile(name="line")
    with pytest.raises(RunError):
        await chain.invoke(1, callbacks=[trace])
    assert (await trace.text()).splitlines() == [
        "Chain line in=1 raised RunError from ValueError",
        "  Lambda fails in=1 raised ValueError",
    ]

    trace = Trace(values=True)
    chain = Chain[int, int]().append_lambda(breaks, key="breaks").compile(name="line")
    with pytest.raises(RunError):
        async with chain.stream(1, callbacks=[trace]) as reader:
            async for _ in reader:
                pass
    assert "  Lambda breaks in=1 out=1 chunks=1 broke off with RunError" in await trace.text()
    assert "raised RunError" in await trace.mermaid() or "broke off" in await trace.mermaid()


async def test_a_diagram() -> None:
    """Nested runs are subgraphs; arrows lead from each to the one that ran after it."""
    trace = Trace()
    await agent().generate([user_message("hi")], callbacks=[trace])
    diagram = (await trace.mermaid()).splitlines()
    assert diagram[0] == "flowchart TD"
    assert diagram[1] == '    subgraph s1["Graph react"]'
    assert sum("-->" in line for line in diagram) == 2


async def test_comparing_with_a_kept_trace(tmp_path: Path) -> None:
    """Missing, written, equal, different."""
    path = tmp_path / "traces" / "kept.txt"
    chain = Chain[int, int]().append_lambda(lambda value: value + 1, key="more").compile(name="line")

    async def traced(value: int, **options: Any) -> Trace:
        trace = Trace(path=path, values=True, **options)
        await chain.invoke(value, callbacks=[trace])
        return trace

    with pytest.raises(TraceChangedError, match=r"no trace was kept at .*kept\.txt: run `pytest --trace-update`"):
        await (await traced(1)).check()
    await (await traced(1, update=True)).check()
    await (await traced(1)).check()
    with pytest.raises(TraceChangedError) as failure:
        await (await traced(2)).check()
    assert "-Chain line in=1 out=2" in str(failure.value)
    assert "+Chain line in=2 out=3" in str(failure.value)
    assert "flowchart TD" in str(failure.value)
    with pytest.raises(ValueError, match="no file to compare with"):
        await Trace().check()
    await (await traced(1)).check(path)


async def test_a_trace_that_nobody_reads_leaves_nothing_open() -> None:
    """The fixture closes it."""
    trace = Trace()
    async with agent().stream([user_message("hi")], callbacks=[trace]) as reader:
        async for _ in reader:
            pass
    trace.close()


def test_digests() -> None:
    """Equal for equal values, whatever their order; different for others."""

    class Point(pydantic.BaseModel):
        x: int

    assert digest({"a": 1, "b": {2, 3}}) == digest({"b": {3, 2}, "a": 1})
    assert digest(Point(x=1)) == digest({"x": 1}) != digest({"x": 2})
    assert digest(ValueError("a")) != digest(ValueError("b"))
    assert digest(object()) == digest(object())
    assert len(digest("x")) == 8


def test_the_fixture_keeps_a_file_for_all_loops(pytester: pytest.Pytester) -> None:
    """`--trace-update` writes it, the next run compares with it, a change fails with the way out."""
    pytester.makeini("[pytest]\nanyio_mode = auto\n")
    source = """
        import pytest
        from eino import Chain

        @pytest.mark.parametrize("step", [1])
        async def test_line(trace, anyio_backend, step):
            chain = Chain[int, int]().append_lambda(lambda value: value + STEP).compile(name="line")
            await chain.invoke(1, callbacks=[trace])
            await trace.check()
    """
    quiet = ("-p", "no:randomly", "-p", "no:cacheprovider", "--benchmark-disable")
    pytester.makepyfile(test_traces=source.replace("STEP", "1"))
    result = pytester.runpytest(*quiet)
    result.stdout.fnmatch_lines(["*TraceChangedError: no trace was kept at *traces/test_traces/test_line_1.txt*"])

    pytester.runpytest(*quiet, "--trace-update").assert_outcomes(passed=2)
    assert [path.name for path in pytester.path.glob("traces/test_traces/*")] == ["test_line_1.txt"]
    pytester.runpytest(*quiet).assert_outcomes(passed=2)

    # Longer than before: Python takes a file of the same second and size for the one whose bytecode it has.
    pytester.makepyfile(test_traces=source.replace("STEP", "20"))
    result = pytester.runpytest(*quiet)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*If this is right, run `pytest --trace-update`.*"])
