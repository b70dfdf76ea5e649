"""The graph of a chat agent: model and tools in turn, until there is an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from eino.adk.chat.model_node import ModelNode
from eino.adk.chat.output import Output
from eino.adk.chat.state import ChatState
from eino.adk.chat.tools_node import ToolsStage
from eino.adk.chat.turn import turn_here
from eino.adk.lanes import Lane
from eino.compose.branch import Branch
from eino.compose.graph import Graph
from eino.compose.names import END, START
from eino.compose.runnable import Runnable
from eino.schema.message import Message

__all__ = ["chat_graph"]

_MODEL: Final = "model"
_TOOLS: Final = "tools"
_REPAIR: Final = "repair"
_FINISH: Final = "finish"

_SPARE_STEPS: Final = 8
"""So that the limit of model calls, whose error is clearer, is reached before the one of the graph."""


def chat_graph(
    name: str, *, max_iterations: int, output: Output[Any] | None, output_key: str
) -> Runnable[list[Message], Lane]:
    """Return the graph that runs a turn of a chat agent and gives what it said."""
    graph = Graph[Any, Any](state=_new_state)
    graph.add_chat_model_node(_MODEL, ModelNode())
    graph.add_tools_node(_TOOLS, ToolsStage(output))
    graph.add_lambda_node(_FINISH, _finish(output_key))
    graph.add_edge(START, _MODEL)
    ends = [_TOOLS, _FINISH]
    if output is not None:
        graph.add_lambda_node(_REPAIR, _repair(output)).add_edge(_REPAIR, _MODEL)
        ends.append(_REPAIR)
    graph.add_branch(_MODEL, Branch(_after_model(output), ends=ends))
    graph.add_branch(_TOOLS, Branch(_after_tools, ends=(_MODEL, _FINISH)))
    graph.add_edge(_FINISH, END)
    return graph.compile(name=name, max_steps=2 * max_iterations + _SPARE_STEPS)


def _new_state() -> ChatState:
    """Return what a turn remembers that begins; one that goes on remembers what is stored (`on_restored`)."""
    turn = turn_here()
    turn.state = state = ChatState(lane=turn.run.lane)
    return state


def _after_model(output: Output[Any] | None) -> Callable[[Message], str]:
    def wants_tools(message: Message) -> str:
        return _TOOLS if message.tool_calls else _FINISH

    if output is None:
        return wants_tools
    checked = output

    def wants_what(message: Message) -> str:
        if message.tool_calls:
            return _TOOLS
        return _FINISH if checked.accepts(message) else _REPAIR

    return wants_what


def _after_tools(_: list[Message]) -> str:
    return _MODEL if turn_here().state.direct is None else _FINISH


def _repair(output: Output[Any]) -> Callable[[Message], list[Message]]:
    def repair(message: Message) -> list[Message]:
        return [output.repair(message, turn_here().state)]

    return repair


def _finish(output_key: str) -> Callable[[Any], Any]:
    async def finish(given: Message | list[Message]) -> Lane:
        turn = turn_here()
        state = turn.state
        if isinstance(given, Message):
            answer, messages = given, state.messages
        else:
            answer, messages = given[cast("int", state.direct)], [*state.messages, *given]
        for hook in turn.hooks.after_agent:
            await hook(tuple(messages))
        run = turn.run
        if output_key:
            run.set_value(output_key, answer.content)
        await run.settle()
        return run.lane

    return finish
