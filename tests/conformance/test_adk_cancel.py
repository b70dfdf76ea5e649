"""Cancelling runs of agents: the rows of `agents-scenarios.md` for it, and what joins, escalates and goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from eino import BuildError, MemoryStore, RunCancelledError, Tool, interrupt, tool, tool_call
from eino.adk import (
    AgentCancelledError,
    AgentEvent,
    AgentInput,
    CancelMode,
    CancelOutcome,
    ChatModelAgent,
    EventStream,
    LoopAgent,
    ParallelAgent,
    Runner,
    SequentialAgent,
    agent,
    agent_tool,
    message_event,
    with_sub_agents,
)
from eino.adk.cancel import CancelRequest
from eino.adk.prebuilt import executor_agent, plan_execute, planner_agent, replanner_agent
from eino.compose.external import External
from eino.schema import assistant_message
from eino_fixtures import ScriptedChatModel, VirtualClock

AT_ONCE, AFTER_MODEL, AFTER_TOOLS = CancelMode.IMMEDIATE, CancelMode.AFTER_MODEL, CancelMode.AFTER_TOOLS
ASK = tool_call("look", {}, id="1")


class Looks:
    """A tool that takes its time, and counts."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.calls = 0
        self.ended = 0

        @tool(name="look")
        async def look() -> str:
            """Look."""
            self.calls += 1
            await anyio.sleep(seconds)
            self.ended += 1
            return "seen"

        self.tool: Tool = look


def helper(
    *steps: Any, tools: Any = (), delay_s: float = 1.0, name: str = "helper", **more: Any
) -> ChatModelAgent[Any]:
    model = ScriptedChatModel(steps, first_delay_s=delay_s)
    return ChatModelAgent(name=name, description=name, model=model, tools=tools, **more)


def speaker(name: str, seconds: float = 1.0) -> Any:
    @agent(name=name, description=name)
    async def speak(_: AgentInput) -> AsyncIterator[AgentEvent]:
        await anyio.sleep(seconds)
        yield message_event(assistant_message(name))

    return speak


def cancelled(event: AgentEvent) -> AgentCancelledError:
    assert isinstance(event.error, AgentCancelledError), event
    return event.error


async def said(events: EventStream) -> list[str]:
    """Return what is said from now on."""
    found: list[str] = []
    async for event in events:
        if event.error is not None:
            raise event.error
        if event.message is not None:
            found.append((await event.message.get()).content)
    return found


@pytest.mark.parametrize("stored", [False, True])
async def test_a46_a_run_that_is_cancelled_before_it_begins_does_nothing(stored: bool) -> None:
    model = ScriptedChatModel(["hello"])
    runner = Runner(ChatModelAgent(name="helper", model=model), checkpoint_store=MemoryStore())
    events = runner.query("hi", checkpoint_id="run" if stored else None)

    handle = events.cancel()
    async with events:
        (only,) = [event async for event in events]

    assert cancelled(only).mode is AT_ONCE
    assert handle.contributed
    assert await handle.wait() is CancelOutcome.CANCELLED
    assert not model.calls


async def test_a47_a_run_that_has_ended_is_not_cancelled() -> None:
    async with Runner(helper("hello", delay_s=0)).query("hi") as events:
        await events.answer()
        handle = events.cancel()
        assert (handle.contributed, await handle.wait()) == (False, CancelOutcome.ENDED)
        assert (await events.answer()).content == "hello"


async def test_a47_a_run_that_has_failed_is_not_cancelled() -> None:
    async with Runner(helper(ValueError("no"), delay_s=0)).query("hi") as events:
        (failed,) = [event async for event in events]
        assert await events.cancel().wait() is CancelOutcome.ENDED

    assert failed.error is not None
    assert not isinstance(failed.error, AgentCancelledError)


async def test_a47_a_run_that_asks_is_not_cancelled_any_more() -> None:
    @agent(name="asker", description="asks")
    async def asker(_: AgentInput) -> AsyncIterator[AgentEvent]:
        interrupt("sure?")
        yield message_event(assistant_message("done"))

    async with Runner(asker, checkpoint_store=MemoryStore()).query("hi", checkpoint_id="run") as events:
        (asked,) = [event async for event in events]
        assert await events.cancel().wait() is CancelOutcome.ENDED

    assert asked.action is not None
    assert asked.action.interrupted is not None


async def test_what_a_run_asks_while_it_is_cancelled_is_asked_when_it_goes_on(virtual_clock: VirtualClock) -> None:
    @agent(name="asker", description="asks")
    async def asker(_: AgentInput) -> AsyncIterator[AgentEvent]:
        await anyio.sleep(1)
        answer = interrupt("sure?")
        yield message_event(assistant_message(f"you said {answer}"))

    runner = Runner(asker, checkpoint_store=MemoryStore())
    async with runner.query("hi", checkpoint_id="run") as events:
        handle = events.cancel(AFTER_TOOLS)
        (first,) = [event async for event in events]
    assert await handle.wait() is CancelOutcome.CANCELLED
    (context,) = cancelled(first).contexts
    assert context.info == "sure?"

    async with runner.resume("run") as events:
        (second,) = [event async for event in events]
    assert second.action is not None
    assert second.action.interrupted is not None
    (context,) = second.action.interrupted.contexts

    async with runner.resume("run", {context.id: "yes"}) as events:
        assert await said(events) == ["you said yes"]


async def test_a50_the_answer_of_the_model_is_kept(virtual_clock: VirtualClock) -> None:
    looks, store = Looks(), MemoryStore()
    async with Runner(helper(ASK, tools=[looks.tool]), checkpoint_store=store).query(
        "hi", checkpoint_id="run"
    ) as events:
        await anyio.sleep(0.5)  # the model thinks
        handle = events.cancel(AFTER_MODEL)
        *before, last = [event async for event in events]
    assert await handle.wait() is CancelOutcome.CANCELLED
    assert cancelled(last).mode is AFTER_MODEL
    assert last.agent_name == "helper"
    assert cancelled(last).contexts[0].address_text == "agent:helper"
    assert [event.message is not None for event in before] == [True]
    assert looks.calls == 0

    second = helper("done", tools=[looks.tool])
    async with Runner(second, checkpoint_store=store).resume("run") as events:
        assert await said(events) == ["seen", "done"]
    assert looks.calls == 1


async def test_a_final_answer_is_never_cancelled(virtual_clock: VirtualClock) -> None:
    async with Runner(helper("done")).query("hi") as events:
        await anyio.sleep(0.5)
        handle = events.cancel(AFTER_MODEL | AFTER_TOOLS)
        assert await said(events) == ["done"]
    assert await handle.wait() is CancelOutcome.ENDED


async def test_after_tools_their_results_are_kept(virtual_clock: VirtualClock) -> None:
    looks, store = Looks(), MemoryStore()
    agent_ = helper(ASK, "never", tools=[looks.tool])
    async with Runner(agent_, checkpoint_store=store).query("hi", checkpoint_id="run") as events:
        await anyio.sleep(0.5)
        handle = events.cancel(AFTER_TOOLS)
        last = [event async for event in events][-1]
    assert await handle.wait() is CancelOutcome.CANCELLED
    assert cancelled(last).mode is AFTER_TOOLS

    model = ScriptedChatModel(["done"])
    second = ChatModelAgent(name="helper", model=model, tools=[looks.tool])
    async with Runner(second, checkpoint_store=store).resume("run") as events:
        assert await said(events) == ["done"]
    assert looks.calls == 1
    assert [each.role for each in model.calls[0].messages] == ["user", "assistant", "tool"]


async def test_at_once_a_model_is_asked_again(virtual_clock: VirtualClock) -> None:
    store = MemoryStore()
    async with Runner(helper("never", delay_s=100), checkpoint_store=store).query("hi", checkpoint_id="run") as events:
        await anyio.sleep(1)
        handle = events.cancel()
        (only,) = [event async for event in events]
    assert await handle.wait() is CancelOutcome.CANCELLED
    assert cancelled(only).mode is AT_ONCE
    assert cancelled(only).contexts
    assert virtual_clock.now() < 2

    async with Runner(helper("done"), checkpoint_store=store).resume("run") as events:
        assert await said(events) == ["done"]


async def test_at_once_only_tools_that_had_not_ended_run_again(virtual_clock: VirtualClock) -> None:
    counts = {"fast": 0, "slow": 0}

    @tool
    async def fast() -> str:
        """Be fast."""
        counts["fast"] += 1
        return "f"

    @tool
    async def slow() -> str:
        """Be slow."""
        counts["slow"] += 1
        await anyio.sleep(10)
        return "s"

    store, both = MemoryStore(), [tool_call("fast", {}, id="1"), tool_call("slow", {}, id="2")]
    first = helper(both, tools=[fast, slow], delay_s=0)
    async with Runner(first, checkpoint_store=store).query("hi", checkpoint_id="run") as events:
        await anyio.sleep(1)
        events.cancel()
        assert cancelled([event async for event in events][-1])

    async with Runner(helper("done", tools=[fast, slow]), checkpoint_store=store).resume("run") as events:
        assert (await said(events))[-1] == "done"
    assert counts == {"fast": 1, "slow": 2}


async def test_a_run_that_is_not_stored_stops_as_well(virtual_clock: VirtualClock) -> None:
    async with Runner(helper("never", delay_s=100)).query("hi") as events:
        await anyio.sleep(1)
        handle = events.cancel()
        (only,) = [event async for event in events]
        assert cancelled(only).contexts == ()
        with pytest.raises(AgentCancelledError, match="IMMEDIATE"):
            await events.answer()
    assert await handle.wait() is CancelOutcome.CANCELLED


async def test_a49_time_over(virtual_clock: VirtualClock) -> None:
    looks, store = Looks(100), MemoryStore()
    first = helper(ASK, tools=[looks.tool], delay_s=0)
    async with Runner(first, checkpoint_store=store).query("hi", checkpoint_id="run") as events:
        await anyio.sleep(1)
        handle = events.cancel(AFTER_TOOLS, timeout_s=5)
        last = [event async for event in events][-1]
    assert await handle.wait() is CancelOutcome.ESCALATED
    error = cancelled(last)
    assert (error.mode, error.info.escalated, error.info.timed_out) == (AFTER_TOOLS, True, True)
    assert "escalated" in str(error)
    assert 6 <= virtual_clock.now() < 7

    async with Runner(helper("done", tools=[Looks().tool]), checkpoint_store=store).resume("run") as events:
        assert await said(events) == ["seen", "done"]


async def test_a49_the_earliest_deadline_counts(virtual_clock: VirtualClock) -> None:
    looks = Looks(100)
    async with Runner(helper(ASK, tools=[looks.tool], delay_s=0)).query("hi") as events:
        events.cancel(AFTER_TOOLS, timeout_s=20)
        await anyio.sleep(5)
        events.cancel(AFTER_TOOLS, timeout_s=6)
        events.cancel(AFTER_TOOLS, timeout_s=60)
        last = [event async for event in events][-1]
    assert cancelled(last).info.timed_out
    assert 11 <= virtual_clock.now() < 12


async def test_a_safe_point_that_comes_in_time_needs_no_force(virtual_clock: VirtualClock) -> None:
    looks = Looks(1)
    async with Runner(helper(ASK, "never", tools=[looks.tool], delay_s=0)).query("hi") as events:
        handle = events.cancel(AFTER_TOOLS, timeout_s=5)
        last = [event async for event in events][-1]
    assert await handle.wait() is CancelOutcome.CANCELLED
    assert not cancelled(last).info.escalated
    assert virtual_clock.now() < 2


@pytest.mark.parametrize(
    ("modes", "mode", "escalated"),
    [
        ([AFTER_MODEL, AT_ONCE], AT_ONCE, True),
        ([AFTER_MODEL, AFTER_TOOLS], AFTER_MODEL | AFTER_TOOLS, False),
        ([AT_ONCE, AFTER_TOOLS], AT_ONCE, False),
        ([AT_ONCE | AFTER_TOOLS], AT_ONCE, False),
    ],
    ids=["stronger", "joined", "weaker", "both"],
)
def test_a49_wishes_join(modes: list[CancelMode], mode: CancelMode, escalated: bool) -> None:
    request = CancelRequest(External())
    for each in modes:
        request.ask(each, timeout_s=None, recursive=each is AFTER_TOOLS)
    assert request.info is not None
    assert (CancelMode(request.info.mode), request.info.escalated, request.info.timed_out) == (mode, escalated, False)
    assert request.recursive is (AFTER_TOOLS in modes)


def nested(leaf: Any) -> ChatModelAgent[Any]:
    """A chat agent that calls a sequence as a tool."""
    inner = SequentialAgent(name="inner", description="does it", agents=[leaf])
    ask = tool_call("inner", {"request": "go"}, id="1")
    return helper(ask, "all done", tools=[agent_tool(inner)], delay_s=0, name="root")


async def test_a52_agents_in_tools_keep_their_place(virtual_clock: VirtualClock) -> None:
    looks, store = Looks(), MemoryStore()
    leaf = helper(ASK, "never", tools=[looks.tool], name="leaf")
    async with Runner(nested(leaf), checkpoint_store=store).query("hi", checkpoint_id="run") as events:
        await anyio.sleep(2.5)  # the leaf's model has answered, its tool has run, and it is asked again
        handle = events.cancel(recursive=True)
        last = [event async for event in events][-1]
    assert handle.contributed
    assert await handle.wait() is CancelOutcome.CANCELLED
    assert cancelled(last).contexts

    leaf = helper("leaf done", name="leaf", tools=[looks.tool])
    model = ScriptedChatModel(["all done"])
    inner = SequentialAgent(name="inner", description="does it", agents=[leaf])
    root = ChatModelAgent(name="root", description="root", model=model, tools=[agent_tool(inner)])
    async with Runner(root, checkpoint_store=store).resume("run") as events:
        assert await said(events) == ["leaf done", "all done"]
    assert looks.calls == 1


@pytest.mark.parametrize("recursive", [False, True])
async def test_safe_points_of_agents_inside_count_only_if_asked_for(
    recursive: bool, virtual_clock: VirtualClock
) -> None:
    looks = Looks()
    leaf = helper(ASK, "leaf done", tools=[looks.tool], name="leaf")
    async with Runner(nested(leaf)).query("hi") as events:
        await anyio.sleep(0.5)  # the leaf's model thinks
        events.cancel(AFTER_MODEL, recursive=recursive)
        last = [event async for event in events][-1]
    if recursive:
        (context,) = cancelled(last).contexts
        assert context.address_text == "agent:root;tool:inner:1;agent:inner;agent:leaf"
    else:  # the root's model gives its answer, which is never cancelled
        assert last.error is None
    assert looks.calls == (0 if recursive else 1)


@pytest.mark.parametrize("mode", [AFTER_MODEL, AFTER_TOOLS])
@pytest.mark.parametrize("kind", [SequentialAgent, LoopAgent])
async def test_between_the_turns_of_a_workflow_any_mode_counts(
    kind: Any, mode: CancelMode, virtual_clock: VirtualClock
) -> None:
    store = MemoryStore()

    def runner() -> Runner:
        more = {"max_iterations": 1} if kind is LoopAgent else {}
        flow = kind(name="flow", agents=[speaker("a"), speaker("b")], **more)
        return Runner(flow, checkpoint_store=store)

    async with runner().query("hi", checkpoint_id="run") as events:
        await anyio.sleep(0.5)
        events.cancel(mode)
        *first, last = [event async for event in events]
    assert [event.agent_name for event in first] == ["a"]
    assert cancelled(last).mode is mode

    async with runner().resume("run") as events:
        assert await said(events) == ["b"]


@pytest.mark.parametrize("mode", [AT_ONCE, AFTER_MODEL])
async def test_p08_plan_and_execute(mode: CancelMode, virtual_clock: VirtualClock) -> None:
    looks, store = Looks(), MemoryStore()

    def runner(*works: Any, plans: Any = ()) -> Runner:
        agents = plan_execute(
            planner=planner_agent(ScriptedChatModel(plans)),
            executor=executor_agent(ScriptedChatModel(works, first_delay_s=5), tools=[looks.tool]),
            replanner=replanner_agent(ScriptedChatModel([[tool_call("respond", {"response": "all done"}, id="r")]])),
        )
        return Runner(agents, checkpoint_store=store)

    plan = [tool_call("plan", {"steps": ["one"]}, id="p")]
    async with runner(ASK, plans=[plan]).query("do it", checkpoint_id="run") as events:
        await anyio.sleep(2)  # the executor's model thinks
        handle = events.cancel(mode, recursive=True)
        last = [event async for event in events][-1]
    assert await handle.wait() is CancelOutcome.CANCELLED
    assert cancelled(last).mode is mode
    assert cancelled(last).contexts
    assert virtual_clock.now() < (3 if mode is AT_ONCE else 6)

    works = ["did one"] if mode is AFTER_MODEL else [ASK, "did one"]
    async with runner(*works).resume("run") as events:
        assert (await said(events))[-1] == '{"response":"all done"}'
    assert looks.calls == 1


async def test_agents_beside_each_other_all_stop_and_all_go_on(virtual_clock: VirtualClock) -> None:
    store = MemoryStore()

    def runner() -> Runner:
        flow = ParallelAgent(name="flow", agents=[speaker("fast", 1), speaker("slow", 10), speaker("slower", 20)])
        return Runner(flow, checkpoint_store=store)

    async with runner().query("hi", checkpoint_id="run") as events:
        await anyio.sleep(2)
        events.cancel()
        *first, last = [event async for event in events]
    assert [event.agent_name for event in first] == ["fast"]
    assert cancelled(last)

    async with runner().resume("run") as events:
        assert await said(events) == ["slow", "slower"]


async def test_a_cancelled_run_does_not_hand_over(virtual_clock: VirtualClock) -> None:
    looks, store = Looks(), MemoryStore()

    def root(*steps: Any) -> Any:
        return with_sub_agents(helper(*steps, name="root"), [speaker("other")])

    hand_over = tool_call("transfer_to_agent", {"agent_name": "other"}, id="1")
    async with Runner(root(hand_over), checkpoint_store=store).query("hi", checkpoint_id="run") as events:
        await anyio.sleep(0.5)
        events.cancel(AFTER_TOOLS)
        last = [event async for event in events][-1]
    assert cancelled(last)
    assert looks.calls == 0

    async with Runner(root("never"), checkpoint_store=store).resume("run") as events:
        assert await said(events) == ["other"]


async def test_streams_that_are_cut_off_say_so(virtual_clock: VirtualClock) -> None:
    model = ScriptedChatModel(["one two three four"], delay_s=1)
    runner = Runner(ChatModelAgent(name="helper", model=model), streaming=True, checkpoint_store=MemoryStore())
    async with runner.query("hi", checkpoint_id="run") as events:
        first = await anext(events)
        assert first.message is not None
        await anyio.sleep(1.5)
        events.cancel()
        with pytest.raises(RunCancelledError):
            await first.message.get()
        assert cancelled([event async for event in events][-1])


async def test_leaving_the_block_cancels_and_waits(virtual_clock: VirtualClock) -> None:
    looks = Looks(100)
    async with Runner(helper(ASK, tools=[looks.tool], delay_s=0)).query("hi") as events:
        await anext(events)
        await anyio.sleep(1)
    assert (looks.calls, looks.ended) == (1, 0)
    assert virtual_clock.now() < 2
    with pytest.raises(RunCancelledError):
        await events.answer()


@pytest.mark.parametrize(
    ("mode", "timeout_s", "text"),
    [
        ("immediate", None, "CancelMode.IMMEDIATE"),
        (CancelMode(0), None, "CancelMode.IMMEDIATE"),
        (AFTER_TOOLS, -1, "seconds from 0"),
        (AFTER_TOOLS, "soon", "seconds from 0"),
    ],
)
async def test_cancelling_wrongly(mode: Any, timeout_s: Any, text: str) -> None:
    async with Runner(helper("hi", delay_s=0)).query("hi") as events:
        with pytest.raises(BuildError, match=text):
            events.cancel(mode, timeout_s=timeout_s)
        assert await said(events) == ["hi"]


def test_the_error_says_how() -> None:
    request = CancelRequest(None)
    request.ask(AFTER_MODEL | AFTER_TOOLS, timeout_s=None, recursive=False)
    assert request.info is not None
    assert AgentCancelledError(request.info).message == "the run of agents was cancelled, mode AFTER_MODEL|AFTER_TOOLS"
    request.ask(AT_ONCE, timeout_s=None, recursive=False)
    assert AgentCancelledError(request.info).message.endswith("mode IMMEDIATE (escalated)")
