"""Holds a recorded conversation: a graph of model and tools, with the events of the run as it goes on."""

from __future__ import annotations

import importlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from eino import (
    END,
    START,
    Branch,
    Graph,
    Handler,
    Message,
    ModelOptions,
    RunInfo,
    Runnable,
    ToolInfo,
    ToolsNode,
    concat_messages,
    current_context,
)
from eino.ext.models.openai import REFUSAL, OpenAIChatModel
from eino_fixtures.cassettes import ReplayTransport
from eino_harness.demo.recording import DemoError, Recording

__all__ = ["Conversation", "Event", "build_agent", "hold_conversation"]

Write = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the run."""

    at_s: float
    """Seconds into the run."""
    what: str


@dataclass(slots=True)
class Conversation:
    """What came of it."""

    question: str
    answer: str = ""
    events: list[Event] = field(default_factory=list)
    first_chunk_s: float = 0.0
    """Seconds until the first text of the answer."""
    total_s: float = 0.0
    mermaid: str = ""
    svg: str = ""


@dataclass
class History:
    """State of the graph: all messages so far."""

    messages: list[Message] = field(default_factory=list)


class RecordedTool:
    """A tool that gives each call what it got when the conversation was recorded."""

    def __init__(self, info: ToolInfo, recording: Recording) -> None:
        self.info = info
        self._recording = recording

    async def run(self, arguments: str) -> str:
        """Return the recorded result of the running call."""
        call_id = current_context().address[-1].sub_id
        if call_id not in self._recording.tool_results:
            raise DemoError(f"the recording has no result for the call {call_id!r} of {self.info.name}({arguments})")
        return self._recording.tool_results[call_id]


class RecordedChatModel:
    """Streams where the recording streamed, and gives a whole answer as one chunk where it did not."""

    def __init__(self, model: OpenAIChatModel, streamed: Sequence[bool]) -> None:
        self._model = model
        self._streamed = list(streamed)

    def has_more(self) -> bool:
        """Return whether there is another recorded answer."""
        return bool(self._streamed)

    async def generate(self, messages: Sequence[Message], options: ModelOptions = ModelOptions()) -> Message:  # noqa: B008 - immutable
        """Return the recorded answer."""
        return await self._model.generate(messages, options)

    async def stream(
        self,
        messages: Sequence[Message],
        options: ModelOptions = ModelOptions(),  # noqa: B008 - immutable
    ) -> AsyncIterator[Message]:
        """Yield the recorded answer."""
        if self._streamed.pop(0) if self._streamed else True:
            async for chunk in self._model.stream(messages, options):
                yield chunk
        else:
            yield await self._model.generate(messages, options)


def build_agent(
    model: Any, tools: Sequence[Any], *, may_go_on: Callable[[], bool] = lambda: True
) -> Runnable[list[Message], Message]:
    """Return a ReAct-style graph: the model, and the tools that it asks for, until it asks for none.

    Args:
        model: Chat model that knows the tools.
        tools: Tools by whose names the model asks.
        may_go_on: Says whether the model can be asked again; where it cannot, a call for tools is the last word.
    """

    async def next_node(answer: AsyncIterator[Message]) -> str:
        choice = await _next(answer)  # first: the model is only asked when somebody reads its answer
        return choice if may_go_on() else END

    graph = Graph[list[Message], Message](state=History)
    graph.add_chat_model_node("model", model, pre=_remember)
    graph.add_tools_node("tools", ToolsNode(tools), pre=_remember_answer)
    graph.add_edge(START, "model")
    graph.add_branch("model", Branch(next_node, ends=["tools", END]))
    graph.add_edge("tools", "model")
    return graph.compile(name="agent", max_steps=40)


def _remember(messages: list[Message], state: History) -> list[Message]:
    """Ask the model with all that was said so far."""
    state.messages.extend(messages)
    return list(state.messages)


def _remember_answer(answer: Message, state: History) -> Message:
    """Keep an answer that asks for tools; the last answer is nobody's history, so it need not be held back."""
    state.messages.append(answer)
    return answer


async def _next(answer: AsyncIterator[Message]) -> str:
    """Decide at the first chunk that says something, so that an answer streams while it is being made.

    OpenAI's models say nothing before a tool call; for others, look for tool calls in the whole stream.
    """
    async for chunk in answer:
        if chunk.tool_calls:
            return "tools"
        if chunk.content:
            return END
    return END


async def hold_conversation(recording: Recording, *, write: Write, paced: bool = True) -> Conversation:
    """Hold the conversation, writing the answer and the events as they come.

    Args:
        recording: What the provider answers.
        write: Takes each piece of text.
        paced: Whether the answers come at the recorded pace.

    Raises:
        RunError: If the run fails, for instance because the graph asks what was not recorded.
    """
    transport = ReplayTransport(recording.calls, pace="recorded" if paced else 0.0)
    async with httpx2.AsyncClient(transport=transport) as client:
        provider = OpenAIChatModel(
            model=recording.model, api_key="recorded", base_url=recording.base_url, http_client=client
        )
        tools = [RecordedTool(info, recording) for info in recording.tools]
        model = RecordedChatModel(provider.with_tools(recording.tools) if tools else provider, recording.streamed)
        agent = build_agent(model, tools, may_go_on=model.has_more)
        conversation = Conversation(question=_question(recording), mermaid=agent.to_mermaid(), svg=agent.to_svg())
        write(f"  user: {conversation.question}\n")
        await _run(agent, recording, conversation, write)
    return conversation


async def _run(
    agent: Runnable[list[Message], Message], recording: Recording, conversation: Conversation, write: Write
) -> None:
    importlib.import_module("openai.resources.chat")  # it takes a second that is not the conversation's
    start_s = time.perf_counter()
    wanted: list[Message] = []

    def note(what: str) -> None:
        conversation.events.append(Event(time.perf_counter() - start_s, what))
        write(f"    [{conversation.events[-1].at_s:6.3f} s] {what}\n")

    async with agent.stream(list(recording.messages), callbacks=[_Watcher(note)]) as chunks:
        async for chunk in chunks:
            if not chunk.content:
                wanted.append(chunk)
                continue
            if not conversation.answer:
                conversation.first_chunk_s = time.perf_counter() - start_s
                write("  agent: ")
            conversation.answer += chunk.content
            write(chunk.content)
    conversation.total_s = time.perf_counter() - start_s
    if not conversation.answer and wanted:
        conversation.answer = _without_text(concat_messages(wanted))
        write(f"  agent: {conversation.answer}")
    write("\n")


def _without_text(answer: Message) -> str:
    """Return what to show of an answer that has no text."""
    if answer.tool_calls:
        calls = ", ".join(f"{call.name}({call.arguments})" for call in answer.tool_calls)
        return f"(asks for {calls}; the recording ends here)"
    if refusal := answer.extra.get(REFUSAL):
        return f"(refuses: {refusal})"
    reason = answer.response_meta.finish_reason if answer.response_meta is not None else ""
    return f"(answers without a text; finish reason {reason or 'unknown'})"


class _Watcher(Handler):
    """Tells of the nodes and tools of a run."""

    def __init__(self, note: Write) -> None:
        self._note = note

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - the protocol's word
        if info.component == "Tool":
            self._note(f"tool {info.name} is called with {input}")
        elif info.component == "ChatModel":
            self._note(f"{info.name} is asked with {len(input)} messages")

    def on_end(self, info: RunInfo, output: Any) -> None:
        if info.component == "Tool":
            self._note(f"tool {info.name} answered {output!s:.80}")

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self._note(f"{info.component} {info.name} failed: {error}")


def _question(recording: Recording) -> str:
    asked = [message for message in recording.messages if message.role == "user"]
    if not asked:
        return "(nothing)"
    parts = [getattr(part, "text", f"[{type(part).__name__}]") for part in asked[-1].user_parts]
    return asked[-1].content or " ".join(parts)
