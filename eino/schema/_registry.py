"""A table of functions by type with a parent: the most specific type wins, then the table nearest to the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

Combine: TypeAlias = Callable[[Sequence[Any]], Any]
"""Makes one value of several."""

JoinMaps: TypeAlias = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]
"""Joins free-form data key by key."""


class TypeTable:
    """Functions by type, looked up by exact type first, then along the MRO; for each type here, then in the parents."""

    def __init__(self, parent: TypeTable | None = None, functions: Mapping[type, Combine] | None = None) -> None:
        self._parent = parent
        self._own: dict[type, Combine] = {}
        for cls, combine in (functions or {}).items():
            self.put(cls, combine)

    def put(self, cls: type, combine: Combine) -> Callable[[], None]:
        """Add or replace the function for `cls`; return a function that restores what was there before.

        Raises:
            TypeError: If `cls` is not a class or `combine` cannot be called.
        """
        if not isinstance(cls, type):
            raise TypeError(f"a function is registered for a class, got {cls!r}")
        if not callable(combine):
            raise TypeError(f"what is registered for {cls.__qualname__} must be callable, got {combine!r}")
        previous = self._own.get(cls)
        self._own[cls] = combine

        def undo() -> None:
            # A later registration stays: undoing out of order must not bring back what it replaced.
            if self._own.get(cls) is not combine:
                return
            if previous is None:
                del self._own[cls]
            else:
                self._own[cls] = previous

        return undo

    def find(self, cls: type) -> Combine | None:
        """Return the function for values of `cls`, or None."""
        for base in bases(cls):
            table: TypeTable | None = self
            while table is not None:
                found = table._own.get(base)
                if found is not None:
                    return found
                table = table._parent
        return None

    def find_shared(self, classes: Sequence[type]) -> Combine | None:
        """Return the function of the most specific registered class that all of `classes` derive from, or None."""
        for base in bases(classes[0]):
            if all(base in bases(cls) for cls in classes):
                found = self.find(base)
                if found is not None:
                    return found
        return None


def bases(cls: type) -> Sequence[type]:
    """Return the classes that stand for `cls`, most specific first."""
    if issubclass(cls, Enum):
        # A str or int enum is no text or number to be joined: only what was registered for enums applies.
        return [base for base in cls.__mro__ if issubclass(base, Enum)]
    return cls.__mro__
