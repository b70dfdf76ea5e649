"""Runs of nested agents that are cancelled at random moments leave nothing behind, and come to the same end."""

from __future__ import annotations

import functools
import gc
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino import MemoryStore, Message, tool, tool_call
from eino.adk import (
    AgentCancelledError,
    CancelMode,
    ChatModelAgent,
    EventStream,
    LoopAgent,
    ParallelAgent,
    Runner,
    agent_tool,
)
from eino_fixtures import FunctionChatModel
from eino_fixtures.clock import VirtualBackendName, VirtualClock
from eino_harness._leaks import GeneratorWatch, TaskWatch, settle

ROUNDS = 2
LASTS_S = 7.0
MODES = [CancelMode.IMMEDIATE, CancelMode.AFTER_MODEL, CancelMode.AFTER_TOOLS]


@tool
async def measure(what: str) -> str:
    """Measure.

    Args:
        what: Anything.
    """
    await anyio.sleep(0.7)
    return f"{what} is 1"


def thinks(first: str) -> FunctionChatModel:
    """Return a model that thinks, asks for a tool in each turn, and then says what the tool said."""

    async def answer(messages: list[Message], _: Any) -> Any:
        await anyio.sleep(0.5)
        last = messages[-1]
        if last.role == "tool":
            return f"{first}: {last.content}"
        return tool_call("leaf" if first == "upper" else "measure", _arguments(first), id=f"{first}-{len(messages)}")

    return FunctionChatModel(answer)


def _arguments(first: str) -> dict[str, str]:
    return {"request": "go"} if first == "upper" else {"what": first}


def nested() -> LoopAgent:
    """An agent as a tool of an agent, which has another one beside it, in a loop."""
    leaf = ChatModelAgent(name="leaf", description="measures", model=thinks("leaf"), tools=[measure])
    upper = ChatModelAgent(name="upper", description="asks", model=thinks("upper"), tools=[agent_tool(leaf)])
    beside = ChatModelAgent(name="beside", description="measures", model=thinks("beside"), tools=[measure])
    both = ParallelAgent(name="both", description="both", agents=[upper, beside])
    return LoopAgent(name="loop", description="rounds", agents=[both], max_iterations=ROUNDS)


async def ended(events: EventStream) -> Message | None:
    """Return the answer, or None if the run was cancelled."""
    try:
        return await events.answer()
    except AgentCancelledError:
        return None


async def final(store: MemoryStore, cancels: list[tuple[float, CancelMode, bool]], streaming: bool) -> str:
    """Run to the end, however often somebody cancels."""
    async with Runner(nested(), checkpoint_store=store, streaming=streaming).query("go", checkpoint_id="run") as events:
        answer = await _disturbed(events, cancels)
    while answer is None:
        async with Runner(nested(), checkpoint_store=store, streaming=streaming).resume("run") as events:
            answer = await _disturbed(events, cancels)
    return answer.content


async def _disturbed(events: EventStream, cancels: list[tuple[float, CancelMode, bool]]) -> Message | None:
    if not cancels:
        return await ended(events)
    after_s, mode, recursive = cancels.pop(0)
    await anyio.sleep(after_s)
    handle = events.cancel(mode, timeout_s=1.0 if mode is not CancelMode.IMMEDIATE else None, recursive=recursive)
    await handle.wait()
    return await ended(events)


async def watched(cancels: list[tuple[float, CancelMode, bool]], streaming: bool) -> tuple[str, int]:
    """Run to the end and return the answer, and how many runs are still stored. Nothing may be left in the loop."""
    tasks, generators, store = TaskWatch(), GeneratorWatch(), MemoryStore()
    generators.install()
    try:
        answer = await final(store, cancels, streaming)
        gc.collect(0)
        await settle()
        assert tasks.leaks() == []
        assert generators.leaks() == []
        return answer, len(await store.list())
    finally:
        generators.remove()


@functools.cache
def undisturbed(streaming: bool) -> tuple[str, int]:
    return VirtualClock().run(functools.partial(watched, [], streaming), backend="asyncio")


points = st.lists(st.tuples(st.floats(0.0, LASTS_S), st.sampled_from(MODES), st.booleans()), min_size=1, max_size=3)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(cancels=points, streaming=st.booleans())
def test_a_run_that_is_cancelled_anywhere_comes_to_the_same_end(
    backend: VirtualBackendName, cancels: list[tuple[float, CancelMode, bool]], streaming: bool
) -> None:
    found = VirtualClock().run(functools.partial(watched, list(cancels), streaming), backend=backend)

    assert found == undisturbed(streaming)
