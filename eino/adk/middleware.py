"""`Middleware`: what a program may hang into a chat agent, from the prompt to each call of its model and its tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from eino.components.model import ChatModel, ModelOptions
from eino.components.tools import Tool
from eino.compose.tools_node import ToolInput, ToolNext, ToolOutput
from eino.schema.message import Message
from eino.schema.tool import ToolInfo

__all__ = ["AgentSetup", "Middleware", "ModelTurn", "SendsModelEvents", "SendsToolEvents"]


class AgentSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent begins a turn with; `replace` gives a changed copy."""

    agent_name: str
    instruction: str
    """The system message; empty: there is none."""
    tools: tuple[Tool, ...] = ()
    """What the model is offered, and what it may call."""
    return_directly: frozenset[str] = frozenset()
    """Names of tools whose result is the answer."""
    values: Mapping[str, Any] = {}
    """What `run_value` gives in this turn until somebody sets it."""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the fields in `changes` set to new values.

        Raises:
            TypeError: If a name is not a field.
        """
        return msgspec.structs.replace(self, **changes)


class ModelTurn(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation around one call of the model; `replace` gives a changed copy."""

    agent_name: str
    messages: tuple[Message, ...]
    """What the model sees; behind the call the last one is its answer. What a hook returns is kept."""
    tools: tuple[ToolInfo, ...]
    """What the model is offered, in this call and in later ones."""
    model: ChatModel
    """The model of the agent, for hooks that want to ask something themselves."""
    iteration: int
    """Number of the call in this turn, from 1."""
    options: ModelOptions
    """Options of the call but for the tools."""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the fields in `changes` set to new values.

        Raises:
            TypeError: If a name is not a field.
        """
        return msgspec.structs.replace(self, **changes)


class Middleware:
    """Changes what a chat agent does. Override the hooks that you need; those that you leave cost nothing.

    Hooks run in the order of the agent's `middlewares`, and the first that fails ends the turn. Wrappers nest: the
    first is outermost. The order around a call of the model is: `before_model` of each; then stand-ins, retries, the
    event, `wrap_model` of each, the model; then `after_model` of each. So the hooks run once a call, the wrappers once
    a try, and the event shows what the wrappers gave. Around a tool: the event, `wrap_tool` of each, the tool.

    One middleware serves any number of runs at once: keep what belongs to a run with `set_run_value`.
    """

    async def before_agent(self, setup: AgentSetup) -> AgentSetup:
        """Return what the turn begins with. Runs again when a stopped turn is resumed."""
        return setup

    async def after_agent(self, messages: tuple[Message, ...]) -> None:
        """Hear of the whole conversation when there is an answer; not after errors and interrupts."""

    async def before_model(self, turn: ModelTurn) -> ModelTurn:
        """Return the conversation that the model gets, and that is kept from now on."""
        return turn

    async def after_model(self, turn: ModelTurn) -> ModelTurn:
        """Return the conversation that is kept; its last message decides how the turn goes on. The event is out."""
        return turn

    async def wrap_model(self, model: ChatModel) -> ChatModel:
        """Return a model around `model`, for one try of one call."""
        return model

    async def wrap_tool(self, call: ToolInput, next: ToolNext) -> ToolOutput:  # noqa: A002 - as in ToolMiddleware
        """Return the result of a tool call: `await next(call)`, or something else. See `ToolMiddleware`."""
        return await next(call)


class SendsModelEvents(Middleware):
    """Marks the place among the middlewares at which the model's answers become events, instead of outermost.

    As the last one of the list it sends what the model said, before any wrapper changed it.
    """


class SendsToolEvents(Middleware):
    """Marks the place among the middlewares at which the results of tools become events, instead of outermost."""
