"""A run of agents that goes on in another process, with nothing but its store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, sys

from eino import assistant_message, interrupt, tool, tool_call
from eino.adk import (
    ChatModelAgent, ParallelAgent, Runner, SequentialAgent, agent_tool, session_value, set_session_value,
)
from eino.ext.stores.sqlite import SQLiteStore
from eino_fixtures import Asks, FunctionChatModel, ScriptedAgent


@tool
async def pay(amount: int) -> str:
    "Pay an amount."
    approved = interrupt(f"pay {amount}?")
    set_session_value("paid", amount)
    return f"paid {amount}: {approved}"


def answer(messages, options):
    if messages[-1].role == "tool":
        return assistant_message(f"done: {messages[-1].content} {session_value('paid')}")
    return assistant_message("", [tool_call("pay", {"amount": 5}, id="1")])


async def main(path, resumed):
    clerk = ChatModelAgent(name="clerk", description="Pays.", model=FunctionChatModel(answer), tools=[pay])
    call = lambda messages, options: (
        assistant_message("clerk is done") if messages[-1].role == "tool"
        else assistant_message("", [tool_call("clerk", {"request": "pay"}, id="c")])
    )
    chief = ChatModelAgent(name="chief", description="Tells.", model=FunctionChatModel(call), tools=[agent_tool(clerk)])
    beside = ParallelAgent(name="office", agents=[chief, ScriptedAgent("other", ["other said", Asks("and?")])])
    whole = SequentialAgent(name="firm", agents=[beside, ScriptedAgent("last", ["the end"])])
    async with SQLiteStore(path) as store:
        runner = Runner(whole, checkpoint_store=store, streaming=not resumed)
        if not resumed:
            events = runner.query("go", checkpoint_id="1")
        else:
            events = runner.resume("1", {
                "agent:firm;agent:office;agent:chief;tool:clerk:c;agent:clerk;tool:pay:1": "fine",
                "agent:firm;agent:office;agent:other": "and so on",
            })
        async with events:
            async for event in events:
                if event.message is not None:
                    print(event.agent_name, event.message.is_streaming, (await event.message.get()).content)
                elif event.error is not None:
                    print("error", event.error)
                elif event.action.interrupted is not None:
                    print(*sorted(context.address_text for context in event.action.interrupted.contexts), sep="\\n")


asyncio.run(main(sys.argv[1], sys.argv[2] == "resume"))
"""


def run(path: Path, what: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path / "runs.db"), what], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_run_goes_on_in_another_process(tmp_path: Path) -> None:
    """Two questions deep inside are answered at once; what had ended is not done again, and it streams as before."""
    first = run(tmp_path, "begin")
    second = run(tmp_path, "resume")

    assert first[-2:] == [
        "agent:firm;agent:office;agent:chief;tool:clerk:c;agent:clerk;tool:pay:1",
        "agent:firm;agent:office;agent:other",
    ]
    assert sorted(first[:-2]) == ["chief True ", "other False other said"]
    assert sorted(second[:-1]) == [
        "chief False done: paid 5: fine 5",
        "chief True clerk is done",
        "other False and so on",
    ]
    assert second[-1] == "last False the end"
