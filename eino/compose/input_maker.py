"""How the input of a node is made of what its predecessors gave, where that is more than a merge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from eino.schema.stream import StreamReader

__all__ = ["Arrived", "Bind", "InputMaker", "MergeReaders"]

Arrived: TypeAlias = Sequence[tuple[int, Any]]
"""Outputs that arrived at a node, each with the index of the node that gave it; -1 is the start."""

Bind: TypeAlias = Callable[[Callable[[Any], Any]], Callable[[Any], Any]]
"""Returns a function for the chunks of a stream whose errors belong to the graph that runs; markers pass by it."""

MergeReaders: TypeAlias = Callable[[Sequence[tuple[int, StreamReader[Any]]]], StreamReader[Any]]
"""Returns one stream of several."""


class InputMaker(Protocol):
    """Makes the input of one node. What it raises belongs to the graph."""

    makes_of_nothing: bool
    """Whether it can make an input although nothing arrived."""

    def of_values(self, arrived: Arrived) -> Any:
        """Return the input made of the outputs that arrived."""
        ...

    def of_streams(self, arrived: Arrived, bind: Bind, merge: MergeReaders) -> StreamReader[Any]:
        """Return the same as a stream; the readers that arrived are handed on to it."""
        ...
