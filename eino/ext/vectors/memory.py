"""A vector store in memory: an indexer and a retriever for tests, notebooks and collections that fit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from msgspec import UNSET

from eino._tasks.threads import in_thread
from eino.components.embedder import Embedder
from eino.components.indexer import NO_INDEXER_OPTIONS, IndexerOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS, RetrieverOptions
from eino.errors import MissingExtraError
from eino.schema.document import Document

try:
    from eino.ext.vectors._requests import (
        DEFAULT_TOP_K,
        check_settings,
        checked_documents,
        embed_query,
        index_name,
        needed_embedder,
        predicate_of,
        vectors_of,
        without_vector,
    )
    from eino.ext.vectors._table import Metric, Vectors, VectorTable, as_vectors, check_length
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f'eino.ext.vectors needs the library {error.name!r}, which is not installed; pip install "eino[vectors]"',
        name=error.name,
    ) from error

__all__ = ["MemoryVectorStore", "Metric"]

T = TypeVar("T")

THREAD_FROM_VALUES: Final = 1_000_000
"""Numbers in an index from which a search runs in a worker thread: below that it takes less than a millisecond."""


class _Index:
    """The documents of one index and the vectors of those that have one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.documents: dict[str, Document] = {}
        self.table: VectorTable[str] | None = None

    @property
    def values(self) -> int:
        return 0 if self.table is None else len(self.table) * self.table.dimensions


class MemoryVectorStore:
    """Documents and their vectors in memory; `store` and `retrieve` make it an indexer and a retriever.

    The search is exact. A document that has a `dense_vector` keeps it, the others are embedded. Documents without an
    id get a random one; one that is there already is replaced. `options.index` names one of any number of indexes that
    know nothing of each other. Scores are in `document.score`. Safe to share by tasks, threads and event loops.

    Args:
        embedder: Turns documents and queries into vectors, unless a call brings its own; None: documents without a
            vector of their own are kept, but a query by vector does not find them.
        top_k: Documents that `retrieve` returns at most; None sets no limit.
        score_threshold: Least score of a document that is returned.
        metric: How alike two vectors are; more is always more alike.
        batch_size: Documents that are embedded with one call of the embedder, and stored together.

    Raises:
        BuildError: If a setting cannot work.
        MissingExtraError: When the module is imported, if numpy is not installed.
    """

    def __init__(
        self,
        embedder: Embedder | None = None,
        *,
        top_k: int | None = DEFAULT_TOP_K,
        score_threshold: float | None = None,
        metric: Metric = "cosine",
        batch_size: int = 256,
    ) -> None:
        check_settings(metric, batch_size)
        self._options = RetrieverOptions(
            top_k=top_k,
            score_threshold=UNSET if score_threshold is None else score_threshold,
            embedder=UNSET if embedder is None else embedder,
        )
        self._embedder = embedder
        self._metric: Metric = metric
        self._batch_size = batch_size
        self._indexes: dict[str, _Index] = {}

    def __repr__(self) -> str:
        sizes = {name: len(index.documents) for name, index in self._indexes.items()}
        return f"MemoryVectorStore(metric={self._metric!r}, documents={sizes!r})"

    async def store(self, documents: Sequence[Document], options: IndexerOptions = NO_INDEXER_OPTIONS) -> list[str]:
        """Store documents, batch by batch, and return their ids in the same order.

        Raises:
            InvalidRequestError: If a document cannot be stored, or its vector has the wrong length.
            ComponentError: What the embedder raises. Earlier batches stay stored.
        """
        merged = IndexerOptions(embedder=self._embedder).merge(options)
        wanted = merged.wanted()
        index = self._indexes.setdefault(index_name(wanted), _Index())
        checked = checked_documents(documents, wanted.get("sub_indexes", ()))
        for start in range(0, len(checked), self._batch_size):
            batch = checked[start : start + self._batch_size]
            vectors = await vectors_of(batch, wanted.get("embedder"))
            await self._locked(index, partial(_write, index, batch, vectors, wanted.get("index", "")))
        return [document.id for document in checked]

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return the documents most like `query`, best first.

        `options.dsl` filters by metadata, as the documentation on vector stores says.

        Raises:
            InvalidRequestError: If there is no embedder, a filter is none, or the query's vector has the wrong length.
            ComponentError: What the embedder raises.
        """
        merged = self._options.merge(options)
        wanted = merged.wanted()
        predicate, embedder = predicate_of(merged), needed_embedder(wanted)
        index = self._indexes.get(index_name(wanted))
        if index is None or index.table is None:
            return []
        vector = await embed_query(query, embedder)
        check_length(len(vector), index.table.dimensions, "the query", f"index {wanted.get('index', '')!r}")

        def search() -> list[Document]:
            if index.table is None:
                return []

            def accept(ids: list[str]) -> list[bool]:
                return [predicate is None or predicate(index.documents[each].metadata) for each in ids]

            found = index.table.search(
                vector,
                self._metric,
                top_k=wanted.get("top_k"),
                score_threshold=wanted.get("score_threshold"),
                accept=None if predicate is None else accept,
            )
            return [index.documents[each].with_score(score) for each, score in found]

        return await self._locked(index, search)

    async def get(self, ids: Sequence[str], *, index: str = "") -> list[Document]:
        """Return the documents with these ids that are there, in the order of the ids."""
        found = self._indexes.get(index)
        return [] if found is None else [found.documents[each] for each in ids if each in found.documents]

    async def delete(self, ids: Sequence[str], *, index: str = "") -> int:
        """Remove documents; return how many were there."""
        found = self._indexes.get(index)
        return 0 if found is None else await self._locked(found, partial(_delete, found, ids))

    async def delete_index(self, index: str = "") -> None:
        """Remove an index with all its documents, so that it can take vectors of another length."""
        self._indexes.pop(index, None)

    async def count(self, *, index: str = "") -> int:
        """Return how many documents an index has."""
        found = self._indexes.get(index)
        return 0 if found is None else len(found.documents)

    async def _locked(self, index: _Index, work: Callable[[], T]) -> T:
        """Do work that needs the index for itself; in a thread where it, or whoever holds the lock, may take long."""
        if index.values >= THREAD_FROM_VALUES:
            return await in_thread(_under, index.lock, work)
        return _under(index.lock, work)


def _under(lock: threading.Lock, work: Callable[[], T]) -> T:
    with lock:
        return work()


def _write(index: _Index, batch: Sequence[Document], vectors: Sequence[Sequence[float] | None], name: str) -> None:
    rows: Vectors | None = None
    placed = {document.id: vector for document, vector in zip(batch, vectors, strict=True)}  # the last of one id counts
    keys = [each for each, vector in placed.items() if vector is not None]
    if keys:
        rows = as_vectors([vector for vector in placed.values() if vector is not None], "the documents to store")
        if index.table is None or not len(index.table):
            index.table = VectorTable(rows.shape[1])
        check_length(rows.shape[1], index.table.dimensions, "the vector of a document", f"index {name!r}")
        index.table.upsert(keys, rows)
    if index.table is not None:
        index.table.delete([each for each, vector in placed.items() if vector is None])
    for document in batch:
        index.documents[document.id] = without_vector(document)


def _delete(index: _Index, ids: Sequence[str]) -> int:
    gone = {each for each in ids if each in index.documents}
    if index.table is not None:
        index.table.delete(list(gone))
    for each in gone:
        del index.documents[each]
    return len(gone)
