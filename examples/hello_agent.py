"""The smallest agent: a chat model with an instruction, whose answer is printed while it comes.

The model is a `ScriptedChatModel`, so the program needs no key and no network; a real one takes its place without
another change. Run it with `python examples/hello_agent.py`.
"""

from __future__ import annotations

import asyncio

from eino.adk import ChatModelAgent, Runner
from eino_fixtures import ScriptedChatModel

agent = ChatModelAgent(
    name="hello",
    instruction="You are friendly, and answer in one sentence.",
    model=ScriptedChatModel(["Hello! An agent is a program that chooses its own steps."]),
)


async def ask(question: str) -> str:
    """Ask the agent, print its answer word by word, and return it."""
    async with Runner(agent, streaming=True).query(question) as events:
        async for event in events:
            if event.error is not None:
                raise event.error
            if event.message is not None:
                print(f"{event.agent_name}: ", end="")
                async with event.message.stream() as chunks:
                    async for chunk in chunks:
                        print(chunk.content, end="", flush=True)
                print()
        return (await events.answer()).content


def main() -> str:
    """Run the example and return the agent's answer."""
    return asyncio.run(ask("Hello, what are you?"))


if __name__ == "__main__":
    main()
