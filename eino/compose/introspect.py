"""What a compiled graph looks like: its nodes, edges and branches, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from eino.compose.checks import type_text
from eino.compose.names import END, START
from eino.compose.plan import Plan

__all__ = ["BranchInfo", "EdgeInfo", "GraphInfo", "NodeInfo", "describe"]

EdgeKind = Literal["both", "control", "data"]


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node."""

    key: str
    name: str
    """Display name."""
    component: str
    """Kind: `"ChatModel"`, `"Lambda"`, `"Graph"`, ..."""
    type: str
    """Name of the implementation; empty for lambdas and graphs."""
    input_type: str
    """What the component takes, without the input key, as text."""
    output_type: str
    """What the component gives, without the output key, as text."""
    input_key: str | None
    output_key: str | None
    graph: GraphInfo | None = None
    """For a graph as a node: that graph."""


@dataclass(frozen=True, slots=True)
class EdgeInfo:
    """One edge."""

    source: str
    target: str
    kind: EdgeKind
    """`"both"` lets the target run and gives it data; the others do one of the two."""


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """One branch."""

    source: str
    ends: tuple[str, ...]
    condition: str
    """Name of the condition's function."""


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """A compiled graph."""

    name: str
    kind: str
    """`"Graph"`, `"Chain"` or `"Workflow"`."""
    trigger: str
    """`"any"` (Pregel) or `"all"` (DAG)."""
    max_steps: int
    input_type: str
    output_type: str
    nodes: tuple[NodeInfo, ...]
    edges: tuple[EdgeInfo, ...]
    branches: tuple[BranchInfo, ...]

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all nodes, the start and the end included."""
        return (START, *(node.key for node in self.nodes), END)


def describe(plan: Plan, input_type: Any, output_type: Any) -> GraphInfo:
    """Return what a plan looks like."""
    sources = [(START, plan.start), *zip(plan.keys, plan.routes, strict=True)]
    edges: list[EdgeInfo] = []
    for source, routes in sources:
        control = {plan.key_of(target) for target in routes.control}
        data = [plan.key_of(edge.target) for edge in routes.data]
        for target in dict.fromkeys((*data, *(plan.key_of(target) for target in routes.control))):
            kind: EdgeKind = "both" if target in control and target in data else "data" if target in data else "control"
            edges.append(EdgeInfo(source, target, kind))
    return GraphInfo(
        name=plan.name,
        kind=plan.kind,
        trigger=plan.trigger,
        max_steps=plan.max_steps,
        input_type=type_text(input_type),
        output_type=type_text(output_type),
        nodes=tuple(_node(stage.spec) for stage in plan.stages),
        edges=tuple(edges),
        branches=tuple(
            BranchInfo(
                source, tuple(plan.key_of(branch.by_key[end].target) for end in branch.branch.ends), branch.branch.name
            )
            for source, routes in sources
            for branch in routes.branches
        ),
    )


def _node(spec: Any) -> NodeInfo:
    body = spec.body
    return NodeInfo(
        key=spec.key,
        name=spec.name,
        component=body.component if body is not None else "Passthrough",
        type=body.type if body is not None else "",
        input_type=type_text(body.input_type if body is not None else Any),
        output_type=type_text(body.output_type if body is not None else Any),
        input_key=spec.input_key,
        output_key=spec.output_key,
        graph=body.runnable.describe() if body is not None and body.runnable is not None else None,
    )
