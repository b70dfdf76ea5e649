"""A team: a supervisor, an agent as a tool, and a workflow of agents one after another, beside each other, in a loop.

Prints who says what, with the path of agents that led there. Run it with `python examples/multi_agent.py`.
"""

from __future__ import annotations

import asyncio

from eino import tool, tool_call
from eino.adk import (
    Agent,
    ChatModelAgent,
    LoopAgent,
    ParallelAgent,
    Runner,
    SequentialAgent,
    agent_tool,
    break_loop_action,
    exit_tool,
    send_tool_action,
    supervisor,
)
from eino_fixtures import ScriptedChatModel


@tool
async def approve_article() -> str:
    """Say that the article is good: the loop around the agent ends."""
    send_tool_action(break_loop_action())
    return "The article is good."


def make_research() -> Agent:
    """Return two researchers beside each other; one of them asks a librarian, which is an agent as a tool."""
    librarian = ChatModelAgent(
        name="librarian",
        description="Finds books.",
        model=ScriptedChatModel(["The book says: whales sleep upright."]),
    )
    books = ChatModelAgent(
        name="books",
        description="Reads books.",
        model=ScriptedChatModel(
            [tool_call("librarian", {"request": "How do whales sleep?"}, id="1"), "Whales sleep upright."]
        ),
        tools=[agent_tool(librarian)],
        output_key="books",
        emit_internal_events=True,
    )
    web = ChatModelAgent(
        name="web",
        description="Reads the web.",
        model=ScriptedChatModel(["They nap for ten minutes."]),
        output_key="web",
    )
    return ParallelAgent(name="research", agents=[books, web])


def make_writing() -> Agent:
    """Return a writer and a critic, who take turns until the critic has nothing to say."""
    writer = ChatModelAgent(
        name="writer",
        description="Writes.",
        instruction="Notes: {books} {web}",
        template=True,
        model=ScriptedChatModel(["Whales sleep.", "Whales sleep upright, ten minutes at a time."]),
        output_key="article",
    )
    critic = ChatModelAgent(
        name="critic",
        description="Judges.",
        model=ScriptedChatModel(["Say how they sleep.", tool_call("approve_article", {}, id="2")]),
        tools=[approve_article],
        return_directly=["approve_article"],
    )
    return LoopAgent(name="writing", agents=[writer, critic], max_iterations=5)


def make_team() -> Agent:
    """Return the supervisor of the workflow and of a translator."""
    boss = ChatModelAgent(
        name="boss",
        description="Hands out the work.",
        model=ScriptedChatModel(
            [
                tool_call("transfer_to_agent", {"agent_name": "article"}, id="3"),
                tool_call("transfer_to_agent", {"agent_name": "translator"}, id="4"),
                tool_call("exit", {"final_result": "The article is ready, in two languages."}, id="5"),
            ]
        ),
        exit=exit_tool(),
    )
    article = SequentialAgent(name="article", description="Writes articles.", agents=[make_research(), make_writing()])
    translator = ChatModelAgent(
        name="translator",
        description="Translates into German.",
        model=ScriptedChatModel(["Wale schlafen aufrecht, je zehn Minuten."]),
    )
    return supervisor(boss, [article, translator])


async def ask(wish: str) -> str:
    """Give the team a wish, print who says what, and return the answer."""
    async with Runner(make_team()).query(wish) as events:
        async for event in events:
            if event.error is not None:
                raise event.error
            if event.message is not None:
                message = await event.message.get()
                said = message.content or ", ".join(f"calls {call.name}" for call in message.tool_calls)
                print(f"{' > '.join(event.run_path)}: {said}")
        return (await events.answer()).content


def main() -> str:
    """Run the example and return the team's answer."""
    return asyncio.run(ask("An article on how whales sleep, please."))


if __name__ == "__main__":
    main()
