"""Whatever goes wrong with a model, an agent behind retries ends: with the answer or an error, and leaves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eino import Message, RetryChatModel, RetryPolicy, RunError, RunTimeoutError, concat_messages, user_message
from eino.errors import ComponentError
from eino.flow import ReactAgent
from eino_fixtures import FunctionChatModel, Hangs, Latency, strategies, with_faults
from eino_fixtures.clock import VirtualBackendName, VirtualClock
from eino_fixtures.faults import Fault
from eino_harness._leaks import GeneratorWatch, TaskWatch, settle

ANSWER = "It arrives tomorrow."
LIMIT_S = 10_000.0


async def watched(call: Any) -> Any:
    tasks, generators = TaskWatch(), GeneratorWatch()
    generators.install()
    try:
        result = await call()
        await settle()
        assert tasks.leaks() + generators.leaks() == []
        return result
    finally:
        generators.remove()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=40)
@given(script=strategies.fault_scripts(silent=False), pace=strategies.latencies(), streams=st.booleans())
def test_an_agent_ends_with_its_answer_or_an_error(
    backend: VirtualBackendName, script: Sequence[Fault | None], pace: Latency, streams: bool
) -> None:
    """And with the answer where one of its three calls is healthy, which a stream that has begun does not repeat."""

    async def ask() -> str:
        inner = with_faults(FunctionChatModel(lambda messages, options: ANSWER, latency=pace), script)
        agent = ReactAgent(model=RetryChatModel(inner, RetryPolicy(max_attempts=3, seed=1)))
        question = [user_message("Where is it?")]
        try:
            if not streams:
                return (await agent.generate(question, timeout_s=LIMIT_S)).content
            async with agent.stream(question, timeout_s=LIMIT_S) as reader:
                chunks: list[Message] = [chunk async for chunk in reader]
            return concat_messages(chunks).content
        except RunTimeoutError:
            return "timed out"
        except RunError as error:
            assert isinstance(error.__cause__, ComponentError)  # noqa: PT017 - the kind is what is tested
            return "failed"

    ended = VirtualClock().run(watched, ask, backend=backend)

    assert ended in (ANSWER, "failed", "timed out")
    if script[:1] in ([], [None]):
        assert ended == ANSWER


@given(pace=strategies.latencies(max_s=3.0))
def test_a_latency_never_runs_backwards(pace: Latency) -> None:
    waits = pace.waits()
    assert all(0.0 <= next(waits) <= 6.0 for _ in range(20))


@pytest.mark.parametrize("silent", [True, False])
@given(data=st.data())
def test_scripts_hold_what_was_asked_for(silent: bool, data: st.DataObject) -> None:
    script = data.draw(strategies.fault_scripts(hangs=False, silent=silent, max_size=4))
    assert len(script) <= 4
    names = {type(fault).__name__ for fault in script if fault is not None}
    assert names <= {"Raises", "BreaksOff", "Hangs", *(("Ends", "BadArguments", "TwinIds") if silent else ())}


async def test_hangs_for_ever_are_cut_by_a_time_out(virtual_clock: Any) -> None:
    model = with_faults(FunctionChatModel(lambda messages, options: ANSWER), [Hangs()])
    with anyio.move_on_after(60.0) as scope:
        await model.generate([user_message("hi")])
    assert scope.cancelled_caught
    assert virtual_clock.now() == 60.0
