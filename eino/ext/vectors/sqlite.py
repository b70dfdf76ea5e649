"""A vector store in one SQLite file: vectors, keywords and documents, changed together or not at all."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, Literal

from msgspec import UNSET

from eino.components._closing import Closing
from eino.components.embedder import Embedder
from eino.components.indexer import NO_INDEXER_OPTIONS, IndexerOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS, RetrieverOptions
from eino.errors import BuildError, MissingExtraError
from eino.ext._sqlite import Database
from eino.ext.vectors._words import index_words, query_words
from eino.schema.document import Document

try:
    from eino.ext.vectors import _rows as rows
    from eino.ext.vectors._filters import Predicate
    from eino.ext.vectors._requests import (
        DEFAULT_TOP_K,
        check_settings,
        checked_documents,
        embed_query,
        index_name,
        needed_embedder,
        predicate_of,
        vectors_of,
    )
    from eino.ext.vectors._table import Metric, Vectors, VectorTable, as_vectors, check_length
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f'eino.ext.vectors needs the library {error.name!r}, which is not installed; pip install "eino[vectors]"',
        name=error.name,
    ) from error

__all__ = ["Metric", "SQLiteKeywordRetriever", "SQLiteVectorStore", "Stemming"]

Stemming = Literal["none", "english"]
"""Whether the keyword index takes `running` and `runs` for `run`."""

_TOKENIZERS: Final = {"none": "unicode61 remove_diacritics 2", "english": "porter unicode61 remove_diacritics 2"}


class SQLiteVectorStore(Closing):
    """Documents, their vectors and their words in one SQLite file; an indexer and a retriever.

    The search by vector is exact: the vectors of an index lie in memory (4 bytes a dimension) from the first search on
    and are brought up to date by each one, also with what other processes wrote. `keyword_retriever()` searches the
    same documents by words. A document that has a `dense_vector` keeps it, the others are embedded. Documents without
    an id get a random one; one that is there already is replaced. `options.index` names one of any number of indexes;
    each has vectors of one length. Safe to share by tasks, threads, event loops and processes, but not after a fork.

    `async with store:` or `await store.aclose()` closes the file.

    Args:
        path: The file, made if it is not there; `":memory:"` for a database that ends with the store.
        embedder: Turns documents and queries into vectors, unless a call brings its own; None: documents without a
            vector of their own are kept, but only keywords find them.
        top_k: Documents that `retrieve` returns at most; None sets no limit.
        score_threshold: Least score of a document that is returned.
        metric: How alike two vectors are; more is always more alike.
        keywords: Whether to index words too.
        stemming: Whether words are reduced to their stems; decided when the file is made.
        batch_size: Documents that are embedded with one call of the embedder, and stored in one transaction.

    Raises:
        BuildError: If a setting cannot work.
        MissingExtraError: When the module is imported, if numpy is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        embedder: Embedder | None = None,
        *,
        top_k: int | None = DEFAULT_TOP_K,
        score_threshold: float | None = None,
        metric: Metric = "cosine",
        keywords: bool = True,
        stemming: Stemming = "none",
        batch_size: int = 256,
    ) -> None:
        check_settings(metric, batch_size)
        if stemming not in _TOKENIZERS:
            raise BuildError(f"unknown stemming {stemming!r}; use one of {', '.join(_TOKENIZERS)}")
        self._database = Database(
            path,
            application_id=rows.APPLICATION_ID,
            version=rows.VERSION,
            tables=partial(rows.make_tables, tokenizer=_TOKENIZERS[stemming]),
        )
        self._options = RetrieverOptions(
            top_k=top_k,
            score_threshold=UNSET if score_threshold is None else score_threshold,
            embedder=UNSET if embedder is None else embedder,
        )
        self._embedder = embedder
        self._metric: Metric = metric
        self._keywords = keywords
        self._batch_size = batch_size
        self._tables: dict[int, tuple[int, VectorTable[int]]] = {}  # index number: change it stands at, vectors
        self._tables_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"SQLiteVectorStore({self._database.path!r}, metric={self._metric!r})"

    async def aclose(self) -> None:
        """Close the file and free the vectors in memory. Safe to call again; a later call of the store reopens it."""
        await self._database.aclose()
        with self._tables_lock:
            self._tables.clear()

    async def store(self, documents: Sequence[Document], options: IndexerOptions = NO_INDEXER_OPTIONS) -> list[str]:
        """Store documents, batch by batch, and return their ids in the same order.

        Raises:
            InvalidRequestError: If a document cannot be stored, or its vector has the wrong length.
            OverloadedError: If another process kept the file to itself for too long.
            ComponentError: If the file cannot be used; what the embedder raises. Earlier batches stay stored.
        """
        wanted = IndexerOptions(embedder=self._embedder).merge(options).wanted()
        name = index_name(wanted)
        checked = checked_documents(documents, wanted.get("sub_indexes", ()))
        for start in range(0, len(checked), self._batch_size):
            batch = checked[start : start + self._batch_size]
            vectors = await vectors_of(batch, wanted.get("embedder"))
            await self._database.write(partial(_write, name, batch, vectors, self._keywords))
        return [document.id for document in checked]

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return the documents whose vectors are most like that of `query`, best first.

        `options.dsl` filters by metadata, as the documentation on vector stores says.

        Raises:
            InvalidRequestError: If there is no embedder, a filter is none, or the query's vector has the wrong length.
            ComponentError: If the file cannot be used; what the embedder raises.
        """
        merged = self._options.merge(options)
        wanted = merged.wanted()
        predicate, embedder, name = predicate_of(merged), needed_embedder(wanted), index_name(wanted)
        if not await self._database.read(partial(_has_vectors, name)):
            return []
        vector = await embed_query(query, embedder)
        return await self._database.read(partial(self._nearest, name, vector, predicate, wanted))

    def keyword_retriever(
        self, *, top_k: int | None = DEFAULT_TOP_K, score_threshold: float | None = None
    ) -> SQLiteKeywordRetriever:
        """Return a retriever that finds the same documents by words.

        Args:
            top_k: Documents that it returns at most; None sets no limit.
            score_threshold: Least score, on the scale of BM25: above 0, without an upper end.

        Raises:
            BuildError: If this store keeps no keywords.
        """
        if not self._keywords:
            raise BuildError("this store keeps no words to search by; make it with keywords=True")
        threshold = UNSET if score_threshold is None else score_threshold
        return SQLiteKeywordRetriever(self._database, RetrieverOptions(top_k=top_k, score_threshold=threshold))

    async def get(self, ids: Sequence[str], *, index: str = "") -> list[Document]:
        """Return the documents with these ids that are there, in the order of the ids."""

        def work(connection: sqlite3.Connection) -> list[Document]:
            found = rows.find_index(connection, index)
            return [] if found is None else rows.documents_of(connection, rows.rows_of(connection, found, ids))

        return await self._database.read(work)

    async def delete(self, ids: Sequence[str], *, index: str = "") -> int:
        """Remove documents; return how many were there."""

        def work(connection: sqlite3.Connection) -> int:
            found = rows.find_index(connection, index)
            return 0 if found is None else rows.delete_ids(connection, rows.make_index(connection, index), ids)

        return await self._database.write(work)

    async def delete_index(self, index: str = "") -> None:
        """Remove an index with all its documents, so that it can take vectors of another length."""
        await self._database.write(partial(rows.delete_index, name=index))

    async def count(self, *, index: str = "") -> int:
        """Return how many documents an index has."""
        return await self._database.read(partial(rows.count_documents, name=index))

    def _nearest(
        self,
        name: str,
        vector: Vectors,
        predicate: Predicate | None,
        wanted: dict[str, Any],
        connection: sqlite3.Connection,
    ) -> list[Document]:
        index = rows.find_index(connection, name)
        if index is None or index.dimensions is None:
            return []
        check_length(len(vector), index.dimensions, "the vector of the query", f"index {name!r}")
        with self._tables_lock:
            known, table = self._tables.get(index.number, (-1, None))
            table = rows.refresh(connection, index, table, known)
            self._tables[index.number] = index.change, table
            found = table.search(
                vector,
                self._metric,
                top_k=wanted.get("top_k"),
                score_threshold=wanted.get("score_threshold"),
                accept=None if predicate is None else partial(_accepted, connection, predicate),
            )
        return _scored(connection, found)


class SQLiteKeywordRetriever:
    """Finds documents of an `SQLiteVectorStore` by their words, ranked by BM25; its `keyword_retriever()` makes one.

    A document is found if it has any of the query's words, in any case and with or without accents. Chinese, Japanese
    and Korean are found by pairs of characters. How rare a word is counts over all indexes of the file. Works until
    the store is closed.
    """

    def __init__(self, database: Database, options: RetrieverOptions) -> None:
        self._database = database
        self._options = options

    def __repr__(self) -> str:
        return f"SQLiteKeywordRetriever({self._database.path!r})"

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return the documents that have words of `query`, best first; none for a query without words.

        Raises:
            InvalidRequestError: If a filter is none.
            ComponentError: If the file cannot be used.
        """
        merged = self._options.merge(options)
        wanted = merged.wanted()
        predicate, name, words = predicate_of(merged), index_name(wanted), query_words(query)
        if not words:
            return []

        def work(connection: sqlite3.Connection) -> list[Document]:
            index = rows.find_index(connection, name)
            if index is None:
                return []
            matches = rows.matches_of(connection, index, words)
            return _scored(connection, list(_taken(connection, matches, predicate, wanted)))

        return await self._database.read(work)


def _write(
    name: str,
    batch: Sequence[Document],
    vectors: Sequence[Sequence[float] | None],
    keywords: bool,
    connection: sqlite3.Connection,
) -> None:
    made = iter(())
    given = [vector for vector in vectors if vector is not None]
    if given:
        made = iter(as_vectors(given, "the documents to store"))
    placed = [None if vector is None else next(made) for vector in vectors]
    words = [index_words(document.content) if keywords else None for document in batch]
    rows.write_documents(connection, rows.make_index(connection, name), batch, placed, words)


def _has_vectors(name: str, connection: sqlite3.Connection) -> bool:
    index = rows.find_index(connection, name)
    return index is not None and index.dimensions is not None


def _accepted(connection: sqlite3.Connection, predicate: Predicate, keys: list[int]) -> list[bool]:
    metadata = rows.metadata_of(connection, keys)
    return [predicate(metadata[key]) for key in keys]


def _taken(
    connection: sqlite3.Connection,
    matches: Iterable[tuple[int, float]],
    predicate: Predicate | None,
    wanted: dict[str, Any],
) -> Iterable[tuple[int, float]]:
    """Yield the matches that the options allow."""
    left: int | None = wanted.get("top_k")
    least = wanted.get("score_threshold")
    for row, score in matches:
        if left == 0 or (least is not None and score < least):
            return
        if predicate is None or predicate(rows.metadata_of(connection, [row])[row]):
            left = None if left is None else left - 1
            yield row, score


def _scored(connection: sqlite3.Connection, found: Sequence[tuple[int, float]]) -> list[Document]:
    documents = rows.documents_of(connection, [row for row, _ in found])
    return [document.with_score(score) for document, (_, score) in zip(documents, found, strict=True)]
