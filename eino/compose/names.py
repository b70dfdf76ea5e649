"""The reserved node keys, and what a key may look like."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Final

from eino.errors import BuildError

__all__ = ["END", "START", "check_key", "keys_text"]

START: Final = "start"
"""Key of the graph's entrance."""
END: Final = "end"
"""Key of the graph's exit."""

_SEPARATORS = "/:;"  # of option paths and addresses


def check_key(key: object) -> str:
    """Return `key` if a node may have it.

    Raises:
        BuildError: If it is no text, empty, reserved, or contains a separator of paths and addresses.
    """
    if not isinstance(key, str) or not key:
        raise BuildError(f"a node key must be a non-empty string, got {key!r}")
    if key in (START, END):
        raise BuildError(f"node {key!r} is reserved, cannot add manually: choose another key")
    bad = [each for each in _SEPARATORS if each in key]
    if bad:
        raise BuildError(f"node key {key!r} contains {bad[0]!r}, which separates the parts of paths and addresses")
    return key


_SHOWN = 8  # keys; more would fill the line of a debugger


def keys_text(keys: Collection[str]) -> str:
    """Return the first of the keys and how many there are, for the `repr` of a graph."""
    if not keys:
        return "no nodes"
    rest = len(keys) - _SHOWN
    more = f", and {rest} more" if rest > 0 else ""
    return ", ".join(islice(keys, _SHOWN)) + more
