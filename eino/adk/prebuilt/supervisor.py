"""`supervisor`: one agent that hands out work, and others that always report back."""

from __future__ import annotations

from collections.abc import Iterable

from eino.adk.agent import Agent
from eino.adk.builtin import Builtin
from eino.adk.deterministic import deterministic_transfer
from eino.adk.tree import MAX_HOPS, TreeNode, node_of, tree_graph
from eino.adk.tree_agent import children_of
from eino.errors import BuildError

__all__ = ["supervisor"]


def supervisor(agent: Agent, sub_agents: Iterable[Agent], *, max_hops: int = MAX_HOPS) -> Agent:
    """Return an agent that runs `agent` with sub-agents, each of which hands back to it when its turn ends.

    Sub-agents may be supervisors themselves. A sub-agent that exits ends the whole run. For handlers the whole is one
    turn of an agent of type `"Supervisor"`, with the turns of the others inside it.

    Args:
        agent: Hands out the work; its name is that of the whole.
        sub_agents: Do the work.
        max_hops: How often they may hand over to each other in one turn of the whole, until it fails.

    Raises:
        BuildError: If one is no agent, two have one name, there are no sub-agents, or `agent` has some already.
    """
    node = node_of(agent)
    if node.children:
        raise BuildError(f"supervisor({agent.name!r}): it has sub-agents already: {list(node.children)}")
    workers = [deterministic_transfer(each, to=[node.name]) for each in sub_agents]
    if not workers:
        raise BuildError(f"supervisor({agent.name!r}): give at least one sub-agent")
    return _Supervisor(TreeNode(node.agent, children_of(node.name, workers)), max_hops)


class _Supervisor(Builtin):
    kind = "Supervisor"

    def __init__(self, tree: TreeNode, max_hops: int) -> None:
        super().__init__(tree.name, tree.agent.description)
        self._graph = tree_graph(tree, max_hops=max_hops)
