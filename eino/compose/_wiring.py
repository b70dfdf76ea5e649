"""Turns the inputs, dependencies and branches of a workflow into edges, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eino.compose._assemble import WholeInput
from eino.compose._extract import take_of
from eino.compose._field_tree import planned_input
from eino.compose.branch import Branch
from eino.compose.names import END, START
from eino.compose.node import NodeSpec
from eino.compose.planner import run_time_check
from eino.compose.topology import DataEdge, PlacedBranch, Topology
from eino.compose.types import UNKNOWN, EdgeTypes, TypeTable
from eino.compose.workflow_node import WorkflowNode
from eino.errors import BuildError
from eino.schema._concat import ConcatRegistry

__all__ = ["Wiring", "wired"]


@dataclass(frozen=True, slots=True)
class Wiring:
    """A workflow as it was written down."""

    specs: Mapping[str, NodeSpec]
    nodes: Mapping[str, WorkflowNode]
    """Where each node gets its input from; the end too."""
    branches: tuple[tuple[str, Branch], ...]
    input_type: Any
    output_type: Any
    concat: ConcatRegistry


def wired(wiring: Wiring) -> tuple[Topology, TypeTable]:
    """Return the workflow as edges with their types.

    Raises:
        BuildError: If a node is not there, nothing leads from the start or to the end, types or paths do not fit, or
            a node waits for data that cannot come before it runs.
    """
    topology = Topology(nodes=dict(wiring.specs))
    for source, branch in wiring.branches:
        _check_branch(wiring, source, branch)
        topology.branches.append(PlacedBranch(source, branch, passes_data=False))
    for node in wiring.nodes.values():
        for each in node.inputs.values():
            _check_known(wiring, each.source, node.key)
            topology.data.append(DataEdge(each.source, node.key))
            if not each.data_only:
                topology.control.append((each.source, node.key))
        for source in node.dependencies:
            _check_known(wiring, source, node.key)
            topology.control.append((source, node.key))
    _check_order(wiring, topology)
    for node in wiring.nodes.values():
        _check_targets(node)
    table = _types(wiring)
    for node in wiring.nodes.values():
        maker = _maker(wiring, node, table)
        if maker is not None:
            topology.makers[node.key] = maker
    return topology, table


def _check_known(wiring: Wiring, source: str, target: str) -> None:
    if source != START and source not in wiring.specs:
        raise BuildError(
            f"node {target!r}: edge start node {source!r} needs to be added to workflow first; {_known(wiring)}"
        )


def _check_branch(wiring: Wiring, source: str, branch: Branch) -> None:
    if source != START and source not in wiring.specs:
        raise BuildError(f"branch start node {source!r} needs to be added to workflow first; {_known(wiring)}")
    for end in branch.ends:
        if end != END and end not in wiring.specs:
            raise BuildError(
                f"branch of node[{source}]: end node {end!r} needs to be added to workflow first; {_known(wiring)}"
            )


def _known(wiring: Wiring) -> str:
    return f"the nodes are {', '.join(map(repr, wiring.specs)) or 'none yet'}"


def _check_order(wiring: Wiring, topology: Topology) -> None:
    """Check that the run can begin and end, and that data can come before the node that waits for it runs."""
    behind: dict[str, list[str]] = {}
    for source, target in topology.control:
        behind.setdefault(source, []).append(target)
    for placed in topology.branches:
        behind.setdefault(placed.source, []).extend(placed.ends)
    if START not in behind:
        raise BuildError(
            "start node not set: let a node run after the start, with add_input(START), add_dependency(START) or "
            "add_branch(START, ...)"
        )
    if not any(END in targets for targets in behind.values()):
        raise BuildError(
            "end node not set: let the end run after a node, with end().add_input(...), end().add_dependency(...) or a "
            "branch that may choose END"
        )
    reached: dict[str, set[str]] = {}
    for node in wiring.nodes.values():
        for each in node.inputs.values():
            if not each.data_only:
                continue
            if each.source not in reached:
                reached[each.source] = _reach(each.source, behind)
            if node.key not in reached[each.source]:
                raise BuildError(
                    f"node[{node.key}] gets data of node[{each.source}] with data_only=True, but no control path leads "
                    f"from [{each.source}] to [{node.key}]: it might run first; leave data_only out, or connect them "
                    "over other nodes with add_input, add_dependency or add_branch"
                )


def _reach(source: str, behind: Mapping[str, list[str]]) -> set[str]:
    """Return the nodes that run after a node, near or far."""
    found: set[str] = set()
    waiting = [source]
    while waiting:
        for target in behind.get(waiting.pop(), ()):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def _check_targets(node: WorkflowNode) -> None:
    """Check that no part of an input is given twice, and none together with the whole."""
    _Targets(node.key).add_all(node)


class _Targets:
    """The parts of one input that have been given."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._given: set[tuple[str, ...]] = set()
        self._inside: dict[tuple[str, ...], tuple[str, ...]] = {}  # what something inside has been given of

    def add_all(self, node: WorkflowNode) -> None:
        for each in node.inputs.values():
            if not each.mappings:
                self._add(())
            for mapping in each.mappings:
                self._add(mapping.to_path)
        for path in node.static:
            self._add(path)

    def _add(self, path: tuple[str, ...]) -> None:
        if () in self._given or (not path and self._given):
            raise BuildError(
                f"entire output has already been mapped for node: {self._key}: one input may be the whole of it, "
                "or all of them parts; map each to a field"
            )
        for length in range(1, len(path) + 1):
            if path[:length] in self._given:
                raise self._conflict(path[:length], path)
        if path in self._inside:
            raise self._conflict(self._inside[path], path)
        self._given.add(path)
        for length in range(1, len(path)):
            self._inside.setdefault(path[:length], path)

    def _conflict(self, first: tuple[str, ...], second: tuple[str, ...]) -> BuildError:
        one, other = ".".join(first), ".".join(second)
        text = f"two terminal field paths conflict for node {self._key}: [{one}], [{other}]: "
        if first == second:
            return BuildError(
                f"{text}duplicate mapping target field: {one} of node[{self._key}]; give each target one value"
            )
        return BuildError(f"{text}a value cannot be given whole and in parts; map to other fields")


def _types(wiring: Wiring) -> TypeTable:
    """Return the types along the edges that pass whole outputs, and of what conditions take."""
    table = TypeTable({END: wiring.output_type}, {START: wiring.input_type})
    for spec in wiring.specs.values():
        table.add_node(spec.key, *_node_types(spec, wiring.nodes[spec.key]))
    for node in wiring.nodes.values():
        for each in node.inputs.values():
            if not each.mappings:
                what = (
                    f"graph edge[{each.source}]-[{node.key}]: start node's output type[{{source}}] and end node's "
                    "input type[{wanted}] mismatch: map fields, or convert between them in a lambda node"
                )
                table.add_use(EdgeTypes(each.source, node.key, UNKNOWN, what))
    for source, branch in wiring.branches:
        what = (
            f"branch of node[{source}]: condition's input type[{{wanted}}] and start node[{source}]'s output "
            "type[{source}] are mismatched"
        )
        table.add_use(EdgeTypes(source, "", branch.input_type, what))
    return table


def _node_types(spec: NodeSpec, node: WorkflowNode) -> tuple[Any, Any]:
    """Return what a node takes and gives. A passthrough with mappings gives the dict that they make."""
    if spec.input_type is not UNKNOWN and spec.output_type is not UNKNOWN:
        return spec.input_type, spec.output_type
    if any(not each.mappings for each in node.inputs.values()):
        return spec.input_type, spec.output_type
    of_fields = node.static or any(each.to_path for one in node.inputs.values() for each in one.mappings)
    own: Any = dict[str, Any] if of_fields else Any
    return own, own


def _maker(wiring: Wiring, node: WorkflowNode, table: TypeTable) -> Any:
    """Return what makes the input of a node, given the indices of the others; None if it is a whole output as it is."""
    key = node.key
    wanted = _known_type(table.input_type(key))
    inputs = list(node.inputs.values())
    mappings = [(mapping, _known_type(table.output_type(each.source))) for each in inputs for mapping in each.mappings]
    if node.static or any(mapping.to_path for mapping, _ in mappings):
        return planned_input(key, wanted, mappings, node.static, wiring.concat)
    if mappings:
        ((mapping, given),) = mappings
        take = take_of(mapping, key, given, wanted)
        return lambda _: WholeInput(take)
    if not inputs:
        return None
    (each,) = inputs
    given = table.output_type(each.source)
    check = run_time_check(given, table.input_type(key), f"edge[{each.source}]-[{key}]")
    return None if check is None else lambda _: WholeInput(None, check)


def _known_type(annotation: Any) -> Any:
    return Any if annotation is UNKNOWN else annotation
