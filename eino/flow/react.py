"""`ReactAgent`: a model and its tools in a loop, until the model answers."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from eino._run import RunContext, StateError, current_context
from eino.components.model import ChatModel, ModelOptions
from eino.components.tools import Tool
from eino.compose.branch import Branch
from eino.compose.graph import Graph
from eino.compose.lambdas import Lambda
from eino.compose.names import END, START
from eino.compose.opening import Opening
from eino.compose.runnable import Runnable
from eino.compose.tools_node import ToolsNode, ToolsOptions, current_tool_call_id
from eino.errors import BuildError
from eino.schema.message import Message, system_message

__all__ = ["HasToolCalls", "MessageModifier", "ReactAgent", "ReactState", "first_chunk", "return_directly"]

Messages: TypeAlias = list[Message]

MessageModifier: TypeAlias = Callable[[Messages], Messages | Awaitable[Messages]]
"""Takes the messages of a model call and returns those that the model gets; it may be an `async def`."""

HasToolCalls: TypeAlias = Callable[[AsyncIterator[Message]], Awaitable[bool]]
"""Reads an answer while it streams, and says as soon as it knows whether there are tool calls in it."""

_MODEL, _TOOLS, _DIRECT = "model", "tools", "direct"


@dataclass
class ReactState:
    """What one run of a `ReactAgent` remembers."""

    messages: list[Message] = field(default_factory=list)
    """The conversation: what the caller gave, what the model asked for, what the tools gave."""
    direct_id: str | None = None
    """Id of the tool call whose result is the answer; None when the model has the last word."""


def return_directly() -> None:
    """Make the result of the running tool the answer of the agent; the model is not asked again.

    Where several tools of one message call it, the last caller wins; it also wins over `ReactAgent(return_directly=)`.

    Raises:
        NoRunError: Outside a run.
        StateError: Outside a tool of a `ReactAgent`.
    """
    context = current_context()
    call_id = current_tool_call_id()
    if call_id is None:
        raise StateError("return_directly() was called outside a tool: only the result of a tool call can be returned")
    context.state_of(ReactState).direct_id = call_id


class ReactAgent:
    """A model that may call tools, again and again, until it answers (the ReAct pattern).

    The whole answer of the model is looked at before the agent decides that it is the last one, so a model that
    writes text in front of its tool calls works. The price is that a streamed answer reaches the caller when it is
    complete: give `has_tool_calls=first_chunk` to get the tokens as they come, if the model names its tool calls in
    its first chunk. The agent does not change; tasks and threads may share it.
    """

    def __init__(
        self,
        *,
        model: ChatModel,
        tools: Iterable[Tool] | ToolsNode = (),
        max_steps: int | None = None,
        message_modifier: MessageModifier | str | None = None,
        message_rewriter: MessageModifier | None = None,
        return_directly: Collection[str] = (),
        has_tool_calls: HasToolCalls | None = None,
        name: str = "react",
        compile_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Build the agent.

        Args:
            model: What answers. It gets the tools through `with_tools`.
            tools: What it may call: tools, or a `ToolsNode` that says how they are called (order, errors, aliases).
                For tools given as a list, an error of a tool ends the run.
            max_steps: Most calls of the model and rounds of tools together; by default 13, as for any graph of three
                nodes.
            message_modifier: Changes what the model sees, call by call, and nothing else: such as a system prompt in
                front. A text is that: a system message.
            message_rewriter: Changes the stored conversation before each call of the model, such as to shorten it;
                it runs before the modifier.
            return_directly: Names of tools whose result is the answer. Of several in one message the first counts.
            has_tool_calls: Looks for tool calls in a streamed answer; by default the whole answer is read.
            name: Name of the graph, in callbacks and errors.
            compile_options: Further compile options of the graph, such as `checkpoint_store`.

        Raises:
            BuildError: If the model cannot take the tools, a name in `return_directly` is no tool's, or a compile
                option is wrong.
        """
        node = tools if isinstance(tools, ToolsNode) else ToolsNode(tools)
        _check_direct(return_directly, node)
        self.tools_node = node
        self.name = name
        self._direct = frozenset(return_directly)
        self.graph = self._graph(_with_tools(model, node), message_modifier, message_rewriter, has_tool_calls)
        options: dict[str, Any] = {"name": name, **(compile_options or {})}
        if max_steps is not None:
            options["max_steps"] = max_steps
        self.runnable: Runnable[Messages, Message] = self.graph.compile(**options)

    def __repr__(self) -> str:
        return f"ReactAgent({self.name!r}, tools={[each.info.name for each in self.tools_node.tools]!r})"

    async def generate(
        self,
        messages: Sequence[Message] = (),
        *,
        tools: Iterable[Tool] | None = None,
        model_options: ModelOptions | None = None,
        tools_options: ToolsOptions | None = None,
        **options: Any,
    ) -> Message:
        """Return the answer.

        Args:
            messages: The conversation so far.
            tools: What the model may call in this run, instead of the agent's own tools.
            model_options: Options of each call of the model.
            tools_options: Options of each round of tools.
            options: Call options, see `eino.compose.settings.CallOptions`.

        Raises:
            RunError: If the model or a tool fails, or there are more than `max_steps` steps.
        """
        given = _call_options(options, tools, model_options, tools_options)
        return await self.runnable.invoke(list(messages), **given)

    def stream(
        self,
        messages: Sequence[Message] = (),
        *,
        tools: Iterable[Tool] | None = None,
        model_options: ModelOptions | None = None,
        tools_options: ToolsOptions | None = None,
        **options: Any,
    ) -> Opening[Message]:
        """Return the answer as a stream, open in any of three ways, as `Runnable.stream`; see `generate`.

        Raises:
            RunError: When it is opened or read, as for `generate`.
        """
        given = _call_options(options, tools, model_options, tools_options)
        return self.runnable.stream(list(messages), **given)

    def _graph(
        self,
        model: ChatModel,
        modifier: MessageModifier | str | None,
        rewriter: MessageModifier | None,
        has_tool_calls: HasToolCalls | None,
    ) -> Graph[Messages, Message]:
        graph = Graph[Messages, Message](state=ReactState)
        graph.add_chat_model_node(_MODEL, model, pre=_recall(rewriter, _modifier(modifier)))
        graph.add_tools_node(_TOOLS, self.tools_node, pre=self._remember_calls)
        graph.add_lambda_node(_DIRECT, Lambda(invoke=_direct_result, transform=_direct_chunks))
        graph.add_edge(START, _MODEL)
        graph.add_branch(_MODEL, Branch(_after_model(has_tool_calls), ends=(_TOOLS, END)))
        after_tools = _after_tools_at_once if self._direct else _after_tools
        graph.add_branch(_TOOLS, Branch(after_tools, ends=(_MODEL, _DIRECT)))
        graph.add_edge(_DIRECT, END)
        return graph

    def _remember_calls(self, message: Message, state: ReactState) -> Message:
        state.messages.append(message)
        direct = (call.id for call in message.tool_calls if call.name in self._direct)
        state.direct_id = next(direct, None)
        return message


async def first_chunk(answer: AsyncIterator[Message]) -> bool:
    """Decide on the first chunk that holds anything, as a value of `has_tool_calls`.

    The answer then reaches the caller as it comes; but a model that writes text in front of its tool calls looks as if
    it had answered.
    """
    async for chunk in answer:
        if chunk.tool_calls:
            return True
        if chunk.content:
            return False
    return False


def _check_direct(names: Collection[str], node: ToolsNode) -> None:
    known = [tool.info.name for tool in node.tools]
    for name in [names] if isinstance(names, str) else names:
        if name not in known or isinstance(names, str):
            raise BuildError(f"return_directly={names!r}: give a set of names of tools; the tools are {known}")


def _with_tools(model: ChatModel, node: ToolsNode) -> ChatModel:
    if not node.tools:
        return model
    with_tools = getattr(model, "with_tools", None)
    if with_tools is None:
        raise BuildError(
            f"{model!r} cannot call tools: it has no with_tools(tools) method; give a ToolCallingChatModel, or no tools"
        )
    return with_tools(node.tools)  # type: ignore[no-any-return]  # of the model's own type


def _modifier(modifier: MessageModifier | str | None) -> MessageModifier | None:
    if not isinstance(modifier, str):
        return modifier
    prompt = system_message(modifier)
    return lambda messages: [prompt, *messages]


def _recall(
    rewriter: MessageModifier | None, modifier: MessageModifier | None
) -> Callable[[Messages, ReactState], Any]:
    """Return what turns the new messages into what the model sees, which is all of them."""

    def recall(messages: Messages, state: ReactState) -> Messages:
        state.messages.extend(messages)
        return list(state.messages)

    async def recall_changed(messages: Messages, state: ReactState) -> Messages:
        state.messages.extend(messages)
        if rewriter is not None:
            state.messages = list(await _awaited(rewriter(state.messages)))
        seen = list(state.messages)
        return seen if modifier is None else await _awaited(modifier(seen))

    return recall if rewriter is None and modifier is None else recall_changed


async def _awaited(result: Messages | Awaitable[Messages]) -> Messages:
    return await result if inspect.isawaitable(result) else result


def _after_model(has_tool_calls: HasToolCalls | None) -> Callable[..., Any]:
    if has_tool_calls is None:
        return _wants_tools
    look = has_tool_calls

    async def look_while_it_streams(answer: AsyncIterator[Message]) -> str:
        return _TOOLS if await look(answer) else END

    return look_while_it_streams


def _wants_tools(message: Message) -> str:
    return _TOOLS if message.tool_calls else END


def _after_tools(_: Messages, ctx: RunContext[ReactState]) -> str:
    return _MODEL if ctx.state.direct_id is None else _DIRECT


async def _after_tools_at_once(results: AsyncIterator[Messages], ctx: RunContext[ReactState]) -> str:
    """Decide before the tools have ended where the answer is theirs: it can be streamed."""
    if ctx.state.direct_id is None:
        async for _ in results:  # any of them may still call return_directly()
            pass
    return _MODEL if ctx.state.direct_id is None else _DIRECT


def _direct_result(results: Messages, ctx: RunContext[ReactState]) -> Message:
    return results[_direct_position(ctx)]


async def _direct_chunks(rows: AsyncIterator[Messages], ctx: RunContext[ReactState]) -> AsyncIterator[Message]:
    position = _direct_position(ctx)
    async for row in rows:  # a row holds a piece of one result, and None for the others
        if (chunk := row[position]) is not None:
            yield chunk


def _direct_position(ctx: RunContext[ReactState]) -> int:
    calls = ctx.state.messages[-1].tool_calls
    return next(index for index, call in enumerate(calls) if call.id == ctx.state.direct_id)


def _call_options(
    options: dict[str, Any],
    tools: Iterable[Tool] | None,
    model_options: ModelOptions | None,
    tools_options: ToolsOptions | None,
) -> dict[str, Any]:
    """Return the call options with those for the two nodes among them; what the caller gave by node wins."""
    nodes: dict[Any, Any] = {}
    if tools is not None:
        offered = tuple(tools)
        model_options = ModelOptions(tools=offered).merge(model_options or ModelOptions())
        tools_options = ToolsOptions(tools=offered).merge(tools_options or ToolsOptions())
    if model_options is not None:
        nodes[_MODEL] = model_options
    if tools_options is not None:
        nodes[_TOOLS] = tools_options
    if not nodes:
        return options
    return {**options, "options": {**nodes, **(options.get("options") or {})}}
