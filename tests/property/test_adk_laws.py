"""Laws of stored runs of agents: however often a run stops or breaks off, what was said in the end is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from eino import MemoryStore, current_context, interrupt
from eino.adk import (
    Agent,
    AgentEvent,
    AgentInput,
    LoopAgent,
    ParallelAgent,
    Runner,
    SequentialAgent,
    agent,
    agent_tool,
    deterministic_transfer,
    message_event,
    session_value,
    session_values,
    set_session_value,
    supervisor,
    transfer_action,
    with_sub_agents,
)
from eino.schema import assistant_message
from eino.schema.message import Message

LEAVES = st.lists(st.sampled_from(["say", "stream", "ask", "set", "fail"]), min_size=1, max_size=3).map(tuple)

KINDS = ("sequential", "loop", "parallel", "tree", "supervisor", "tool", "deterministic")

PLANS = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from(KINDS), st.lists(inner, min_size=1, max_size=3)), max_leaves=6
)
"""What agents do: the steps of one, or a kind of agent and those inside it."""


@dataclass
class World:
    """Makes the agents of a plan, and remembers what has failed already."""

    stops: bool
    """Whether steps that ask do, and steps that fail do the first time."""
    broken: set[str] = field(default_factory=set)
    made: int = 0

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"

    def agent(self, plan: Any) -> Agent:
        if isinstance(plan[0], str) and plan[0] not in KINDS:
            return self.leaf(plan)
        kind, inner = plan
        name = self.name(kind)
        agents = [self.agent(each) for each in inner]
        makers: dict[str, Callable[[], Agent]] = {
            "sequential": lambda: SequentialAgent(name=name, description="Several.", agents=agents),
            "loop": lambda: LoopAgent(name=name, description="Several.", agents=agents, max_iterations=2),
            "parallel": lambda: ParallelAgent(name=name, description="Several.", agents=agents),
            "tree": lambda: with_sub_agents(handing(name, agents[0].name), agents),
            "supervisor": lambda: supervisor(handing(name, *(each.name for each in agents)), agents),
            "tool": lambda: calling(name, agents[0]),
            "deterministic": lambda: with_sub_agents(deterministic_transfer(saying(name), [agents[0].name]), agents),
        }
        return makers[kind]()

    def leaf(self, steps: tuple[str, ...]) -> Agent:
        name = self.name("leaf")

        @agent(name=name, description="Leaf.")
        async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
            context = current_context()
            at = context.interrupt_state if context.was_interrupted else -1
            for position, step in enumerate(steps):
                text = f"{name}.{position}"
                if step == "ask" and self.stops:
                    interrupt(text, state=position)
                if position < at:
                    continue
                if step == "set":
                    set_session_value(name, int(session_value(name, 0)) + 1)
                if step == "fail" and self.stops and text not in self.broken:
                    self.broken.add(text)
                    raise ValueError(text)
                yield message_event(streamed(text) if step == "stream" else assistant_message(text))

        return run


def saying(name: str) -> Agent:
    @agent(name=name, description="Once.")
    async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message(f"{name} said"))

    return run


async def streamed(text: str) -> AsyncIterator[Message]:
    for piece in (text[:3], text[3:]):
        yield assistant_message(piece)


def handing(name: str, *to: str) -> Agent:
    """Return an agent that hands over to each of `to`, one a turn, and then says that it is done."""

    @agent(name=name, description="Hands over.")
    async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
        turn = int(session_value(f"{name} turn", 0))
        set_session_value(f"{name} turn", turn + 1)
        if turn < len(to):
            yield message_event(assistant_message(f"{name} to {to[turn]}"), action=transfer_action(to[turn]))
        else:
            yield message_event(assistant_message(f"{name} is done"))

    return run


def calling(name: str, inner: Agent) -> Agent:
    """Return an agent that calls another as a tool."""
    tool = agent_tool(inner)

    @agent(name=name, description="Calls.")
    async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
        await tool.run('{"request": "do it"}')  # its result may be that of any of several beside each other
        yield message_event(assistant_message(f"{name} has its answer"))

    return run


@dataclass
class Outcome:
    said: Counter[str]
    values: dict[str, Any]


async def outcome(plan: Any, world: World, *, durability: Any, seed: int) -> Outcome:
    """Run a plan to its end, whatever stops it, and return what the last agent sees."""
    seen: list[Outcome] = []

    @agent(name="last", description="Last.")
    async def last(given: AgentInput) -> AsyncIterator[AgentEvent]:
        seen.append(Outcome(Counter(each.content for each in given.messages), session_values()))
        yield message_event(assistant_message("the end"))

    whole = SequentialAgent(name="whole", agents=[world.agent(plan), last])
    runner = Runner(whole, checkpoint_store=MemoryStore(), durability=durability)
    rng = Random(seed)
    events = runner.query("go", checkpoint_id="1")
    for _ in range(200):
        async with events:
            heard = [event async for event in events]
        if seen:
            [found] = seen
            return found
        action = heard[-1].action
        if action is not None and action.interrupted is not None:
            points = list(action.interrupted.contexts)
            some = rng.sample(points, rng.randint(1, len(points)))
            events = runner.resume("1", {each.id: None for each in some})
        else:
            assert any(event.error for event in heard)
            events = runner.query("go", checkpoint_id="1")
    raise AssertionError("the run goes on for ever")


def _is_alone(plan: Any) -> bool:
    """Whether nothing of a plan fails."""
    return "fail" not in str(plan)


@settings(max_examples=30)
@given(plan=PLANS.filter(_is_alone), seed=st.integers(0, 1000), backend=st.sampled_from(["asyncio", "trio"]))
def test_a_run_that_stops_says_in_the_end_what_one_says_that_does_not(plan: Any, seed: int, backend: str) -> None:
    """Whatever is answered in which order: nothing is said twice, nothing is lost, and values are the same."""

    async def compare() -> None:
        straight = await outcome(plan, World(stops=False), durability="interrupt", seed=seed)
        stopped = await outcome(plan, World(stops=True), durability="interrupt", seed=seed)
        assert stopped == straight

    anyio.run(compare, backend=backend)


@settings(max_examples=30)
@given(plan=PLANS, seed=st.integers(0, 1000), backend=st.sampled_from(["asyncio", "trio"]))
def test_a_run_that_breaks_off_says_in_the_end_what_one_says_that_does_not(plan: Any, seed: int, backend: str) -> None:
    """With a record after each step: an agent that failed begins its turn again, and what ended stays as it was."""

    async def compare() -> None:
        straight = await outcome(plan, World(stops=False), durability="step", seed=seed)
        broken = await outcome(plan, World(stops=True), durability="step", seed=seed)
        assert broken.said == straight.said
        assert broken.values.keys() == straight.values.keys()

    anyio.run(compare, backend=backend)
