"""A run of an agent is gone when it has ended: nothing of it waits for the garbage collector."""

from __future__ import annotations

import gc

import pytest

from eino import tool_call
from eino.adk import ChatModelAgent, Runner
from eino_fixtures import ScriptedChatModel, fake_tool


@pytest.mark.parametrize("streaming", [False, True], ids=["values", "streams"])
async def test_no_cycle_of_ours_is_left(streaming: bool) -> None:
    """With a tool call, read to its end."""
    model = ScriptedChatModel([[tool_call("t", {}, id="1")], "done"] * 2)
    agent: ChatModelAgent[str] = ChatModelAgent(name="a", model=model, tools=[fake_tool("t")])
    runner = Runner(agent, streaming=streaming)

    async def run() -> None:
        async with runner.query("hi") as events:
            async for event in events:
                assert event.message is not None
                await event.message.get()

    await run()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await run()
        gc.collect()
        left = {type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("eino.adk")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == set()
