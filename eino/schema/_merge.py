"""Merging the values that arrive at one node from several predecessors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, overload

from eino.errors import MergeError
from eino.schema._registry import Combine, TypeTable

__all__ = ["MERGE", "MergeRegistry", "merge_values", "register_merge"]

T = TypeVar("T")
F = TypeVar("F", bound=Combine)


class MergeRegistry:
    """Functions that merge values at a fan-in, by type. What is not found here is looked for in the parent.

    A graph's own registry has the global one as its parent: `MergeRegistry(MERGE, {MyType: merge})`.
    """

    def __init__(self, parent: MergeRegistry | None = None, functions: Mapping[type, Combine] | None = None) -> None:
        self._table: TypeTable = TypeTable(parent._table if parent is not None else None, functions)

    @overload
    def register(self, cls: type[T]) -> Callable[[F], F]: ...
    @overload
    def register(self, cls: type[T], function: Callable[[Sequence[T]], T]) -> Callable[[], None]: ...
    def register(self, cls: type[Any], function: Combine | None = None) -> Any:
        """Use `function` to merge two or more values of `cls`, and of classes derived from it that have none.

        A later registration for the same class replaces an earlier one. Without `function` this is a decorator,
        which returns the decorated function.

        Returns:
            A function that undoes the registration.

        Raises:
            TypeError: If `cls` is not a class or `function` cannot be called.
        """
        if function is not None:
            return self._table.put(cls, function)

        def decorate(decorated: F) -> F:
            self._table.put(cls, decorated)
            return decorated

        return decorate

    def supports(self, cls: type) -> bool:
        """Tell whether several values of `cls` can be merged: a function is registered, or it is a mapping."""
        return self._table.find(cls) is not None or issubclass(cls, Mapping)

    def merge(self, values: Sequence[T]) -> T:
        """Merge the values that arrived at one node.

        One value is returned as it is. Of several: the function registered for the type of the first merges them
        (all must have that type); else mappings are united, and no key may come twice.

        Raises:
            MergeError: If there are no values, their types differ or cannot be merged, or a key comes twice.
        """
        if not values:
            raise MergeError("cannot merge: no value arrived")
        if len(values) == 1:
            return values[0]
        return self._merge_several(values)  # type: ignore[no-any-return]  # registered functions come untyped

    def _merge_several(self, values: Sequence[Any]) -> Any:
        classes = tuple(dict.fromkeys(map(type, values)))
        function = self._table.find(classes[0]) if len(classes) == 1 else self._table.find_shared(classes)
        if function is not None:
            return function(values)
        if all(issubclass(cls, Mapping) for cls in classes):
            return _unite(values)
        first = classes[0]
        if not self.supports(first):
            raise MergeError(
                f"(mergeValues) unsupported type: {first.__qualname__}; give the predecessors different output keys, "
                f"or register a function with register_merge({first.__qualname__})"
            )
        what = "values merge map" if issubclass(first, Mapping) else "values merge"
        raise MergeError(
            f"({what}) field type mismatch. expected: {first.__qualname__}, got: {classes[1].__qualname__}; "
            "all predecessors must return the same type"
        )


MERGE: Final = MergeRegistry()
"""The global registry; empty at first, since only mappings merge by themselves."""


def merge_values(values: Sequence[T]) -> T:
    """Merge the values that arrived at one node, with the global registry; see `MergeRegistry.merge`.

    Raises:
        MergeError: If there are no values, their types differ or cannot be merged, or a key comes twice.
    """
    return MERGE.merge(values)


@overload
def register_merge(cls: type[T]) -> Callable[[F], F]: ...
@overload
def register_merge(cls: type[T], function: Callable[[Sequence[T]], T]) -> Callable[[], None]: ...
def register_merge(cls: type[Any], function: Combine | None = None) -> Any:
    """Register a function that merges values of `cls`, for all graphs; also a decorator: `@register_merge(MyType)`.

    Returns:
        A function that undoes the registration; as a decorator, the decorated function.

    Raises:
        TypeError: If `cls` is not a class or `function` cannot be called.
    """
    return MERGE.register(cls) if function is None else MERGE.register(cls, function)


def _unite(values: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    united: dict[Any, Any] = {}
    for value in values:
        for key, item in value.items():
            if key in united:
                raise MergeError(
                    f"(values merge map) duplicated key ({key!r}) found; give the predecessors different keys, "
                    f"or register a function with register_merge({type(value).__qualname__})"
                )
            united[key] = item
    return united
