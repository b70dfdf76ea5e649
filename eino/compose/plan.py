"""The compiled form of a graph: indices instead of names, linear runs fused, nothing for what is not used.

A plan does not change once built, so any number of runs share it. Node `i` of a plan has index `i`; the end has the
index behind the last node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from eino.compose.branch import Branch
from eino.compose.durable import Durable
from eino.compose.input_maker import InputMaker
from eino.compose.stage import Stage
from eino.schema._concat import ConcatRegistry
from eino.schema._merge import MergeRegistry

__all__ = ["Edge", "Plan", "PlannedBranch", "Routes", "Trigger"]

Trigger = Literal["any", "all"]
"""When a node runs: `"any"` as soon as a value arrived (Pregel, loops allowed), `"all"` when every predecessor is
done or skipped (DAG)."""

Convert = Callable[[Any], Any]


class Edge(msgspec.Struct, frozen=True):
    """A way of data from one node to another."""

    target: int
    convert: Convert | None = None
    """Changes or checks the value on its way; None when there is nothing to do."""
    convert_stream: Convert | None = None
    """The same for a reader."""


class PlannedBranch(msgspec.Struct, frozen=True):
    """A branch with its ends as edges."""

    branch: Branch
    by_key: dict[str, Edge]
    condition: Callable[[Any], Any]
    """The condition itself, its context filled in."""
    is_async: bool
    check: Convert | None
    """Tests the value before the condition gets it; None when it fits by its type."""
    is_plain: bool
    """Whether the condition can be given a value as it is: it takes no stream and needs no check."""
    passes_data: bool = True
    """Whether the chosen nodes get the value; in a workflow they do not."""


class Routes(msgspec.Struct, frozen=True):
    """Where the output of a node goes."""

    data: tuple[Edge, ...] = ()
    """To whom it is given, whatever the branches say."""
    control: tuple[int, ...] = ()
    """Whom it lets run, whatever the branches say."""
    branches: tuple[PlannedBranch, ...] = ()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Plan:
    """All that a run needs to know of a graph. `name` and `keys` are what frames show."""

    name: str
    kind: str
    keys: tuple[str, ...]
    stages: tuple[Stage, ...]
    trigger: Trigger
    eager: bool
    max_steps: int
    state: Callable[[], Any] | None
    concat: ConcatRegistry
    merge: MergeRegistry
    start: Routes
    routes: tuple[Routes, ...]
    control_before: tuple[tuple[int, ...], ...]
    """For each node and the end: which nodes let it run; -1 is the start."""
    data_before: tuple[tuple[int, ...], ...]
    """For each node and the end: which nodes give it data, in the order in which values are merged."""
    named_fan_in: frozenset[int]
    """Nodes whose merged input stream says when each source ends."""
    makers: tuple[InputMaker | None, ...]
    """For each node and the end: makes its input of what arrived (field mappings); None where that is only merged."""
    empty: tuple[Any, ...]
    """For each node and the end: what it gets when nothing has a value for it."""
    input_check: Convert | None
    durable: Durable | None = None
    """How its runs stop and go on; None if they do so only where a call asks for it."""

    @property
    def end(self) -> int:
        """Index of the end."""
        return len(self.keys)

    def key_of(self, index: int) -> str:
        """Return the key of a node, the start and the end included."""
        return "start" if index < 0 else "end" if index == len(self.keys) else self.keys[index]

    def making_input(self, index: int) -> str:
        """Return what error texts say while the input of a node is made of what arrived."""
        return f"get the input of node {self.key_of(index)!r} fail"
