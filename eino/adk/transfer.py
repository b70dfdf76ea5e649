"""Tools and messages by which agents hand over to each other, or end the run."""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from eino.adk.events import AgentAction, exit_action, transfer_action
from eino.errors import ToolArgumentsError
from eino.schema.message import Message, assistant_message, tool_message
from eino.schema.tool import ToolCall, ToolInfo, tool_call

__all__ = ["EXIT_TOOL", "TRANSFER_TOOL", "exit_tool", "transfer_instruction", "transfer_messages", "transfer_tool"]

TRANSFER_TOOL: Final = "transfer_to_agent"
"""Name of the tool that hands over."""

EXIT_TOOL: Final = "exit"
"""Name of the tool that ends the run."""


class _ActionTool:
    """A tool with one text argument, whose result carries an action."""

    def __init__(self, info: ToolInfo, argument: str) -> None:
        self.info = info
        self._argument = argument

    async def run(self, arguments: str) -> str:
        """Return the result, and attach the action to its event.

        Raises:
            ToolArgumentsError: If the arguments do not fit.
            NoRunError: Outside a turn of a chat agent.
        """
        from eino.adk.chat.turn import send_tool_action

        text, action = self._decide(_text_argument(self.info.name, arguments, self._argument))
        send_tool_action(action)
        return text

    def _decide(self, value: str) -> tuple[str, AgentAction]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<tool {self.info.name}>"


class _TransferTool(_ActionTool):
    type_name = "TransferToAgent"

    def _decide(self, value: str) -> tuple[str, AgentAction]:
        if not value:
            raise ToolArgumentsError(f"tool {self.info.name!r}: agent_name is empty; give the name of an agent")
        return _transferred(value), transfer_action(value)


class _ExitTool(_ActionTool):
    type_name = "Exit"

    def _decide(self, value: str) -> tuple[str, AgentAction]:
        return value, exit_action()


def transfer_tool() -> _TransferTool:
    """Return the tool `transfer_to_agent(agent_name)`, for a chat agent to hand over with.

    Chat agents with sub-agents, or in a tree, have it already. The result must end the turn: list it among the tools
    that return directly.
    """
    info = ToolInfo(
        name=TRANSFER_TOOL,
        description="Transfer the question to another agent.",
        json_schema=_one_text("agent_name", "the name of the agent to transfer to"),
    )
    return _TransferTool(info, "agent_name")


def exit_tool() -> _ExitTool:
    """Return the tool `exit(final_result)`, for a chat agent to end the run of all agents with, giving the answer."""
    info = ToolInfo(
        name=EXIT_TOOL,
        description="Exit the agent process and return the final result.",
        json_schema=_one_text("final_result", "the final result to return"),
    )
    return _ExitTool(info, "final_result")


def transfer_instruction(targets: tuple[tuple[str, str], ...]) -> str:
    """Return what a chat agent is told of the agents that it may hand over to, by name and description."""
    known = "\n".join(f"- {name}: {description}" for name, description in targets)
    return (
        f"Available other agents, by name:\n{known}\n\n"
        "Decision rule:\n"
        "- If the question is yours by your own description, answer it.\n"
        f"- If another agent fits it better, call {TRANSFER_TOOL} with the name of that agent, and write nothing else."
    )


def transfer_messages(agent_name: str) -> tuple[Message, Message]:
    """Return the messages of an agent that hands over without being asked: the call of the tool, and its result."""
    call: ToolCall = tool_call(TRANSFER_TOOL, {"agent_name": agent_name}, id=uuid.uuid4().hex)
    result = tool_message(_transferred(agent_name), call.id, tool_name=TRANSFER_TOOL)
    return assistant_message("", [call]), result


def _transferred(agent_name: str) -> str:
    return f"successfully transferred to agent [{agent_name}]"


def _one_text(name: str, description: str) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": description}},
        "required": [name],
        "additionalProperties": False,
    }


def _text_argument(tool: str, arguments: str, name: str) -> str:
    try:
        given = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError as error:
        raise ToolArgumentsError(
            f"tool {tool!r}: the arguments are no JSON: {error}; got {arguments!r:.200}"
        ) from error
    value = given.get(name) if isinstance(given, dict) else None
    if not isinstance(value, str):
        raise ToolArgumentsError(f"tool {tool!r}: give {{{name!r}: text}}, got {arguments!r:.200}")
    return value
