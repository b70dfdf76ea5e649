"""The names that the package itself gives, to annotate fixtures and to catch errors."""

from __future__ import annotations

import pytest

import eino_harness


@pytest.mark.parametrize("name", eino_harness.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(eino_harness, name).__name__ == name
    assert name in dir(eino_harness)


def test_the_list_is_sorted_and_complete() -> None:
    assert eino_harness.__all__ == sorted(eino_harness._HOMES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'eino_harness' has no attribute 'nothing'"):
        eino_harness.nothing  # type: ignore[attr-defined] - the mistake under test # noqa: B018
