"""The vector stores pass the suites for indexers and for retrievers."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from eino.components import EmbedderOptions
from eino.errors import ServerError
from eino.ext.vectors.memory import MemoryVectorStore
from eino.ext.vectors.sqlite import SQLiteVectorStore
from eino.schema import Document
from eino_fixtures import FakeEmbedder
from eino_harness.conformance import IndexerConformance, RetrieverConformance

IDS = ["a", "b", *map(str, range(8))]
"""The ids that the suite for indexers stores."""
FOXES = [Document(id=str(place), content=f"fox {'and hound ' * place}") for place in range(5)]
EMBEDDED = [each.with_dense_vector([1.0, 2.0]) for each in FOXES]
"""The same with vectors, so that only a query needs an embedder."""
NEAREST = {"unmatched": "a search by vector finds the nearest documents, however far they are"}


class Down:
    """An embedder whose service is down."""

    async def embed(self, texts: list[str], options: EmbedderOptions | None = None) -> list[list[float]]:
        raise ServerError("no capacity")


async def stored(store: Any) -> dict[str, str]:
    return {each.id: each.content for each in await store.get(IDS)}


async def memory_with_foxes(embedder: Any = None) -> MemoryVectorStore:
    store = MemoryVectorStore(embedder or FakeEmbedder())
    await store.store(FOXES if embedder is None else EMBEDDED)
    return store


@asynccontextmanager
async def sqlite(embedder: Any = None, documents: list[Document] | None = None) -> AsyncIterator[SQLiteVectorStore]:
    with tempfile.TemporaryDirectory() as folder:
        async with SQLiteVectorStore(Path(folder) / "vectors.db", embedder or FakeEmbedder()) as store:
            if documents:
                await store.store(documents)
            yield store


class TestMemoryIndexer(IndexerConformance):
    def make(self) -> Any:
        return MemoryVectorStore(FakeEmbedder())

    def make_failing(self) -> Any:
        return MemoryVectorStore(Down())

    async def contents(self, indexer: Any) -> dict[str, str]:
        return await stored(indexer)


class TestSQLiteIndexer(IndexerConformance):
    def make(self) -> Any:
        return sqlite()

    def make_failing(self) -> Any:
        return sqlite(Down())

    async def contents(self, indexer: Any) -> dict[str, str]:
        return await stored(indexer)


class TestMemoryRetriever(RetrieverConformance):
    without = NEAREST

    def make(self) -> Any:
        return memory_with_foxes()

    def make_failing(self) -> Any:
        return memory_with_foxes(Down())


class TestSQLiteRetriever(RetrieverConformance):
    without = NEAREST

    def make(self) -> Any:
        return sqlite(documents=FOXES)

    def make_failing(self) -> Any:
        return sqlite(Down(), EMBEDDED)


class TestSQLiteKeywordRetriever(RetrieverConformance):
    def make_failing(self) -> Any:
        return SQLiteVectorStore(Path("/nowhere/at/all/store.db")).keyword_retriever()

    @asynccontextmanager
    async def make(self) -> AsyncIterator[Any]:
        async with sqlite(documents=FOXES) as store:
            yield store.keyword_retriever()
