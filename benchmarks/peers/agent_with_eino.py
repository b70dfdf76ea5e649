"""The agent with `eino.adk`, with all its events read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from agent_work import ANSWER, ARGUMENTS, QUESTION, ROUNDS, added, measure_agent

from eino import Message, assistant_message, tool, tool_call
from eino.adk import ChatModelAgent, Runner

CALLS = [assistant_message("", [tool_call("add", ARGUMENTS, id=str(each))]) for each in range(ROUNDS)]
DONE = assistant_message(ANSWER)


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return added(a, b)


class FiveCalls:
    def with_tools(self, tools: Sequence[Any]) -> Self:
        return self

    async def generate(self, messages: Sequence[Message], options: Any = None) -> Message:
        done = (len(messages) - 1) // 2
        return DONE if done == ROUNDS else CALLS[done]

    async def stream(self, messages: Sequence[Message], options: Any = None) -> AsyncIterator[Message]:
        yield await self.generate(messages, options)


runner = Runner(ChatModelAgent(name="helper", model=FiveCalls(), tools=[add]))


async def run() -> str:
    async with runner.query(QUESTION) as events:
        async for event in events:
            assert event.message is not None
        return (await events.answer()).content


measure_agent("eino", run, distribution="eino")
