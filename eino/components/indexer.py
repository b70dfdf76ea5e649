"""Indexers: what stores documents so that a retriever finds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec
from msgspec import UNSET, UnsetType

from eino.components._extra_options import ExtraOptions
from eino.components.embedder import Embedder
from eino.schema.document import Document

__all__ = ["NO_INDEXER_OPTIONS", "Indexer", "IndexerOptions"]


class IndexerOptions(ExtraOptions, frozen=True, kw_only=True):
    """Options of one call of an indexer; see `Options` for the order in which levels are merged."""

    index: str | UnsetType | None = UNSET
    """Name of the index to store in."""
    sub_indexes: Sequence[str] | UnsetType | None = UNSET
    """Names of the parts of the index that the documents belong to; kept as a tuple."""
    embedder: Embedder | UnsetType | None = UNSET
    """What turns the documents into vectors; None stores them without."""

    def __post_init__(self) -> None:
        ExtraOptions.__post_init__(self)
        if isinstance(self.sub_indexes, str):
            raise TypeError(f"sub_indexes must be a sequence of names, got the single text {self.sub_indexes!r}")
        if isinstance(self.sub_indexes, Sequence):
            msgspec.structs.force_setattr(self, "sub_indexes", tuple(self.sub_indexes))


NO_INDEXER_OPTIONS: Final = IndexerOptions()
"""Nothing given: the indexer's own settings hold."""


@runtime_checkable
class Indexer(Protocol):
    """Stores documents.

    Implementations allow concurrent calls and let cancellation through. A document with an id that is there already
    replaces the old one.
    """

    async def store(self, documents: list[Document], options: IndexerOptions = NO_INDEXER_OPTIONS) -> list[str]:
        """Store `documents` and return their ids, in the same order.

        Raises:
            ComponentError: If they cannot be stored; the class says why. Some of them may have been.
        """
        ...
