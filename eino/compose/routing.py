"""Where the outputs of a super-step go: along edges and the branches' choices, gathered by target."""

from __future__ import annotations

from typing import Any

from eino.compose.mode import Mode
from eino.compose.plan import Edge, Plan, Routes

__all__ = ["Arrivals", "arrivals_at_start", "selected", "send"]

START_INDEX = -1


class Arrivals:
    """Values that wait for the nodes of the next super-step, each with the node that it came from."""

    __slots__ = ("_by_target", "_order", "sources")

    def __init__(self, plan: Plan) -> None:
        self._by_target: dict[int, list[tuple[int, Any]]] = {}
        self._order = plan.data_before
        self.sources: tuple[int, ...] = ()
        """The nodes that ran last."""

    def add(self, target: int, source: int, value: Any) -> None:
        """Note a value for `target`."""
        self._by_target.setdefault(target, []).append((source, value))

    def __contains__(self, target: int) -> bool:
        return target in self._by_target

    def __bool__(self) -> bool:
        return bool(self._by_target)

    def ready(self) -> list[int]:
        """Return the nodes that something arrived for, in the order in which they were added to the graph."""
        return sorted(self._by_target)

    def take(self, target: int) -> list[tuple[int, Any]]:
        """Return what arrived for `target`, in the order of its edges, and forget it."""
        arrived = self._by_target.pop(target)
        if len(arrived) > 1:
            order = self._order[target]
            arrived.sort(key=lambda each: order.index(each[0]))
        return arrived

    async def drop_all(self, mode: Mode) -> None:
        """Let go of all that still waits."""
        for arrived in self._by_target.values():
            for _, value in arrived:
                await mode.drop(value)
        self._by_target.clear()


async def arrivals_at_start(plan: Plan, mode: Mode, value: Any) -> Arrivals:
    """Send the input of the graph to the nodes behind the start."""
    arrivals = Arrivals(plan)
    await _send(plan.start, plan, mode, (START_INDEX, value), arrivals)
    return arrivals


async def send(plan: Plan, mode: Mode, source: int, value: Any, arrivals: Arrivals) -> None:
    """Send the output of node `source` on."""
    arrivals.sources = (*arrivals.sources, source)
    await _send(plan.routes[source], plan, mode, (source, value), arrivals)


async def _send(routes: Routes, plan: Plan, mode: Mode, output: tuple[int, Any], arrivals: Arrivals) -> None:
    source, value = output
    value, edges, _ = await selected(plan, routes, mode, value)
    if not edges:
        await mode.drop(value)
        return
    for edge, copy in zip(edges, mode.share(value, len(edges)), strict=True):
        arrivals.add(edge.target, source, mode.pass_on(edge, copy))


async def selected(plan: Plan, routes: Routes, mode: Mode, value: Any) -> tuple[Any, list[Edge], set[int]]:
    """Ask the branches; return the value, the edges that carry it on (each target once), and the chosen nodes."""
    edges = list(routes.data)
    chosen: set[int] = set()
    taken = {edge.target for edge in edges}
    for branch in routes.branches:
        answer, value = await mode.decide(branch, value, plan)
        for key in branch.branch.chosen(answer):
            edge = branch.by_key[key]
            chosen.add(edge.target)
            if branch.passes_data and edge.target not in taken:
                taken.add(edge.target)
                edges.append(edge)
    return value, edges, chosen
