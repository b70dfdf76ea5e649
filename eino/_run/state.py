"""Graph state: one level per running graph that has a state, linked to the level around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from eino.errors import EinoError

if TYPE_CHECKING:
    import anyio

__all__ = ["StateError", "StateLevel", "find_level"]

S = TypeVar("S")


class StateError(EinoError, LookupError):
    """A state was asked for that no enclosing graph has."""


class StateLevel:
    """The state of one graph run, with the lock that makes access to it exclusive.

    The lock is made on first use: handlers that do not wait run without one, because nothing can come between
    their statements.
    """

    __slots__ = ("_lock", "parent", "value")

    def __init__(self, value: Any, parent: StateLevel | None) -> None:
        self.value = value
        self.parent = parent
        self._lock: anyio.Lock | None = None

    @property
    def locked(self) -> bool:
        """Whether somebody holds the state across a wait right now."""
        return self._lock is not None and self._lock.locked()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[Any]:
        """Hold the state until the block ends; the lock of each level is its own and is not re-entrant."""
        if self._lock is None:
            import anyio

            self._lock = anyio.Lock()
        async with self._lock:
            yield self.value


def find_level(level: StateLevel | None, of: type[S]) -> StateLevel:
    """Return the nearest level whose value is an instance of `of`; inner levels shadow outer ones.

    Raises:
        StateError: If no enclosing graph has a state, or none of that type.
    """
    if level is None:
        raise StateError(
            "get state from context fail: have not set state; give the graph one with Graph(state=...) "
            "and ask for it inside one of its nodes or handlers"
        )
    found: StateLevel | None = level
    while found is not None:
        if isinstance(found.value, of):
            return found
        found = found.parent
    raise StateError(
        f"cannot find state with type: {of.__qualname__} in states chain, "
        f"current state type: {type(level.value).__qualname__}"
    )
