"""The embedders, the cache for embeddings and the retrievers made of others pass the suites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from eino.errors import ServerError
from eino.ext.embeddings.cached import CachedEmbedder
from eino.ext.embeddings.ollama import OllamaEmbedder
from eino.ext.embeddings.openai import OpenAIEmbedder
from eino.ext.retrievers.hybrid import HybridRetriever
from eino.ext.vectors.sqlite import SQLiteVectorStore
from eino.flow import MultiQueryRetriever, RouterRetriever
from eino.schema import Document
from eino_fixtures import Embeddings, ErrorAnswer, FakeEmbedder, FakeIndexer, FakeRetriever, ProviderServer
from eino_harness.conformance import EmbedderConformance, IndexerConformance, RetrieverConformance

FOXES = [Document(id=str(place), content=f"fox {'and hound ' * place}") for place in range(5)]


def vectors(request: Any) -> Embeddings:
    return Embeddings()


def refusing(request: Any) -> ErrorAnswer:
    return ErrorAnswer(401, "the key is wrong")


RANKED = [each.with_score(1.0 - place / 10) for place, each in enumerate(FOXES)]
AS_A_GRAPH = {"errors": "it is a graph, so a search that fails is a RunError with the path of the step"}


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
    """A retriever whose store is down."""

    async def retrieve(self, query: str, options: Any = None) -> list[Document]:
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
    without = AS_A_GRAPH

    def make(self) -> Any:
        return MultiQueryRetriever(FakeRetriever({"fox": RANKED}), rewrite=lambda query: [query, f"{query}es"])


class TestRouterRetriever(RetrieverConformance):
    without = AS_A_GRAPH

    def make(self) -> Any:
        return RouterRetriever({name: FakeRetriever({"fox": RANKED}) for name in ("here", "there")})


class TestFakeIndexer(IndexerConformance):
    without = {"errors": "the fake never fails"}  # noqa: RUF012

    def make(self) -> Any:
        return FakeIndexer()

    async def contents(self, indexer: Any) -> dict[str, str]:
        return {name: document.content for name, document in indexer.documents.items()}
