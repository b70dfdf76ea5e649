"""What built-in agents share: they push their events, and can be pulled like any other agent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Any

from eino._run.frame import current
from eino._run.interrupt import InterruptSignal
from eino._tasks import shielded, spawn
from eino.adk.agent import Agent, AgentInput
from eino.adk.drive import agent_segment, drive
from eino.adk.event_stream import EventQueue
from eino.adk.events import AgentEvent
from eino.adk.lanes import Lane
from eino.adk.run_state import AgentRun, current_agent_run
from eino.compose.runnable import Runnable

__all__ = ["Builtin", "pulled"]


class Builtin:
    """Base of the agents of this package; see `eino.adk.drive.BuiltinAgent`."""

    kind = ""
    interrupt_info = ""
    tells_interrupts = False
    is_told_inside = False
    _graph: Runnable[Any, Lane]
    """Runs one turn; agents without it have a `_drive` of their own."""

    def __init__(self, name: str, description: str) -> None:
        self.name = name
        self.description = description

    def run(self, input: AgentInput, /) -> AsyncIterator[AgentEvent]:  # noqa: A002 - the field's word
        """Yield the events of one turn; see `Agent`."""
        return pulled(self, input)

    def _drive(self, input: AgentInput, run: AgentRun) -> Awaitable[Lane]:  # noqa: A002 - the field's word
        return self._graph.invoke(input)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


async def pulled(agent: Agent, input: AgentInput) -> AsyncGenerator[AgentEvent]:  # noqa: A002 - the field's word
    """Yield the events of one turn of an agent that pushes them.

    Inside a run the turn is part of it: what it asks stops the run, what it says is in the histories of others, and
    what it fails with is raised here. Elsewhere it is a run of its own, that ends with an event of its error.
    """
    outer = current_agent_run()
    if outer is None or current.get() is None:
        from eino.adk.runner import Runner

        async with Runner(agent, streaming=input.streaming).run(input.messages) as events:
            async for event in events:
                yield event
        return
    inner = _Inner(agent, input, outer)
    task = spawn(inner.work, name=f"eino: agent {agent.name}")
    try:
        while (said := await inner.queue.get()) is not None:
            yield said
        if inner.failure is not None:
            raise inner.failure
    finally:
        if not task.done:
            task.cancel()
            await shielded(task.wait_ended)
        inner.queue.clear()


class _Inner:
    """A turn inside the turn of an agent that pulls it."""

    def __init__(self, agent: Agent, input: AgentInput, outer: AgentRun) -> None:  # noqa: A002 - the field's word
        self.agent = as_driven(agent)
        self.input = input
        self.outer = outer
        self.queue = EventQueue()
        self.failure: Exception | InterruptSignal | None = None

    async def work(self) -> None:
        outer = self.outer
        run = AgentRun(
            self.agent,
            agent_name=self.agent.name,
            run_path=(*outer.run_path, self.agent.name),
            root=outer.root,
            outer=None,
            messages=self.input.messages,
            sink=self.queue.put,
        )
        run.loop = outer.loop
        try:
            lane = await drive(self.agent, self.input, run, (agent_segment(self.agent.name),))
            outer.absorb(lane)
        except InterruptSignal as signal:
            self.failure = signal
        except Exception as error:
            outer.root.untell(error)  # the agent that pulls may keep its events to itself, or answer for it
            self.failure = error
        finally:
            self.queue.end()


def as_driven(agent: Agent) -> Agent:
    """Return the agent as it takes its turn inside others: with those that it may hand over to."""
    from eino.adk.tree_agent import TreeAgent

    return TreeAgent.around(agent)
