"""What a chat agent makes of a try that broke off, what agents read of themselves, and what nobody reads is closed."""

from __future__ import annotations

import gc
from typing import Any

import anyio
import pytest

from eino import RetryPolicy, StreamBrokenError, tool_call, user_message
from eino.adk import ChatModelAgent, Runner, SequentialAgent
from eino_fixtures import ScriptedChatModel, fake_tool

NOW = RetryPolicy(max_attempts=3, base_s=0.0, seed=0)


def chat(name: str, model: Any, **options: Any) -> ChatModelAgent[Any]:
    return ChatModelAgent(name=name, description=name, instruction="", model=model, **options)


async def test_the_answer_has_nothing_of_the_tries_before_it() -> None:
    """The next round, and so every reader of the history, sees the text of the try that counted."""
    model = ScriptedChatModel([["It rai", StreamBrokenError("lost")], tool_call("look", {}, id="1"), "It shines."])
    agent = chat("weather", model, tools=[fake_tool("look", returns="sun")], retry=NOW)

    async with Runner(agent, streaming=True).query("How is it?") as events:
        async for _ in events:
            pass

    said = [message.content for message in model.calls[-1].messages if message.role == "assistant"]
    assert said == [""]


async def test_an_agent_reads_what_it_said_itself_as_its_own() -> None:
    """And what another one said as told by a user."""
    first = ScriptedChatModel(["one", "three"])
    second = ScriptedChatModel(["two"])
    ask, answer = chat("ask", first), chat("answer", second)
    agent = SequentialAgent(name="talk", agents=[ask, answer])
    both = SequentialAgent(name="again", agents=[agent, chat("ask", first)])

    async with Runner(both).run([user_message("begin")]) as events:
        async for _ in events:
            pass

    told = [(str(message.role), message.content) for message in first.calls[1].messages]
    assert told == [("user", "begin"), ("assistant", "one"), ("user", "For context: [answer] said: two.")]


@pytest.mark.parametrize("taken", [0, 1])
async def test_streams_that_nobody_reads_are_closed_when_the_run_is_left(taken: int) -> None:
    """A stream that is dropped open warns, and warnings fail tests."""
    model = ScriptedChatModel([tool_call("look", {}, id="1"), "It shines all day."])
    agent = chat("weather", model, tools=[fake_tool("look", returns="sun")])

    async with Runner(agent, streaming=True).query("How is it?") as events:
        for _ in range(taken):
            await anext(aiter(events))
        while not events.done:
            await anyio.lowlevel.checkpoint()
    del events
    gc.collect()
