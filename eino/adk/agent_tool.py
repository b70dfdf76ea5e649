"""Agents as tools of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from eino._run.address import address_text
from eino._run.frame import Frame, current
from eino._run.interrupt import InterruptSignal
from eino._run.retry import RetryPolicy
from eino._run.session import MORE, address_of, session_of
from eino.adk.agent import Agent, AgentInput
from eino.adk.builtin import as_driven
from eino.adk.drive import agent_segment, drive
from eino.adk.events import AgentEvent
from eino.adk.history import told_conversation
from eino.adk.lanes import Lane
from eino.adk.run_state import AgentRun, RootRun, current_agent_run
from eino.components._tool_retry import tool_retry
from eino.components._tool_timeout import tool_timeout
from eino.components.tools import Tool
from eino.errors import BuildError, ToolArgumentsError, ToolError
from eino.schema.message import Message, user_message
from eino.schema.params import params_schema
from eino.schema.tool import ToolInfo

__all__ = ["AgentTool", "agent_tool"]

_REQUEST = {
    "type": "object",
    "properties": {"request": {"type": "string", "description": "request to be processed"}},
    "required": ["request"],
    "additionalProperties": False,
}


def agent_tool(
    agent: Agent,
    *,
    input_schema: Mapping[str, Any] | type[Any] | None = None,
    full_history: bool = False,
    timeout_s: float | None = None,
    retry: RetryPolicy | None = None,
) -> Tool:
    """Return a tool that gives a request to `agent` and answers with its last message.

    The agent has a conversation of its own, and shares the session values. What it asks stops the whole run; its exits
    and transfers end at the tool. Its events are dropped, unless the agent that calls emits internal events.

    Args:
        agent: Must have a description: the model reads it.
        input_schema: What the model gives instead of a `request`, as for tools; the agent gets it as JSON text.
        full_history: Whether the agent gets the conversation of the chat agent that calls, instead of a request.
        timeout_s: How long one try may take, in seconds; longer is a `ToolError`.
        retry: Tries again after failures that may pass. To ask is no failure.

    Raises:
        BuildError: If it is no agent, has no description, or an argument is wrong.
    """
    made: Tool = AgentTool(agent, input_schema=input_schema, full_history=full_history)
    if timeout_s is not None:
        made = tool_timeout(made, timeout_s)
    return made if retry is None else tool_retry(made, retry)


class AgentTool:
    """See `agent_tool`, which can also limit its time and try again."""

    type_name = "AgentTool"

    def __init__(
        self,
        agent: Agent,
        *,
        input_schema: Mapping[str, Any] | type[Any] | None = None,
        full_history: bool = False,
    ) -> None:
        """Make a tool of an agent; see `agent_tool`."""
        self._agent = as_driven(agent)
        if not isinstance(agent.description, str) or not agent.description:
            raise BuildError(f"agent tool requires a non-empty Description: agent {agent.name!r} has none")
        self._takes_request = input_schema is None and not full_history
        schema = dict(_REQUEST) if input_schema is None else params_schema(input_schema)
        if full_history and input_schema is None:
            schema = {"type": "object", "properties": {}, "additionalProperties": False}
        self._full_history = full_history
        self.info = ToolInfo(name=agent.name, description=agent.description, json_schema=schema)

    def __repr__(self) -> str:
        return f"AgentTool({self._agent.name!r})"

    async def run(self, arguments: str) -> str:
        """Return the text of the agent's last message.

        Raises:
            ToolArgumentsError: If the arguments are no request.
            ToolError: If the agent said nothing at all.
            Exception: What the agent failed with.
        """
        messages = self._messages(arguments)
        frame = current.get()
        if frame is None:
            return await self._alone(messages)
        _begin_again(frame, self._agent.name)
        outer = current_agent_run()
        run = self._turn(messages, outer)
        given = AgentInput(messages=messages, streaming=run.streaming)
        try:
            lane = await drive(self._agent, given, run, (agent_segment(self._agent.name),))
        except InterruptSignal as signal:
            signal.infos.setdefault(address_text(address_of(frame)), "agent tool interrupt")
            run.root.stopped = outer  # told in the name of the agent that called
            raise
        except Exception as error:
            run.root.untell(error)  # a policy may answer for it; if none does, the agent that called has failed
            raise
        if outer is not None:
            outer.absorb(Lane(values=lane.values))  # what it said is no part of the conversation
        return _answer(self._agent.name, lane)

    def _turn(self, messages: tuple[Message, ...], outer: AgentRun | None) -> AgentRun:
        root = RootRun() if outer is None else outer.root
        path = (self._agent.name,) if outer is None else (*outer.run_path, self._agent.name)
        sink = outer.forward if outer is not None and outer.emit_internal_events else _dropped
        return AgentRun(
            self._agent,
            agent_name=self._agent.name,
            run_path=path,
            root=root,
            outer=None,
            messages=messages,
            sink=sink,
        )

    async def _alone(self, messages: Sequence[Message]) -> str:
        """Run the agent for a caller that has no run."""
        from eino.adk.runner import Runner

        async with Runner(self._agent).run(messages) as events:
            return (await events.answer()).content

    def _messages(self, arguments: str) -> tuple[Message, ...]:
        if self._full_history:
            return _conversation(self._agent.name)
        if not self._takes_request:
            return (user_message(arguments),)
        try:
            given = msgspec.json.decode(arguments or "{}")
        except msgspec.DecodeError as error:
            raise ToolArgumentsError(
                f"tool {self._agent.name!r}: the arguments are no JSON: {error}; got {arguments!r:.200}"
            ) from error
        request = given.get("request") if isinstance(given, dict) else None
        if not isinstance(request, str):
            raise ToolArgumentsError(f'tool {self._agent.name!r}: give {{"request": text}}, got {arguments!r:.200}')
        return (user_message(request),)


def _begin_again(frame: Frame, name: str) -> None:
    """Let a further try of one call have the addresses of the first: it goes on where that had stopped."""
    session = session_of(frame)
    if session is not None:
        session.restart(f"{address_text(address_of(frame))}{MORE}{agent_segment(name)}")


def _dropped(event: AgentEvent) -> None:
    """Nobody reads what the agent says on its way; its turn reads its streams to their end."""


def _answer(name: str, lane: Lane) -> str:
    if not lane.entries:
        raise ToolError(f"tool {name!r}: no event returned: the agent ended its turn without saying anything")
    last = lane.entries[-1]
    if last.error:
        raise ToolError(f"tool {name!r}: the last message of the agent broke off: {last.error}")
    return last.message.content if last.message is not None else ""


def _conversation(destination: str) -> tuple[Message, ...]:
    """Return the conversation of the chat agent that calls, as another agent reads it.

    Raises:
        ToolError: If no chat agent calls.
    """
    from eino._run.context import NoRunError
    from eino.adk.chat.turn import current_turn

    try:
        turn = current_turn("an agent tool with full_history=True")
    except NoRunError as error:
        raise ToolError(f"tool {destination!r} needs the conversation of a chat agent: {error}") from error
    return tuple(told_conversation(turn.state.messages, turn.name, destination))
