"""What the tests of chat agents share: how one is made and run, and its events as text."""

from __future__ import annotations

from typing import Any

import pytest

from eino import RetryPolicy, RunError, tool_call, user_message
from eino.adk import AgentEvent, ChatModelAgent, Runner
from eino.components.model import ChatModel

STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["values", "streams"])
NOW = RetryPolicy(max_attempts=4, base_s=0.0, seed=0)


def call(name: str, id: str = "1", **arguments: Any) -> Any:  # noqa: A002 - as in tool_call
    return tool_call(name, arguments, id=id)


def agent_of(model: ChatModel, **settings: Any) -> ChatModelAgent[Any]:
    return ChatModelAgent(name="helper", model=model, **settings)


async def events_of(agent: Any, *, streaming: bool = False, **options: Any) -> list[AgentEvent]:
    """Run the agent on "hi", read every event, and settle its stream."""
    async with Runner(agent, streaming=streaming).run([user_message("hi")], **options) as events:
        found = [event async for event in events]
    for event in found:
        if event.message is not None:
            await event.message.settle()
    return found


async def texts_of(agent: Any, *, streaming: bool = False) -> list[str]:
    return [await text_of(event) for event in await events_of(agent, streaming=streaming)]


async def text_of(event: AgentEvent) -> str:
    """Return role and text of an event, or its error."""
    if event.error is not None:
        return f"error: {type(cause_of(event.error)).__name__}"
    assert event.message is not None
    if event.message.error is not None:
        return f"{event.message.role}: broke off: {type(event.message.error).__name__}"
    message = await event.message.get()
    calls = "".join(f" {each.name}{each.arguments}" for each in message.tool_calls)
    return f"{event.message.role}: {message.content}{calls}"


def cause_of(error: BaseException) -> BaseException:
    return error.__cause__ if type(error) is RunError and error.__cause__ is not None else error
