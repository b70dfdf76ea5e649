"""`causes`: an error and what is behind it, each once."""

from __future__ import annotations

from itertools import pairwise

import pytest

from eino._run.causes import causes


class EqualError(Exception):
    """Equals every other of its kind."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EqualError)

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("count", "back_to"),
    [
        pytest.param(1, None, id="alone"),
        pytest.param(3, None, id="a chain"),
        pytest.param(1, 0, id="its own cause"),
        pytest.param(2, 0, id="two that cause each other"),
        pytest.param(4, 2, id="a ring at the end of a chain"),
    ],
)
def test_each_error_comes_once_in_order(count: int, back_to: int | None) -> None:
    """Also errors that say that they are equal."""
    errors = [EqualError(number) for number in range(count)]
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    if back_to is not None:
        errors[-1].__cause__ = errors[back_to]

    assert [error.args for error in causes(errors[0])] == [(number,) for number in range(count)]


def test_what_raises_itself_from_itself_is_its_own_cause() -> None:
    error = ValueError("again")

    with pytest.raises(ValueError, match="again"):
        raise error from error
    assert list(causes(error)) == [error]


def test_nothing_has_no_causes() -> None:
    assert list(causes(None)) == []
