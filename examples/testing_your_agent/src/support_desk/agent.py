"""The agent and its tools. It knows no provider: whoever builds it says which model answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from eino import END, START, Graph, Message, Runnable, ToolsNode, interrupt, system_message, tool, user_message
from eino.components import ChatModel
from eino.flow import ReactAgent

REFUND_LIMIT: Final = 100
"""Euros above which a person must agree to a refund."""

ORDERS: Final[Mapping[str, str]] = {"A1": "on its way, arrives tomorrow", "B2": "delivered on Monday"}

PROMPT: Final = "You help customers with their orders. Look orders up, never guess."


@tool
async def order_status(order_id: str) -> str:
    """Tell where an order is.

    Args:
        order_id: Number of the order, such as A1.
    """
    if order_id not in ORDERS:
        raise ValueError(f"there is no order {order_id!r}")
    return ORDERS[order_id]


@tool
async def refund(order_id: str, euros: int) -> str:
    """Pay money back for an order.

    Args:
        order_id: Number of the order.
        euros: How much.
    """
    if euros > REFUND_LIMIT and interrupt({"refund": order_id, "euros": euros}) != "yes":
        return "a person refused the refund"
    return f"{euros} euros were paid back for order {order_id}"


def tell_the_model(call: Any, error: Exception) -> str:
    """Let the model see what went wrong with a tool, instead of failing the run."""
    return f"that failed: {error}"


async def question(text: str) -> list[Message]:
    """Make the conversation of what a customer wrote."""
    return [system_message(PROMPT), user_message(text.strip())]


async def answer_text(chunks: AsyncIterator[Message]) -> AsyncIterator[str]:
    """Give the text of the answer, piece by piece."""
    async for chunk in chunks:
        yield chunk.content


def build_desk(model: ChatModel, **compile_options: Any) -> Runnable[str, str]:
    """Return the desk: a question goes in, the text of the answer comes out.

    Args:
        model: What answers.
        compile_options: Compile options of the graph, such as `checkpoint_store`.
    """
    tools = ToolsNode([order_status, refund], on_error=tell_the_model)
    agent = ReactAgent(model=model, tools=tools, max_steps=12)
    graph = Graph[str, str]()
    graph.add_lambda_node("question", question)
    graph.add_graph_node("agent", agent.graph)
    graph.add_lambda_node("answer", answer_text)
    graph.add_edge(START, "question").add_edge("question", "agent").add_edge("agent", "answer").add_edge("answer", END)
    return graph.compile(name="desk", **compile_options)
