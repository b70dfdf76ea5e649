"""Documents that are found by their pieces: row F01 of `agents-scenarios.md` and beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from eino import BuildError, ComponentError, Document, RetrieverOptions, ServerError
from eino.components.indexer import NO_INDEXER_OPTIONS, IndexerOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS
from eino.components.transformer import NO_TRANSFORMER_OPTIONS, TransformerOptions
from eino.ext.documents.splitters import MarkdownHeaderSplitter, RecursiveSplitter
from eino.flow import ParentIndexer, ParentRetriever
from eino_fixtures import FakeIndexer, FakeRetriever


def docs(ids: str) -> list[Document]:
    return [Document(id=each, content=f"text {each}") for each in ids]


def ids(documents: Sequence[Document]) -> str:
    return "".join(document.id for document in documents)


class Down:
    """A retriever and indexer whose store is down."""

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        raise ServerError("down")

    async def store(self, documents: Sequence[Document], options: IndexerOptions = NO_INDEXER_OPTIONS) -> list[str]:
        raise ServerError("down")


async def test_parents_of_the_pieces_that_were_found() -> None:
    """F01: each once, in the order of the first pieces; pieces without a parent are left out."""
    pieces = [piece.with_metadata(parent_id=parent) for piece, parent in zip(docs("abcdef"), "123233", strict=True)]
    asked: list[list[str]] = []

    async def get(parents: list[str]) -> list[Document]:
        asked.append(parents)
        return docs("".join(parents))

    found = await ParentRetriever(FakeRetriever([*pieces, *docs("g")]), get_parents=get).retrieve("x")

    assert ids(found) == "123"
    assert asked == [["1", "2", "3"]]
    assert await ParentRetriever(FakeRetriever(docs("g")), get_parents=get).retrieve("x") == []
    assert len(asked) == 1
    with pytest.raises(BuildError, match="get_parents=3"):
        ParentRetriever(FakeRetriever([]), get_parents=3)  # type: ignore[arg-type]


def pieces_of(parents: str) -> list[Document]:
    """Return one piece for each letter, which names its document; the first is the best."""
    return [
        Document(id=f"{parent}{place}", content="x", metadata={"parent_id": parent}).with_score(1.0 - place / 100)
        for place, parent in enumerate(parents)
    ]


async def test_parents_come_in_the_order_of_their_pieces_with_their_scores() -> None:
    """However `get_parents` returns them, and whatever it adds; its list is not the one that callers get."""
    stored = [*docs("x21"), Document(id="3", content="three").with_score(7.0)]
    retriever = ParentRetriever(FakeRetriever(pieces_of("13132")), get_parents=lambda parents: stored)

    found = await retriever.retrieve("q")
    assert [(each.id, each.score) for each in found] == [("1", 1.0), ("3", 0.99), ("2", 0.96), ("x", 0.0)]
    found.clear()
    assert ids(await retriever.retrieve("q")) == "132x"
    assert ids(await retriever.retrieve("q", RetrieverOptions(top_k=2))) == "13"


@pytest.mark.parametrize(
    ("parents", "top_k", "found", "asked"),
    [
        pytest.param("12345", 2, "12", [2], id="a document a piece"),
        pytest.param("1111123456789", 3, "123", [3, 12], id="many pieces of one document"),
        pytest.param("1" * 40 + "2", 2, "12", [2, 8, 32, 128], id="very many"),
        pytest.param("1112", 3, "12", [3, 12], id="too few documents"),
        pytest.param("12", 3, "12", [3], id="too few pieces"),
        pytest.param("1" * 8, 2, "1", [2, 8, 32], id="one document"),
        pytest.param("", 2, "", [2], id="nothing"),
        pytest.param("1123", None, "123", [None], id="no limit"),
    ],
)
async def test_top_k_counts_documents(parents: str, top_k: int | None, found: str, asked: list[int | None]) -> None:
    """More pieces are asked for while those found are of too few documents, and there may be more."""
    search = FakeRetriever(pieces_of(parents))
    got: list[str] = []

    def get(wanted: list[str]) -> list[Document]:
        got.extend(wanted)
        return docs("".join(wanted))

    retriever = ParentRetriever(search, get_parents=get)
    options = RetrieverOptions(top_k=top_k, index="main")

    assert ids(await retriever.retrieve("q", options)) == found
    assert "".join(got) == found
    assert [each.options.top_k for each in search.calls] == asked
    assert {each.options.index for each in search.calls} == {"main"}


async def test_a_search_that_heeds_no_limit_is_asked_twice_at_most() -> None:
    """It cannot give more than it gave."""

    class All(FakeRetriever):
        async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
            return await super().retrieve(query)

    search = All(pieces_of("1" * 1000))
    retriever = ParentRetriever(search, get_parents=lambda parents: docs("".join(parents)))

    assert ids(await retriever.retrieve("q", RetrieverOptions(top_k=2))) == "1"
    assert len(search.calls) == 2


async def test_parents_that_cannot_be_had() -> None:
    """A component error with the place, whether the search fails, or the function, or what it returns is no list."""

    def lost(parents: list[str]) -> list[Document]:
        raise LookupError(f"no {parents}")

    search = FakeRetriever(pieces_of("12"))
    with pytest.raises(ServerError) as failure:
        await ParentRetriever(Down(), get_parents=lost).retrieve("q")
    assert failure.value.__notes__ == ["ParentRetriever, node path: [search, retriever]"]
    with pytest.raises(ComponentError, match=r"no \['1', '2'\]") as failed:
        await ParentRetriever(search, get_parents=lost).retrieve("q")
    assert isinstance(failed.value.__cause__, LookupError)
    assert failed.value.__notes__ == ["ParentRetriever, node path: [parents]"]
    with pytest.raises(ComponentError, match="get_parents= must return a list of documents, got None"):
        await ParentRetriever(search, get_parents=lambda parents: None).retrieve("q")  # type: ignore[arg-type, return-value]


class Halves:
    """Splits each document in two, which keep its id."""

    async def transform(
        self, documents: Sequence[Document], options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    ) -> list[Document]:
        return [document.replace(content=part) for document in documents for part in document.content.split("|")]


class Keeps:
    """Remembers what it stores."""

    def __init__(self) -> None:
        self.stored: list[Document] = []
        self.options: list[IndexerOptions] = []

    async def store(self, documents: Sequence[Document], options: IndexerOptions = NO_INDEXER_OPTIONS) -> list[str]:
        self.stored.extend(documents)
        self.options.append(options)
        return [document.id for document in documents]


PAIR = [Document(id="id", content="a|b"), Document(id="ID", content="c|d")]


async def test_pieces_are_stored_with_the_id_of_their_document() -> None:
    """F01: ids of their own, and the document's id in the metadata; the options are passed on."""
    store = Keeps()

    async def from_zero(parent_id: str, count: int) -> list[str]:
        return [f"{parent_id}{number}" for number in range(count)]

    indexer = ParentIndexer(store, splitter=Halves(), make_sub_ids=from_zero)
    assert await indexer.store(PAIR, IndexerOptions(index="main")) == ["id0", "id1", "ID0", "ID1"]
    assert [(piece.content, piece.metadata["parent_id"]) for piece in store.stored] == [
        ("a", "id"),
        ("b", "id"),
        ("c", "ID"),
        ("d", "ID"),
    ]
    assert store.options[0].index == "main"
    assert await ParentIndexer(Keeps(), splitter=Halves(), key="from").store(PAIR) == ["id_1", "id_2", "ID_1", "ID_2"]


class Forgets:
    """Makes pieces that have nothing of their document."""

    async def transform(
        self, documents: Sequence[Document], options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    ) -> list[Document]:
        return [Document(content=document.content) for document in documents]


class Anonymous:
    """Makes pieces that have the id of their document only."""

    async def transform(
        self, documents: Sequence[Document], options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    ) -> list[Document]:
        return [Document(id=document.id, content=document.content) for document in documents]


class Both:
    """Splits with two splitters of eino, behind each other."""

    async def transform(
        self, documents: Sequence[Document], options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    ) -> list[Document]:
        sections = await MarkdownHeaderSplitter().transform(documents)
        return await RecursiveSplitter(chunk_size=12, overlap=0).transform(sections)


@pytest.mark.parametrize(
    ("splitter", "names"),
    [
        (RecursiveSplitter(chunk_size=12, overlap=0), ["a_1", "a_2", "b_1"]),
        (Both(), ["a_1", "a_2", "b_1"]),
        (Anonymous(), ["a_1", "b_1"]),
    ],
    ids=["eino's", "two of eino's", "ids only"],
)
async def test_pieces_lead_back_to_the_documents_whatever_the_splitter_calls_them(
    splitter: Any, names: list[str]
) -> None:
    """The splitters of eino give pieces ids of their own."""
    store = FakeIndexer()
    whole = {each.id: each for each in (Document(id="a", content="# One\n\ntea\n\n# Two\n\nmilk"), *docs("b"))}

    stored = await ParentIndexer(store, splitter=splitter).store(list(whole.values()))
    assert stored == names
    retriever = ParentRetriever(
        FakeRetriever(list(store.documents.values())), get_parents=lambda parents: [whole[each] for each in parents]
    )
    assert await retriever.retrieve("tea") == list(whole.values())


async def test_documents_without_an_id_do_not_share_one() -> None:
    """Neither in one call nor in the next: each gets a random one, which its pieces name."""
    store = FakeIndexer()
    indexer = ParentIndexer(store, splitter=Halves())
    stored = [*await indexer.store([Document(content="a|b"), Document(content="c")])]
    stored += await indexer.store([Document(content="d")])

    pieces = [store.documents[each] for each in stored]
    assert [piece.content for piece in pieces] == ["a", "b", "c", "d"]
    parents = [piece.metadata["parent_id"] for piece in pieces]
    assert parents[0] == parents[1]
    assert len({*parents}) == 3
    assert all(len(parent) == 32 for parent in parents)


async def test_an_index_that_fails_is_a_component_error() -> None:
    """What it raised, with the place."""
    with pytest.raises(ServerError) as failure:
        await ParentIndexer(Down(), splitter=Halves()).store(PAIR)
    assert failure.value.__notes__ == ["ParentIndexer, node path: [indexer]"]


async def test_pieces_that_cannot_be_named() -> None:
    """Too few ids, and pieces of one document that are apart: nothing is stored."""
    store = Keeps()
    with pytest.raises(ComponentError, match="gave 1 ids for the 2 pieces of 'id'"):
        await ParentIndexer(store, splitter=Halves(), make_sub_ids=lambda parent, count: ["one"]).store(PAIR)
    with pytest.raises(ComponentError, match="'id' do not lie beside each other"):
        await ParentIndexer(store, splitter=Halves()).store([*PAIR, PAIR[0]])
    with pytest.raises(ComponentError, match=r"the same id, got \['one', 'one'\]"):
        await ParentIndexer(store, splitter=Halves(), make_sub_ids=lambda parent, count: ["one"] * count).store(PAIR)
    with pytest.raises(ComponentError, match="does not say of which document it is, Document") as failure:
        await ParentIndexer(store, splitter=Forgets()).store(PAIR)
    assert failure.value.__notes__ == ["ParentIndexer, node path: [name]"]
    assert store.stored == []
    with pytest.raises(BuildError, match="splitter=3"):
        ParentIndexer(store, splitter=3)  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="ParentIndexer\\(3\\)"):
        ParentIndexer(3, splitter=Halves())  # type: ignore[arg-type]
