"""The types along a graph's edges, passthrough nodes included, checked as edges are added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from eino.compose.checks import Fit, assignable, type_text
from eino.errors import BuildError

__all__ = ["UNKNOWN", "EdgeTypes", "TypeTable"]


class _Unknown:
    """The type of a passthrough node that no typed node is connected to yet."""

    def __repr__(self) -> str:
        return "an unknown type"


UNKNOWN: Final = _Unknown()


class EdgeTypes(msgspec.Struct, frozen=True):
    """One use of a node's output: by another node, or by a branch condition."""

    source: str
    target: str
    """Key of the node; for a condition, of no node: empty."""
    wanted: Any
    """Type that the condition takes; `UNKNOWN` for edges, whose target says it."""
    what: str
    """How error texts name it."""


class TypeTable:
    """What each node takes and gives. A passthrough takes and gives one type, found from its neighbours."""

    def __init__(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self._inputs: dict[str, Any] = dict(inputs)
        self._outputs: dict[str, Any] = dict(outputs)
        self._inferred: dict[str, Any] = {}  # passthrough key -> its one type
        self._uses: list[EdgeTypes] = []

    def add_node(self, key: str, input_type: Any, output_type: Any) -> None:
        """Note the types of a node; both are `UNKNOWN` for a passthrough."""
        if input_type is UNKNOWN and output_type is UNKNOWN:
            self._inferred[key] = UNKNOWN
        self._inputs[key] = input_type
        self._outputs[key] = output_type

    def remove(self, key: str) -> None:
        """Forget a node and all its uses."""
        self.disconnect(key)
        for table in (self._inputs, self._outputs, self._inferred):
            table.pop(key, None)

    def disconnect(self, key: str) -> None:
        """Forget all uses of a node, and what followed from them for passthrough nodes."""
        self._uses = [use for use in self._uses if key not in (use.source, use.target)]
        self._inferred = dict.fromkeys(self._inferred, UNKNOWN)
        self._infer()

    def copy(self) -> TypeTable:
        """Return an equal table, for changes that must all succeed or not happen."""
        twin = TypeTable(self._inputs, self._outputs)
        twin._inferred = dict(self._inferred)
        twin._uses = list(self._uses)
        return twin

    def input_type(self, key: str) -> Any:
        """Return what a node takes."""
        return self._inferred[key] if key in self._inferred else self._inputs[key]

    def output_type(self, key: str) -> Any:
        """Return what a node gives."""
        return self._inferred[key] if key in self._inferred else self._outputs[key]

    def unknown(self) -> list[str]:
        """Return the passthrough nodes whose type nothing tells."""
        return [key for key, found in self._inferred.items() if found is UNKNOWN]

    def add_use(self, use: EdgeTypes) -> None:
        """Note an edge or a branch, infer what follows for passthrough nodes, and check all that became known.

        Raises:
            BuildError: If a type cannot fit; the table is then as it was.
        """
        if use.source not in self._inferred and use.target not in self._inferred:
            self._check(use, self.output_type(use.source), self._wanted(use))
            self._uses.append(use)
            return
        before = dict(self._inferred)
        self._uses.append(use)
        try:
            touched = self._infer()
            for each in self._uses:
                if each is use or each.source in touched or each.target in touched:
                    self._check(each, self.output_type(each.source), self._wanted(each))
        except BuildError:
            self._uses.pop()
            self._inferred = before
            raise

    def _infer(self) -> set[str]:
        """Spread known types over passthrough nodes until nothing changes; return those that became known."""
        touched: set[str] = set()
        changed = True
        while changed:
            changed = False
            for use in self._uses:
                source, wanted = self.output_type(use.source), self._wanted(use)
                if source is UNKNOWN and wanted is not UNKNOWN:
                    self._inferred[use.source] = wanted
                    touched.add(use.source)
                    changed = True
                elif wanted is UNKNOWN and source is not UNKNOWN:
                    self._inferred[use.target] = source
                    touched.add(use.target)
                    changed = True
        return touched

    def _wanted(self, use: EdgeTypes) -> Any:
        return self.input_type(use.target) if use.target else use.wanted

    @staticmethod
    def _check(use: EdgeTypes, source: Any, wanted: Any) -> None:
        if source is UNKNOWN or wanted is UNKNOWN:
            return
        if assignable(source, wanted) is Fit.NEVER:
            raise BuildError(use.what.format(source=type_text(source), wanted=type_text(wanted)))
