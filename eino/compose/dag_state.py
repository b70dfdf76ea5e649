"""The DAG scheduler: which nodes are ready, which are skipped. Pure: it sees no clock, no task, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from eino.compose.plan import Edge, Plan, Routes

__all__ = ["DagShape", "DagState", "PlainShape", "is_plain"]

_SEEN = 1 << 30  # stands in the count of what a node waits for once it has become ready: it does so once


def is_plain(plan: Plan) -> bool:
    """Return whether all edges carry both data and control and no branch decides, so that nothing is ever skipped."""
    return plan.control_before == plan.data_before and not any(routes.branches for routes in (*plan.routes, plan.start))


class PlainShape:
    """What the engine for plain graphs needs to know of a plan; made once.

    Attributes:
        forward: For each node, and the start at -1: target, conversion, and the place of the value among those that are
            merged there, or -1 if it is the only one.
        left: For each node and the end: how many values it waits for.
        end: Index of the end.
    """

    __slots__ = ("end", "forward", "left")

    def __init__(self, plan: Plan) -> None:
        before = plan.data_before
        self.end = plan.end
        self.left = [len(sources) for sources in before]
        routes = (*plan.routes, plan.start)  # the start is last: index -1
        self.forward = tuple(
            tuple(
                (edge.target, edge.convert, before[edge.target].index(source) if len(before[edge.target]) > 1 else -1)
                for edge in route.data
            )
            for source, route in zip((*range(len(plan.routes)), -1), routes, strict=True)
        )


class DagShape:
    """What the scheduler needs to know of a plan; made once.

    Attributes:
        control_left: For each node and the end, how many nodes must let it run.
        data_left: For each node and the end, how many nodes must give it a value, or say that they have none.
        has_control: Whether a node waits for anybody's word.
        control: For each node, and the start at -1, who waits for its word.
        data: The same for its value.
        touched: Both together, each once.
        order: For each node and the end, whose value comes first when several are merged.
        end: Index of the end.
        is_plain: Whether all edges carry both data and control and no branch decides, so that nothing is ever skipped.
    """

    __slots__ = ("control", "control_left", "data", "data_left", "end", "has_control", "is_plain", "order", "touched")

    def __init__(self, plan: Plan) -> None:
        self.control_left = [len(sources) for sources in plan.control_before]
        self.data_left = [len(sources) for sources in plan.data_before]
        self.has_control = [bool(sources) for sources in plan.control_before]
        self.order = plan.data_before
        self.end = plan.end
        targets = [_targets(routes) for routes in (*plan.routes, plan.start)]  # the start is last: index -1
        self.control = [control for control, _ in targets]
        self.data = [data for _, data in targets]
        self.is_plain = is_plain(plan)
        self.touched = [tuple(dict.fromkeys((*control, *data))) for control, data in targets]


class DagState:
    """Progress of one run.

    A node is ready when each of its control predecessors has run or was skipped, not all of them skipped, and each
    of its data predecessors has given a value or will give none. When all control predecessors were skipped the node
    is skipped too, and so on behind it. A node with a plain edge from a predecessor runs after it whatever the
    predecessor's branches choose.
    """

    __slots__ = (
        "_arrived",
        "_control_left",
        "_data_left",
        "_let",
        "_ready",
        "_shape",
        "_skipped",
        "end_is_ready",
        "last",
    )

    def __init__(self, shape: DagShape) -> None:
        self._shape = shape
        self._control_left = shape.control_left.copy()
        self._data_left = shape.data_left.copy()
        self._let = bytearray(shape.end + 1)
        self._skipped: set[int] = set()
        self._arrived: dict[int, list[tuple[int, Any]]] = {}
        self._ready: list[int] = []
        self.end_is_ready = False
        self.last: list[int] = []
        """Nodes that completed since something became ready."""

    def give(self, target: int, source: int, value: Any) -> None:
        """Note a value on its way to a node."""
        arrived = self._arrived.get(target)
        if arrived is None:
            self._arrived[target] = [(source, value)]
        else:
            arrived.append((source, value))

    def advance(self, source: int, edges: Iterable[Edge], value: Any) -> None:
        """Do what `give` and `complete` do, in a graph that is plain."""
        arrived, left, end = self._arrived, self._control_left, self._shape.end
        self.last.append(source)
        for edge in edges:
            target = edge.target
            item = (source, value if edge.convert is None else edge.convert(value))
            if target in arrived:
                arrived[target].append(item)
            else:
                arrived[target] = [item]
            left[target] -= 1
            if not left[target]:
                if target == end:
                    self.end_is_ready = True
                else:
                    self._ready.append(target)

    def complete(self, source: int, let: Iterable[int] | None = None) -> Sequence[Any]:
        """Note that a node has run and has given what it gives.

        Args:
            source: The node; -1 for the start.
            let: The nodes that it lets run; None for all that wait for its word.

        Returns:
            Values that were given to nodes which are skipped: nobody will take them.
        """
        shape, control_left, data_left = self._shape, self._control_left, self._data_left
        self.last.append(source)
        for target in shape.data[source]:
            data_left[target] -= 1
        control = shape.control[source]
        for target in control:
            control_left[target] -= 1
        for target in control if let is None else let:
            self._let[target] = 1
        dropped: list[Any] = []
        for target in self._skipped.intersection(shape.data[source]) if self._skipped else ():
            dropped.extend(value for _, value in self._arrived.pop(target, ()))
        for target in shape.touched[source]:
            if control_left[target] == 0:
                if self._let[target] or not shape.has_control[target]:
                    if data_left[target] == 0:
                        self._make_ready(target)
                else:
                    dropped.extend(self._skip(target))
        return dropped

    def _make_ready(self, target: int) -> None:
        self._control_left[target] = _SEEN
        if target == self._shape.end:
            self.end_is_ready = True
        else:
            self._ready.append(target)

    def _skip(self, first: int) -> list[Any]:
        """Skip a node, and all behind it that nobody else lets run."""
        shape = self._shape
        dropped: list[Any] = []
        waiting = deque([first])
        while waiting:
            target = waiting.popleft()
            if self._control_left[target] != 0:
                continue
            if self._let[target] or not shape.has_control[target]:
                if self._data_left[target] == 0:
                    self._make_ready(target)
                continue
            self._control_left[target] = _SEEN
            self._skipped.add(target)
            dropped.extend(value for _, value in self._arrived.pop(target, ()))
            if target == shape.end:
                continue
            for behind in shape.data[target]:
                self._data_left[behind] -= 1
            for behind in shape.control[target]:
                self._control_left[behind] -= 1
            waiting.extend(shape.touched[target])
        return dropped

    def take_ready(self) -> list[int]:
        """Return the nodes that became ready since the last call, in the order in which they were added."""
        ready = self._ready
        if ready:
            self._ready = []
            self.last.clear()
            if len(ready) > 1:
                ready.sort()
        return ready

    def take_input(self, target: int) -> list[tuple[int, Any]]:
        """Return what arrived for a node, in the order of its edges."""
        arrived = self._arrived.pop(target, [])
        if len(arrived) > 1:
            position = {source: index for index, source in enumerate(self._shape.order[target])}
            arrived.sort(key=lambda each: position[each[0]])
        return arrived

    def dump(self) -> dict[str, Any]:
        """Return the progress without the values, as plain data; nothing is ready that nobody took."""
        return {
            "control_left": list(self._control_left),
            "data_left": list(self._data_left),
            "let": list(self._let),
            "skipped": sorted(self._skipped),
        }

    def load(self, data: dict[str, Any]) -> None:
        """Take up what `dump` returned."""
        self._control_left = list(data["control_left"])
        self._data_left = list(data["data_left"])
        self._let = bytearray(data["let"])
        self._skipped = set(data["skipped"])

    def waiting(self) -> dict[int, list[tuple[int, Any]]]:
        """Return the values that wait for nodes which are not ready yet, with their sources; not a copy."""
        return self._arrived

    def leftovers(self) -> list[Any]:
        """Return all values that wait for nodes which will not run any more, and forget them."""
        values = [value for arrived in self._arrived.values() for _, value in arrived]
        self._arrived.clear()
        return values


def _targets(routes: Routes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the nodes that wait for this one's word, and those that wait for its data, each once."""
    control = dict.fromkeys(routes.control)
    data = dict.fromkeys(edge.target for edge in routes.data)
    for branch in routes.branches:
        ends = [edge.target for edge in branch.by_key.values()]
        control.update(dict.fromkeys(ends))
        if branch.passes_data:
            data.update(dict.fromkeys(ends))
    return tuple(control), tuple(data)
