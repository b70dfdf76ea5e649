"""`PatchToolCalls`: answers for tool calls that have none; models refuse conversations in which one is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eino.adk.chat.message_ids import ensure_message_id
from eino.adk.middleware import Middleware, ModelTurn
from eino.errors import BuildError
from eino.schema.message import Message, tool_message
from eino.schema.tool import ToolCall

__all__ = ["PatchToolCalls"]


class PatchToolCalls(Middleware):
    """Puts an answer behind each tool call that has none, such as where a user wrote before a tool had ended.

    Only the tool messages directly behind the call's message count. The answer comes first among them.
    """

    def __init__(self, text: Callable[[ToolCall], str] | None = None) -> None:
        """Make one.

        Args:
            text: Gives the answer to a call; unless given, that it was cancelled.

        Raises:
            BuildError: If `text` is no function.
        """
        if text is not None and not callable(text):
            raise BuildError(f"PatchToolCalls({text!r}): give a function of the tool call")
        self._text = text or _cancelled

    async def before_model(self, turn: ModelTurn) -> ModelTurn:
        """Return the conversation with all answers."""
        patched = self.patched(turn.messages)
        return turn if len(patched) == len(turn.messages) else turn.replace(messages=tuple(patched))

    def patched(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages with an answer to each call."""
        whole: list[Message] = []
        for position, message in enumerate(messages):
            whole.append(message)
            if message.tool_calls:
                answered = _answered_behind(messages, position)
                whole.extend(self._answer(call) for call in message.tool_calls if call.id not in answered)
        return whole

    def _answer(self, call: ToolCall) -> Message:
        return ensure_message_id(tool_message(self._text(call), call.id, tool_name=call.name))


def _cancelled(call: ToolCall) -> str:
    return (
        f"Tool call {call.name} with id {call.id} was canceled - another message came in before it could be completed."
    )


def _answered_behind(messages: Sequence[Message], position: int) -> set[str]:
    answered: set[str] = set()
    for message in messages[position + 1 :]:
        if message.role != "tool":
            break
        answered.add(message.tool_call_id)
    return answered
