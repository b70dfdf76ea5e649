"""The embedders, the cache for embeddings and the retrievers made of others pass the suites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from eino.errors import ServerError
from eino.ext.documents.splitters import RecursiveSplitter
from eino.ext.embeddings.cached import CachedEmbedder
from eino.ext.embeddings.ollama import OllamaEmbedder
from eino.ext.embeddings.openai import OpenAIEmbedder
from eino.ext.retrievers.hybrid import HybridRetriever
from eino.ext.vectors.memory import MemoryVectorStore
from eino.ext.vectors.sqlite import SQLiteVectorStore
from eino.flow import MultiQueryRetriever, ParentIndexer, ParentRetriever, RouterRetriever
from eino.schema import Document
from eino_fixtures import Embeddings, ErrorAnswer, FakeEmbedder, FakeIndexer, FakeRetriever, ProviderServer
from eino_harness.conformance import EmbedderConformance, IndexerConformance, RetrieverConformance

FOXES = [Document(id=str(place), content=f"fox {'and hound ' * place}") for place in range(5)]


def vectors(request: Any) -> Embeddings:
    return Embeddings()


def refusing(request: Any) -> ErrorAnswer:
    return ErrorAnswer(401, "the key is wrong")


RANKED = [each.with_score(1.0 - place / 10) for place, each in enumerate(FOXES)]


@asynccontextmanager
async def openai(answer: Any = vectors) -> AsyncIterator[OpenAIEmbedder]:
    with ProviderServer(answer) as server:
        async with OpenAIEmbedder(model="e", api_key="k", base_url=server.openai_url) as embedder:
            yield embedder


@asynccontextmanager
async def ollama(answer: Any = vectors) -> AsyncIterator[OllamaEmbedder]:
    with ProviderServer(answer) as server:
        async with OllamaEmbedder(model="e", base_url=server.ollama_url) as embedder:
            yield embedder


@asynccontextmanager
async def cached(answer: Any = vectors) -> AsyncIterator[CachedEmbedder]:
    async with openai(answer) as embedder:
        yield CachedEmbedder(embedder)


class Down:
    """A retriever and indexer whose store is down."""

    async def retrieve(self, query: str, options: Any = None) -> list[Document]:
        raise ServerError("no capacity")

    async def store(self, documents: list[Document], options: Any = None) -> list[str]:
        raise ServerError("no capacity")


class TestOpenAIEmbedder(EmbedderConformance):
    def make(self) -> Any:
        return openai()

    def make_failing(self) -> Any:
        return openai(refusing)


class TestOllamaEmbedder(EmbedderConformance):
    def make(self) -> Any:
        return ollama()

    def make_failing(self) -> Any:
        return ollama(refusing)


class TestCachedEmbedder(EmbedderConformance):
    def make(self) -> Any:
        return cached()

    def make_failing(self) -> Any:
        return cached(refusing)


class TestHybridRetriever(RetrieverConformance):
    without = {"unmatched": "its half that searches by vector finds the nearest documents"}  # noqa: RUF012

    @asynccontextmanager
    async def make(self) -> AsyncIterator[Any]:
        async with SQLiteVectorStore(":memory:", FakeEmbedder()) as store:
            await store.store(FOXES)
            yield HybridRetriever({"vectors": store, "keywords": store.keyword_retriever()})

    def make_failing(self) -> Any:
        return HybridRetriever({"vectors": Down(), "keywords": Down()})


class TestMultiQueryRetriever(RetrieverConformance):
    def make(self) -> Any:
        return MultiQueryRetriever(FakeRetriever({"fox": RANKED}), rewrite=lambda query: [query, f"{query}es"])

    def make_failing(self) -> Any:
        return MultiQueryRetriever(Down(), rewrite=lambda query: [query])


class TestRouterRetriever(RetrieverConformance):
    def make(self) -> Any:
        return RouterRetriever({name: FakeRetriever({"fox": RANKED}) for name in ("here", "there")})

    def make_failing(self) -> Any:
        return RouterRetriever({"here": FakeRetriever({"fox": RANKED}), "there": Down()})


PIECES = [
    each.replace(id=f"{each.id}_{half}").with_metadata(parent_id=each.id) for each in RANKED for half in ("1", "2")
]
"""Two pieces of each document, beside each other in rank: fewer documents than pieces are found."""


def whole(parents: list[str]) -> list[Document]:
    return [each for each in reversed(FOXES) if each.id in parents]


class TestParentRetriever(RetrieverConformance):
    def make(self) -> Any:
        return ParentRetriever(FakeRetriever({"fox": PIECES}), get_parents=whole)

    def make_failing(self) -> Any:
        return ParentRetriever(Down(), get_parents=whole)


def own_id_of_one(parent_id: str, count: int) -> list[str]:
    """Return the document's id for a document in one piece: the suite looks for the ids that it stores."""
    return [parent_id] if count == 1 else [f"{parent_id}/{place}" for place in range(count)]


def parent_indexer(store: Any) -> ParentIndexer:
    return ParentIndexer(store, splitter=RecursiveSplitter(), make_sub_ids=own_id_of_one)


class TestParentIndexer(IndexerConformance):
    def make(self) -> Any:
        self.store = MemoryVectorStore(FakeEmbedder())
        return parent_indexer(self.store)

    def make_failing(self) -> Any:
        return parent_indexer(Down())

    async def contents(self, indexer: Any) -> dict[str, str]:
        return {each.id: each.content for each in await self.store.get(["a", "b", *map(str, range(8))])}


class TestFakeIndexer(IndexerConformance):
    without = {"errors": "the fake never fails"}  # noqa: RUF012

    def make(self) -> Any:
        return FakeIndexer()

    async def contents(self, indexer: Any) -> dict[str, str]:
        return {name: document.content for name, document in indexer.documents.items()}
