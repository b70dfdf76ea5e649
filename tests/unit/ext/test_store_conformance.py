"""The stores and the hybrid retriever keep the contracts of `Indexer` and `Retriever`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from eino.components import RetrieverOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS
from eino.errors import ConnectionFailedError
from eino.ext.retrievers.hybrid import HybridRetriever
from eino.ext.vectors.memory import MemoryVectorStore
from eino.ext.vectors.sqlite import SQLiteVectorStore
from eino.schema import Document
from eino_fixtures import FakeEmbedder
from eino_harness.conformance.indexer import IndexerConformance
from eino_harness.conformance.retriever import RetrieverConformance

DOCUMENTS = [
    Document(id="1", content="the red fox"),
    Document(id="2", content="a fox in the wood"),
    Document(id="3", content="fox and hound and hare"),
    Document(id="4", content="deep blue sea"),
]
NOWHERE = Path("/nowhere/at/all/store.db")
NEAREST = {"unmatched": "a search by vector has a nearest document for every query"}


class Unreachable:
    """A retriever without its store."""

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        raise ConnectionFailedError("no store")


@asynccontextmanager
async def sqlite(*, keywords: bool = False, hybrid: bool = False) -> AsyncIterator[Any]:
    async with SQLiteVectorStore(":memory:", FakeEmbedder(dim=64), top_k=None) as store:
        await store.store(DOCUMENTS)
        words = store.keyword_retriever(top_k=None)
        if hybrid:
            yield HybridRetriever({"vector": store, "keyword": words}, top_k=None)
        else:
            yield words if keywords else store


class TestMemoryRetriever(RetrieverConformance):
    without: ClassVar[dict[str, str]] = NEAREST | {"errors": "memory is always there"}

    async def make(self) -> Any:
        store = MemoryVectorStore(FakeEmbedder(dim=64), top_k=None)
        await store.store(DOCUMENTS)
        return store


class TestSQLiteRetriever(RetrieverConformance):
    without: ClassVar[dict[str, str]] = NEAREST

    def make(self) -> Any:
        return sqlite()

    def make_failing(self) -> Any:
        return SQLiteVectorStore(NOWHERE, FakeEmbedder())


class TestKeywordRetriever(RetrieverConformance):
    def make(self) -> Any:
        return sqlite(keywords=True)

    def make_failing(self) -> Any:
        return SQLiteVectorStore(NOWHERE).keyword_retriever()


class TestHybridRetriever(RetrieverConformance):
    without: ClassVar[dict[str, str]] = NEAREST

    def make(self) -> Any:
        return sqlite(hybrid=True)

    def make_failing(self) -> Any:
        return HybridRetriever({"a": Unreachable(), "b": Unreachable()})


class StoreConformance(IndexerConformance):
    async def contents(self, indexer: Any) -> dict[str, str]:
        found = await indexer.retrieve("anything")
        return {document.id: document.content for document in found}


class TestMemoryIndexer(StoreConformance):
    without: ClassVar[dict[str, str]] = {"errors": "memory is always there"}

    def make(self) -> Any:
        return MemoryVectorStore(FakeEmbedder(), top_k=None)


class TestSQLiteIndexer(StoreConformance):
    def make(self) -> Any:
        return SQLiteVectorStore(":memory:", FakeEmbedder(), top_k=None)

    def make_failing(self) -> Any:
        return SQLiteVectorStore(NOWHERE, FakeEmbedder())
