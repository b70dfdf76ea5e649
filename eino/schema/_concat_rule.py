"""The generic rule that makes one value of the chunks of a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from eino.errors import ConcatError
from eino.schema._concat_messages import are_message_rows, join_message_rows
from eino.schema._registry import Combine, JoinMaps, TypeTable
from eino.schema._zero import is_zero
from eino.schema.message import Message

MAX_DEPTH: Final = 200
"""Levels of nested mappings that are joined: far beyond real data, well below Python's recursion limit."""


class UsesMaps:
    """A built-in function that also joins free-form data, by the rules of the registry that found it."""

    def __init__(self, function: Callable[[Sequence[Any], JoinMaps], Any]) -> None:
        self.function = function

    def __call__(self, items: Sequence[Any]) -> Any:
        raise TypeError("built-in concat functions are called through a registry")


class Joiner:
    """Applies the generic rule with the functions of one table."""

    def __init__(self, table: TypeTable) -> None:
        self._table = table

    def join(self, items: Sequence[Any], path: tuple[object, ...] = ()) -> Any:
        """Join two or more values; `path` holds the keys that lead to them."""
        if type(items[0]) is Message:
            function = self._table.find(Message)
            if isinstance(function, UsesMaps):  # it looks at every chunk itself: no need to do so twice
                return self._apply(function, items, path)
        classes = tuple(dict.fromkeys(map(type, items)))
        function = self._find(classes, items)
        if function is not None:
            return self._apply(function, items, path)
        if all(issubclass(cls, Mapping) for cls in classes):
            return self.join_maps(items, path)
        if len(classes) > 1:
            raise _mixed_types(classes, path)
        if are_message_rows(items):
            return join_message_rows(items, self.join_maps)
        return _only_value(items, path)

    def join_maps(self, maps: Sequence[Mapping[Any, Any]], path: tuple[object, ...] = ()) -> dict[Any, Any]:
        """Join mappings key by key; a key of one mapping only keeps its value."""
        if len(path) >= MAX_DEPTH:
            raise ConcatError(f"cannot concat mappings nested deeper than {MAX_DEPTH} levels{_at(path[:3])}")
        columns: dict[Any, list[Any]] = {}
        for entries in maps:
            for key, value in entries.items():
                columns.setdefault(key, []).append(value)
        return {key: self._join_column(column, (*path, key)) for key, column in columns.items()}

    def _join_column(self, column: list[Any], path: tuple[object, ...]) -> Any:
        return column[0] if len(column) == 1 else self.join(column, path)

    def _find(self, classes: tuple[type, ...], items: Sequence[Any]) -> Combine | None:
        if len(classes) == 1:
            return self._table.find(classes[0])
        if set(classes) == {int, float}:
            return self._table.find(type(items[-1]))
        if set(classes) == {Message, type(None)}:
            return self._table.find(Message)  # its error names the position of the None
        return None if bool in classes else self._table.find_shared(classes)

    def _apply(self, function: Combine, items: Sequence[Any], path: tuple[object, ...]) -> Any:
        try:
            if isinstance(function, UsesMaps):
                return function.function(items, self.join_maps)
            return function(items)
        except ConcatError as error:
            if not path:
                raise
            raise ConcatError(f"{error}{_at(path)}") from error


def _only_value(items: Sequence[Any], path: tuple[object, ...]) -> Any:
    present = [item for item in items if not is_zero(item)]
    if not present:
        return items[0]
    if len(present) == 1:
        return present[0]
    name = type(items[0]).__qualname__
    raise ConcatError(
        f"cannot concat multiple non-zero value of type {name}{_at(path)}: "
        f"{len(present)} of {len(items)} chunks carry something; register a function with register_concat({name})"
    )


def _mixed_types(classes: Sequence[type], path: tuple[object, ...]) -> ConcatError:
    expected, got = classes[0].__qualname__, classes[1].__qualname__
    return ConcatError(
        f"cannot concat chunks of different types{_at(path)}. Got {got}, expected {expected}; "
        "send the same type in every chunk"
    )


def _at(path: Sequence[object]) -> str:
    return f" under key {'.'.join(map(str, path))!r}" if path else ""
