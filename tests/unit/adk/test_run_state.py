"""What the turns of one run share: which errors an event has told of."""

from __future__ import annotations

import pytest

from eino.adk.run_state import RootRun


def ring(count: int) -> list[ValueError]:
    """Return errors of which each is caused by the next one, and the last by the first."""
    errors = [ValueError(number) for number in range(count)]
    for number, error in enumerate(errors):
        error.__cause__ = errors[(number + 1) % count]
    return errors


@pytest.mark.parametrize("count", [1, 2])
def test_errors_that_cause_each_other_are_told_like_others(count: int) -> None:
    """`raise error from error`, and two in a ring: telling one tells all of it."""
    root, errors, other = RootRun(), ring(count), ValueError("another")
    before = root.has_told(errors[0])
    root.told = (errors[-1], other)

    assert not before
    assert all(root.has_told(error) for error in errors)
    root.untell(errors[0])
    assert root.told == (other,)
