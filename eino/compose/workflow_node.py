"""`WorkflowNode`: a node of a workflow, wired to the nodes that it gets its input from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from eino.compose.field_mapping import FieldMapping, FieldPath, checked_path, path_text
from eino.compose.names import END
from eino.errors import BuildError

__all__ = ["Input", "WorkflowNode"]


@dataclass(frozen=True, slots=True)
class Input:
    """What a node gets from one other node."""

    source: str
    mappings: tuple[FieldMapping, ...]
    """Empty for the whole output."""
    data_only: bool


class WorkflowNode:
    """A node of a workflow, or its end: says where its input comes from, and after which nodes it runs.

    The nodes that it names may be added later; all is checked when the workflow is compiled. Each method returns the
    node, so that calls can be chained.
    """

    __slots__ = ("_check_open", "dependencies", "inputs", "key", "static")

    def __init__(self, key: str, check_open: Callable[[], None]) -> None:
        """Private: use the `add_..._node` methods and `end()` of a workflow."""
        self.key = key
        self.inputs: dict[str, Input] = {}
        self.dependencies: list[str] = []
        self.static: dict[FieldPath, Any] = {}
        self._check_open = check_open

    def add_input(self, from_key: str, *mappings: FieldMapping, data_only: bool = False) -> Self:
        """Run after a node, and get its output, or the parts of it that are mapped.

        Args:
            from_key: The other node, or `START`.
            mappings: Made with `from_field`, `to_field` and `map_fields`; none for the whole output.
            data_only: Get the data, but do not wait to be run by this node: something behind it runs this one. When
                the other node is skipped there is no value.

        Raises:
            BuildError: If the pair of nodes is connected already, or something is no mapping.
        """
        self._check_source(from_key)
        if from_key in self.inputs:
            raise BuildError(
                f"data edge[{from_key}]-[{self.key}] have been added yet: give all mappings in one add_input"
            )
        if not data_only:
            self._check_control(from_key)
        for mapping in mappings:
            if not isinstance(mapping, FieldMapping):
                raise BuildError(
                    f"node {self.key!r}: add_input({from_key!r}, {mapping!r}) takes mappings: from_field(...), "
                    "to_field(...), map_fields(...)"
                )
        placed = tuple([msgspec.structs.replace(mapping, from_key=from_key) for mapping in mappings])
        self.inputs[from_key] = Input(from_key, placed, data_only)
        return self

    def add_dependency(self, from_key: str) -> Self:
        """Run after a node, without its output.

        Raises:
            BuildError: If the node runs after it already.
        """
        self._check_source(from_key)
        self._check_control(from_key)
        self.dependencies.append(from_key)
        return self

    def set_static_value(self, path: str | FieldPath, value: Any) -> Self:
        """Put a constant into the input. All runs share it, so nobody should change it.

        Args:
            path: A field or key, or a tuple of them that leads inwards.
            value: What is put there.

        Raises:
            BuildError: If the path is malformed, or has a static value already.
        """
        self._check_open()
        checked = checked_path(path, f"set_static_value of node {self.key!r}")
        if checked in self.static:
            shown = path_text(checked)
            raise BuildError(
                f"two terminal field paths conflict for node {self.key}: [{shown}], [{shown}]: it has a static value "
                "there already"
            )
        self.static[checked] = value
        return self

    def _check_source(self, from_key: object) -> None:
        self._check_open()
        if not isinstance(from_key, str) or not from_key:
            raise BuildError(f"node {self.key!r}: the key of another node is a non-empty string, got {from_key!r}")
        if from_key == END:
            raise BuildError("END cannot be a start node: nothing follows the end of a workflow")

    def _check_control(self, from_key: str) -> None:
        known = self.inputs.get(from_key)
        if from_key in self.dependencies or (known is not None and not known.data_only):
            raise BuildError(
                f"control edge[{from_key}]-[{self.key}] have been added yet: add_input runs the node too, unless "
                "data_only=True; remove one of the two calls"
            )

    def __repr__(self) -> str:
        sources = dict.fromkeys((*self.inputs, *self.dependencies))
        return f"<WorkflowNode {self.key!r} after {', '.join(sources) or 'nothing'}>"
