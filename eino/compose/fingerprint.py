"""Whether a stored run belongs to the graph that is to go on with it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from eino.compose.plan import Plan, Routes
from eino.errors import CorruptCheckpointError, GraphChangedError

__all__ = ["GraphChange", "change_of", "checked_levels", "shape_of", "shape_text"]

_TEXTS: Final[dict[int, tuple[weakref.ref[Plan], str]]] = {}
"""Shapes as text, by identity of the plan: each run stores its own, and reads that of the run it goes on with."""


@dataclass(frozen=True, slots=True)
class GraphChange:
    """How a graph differs from the one that a stored run was begun with.

    `compile(migrate=...)` gets it and returns the levels to go on with, or raises to refuse.
    """

    run_id: str
    removed: tuple[str, ...]
    """Paths of nodes that are gone, such as `"sub/model"`."""
    added: tuple[str, ...]
    """Paths of nodes that are new."""
    changed: tuple[str, ...]
    """What else is different, in words: edges, engines, kinds of nodes."""
    levels: dict[str, dict[str, Any]]
    """Where each graph of the run stands, by address: `todo`, `done`, `dag`, `state`, by node key; free to change."""

    def __str__(self) -> str:
        parts = [f"removed nodes {list(self.removed)}"] if self.removed else []
        parts += [f"new nodes {list(self.added)}"] if self.added else []
        return "; ".join((*parts, *self.changed))


def shape_of(plan: Plan) -> dict[str, Any]:
    """Return what must stay the same between a run and its resume, as plain data."""
    nodes: dict[str, Any] = {}
    for key, stage in zip(plan.keys, plan.stages, strict=True):
        body = stage.spec.body
        inner = body.runnable if body is not None else None
        nodes[key] = (
            shape_of(inner.plan) if inner is not None else body.component if body is not None else "Passthrough"
        )
    ways = {
        key: _ways(plan, routes) for key, routes in zip((*plan.keys, "start"), (*plan.routes, plan.start), strict=True)
    }
    return {"trigger": plan.trigger, "nodes": nodes, "ways": ways}


def shape_text(plan: Plan) -> str:
    """Return the shape of a plan as JSON; equal texts are equal shapes."""
    key = id(plan)
    known = _TEXTS.get(key)
    if known is not None and known[0]() is plan:
        return known[1]
    text = msgspec.json.encode(shape_of(plan)).decode()
    _TEXTS[key] = (weakref.ref(plan, lambda _: _TEXTS.pop(key, None)), text)
    return text


def _ways(plan: Plan, routes: Routes) -> list[Any]:
    branches = [sorted({plan.key_of(edge.target) for edge in branch.by_key.values()}) for branch in routes.branches]
    data = [plan.key_of(edge.target) for edge in routes.data]
    return [data, [plan.key_of(index) for index in routes.control], branches]


def change_of(run_id: str, before: Mapping[str, Any], now: Mapping[str, Any], levels: dict[str, Any]) -> GraphChange:
    """Return how two shapes differ."""
    old, new = _paths(before), _paths(now)
    words: list[str] = []
    for path in ["", *old]:
        first, second = _at(before, path), _at(now, path)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            where = f"graph {path!r}" if path else "the graph"
            if first["trigger"] != second["trigger"]:
                words.append(f"{where} has trigger={second['trigger']!r}, it had {first['trigger']!r}")
            moved = [
                key for key in first["ways"] if key in second["ways"] and first["ways"][key] != second["ways"][key]
            ]
            if moved:
                words.append(f"{where} leads elsewhere from {moved}")
        elif second is not None and first != second:
            words.append(f"node {path!r} is of another kind")
    return GraphChange(
        run_id,
        tuple(path for path in old if path not in new),
        tuple(path for path in new if path not in old),
        tuple(words),
        levels,
    )


def checked_levels(run_id: str, plan: Plan, before: str, levels: dict[str, Any]) -> dict[str, Any]:
    """Return the levels to go on with, which the migration hook of the graph may have changed.

    Raises:
        GraphChangedError: If the graph is not the one that the run was begun with, and has no migration hook.
        CorruptCheckpointError: If `before` is no shape of a graph.
    """
    if shape_text(plan) == before:
        return levels
    try:
        change = change_of(run_id, msgspec.json.decode(before), shape_of(plan), levels)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorruptCheckpointError(
            f"run {run_id!r}: the stored shape of its graph is not as eino writes it"
        ) from error
    hook = plan.durable.migrate if plan.durable is not None else None
    if hook is None:
        raise GraphChangedError(
            f"run {run_id!r} was stored by another version of the graph: {change}: resume it with that version, "
            "compile with migrate=, or discard it with force_new_run=True",
            change=change,
        )
    migrated: dict[str, Any] = hook(change)
    return levels if migrated is None else migrated


def _paths(shape: Mapping[str, Any], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key, inner in shape["nodes"].items():
        paths.append(prefix + key)
        if isinstance(inner, Mapping):
            paths.extend(_paths(inner, f"{prefix}{key}/"))
    return paths


def _at(shape: Any, path: str) -> Any:
    for key in path.split("/") if path else ():
        shape = shape["nodes"].get(key) if isinstance(shape, Mapping) else None
    return shape
