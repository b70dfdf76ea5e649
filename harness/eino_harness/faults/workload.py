"""The graph that is killed: a loop with tools, parallel branches, a nested graph, a question, an effect to do once.

    model <-> tools (3 x 2 calls) -> report -> left, right, nested (x -> y, z -> w) -> join -> approve -> pay -> book

Each piece of work has an effect that the ledger counts, with a name that follows from the data alone. `PREDECESSORS`
says what each one builds on: once an effect that builds on another one has begun, that other one is finished for good.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eino import (
    END,
    START,
    Branch,
    Graph,
    Message,
    ToolsNode,
    current_context,
    interrupt,
    tool,
    transact,
    user_message,
)
from eino.schema import assistant_message, tool_call
from eino.schema.codec import register
from eino_fixtures.models import FunctionChatModel

__all__ = ["EFFECTS", "EXPECTED", "INPUT", "MOST_IN_FLIGHT", "NAME", "ONCE", "PREDECESSORS", "build"]

NAME: Final = "faults"
"""Name that the graph is compiled with."""
ROUNDS: Final = 3
ONCE: Final = "pay"
"""The effect that must happen at most once."""
INPUT: Final = "compare the offers"
MOST_IN_FLIGHT: Final = 4
"""How many pieces of work can be in flight at a time (left, right, y, z), so that a kill may repeat so many."""


def _predecessors() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for number in range(ROUNDS):
        found[f"model:{number}"] = before
        before = (f"look:{number}a", f"look:{number}b")
        found |= dict.fromkeys(before, (f"model:{number}",))
    found[f"model:{ROUNDS}"] = before
    found["report"] = (f"model:{ROUNDS}",)
    found |= dict.fromkeys(("left", "right", "x"), ("report",))
    found |= dict.fromkeys(("y", "z"), ("x",))
    found["w"] = ("y", "z")
    found["join"] = ("left", "right", "w")
    found["approve"] = ("join",)
    found["pay"] = ("approve",)
    found["book"] = ("pay",)
    return found


PREDECESSORS: Final[Mapping[str, tuple[str, ...]]] = _predecessors()
"""What each effect builds on."""

EFFECTS: Final = tuple(PREDECESSORS)
"""All effects of one run."""

_REPORT: Final = " ".join(f"<{number}{which}>" for number in range(ROUNDS) for which in "ab")
_NESTED: Final = f"nested(w(y(x({_REPORT})) z(x({_REPORT}))))"
EXPECTED: Final = f"left({_REPORT}) {_NESTED} right({_REPORT}) approved=yes; heard 1+{ROUNDS * 2} paid"
"""What each run gives, killed or not."""

Book = Callable[[Any, str], None]
"""Writes the key of a piece of work into a table, on the connection of the store, inside its transaction."""
Effect = Callable[[str, str, str], Awaitable[None]]
"""Does the effect of a piece of work: its name, its idempotency key, and what the work gives if that is to be known."""
Done = Callable[[str], Awaitable[None]]


@register("eino_harness.faults.Conversation")
@dataclass
class Conversation:
    """State of the graph, which its nodes change as they go."""

    messages: list[Message] = field(default_factory=list)
    extra: Any = None
    """Whatever else is to be stored."""


def build(effect: Effect, extra: Any = None, book: Book | None = None) -> Graph[str, str]:
    """Return the graph.

    Args:
        effect: Does the effect of each piece of work.
        extra: What its state holds from the beginning.
        book: Writes the row of the last node, if the store has transactions for it.
    """

    async def done(name: str) -> None:
        await effect(name, current_context().attempt_id, "")

    graph = Graph[str, str](state=Conversation if extra is None else lambda: Conversation(extra=extra))
    _add_loop(graph, done)
    _add_branches(graph, done)

    async def approve(text: str) -> str:
        answer = interrupt({"pay?": text})
        await done("approve")
        return f"{text} approved={answer}"

    async def pay(text: str) -> str:
        await effect("pay", current_context().attempt_id, f"{text} paid")
        return f"{text} paid"

    def count(text: str, state: Conversation) -> str:
        results = sum(message.role == "tool" for message in state.messages)
        asked = sum(message.role == "user" for message in state.messages)
        return f"{text}; heard {asked}+{results}"

    graph.add_lambda_node("approve", approve, post=count)
    graph.add_lambda_node("pay", pay, effect="at_most_once")
    _add_book(graph, done, book)
    return graph.add_edge("join", "approve").add_edge("approve", "pay").add_edge("pay", "book").add_edge("book", END)


def _add_book(graph: Graph[str, str], done: Done, book: Book | None) -> None:
    async def plain(text: str) -> str:
        await done("book")
        return text

    async def booked(text: str) -> str:
        await done("book")
        key = current_context().attempt_id
        await transact(lambda db: book(db, key) if book is not None else None)
        return text

    if book is None:
        graph.add_lambda_node("book", plain)
    else:
        graph.add_lambda_node("book", booked, effect="transactional")


def _add_loop(graph: Graph[str, str], done: Done) -> None:
    @tool
    async def look(item: str) -> str:
        """Look an item up.

        Args:
            item: What to look up.
        """
        await done(f"look:{item}")
        return f"<{item}>"

    async def answer(messages: Sequence[Message], _: Any) -> Message:
        number = sum(message.role == "assistant" for message in messages)
        await done(f"model:{number}")
        if number == ROUNDS:
            return assistant_message(" ".join(message.content for message in messages if message.role == "tool"))
        items = (f"{number}a", f"{number}b")
        return assistant_message(
            "", tool_calls=[tool_call("look", {"item": item}, id=f"call-{item}") for item in items]
        )

    def ask(text: str) -> list[Message]:
        return [user_message(text)]

    def remember(messages: list[Message], state: Conversation) -> list[Message]:
        state.messages.extend(messages)
        return list(state.messages)

    def remember_call(message: Message, state: Conversation) -> Message:
        state.messages.append(message)
        return message

    def next_of(message: Message) -> str:
        return "tools" if message.tool_calls else "report"

    async def report(message: Message) -> str:
        await done("report")
        return message.content

    graph.add_lambda_node("ask", ask)
    graph.add_chat_model_node("model", FunctionChatModel(answer).with_tools([look.info]), pre=remember)
    graph.add_tools_node("tools", ToolsNode([look]), pre=remember_call)
    graph.add_lambda_node("report", report)
    graph.add_edge(START, "ask").add_edge("ask", "model").add_edge("tools", "model")
    graph.add_branch("model", Branch(next_of, ends={"tools", "report"}))


def _add_branches(graph: Graph[str, str], done: Done) -> None:
    def work(name: str) -> Callable[[str], Awaitable[str]]:
        async def run(text: str) -> str:
            await done(name)
            return f"{name}({text})"

        return run

    def gather(name: str, template: str) -> Callable[[dict[str, Any]], Awaitable[str]]:
        async def run(parts: dict[str, Any]) -> str:
            await done(name)
            return template.format_map(parts)

        return run

    inner = Graph[str, str]()
    inner.add_lambda_node("x", work("x"))
    inner.add_lambda_node("y", work("y"), output_key="y")
    inner.add_lambda_node("z", work("z"), output_key="z")
    inner.add_lambda_node("w", gather("w", "w({y} {z})"))
    inner.add_edge(START, "x").add_edge("x", "y").add_edge("x", "z").add_edge("y", "w").add_edge("z", "w")
    inner.add_edge("w", END)
    graph.add_lambda_node("left", work("left"), output_key="left")
    graph.add_lambda_node("right", work("right"), output_key="right")
    graph.add_graph_node("nested", inner, output_key="nested", compile_options={"trigger": "all"})
    graph.add_lambda_node("join", gather("join", "{left} nested({nested}) {right}"))
    for branch in ("left", "nested", "right"):
        graph.add_edge("report", branch).add_edge(branch, "join")
