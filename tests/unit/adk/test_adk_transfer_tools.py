"""The tools that hand over and exit, the prompt that goes with them, and messages told to other agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eino import system_message, tool_call, tool_message, user_message
from eino.adk import (
    AgentTool,
    MessageVariant,
    Runner,
    SequentialAgent,
    deterministic_transfer,
    exit_tool,
    supervisor,
    transfer_action,
    transfer_tool,
    with_sub_agents,
)
from eino.adk.chat.agent import ChatModelAgent
from eino.adk.history import HistoryEntry, default_rewriter, entries_of, rewritten
from eino.adk.lanes import Lane, LogEntry, SessionValues
from eino.adk.transfer import transfer_instruction
from eino.errors import BuildError, ConcatError, ToolArgumentsError
from eino.schema import assistant_message
from eino.schema.message import Message
from eino.schema.parts import ImageMedia, ImagePart, Reasoning, ReasoningPart, TextPart
from eino_fixtures import ScriptedAgent, ScriptedChatModel


async def test_a_chat_agent_exits_with_the_exit_tool() -> None:
    """Its result is the answer, and nobody gets a turn after it."""
    model = ScriptedChatModel([tool_call("exit", {"final_result": "all done"}, id="1")])
    leaving = ChatModelAgent(name="a", model=model, tools=[exit_tool()], return_directly={"exit"})
    other = ScriptedAgent("b", ["never"])

    async with Runner(SequentialAgent(name="s", agents=[leaving, other])).query("x") as events:
        assert (await events.answer()).content == "all done"

    assert other.turns == 0


async def test_a_chat_agent_hands_over_with_the_transfer_tool() -> None:
    """The action goes with the result of the tool."""
    model = ScriptedChatModel([tool_call("transfer_to_agent", {"agent_name": "b"}, id="1")])
    root = ChatModelAgent(name="a", model=model)

    async with Runner(with_sub_agents(root, [ScriptedAgent("b", ["hello"])])).query("x") as events:
        heard = [event async for event in events]

    assert [event.agent_name for event in heard] == ["a", "a", "b"]
    assert [event.action.transfer_to if event.action else "" for event in heard] == ["", "b", ""]
    assert heard[1].message is not None
    assert (await heard[1].message.get()).content == "successfully transferred to agent [b]"


@pytest.mark.parametrize("arguments", ["{", "[]", "{}", '{"agent_name": 1}', '{"agent_name": ""}'])
async def test_arguments_that_name_no_agent_are_refused(arguments: str) -> None:
    """The text says what to give."""
    with pytest.raises(ToolArgumentsError, match="transfer_to_agent"):
        await transfer_tool().run(arguments)


def test_the_prompt_names_the_agents_and_what_they_are_good_for() -> None:
    """And how to decide."""
    text = transfer_instruction((("b", "Books."), ("c", "Cooks.")))

    assert text.startswith("Available other agents")
    assert "- b: Books." in text
    assert "- c: Cooks." in text
    assert "Decision rule" in text
    assert "transfer_to_agent" in text


def test_tools_show_what_they_are() -> None:
    """By name."""
    assert repr(exit_tool()) == "<tool exit>"
    assert repr(transfer_tool()) == "<tool transfer_to_agent>"
    assert repr(AgentTool(ScriptedAgent("helper"))) == "AgentTool('helper')"


async def test_messages_of_events_show_what_they_are() -> None:
    """A stream that is given up without being read is closed, and is no message any more."""

    async def pieces() -> AsyncIterator[Message]:
        yield assistant_message("piece")

    whole, stream = MessageVariant(assistant_message("hi")), MessageVariant(pieces(), tool_name="t", role="tool")
    assert repr(whole) == "MessageVariant(Message(role='assistant', content='hi'), role='assistant', tool_name='')"
    assert repr(stream) == "MessageVariant(a stream, role='tool', tool_name='t')"

    stream.close()
    stream.close()

    async with stream.stream() as reader:
        assert [chunk async for chunk in reader] == []
    with pytest.raises(ConcatError, match="its run ended before it was read"):
        await stream.get()


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        pytest.param(lambda: deterministic_transfer(ScriptedAgent("a"), []), "list of names", id="to nobody"),
        pytest.param(lambda: deterministic_transfer(ScriptedAgent("a"), "b"), "list of names", id="to a text"),
        pytest.param(lambda: supervisor(ScriptedAgent("a"), []), "at least one", id="no workers"),
        pytest.param(
            lambda: supervisor(with_sub_agents(ScriptedAgent("a"), [ScriptedAgent("b")]), [ScriptedAgent("c")]),
            "sub-agents already",
            id="a tree as supervisor",
        ),
    ],
)
def test_what_cannot_hand_over_is_refused(made: Any, problem: str) -> None:
    """When it is made."""
    with pytest.raises(BuildError, match=problem):
        made()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        pytest.param(assistant_message("hi"), "For context: [a] said: hi.", id="a text"),
        pytest.param(
            assistant_message("hi", [tool_call("t", "args", id="1"), tool_call("u", "{}", id="2")]),
            "For context: [a] said: hi. [a] called tool: `t` with arguments: args. [a] called tool: `u` with arguments: {}.",
            id="a text and calls",
        ),
        pytest.param(assistant_message(""), "For context:", id="nothing"),
        pytest.param(
            tool_message("42", "1", tool_name="t"), "For context: [a] `t` tool returned result: 42.", id="a result"
        ),
        pytest.param(system_message("be nice"), "be nice", id="a system message stays"),
        pytest.param(user_message("hello"), "hello", id="a user's message stays"),
    ],
)
def test_messages_of_others_are_told_as_a_user_would(message: Any, told: str) -> None:
    """With the exact texts."""
    assert rewritten(message, "a").content == told


def test_what_an_agent_shows_is_shown_to_the_others_and_what_it_thinks_is_not() -> None:
    """Parts of an answer become parts of a question, behind the text that tells of them."""
    image = ImagePart(image=ImageMedia(url="https://example.com/cat.png"))
    thought = ReasoningPart(reasoning=Reasoning(text="hm"))

    told = rewritten(assistant_message([image, thought]), "a")

    assert told.role == "user"
    assert told.user_parts == (TextPart("For context:"), image)


def test_an_agent_sees_its_own_messages_as_they_were() -> None:
    """Only those of others are told."""
    entries = [
        HistoryEntry(message=user_message("x"), is_user_input=True),
        HistoryEntry(message=assistant_message("mine"), agent_name="me"),
        HistoryEntry(message=assistant_message("theirs"), agent_name="them"),
    ]

    seen = default_rewriter(entries, "me")

    assert [(each.role, each.content) for each in seen] == [
        ("user", "x"),
        ("assistant", "mine"),
        ("user", "For context: [them] said: theirs."),
    ]


def test_leaving_out_transfers_takes_the_call_with_the_result() -> None:
    """But nothing that the run began with."""
    action = transfer_action("b")
    result = tool_message("ok", "1", tool_name="transfer_to_agent")
    log = [LogEntry("a", assistant_message("call")), LogEntry("a", result, action), LogEntry("a", None, action)]

    assert entries_of([], log, skip_transfers=True) == []
    [kept] = entries_of([user_message("x")], [LogEntry("a", result, action)], skip_transfers=True)
    assert kept.is_user_input


def test_what_is_restored_late_does_not_undo_newer_values() -> None:
    """Lanes come back in any order; each change has a number."""
    session, early, late = SessionValues(), Lane(), Lane()
    session.set("key", "old", early)
    session.set("key", "new", late)

    again = SessionValues()
    for lane in (late, early):
        again.replay(lane)
    again.win({"key": "newest"}, Lane())
    again.replay(late)

    assert again.values == {"key": "newest"}
