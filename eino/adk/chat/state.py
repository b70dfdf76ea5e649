"""What one run of a chat agent remembers; it is in checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eino.adk._here import current_turn
from eino.adk.lanes import LaneState
from eino.schema.codec import register
from eino.schema.message import Message
from eino.schema.tool import ToolInfo

__all__ = ["ChatState"]


@register("eino.adk.ChatState")
@dataclass(slots=True)
class ChatState(LaneState):
    """What one run of a `ChatModelAgent` remembers."""

    messages: list[Message] = field(default_factory=list)
    """The conversation: the prompt, what the model asked for, what the tools gave."""
    model_calls: int = 0
    """Answers of the model so far."""
    repairs: int = 0
    """How often the model was told that its answer is not of the type that was asked for."""
    tools: tuple[ToolInfo, ...] | None = None
    """What the model is offered, once a middleware changed it; None: the tools of the agent."""
    direct: int | None = None
    """Position of the tool call whose result is the answer; None when the model has the last word."""
    sent: dict[str, str] = field(default_factory=dict)
    """By id of a tool call of this round, the id of the message that was sent as its event."""
    actions: dict[str, Any] = field(default_factory=dict)
    """By id of a tool call, the action that its event will carry."""
    local: dict[str, Any] = field(default_factory=dict)
    """What middlewares keep for this run."""

    def on_restored(self) -> None:
        """Go on with the stored lane, and with the conversation as the call that goes on wants it."""
        LaneState.on_restored(self)
        run = current_turn.get()
        turn = None if run is None else run.chat
        if turn is None:
            return
        turn.state = self
        if turn.edit_history is not None:
            self.messages = list(turn.edit_history(list(self.messages)))
