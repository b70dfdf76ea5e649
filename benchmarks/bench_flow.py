"""What an agent costs on top of its model and its tools: W8 of the architecture page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import pytest

from eino import Message, assistant_message, tool, tool_call, tool_message, user_message
from eino.flow import ReactAgent

ROUNDS = 5
QUESTION = [user_message("hi")]
CALLS = [assistant_message("", [tool_call("add", {"a": 1, "b": 2}, id=str(each))]) for each in range(ROUNDS)]
ANSWER = assistant_message("done")


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class FiveCalls:
    """A model that calls a tool five times, one call a message, and then answers."""

    def with_tools(self, tools: Sequence[Any]) -> Self:
        return self

    async def generate(self, messages: Sequence[Message], options: Any = None) -> Message:
        done = (len(messages) - 1) // 2
        return ANSWER if done == ROUNDS else CALLS[done]

    async def stream(self, messages: Sequence[Message], options: Any = None) -> AsyncIterator[Message]:
        yield await self.generate(messages, options)


@pytest.mark.instructions
@pytest.mark.workload("W8", "ReAct agent: 5 tool calls, then an answer", goal_us=80.0, gate_ratio=6.0)
def test_w8_react_agent(abenchmark):
    """What does the loop of an agent cost? The floor is the same loop by hand, tool and validation included."""
    model = FiveCalls()
    agent = ReactAgent(model=model, tools=[add], max_steps=2 * ROUNDS + 1)

    async def by_hand(question: list[Message]) -> Message:
        messages = list(question)
        while (answer := await model.generate(messages)).tool_calls:
            results = [
                tool_message(await add.run(call.arguments), call.id, tool_name=call.name) for call in answer.tool_calls
            ]
            messages += [answer, *results]
        return answer

    done = abenchmark.compare(subject=lambda: agent.generate(QUESTION), floor=lambda: by_hand(QUESTION))
    assert done.subject == done.floor == ANSWER
