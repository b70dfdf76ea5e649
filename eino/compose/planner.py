"""Compiles a graph: checks it as a whole, then turns names into indices and nodes into functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict, get_origin, is_typeddict

from eino.compose.binding import converted
from eino.compose.checks import Fit, assignable, checker, normalise, type_text
from eino.compose.compile_callbacks import CompileCallback, checked_callbacks, inside_a_graph, tell
from eino.compose.durable import Durability, durable_of
from eino.compose.fingerprint import GraphChange
from eino.compose.input_maker import InputMaker
from eino.compose.names import END, START
from eino.compose.node import NodeSpec
from eino.compose.plan import Edge, Plan, PlannedBranch, Routes, Trigger
from eino.compose.runnable import Runnable
from eino.compose.stage import compile_stage, context_filled
from eino.compose.store import CheckpointStore
from eino.compose.topology import DataEdge, PlacedBranch, Topology
from eino.compose.types import UNKNOWN, TypeTable
from eino.errors import BuildError, RunError

__all__ = ["CompileOptions", "FanIn", "compile_graph", "run_time_check"]

_SPARE_STEPS = 10  # the Go original allows as many steps as there are nodes, and ten more


@dataclass(frozen=True, slots=True)
class FanIn:
    """How streams come together at a node."""

    source_ended: bool = False
    """Whether a `SourceEnded` marker stands in the merged stream where the stream of a predecessor ends."""


class CompileOptions(TypedDict, total=False):
    """Keywords of `compile`."""

    name: str
    """Name of the graph in callbacks, addresses and errors."""
    trigger: Trigger
    """`"any"` (Pregel, the default): a node runs as soon as a value arrived; loops are allowed. `"all"` (DAG): a node
    runs once, when all its predecessors are done or skipped."""
    eager: bool
    """For `trigger="all"`: start each node as soon as it is ready (the default), or in super-steps."""
    max_steps: int
    """For `trigger="any"`: how many super-steps may run; the number of nodes and 10 by default."""
    fan_in: Mapping[str, FanIn]
    """How streams come together, by node key; `END` too."""
    checkpoint_store: CheckpointStore
    """Where runs are stored that are called with a `checkpoint_id`."""
    interrupt_before: Sequence[str]
    """Keys of nodes before which a run stops, each time."""
    interrupt_after: Sequence[str]
    """Keys of nodes after which a run stops, each time, unless it has reached its end."""
    durability: Durability
    """`"interrupt"` (the default): a run is stored when it is interrupted. `"step"`: after every step as well, so that
    a crash loses at most the step that was running."""
    keep: bool
    """Whether a run that is done stays in the store; by default it is deleted."""
    max_checkpoint_bytes: int
    """Size of the largest record of a run that is stored, and of the largest answer; 64 MiB unless given."""
    migrate: Callable[[GraphChange], Any]
    """Called when a stored run belongs to another version of the graph; returns the levels to go on with."""
    on_compile: Sequence[CompileCallback]
    """Functions called with the `GraphInfo`, in this order, once the graph is compiled. What one raises, `compile`
    raises."""


_NO_MAPPINGS: Final = (Any, str, int, list)
"""Types that many nodes take; known not to be mappings without a closer look."""

_NAMES = frozenset(CompileOptions.__annotations__)


def compile_graph(
    graph: Any, topology: Topology, table: TypeTable, unknown: list[str], options: CompileOptions
) -> Runnable[Any, Any]:
    """Return `graph` as a runnable.

    Raises:
        BuildError: If it cannot run as it is.
    """
    trigger, eager, max_steps = _engine(topology, options)
    on_compile = checked_callbacks(options.get("on_compile", ()))
    controlled = _control(topology)
    if not any(source == START for source, _ in controlled):
        raise BuildError("start node not set: connect the start with add_edge(START, ...) or add_branch(START, ...)")
    if not any(target == END for _, target in controlled):
        raise BuildError("end node not set: connect the end with add_edge(..., END) or a branch that may choose END")
    if unknown:
        raise BuildError(
            f"some node's input or output types cannot be inferred: {', '.join(unknown)}: "
            "connect each passthrough, directly or over others, with a node that has types"
        )
    specs = {key: _with_inner_graph(spec) for key, spec in topology.nodes.items()}
    if trigger == "all":
        _refuse_loops(controlled)
    planner = _Planner(topology, table, list(specs))
    stages = tuple([compile_stage(spec, graph._concat) for spec in specs.values()])
    plan = Plan(
        name=options.get("name", ""),
        kind=graph.kind,
        keys=tuple(specs),
        stages=stages,
        trigger=trigger,
        eager=eager,
        max_steps=max_steps,
        state=graph._state,
        concat=graph._concat,
        merge=graph._merge,
        start=planner.routes(START),
        routes=tuple([planner.routes(key) for key in specs]),
        control_before=tuple([planner.control_before(key) for key in (*specs, END)]),
        data_before=tuple([planner.data_before(key) for key in (*specs, END)]),
        named_fan_in=_named_fan_in(options, specs),
        makers=tuple([planner.maker(key) for key in (*specs, END)]),
        empty=tuple([planner.empty(key) for key in (*specs, END)]),
        input_check=_input_check(graph),
        durable=durable_of(options, specs, graph._state),
    )
    runnable: Runnable[Any, Any] = Runnable(plan, graph.input_type, graph.output_type)
    tell(runnable.describe, on_compile)
    return runnable


def _engine(topology: Topology, options: CompileOptions) -> tuple[Trigger, bool, int]:
    """Return the engine and its limit, checked."""
    wrong = sorted(set(options) - _NAMES)
    if wrong:
        raise BuildError(f"compile: unknown option {wrong[0]!r}; the options are {', '.join(sorted(_NAMES))}")
    trigger = options.get("trigger", "any")
    if trigger not in ("any", "all"):
        raise BuildError(f"compile(trigger={trigger!r}): it is 'any' (Pregel) or 'all' (DAG)")
    if trigger == "all" and "max_steps" in options:
        raise BuildError("cannot set max run steps in dag mode: each node runs at most once; leave max_steps out")
    if trigger == "any" and "eager" in options:
        raise BuildError("compile(eager=...) has no meaning in Pregel mode; use it with trigger='all'")
    max_steps = options.get("max_steps", len(topology.nodes) + _SPARE_STEPS)
    if not isinstance(max_steps, int) or max_steps < 1:
        raise BuildError(f"compile(max_steps={max_steps!r}): at least 1 step is needed")
    return trigger, options.get("eager", True), max_steps


def _named_fan_in(options: CompileOptions, specs: Mapping[str, NodeSpec]) -> frozenset[int]:
    indices = {key: index for index, key in enumerate((*specs, END))}
    named: set[int] = set()
    for key, fan_in in options.get("fan_in", {}).items():
        if key not in indices:
            raise BuildError(f"compile(fan_in=...): {key!r} is no node of this graph; the nodes are {list(specs)}")
        if not isinstance(fan_in, FanIn):
            raise BuildError(f"compile(fan_in={{{key!r}: {fan_in!r}}}): give FanIn(source_ended=...)")
        if fan_in.source_ended:
            named.add(indices[key])
    return frozenset(named)


def _control(topology: Topology) -> list[tuple[str, str]]:
    """Return all pairs of nodes of which one may let the other run."""
    pairs = list(topology.control)
    pairs.extend((placed.source, end) for placed in topology.branches for end in placed.ends)
    return list(dict.fromkeys(pairs))


def _refuse_loops(pairs: list[tuple[str, str]]) -> None:
    """Refuse a DAG whose edges lead in circles, naming one of them."""
    behind: dict[str, list[str]] = {}
    for source, target in pairs:
        behind.setdefault(source, []).append(target)
    done: set[str] = set()
    for root in behind:
        trail: list[str] = []
        stack: list[tuple[str, int]] = [(root, 0)]
        on_trail: set[str] = set()
        while stack:
            key, position = stack.pop()
            if position == 0:
                if key in done:
                    continue
                trail.append(key)
                on_trail.add(key)
            targets = behind.get(key, [])
            if position < len(targets):
                stack.append((key, position + 1))
                target = targets[position]
                if target in on_trail:
                    loop = [*trail[trail.index(target) :], target]
                    raise BuildError(
                        f"DAG is invalid, has loop: [{'->'.join(loop)}]: remove an edge of it, or use a Graph with "
                        "trigger='any'"
                    )
                stack.append((target, 0))
            else:
                trail.pop()
                on_trail.discard(key)
                done.add(key)


def _with_inner_graph(spec: NodeSpec) -> NodeSpec:
    """Compile a graph that is a node, and say how to call it."""
    body = spec.body
    if body is None or body.shapes:
        if spec.compile_options is not None:
            raise BuildError(f"node {spec.key!r}: compile_options= is for graphs as nodes")
        return spec
    inner = body.instance
    if isinstance(inner, Runnable):
        if spec.compile_options is not None:
            raise BuildError(f"node {spec.key!r} is compiled already: give compile_options= to its own compile")
        runnable = inner
    else:
        token = inside_a_graph.set(True)
        try:
            runnable = inner.compile(**(spec.compile_options or {}))  # type: ignore[attr-defined]  # Graph, Chain, ...
        except BuildError as error:
            raise BuildError(f"graph node {spec.key!r}: {error}") from error
        finally:
            inside_a_graph.reset(token)
    return spec.with_body(runnable.as_body(spec.name))


def _input_check(graph: Any) -> Callable[[Any], Any] | None:
    wanted = type_text(graph.input_type)

    def refuse(value: Any) -> RunError:
        given = type(value).__qualname__
        return RunError(
            f"the input of the {graph.kind.lower()} must be {wanted}, got {given}: {value!r:.200} "
            f"(runtime type check fail, expected type: {wanted}, actual type: {given})"
        )

    return checker(graph.input_type, refuse)


class _Planner:
    """Turns edges between keys into edges between indices, with their run-time checks."""

    def __init__(self, topology: Topology, table: TypeTable, keys: list[str]) -> None:
        self._topology = topology
        self._table = table
        self._index = {key: index for index, key in enumerate((*keys, END))} | {START: -1}
        self._data: dict[str, list[DataEdge]] = {}
        self._branches: dict[str, list[PlacedBranch]] = {}
        self._control_to: dict[str, list[str]] = {}
        self._control_from: dict[str, list[str]] = {}
        self._data_from: dict[str, list[str]] = {}
        for source, target in topology.control:
            self._control_to.setdefault(source, []).append(target)
            self._control_from.setdefault(target, []).append(source)
        for edge in topology.data:
            self._data.setdefault(edge.source, []).append(edge)
            self._data_from.setdefault(edge.target, []).append(edge.source)
        for placed in topology.branches:
            self._branches.setdefault(placed.source, []).append(placed)
            for end in placed.ends:
                self._control_from.setdefault(end, []).append(placed.source)
                if placed.passes_data:
                    self._data_from.setdefault(end, []).append(placed.source)

    def routes(self, key: str) -> Routes:
        """Return where the output of a node goes."""
        return Routes(
            data=tuple([self._edge(key, edge.target) for edge in self._data.get(key, ())]),
            control=tuple([self._index[target] for target in self._control_to.get(key, ())]),
            branches=tuple([self._branch(placed) for placed in self._branches.get(key, ())]),
        )

    def control_before(self, key: str) -> tuple[int, ...]:
        """Return the nodes that let `key` run, each once."""
        return self._indices(self._control_from.get(key, ()))

    def data_before(self, key: str) -> tuple[int, ...]:
        """Return the nodes that give `key` data, each once, in the order in which the edges were added."""
        return self._indices(self._data_from.get(key, ()))

    def _indices(self, keys: Sequence[str]) -> tuple[int, ...]:
        if len(keys) == 1:  # nearly always
            return (self._index[keys[0]],)
        return tuple(dict.fromkeys([self._index[key] for key in keys]))

    def maker(self, key: str) -> InputMaker | None:
        """Return what makes the input of a node, where that is more than a merge."""
        make = self._topology.makers.get(key)
        return None if make is None else make(self._index)

    def empty(self, key: str) -> Any:
        """Return what a node gets when nothing has a value for it: an empty dict for mappings, else None."""
        annotation = normalise(self._table.input_type(key))
        if annotation in _NO_MAPPINGS:
            return None
        origin = get_origin(annotation) or annotation
        is_mapping = is_typeddict(annotation) or (isinstance(origin, type) and issubclass(origin, Mapping))
        return {} if is_mapping else None

    def _edge(self, source: str, target: str) -> Edge:
        if target in self._topology.makers:  # what makes the input checks it too, if the node runs at all
            return Edge(self._index[target])
        wanted = self._table.input_type(target)
        check = run_time_check(self._table.output_type(source), wanted, f"edge[{source}]-[{target}]")
        if check is None:
            return Edge(self._index[target])
        return Edge(self._index[target], check, functools.partial(converted, convert=check))

    def _branch(self, placed: PlacedBranch) -> PlannedBranch:
        branch = placed.branch
        check = run_time_check(
            self._table.output_type(placed.source), branch.input_type, f"branch of node[{placed.source}]"
        )
        return PlannedBranch(
            branch=branch,
            by_key={end: self._branch_edge(placed, placed.target(end)) for end in branch.ends},
            condition=context_filled(branch.shape),
            is_async=branch.shape.is_coroutine,
            check=check,
            is_plain=check is None and not branch.takes_stream,
            passes_data=placed.passes_data,
        )

    def _branch_edge(self, placed: PlacedBranch, end: str) -> Edge:
        return self._edge(placed.source, end) if placed.passes_data else Edge(self._index[end])


def run_time_check(given: Any, wanted: Any, place: str) -> Callable[[Any], Any] | None:
    """Return a test for values that may not fit, or None where they must or nothing can be tested."""
    if given is UNKNOWN or wanted is UNKNOWN or assignable(given, wanted) is not Fit.MAY:
        return None
    shown = type_text(wanted)

    def refuse(value: Any) -> RunError:
        return RunError(
            f"runtime type check fail, expected type: {shown}, actual type: {type(value).__qualname__} on {place}: "
            f"{value!r:.200}"
        )

    return checker(wanted, refuse)
