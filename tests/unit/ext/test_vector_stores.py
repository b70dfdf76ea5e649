"""The vector stores: what both do in the same way, then what only the one in a file does."""

from __future__ import annotations

import datetime as dt
import math
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

from eino.components import Indexer, IndexerOptions, Retriever, RetrieverOptions
from eino.components.embedder import NO_EMBEDDER_OPTIONS, EmbedderOptions
from eino.errors import BuildError, ComponentError, ConnectionFailedError, InvalidRequestError, InvalidResponseError
from eino.ext.vectors.memory import THREAD_FROM_VALUES, MemoryVectorStore
from eino.ext.vectors.sqlite import SQLiteVectorStore
from eino.schema import Document
from eino_fixtures import FakeEmbedder

Store: TypeAlias = MemoryVectorStore | SQLiteVectorStore


class Plane:
    """An embedder that reads two numbers out of a text such as `3,4`."""

    async def embed(self, texts: list[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
        return [[float(number) for number in text.split(",")] for text in texts]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store over the plane."""
    if request.param == "memory":
        yield MemoryVectorStore(Plane(), top_k=None)
        return
    async with SQLiteVectorStore(tmp_path / "store.db", Plane(), top_k=None) as sqlite_store:
        yield sqlite_store


def at(place: str, identity: str = "", **metadata: object) -> Document:
    return Document(id=identity, content=place, metadata=metadata)


def ids(documents: Sequence[Document]) -> list[str]:
    return [document.id for document in documents]


async def test_a_store_is_an_indexer_and_a_retriever(store: Store) -> None:
    assert isinstance(store, Indexer)
    assert isinstance(store, Retriever)
    assert type(store).__name__ in repr(store)


async def test_the_nearest_come_first_with_their_scores(store: Store) -> None:
    """The cosine of the angle is the score; the length of a vector does not count."""
    await store.store([at("1,0", "east"), at("0,9", "north"), at("5,5", "between"), at("-1,0", "west")])

    found = await store.retrieve("2,0")

    assert ids(found) == ["east", "between", "north", "west"]
    assert [document.score for document in found] == pytest.approx([1.0, math.sqrt(0.5), 0.0, -1.0])
    assert found[0].content == "1,0"


async def test_top_k_and_the_threshold_cut_the_result(store: Store) -> None:
    await store.store([at("1,0", "east"), at("0,9", "north"), at("5,5", "between")])

    assert ids(await store.retrieve("1,0", RetrieverOptions(top_k=2))) == ["east", "between"]
    assert ids(await store.retrieve("1,0", RetrieverOptions(score_threshold=0.7))) == ["east", "between"]
    assert ids(await store.retrieve("1,0", RetrieverOptions(score_threshold=1.5))) == []


async def test_equal_scores_keep_the_order_of_storing(store: Store) -> None:
    await store.store([at("1,0", str(number)) for number in range(40)])

    assert ids(await store.retrieve("1,0")) == [str(number) for number in range(40)]
    assert ids(await store.retrieve("1,0", RetrieverOptions(top_k=3))) == ["0", "1", "2"]


async def test_storing_an_id_again_replaces_the_document(store: Store) -> None:
    await store.store([at("1,0", "a", lang="en"), at("0,1", "b")])
    await store.retrieve("1,0")

    await store.store([at("-1,0", "a", lang="de")])

    assert ids(await store.retrieve("1,0")) == ["b", "a"]
    assert await store.count() == 2
    [again] = await store.get(["a"])
    assert (again.content, again.metadata) == ("-1,0", {"lang": "de"})


async def test_of_one_id_twice_in_a_call_the_last_counts(store: Store) -> None:
    assert await store.store([at("1,0", "a"), at("0,1", "a")]) == ["a", "a"]

    assert [document.content for document in await store.retrieve("0,1")] == ["0,1"]


async def test_documents_without_an_id_get_one_of_their_own(store: Store) -> None:
    stored = await store.store([at("1,0"), at("1,0")])

    assert len(set(stored)) == 2
    assert all(stored)
    assert sorted(ids(await store.retrieve("1,0"))) == sorted(stored)


async def test_deleted_documents_are_not_found(store: Store) -> None:
    await store.store([at("1,0", "a"), at("0,1", "b"), at("1,1", "c")])
    await store.retrieve("1,0")

    assert await store.delete(["a", "unknown", "a"]) == 1

    assert ids(await store.retrieve("1,0")) == ["c", "b"]
    assert await store.get(["a", "c"]) == [at("1,1", "c")]
    assert await store.count() == 2


async def test_indexes_know_nothing_of_each_other(store: Store) -> None:
    """Each has its own documents and its own length of vectors."""
    await store.store([at("1,0", "a")], IndexerOptions(index="tenant-1"))
    await store.store([at("1,0,0", "a")], IndexerOptions(index="tenant-2"))

    found = await store.retrieve("1,0,0", RetrieverOptions(index="tenant-2"))

    assert [document.content for document in found] == ["1,0,0"]
    assert await store.retrieve("1,0") == []
    assert await store.delete(["a"], index="tenant-2") == 1
    assert await store.count(index="tenant-1") == 1
    assert await store.count(index="tenant-2") == 0
    assert await store.delete(["a"], index="unknown") == 0
    assert await store.get(["a"], index="unknown") == []
    assert await store.count(index="unknown") == 0


async def test_a_deleted_index_takes_vectors_of_another_length(store: Store) -> None:
    await store.store([at("1,0", "a")])
    await store.retrieve("1,0")

    await store.delete_index()

    assert await store.retrieve("1,0") == []
    await store.store([at("0,0,1", "b")])
    assert ids(await store.retrieve("0,0,1")) == ["b"]


async def test_an_index_without_vectors_takes_any_length_again(store: Store) -> None:
    await store.store([at("1,0", "a")])
    await store.retrieve("1,0")
    await store.delete(["a"])

    await store.store([at("0,0,1", "b")])

    assert ids(await store.retrieve("0,0,1")) == ["b"]


@pytest.mark.parametrize(
    ("dsl", "expected"),
    [
        pytest.param({"lang": "en"}, ["a", "c"], id="equal"),
        pytest.param({"lang": "en", "year": 2020}, ["a"], id="all fields"),
        pytest.param({"year": {"$gte": 2021, "$lt": 2023}}, ["b"], id="range"),
        pytest.param({"$or": [{"lang": "de"}, {"year": {"$gt": 2022}}]}, ["b", "c"], id="or"),
        pytest.param({"tags": {"$contains": "x"}}, ["a", "b"], id="contains"),
        pytest.param({}, ["a", "b", "c"], id="empty"),
        pytest.param({"lang": "fr"}, [], id="none"),
    ],
)
async def test_a_filter_looks_at_the_metadata(store: Store, dsl: dict[str, object], expected: list[str]) -> None:
    await store.store(
        [
            at("1,0", "a", lang="en", year=2020, tags=["x", "y"]),
            at("1,1", "b", lang="de", year=2022, tags=["x"]),
            at("0,1", "c", lang="en", year=2024, tags=[]),
        ]
    )

    assert ids(await store.retrieve("1,0", RetrieverOptions(dsl=dsl))) == expected


async def test_a_filter_that_lets_few_pass_still_finds_top_k(store: Store) -> None:
    """The best are looked at first, then more and more until there are enough."""
    await store.store([at(f"1,{number}", str(number), last=number >= 497) for number in range(500)])

    found = await store.retrieve("1,0", RetrieverOptions(dsl={"last": True}, top_k=2))

    assert ids(found) == ["497", "498"]


async def test_a_sub_index_is_a_part_of_an_index(store: Store) -> None:
    await store.store([at("1,0", "a"), at("0,1", "b").with_sub_indexes(["own"])], IndexerOptions(sub_indexes=["faq"]))
    await store.store([at("1,1", "c")])

    assert ids(await store.retrieve("1,0", RetrieverOptions(sub_index="faq"))) == ["a", "b"]
    assert ids(await store.retrieve("1,0", RetrieverOptions(sub_index="own"))) == ["b"]
    assert (await store.get(["b"]))[0].sub_indexes == ("own", "faq")


async def test_a_document_keeps_its_own_vector(store: Store) -> None:
    """It is not embedded again, and the vector does not come back with the metadata."""
    await store.store([Document(id="a", content="no numbers", metadata={"_dense_vector": [0.0, 1.0], "k": 1})])

    [found] = await store.retrieve("0,1")

    assert found.metadata == {"k": 1, "_score": pytest.approx(1.0)}


async def test_documents_without_a_vector_are_kept_but_not_near_to_anything(store: Store) -> None:
    await store.store([at("1,0", "a"), at("0,1", "b")])
    await store.store([at("text", "b")], IndexerOptions(embedder=None))

    assert ids(await store.retrieve("0,1")) == ["a"]
    assert [document.content for document in await store.get(["b"])] == ["text"]


async def test_a_call_may_bring_its_own_embedder(store: Store) -> None:
    embedder = FakeEmbedder(dim=16)
    await store.store([at("blue whale", "a"), at("red fox", "b")], IndexerOptions(embedder=embedder))

    assert ids(await store.retrieve("fox", RetrieverOptions(embedder=embedder, top_k=1))) == ["b"]


async def test_a_vector_without_length_is_like_nothing(store: Store) -> None:
    await store.store([at("0,0", "zero"), at("1,0", "east")])

    assert [document.score for document in await store.retrieve("1,0")] == [1.0, 0.0]
    assert [document.score for document in await store.retrieve("0,0")] == [0.0, 0.0]


async def test_nothing_to_store_is_nothing_stored(store: Store) -> None:
    assert await store.store([]) == []
    assert await store.retrieve("1,0") == []


async def test_many_batches_are_stored_and_read_at_once_by_many_tasks(store: Store) -> None:
    await store.store([at("1,0", "first")])

    async def add(number: int) -> None:
        await store.store([at(f"{number},1", str(number))])
        assert str(number) in ids(await store.retrieve(f"{number},1"))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(add, number)

    assert await store.count() == 21


@pytest.mark.parametrize(
    ("documents", "text"),
    [
        pytest.param([at("1,0"), "a text"], "item 1 of the documents to store is 'a text'", id="no document"),
        pytest.param([Document(content=None)], "valid Unicode", id="content"),  # type: ignore[arg-type]
        pytest.param([at("\ud800")], "valid Unicode", id="surrogate"),
        pytest.param([at("1,0"), at("1,0,0")], "lengths: [2, 3]", id="two lengths"),
        pytest.param([at("1,nan")], "vector 0 of the documents to store holds a value that is no number", id="nan"),
        pytest.param([at("1,0"), at("1,1e300")], "vector 1 of the documents", id="too large"),
    ],
)
async def test_what_cannot_be_stored_is_named(store: Store, documents: list[Document], text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await store.store(documents)

    assert text in str(caught.value)
    assert await store.count() == 0


async def test_vectors_of_another_length_are_refused(store: Store) -> None:
    await store.store([at("1,0", "a")])

    with pytest.raises(InvalidRequestError, match="a document has 3 dimensions, but the vectors of index '' have 2"):
        await store.store([at("1,0,0", "b")])
    with pytest.raises(InvalidRequestError, match=r"query has 1 dimensions, .* the embedder"):
        await store.retrieve("1")
    assert await store.count() == 1


async def test_earlier_batches_stay_stored_when_a_later_one_fails(tmp_path: Path) -> None:
    documents = [at("1,0", "a"), at("0,1", "b"), at("1,nan", "c"), at("1,1", "d")]
    memory = MemoryVectorStore(Plane(), batch_size=2)
    async with SQLiteVectorStore(tmp_path / "store.db", Plane(), batch_size=2) as sqlite_store:
        for store in (memory, sqlite_store):
            with pytest.raises(InvalidRequestError):
                await store.store(documents)
            assert ids(await store.get(["a", "b", "c", "d"])) == ["a", "b"]


async def test_a_query_needs_an_embedder(store: Store) -> None:
    with pytest.raises(InvalidRequestError, match="needs an embedder; give the store embedder="):
        await store.retrieve("1,0", RetrieverOptions(embedder=None))


async def test_an_index_is_named_by_a_text(store: Store) -> None:
    with pytest.raises(InvalidRequestError, match="the index is 7"):
        await store.retrieve("1,0", RetrieverOptions(index=7))  # type: ignore[arg-type]


class Forgetful:
    """An embedder that leaves out a vector."""

    async def embed(self, texts: list[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts[1:]]


async def test_an_embedder_that_miscounts_is_named(store: Store) -> None:
    await store.store([at("1,0", "a")])

    with pytest.raises(InvalidResponseError, match=r"Forgetful.* returned 1 vectors for 2 texts"):
        await store.store([at("1,0"), at("0,1")], IndexerOptions(embedder=Forgetful()))
    with pytest.raises(InvalidResponseError, match=r"Forgetful.* returned 0 vectors for 1 text"):
        await store.retrieve("1,0", RetrieverOptions(embedder=Forgetful()))


@pytest.mark.parametrize("make", [MemoryVectorStore, partial(SQLiteVectorStore, ":memory:")])
def test_settings_that_cannot_work_are_refused(make: type[MemoryVectorStore]) -> None:
    with pytest.raises(BuildError, match="unknown metric 'manhattan'; use one of cosine, dot, euclidean"):
        make(metric="manhattan")  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="batch_size must be at least 1, got 0"):
        make(batch_size=0)


@pytest.mark.parametrize(
    ("metric", "scores"),
    [("dot", [6.0, 2.0, -4.0]), ("euclidean", [0.5, 0.5, 1 / 5])],
)
async def test_the_metric_decides_what_is_near(metric: str, scores: list[float]) -> None:
    memory = MemoryVectorStore(Plane(), metric=metric)  # type: ignore[arg-type]
    await memory.store([at("3,0", "far"), at("1,0", "near"), at("-2,0", "behind")])

    found = await memory.retrieve("2,0")

    assert [document.score for document in found] == pytest.approx(scores)


async def test_a_large_index_is_searched_in_a_thread() -> None:
    """The result is the same; the event loop goes on meanwhile."""
    width = 1_000
    memory = MemoryVectorStore(top_k=1)
    vectors = [[0.0] * width for _ in range(THREAD_FROM_VALUES // width)]
    vectors[-1][3] = 1.0
    await memory.store([at("x", str(place)).with_dense_vector(vector) for place, vector in enumerate(vectors)])

    class Unit:
        async def embed(self, texts: list[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
            return [vectors[-1]]

    [found] = await memory.retrieve("q", RetrieverOptions(embedder=Unit()))

    assert found.id == str(len(vectors) - 1)


# Only in a file.


async def test_a_file_keeps_everything(tmp_path: Path) -> None:
    """Ids, texts, metadata of any storable type and vectors are there for the next process."""
    path = tmp_path / "store.db"
    metadata = {"when": dt.date(2026, 1, 2), "pair": (1, 2), "ünicode": "\0 😀"}
    async with SQLiteVectorStore(path, Plane()) as first:
        await first.store([Document(id="a", content="3,4", metadata=metadata)])

    async with SQLiteVectorStore(path, Plane()) as second:
        [found] = await second.retrieve("3,4")

    assert found.replace(metadata=metadata) == Document(id="a", content="3,4", metadata=metadata)
    assert {key: found.metadata[key] for key in metadata} == metadata


async def test_two_stores_on_one_file_see_each_others_changes(tmp_path: Path) -> None:
    """What was added, replaced, removed or removed and added again is found by the next search."""
    path = tmp_path / "store.db"
    async with SQLiteVectorStore(path, Plane()) as one, SQLiteVectorStore(path, Plane()) as two:
        await one.store([at("1,0", "a"), at("0,1", "b")])
        assert ids(await two.retrieve("1,0")) == ["a", "b"]

        await one.store([at("-1,0", "a"), at("1,1", "c")])
        assert ids(await two.retrieve("1,0")) == ["c", "b", "a"]

        await one.delete(["b"])
        await one.store([at("1,0", "d")])
        assert ids(await two.retrieve("1,0")) == ["d", "c", "a"]

        await one.delete_index()
        assert await two.retrieve("1,0") == []
        await one.store([at("1,0", "e")])
        assert ids(await two.retrieve("1,0")) == ["e"]


async def test_many_processes_write_one_new_file(tmp_path: Path) -> None:
    """None of them loses a document, whoever comes first to make the tables."""
    path = tmp_path / "store.db"
    program = (
        "import sys, anyio\n"
        "from eino import Document\n"
        "from eino.ext.vectors.sqlite import SQLiteVectorStore\n"
        "async def main():\n"
        "    async with SQLiteVectorStore(sys.argv[1]) as store:\n"
        "        for n in range(5):\n"
        "            await store.store([Document(id=f'{sys.argv[2]}-{n}', content='x', metadata={'_dense_vector': [1.0]})])\n"
        "anyio.run(main)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), str(number)]) for number in range(3)]  # noqa: ASYNC220
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]

    async with SQLiteVectorStore(path, top_k=None) as store:
        assert await store.count() == 15


async def test_metadata_that_cannot_be_stored_is_named_and_nothing_is_stored(tmp_path: Path) -> None:
    async with SQLiteVectorStore(tmp_path / "store.db", Plane()) as store:
        with pytest.raises(InvalidRequestError, match=r"metadata of document 'b' cannot be stored: .*\$\.handle"):
            await store.store([at("1,0", "a"), at("1,0", "b", handle=object())])

        assert await store.count() == 0


async def test_a_closed_store_opens_again(tmp_path: Path) -> None:
    store = SQLiteVectorStore(tmp_path / "store.db", Plane())
    await store.store([at("1,0", "a")])
    await store.aclose()
    await store.aclose()

    assert ids(await store.retrieve("1,0")) == ["a"]
    await store.aclose()


async def test_a_database_in_memory_ends_with_its_store() -> None:
    async with SQLiteVectorStore(":memory:", Plane()) as store:
        await store.store([at("1,0", "a")])
        assert ids(await store.retrieve("1,0")) == ["a"]


async def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, " * 100)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE accounts (name TEXT)")
    other.close()

    with pytest.raises(ComponentError, match=r"text\.db' cannot be used: .*; it is no SQLite database"):
        await SQLiteVectorStore(tmp_path / "text.db").count()
    with pytest.raises(BuildError, match=r"other\.db' holds something else"):
        await SQLiteVectorStore(tmp_path / "other.db").count()
    with pytest.raises(ConnectionFailedError, match="check that the folder"):
        await SQLiteVectorStore(tmp_path / "none" / "store.db").count()
    with pytest.raises(BuildError, match="path of the SQLite file is empty"):
        SQLiteVectorStore("")


async def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SQLiteVectorStore(path, Plane()) as store:
        await store.store([at("1,0", str(number)) for number in range(200)])
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(bytes(data))

    async with SQLiteVectorStore(path, Plane()) as store:
        with pytest.raises(ComponentError, match="restore it from a copy"):
            await store.retrieve("1,0")


# Keywords.


@pytest.fixture
async def library() -> AsyncIterator[SQLiteVectorStore]:
    """A store without vectors."""
    async with SQLiteVectorStore(":memory:") as store:
        await store.store(
            [
                at("The black cat sleeps on the mat.", "cat", lang="en"),
                at("A dog and a cat; the cat runs, running after the dog.", "pets", lang="en"),
                at("Le café est fermé.", "café", lang="fr"),
                at("黑猫坐在垫子上、图数据库很快。", "mao", lang="zh"),
            ]
        )
        yield store


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("dog", ["pets"], id="one word"),
        pytest.param("CAT", ["pets", "cat"], id="any case, more hits first"),
        pytest.param("mat dog", ["pets", "cat"], id="any of the words"),
        pytest.param("cafe", ["café"], id="without accents"),
        pytest.param("数据", ["mao"], id="pair of characters"),
        pytest.param("数据库", ["mao"], id="three characters"),
        pytest.param("猫", ["mao"], id="one character"),
        pytest.param("快", ["mao"], id="last character of a run"),
        pytest.param("elephant", [], id="nothing"),
        pytest.param("", [], id="empty"),
        pytest.param("?! () _", [], id="no words"),
        pytest.param('dog" OR "cat) NEAR(', ["pets", "cat"], id="the index's own query language"),
        pytest.param("AND NOT dog*", ["pets"], id="operators are words"),
    ],
)
async def test_keywords_find_documents(library: SQLiteVectorStore, query: str, expected: list[str]) -> None:
    found = await library.keyword_retriever().retrieve(query)

    assert ids(found) == expected
    assert all(document.score > 0 for document in found)


async def test_keywords_obey_the_options(library: SQLiteVectorStore) -> None:
    retriever = library.keyword_retriever(top_k=1)

    assert ids(await retriever.retrieve("cat mat")) == ["cat"]
    assert ids(await retriever.retrieve("cat dog", RetrieverOptions(top_k=None))) == ["pets", "cat"]
    assert ids(await retriever.retrieve("cat", RetrieverOptions(dsl={"lang": "fr"}))) == []
    assert ids(await retriever.retrieve("the café", RetrieverOptions(dsl={"lang": "fr"}))) == ["café"]
    assert await retriever.retrieve("cat", RetrieverOptions(score_threshold=100.0)) == []
    assert await retriever.retrieve("cat", RetrieverOptions(index="other")) == []
    assert "SQLiteKeywordRetriever" in repr(retriever)


async def test_the_words_of_replaced_and_deleted_documents_are_forgotten(library: SQLiteVectorStore) -> None:
    retriever = library.keyword_retriever()
    await library.store([at("A blue whale.", "cat")])
    await library.delete(["pets"])

    assert ids(await retriever.retrieve("cat dog mat")) == []
    assert ids(await retriever.retrieve("whale")) == ["cat"]
    await library.delete_index()
    assert ids(await retriever.retrieve("whale café")) == []
    assert await library.count() == 0


async def test_words_may_be_reduced_to_their_stems() -> None:
    async with SQLiteVectorStore(":memory:", stemming="english") as store:
        await store.store([at("He was running.", "a")])

        assert ids(await store.keyword_retriever().retrieve("runs")) == ["a"]


async def test_a_store_without_words_has_no_keyword_retriever() -> None:
    async with SQLiteVectorStore(":memory:", keywords=False) as store:
        await store.store([at("some words", "a")])
        with pytest.raises(BuildError, match="keywords=True"):
            store.keyword_retriever()
    with pytest.raises(BuildError, match="unknown stemming 'latin'"):
        SQLiteVectorStore(":memory:", stemming="latin")  # type: ignore[arg-type]
