"""What a tools node costs on top of its tools.

The tools are plain objects that do next to nothing, and the floors are hand-written asyncio code that calls the same
tools and makes the same messages. Not measured here: reading arguments with a schema, which is the tool's own work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from eino import Chain, Handler, Message, ToolInfo, ToolsNode, assistant_message, concat, tool, tool_call

PIECES = 1000


class Echo:
    """A tool that never waits."""

    info = ToolInfo(name="echo")

    async def run(self, arguments: str) -> str:
        return arguments


class EchoLater(Echo):
    """A tool that waits once."""

    async def run(self, arguments: str) -> str:
        await asyncio.sleep(0)
        return arguments


class Stream(Echo):
    """A tool that gives many pieces."""

    async def stream(self, arguments: str) -> AsyncIterator[str]:
        for _ in range(PIECES):
            yield "x"


def message_of(calls: int) -> Message:
    return assistant_message("", [tool_call("echo", {"n": number}, id=f"c{number}") for number in range(calls)])


def answer(call: Any, content: str) -> Message:
    return Message(role="tool", content=content, tool_call_id=call.id, tool_name=call.name)


def floor_of(tool: Any) -> Any:
    """Hand-written: look the tool up, run the calls beside each other, make the messages."""
    tools = {"echo": tool}

    async def one(call: Any) -> Message:
        return answer(call, await tools[call.name].run(call.arguments))

    async def run(message: Message) -> list[Message]:
        if len(message.tool_calls) == 1:
            return [await one(message.tool_calls[0])]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(call)) for call in message.tool_calls]
        return [task.result() for task in tasks]

    return run


@pytest.mark.instructions
@pytest.mark.workload("T1", "one tool call", goal_us=6.0, gate_ratio=16.0)
def test_t1_one_call(abenchmark):
    """What does a tool call cost by itself, outside of a graph?

    Timed: `ToolsNode.invoke` with one call. Expected: a few microseconds, no task.
    """
    node, floor, message = ToolsNode([Echo()]), floor_of(Echo()), message_of(1)
    done = abenchmark.compare(subject=lambda: node.invoke(message), floor=lambda: floor(message))
    assert done.subject == done.floor


@pytest.mark.workload("T1b", "one tool call in a chain, with a handler for every timing", goal_us=30.0, gate_ratio=80.0)
def test_t1b_one_call_observed(abenchmark):
    """What do callbacks of the node and of the call add?"""

    class Silent(Handler):
        def on_start(self, info: Any, input: Any) -> None:  # noqa: A002 - the handler's word
            pass

        def on_end(self, info: Any, output: Any) -> None:
            pass

        def on_error(self, info: Any, error: BaseException) -> None:
            pass

    chain = Chain[Message, list[Message]]().append_tools_node(ToolsNode([Echo()])).compile()
    floor, message, handlers = floor_of(Echo()), message_of(1), [Silent()]
    done = abenchmark.compare(subject=lambda: chain.invoke(message, callbacks=handlers), floor=lambda: floor(message))
    assert done.subject == done.floor


@pytest.mark.parametrize(
    "tool", [pytest.param(Echo, id="never waiting"), pytest.param(EchoLater, id="each waits once")]
)
@pytest.mark.workload("T2", "8 tool calls beside each other", goal_ratio=1.5, gate_ratio=5.0)
def test_t2_eight_calls(abenchmark, tool):
    """What does a call cost beside others? The floor is `asyncio.TaskGroup`."""
    node, floor, message = ToolsNode([tool()]), floor_of(tool()), message_of(8)
    done = abenchmark.compare(subject=lambda: node.invoke(message), floor=lambda: floor(message))
    assert done.subject == done.floor


async def joined(rows: AsyncIterator[list[Message | None]]) -> list[list[Message | None]]:
    return [row async for row in rows]


async def floor_rows(tool: Any, message: Message) -> AsyncIterator[list[Message | None]]:
    """Hand-written: one message and one row a piece."""
    [call] = message.tool_calls
    async for piece in tool.stream(call.arguments):
        yield [answer(call, piece)]


@pytest.mark.workload("T3", "a tool that streams 1000 pieces", unit="us/chunk", per=PIECES, gate_ratio=8.0)
def test_t3_a_streaming_tool(abenchmark):
    """What does a piece cost on its way out of the node?"""
    node, tool, message = ToolsNode([Stream()]), Stream(), message_of(1)
    done = abenchmark.compare(
        subject=lambda: joined(node.stream(message)), floor=lambda: joined(floor_rows(tool, message))
    )
    assert concat(done.subject) == concat(done.floor)


@pytest.mark.workload("T4", "4 tools that stream 1000 pieces each", unit="us/chunk", per=4 * PIECES, gate_ratio=12.0)
def test_t4_four_streaming_tools(abenchmark):
    """What does a piece cost when several tools stream at once? The floor reads the tools in turn, without tasks."""
    node, tool, message = ToolsNode([Stream()]), Stream(), message_of(4)

    async def floor() -> list[list[Message | None]]:
        rows: list[list[Message | None]] = []
        for index, call in enumerate(message.tool_calls):
            async for piece in tool.stream(call.arguments):
                row: list[Message | None] = [None] * 4
                row[index] = answer(call, piece)
                rows.append(row)
        return rows

    done = abenchmark.compare(subject=lambda: joined(node.stream(message)), floor=floor)
    assert concat(done.subject) == concat(done.floor)


@tool
async def forecast(city: str, days: int = 1, unit: Literal["C", "F"] = "C") -> str:
    """Weather of a city.

    Args:
        city: City name.
        days: How many.
        unit: Of temperatures.
    """
    return f"{city} {days} {unit}"


class ForecastArguments(BaseModel):
    """What a program would write by hand for the tool above."""

    city: str
    days: int = 1
    unit: Literal["C", "F"] = "C"


@pytest.mark.workload("T5", "a call of a typed function, arguments read by its schema", goal_ratio=2.0, gate_ratio=4.0)
def test_t5_typed_arguments(abenchmark):
    """What does `@tool` add to reading the arguments with pydantic and calling the function?

    Timed: `run` with JSON text, up to the result. Not timed: making the tool.
    Expected: little; the reading itself is the same.
    """
    arguments = '{"city": "Paris", "days": 3}'

    async def floor() -> str:
        read = ForecastArguments.model_validate_json(arguments)
        return f"{read.city} {read.days} {read.unit}"

    done = abenchmark.compare(subject=lambda: forecast.run(arguments), floor=floor)
    assert done.subject == done.floor == "Paris 3 C"
