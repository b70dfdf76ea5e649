"""What an agent of `eino.adk` costs on top of the loop by hand, and on top of the bare graph of `eino.flow`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import pytest

from eino import Message, assistant_message, tool, tool_call, tool_message, user_message
from eino.adk import ChatModelAgent, Runner
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


async def answered(runner: Runner) -> str:
    """Read every event of a run; return the text of the last message."""
    text = ""
    async with runner.run(QUESTION) as events:
        async for event in events:
            assert event.message is not None
            text = (await event.message.get()).content
    return text


@pytest.mark.instructions
@pytest.mark.workload("W8-adk", "adk agent: 5 tool calls, then an answer", goal_us=80.0, gate_ratio=10.0)
def test_w8_chat_model_agent(abenchmark):
    """What does an agent with events, ids, a record and a task of its own cost? The floor is the same loop by hand.

    Timed: one run with all its eleven events. Not timed: building the agent.
    """
    model = FiveCalls()
    runner = Runner(ChatModelAgent(name="helper", model=model, tools=[add]))

    async def by_hand() -> str:
        messages = list(QUESTION)
        while (answer := await model.generate(messages)).tool_calls:
            results = [
                tool_message(await add.run(call.arguments), call.id, tool_name=call.name) for call in answer.tool_calls
            ]
            messages += [answer, *results]
        return answer.content

    done = abenchmark.compare(subject=lambda: answered(runner), floor=by_hand)
    assert done.subject == done.floor == "done"


@pytest.mark.workload("W8-turn", "adk agent against the bare graph of eino.flow", goal_ratio=2.0, gate_ratio=2.0)
def test_a_turn_against_the_bare_graph(abenchmark):
    """How much more than the same graph without events is a turn? The goal is at most twice as much."""
    model = FiveCalls()
    runner = Runner(ChatModelAgent(name="helper", model=model, tools=[add]))
    react = ReactAgent(model=model, tools=[add], max_steps=2 * ROUNDS + 1)

    async def bare() -> str:
        return (await react.generate(QUESTION)).content

    done = abenchmark.compare(subject=lambda: answered(runner), floor=bare)
    assert done.subject == done.floor == "done"
