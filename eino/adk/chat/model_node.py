"""The model node of a chat agent: hooks, the call, and what is remembered of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from eino.adk.cancel import stop_after_tools
from eino.adk.chat.attempts import Call, accepted, generated
from eino.adk.chat.errors import MaxIterationsError, MiddlewareError
from eino.adk.chat.message_ids import new_message_id, with_message_id
from eino.adk.chat.state import ChatState
from eino.adk.chat.turn import Turn, turn_here
from eino.adk.middleware import ModelTurn
from eino.components.model import NO_MODEL_OPTIONS, ModelOptions
from eino.schema.message import Message
from eino.schema.tool import ToolInfo

__all__ = ["ModelNode"]


class ModelNode:
    """Asks the model of the running turn. The state changes only when there is an answer, so it may run again."""

    self_instrumented: Final = True
    """Handlers hear each try of the model itself."""

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the answer to the conversation with `messages` behind it.

        Raises:
            MaxIterationsError: If the model answered as often as it may.
            BudgetExceededError: If the models of the run cost as much as they may.
            MiddlewareError: If a hook fails.
            Exception: What the model fails with.
        """
        turn = turn_here()
        run, state = turn.run, turn.state
        if run.root.cancel is not None and messages and messages[-1].role == "tool":
            stop_after_tools(run)
        if run.root.meter is not None:
            run.root.meter.require(run)
        if state.model_calls >= turn.max_iterations:
            raise MaxIterationsError(_too_many(turn), kind="node")
        conversation = [*state.messages, *messages]
        if turn.hooks.before_model or state.tools is not None:
            conversation = await _before(turn, state, conversation, options)
        unchanged = state.tools is None and options is NO_MODEL_OPTIONS
        asked = turn.offered if unchanged else _options(turn, state, options)
        if turn.plain:
            said = await generated(turn.model, conversation, asked)
            answer = with_message_id(accepted(said, turn.model, run), new_message_id())
            run.say(answer)
        else:
            turn.call = call = Call(turn)
            try:
                answer = await call.answer(turn.stack, conversation, asked)
            finally:
                del turn.call  # they know each other
                await turn.run.settle()  # streams have ended by now, also those of tries that failed
            if call.persisted is not None:
                conversation = list(call.persisted)
        conversation = [*conversation, answer]
        if turn.hooks.after_model:
            conversation = await _after(turn, state, conversation, options)
            answer = conversation[-1]
        state.messages = conversation
        state.model_calls += 1
        return answer

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        """Yield the answer as one chunk: what streams are the events, not the graph."""
        yield await self.generate(messages, options)


def _options(turn: Turn, state: ChatState, options: ModelOptions) -> ModelOptions:
    tools = turn.infos if state.tools is None else state.tools
    return turn.options.merge(options).merge(ModelOptions(tools=tools))


async def _before(turn: Turn, state: ChatState, conversation: list[Message], options: ModelOptions) -> list[Message]:
    given = before = _view(turn, state, conversation, options)
    for hook in turn.hooks.before_model:
        given = await hook(given, ModelTurn)
    _keep_tools(state, before.tools, given.tools)
    return list(given.messages)


async def _after(turn: Turn, state: ChatState, conversation: list[Message], options: ModelOptions) -> list[Message]:
    given = before = _view(turn, state, conversation, options)
    for hook in turn.hooks.after_model:
        given = await hook(given, ModelTurn)
    _keep_tools(state, before.tools, given.tools)
    if not given.messages or given.messages[-1].role != "assistant":
        last = repr(given.messages[-1]) if given.messages else "nothing"
        raise MiddlewareError(f"after_model left {last} as the last message: it must be an assistant's")
    return list(given.messages)


def _view(turn: Turn, state: ChatState, conversation: list[Message], options: ModelOptions) -> ModelTurn:
    return ModelTurn(
        agent_name=turn.name,
        messages=tuple(conversation),
        tools=turn.infos if state.tools is None else state.tools,
        model=turn.model,
        iteration=state.model_calls + 1,
        options=turn.options.merge(options),
    )


def _keep_tools(state: ChatState, before: tuple[ToolInfo, ...], after: Sequence[ToolInfo]) -> None:
    if after is not before:
        state.tools = tuple(after)


def _too_many(turn: Turn) -> str:
    path = " > ".join(turn.path)
    return (
        f"agent {turn.name!r} exceeds max iterations: the model answered max_iterations={turn.max_iterations} times "
        f"and still wants more; raise it, or find out why the model loops (run path: {path})"
    )
