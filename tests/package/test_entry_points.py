"""The commands and plugins that an installed eino announces."""

from __future__ import annotations

from importlib import metadata

import pytest

ENTRY_POINTS = sorted(metadata.distribution("eino").entry_points, key=lambda entry: (entry.group, entry.name))


@pytest.mark.parametrize("entry", ENTRY_POINTS, ids=lambda entry: f"{entry.group}:{entry.name}")
def test_entry_point_loads(entry: metadata.EntryPoint) -> None:
    """What the metadata names exists."""
    loaded = entry.load()

    assert callable(loaded) if entry.attr else loaded.__name__ == entry.module


def test_the_command_and_the_pytest_plugin_are_announced() -> None:
    """`eino` is on the path, and pytest finds the plugin by itself."""
    announced = {(entry.group, entry.name) for entry in ENTRY_POINTS}

    assert ("console_scripts", "eino") in announced
    assert "pytest11" in {group for group, _ in announced}
