"""What the visits add up to: the time of each node, and the framework's own share. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eino_harness.profile.recorder import RUN, Visit

__all__ = ["NodeTime", "Overhead", "node_times", "overhead_of"]

Span = tuple[float, float]

COMPONENTS = frozenset(
    {"ChatModel", "Tool", "Embedding", "Retriever", "Indexer", "Loader", "DocumentTransformer", "Transformer", "Parser"}
)
"""Kinds that do the application's work outside of the framework: a model's or a store's time is theirs."""

CONTAINERS = frozenset({RUN, "Graph", "Chain", "Workflow", "ToolsNode"})
"""Kinds whose own time, without what runs inside of them, is the framework's."""


@dataclass(frozen=True, slots=True)
class NodeTime:
    """One node (or tool, or graph) over all its calls; times in seconds."""

    path: tuple[str, ...]
    kind: str
    calls: int
    wall_s: float
    """How long it ran or was waited for."""
    self_s: float
    """The part of that in which nothing inside of it ran."""
    cpu_s: float
    """How long threads computed for it and what is inside of it."""
    own_cpu_s: float
    """The part of that without what is inside of it."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Where the time of all runs went, in seconds. Runs beside each other count each for itself."""

    runs: int
    end_to_end_s: float
    components_s: float
    """While at least one model, tool or other component ran."""
    own_code_s: float
    """While none of these, but a node with code of the application (a lambda, a template) ran."""

    @property
    def overhead_s(self) -> float:
        """End to end minus the time of models, tools and other components."""
        return self.end_to_end_s - self.components_s

    @property
    def framework_s(self) -> float:
        """The part of that in which no node's own code ran: what the framework itself takes, profiler included."""
        return self.overhead_s - self.own_code_s


def node_times(visits: Sequence[Visit]) -> list[NodeTime]:
    """Return one line a path, in the order in which paths were first visited, each behind what it is inside of."""
    children = _children(visits)
    groups: dict[tuple[str, ...], list[Visit]] = {}
    for visit in visits:
        groups.setdefault(_full_path(visit), []).append(visit)
    first = {path: number for number, path in enumerate(groups)}
    ordered = sorted(groups, key=lambda path: [first.get(path[: depth + 1], -1) for depth in range(len(path))])
    return [_node_time(path, groups[path], children) for path in ordered]


def _full_path(visit: Visit) -> tuple[str, ...]:
    """Return the path with the name of the run in front."""
    if visit.kind == RUN:
        return visit.path
    root = visit
    while root.parent is not None:
        root = root.parent
    return (*root.path, *visit.path) if root.kind == RUN else visit.path


def _node_time(path: tuple[str, ...], visits: Sequence[Visit], children: dict[int, list[Visit]]) -> NodeTime:
    wall_s = sum(_length(visit.spans) for visit in visits)
    return NodeTime(
        path=path,
        kind=visits[0].kind,
        calls=len(visits),
        wall_s=wall_s,
        self_s=sum(_length(_own_spans(visit, children)) for visit in visits),
        cpu_s=sum(below.cpu_s for visit in visits for below in _below(visit, children)),
        own_cpu_s=sum(visit.cpu_s for visit in visits),
    )


def overhead_of(visits: Sequence[Visit]) -> Overhead:
    """Return where the time of the runs went."""
    children = _children(visits)
    runs = [visit for visit in visits if visit.kind == RUN]
    end_to_end_s = components_s = own_code_s = 0.0
    for run in runs:
        inside = list(_below(run, children))[1:]
        outside = _common(run.spans, [span for each in inside if each.kind in COMPONENTS for span in each.spans])
        own = [span for each in inside if _is_own(each) for span in _own_spans(each, children)]
        end_to_end_s += _length(run.spans)
        components_s += _length(outside)
        own_code_s += _length(_without(_common(run.spans, own), outside))
    return Overhead(len(runs), end_to_end_s, components_s, own_code_s)


def _is_own(visit: Visit) -> bool:
    return visit.kind not in CONTAINERS and visit.kind not in COMPONENTS


def _own_spans(visit: Visit, children: dict[int, list[Visit]]) -> list[Span]:
    """Return when it ran and nothing inside of it did."""
    return _without(visit.spans, [span for child in children.get(id(visit), ()) for span in child.spans])


def _children(visits: Iterable[Visit]) -> dict[int, list[Visit]]:
    children: dict[int, list[Visit]] = {}
    for visit in visits:
        if visit.parent is not None:
            children.setdefault(id(visit.parent), []).append(visit)
    return children


def _below(visit: Visit, children: dict[int, list[Visit]]) -> Iterable[Visit]:
    """Yield the visit and all inside of it."""
    waiting = [visit]
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(children.get(id(each), ()))


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _length(spans: Iterable[Span]) -> float:
    return sum(end - begin for begin, end in _merged(spans))


def _common(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """Return the spans that lie in both."""
    left, right = _merged(one), _merged(other)
    common: list[Span] = []
    at, beside = 0, 0
    while at < len(left) and beside < len(right):
        begin, end = max(left[at][0], right[beside][0]), min(left[at][1], right[beside][1])
        if begin < end:
            common.append((begin, end))
        if left[at][1] < right[beside][1]:
            at += 1
        else:
            beside += 1
    return common


def _without(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """Return the spans that lie in `one` and not in `other`."""
    edges = [edge for span in _merged(other) for edge in span]
    gaps = list(zip([-math.inf, *edges[1::2]], [*edges[::2], math.inf], strict=True))
    return _common(one, gaps)
