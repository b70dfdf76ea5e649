"""Plan, do the first step, plan anew: with a person who is asked in the middle of a step.

The executor's `book` tool stops the run, two graphs deep; the answer goes there, and the plan goes on. Run it with
`python examples/plan_execute.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from eino import MemoryStore, tool, tool_call
from eino.adk import Agent, EventStream, Runner, approval
from eino.adk.prebuilt import executor_agent, plan_execute, planner_agent, replanner_agent
from eino_fixtures import ScriptedChatModel


@tool
async def find_train(to: str) -> str:
    """Find a train.

    Args:
        to: Where it goes.
    """
    return f"08:15 to {to}, 40 euros"


@tool
async def book(train: str, seats: int) -> str:
    """Book seats.

    Args:
        train: When the train leaves.
        seats: How many.
    """
    return f"booked {seats} seats at {train}"


def plan(*steps: str, call_id: str) -> Any:
    """Return the call by which the models give a plan."""
    return tool_call("plan", {"steps": list(steps)}, id=call_id)


def make_agents() -> Agent:
    """Return the planner, the executor and the replanner, as one agent."""
    planner = ScriptedChatModel([plan("find a train to Bergen", "book it", call_id="1")])
    worker = ScriptedChatModel(
        [
            tool_call("find_train", {"to": "Bergen"}, id="2"),
            "There is one at 08:15 for 40 euros.",
            tool_call("book", {"train": "08:15", "seats": 1}, id="4"),
            "It is booked.",
        ]
    )
    watcher = ScriptedChatModel(
        [
            plan("book the train at 08:15", call_id="3"),
            tool_call("respond", {"response": "You leave at 08:15, two seats are booked."}, id="5"),
        ]
    )
    return plan_execute(
        planner=planner_agent(planner),
        executor=executor_agent(worker, tools=[find_train, approval(book)]),
        replanner=replanner_agent(watcher),
        max_iterations=5,
    )


async def travel(wish: str) -> str:
    """Run until a person is asked, answer in their place, and return how it ended."""
    runner = Runner(make_agents(), checkpoint_store=MemoryStore())
    async with runner.query(wish, checkpoint_id="trip") as events:
        asked = await show(events)
    for address, request in asked.items():
        print(f"? {address}: {request.tool_name} {request.arguments}")
    answers = {address: {"approved": True, "arguments": {"train": "08:15", "seats": 2}} for address in asked}
    async with runner.resume("trip", answers) as events:
        await show(events)
        return (await events.answer()).content


async def show(events: EventStream) -> Mapping[str, Any]:
    """Print what is said; return what is asked, by address."""
    asked: dict[str, Any] = {}
    async for event in events:
        if event.error is not None:
            raise event.error
        if event.message is not None and (message := await event.message.get()).content:
            print(f"{event.agent_name}: {message.content}")
        if event.action is not None and event.action.interrupted is not None:
            asked.update((context.address_text, context.info) for context in event.action.interrupted.contexts)
    return asked


def main() -> str:
    """Run the example and return the answer."""
    return asyncio.run(travel("Get me to Bergen tomorrow."))


if __name__ == "__main__":
    main()
