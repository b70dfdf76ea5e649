"""Tool calls that are given up: nothing of them is left."""

# ruff: noqa: A002 - `next` is the word of the documentation

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from eino.callbacks import handler_builder
from eino.compose import Chain, Graph
from eino.compose.tools_node import ToolInput, ToolNext, ToolOutput, ToolsNode
from eino.errors import RunError, RunTimeoutError, ToolError
from eino.schema import Message, ToolInfo, assistant_message, tool_call


def calls(*names: str) -> Message:
    return assistant_message("", [tool_call(name, {}, id=f"c{number}") for number, name in enumerate(names)])


class Waiting:
    """A tool that gives `pieces`, then waits for ever; it counts what was opened and what was closed."""

    def __init__(self, name: str, *pieces: str) -> None:
        self.info = ToolInfo(name=name)
        self._pieces = pieces
        self.opened = 0
        self.closed = 0
        self.waits = anyio.Event()

    async def run(self, arguments: str) -> str:
        self.opened += 1
        try:
            self.waits.set()
            await anyio.sleep_forever()
            raise AssertionError("for ever is over")
        finally:
            self.closed += 1

    async def stream(self, arguments: str) -> AsyncIterator[str]:
        self.opened += 1
        try:
            for piece in self._pieces:
                yield piece
            self.waits.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()  # a clean-up that waits is waited for
                self.closed += 1


class Counting(Waiting):
    """A tool that streams for ever."""

    async def stream(self, arguments: str) -> AsyncIterator[str]:
        self.opened += 1
        try:
            while True:
                yield "."
                await anyio.lowlevel.checkpoint()
        finally:
            self.closed += 1


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("b", "a", "a")])
@pytest.mark.parametrize("sequential", [False, True], ids=["beside", "in turn"])
async def test_a_stream_that_is_closed_early_closes_the_tools(names: tuple[str, ...], sequential: bool) -> None:
    tools = {"a": Waiting("a", "x"), "b": Counting("b")}
    node = ToolsNode(tools.values(), sequential=sequential)
    message = assistant_message("", [tool_call(name, {}, id=f"c{number}") for number, name in enumerate(names)])

    rows: Any = node.stream(message)
    await anext(rows)
    await rows.aclose()

    opened = sum(tool.opened for tool in tools.values())
    assert opened == sum(tool.closed for tool in tools.values())
    assert opened == (1 if sequential else len(names))


async def test_a_stream_that_is_never_read_starts_nothing() -> None:
    tool = Waiting("a", "x")

    rows: Any = ToolsNode([tool]).stream(calls("a", "a"))
    await rows.aclose()

    assert tool.opened == 0


@pytest.mark.parametrize("observed", [False, True], ids=["unobserved", "observed"])
async def test_a_reader_of_a_graph_that_leaves_early_closes_the_tools(observed: bool) -> None:
    tools = [Waiting("a", "x"), Counting("b")]
    chain = Chain[Message, list[Message]]().append_tools_node(ToolsNode(tools)).compile()
    handler = handler_builder(on_end_stream_output=lambda info, reader: None)

    async with chain.stream(calls("a", "b"), callbacks=[handler] if observed else []) as reader:
        await reader.recv()

    assert [(tool.opened, tool.closed) for tool in tools] == [(1, 1), (1, 1)]


@pytest.mark.parametrize("names", [("a",), ("a", "b")], ids=["alone", "beside another"])
@pytest.mark.parametrize("mode", ["invoke", "stream"])
async def test_cancelling_the_caller_cancels_the_tools_and_waits_for_them(names: tuple[str, ...], mode: str) -> None:
    tools = {name: Waiting(name) for name in names}
    node = ToolsNode(list(tools.values()), on_error="return_to_model")

    async def run() -> None:
        if mode == "invoke":
            await node.invoke(calls(*names))
        else:
            [row async for row in node.stream(calls(*names))]

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            for tool in tools.values():
                await tool.waits.wait()
            scope.cancel()

    assert [(tool.opened, tool.closed) for tool in tools.values()] == [(1, 1)] * len(names)


@pytest.mark.parametrize("mode", ["invoke", "stream"])
async def test_a_deadline_of_the_node_ends_the_tools(mode: str, virtual_clock: object) -> None:
    tools = [Waiting("a", "x"), Waiting("b")]
    chain = Chain[Message, list[Message]]().append_tools_node(ToolsNode(tools), key="tools", timeout_s=5.0).compile()

    with pytest.raises(RunTimeoutError, match=r"timeout_s=5\.0") as caught:
        if mode == "invoke":
            await chain.invoke(calls("a", "b"))
        else:
            [row async for row in chain.stream(calls("a", "b"))]

    assert caught.value.node_path == ("tools",)
    assert [(tool.opened, tool.closed) for tool in tools] == [(1, 1), (1, 1)]


class Failing(Waiting):
    """A tool that fails behind its pieces."""

    async def stream(self, arguments: str) -> AsyncIterator[str]:
        self.opened += 1
        try:
            for piece in self._pieces:
                yield piece
            raise ValueError("broken")
        finally:
            self.closed += 1


async def test_a_tool_that_fails_in_the_middle_leaves_nothing_open() -> None:
    tools = [Failing("a", "x"), Failing("b")]
    chain = Chain[Message, list[Message]]().append_tools_node(ToolsNode(tools)).compile()

    with pytest.raises(RunError, match="failed to stream tool call c0: ValueError: broken"):
        [row async for row in chain.stream(calls("a", "b"))]
    with pytest.raises(ToolError, match="failed to stream tool call c0: ValueError: broken"):
        [row async for row in ToolsNode(tools, sequential=True).stream(calls("a", "b"))]

    assert [(tool.opened, tool.closed) for tool in tools] == [(2, 2), (2, 2)]


async def test_a_piece_that_is_refused_closes_the_tool() -> None:
    tool: Any = Waiting("a", "x", 1)  # type: ignore[arg-type]  # no piece of a result

    with pytest.raises(ToolError, match="the result of tool 'a' is 1"):
        [row async for row in ToolsNode([tool]).stream(calls("a"))]

    assert (tool.opened, tool.closed) == (1, 1)


async def test_a_middleware_that_stops_reading_and_closes_leaves_nothing_open() -> None:
    async def first_only(call: ToolInput, next: ToolNext) -> ToolOutput:
        result = await next(call)
        assert not isinstance(result, str)
        async with result as reader:  # type: ignore[union-attr]  # the tools here give streams
            piece: str = await reader.recv()
            return piece

    tools = [Counting("a"), Counting("b")]
    node = ToolsNode(tools, middlewares=[first_only])

    assert len([row async for row in node.stream(calls("a", "b"))]) == 2
    assert [(tool.opened, tool.closed) for tool in tools] == [(1, 1), (1, 1)]


async def test_several_runs_at_once_do_not_mix() -> None:
    node = ToolsNode([Echo()])
    graph = Graph[Message, list[Message]]()
    graph.add_tools_node("tools", node)
    graph.add_edge("start", "tools").add_edge("tools", "end")
    chain = graph.compile()
    results: dict[int, list[str]] = {}

    async def run(number: int) -> None:
        message = assistant_message("", [tool_call("echo", {"n": number}, id=str(each)) for each in range(3)])
        results[number] = [each.content for each in await chain.invoke(message)]

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(run, number)

    assert results == {number: [f'{{"n":{number}}}'] * 3 for number in range(20)}


class Echo:
    info = ToolInfo(name="echo")

    async def run(self, arguments: str) -> str:
        await anyio.lowlevel.checkpoint()
        return arguments
