"""What an agent reads of what others said: the conversation so far, told from its point of view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from eino.adk.lanes import LogEntry
from eino.errors import RunError
from eino.schema.message import Message, assistant_message, tool_message
from eino.schema.parts import AssistantPart, AudioPart, ImagePart, TextPart, UserPart, VideoPart
from eino.schema.tool import tool_call

__all__ = ["HistoryEntry", "HistoryRewriter", "default_rewriter", "entries_of", "rewritten", "told_conversation"]


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the conversation so far."""

    message: Message
    agent_name: str = ""
    """Who said it; empty for what the run began with."""
    is_user_input: bool = False
    """Whether the run began with it."""


HistoryRewriter: TypeAlias = Callable[[Sequence[HistoryEntry], str], Sequence[Message]]
"""`rewriter(entries, agent_name)`: the messages that the agent with this name begins its turn with."""


def entries_of(
    messages: Sequence[Message], log: Sequence[LogEntry], *, skip_transfers: bool = False
) -> list[HistoryEntry]:
    """Return the conversation so far.

    Args:
        messages: What the run began with.
        log: What its agents said since.
        skip_transfers: Whether to leave out the messages by which agents hand over to each other.

    Raises:
        RunError: If a message that streamed is incomplete because its stream failed.
    """
    entries = [HistoryEntry(message=message, is_user_input=True) for message in messages]
    for each in log:
        if each.message is None and not each.error:
            continue
        if each.skipped:
            continue
        if each.error:
            raise RunError(
                f"a message of agent {each.agent_name!r} broke off, so nobody can go on from it: {each.error}"
            )
        if skip_transfers and each.action is not None and each.action.transfer_to:
            if each.message is not None and each.message.role == "tool" and entries and not entries[-1].is_user_input:
                entries.pop()  # the call that it answers
            continue
        if each.message is not None:
            entries.append(HistoryEntry(message=each.message, agent_name=each.agent_name))
    return entries


def default_rewriter(entries: Sequence[HistoryEntry], agent_name: str) -> list[Message]:
    """Return the messages with those of other agents as what a user tells."""
    return [
        each.message
        if each.is_user_input or each.agent_name == agent_name
        else rewritten(each.message, each.agent_name)
        for each in entries
    ]


def rewritten(message: Message, agent_name: str) -> Message:
    """Return a message of an agent as a user's message that tells of it, for another agent to read.

    Source: the texts are those of Eino's flow agents.
    """
    said = ["For context:"]
    if message.role == "tool":
        said.append(f" [{agent_name}] `{message.tool_name}` tool returned result: {message.content}.")
        return Message(role="user", content="".join(said), user_parts=_with_text(said, message.user_parts))
    if message.role != "assistant":
        return message
    if message.content:
        said.append(f" [{agent_name}] said: {message.content}.")
    said.extend(
        f" [{agent_name}] called tool: `{call.name}` with arguments: {call.arguments}." for call in message.tool_calls
    )
    return Message(role="user", content="".join(said), user_parts=_with_text(said, _as_input(message.assistant_parts)))


def told_conversation(messages: Sequence[Message], agent_name: str, destination: str) -> list[Message]:
    """Return the messages of a chat agent up to its call of an agent as a tool, as the called agent reads them.

    Args:
        messages: Those of the chat agent, the one with the call last.
        agent_name: Name of the chat agent.
        destination: Name of the called agent; the call is told as a transfer to it.
    """
    call = tool_call("transfer_to_agent", destination)
    result = tool_message(f"successfully transferred to agent [{destination}]", "", tool_name="transfer_to_agent")
    told = [*messages[:-1], assistant_message("", [call]), result]
    return [each if each.role == "user" else rewritten(each, agent_name) for each in told if each.role != "system"]


def _with_text(said: Sequence[str], parts: Sequence[UserPart]) -> tuple[UserPart, ...]:
    """Return the parts with the text in front of them: models read parts instead of the text where there are any."""
    return (TextPart("".join(said)), *parts) if parts else ()


def _as_input(parts: Sequence[AssistantPart]) -> tuple[UserPart, ...]:
    """Return what a model made as what another one can be given: reasoning is left out."""
    return tuple(part for part in parts if isinstance(part, (TextPart, ImagePart, AudioPart, VideoPart)))
