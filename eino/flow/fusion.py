"""Joining the results of several searches into one ranking. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from eino.schema.document import Document

__all__ = ["RANK_CONSTANT", "Fusion", "first_occurrences", "reciprocal_rank_fusion"]

Fusion: TypeAlias = Callable[[Sequence[Sequence[Document]]], list[Document] | Awaitable[list[Document]]]
"""Takes the results of several searches, each best first, and returns one list, best first; it may be async."""

RANK_CONSTANT: Final = 60
"""How much the first ranks count over the later ones in `reciprocal_rank_fusion`: the value of Cormack, Clarke and
Büttcher (SIGIR 2009)."""


def first_occurrences(results: Sequence[Sequence[Document]]) -> list[Document]:
    """Return the documents of all results behind each other, each id once."""
    found: dict[str, Document] = {}
    for documents in results:
        for document in documents:
            found.setdefault(document.id, document)
    return list(found.values())


def reciprocal_rank_fusion(results: Sequence[Sequence[Document]]) -> list[Document]:
    """Return the documents by the sum of `1 / (60 + rank)` over all results, the highest first; ranks start at 0.

    A single result is returned as it is. Equal sums keep the order in which the documents came.
    """
    if len(results) == 1:
        return list(results[0])
    sums: dict[str, float] = {}
    for documents in results:
        for rank, document in enumerate(documents):
            sums[document.id] = sums.get(document.id, 0.0) + 1 / (RANK_CONSTANT + rank)
    return sorted(first_occurrences(results), key=lambda document: -sums[document.id])
