"""The functions of one kind of run, with the linear runs of the graph fused into segments.

A plan has one table for plain value runs, one for observed value runs and one for stream runs; a call that sets
options makes its own. Segments are built when a run first enters them and do not change afterwards.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from eino.compose.dag_state import DagShape
from eino.compose.extra import keep
from eino.compose.plan import Edge, Plan, PlannedBranch
from eino.compose.stage import Call
from eino.schema.stream_ops import merge_named

__all__ = ["CallTable", "Segment"]

Step = tuple[int, Callable[[Any], Any], bool]
"""Index of a node, a function of one value, and whether to await it."""


class Segment:
    """A run of nodes that follow each other without a choice, and what comes behind it.

    Attributes:
        steps: The functions in their order; the work of edges (checks, conversions) stands between nodes, under the
            index of the node behind it.
        length: Number of nodes among the steps.
        source: Index of the node in front of the segment; -1 for the start.
        last: Index of the last node; that of `source` if there is none.
        following: The segment behind this one; None if a branch decides, or several nodes or none follow.
        ends: Whether the value is the result of the graph.
        branch: The one branch that decides what follows, if nothing else follows.
        by_key: The segments that the branch may choose.
    """

    __slots__ = ("branch", "by_key", "ends", "following", "last", "length", "source", "steps")

    def __init__(self, source: int) -> None:
        self.steps: tuple[Step, ...] = ()
        self.length = 0
        self.source = source
        self.last = source
        self.following: Segment | None = None
        self.ends = False
        self.branch: PlannedBranch | None = None
        self.by_key: dict[str, Segment] = {}


class CallTable:
    """The calls of one kind of run, alone and as segments."""

    def __init__(self, plan: Plan, calls: tuple[Call, ...], *, on_stream: bool, may_keep: bool) -> None:
        self._plan = plan
        self.may_keep = may_keep
        """Whether its functions may open streams that are closed when the run ends."""
        self._calls = calls
        self._on_stream = on_stream
        self._made: dict[int, Segment] = {}
        self._ready: dict[int, Segment] = {}
        """Those of `_made` that are complete, with all behind them: what other threads may see."""
        self._undecided: list[tuple[Segment, Edge | None]] = []
        self._lock = threading.Lock()
        self.entry = self._behind_start() if plan.trigger == "any" else None
        """The segment behind the start, if exactly one node follows it without a choice; None otherwise."""

    @functools.cached_property
    def dag(self) -> DagShape:
        """What the DAG scheduler needs to know of the plan."""
        return DagShape(self._plan)

    def call(self, index: int) -> Call:
        """Return the function of a node, and whether to await it."""
        return self._calls[index]

    def segment(self, index: int) -> Segment:
        """Return the segment that begins with a node."""
        found = self._ready.get(index)
        if found is not None:
            return found
        with self._lock:
            found = self._starting_with(index)
            self._decide()
            self._ready = dict(self._made)
            return found

    def _behind_start(self) -> Segment | None:
        start = self._plan.start
        if len(start.data) != 1 or start.branches:
            return None
        entry = self._through(start.data[0], -1)
        self._decide()
        return entry

    def _decide(self) -> None:
        """Connect segments with those behind them, which may begin further ones."""
        while self._undecided:
            segment, edge = self._undecided.pop()
            if edge is not None:
                segment.following = self._through(edge, segment.last)
            elif segment.branch is not None:
                segment.by_key = {key: self._through(edge, segment.last) for key, edge in segment.branch.by_key.items()}

    def _through(self, edge: Edge, source: int) -> Segment:
        """Return the segment behind an edge, the edge's own work in front."""
        work = self._work(edge, source)
        if edge.target == self._plan.end:
            last = Segment(source)
            last.steps = tuple(work)
            last.ends = True
            return last
        whole = self._starting_with(edge.target)
        if not work:
            return whole
        front = Segment(source)
        front.steps = tuple(work)
        front.following = whole
        return front

    def _starting_with(self, index: int) -> Segment:
        """Return the segment that begins with a node and takes in all that must follow it alone."""
        found = self._made.get(index)
        if found is not None:
            return found
        segment = self._made[index] = Segment(-1)
        following: Edge | None = None
        steps: list[Step] = []
        seen: set[int] = set()
        plan = self._plan
        while True:
            seen.add(index)
            call, is_async = self._calls[index]
            steps.append((index, call, is_async))
            routes = plan.routes[index]
            if routes.branches or len(routes.data) != 1:
                break
            edge = routes.data[0]
            if edge.target != plan.end and (edge.target in seen or len(plan.data_before[edge.target]) > 1):
                following = edge
                break
            steps.extend(self._work(edge, index))
            if edge.target == plan.end:
                segment.ends = True
                break
            index = edge.target
        segment.steps, segment.length, segment.last = tuple(steps), len(seen), index
        if len(routes.branches) == 1 and not routes.data:
            segment.branch = routes.branches[0]
        if following is not None or segment.branch is not None:
            self._undecided.append((segment, following))
        return segment

    def _work(self, edge: Edge, source: int) -> list[Step]:
        """Return the checks of an edge."""
        own = edge.convert_stream if self._on_stream else edge.convert
        steps: list[Step] = [] if own is None else [(source, own, False)]
        if self._on_stream and edge.target in self._plan.named_fan_in:
            steps.append((source, self._named(source), False))
        return steps

    def _named(self, source: int) -> Callable[[Any], Any]:
        name = self._plan.key_of(source)
        return lambda reader: keep(merge_named({name: reader}))
