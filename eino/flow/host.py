"""`HostMultiAgent`: a host model that answers itself or hands the conversation to specialists."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from eino._run import RunContext
from eino.components.model import ChatModel, ToolCallingChatModel
from eino.compose.branch import Branch
from eino.compose.graph import Graph
from eino.compose.lambdas import Lambda
from eino.compose.names import END, START
from eino.compose.node import NodeOptions
from eino.compose.opening import Opening
from eino.compose.runnable import Runnable
from eino.errors import BuildError, ToolError
from eino.flow.react import HasToolCalls
from eino.schema.message import Message, assistant_message, system_message, user_message
from eino.schema.tool import ToolCall, ToolInfo

__all__ = ["HOST_PROMPT", "SUMMARY_PROMPT", "HostMultiAgent", "HostState", "OnHandOff", "Specialist"]

OnHandOff: TypeAlias = Callable[[str, str], Awaitable[None] | None]
"""`on_hand_off(name, arguments)`: hears of a hand-off, with the arguments of the tool call as the model wrote them."""

HOST_PROMPT: Final = (
    "Decide who answers the user best. Each of your tools hands the whole conversation to one specialist; its "
    "description says what the specialist is for. Call the tools of all specialists that are needed, at once. If none "
    "of them fits, answer yourself."
)
"""What the host is told when no other prompt is given."""

SUMMARY_PROMPT: Final = (
    "Several specialists have answered the user's last message. Give one answer that joins what they found, in the "
    "user's language. Leave out repetitions, keep facts and figures, and say where the specialists disagree."
)
"""What the summarizer is told when no other prompt is given."""

_HOST, _ROUTE, _GATHER, _ANSWER, _BRIEF, _SUMMARIZE = "host", "route", "gather", "answer", "brief", "summarize"
_RESERVED: Final = (_HOST, _ROUTE, _GATHER, _ANSWER, _BRIEF, _SUMMARIZE)
_REASON: Final = {
    "type": "object",
    "properties": {"reason": {"type": "string", "description": "Why this specialist should answer."}},
    "required": ["reason"],
    "additionalProperties": False,
}

Messages: TypeAlias = list[Message]
Answers: TypeAlias = dict[str, Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialist:
    """One that the host may hand the conversation to."""

    name: str
    """Name of its tool and of its node."""
    description: str
    """What it is for; the host decides by it."""
    agent: Any
    """What answers, `list[Message]` to `Message`: a chat model, a function, a graph, or an agent of `eino.flow`."""
    system_prompt: str = ""
    """System message put in front of the conversation; none if empty."""


@dataclass
class HostState:
    """What one run of a `HostMultiAgent` remembers."""

    messages: list[Message] = field(default_factory=list)
    """The conversation that the caller gave."""
    chosen: list[str] = field(default_factory=list)
    """Names of the specialists that the host chose, in the order of its calls."""


class HostMultiAgent:
    """A host model that answers itself, or hands the conversation to one or several specialists.

    One specialist's answer goes straight to the caller, as it streams. Several specialists answer at once; their
    answers are joined by the summarizer, or, without one, put behind each other in the order of the host's calls. The
    agent does not change; tasks and threads may share it.
    """

    def __init__(
        self,
        *,
        host: ToolCallingChatModel,
        specialists: Iterable[Specialist],
        system_prompt: str = HOST_PROMPT,
        summarizer: ChatModel | None = None,
        summary_prompt: str = SUMMARY_PROMPT,
        on_hand_off: OnHandOff | None = None,
        has_tool_calls: HasToolCalls | None = None,
        name: str = "host",
        compile_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Build the agent.

        Args:
            host: Decides. It gets one tool for each specialist, through `with_tools`.
            specialists: Who can be chosen; at least one.
            system_prompt: What the host is told; an empty text sends none.
            summarizer: Joins several answers into one.
            summary_prompt: What the summarizer is told.
            on_hand_off: Hears of each hand-off before the specialists begin; it may be an `async def`.
            has_tool_calls: Looks for hand-offs in the host's streamed answer; by default the whole answer is read,
                so a direct answer arrives when it is complete. See `eino.flow.first_chunk`.
            name: Name of the graph, in callbacks and errors.
            compile_options: Further compile options of the graph.

        Raises:
            BuildError: If there is no specialist, two have one name, one has no name or description, or one is
                called like one of the agent's own nodes.
        """
        self.specialists = tuple(specialists)
        _check(self.specialists)
        self.name = name
        self._on_hand_off = on_hand_off
        infos = [
            ToolInfo(name=each.name, description=each.description, json_schema=_REASON) for each in self.specialists
        ]
        self.graph = self._graph(host.with_tools(infos), system_prompt, has_tool_calls, summarizer, summary_prompt)
        self.runnable: Runnable[Messages, Message] = self.graph.compile(name=name, **(compile_options or {}))

    def __repr__(self) -> str:
        return f"HostMultiAgent({self.name!r}, specialists={[each.name for each in self.specialists]!r})"

    async def generate(self, messages: Sequence[Message], **options: Any) -> Message:
        """Return the answer.

        Args:
            messages: The conversation so far.
            options: Call options, see `eino.compose.settings.CallOptions`.

        Raises:
            RunError: If the host or a specialist fails, or the host chose somebody who is not there.
        """
        return await self.runnable.invoke(list(messages), **options)

    def stream(self, messages: Sequence[Message], **options: Any) -> Opening[Message]:
        """Return the answer as a stream, open in any of three ways, as `Runnable.stream`; see `generate`.

        Raises:
            RunError: When it is opened or read, as for `generate`.
        """
        return self.runnable.stream(list(messages), **options)

    def _graph(
        self,
        host: ChatModel,
        prompt: str,
        has_tool_calls: HasToolCalls | None,
        summarizer: ChatModel | None,
        summary_prompt: str,
    ) -> Graph[Messages, Message]:
        names = tuple(each.name for each in self.specialists)
        graph = Graph[Messages, Message](state=HostState)
        graph.add_chat_model_node(_HOST, host, pre=_remembering(prompt))
        graph.add_lambda_node(_ROUTE, self._route)
        graph.add_edge(START, _HOST)
        graph.add_branch(_HOST, Branch(_after_host(has_tool_calls), ends=(_ROUTE, END)))
        for each in self.specialists:
            agent = getattr(each.agent, "runnable", each.agent)
            options: NodeOptions = {"output_key": each.name}
            if each.system_prompt:
                options["pre"] = _prefixing(each.system_prompt)
            graph.add_node(each.name, agent, **options)
        graph.add_branch(_ROUTE, Branch(_chosen, ends=names))
        graph.add_lambda_node(_ANSWER, Lambda(invoke=_joined, transform=_joined_chunks))
        graph.add_edge(_ANSWER, END)
        if summarizer is not None:
            _add_summarizer(graph, summarizer, summary_prompt)
        for name in names:
            graph.add_edge(name, _ANSWER if summarizer is None else _GATHER)
        return graph

    async def _route(self, message: Message, ctx: RunContext[HostState]) -> Messages:
        """Note whom the host chose, and return what they get: the conversation."""
        state = ctx.state
        known = [each.name for each in self.specialists]
        for call in message.tool_calls:
            if call.name not in known:
                raise ToolError(
                    f"the host handed off to {call.name!r}, which is no specialist; the specialists are {known}: say "
                    "so in system_prompt, or add it"
                )
        for call in message.tool_calls:
            await self._tell(call)
            if call.name not in state.chosen:
                state.chosen.append(call.name)
        return list(state.messages)

    async def _tell(self, call: ToolCall) -> None:
        if self._on_hand_off is not None:
            told = self._on_hand_off(call.name, call.arguments)
            if inspect.isawaitable(told):
                await told


def _check(specialists: Sequence[Specialist]) -> None:
    if not specialists:
        raise BuildError("HostMultiAgent(specialists=[]): give at least one Specialist(name=, description=, agent=)")
    seen: set[str] = set()
    for each in specialists:
        if not isinstance(each, Specialist):
            raise BuildError(
                f"HostMultiAgent(specialists=[{each!r:.200}]): give Specialist(name=, description=, agent=)"
            )
        for what in ("name", "description"):
            if not getattr(each, what):
                raise BuildError(f"{each!r:.200} has no {what}: the host chooses by name and description")
        if each.name in seen:
            raise BuildError(f"two specialists are called {each.name!r}: their names are the names of tools")
        if each.name in _RESERVED:
            raise BuildError(f"a specialist cannot be called {each.name!r}; the names {', '.join(_RESERVED)} are taken")
        seen.add(each.name)


def _add_summarizer(graph: Graph[Messages, Message], summarizer: ChatModel, prompt: str) -> None:
    """Let several answers go through the summarizer; a single one passes it by."""

    def brief(answers: Answers, ctx: RunContext[HostState]) -> Messages:
        state = ctx.state
        found = "\n\n".join(f"{name} answered:\n{answers[name].content}" for name in state.chosen)
        return [system_message(prompt), *state.messages, user_message(found)]

    async def one_or_several(_: AsyncIterator[Answers], ctx: RunContext[HostState]) -> str:
        return _ANSWER if len(ctx.state.chosen) == 1 else _BRIEF

    graph.add_passthrough_node(_GATHER)
    graph.add_lambda_node(_BRIEF, brief)
    graph.add_chat_model_node(_SUMMARIZE, summarizer)
    graph.add_branch(_GATHER, Branch(one_or_several, ends=(_ANSWER, _BRIEF)))
    graph.add_edge(_BRIEF, _SUMMARIZE)
    graph.add_edge(_SUMMARIZE, END)


def _remembering(prompt: str) -> Callable[[Messages, HostState], Messages]:
    front = [system_message(prompt)] if prompt else []

    def remember(messages: Messages, state: HostState) -> Messages:
        state.messages = list(messages)
        return [*front, *messages]

    return remember


def _prefixing(prompt: str) -> Callable[[Messages, HostState], Messages]:
    front = system_message(prompt)

    def prefix(messages: Messages, _: HostState) -> Messages:
        return [front, *messages]

    return prefix


def _after_host(has_tool_calls: HasToolCalls | None) -> Callable[..., Any]:
    if has_tool_calls is None:
        return _hands_off
    look = has_tool_calls

    async def look_while_it_streams(answer: AsyncIterator[Message]) -> str:
        return _ROUTE if await look(answer) else END

    return look_while_it_streams


def _hands_off(message: Message) -> str:
    return _ROUTE if message.tool_calls else END


def _chosen(_: Messages, ctx: RunContext[HostState]) -> list[str]:
    return ctx.state.chosen


def _joined(answers: Answers, ctx: RunContext[HostState]) -> Message:
    chosen = ctx.state.chosen
    if len(chosen) == 1:
        return answers[chosen[0]]
    return assistant_message("".join(f"{answers[name].content}\n" for name in chosen))


async def _joined_chunks(chunks: AsyncIterator[Answers], ctx: RunContext[HostState]) -> AsyncIterator[Message]:
    """Yield one answer as it comes; of several, the texts one behind the other, the rest as soon as it is its turn."""
    chosen = ctx.state.chosen
    if len(chosen) == 1:
        async for chunk in chunks:
            for message in chunk.values():
                yield message
        return
    texts: dict[str, list[str]] = {name: [] for name in chosen}
    async for chunk in chunks:
        for name, message in chunk.items():
            if name == chosen[0] and message.content:
                yield assistant_message(message.content)
            elif message.content:
                texts[name].append(message.content)
    yield assistant_message("\n" + "".join("".join(texts[name]) + "\n" for name in chosen[1:]))
