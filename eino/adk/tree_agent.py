"""Agents with sub-agents: whoever runs one of these runs the whole tree."""

from __future__ import annotations

from collections.abc import Iterable

from eino.adk.agent import Agent
from eino.adk.builtin import Builtin
from eino.adk.history import HistoryRewriter
from eino.adk.tree import MAX_HOPS, TreeNode, node_of, tree_graph
from eino.errors import BuildError

__all__ = ["TreeAgent", "children_of", "with_sub_agents"]


class TreeAgent(Builtin):
    """The root of a tree of agents, with all of the tree; made by `with_sub_agents`."""

    kind = "Tree"
    is_told_inside = True

    def __init__(self, tree: TreeNode, *, max_hops: int = MAX_HOPS) -> None:
        """Private: use `with_sub_agents`."""
        super().__init__(tree.name, tree.agent.description)
        self.tree = tree
        self._graph = tree_graph(tree, max_hops=max_hops)

    @classmethod
    def around(cls, agent: Agent) -> Agent:
        """Return an agent that runs all of the tree that `agent` stands for; itself if there is nothing to it."""
        node = node_of(agent)
        return agent if isinstance(agent, TreeAgent) or not node.children else cls(node)


def with_sub_agents(
    agent: Agent,
    sub_agents: Iterable[Agent],
    *,
    disallow_transfer_to_parent: bool = False,
    history_rewriter: HistoryRewriter | None = None,
) -> TreeAgent:
    """Return `agent` with others that it may hand over to; each of them may hand back, and have sub-agents itself.

    Neither `agent` nor the others change, so each may be part of several trees.

    Args:
        agent: The root.
        sub_agents: Those that it may hand over to.
        disallow_transfer_to_parent: Whether `agent` may not hand back where it is a sub-agent itself.
        history_rewriter: Makes the messages that `agent` begins a turn with of the conversation so far; without one,
            what others said becomes messages of a user that tell of it.

    Raises:
        BuildError: If one is no agent, two have one name, or `agent` has sub-agents already.
    """
    node = node_of(agent)
    if node.children:
        raise BuildError(
            f"agent {agent.name!r} has sub-agents already: {list(node.children)}; give all of them at once"
        )
    return TreeAgent(
        TreeNode(
            node.agent,
            children_of(node.name, sub_agents),
            disallow_transfer_to_parent=disallow_transfer_to_parent,
            history_rewriter=history_rewriter,
        )
    )


def children_of(parent: str, agents: Iterable[Agent]) -> dict[str, TreeNode]:
    """Return agents as the children of one, by name.

    Raises:
        BuildError: If one is no agent, or two have one name.
    """
    children: dict[str, TreeNode] = {}
    for each in agents:
        node = node_of(each)
        if node.name in children:
            raise BuildError(
                f"two sub-agents of {parent!r} are called {node.name!r}: transfers could not tell them apart"
            )
        children[node.name] = node
    return children
