"""Fixtures around the fakes: what a script still holds when its test has passed is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import pytest

__all__ = ["PASSED", "completed", "numbered_runs"]

PASSED = pytest.StashKey[bool]()
"""Whether the test itself passed; set before its fixtures end."""


class Scripted(Protocol):
    """A fake that knows whether all it was prepared for has happened."""

    def assert_complete(self) -> None:
        """Raise if something is left, or came that was not expected."""
        ...


_Fake = TypeVar("_Fake")


@contextmanager
def completed(request: pytest.FixtureRequest, make: Callable[..., _Fake]) -> Iterator[Callable[..., _Fake]]:
    """Yield a function that makes fakes as `make` does; when the test has passed, check that each is complete.

    Raises:
        AssertionError: If a script has steps left, or a fake was called more often than its script allows.
    """
    made: list[Any] = []

    def make_one(*args: Any, **kwargs: Any) -> _Fake:
        fake = make(*args, **kwargs)
        made.append(fake)
        return fake

    yield make_one
    if request.node.stash.get(PASSED, False):
        for fake in made:
            fake.assert_complete()


@contextmanager
def numbered_runs(prefix: str) -> Iterator[Callable[[int], str]]:
    """Count runs from 1 inside the block; yield the function from number to run id."""
    from eino._run.ids import restart_ids

    undo = restart_ids(prefix)
    try:
        yield lambda number: f"{prefix}-{number}"
    finally:
        undo()
