"""States that are linked with what is not stored, and answers to tools by their short address."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from eino import END, START, Graph, GraphInterrupt, MemoryStore, RunContext, ToolsNode, interrupt, tool, tool_call
from eino.errors import UnknownTargetError
from eino.schema import assistant_message
from eino.schema.message import Message

linked: list[str] = []


@dataclass
class Linked:
    """A state that says when it comes from a checkpoint."""

    words: list[str] = field(default_factory=list)

    def on_restored(self) -> None:
        linked.append(" ".join(self.words))


async def test_a_stored_state_is_told_when_it_is_taken_up() -> None:
    """Before the first node runs, and only then: not when a run begins."""
    linked.clear()

    async def ask(text: str, ctx: RunContext[Linked]) -> str:
        ctx.state.words.append(text)
        linked.append("node")
        return str(interrupt("?"))

    graph = Graph[str, str](state=Linked).add_lambda_node("ask", ask)
    runnable = graph.add_edge(START, "ask").add_edge("ask", END).compile(checkpoint_store=MemoryStore())

    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("hello", checkpoint_id="1")
    assert linked == ["node"]
    await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: "yes"})

    assert linked == ["node", "hello", "node"]


async def test_a_tool_is_answered_by_its_name_and_call() -> None:
    """Graphs and nodes may be left out of an address; what names no point is refused."""

    @tool
    async def send(to: str) -> str:
        """Send it."""
        return f"sent to {to}: {interrupt('sure?')}"

    graph = Graph[Message, list[Message]]().add_tools_node("tools", ToolsNode([send]))
    runnable = graph.add_edge(START, "tools").add_edge("tools", END).compile(checkpoint_store=MemoryStore())
    calls = [tool_call("send", {"to": name}, id=name) for name in ("ann", "bob")]

    with pytest.raises(GraphInterrupt):
        await runnable.invoke(assistant_message("", calls), checkpoint_id="1")
    with pytest.raises(UnknownTargetError):
        await runnable.invoke(checkpoint_id="1", resume={"tool:send": "yes"})
    answers = {"tool:send:ann": "yes", "tool:send:bob": "no"}
    results = await runnable.invoke(checkpoint_id="1", resume=answers)

    assert [each.content for each in results] == ["sent to ann: yes", "sent to bob: no"]
