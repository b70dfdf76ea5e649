"""Carries what the code of others raises through a store, which takes errors of its database for its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["ForeignError", "foreign", "unwrapped"]

A = TypeVar("A")
T = TypeVar("T")


class ForeignError(Exception):
    """Wraps an error of others."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def foreign(work: Callable[[A], T], argument: A) -> T:
    """Return `work(argument)`.

    Raises:
        ForeignError: Whatever it raises, wrapped.
    """
    try:
        return work(argument)
    except Exception as error:
        raise ForeignError(error) from error


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise what was wrapped as it was."""
    try:
        yield
    except ForeignError as wrapped:
        raise wrapped.error from wrapped.error.__cause__
