"""Events of a turn where others listen: what its handlers are told at its end, and the order of what is on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from eino import assistant_message, handler_builder, tool, user_message
from eino.adk import (
    AgentCallbackOutput,
    AgentEvent,
    AgentInput,
    Runner,
    SequentialAgent,
    agent,
    exit_action,
    message_event,
    send_event,
    send_tool_action,
)
from eino.callbacks import Handler, RunInfo
from eino.schema.message import Message
from eino_fixtures import ScriptedChatModel
from tests.conformance.adk_chat_agents import STREAMING, agent_of, call, events_of, text_of


def ends() -> tuple[Handler, list[AgentCallbackOutput]]:
    """Return a handler that keeps what the turns of agents end with."""
    outputs: list[AgentCallbackOutput] = []

    def on_end(info: RunInfo, output: Any) -> None:
        if info.component == "Agent":
            outputs.append(output)

    return handler_builder(on_end=on_end), outputs


@tool
async def leave(reason: str) -> str:
    """End the conversation."""
    send_tool_action(exit_action())
    return f"left: {reason}"


@STREAMING
async def test_the_end_of_a_turn_tells_all_its_events(streaming: bool) -> None:
    handler, outputs = ends()
    model = ScriptedChatModel([call("leave", reason="done"), "bye"])
    found = await events_of(agent_of(model, tools=[leave]), streaming=streaming, agent_callbacks={"helper": [handler]})

    [output] = outputs
    assert [await text_of(event) for event in output.events] == [await text_of(event) for event in found]
    assert len(found) == 3
    assert [event.message for event in output.events] == [event.message for event in found], (
        "read as often as one likes"
    )
    assert output.action is not None
    assert output.action.exit


async def test_what_is_sent_behind_a_stream_is_on_record_behind_it() -> None:
    """Another agent reads the record, and a stream is on it only when it has ended."""

    @tool
    async def speak(text: str) -> str:
        """Say something, word by word."""

        async def words() -> AsyncIterator[Message]:
            for word in text.split():
                yield assistant_message(word.upper())

        send_event(message_event(words()))
        return "spoken"

    heard: list[str] = []

    @agent(name="second")
    async def second(given: AgentInput) -> AsyncIterator[AgentEvent]:
        heard.extend(message.content for message in given.messages)
        yield message_event(assistant_message("ok"))

    first = agent_of(ScriptedChatModel([call("speak", text="tick tock"), "the end"]), tools=[speak])
    pair = SequentialAgent(name="pair", agents=[first, second])
    async with Runner(pair).run([user_message("hi")]) as events:
        async for event in events:
            assert event.error is None

    places = [
        next(n for n, text in enumerate(heard) if part in text)
        for part in ("tick tock", "TICKTOCK", "spoken", "the end")
    ]
    assert places == sorted(places)
    assert len(set(places)) == 4
