"""A refund waits for a person: the run stops, is taken up by another compiled graph, and pays at most once.

Each call of `request` makes everything anew, as a web worker does that knows only the store and the id of the run.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from eino import END, START, Branch, Graph, GraphInterrupt, MemoryStore, Runnable, interrupt, register

STORE = MemoryStore()
LIMIT = 100
PAID: list[int] = []


@register("example.Refund")
@dataclass(frozen=True)
class Refund:
    """Money that a customer wants back."""

    customer: str
    amount: int


async def approve(refund: Refund) -> Refund:
    """Ask a person, who may also change the amount."""
    return Refund(refund.customer, int(interrupt({"approve": refund.amount, "for": refund.customer})))


async def pay(refund: Refund) -> str:
    PAID.append(refund.amount)
    return f"{refund.customer} gets {refund.amount}."


def route(refund: Refund) -> str:
    return "approve" if refund.amount > LIMIT else "pay"


def refunds() -> Runnable[Refund, str]:
    graph = Graph[Refund, str]()
    graph.add_lambda_node("approve", approve)
    graph.add_lambda_node("pay", pay, effect="at_most_once")
    graph.add_branch(START, Branch(route, ends={"approve", "pay"}))
    graph.add_edge("approve", "pay")
    graph.add_edge("pay", END)
    return graph.compile(name="refunds", checkpoint_store=STORE, durability="step")


def request(refund: Refund) -> str:
    """Begin a refund; return its answer, or the id of the question."""
    try:
        return asyncio.run(refunds().invoke(refund, checkpoint_id=refund.customer))
    except GraphInterrupt as stop:
        print("waits for a person:", stop.contexts[0].info)
        return stop.contexts[0].id


def decide(customer: str, question: str, amount: int) -> str:
    """Go on with a refund, in another event loop with another graph."""
    return asyncio.run(refunds().invoke(checkpoint_id=customer, resume={question: amount}))


def main() -> str:
    print(request(Refund("Ann", 20)))
    question = request(Refund("Bob", 500))
    answer = decide("Bob", question, 250)
    print(answer)
    return answer


if __name__ == "__main__":
    main()
