"""Trees of agents that hand over to each other, and the one graph that runs such a tree turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eino._run.address import Address
from eino._run.frame import here
from eino.adk.agent import Agent, AgentInput, checked_name
from eino.adk.cancel import stop_between
from eino.adk.drive import agent_segment, drive
from eino.adk.history import HistoryRewriter, default_rewriter, entries_of
from eino.adk.lanes import Lane, LaneState
from eino.adk.run_state import AgentRun, require_agent_run
from eino.compose.branch import Branch
from eino.compose.graph import Graph
from eino.compose.names import END, START
from eino.compose.runnable import Runnable
from eino.errors import BuildError, RunError
from eino.schema.codec import register

__all__ = [
    "MAX_HOPS",
    "HopLimitError",
    "TransferError",
    "TreeNode",
    "TreeState",
    "hand_over",
    "input_for",
    "node_of",
    "tree_graph",
]

MAX_HOPS = 50
"""Transfers in one run of a tree, unless told otherwise."""

Position = tuple[str, ...]
"""Names from below the root of a tree down to one of its agents; empty for the root."""


class TransferError(RunError):
    """An agent handed over to one that is not there."""


class HopLimitError(RunError):
    """The agents of a tree went on handing over to each other."""


@dataclass(frozen=True, slots=True)
class TreeNode:
    """An agent and those that it may hand over to."""

    agent: Agent
    children: Mapping[str, TreeNode] = field(default_factory=dict)
    disallow_transfer_to_parent: bool = False
    history_rewriter: HistoryRewriter | None = None

    @property
    def name(self) -> str:
        """Name of the agent."""
        return self.agent.name

    def at(self, position: Position) -> TreeNode:
        """Return the node at a position below this one.

        Raises:
            RunError: If there is none: the tree has changed since the run was stored.
        """
        node = self
        for name in position:
            if name not in node.children:
                raise RunError(
                    f"the stored run stands at agent {name!r} below {node.name!r}, which this tree does not have: "
                    f"{list(node.children)}"
                )
            node = node.children[name]
        return node

    def target(self, position: Position, name: str) -> Position | None:
        """Return where a transfer from `position` to `name` leads: to a child, else to the parent; None if nowhere."""
        node = self.at(position)
        if name in node.children:
            return (*position, name)
        if position and not node.disallow_transfer_to_parent and self.at(position[:-1]).name == name:
            return position[:-1]
        return None

    def targets(self, position: Position) -> tuple[tuple[str, str], ...]:
        """Return name and description of those that an agent may hand over to: its children, then its parent."""
        node = self.at(position)
        if not node.children and not position:
            return ()
        agents = [child.agent for child in node.children.values()]
        if position and not node.disallow_transfer_to_parent:
            agents.append(self.at(position[:-1]).agent)
        return tuple((each.name, each.description) for each in agents)


def node_of(agent: Agent) -> TreeNode:
    """Return the tree that `agent` stands for; one of a single node if it is no tree.

    Raises:
        BuildError: If it is no agent.
    """
    node = getattr(agent, "tree", None)
    if isinstance(node, TreeNode):
        return node
    if not callable(getattr(agent, "run", None)) or not isinstance(getattr(agent, "name", None), str):
        raise BuildError(f"{agent!r:.200} is no agent: it needs name, description and run(input)")
    checked_name(agent.name)
    return TreeNode(agent)


@register("eino.adk.TreeState")
@dataclass(slots=True)
class TreeState(LaneState):
    """Where the run of a tree stands."""

    at: Position = ()
    """Whose turn it is."""
    run_path: tuple[str, ...] = ()
    hops: int = 0
    is_over: bool = False


def tree_graph(
    tree: TreeNode,
    *,
    max_hops: int,
    root_place: Address = (),
    state: type[TreeState] = TreeState,
    enter: Callable[[Any, AgentRun, Any], AgentInput] | None = None,
    **options: Any,
) -> Runnable[Any, Lane]:
    """Return the graph that runs a tree: one node, the turn of whoever has it, and again while there is a transfer.

    Args:
        tree: The root.
        max_hops: Most transfers.
        root_place: Address of the root below the node; empty where the turn around this graph has it already.
        state: Class of the state.
        enter: Called as `enter(state, turn around, input)` at each turn; returns the input of the root.
        options: Compile options.
    """

    async def turn(given: Any) -> Any:
        state: TreeState = here.get().state.value  # type: ignore[union-attr]  # the graph has a state
        outer = require_agent_run()
        if enter is not None:
            given = enter(state, outer, given)
        if state.hops:
            stop_between(outer)
        if not state.run_path:
            state.run_path = outer.run_path
        node = tree.at(state.at)
        run = hand_over(node.agent, outer, state.run_path)
        run.transfer_targets = tree.targets(state.at)
        begun = given if state.hops == 0 else input_for(run, node.history_rewriter)
        place = (*root_place, *map(agent_segment, state.at)) if state.at else root_place
        lane = await drive(node.agent, begun, run, place)
        outer.absorb(lane)
        state.lane.action = lane.action
        _advance(tree, state, lane, max_hops)
        return state.lane if state.is_over else None

    graph = Graph[Any, Any](state=state)
    graph.add_lambda_node("turn", turn).add_edge(START, "turn")
    graph.add_branch("turn", Branch(_next, ends=("turn", END)))
    return graph.compile(name="agents", max_steps=max_hops + 2, **options)


def _next(_: Any) -> str:
    return END if here.get().state.value.is_over else "turn"  # type: ignore[union-attr]  # the graph has a state


def _advance(tree: TreeNode, state: TreeState, lane: Lane, max_hops: int) -> None:
    """Note whose turn is next."""
    target = lane.action.transfer_to if lane.action is not None and not lane.action.exit else ""
    if not target:
        state.is_over = True
        return
    name = tree.at(state.at).name
    position = tree.target(state.at, target)
    if position is None:
        known = [each for each, _ in tree.targets(state.at)]
        raise TransferError(
            f"transfer failed: agent {target!r} not found when transferring from {name!r}; it may transfer to {known}"
        )
    if state.hops >= max_hops:
        path = " -> ".join((*state.run_path, target))
        raise HopLimitError(
            f"exceeds max hops: {max_hops} transfers were made and {name!r} asks for one more: {path}; raise max_hops= "
            "if the agents are to go on, or tell them when to stop"
        )
    state.hops += 1
    state.at = position
    state.run_path = (*state.run_path, target)


def hand_over(agent: Agent, outer: AgentRun, run_path: tuple[str, ...]) -> AgentRun:
    """Return a new turn of `agent` inside the turn `outer`."""
    return AgentRun(
        agent,
        agent_name=agent.name,
        run_path=run_path,
        root=outer.root,
        outer=outer,
        messages=outer.messages,
        sink=outer.sink if outer.heard is None else outer.forward,
    )


def input_for(run: AgentRun, history_rewriter: HistoryRewriter | None = None) -> AgentInput:
    """Return what an agent begins its turn with when it is not the first: the conversation as it sees it.

    Raises:
        RunError: If a message of it is incomplete, or the agent's rewriter fails.
    """
    entries = entries_of(run.messages, run.history(), skip_transfers=run.root.skip_transfer_messages)
    rewrite = history_rewriter or default_rewriter
    return AgentInput(messages=tuple(rewrite(entries, run.agent_name)), streaming=run.streaming)
