"""The shape of a graph under construction, as Graph, Chain and Workflow all describe it to the planner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from eino.compose.branch import Branch
from eino.compose.input_maker import InputMaker
from eino.compose.node import NodeSpec

__all__ = ["DataEdge", "PlacedBranch", "Topology"]


class DataEdge(msgspec.Struct, frozen=True):
    """A way of data between two nodes, by key."""

    source: str
    target: str


class PlacedBranch(msgspec.Struct, frozen=True):
    """A branch behind a node."""

    source: str
    branch: Branch
    passes_data: bool = True
    """Whether the chosen nodes get what the condition saw."""
    targets: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Keys of the nodes that the branch's ends stand for, where they differ."""

    def target(self, end: str) -> str:
        """Return the key of the node that an end of the branch stands for."""
        return self.targets.get(end, end)

    @property
    def ends(self) -> tuple[str, ...]:
        """Keys of the nodes that the branch may choose."""
        return tuple(map(self.target, self.branch.ends))


@dataclass(slots=True)
class Topology:
    """Nodes and edges. Control says who may run, data says who gets what; most edges are both."""

    nodes: dict[str, NodeSpec] = field(default_factory=dict)
    control: list[tuple[str, str]] = field(default_factory=list)
    data: list[DataEdge] = field(default_factory=list)
    branches: list[PlacedBranch] = field(default_factory=list)
    makers: dict[str, Callable[[Mapping[str, int]], InputMaker]] = field(default_factory=dict)
    """For nodes of DAGs whose input is more than a merge of what arrived: returns what makes it, given the index of
    each node."""
