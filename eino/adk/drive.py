"""Gives an agent its turn: at its address, heard by its handlers, with what it says on record."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

import msgspec

from eino._run.address import Address, AddressSegment, address_text
from eino._run.frame import Frame, here
from eino._run.frame import current as current_frame
from eino._run.interrupt import InterruptSignal
from eino._run.session import address_of
from eino.adk._here import current_turn
from eino.adk.agent import Agent, AgentInput
from eino.adk.events import AgentAction, AgentEvent
from eino.adk.lanes import Lane, LaneState
from eino.adk.run_state import AgentRun, require_agent_run
from eino.callbacks import observer_of
from eino.callbacks._around import around
from eino.compose.graph import Graph
from eino.compose.names import END, START
from eino.compose.runnable import Runnable
from eino.errors import RunError

__all__ = ["AgentCallbackInput", "AgentCallbackOutput", "BuiltinAgent", "agent_segment", "drive", "kind_of", "turn"]


class AgentCallbackInput(msgspec.Struct, frozen=True, kw_only=True):
    """What `on_start` of a handler gets when an agent's turn begins (component `"Agent"`)."""

    input: AgentInput
    run_path: tuple[str, ...]
    resumed: bool = False
    """Whether the turn goes on after an interrupt."""


class AgentCallbackOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What `on_end` of a handler gets when an agent's turn ends."""

    events: tuple[AgentEvent, ...]
    """All events of the turn, those of agents inside it included; their messages can be read as often as one likes."""
    action: AgentAction | None = None
    """What the agent wants to happen next."""


class BuiltinAgent(Protocol):
    """An agent that is a compiled graph. It pushes its events into the running turn instead of yielding them."""

    kind: str
    """Type of the agent, as handlers see it: `"ChatModel"`, `"Sequential"`, ..."""
    interrupt_info: str
    """What the agent says of itself where an agent inside it has stopped; empty if nothing."""
    tells_interrupts: bool
    """Whether interrupts of agents inside it are told in its name: it runs several at once."""
    is_told_inside: bool
    """Whether handlers hear of an agent inside it instead, that has the same name."""

    def _drive(self, input: AgentInput, run: AgentRun) -> Awaitable[Lane]:  # noqa: A002 - the field's word
        """Return one turn, to be awaited: what it said, also where it was finished before a resume."""
        ...


def agent_segment(name: str) -> AddressSegment:
    """Return the part of an address that stands for an agent."""
    return AddressSegment("agent", name)


def kind_of(agent: Agent) -> str:
    """Return the type of an agent, as handlers see it."""
    kind = getattr(agent, "kind", None)
    return kind if isinstance(kind, str) else type(agent).__name__


async def drive(
    agent: Agent,
    input: AgentInput,  # noqa: A002 - the field's word
    run: AgentRun,
    place: Address,
) -> Lane:
    """Give `agent` its turn, and return what it said and wants. Only inside a node of a graph.

    Args:
        agent: Whose turn it is.
        input: What it begins with.
        run: The turn, new.
        place: Where it is below the running node.

    Raises:
        InterruptSignal: If it stopped.
        Exception: What it failed with.
    """
    frame = _frame(place, run)
    frame_token, turn_token = current_frame.set(frame), current_turn.set(run)
    try:
        if frame.observer is None or getattr(agent, "is_told_inside", False):
            run.lane = await turn(agent, input, run)
            await run.settle()
        else:
            await _observed(agent, input, run, frame)
        return run.lane
    except InterruptSignal as signal:
        await run.settle()
        _note(agent, run, signal, frame)
        raise
    except Exception:
        run.root.failed = run.root.failed or run
        raise
    finally:
        run.discard()
        run.chat = None  # they know each other: nothing of the turn is to wait for the collector
        current_turn.reset(turn_token)
        current_frame.reset(frame_token)


def turn(agent: Agent, input: AgentInput, run: AgentRun) -> Awaitable[Lane]:  # noqa: A002 - the field's word
    """Return the turn itself, to be awaited with everything around it in place; then what it sent is to be settled."""
    push: Callable[[AgentInput, AgentRun], Awaitable[Lane]] | None = getattr(agent, "_drive", None)
    return _foreign().invoke(input) if push is None else push(input, run)


async def _observed(agent: Agent, input: AgentInput, run: AgentRun, frame: Frame) -> None:  # noqa: A002
    run.heard = []
    # Levels of this turn's graphs are known already where it goes on.
    resumed = _is_resumed(frame)
    given = AgentCallbackInput(input=input, run_path=run.run_path, resumed=resumed)
    with around("Agent", name=run.agent_name, type=kind_of(agent), input=given) as span:
        run.lane = await turn(agent, input, run)
        await run.settle()
        span.end(AgentCallbackOutput(events=tuple(run.heard), action=run.lane.action))


def _is_resumed(frame: Frame) -> bool:
    from eino._run.session import is_below, session_of

    session = session_of(frame)
    if session is None or not session.levels:
        return False
    place = address_text(address_of(frame))
    return any(is_below(each, place) for each in session.levels)


def _frame(place: Address, run: AgentRun) -> Frame:
    """Return the frame of the turn: below the running node, heard by the handlers that this agent was given."""
    outer = here.get()
    frame = outer.branch_off(outer.node)
    frame.place = (*outer.place, *place) if outer.place else place
    handlers = run.root.handlers.get(run.agent_name)
    if handlers:
        known = frame.observer.local if frame.observer is not None else ()
        frame.observer = observer_of(frame.observer, [each for each in handlers if each not in known])
    return frame


def _note(agent: Agent, run: AgentRun, signal: InterruptSignal, frame: Frame) -> None:
    """Say on an interrupt's way out who stopped, and what the agents around it are."""
    info = getattr(agent, "interrupt_info", "")
    if info:
        signal.infos[address_text(address_of(frame))] = info
    if run.root.stopped is None or getattr(agent, "tells_interrupts", False):
        run.root.stopped = run


@functools.cache
def _foreign() -> Runnable[AgentInput, Lane]:
    """Return the graph that runs agents which yield their events: one node, whose state is the turn's lane."""
    graph = Graph[AgentInput, Lane](state=LaneState)
    graph.add_lambda_node("run", _iterate).add_edge(START, "run").add_edge("run", END)
    return graph.compile(name="agent")


async def _iterate(input: AgentInput) -> Lane:  # noqa: A002 - the field's word
    run = require_agent_run()
    events = run.agent.run(input)
    if not hasattr(events, "__aiter__"):
        raise RunError(
            f"agent {run.agent_name!r}: run(input) must return an async iterator of events, got {events!r:.200}; "
            "an async generator function does"
        )
    if hasattr(events, "aclose"):
        async with aclosing(events):
            await _forward(events, run)
    else:
        await _forward(events, run)
    await run.settle()
    return run.lane


async def _forward(events: Any, run: AgentRun) -> None:
    async for event in events:
        if not isinstance(event, AgentEvent):
            raise RunError(
                f"agent {run.agent_name!r} yielded {event!r:.200}: an agent yields AgentEvents, such as "
                "message_event(assistant_message(...))"
            )
        if event.action is not None and event.action.interrupted is not None:
            raise RunError(
                f"agent {run.agent_name!r} yielded an event that says the run has stopped: call interrupt(...) to stop"
            )
        run.send(event)
        if event.error is not None:
            run.root.told = (*run.root.told, event.error)
            raise event.error
