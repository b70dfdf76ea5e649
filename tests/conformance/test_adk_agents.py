"""Agents, transfers, workflows and agent tools: rows A01 to A26 and P01, P02 of agents-scenarios that concern the core."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from eino import MemoryStore, current_context, handler_builder, interrupt, tool_call, user_message
from eino.adk import (
    AgentEvent,
    AgentInput,
    EventStream,
    FunctionAgent,
    LoopAgent,
    ParallelAgent,
    Runner,
    SequentialAgent,
    agent,
    agent_tool,
    break_loop_action,
    current_agent_run,
    deterministic_transfer,
    exit_action,
    message_event,
    supervisor,
    transfer_action,
    with_sub_agents,
)
from eino.adk.chat.agent import ChatModelAgent
from eino.adk.history import told_conversation
from eino.callbacks import Handler, RunInfo
from eino.components.tools import Tool
from eino.errors import BuildError
from eino.schema import assistant_message, system_message, tool_message
from eino_fixtures import Asks, ScriptedAgent, ScriptedChatModel


async def drained(events: EventStream) -> list[AgentEvent]:
    async with events:
        return [event async for event in events]


async def said(events: Sequence[AgentEvent]) -> list[str]:
    return [(await event.message.get()).content for event in events if event.message is not None]


def names(events: Sequence[AgentEvent]) -> list[str]:
    return [event.agent_name for event in events]


def stopped(events: Sequence[AgentEvent]) -> Any:
    """Return the contexts of the last event, which must say that the run has stopped."""
    action = events[-1].action
    assert action is not None
    assert action.interrupted is not None
    return action.interrupted.contexts


def counting(name: str) -> tuple[Handler, list[str]]:
    """Return a handler that notes each start of the agent `name`."""
    starts: list[str] = []

    def on_start(info: RunInfo, _: object) -> None:
        if info.component == "Agent" and info.name == name:
            starts.append(info.type)

    return handler_builder(on_start=on_start), starts


def handing_over(name: str, to: str, text: str = "over to you") -> FunctionAgent:
    """Return an agent that hands over as a chat agent does: a call, and a result with the action."""

    @agent(name=name, description=f"The agent {name}.")
    async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
        call = tool_call("transfer_to_agent", {"agent_name": to}, id="tool-call-1")
        yield message_event(assistant_message(text, [call]))
        result = tool_message(f"successfully transferred to agent [{to}]", call.id, tool_name="transfer_to_agent")
        yield message_event(result, action=transfer_action(to))

    return run


# Transfer


async def test_a01_a_transfer_gives_the_sub_agent_its_turn() -> None:
    """A01: the events of the parent's call and its result, then those of the child."""
    child = ScriptedAgent("ChildAgent", ["Hello from child agent"])
    parent = with_sub_agents(handing_over("ParentAgent", "ChildAgent"), [child])

    events = await drained(Runner(parent).query("hi"))

    assert [event.message.role for event in events if event.message] == ["assistant", "tool", "assistant"]
    assert [event.action.transfer_to if event.action else "" for event in events] == ["", "ChildAgent", ""]
    assert (await said(events))[-1] == "Hello from child agent"
    assert [event.run_path for event in events] == [("ParentAgent",)] * 2 + [("ParentAgent", "ChildAgent")]
    assert [each.content for each in child.inputs[0].messages] == [
        "hi",
        (
            "For context: [ParentAgent] said: over to you. [ParentAgent] called tool: `transfer_to_agent` with "
            'arguments: {"agent_name":"ChildAgent"}.'
        ),
        (
            "For context: [ParentAgent] `transfer_to_agent` tool returned result: successfully transferred to agent "
            "[ChildAgent]."
        ),
    ]


async def test_a02_a_handler_of_one_agent_hears_its_turn_once() -> None:
    """A02: designated to the child, it hears the child's start."""
    handler, starts = counting("ChildAgent")
    tree = with_sub_agents(handing_over("ParentAgent", "ChildAgent"), [ScriptedAgent("ChildAgent", ["hello"])])

    await drained(Runner(tree).query("hi", agent_callbacks={"ChildAgent": [handler]}))

    assert starts == ["ScriptedAgent"]


async def test_a04_a_custom_agent_around_another_can_be_resumed_without_doing_anything_for_it() -> None:
    """A04 asks for an error where a wrapper has no resume method; here a wrapper needs none."""
    inner = with_sub_agents(ScriptedAgent("inner", [Asks("please confirm")]), [ScriptedAgent("other", ["never"])])

    @agent(name="wrapper")
    async def wrapper(given: AgentInput) -> AsyncIterator[AgentEvent]:
        async for event in inner.run(given):
            yield event

    runner = Runner(wrapper, checkpoint_store=MemoryStore())

    [point] = stopped(await drained(runner.query("hi", checkpoint_id="cp1")))
    events = await drained(runner.resume("cp1", {point.id: "confirmed"}))

    assert point.address_text == "agent:wrapper;agent:inner"
    assert await said(events) == ["confirmed"]
    assert [event.run_path for event in events] == [("wrapper", "inner")]


async def test_a13_an_agent_that_was_handed_over_to_goes_on_itself() -> None:
    """A13: the address names the tree down to the agent, and only that agent runs on resume."""
    first = ScriptedAgent("sa1", [transfer_action("sa2")])
    seen: list[Any] = []

    @agent(name="sa2")
    async def second(_: AgentInput) -> AsyncIterator[AgentEvent]:
        seen.append((current_context().was_interrupted, current_context().interrupt_state))
        yield message_event(assistant_message(interrupt("hello world", state="temp state")))

    runner = Runner(with_sub_agents(first, [second]), checkpoint_store=MemoryStore())

    events = await drained(runner.query("hi", checkpoint_id="1"))
    [point] = stopped(events)
    resumed = await drained(runner.resume("1", {point.id: "resume data"}))

    assert events[0].action == transfer_action("sa2")
    assert (point.address_text, point.info) == ("agent:sa1;agent:sa2", "hello world")
    assert await said(resumed) == ["resume data"]
    assert seen == [(False, None), (True, "temp state")]
    assert first.turns == 1


# Workflows


async def test_a05_sequential_agents_run_in_order() -> None:
    """A05: both answers."""
    agents = [ScriptedAgent("Agent1", ["Response from Agent1"]), ScriptedAgent("Agent2", ["Response from Agent2"])]

    events = await drained(Runner(SequentialAgent(name="seq", agents=agents)).query("Test input"))

    assert await said(events) == ["Response from Agent1", "Response from Agent2"]
    assert [event.run_path for event in events] == [("seq", "Agent1"), ("seq", "Agent1", "Agent2")]
    assert [each.content for each in agents[1].inputs[0].messages] == [
        "Test input",
        "For context: [Agent1] said: Response from Agent1.",
    ]


async def test_a05_an_exit_leaves_out_the_others() -> None:
    """A05, second variant."""
    leaving = ScriptedAgent("Agent1", [message_event(assistant_message("bye"), action=exit_action())])
    other = ScriptedAgent("Agent2", ["never"])

    [event] = await drained(Runner(SequentialAgent(name="seq", agents=[leaving, other])).query("Test input"))

    assert event.action == exit_action()
    assert other.turns == 0


async def test_a07_a_break_ends_the_loop_and_is_marked() -> None:
    """A07: done, by whom, and in which round."""
    step = message_event(assistant_message("enough"), action=break_loop_action("LoopAgent"))
    loop = LoopAgent(name="loop", agents=[ScriptedAgent("LoopAgent", [step])], max_iterations=3)

    [event] = await drained(Runner(loop).query("x"))

    assert event.action is not None
    assert event.action.break_loop is not None
    told = event.action.break_loop
    assert (told.done, told.from_agent, told.current_iterations) == (True, "LoopAgent", 0)


async def test_a08_an_agent_that_breaks_the_loop_ends_its_turn_first() -> None:
    """A08: what it says behind the break is told."""
    result = message_event(tool_message("broken", "1", tool_name="stop"), action=break_loop_action())
    looping = ScriptedAgent("a", [result, "Final response after tool"])
    later = ScriptedAgent("b", ["never"])

    events = await drained(Runner(LoopAgent(name="loop", agents=[looping, later], max_iterations=3)).query("x"))

    assert await said(events) == ["broken", "Final response after tool"]
    assert events[0].action is not None
    assert events[0].action.break_loop is not None
    assert events[0].action.break_loop.done
    assert (looping.turns, later.turns) == (1, 0)


async def test_a10_parallel_agents_stop_together_and_go_on_alone() -> None:
    """A10: finished agents do not run again; those that stopped see their own answer, state and history."""
    seen: dict[str, Any] = {}

    def asking(name: str, state: Any) -> FunctionAgent:
        @agent(name=name)
        async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
            context, turn = current_context(), current_agent_run()
            assert turn is not None
            if context.was_interrupted:
                seen[name] = (
                    context.is_resume_target,
                    context.interrupt_state,
                    context.resume_data,
                    [entry.agent_name for entry in turn.history()],
                )
            else:
                yield message_event(assistant_message(f"{name} message"))
            interrupt(f"{name} interrupt data", state=state)

        return run

    others = [ScriptedAgent("sa3", ["sa3 message"]), ScriptedAgent("sa4", ["sa4 message"])]
    agents = [asking("sa1", None), asking("sa2", "sa2 interrupt"), *others]
    parallel = ParallelAgent(name="parallel agent", agents=agents)
    runner = Runner(parallel, checkpoint_store=MemoryStore())

    events = await drained(runner.query("x", checkpoint_id="1"))
    first, second = stopped(events)
    resumed = await drained(runner.resume("1", {first.id: "resume sa1", second.id: "resume sa2"}))

    assert sorted(await said(events)) == ["sa1 message", "sa2 message", "sa3 message", "sa4 message"]
    assert [e.run_path for e in events if e.agent_name == "sa3"] == [("parallel agent", "sa3")]
    assert (events[-1].agent_name, events[-1].run_path) == ("parallel agent", ("parallel agent",))
    assert [first.info, second.info] == ["sa1 interrupt data", "sa2 interrupt data"]
    assert first.parent is second.parent
    assert (first.parent.address_text, first.parent.info) == ("agent:parallel agent", "Parallel workflow interrupted")
    assert resumed == []
    assert seen == {
        "sa1": (True, None, "resume sa1", ["sa1"]),
        "sa2": (True, "sa2 interrupt", "resume sa2", ["sa2"]),
    }
    assert [each.turns for each in others] == [1, 1]


async def test_a11_handlers_hear_each_turn_once_however_they_were_given() -> None:
    """A11: nested loops, an interrupt in the second turn, a global handler and one given to two agents by name."""
    turns: list[int] = []

    @agent(name="SubSubAgent")
    async def innermost(_: AgentInput) -> AsyncIterator[AgentEvent]:
        turns.append(len(turns) + 1)
        if len(turns) == 2:
            interrupt("stop")
        yield message_event(assistant_message("turn"))

    inner = LoopAgent(name="SubWorkflow", agents=[innermost], max_iterations=2)
    outer = LoopAgent(name="ParentWorkflow", agents=[inner], max_iterations=2)
    (everywhere, all_starts), (named, named_starts) = counting("SubSubAgent"), counting("SubSubAgent")
    runner = Runner(outer, checkpoint_store=MemoryStore(), callbacks=[everywhere])
    given: Any = {"agent_callbacks": {"ParentWorkflow": [named], "SubSubAgent": [named]}}

    [point] = stopped(await drained(runner.query("x", checkpoint_id="1", **given)))
    counts = (len(turns), len(all_starts), len(named_starts))
    await drained(runner.resume("1", {point.id: None}, **given))

    assert counts == (2, 2, 2)
    assert (len(turns), len(all_starts), len(named_starts)) == (5, 5, 5)


async def test_a14_a_sequence_stops_and_goes_on_agent_by_agent() -> None:
    """A14: run paths are history, addresses are structure."""
    agents = [
        ScriptedAgent("sa1", [Asks("one?")]),
        ScriptedAgent("sa2", [Asks("two?")]),
        ScriptedAgent("sa3", ["three"]),
        ScriptedAgent("sa4", ["four"]),
    ]
    runner = Runner(SequentialAgent(name="sequential", agents=agents), checkpoint_store=MemoryStore())

    [event] = await drained(runner.query("x", checkpoint_id="1"))
    [first] = stopped([event])
    assert (event.agent_name, event.run_path) == ("sa1", ("sequential", "sa1"))
    assert first.address_text == "agent:sequential;agent:sa1"
    assert (first.parent.address_text, first.parent.info) == ("agent:sequential", "Sequential workflow interrupted")

    events = await drained(runner.resume("1", {first.id: "1"}))
    [second] = stopped(events)
    assert (events[-1].agent_name, events[-1].run_path) == ("sa2", ("sequential", "sa1", "sa2"))
    assert second.address_text == "agent:sequential;agent:sa2"

    events = await drained(runner.resume("1", {"agent:sequential;agent:sa2": "2"}))
    assert await said(events) == ["2", "three", "four"]
    assert [event.run_path for event in events[1:]] == [
        ("sequential", "sa1", "sa2", "sa3"),
        ("sequential", "sa1", "sa2", "sa3", "sa4"),
    ]


async def test_a14_a_loop_goes_on_in_the_round_in_which_it_stopped() -> None:
    """A14, as a loop: the run path grows from round to round, the address stays."""
    first, second = ScriptedAgent("a", ["said"]), ScriptedAgent("b", [Asks("go on?")])
    loop = LoopAgent(name="loop", agents=[first, second], max_iterations=2)
    runner = Runner(loop, checkpoint_store=MemoryStore())

    [one] = stopped(await drained(runner.query("x", checkpoint_id="1")))
    events = await drained(runner.resume("1", {one.id: "yes"}))
    [two] = stopped(events)

    assert one.address_text == two.address_text == "agent:loop;agent:b"
    assert one.parent.info == "Loop workflow interrupted"
    assert events[-1].run_path == ("loop", "a", "b", "a", "b")
    assert await said(await drained(runner.resume("1", {two.id: "yes"}))) == ["yes"]
    assert first.turns == 2


# Agents as tools


def caller(tool: Tool, *answers: Any, name: str = "name", emit: bool = False) -> ChatModelAgent[Any]:
    """Return a chat agent with one tool, whose model gives `answers`."""
    model = ScriptedChatModel(list(answers))
    return ChatModelAgent(
        name=name, description=f"Calls {tool.info.name}.", model=model, tools=[tool], emit_internal_events=emit
    )


async def test_a17_what_an_agent_inside_a_tool_asks_stops_the_run() -> None:
    """A17: a resume without answers asks again; an answer reaches the agent, and its last message is the result."""

    @agent(name="myAgent", description="Mine.")
    async def mine(_: AgentInput) -> AsyncIterator[AgentEvent]:
        info = "interrupt again" if current_context().was_interrupted else "interrupt"
        data = interrupt(info)
        yield message_event(assistant_message(f"my agent completed with data {data}"))

    call = tool_call("myAgent", {"request": "do it"}, id="1")
    runner = Runner(caller(agent_tool(mine), call, "completed"), checkpoint_store=MemoryStore())

    first = await drained(runner.query("x", checkpoint_id="1"))
    again = await drained(runner.resume("1"))
    [point] = stopped(again)
    last = await drained(runner.resume("1", {point.id: "resume sa"}))

    assert (first[-1].agent_name, first[-1].run_path) == ("name", ("name",))
    assert (point.address_text, point.info) == ("agent:name;tool:myAgent:1;agent:myAgent", "interrupt again")
    assert (point.parent.address_text, point.parent.info) == ("agent:name;tool:myAgent:1", "agent tool interrupt")
    assert await said(last) == ["my agent completed with data resume sa", "completed"]
    assert [event.message.role for event in last if event.message] == ["tool", "assistant"]


def test_a22_a_conversation_is_told_to_an_agent_inside_a_tool() -> None:
    """A22: the exact texts."""
    messages = [
        system_message("be nice"),
        user_message("user query"),
        assistant_message("", [tool_call("tool1", "arguments1", id="1")]),
        tool_message("tool result 1", "1", tool_name="tool1"),
        assistant_message("", [tool_call("tool2", "arguments2", id="2")]),
    ]

    told = told_conversation(messages, "MyAgent", "DestAgentName")

    assert {each.role for each in told} == {"user"}
    assert [each.content for each in told] == [
        "user query",
        "For context: [MyAgent] called tool: `tool1` with arguments: arguments1.",
        "For context: [MyAgent] `tool1` tool returned result: tool result 1.",
        "For context: [MyAgent] called tool: `transfer_to_agent` with arguments: DestAgentName.",
        (
            "For context: [MyAgent] `transfer_to_agent` tool returned result: successfully transferred to agent "
            "[DestAgentName]."
        ),
    ]


async def test_a22_an_agent_inside_a_tool_may_get_the_whole_conversation() -> None:
    """A22, in a run."""
    inner = ScriptedAgent("inner", ["known"])
    outer = caller(agent_tool(inner, full_history=True), tool_call("inner", "{}", id="1"), "done", name="outer")

    await drained(Runner(outer).run([user_message("user query")]))

    assert [each.content for each in inner.inputs[0].messages] == [
        "user query",
        "For context: [outer] called tool: `transfer_to_agent` with arguments: inner.",
        "For context: [outer] `transfer_to_agent` tool returned result: successfully transferred to agent [inner].",
    ]


@pytest.mark.parametrize("emit", [True, False], ids=["emits internal events", "does not"])
async def test_a23_events_of_agents_inside_tools_carry_the_whole_path(emit: bool) -> None:
    """A23: and no level has those of another one in its history."""
    histories: dict[str, list[str]] = {}

    @agent(name="inner2", description="Innermost.")
    async def innermost(_: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message("inner2"))
        note("inner2")

    def note(name: str) -> None:
        turn = current_agent_run()
        assert turn is not None
        histories[name] = [entry.agent_name for entry in turn.history()]

    inner = caller(
        agent_tool(innermost), tool_call("inner2", {"request": "a"}, id="2"), "inner done", name="inner", emit=emit
    )
    outer = caller(
        agent_tool(inner), tool_call("inner", {"request": "a"}, id="1"), "outer done", name="outer", emit=emit
    )

    events = await drained(Runner(outer).query("x"))

    found = [event.run_path for event, text in zip(events, await said(events), strict=True) if text == "inner2"]
    assert (("outer", "inner", "inner2") in found) is emit
    assert histories == {"inner2": ["inner2"]}
    assert ({event.run_path for event in events}.pop() == ("outer",)) is not emit or emit


async def test_a25_actions_of_events_from_elsewhere_do_not_steer() -> None:
    """A25: neither an exit nor a transfer to nobody, when the run path is not the agent's own."""
    elsewhere = {"agent_name": "inner", "run_path": ("inner",)}
    steps = [
        AgentEvent(action=exit_action(), **elsewhere),
        AgentEvent(action=transfer_action("ghost"), **elsewhere),
        "ok",
    ]
    after = ScriptedAgent("after", ["after"])

    events = await drained(Runner(SequentialAgent(name="seq", agents=[ScriptedAgent("a", steps), after])).query("x"))

    assert await said(events) == ["ok", "after"]
    assert all(event.error is None for event in events)


def test_a26_an_agent_tool_needs_a_name_and_a_description() -> None:
    """A26: said when the tool is made."""
    nameless, silent = ScriptedAgent("a", ["x"]), ScriptedAgent("a", ["x"])
    nameless.name, silent.description = "", ""

    with pytest.raises(BuildError, match="an agent's name is a text"):
        agent_tool(nameless)
    with pytest.raises(BuildError, match="agent tool requires a non-empty Description"):
        agent_tool(silent)


# Supervisors


def supervising(name: str, *workers: str) -> FunctionAgent:
    """Return an agent that hands over to each worker in turn, and then has done."""
    rounds = list(workers)

    @agent(name=name, description="Supervises.")
    async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
        if rounds:
            yield message_event(assistant_message("go"), action=transfer_action(rounds.pop(0)))
        else:
            yield message_event(assistant_message(f"{name} is done"))

    return run


async def test_a_worker_hands_back_to_its_supervisor() -> None:
    """Supervisor: each worker's turn ends with a call of the transfer tool and its result."""
    workers = [ScriptedAgent("one", ["1"]), ScriptedAgent("two", ["2"])]

    events = await drained(Runner(supervisor(supervising("boss", "one", "two"), workers)).query("x"))

    assert names(events) == ["boss", "one", "one", "one", "boss", "two", "two", "two", "boss"]
    assert [e.action.transfer_to for e in events if e.action] == ["one", "boss", "two", "boss"]
    assert (await said(events))[-1] == "boss is done"
    assert events[2].message is not None
    assert (await events[2].message.get()).tool_calls[0].arguments == '{"agent_name":"boss"}'


@pytest.mark.parametrize("nested", [False, True], ids=["one supervisor", "a supervisor inside another"])
async def test_p01_an_exit_ends_everything(nested: bool) -> None:
    """P01: nobody hands back after it."""
    leaving = ScriptedAgent("Worker", [message_event(assistant_message("bye"), action=exit_action())])
    system = supervisor(supervising("Mid", "Worker"), [leaving])
    whole = supervisor(supervising("Top", "Mid"), [system]) if nested else system

    events = await drained(Runner(whole).query("x"))

    assert events[-1].action == exit_action()
    assert [e.action.transfer_to for e in events if e.action] == (["Mid", "Worker", ""] if nested else ["Worker", ""])


async def test_p02_a_nested_supervisor_goes_on_after_an_approval() -> None:
    """P02: the worker deep inside asks; after the answer it and its supervisor hand back."""
    worker = ScriptedAgent("payment", [Asks("approve?"), "executed successfully"])
    system = supervisor(supervising("finance", "payment"), [worker])
    whole = supervisor(supervising("company_coordinator", "finance"), [system])
    runner = Runner(whole, checkpoint_store=MemoryStore())

    [point] = stopped(await drained(runner.query("pay", checkpoint_id="1")))
    events = await drained(runner.resume("1", {point.id: True}))

    assert point.address_text == "agent:company_coordinator;agent:finance;agent:payment"
    assert [event.error for event in events] == [None] * len(events)
    assert "executed successfully" in await said(events)
    assert [e.action.transfer_to for e in events if e.action] == ["finance", "company_coordinator"]
    assert (await said(events))[-1] == "company_coordinator is done"


async def test_handlers_hear_a_supervisor_as_one_turn_around_the_others() -> None:
    """Supervisor: one start of type Supervisor first, one end of it last."""
    heard: list[tuple[str, str, str]] = []
    handler = handler_builder(
        on_start=lambda info, _: heard.append(("start", info.type, info.name)) if info.component == "Agent" else None,
        on_end=lambda info, _: heard.append(("end", info.type, info.name)) if info.component == "Agent" else None,
    )

    await drained(
        Runner(supervisor(supervising("boss", "one"), [ScriptedAgent("one", ["1"])]), callbacks=[handler]).query("x")
    )

    assert heard[0] == ("start", "Supervisor", "boss")
    assert heard[-1] == ("end", "Supervisor", "boss")
    assert [each[1:] for each in heard if each[0] == "start"] == [
        ("Supervisor", "boss"),
        ("FunctionAgent", "boss"),
        ("DeterministicTransfer", "one"),
        ("FunctionAgent", "boss"),
    ]


async def test_an_agent_that_always_hands_over_does_so_to_the_last_of_several() -> None:
    """Deterministic transfer: one call and result for each, and the last one counts."""
    first = deterministic_transfer(ScriptedAgent("a", ["said"]), to=["b", "c"])
    tree = with_sub_agents(first, [ScriptedAgent("b", ["from b"]), ScriptedAgent("c", ["from c"])])

    events = await drained(Runner(tree).query("x"))

    assert names(events) == ["a"] * 5 + ["c"]
    assert [e.action.transfer_to for e in events if e.action] == ["b", "c"]
