"""Agents one after another, once or round by round."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from eino._run.frame import here
from eino.adk.agent import Agent
from eino.adk.builtin import Builtin
from eino.adk.cancel import stop_between
from eino.adk.events import BreakLoop
from eino.adk.lanes import Lane, LaneState
from eino.adk.run_state import require_agent_run
from eino.adk.tree import hand_over
from eino.adk.workflow.members import give_turn, members_of
from eino.compose.branch import Branch
from eino.compose.graph import Graph
from eino.compose.names import END, START
from eino.compose.runnable import Runnable
from eino.errors import BuildError
from eino.schema.codec import register

__all__ = ["DEFAULT_ROUNDS", "LoopAgent", "SequentialAgent"]

DEFAULT_ROUNDS = 10
"""Rounds of a loop, unless told otherwise."""


@register("eino.adk.StepsState")
@dataclass(slots=True)
class StepsState(LaneState):
    """Where agents one after another stand."""

    index: int = 0
    """Whose turn it is."""
    round: int = 0
    run_path: tuple[str, ...] = ()
    is_broken: bool = False
    """Whether an agent of this round wants the loop to end."""
    is_over: bool = False

    def broken_by(self, action: BreakLoop) -> BreakLoop:
        """Note that the loop is to end after this turn; return the action as readers see it."""
        self.is_broken = True
        return msgspec.structs.replace(action, done=True, current_iterations=self.round)


class SequentialAgent(Builtin):
    """Runs agents one after another; each sees what those before it said.

    An agent that exits ends it, and one that fails fails it. After an interrupt it goes on with the agent that stopped.
    """

    kind = "Sequential"
    interrupt_info = "Sequential workflow interrupted"

    def __init__(self, *, name: str, description: str = "", agents: Sequence[Agent]) -> None:
        """Make an agent of others.

        Raises:
            BuildError: If one is no agent, two have one name, or there are none.
        """
        super().__init__(name, description)
        self.agents = members_of("SequentialAgent", name, agents)
        self._graph = _graph(self.agents, rounds=1, is_loop=False)


class LoopAgent(Builtin):
    """Runs agents one after another, and then again, until one breaks the loop or exits, or all rounds are over.

    An agent breaks the loop with an event whose action is `break_loop_action()`: it ends its turn, and the others of
    the round are left out. Loops further out go on.
    """

    kind = "Loop"
    interrupt_info = "Loop workflow interrupted"

    def __init__(
        self,
        *,
        name: str,
        description: str = "",
        agents: Sequence[Agent],
        max_iterations: int | None = DEFAULT_ROUNDS,
    ) -> None:
        """Make an agent of others.

        Args:
            name: Name of the agent.
            description: What it is good for.
            agents: The agents of one round.
            max_iterations: Most rounds; then the loop ends without an error. None for any number.

        Raises:
            BuildError: If one is no agent, two have one name, there are none, or the number is below 1.
        """
        super().__init__(name, description)
        if max_iterations is not None and (not isinstance(max_iterations, int) or max_iterations < 1):
            raise BuildError(f"LoopAgent({name!r}, max_iterations={max_iterations!r}): give a number from 1, or None")
        self.agents = members_of("LoopAgent", name, agents)
        self._graph = _graph(self.agents, rounds=max_iterations, is_loop=True)


def _graph(agents: tuple[Agent, ...], *, rounds: int | None, is_loop: bool) -> Runnable[Any, Lane]:
    async def step(_: Any) -> Any:
        state: StepsState = here.get().state.value  # type: ignore[union-attr]  # the graph has a state
        outer = require_agent_run()
        stop_between(outer)
        agent = agents[state.index]
        path = (*(state.run_path or outer.run_path), agent.name)
        run = hand_over(agent, outer, path)
        if is_loop:
            run.loop = state
        lane = await give_turn(run)
        outer.absorb(lane)
        state.run_path = path
        _advance(state, lane, len(agents), rounds)
        return state.lane if state.is_over else None

    graph = Graph[Any, Any](state=StepsState)
    graph.add_lambda_node("step", step).add_edge(START, "step")
    graph.add_branch("step", Branch(_next, ends=("step", END)))
    return graph.compile(name="steps", max_steps=sys.maxsize if rounds is None else rounds * len(agents) + 1)


def _next(_: Any) -> str:
    return END if here.get().state.value.is_over else "step"  # type: ignore[union-attr]  # the graph has a state


def _advance(state: StepsState, lane: Lane, width: int, rounds: int | None) -> None:
    """Note whose turn is next."""
    if lane.action is not None and lane.action.exit:
        state.lane.action = lane.action
        state.is_over = True
        return
    state.index += 1
    if state.index == width:
        state.index, state.round = 0, state.round + 1
    state.is_over = state.is_broken or state.round == rounds
