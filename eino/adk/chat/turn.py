"""`Turn`: what one turn of a chat agent works with and what cannot be stored, such as its tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from eino._run.context import NoRunError
from eino.adk._here import current_turn as running_turn
from eino.adk.chat.message_ids import ID_KEY, message_id, new_message_id, with_message_id
from eino.adk.events import AgentAction, AgentEvent, AgentOutput, MessageVariant
from eino.errors import CodecError
from eino.schema.codec import Codec
from eino.schema.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import ContextVar

    from eino.adk.chat.attempts import Call
    from eino.adk.chat.hooks import Hooks
    from eino.adk.chat.state import ChatState
    from eino.adk.run_state import AgentRun
    from eino.components.model import ChatModel, ModelOptions
    from eino.compose.tools_node import ToolsNode
    from eino.schema.stream import StreamReader
    from eino.schema.tool import ToolInfo

__all__ = [
    "AfterTools",
    "EditHistory",
    "Turn",
    "current_turn",
    "delete_run_value",
    "run_value",
    "send_event",
    "send_tool_action",
    "set_run_value",
    "turn_here",
]


class Turn:
    """One turn of a chat agent, or the part of it after a resume. It belongs to one line of execution.

    Attributes:
        name: Name of the agent.
        path: The run path that its events carry.
        run: The turn as the run of agents knows it, which takes the events.
        state: What the turn remembers, in the state of its graph; not there until that begins.
        streaming: Whether messages are events while they come.
        model: The agent's model.
        max_iterations: Most answers of the model.
        hooks: The middlewares, by hook.
        options: Options of each call of the model but for the tools.
        offered: Options of a call that is offered the agent's tools.
        infos: The same tools.
        tools: Runs the tools, each result an event at once.
        one_tool: Runs the tool of a message that calls one: its event may wait for the stage, which comes next.
        answers_errors: Whether a tool that fails does not end the turn.
        edit_history: Changes the conversation of a turn that goes on; None if nobody does.
        direct: Names and aliases of the tools whose result is the answer.
        values: What `run_value` gives where the state has nothing.
        stack: The model with its retries and stand-ins.
        plain: Whether it has none, nobody wraps it and nothing streams: then there is one try, and no way around it.
        after_tools: Told of the conversation behind each round of tools; None if nobody is.
        call: The logical call of the model that is under way.
    """

    __slots__ = (
        "after_tools",
        "answers_errors",
        "call",
        "direct",
        "edit_history",
        "hooks",
        "infos",
        "max_iterations",
        "model",
        "name",
        "offered",
        "one_tool",
        "options",
        "path",
        "plain",
        "run",
        "stack",
        "state",
        "streaming",
        "tools",
        "values",
    )

    name: str
    path: tuple[str, ...]
    run: AgentRun
    state: ChatState
    streaming: bool
    model: ChatModel
    max_iterations: int
    hooks: Hooks
    options: ModelOptions
    offered: ModelOptions
    infos: tuple[ToolInfo, ...]
    tools: ToolsNode
    one_tool: ToolsNode
    answers_errors: bool
    direct: frozenset[str]
    values: Mapping[str, Any]
    stack: ChatModel
    plain: bool
    after_tools: AfterTools | None
    edit_history: EditHistory | None
    call: Call

    def say_stream(self, chunks: StreamReader[Message], *, tool_name: str = "") -> None:
        """Send an event of a message that still comes."""
        variant = MessageVariant(chunks, role="tool" if tool_name else "assistant", tool_name=tool_name)
        self.run.send(AgentEvent(agent_name=self.name, run_path=self.path, output=AgentOutput(message=variant)))

    def say_tool(self, message: Message) -> Message:
        """Send the result of a tool unless that was done already; return the message with its id."""
        state = self.state
        call_id = message.tool_call_id
        sent = state.sent.get(call_id) if call_id else None
        if sent is not None:
            return message if message_id(message) == sent else with_message_id(message, sent)
        if ID_KEY not in message.extra:
            message = with_message_id(message, new_message_id())
        if call_id:
            state.sent[call_id] = message.extra[ID_KEY]
        self.run.say(message, state.actions.pop(call_id, None) if state.actions else None)
        return message


AfterTools: TypeAlias = Callable[[list[Message]], Awaitable[None] | None]
"""Told of the conversation so far; may be async. What it raises ends the run."""

EditHistory: TypeAlias = Callable[[list[Message]], Sequence[Message]]
"""Returns the conversation that a resumed turn goes on with."""

_CODEC: Final = Codec()


def turn_here() -> Turn:
    """Return the turn that the caller is part of; only for code that a turn calls."""
    return _run_here.get().chat  # type: ignore[return-value]  # it has one


_run_here: Final = cast("ContextVar[AgentRun]", running_turn)


def current_turn(what: str) -> Turn:
    """Return the turn that the caller is part of.

    Raises:
        NoRunError: Outside every turn of a chat agent.
    """
    run = running_turn.get()
    turn = None if run is None else run.chat
    if turn is None:
        raise NoRunError(f"{what} was called outside a turn of a ChatModelAgent, its middlewares and its tools")
    return turn


def send_event(event: AgentEvent) -> None:
    """Send an event of the program's own from a middleware or a tool of a chat agent.

    Messages in it get no id by themselves: see `ensure_message_id`.

    Raises:
        NoRunError: Outside a turn of a chat agent.
    """
    turn = current_turn("send_event()")
    if not event.run_path:
        event = AgentEvent(
            agent_name=event.agent_name or turn.name,
            run_path=turn.path,
            output=event.output,
            action=event.action,
            error=event.error,
        )
    turn.run.send(event)


def send_tool_action(action: AgentAction) -> None:
    """Attach an action to the event of the running tool's result. Of several the last counts.

    Raises:
        NoRunError: Outside a tool of a chat agent.
    """
    from eino.compose.tools_node import current_tool_call_id

    call_id = current_tool_call_id()
    if call_id is None:
        raise NoRunError("send_tool_action() was called outside a tool: an action goes with the result of a tool call")
    current_turn("send_tool_action()").state.actions[call_id] = action


def run_value(key: str, default: Any = None) -> Any:
    """Return what a middleware or tool keeps for this turn under `key`.

    Raises:
        NoRunError: Outside a turn of a chat agent.
    """
    turn = current_turn("run_value()")
    return turn.state.local[key] if key in turn.state.local else turn.values.get(key, default)


def set_run_value(key: str, value: Any) -> None:
    """Keep a value for this turn; it outlives interrupts, so it must be storable.

    Raises:
        NoRunError: Outside a turn of a chat agent.
        CodecError: If the value cannot be stored; the text says why, and how to make a class storable.
    """
    local = current_turn("set_run_value()").state.local
    try:
        _CODEC.encode(value)
    except CodecError as error:
        error.add_note(f"set_run_value({key!r}, ...): what is kept for a run is stored when the run stops")
        raise
    local[key] = value


def delete_run_value(key: str) -> None:
    """Forget what is kept under `key`, if anything is.

    Raises:
        NoRunError: Outside a turn of a chat agent.
    """
    current_turn("delete_run_value()").state.local.pop(key, None)
