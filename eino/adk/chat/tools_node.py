"""The tools node of a chat agent: the calls of one message, each result an event as soon as it is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from eino.adk.cancel import stop_after_model
from eino.adk.chat.errors import WillRetryError
from eino.adk.chat.message_ids import new_message_id, with_message_id
from eino.adk.chat.state import ChatState
from eino.adk.chat.turn import Turn, turn_here
from eino.adk.events import AgentEvent
from eino.components._model_wrapper import resolved
from eino.compose._tool_input import ToolInput, ToolNext, ToolOutput, awaited
from eino.compose._tool_messages import PieceWriter, result_message
from eino.compose._tool_policy import ToolErrorPolicy
from eino.compose.tools_node import NO_TOOLS_OPTIONS, OnUnknownTool, ToolsOptions, current_tool_call_id
from eino.schema.message import Message, tool_message
from eino.schema.stream import StreamReader
from eino.schema.tool import ToolCall
from eino.schema.tool_result import ToolResult

if TYPE_CHECKING:
    from eino.adk.chat.output import Output

__all__ = ["ToolsStage", "answering", "send_result", "telling"]


class ToolsStage:
    """Runs the tool calls of a message with the tools of the running turn."""

    component: Final = "ToolsNode"

    def __init__(self, output: Output[Any] | None) -> None:
        self._output = output

    async def invoke(self, message: Message, options: ToolsOptions = NO_TOOLS_OPTIONS) -> list[Message]:
        """Return the results in the order of the calls; the one that is the answer is the last event.

        Raises:
            ToolError: If a tool fails and nothing answers for it.
            MessageParseError: If the answer is not of the type that was asked for, and was repaired too often.
        """
        turn = turn_here()
        state = turn.state
        if turn.run.root.cancel is not None:
            stop_after_model(turn.run)
        direct = _direct(turn, message.tool_calls) if turn.direct else None
        if self._output is not None:
            direct = self._output.answered_by(message, direct)
        state.direct = direct
        if turn.streaming:
            try:
                results = await turn.tools.invoked(message, options)
            finally:
                await turn.run.settle()  # streams have ended by now, also those of tools that failed
        else:
            results = await (turn.tools if len(message.tool_calls) > 1 else turn.one_tool).invoked(message, options)
        for position, result in enumerate(results):
            if position != direct:
                results[position] = turn.say_tool(result)
        if direct is not None:
            results[direct] = turn.say_tool(results[direct])
        if state.actions:  # those of results that streamed: their events were out before the tools had ended
            for action in state.actions.values():
                turn.run.send(AgentEvent(agent_name=turn.name, run_path=turn.path, action=action))
            state.actions = {}
        state.sent = {}
        if self._output is not None and direct is None:
            self._output.count_repairs(message, state)
        if turn.after_tools is not None:
            await resolved(turn.after_tools([*state.messages, *results]))
        return results

    async def stream(self, message: Message, options: ToolsOptions = NO_TOOLS_OPTIONS) -> AsyncIterator[list[Message]]:
        """Yield the results as one chunk: what streams are the events, not the graph."""
        yield await self.invoke(message, options)


def _direct(turn: Turn, calls: tuple[ToolCall, ...]) -> int | None:
    """Return the position of the call whose result is the answer: the last one of several."""
    found = [position for position, call in enumerate(calls) if call.name in turn.direct]
    return found[-1] if found else None


async def send_result(call: ToolInput, next: ToolNext) -> ToolOutput:  # noqa: A002 - as in ToolMiddleware
    """Make an event of a result, a middleware of the tools node. The stage itself sends what this one leaves."""
    turn = turn_here()
    if turn.streaming and hasattr(call.tool, "stream"):
        call = call.replace(streaming=True)
    result = await next(call)
    if _is_held(turn.state, call):
        return result
    if isinstance(result, StreamReader):
        return _send_stream(turn, call, result)
    if isinstance(result, str | ToolResult):
        turn.say_tool(result_message(call, result))
    return result


def _is_held(state: ChatState, call: ToolInput) -> bool:
    """Whether the result is the answer of the turn, whose event comes last."""
    return (
        state.direct is not None and state.messages[-1].tool_calls[state.direct] == call.tool_call
    )  # no `is`: a resumed run has copies


def _send_stream(turn: Turn, call: ToolInput, pieces: StreamReader[Any]) -> StreamReader[Any]:
    told, rest = pieces.copy(2)
    made = new_message_id()
    writer = PieceWriter(call)

    def write(piece: Any) -> Message:
        first = not writer.wrote
        message = writer.write(piece)
        return with_message_id(message, made) if first else message

    def fail(error: Exception) -> Exception:
        return WillRetryError(1, f"{type(error).__name__}: {error}") if turn.answers_errors else error

    if call.call_id:
        turn.state.sent[call.call_id] = made
    turn.say_stream(told.map(write, on_error=fail), tool_name=call.called_name)
    return rest


def telling(policy: ToolErrorPolicy) -> ToolErrorPolicy:
    """Return the policy that also makes an event of each answer in a failed call's place."""

    async def answer(call: ToolInput, error: Exception) -> str | ToolResult:
        result = await awaited(policy(call, error))
        if isinstance(result, str | ToolResult):
            turn = turn_here()
            turn.state.sent.pop(call.call_id, None)  # a stream that broke off does not count
            if not _is_held(turn.state, call):
                turn.say_tool(result_message(call, result))
        return cast("str | ToolResult", result)

    return answer


def answering(on_unknown: OnUnknownTool) -> Callable[[str, str], Awaitable[str | ToolResult]]:
    """Return the answer to unknown tools that is also made an event."""

    async def answer(name: str, arguments: str) -> str | ToolResult:
        result = await awaited(on_unknown(name, arguments))
        call_id = current_tool_call_id() or ""
        if isinstance(result, str | ToolResult) and call_id:
            content = result if isinstance(result, str) else result.to_user_parts()
            turn_here().say_tool(tool_message(content, call_id, tool_name=name))
        return cast("str | ToolResult", result)

    return answer
