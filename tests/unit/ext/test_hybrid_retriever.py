"""The hybrid retriever: fusion, failing sides, and what handlers hear."""

from __future__ import annotations

from typing import Any

import pytest

from eino import END, START, Graph, Handler, RunInfo
from eino.components import Retriever, RetrieverOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS
from eino.errors import BuildError, ComponentError, ConnectionFailedError, ControlSignal
from eino.ext.retrievers.hybrid import HybridRetriever, fuse_ranks, fuse_scores
from eino.ext.vectors.sqlite import SQLiteVectorStore
from eino.schema import Document
from eino_fixtures import FakeEmbedder, FakeRetriever


def scored(**scores: float) -> list[Document]:
    return [Document(id=name, content=name).with_score(score) for name, score in scores.items()]


def ids(documents: list[Document]) -> list[str]:
    return [document.id for document in documents]


class Broken:
    """A retriever that always fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        raise self.error


def test_ranks_are_fused_by_the_sum_of_their_reciprocals() -> None:
    found = {"a": scored(x=9, y=8), "b": scored(y=0.3, z=0.2, x=0.1)}

    assert fuse_ranks(found, {"a": 1.0, "b": 2.0}) == pytest.approx(
        {"id:x": 1 / 61 + 2 / 63, "id:y": 1 / 62 + 2 / 61, "id:z": 2 / 62}
    )


def test_scores_are_fused_on_one_scale() -> None:
    """0 to 1 for each retriever; equal ones count as 1; a retriever without a result adds nothing."""
    found = {"a": scored(x=30, y=20, z=10), "b": scored(z=0.5, w=0.5), "c": []}

    assert fuse_scores(found, {"a": 1.0, "b": 0.5, "c": 1.0}) == pytest.approx(
        {"id:x": 1.0, "id:y": 0.5, "id:z": 0.5, "id:w": 0.5}
    )


async def test_a_document_that_both_find_comes_first_and_once() -> None:
    hybrid = HybridRetriever(
        {"vector": FakeRetriever(scored(a=0.9, b=0.8, c=0.7)), "keyword": FakeRetriever(scored(c=12, d=3))}, top_k=3
    )

    found = await hybrid.retrieve("q")

    assert isinstance(hybrid, Retriever)
    assert ids(found) == ["c", "a", "b"]
    assert found[0].score == pytest.approx(1 / 63 + 1 / 61)
    assert "HybridRetriever" in repr(hybrid)


async def test_weights_and_the_fusion_decide() -> None:
    sides = {"vector": FakeRetriever(scored(a=1, b=0)), "keyword": FakeRetriever(scored(b=5, a=1))}

    assert ids(await HybridRetriever(sides, weights={"keyword": 3.0}, fusion="scores").retrieve("q")) == ["b", "a"]
    assert ids(await HybridRetriever(sides, weights={"keyword": 0.5}, fusion="scores").retrieve("q")) == ["a", "b"]
    backwards = HybridRetriever(sides, fusion=lambda found, weights: {"id:b": 2.0})
    assert ids(await backwards.retrieve("q")) == ["b"]


async def test_limits_are_for_the_joined_result_and_the_rest_is_passed_on() -> None:
    side = FakeRetriever(scored(a=0.1, b=0.1))
    hybrid = HybridRetriever({"one": side}, candidates=7)

    options = RetrieverOptions(top_k=1, score_threshold=1 / 61, dsl={"lang": "en"}, index="i")
    assert ids(await hybrid.retrieve("q", options)) == ["a"]
    assert side.calls[0].options == RetrieverOptions(top_k=7, dsl={"lang": "en"}, index="i")
    assert await hybrid.retrieve("q", RetrieverOptions(score_threshold=1.0)) == []


async def test_documents_without_an_id_are_told_apart_by_their_content() -> None:
    one, two = Document(content="same"), Document(content="other")
    hybrid = HybridRetriever({"a": FakeRetriever([one, two]), "b": FakeRetriever([two])})

    assert [document.content for document in await hybrid.retrieve("q")] == ["other", "same"]


class Heard(Handler):
    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.ended: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.runs: dict[str, int] = {}

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002
        self.runs[info.name] = info.run_id
        self.started.append((info.name, info.parent_id))

    def on_end(self, info: RunInfo, output: Any) -> None:
        self.ended.append(info.name)

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self.failed.append((info.name, str(error)))


async def test_one_side_may_fail_and_handlers_hear_of_it() -> None:
    """Each side counts as a child of the hybrid retriever's node."""
    heard = Heard()
    hybrid = HybridRetriever(
        {"vector": Broken(ConnectionFailedError("no vector store")), "keyword": FakeRetriever(scored(a=1))}
    )
    graph = Graph[str, list[Document]]()
    graph.add_retriever_node("search", hybrid)
    graph.add_edge(START, "search")
    graph.add_edge("search", END)

    found = await graph.compile(name="rag").invoke("q", callbacks=[heard])

    assert ids(found) == ["a"]
    assert heard.failed == [("vector", "no vector store")]
    assert {name: parent for name, parent in heard.started if name in ("vector", "keyword")} == {
        "vector": heard.runs["search"],
        "keyword": heard.runs["search"],
    }
    assert sorted(heard.ended) == ["keyword", "rag", "search"]


async def test_all_sides_failing_is_an_error() -> None:
    with pytest.raises(ConnectionFailedError, match="first"):
        await HybridRetriever(
            {"a": Broken(ConnectionFailedError("first")), "b": Broken(ValueError("second"))}
        ).retrieve("q")
    with pytest.raises(ComponentError, match="all retrievers failed: odd") as failure:
        await HybridRetriever({"a": Broken(ValueError("odd"))}).retrieve("q")
    assert repr(failure.value.__cause__) == "ValueError('odd')"


async def test_an_error_is_not_its_own_cause() -> None:
    """Who follows the causes, as a retry policy does, would never end."""
    cause = OSError("no route")
    down = ConnectionFailedError("down")
    down.__cause__ = cause

    with pytest.raises(ConnectionFailedError) as failure:
        await HybridRetriever({"a": Broken(down)}).retrieve("q")

    assert failure.value.__cause__ is cause


async def test_failures_may_be_raised_and_control_signals_always_are() -> None:
    fine = FakeRetriever(scored(a=1))
    with pytest.raises(ConnectionFailedError):
        await HybridRetriever({"a": fine, "b": Broken(ConnectionFailedError("x"))}, on_error="raise").retrieve("q")
    with pytest.raises(ComponentError, match="retriever 'b' failed: odd") as failure:
        await HybridRetriever({"a": fine, "b": Broken(ValueError("odd"))}, on_error="raise").retrieve("q")
    assert repr(failure.value.__cause__) == "ValueError('odd')"
    with pytest.raises(ControlSignal):
        await HybridRetriever({"a": fine, "b": Broken(ControlSignal())}).retrieve("q")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"weights": {"c": 1.0}}, "weights= names 'c', which is none of a"),
        ({"weights": {"a": -1.0}}, "the weight of 'a' must be 0 or more"),
        ({"fusion": "best"}, "unknown fusion 'best'"),
        ({"on_error": "ignore"}, "on_error must be"),
    ],
    ids=repr,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(BuildError, match=text):
        HybridRetriever({"a": FakeRetriever()}, **settings)
    with pytest.raises(BuildError, match="at least one retriever"):
        HybridRetriever({})


async def test_meaning_and_words_of_one_file() -> None:
    async with SQLiteVectorStore(":memory:", FakeEmbedder(dim=64)) as store:
        await store.store([Document(id="cat", content="the cat sleeps"), Document(id="dog", content="a dog barks")])
        hybrid = HybridRetriever({"vector": store, "keyword": store.keyword_retriever()})

        assert ids(await hybrid.retrieve("sleeps"))[0] == "cat"
