"""Agents beside each other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from eino._run.frame import here
from eino._run.interrupt import InterruptSignal
from eino._run.session import session_of
from eino.adk.agent import Agent
from eino.adk.builtin import Builtin
from eino.adk.cancel import stop_between
from eino.adk.events import AgentEvent
from eino.adk.lanes import Lane, LaneState
from eino.adk.run_state import AgentRun, require_agent_run
from eino.adk.tree import hand_over
from eino.adk.workflow.members import give_turn, members_of
from eino.compose.graph import Graph
from eino.compose.names import END, START
from eino.compose.runnable import Runnable

__all__ = ["ParallelAgent"]


class ParallelAgent(Builtin):
    """Runs agents beside each other. None sees what the others say; afterwards all of it is in the history.

    All run to their end, whatever becomes of the others; then the first error fails the agent. Where some stop to ask,
    the run stops when all have stopped or ended, and only those that stopped go on.
    """

    kind = "Parallel"
    interrupt_info = "Parallel workflow interrupted"
    tells_interrupts = True

    def __init__(self, *, name: str, description: str = "", agents: Sequence[Agent]) -> None:
        """Make an agent of others.

        Raises:
            BuildError: If one is no agent, two have one name, or there are none.
        """
        super().__init__(name, description)
        self.agents = members_of("ParallelAgent", name, agents)
        self._graph = _graph(self.agents)


def _graph(agents: Sequence[Agent]) -> Runnable[Any, Lane]:
    graph = Graph[Any, Any](state=LaneState)
    graph.add_lambda_node("join", _joined).add_edge("join", END)
    for index, agent in enumerate(agents):
        graph.add_lambda_node(str(index), _member(agent), output_key=str(index))
        graph.add_edge(START, str(index)).add_edge(str(index), "join")
    return graph.compile(name="parallel")


def _member(agent: Agent) -> Callable[[Any], Coroutine[Any, Any, Lane | None]]:
    async def turn(_: Any) -> Lane | None:
        outer = require_agent_run()
        stop_between(outer)
        run = hand_over(agent, outer, (*outer.run_path, agent.name))
        try:
            return await give_turn(run)
        except Exception as error:
            _tell(outer, outer.root.failed or run, error)
            if session_of(here.get()) is not None:
                raise  # such a run lets the others end, and when it is called again only what failed runs again
            outer.failures = (*outer.failures, error)
        except InterruptSignal as signal:
            if session_of(here.get()) is not None:
                raise  # as above
            outer.failures = (*outer.failures, signal)
        return None

    return turn


def _tell(outer: AgentRun, failed: AgentRun, error: Exception) -> None:
    """Send an event of an error at once, as the others go on."""
    if not outer.root.has_told(error):
        outer.root.told = (*outer.root.told, error)
        outer.forward(AgentEvent(agent_name=failed.agent_name, run_path=failed.run_path, error=error))


def _raise(failures: Sequence[Exception | InterruptSignal]) -> None:
    """Raise the first error; if there is none, what stopped some of the agents, all of it together."""
    for each in failures:
        if isinstance(each, Exception):
            raise each
    signals = [each for each in failures if isinstance(each, InterruptSignal)]
    if signals:
        raise InterruptSignal.merged(signals)


def _joined(lanes: dict[str, Lane | None]) -> Lane:
    """Return all that was said, in the order in which it was."""
    outer = require_agent_run()
    _raise(outer.failures)
    state: LaneState = here.get().state.value  # type: ignore[union-attr]  # the graph has a state
    ended = [lane for lane in lanes.values() if lane is not None]
    for lane in ended:
        if lane.action is not None and lane.action.exit:
            state.lane.action = lane.action
        outer.absorb(Lane(values=lane.values))
    said = [entry for lane in ended for entry in lane.entries]
    state.lane.entries.extend(sorted(said, key=lambda entry: entry.number))
    return state.lane
