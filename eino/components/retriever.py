"""Retrievers: what finds documents for a query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

import msgspec
from msgspec import UNSET, UnsetType

from eino.components._extra_options import ExtraOptions
from eino.components.embedder import Embedder
from eino.schema.document import Document

__all__ = ["NO_RETRIEVER_OPTIONS", "Retriever", "RetrieverOptions"]


class RetrieverOptions(ExtraOptions, frozen=True, kw_only=True):
    """Options of one call of a retriever; see `Options` for the order in which levels are merged."""

    index: str | UnsetType | None = UNSET
    """Name of the index to search in."""
    sub_index: str | UnsetType | None = UNSET
    """Name of the part of the index to search in."""
    top_k: int | UnsetType | None = UNSET
    """Most documents to return, at least 1; None sets no limit."""
    score_threshold: float | UnsetType | None = UNSET
    """Least score of a document that is returned, on the retriever's own scale; None takes all."""
    embedder: Embedder | UnsetType | None = UNSET
    """What turns the query into a vector."""
    dsl: Mapping[str, Any] | UnsetType | None = UNSET
    """A filter in the store's own query language; replaces the level below as a whole."""

    def __post_init__(self) -> None:
        ExtraOptions.__post_init__(self)
        if isinstance(self.dsl, Mapping):
            msgspec.structs.force_setattr(self, "dsl", dict(self.dsl))
        if isinstance(self.top_k, int) and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}; leave it out for the retriever's own limit")


NO_RETRIEVER_OPTIONS: Final = RetrieverOptions()
"""Nothing given: the retriever's own settings hold."""


@runtime_checkable
class Retriever(Protocol):
    """Finds documents for a query.

    Implementations allow concurrent calls, let cancellation through, and return an empty list, not an error, when
    nothing matches.
    """

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return the documents that match `query`, best first.

        Raises:
            ComponentError: If the search fails; the class says why.
        """
        ...
