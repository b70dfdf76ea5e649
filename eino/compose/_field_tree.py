"""Plans the input of a node from the paths that are mapped into it, checked against its type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from eino.compose._assemble import FieldInput, Leaf, Part
from eino.compose._extract import take_of
from eino.compose._field_types import Container, PathError, container_of
from eino.compose.checks import fits_at_run_time, normalise, type_text
from eino.compose.field_mapping import FieldMapping, FieldPath, path_text
from eino.errors import BuildError
from eino.schema._concat import ConcatRegistry

__all__ = ["planned_input"]


class _Target(NamedTuple):
    """One part of the input that is given."""

    path: FieldPath
    slot: int
    mapping: FieldMapping | None
    """What gives it; None for a static value."""

    def __str__(self) -> str:
        if self.mapping is None:
            return f"static value at [{path_text(self.path)}]"
        return f"field mapping {self.mapping}"


def planned_input(
    key: str,
    wanted: Any,
    mappings: list[tuple[FieldMapping, Any]],
    static: Mapping[FieldPath, Any],
    concat: ConcatRegistry,
) -> Callable[[Mapping[str, int]], FieldInput]:
    """Return what makes the input of a node of its parts, once the index of each node is known.

    Args:
        key: The node.
        wanted: Type of its input.
        mappings: What gives its parts, each with the type of the predecessor's output. No two conflict.
        static: Constant parts.
        concat: How chunks are joined.

    Raises:
        BuildError: If a path does not fit a type, a value cannot, or a required field is given by nothing.
    """
    targets = [_Target(mapping.to_path, slot, mapping) for slot, (mapping, _) in enumerate(mappings)]
    targets.extend(_Target(path, slot, None) for slot, path in enumerate(static, start=len(mappings)))
    tree = _Tree(key)
    root = tree.part(wanted, targets, ())
    takes = [take_of(mapping, key, given, tree.types[slot]) for slot, (mapping, given) in enumerate(mappings)]
    values = dict(enumerate(static.values(), start=len(mappings)))
    for target in targets[len(mappings) :]:
        _check_static(key, target, values[target.slot], tree.types[target.slot])
    paths = [target.path for target in targets]

    def placed(index: Mapping[str, int]) -> FieldInput:
        leaves = {
            slot: Leaf(index[mapping.from_key], take)
            for slot, ((mapping, _), take) in enumerate(zip(mappings, takes, strict=True))
        }
        return FieldInput(key, root, paths=paths, leaves=leaves, static=values, concat=concat)

    return placed


class _Tree:
    """Grows the parts of one input from the outside in, and notes the type of what each target gets."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.types: dict[int, Any] = {}

    def part(self, annotation: Any, targets: list[_Target], path: FieldPath) -> Part:
        """Return how the value at `path` is made of what `targets` give."""
        depth = len(path)
        container = self._checked(targets[0], container_of, annotation, depth)
        by_name: dict[str, list[_Target]] = {}
        for target in targets:
            by_name.setdefault(target.path[depth], []).append(target)
        leaves: list[tuple[str, int]] = []
        inner: list[tuple[str, Part]] = []
        for name, group in by_name.items():
            found = self._checked(group[0], container.part, name)
            if len(group[0].path) == depth + 1:  # then it is alone: nothing else is given inside
                self.types[group[0].slot] = normalise(found)
                leaves.append((name, group[0].slot))
            else:
                inner.append((name, self.part(found, group, (*path, name))))
        self._check_required(container, by_name, path)
        return Part(container, leaves, inner, path, self._key)

    def _checked(self, target: _Target, ask: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except PathError as error:
            raise BuildError(f"{target} of node[{self._key}]: {error}") from None

    def _check_required(self, container: Container, given: Iterable[str], path: FieldPath) -> None:
        missing = sorted(container.required.difference(given))
        if missing:
            at = f" at [{path_text(path)}]" if path else ""
            raise BuildError(
                f"nothing gives required field[{missing[0]}] of type[{container.shown}]{at} of node[{self._key}]: map "
                "a value to it, set a static value, or give the field a default"
            )


def _check_static(key: str, target: _Target, value: Any, wanted: Any) -> None:
    test = fits_at_run_time(wanted)
    if test is not None and not test(value):
        raise BuildError(
            f"{target} of node[{key}]: field[{type(value).__qualname__}]-[{type_text(wanted)}] is absolutely not "
            f"assignable, got {value!r:.200}: give a {type_text(wanted)}"
        )
