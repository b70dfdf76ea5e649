"""A ReAct-style agent as a graph: the model asks for tools until it can answer, and the answer streams.

The model here is a `ScriptedChatModel`, so the program needs no key and no network; a real one takes its place without
another change. Run it with `python examples/react_graph.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from eino import (
    END,
    START,
    Branch,
    Graph,
    Handler,
    Message,
    RunInfo,
    Runnable,
    StreamReader,
    ToolsNode,
    tool,
    tool_call,
    user_message,
)
from eino_fixtures import ScriptedChatModel


@dataclass
class Conversation:
    """State of one run: all messages so far."""

    messages: list[Message] = field(default_factory=list)


@tool
async def get_weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
        city: Name of the city.
    """
    known = {"Oslo": "4 degrees and rain", "Rome": "21 degrees and sun"}
    if city not in known:
        raise ValueError(f"no weather of {city!r}; the cities are {', '.join(known)}")
    return known[city]


@tool
async def get_distance(start: str, end: str) -> AsyncIterator[str]:
    """Tell how far two cities are apart, leg by leg.

    Args:
        start: Name of the first city.
        end: Name of the second city.
    """
    for leg in (f"{start} to Munich: 1700 km. ", f"Munich to {end}: 950 km. "):
        yield leg


def remember(messages: list[Message], conversation: Conversation) -> list[Message]:
    """Show the model all that was said, the new messages included."""
    conversation.messages.extend(messages)
    return list(conversation.messages)


def remember_calls(message: Message, conversation: Conversation) -> Message:
    """Keep what the model asked for: the next request must show it in front of the results."""
    conversation.messages.append(message)
    return message


async def what_next(chunks: AsyncIterator[Message]) -> str:
    """Look at the answer while it streams: the first chunk with a call or a text decides."""
    async for chunk in chunks:
        if chunk.tool_calls:
            return "tools"
        if chunk.content:
            return END
    return END


def build(model: Any, tools: list[Any]) -> Runnable[list[Message], Message]:
    """Return the agent."""
    graph = Graph[list[Message], Message](state=Conversation)
    graph.add_chat_model_node("model", model.with_tools(tools), pre=remember)
    graph.add_tools_node("tools", ToolsNode(tools, on_error="return_to_model"), pre=remember_calls)
    graph.add_edge(START, "model")
    graph.add_branch("model", Branch(what_next, ends={"tools", END}))
    graph.add_edge("tools", "model")
    return graph.compile(name="react", max_steps=20)


class Events(Handler):
    """Prints what the agent does."""

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - the handler's word
        """Show the call."""
        if info.component == "Tool":
            print(f"[{info.name} starts with {input}]")

    def on_end(self, info: RunInfo, output: Any) -> None:
        """Show the result."""
        if info.component == "Tool":
            print(f"[{info.name} gave {output!r}]")

    def on_end_stream_output(self, info: RunInfo, reader: StreamReader[Any]) -> None:
        """Show that the result streams; `reader` is this handler's own copy of it."""
        if info.component == "Tool":
            print(f"[{info.name} streams]")

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        """Show why a call failed; the model reads it too."""
        if info.component == "Tool":
            print(f"[{info.name} failed: {error}]")


async def ask(question: str) -> str:
    """Ask the agent, print its answer while it comes, and return it."""
    model = ScriptedChatModel(
        [
            [
                tool_call("get_weather", {"city": "Oslo"}, id="1"),
                tool_call("get_weather", {"city": "Atlantis"}, id="2"),
            ],
            [
                tool_call("get_weather", {"city": "Rome"}, id="3"),
                tool_call("get_distance", {"start": "Oslo", "end": "Rome"}, id="4"),
            ],
            "Rome has 21 degrees and sun, Oslo 4 degrees and rain; the drive is 2650 km.",
        ]
    )
    agent = build(model, [get_weather, get_distance])
    answer = ""
    async with agent.stream([user_message(question)], callbacks=[Events()]) as chunks:
        async for chunk in chunks:
            print(chunk.content, end="", flush=True)
            answer += chunk.content
    print()
    model.assert_complete()
    return answer


def main() -> str:
    """Run the example and return the agent's answer."""
    return asyncio.run(ask("Where is the weather better, in Oslo or in Rome, and how far is the drive?"))


if __name__ == "__main__":
    main()
