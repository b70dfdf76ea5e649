"""Joining the results of several searches into one ranking. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeAlias

from eino.schema.document import Document

__all__ = ["RANK_CONSTANT", "Fusion", "first_occurrences", "rank_sums", "reciprocal_rank_fusion"]

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
    sums = rank_sums([(1.0, [document.id for document in documents]) for documents in results])
    return sorted(first_occurrences(results), key=lambda document: -sums[document.id])


def rank_sums(rankings: Iterable[tuple[float, Iterable[str]]], *, first_rank: int = 0) -> dict[str, float]:
    """Return the sum of `weight / (60 + rank)` for each key, over rankings with their weights, best key first.

    Eino for Go counts ranks from 0, the paper from 1 (`first_rank`); the order that follows is nearly the same.
    """
    sums: dict[str, float] = {}
    for weight, keys in rankings:
        for rank, key in enumerate(keys, start=first_rank):
            sums[key] = sums.get(key, 0.0) + weight / (RANK_CONSTANT + rank)
    return sums
