"""Retrievers made of others, and the parent indexer: row F01 of `agents-scenarios.md` and beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from eino import (
    BuildError,
    ChatTemplate,
    Document,
    Handler,
    RetrieverOptions,
    RunError,
    RunInfo,
    user_message,
)
from eino.components.indexer import NO_INDEXER_OPTIONS, IndexerOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS
from eino.components.transformer import NO_TRANSFORMER_OPTIONS, TransformerOptions
from eino.flow import (
    MultiQueryRetriever,
    ParentIndexer,
    ParentRetriever,
    RouterRetriever,
    first_occurrences,
    reciprocal_rank_fusion,
)
from eino_fixtures import FakeRetriever, ScriptedChatModel


def docs(ids: str) -> list[Document]:
    return [Document(id=each, content=f"text {each}") for each in ids]


def ids(documents: Sequence[Document]) -> str:
    return "".join(document.id for document in documents)


class Digits:
    """Finds the documents 1 to 5 whose digit is in the query."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, RetrieverOptions]] = []

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        self.asked.append((query, options))
        return [document for document in docs("12345") if document.id in query]


def test_reciprocal_rank_fusion() -> None:
    """F01: by the sum of 1 / (60 + rank); a single result is as it was, equal sums keep their order."""
    assert ids(reciprocal_rank_fusion([docs("12345"), docs("23451"), docs("34512")])) == "32415"
    assert ids(reciprocal_rank_fusion([docs("31")])) == "31"
    assert ids(reciprocal_rank_fusion([docs("a"), docs("b"), docs("c")])) == "abc"
    assert reciprocal_rank_fusion([]) == []
    assert ids(first_occurrences([docs("12"), docs("231")])) == "123"


async def test_a_model_rewrites_the_query() -> None:
    """F01: one query a line, five of them at most; each document counts once, in the order of the queries."""
    model = ScriptedChatModel(["12\n23\n\n34\n14\n23\n45"])
    search = Digits()

    found = await MultiQueryRetriever(search, model=model).retrieve("question")

    assert ids(found) == "1234"
    assert sorted(query for query, _ in search.asked) == ["12", "14", "23", "23", "34"]
    assert "5 different search queries" in model.calls[0].messages[0].content
    assert model.calls[0].messages[0].content.endswith("Question: question")


async def test_a_function_rewrites_the_query() -> None:
    """F01, with the options of the call passed on to every search."""
    search = Digits()

    async def rewrite(query: str) -> list[str]:
        return [f"{query}1", f"{query}3", f"{query}5"]

    options = RetrieverOptions(top_k=7)
    assert ids(await MultiQueryRetriever(search, rewrite=rewrite).retrieve("", options)) == "135"
    assert [given.top_k for _, given in search.asked] == [7, 7, 7]


async def test_prompt_parser_limit_and_fusion_can_be_set() -> None:
    """Each of them is used."""
    model = ScriptedChatModel(["1,2,3"])
    retriever = MultiQueryRetriever(
        Digits(),
        model=model,
        template=ChatTemplate.from_messages(user_message("{count} ways to say {query}")),
        parse=lambda answer: answer.content.split(","),
        max_queries=2,
        fuse=lambda results: [results[1][0]],
    )
    assert ids(await retriever.retrieve("x")) == "2"
    assert model.calls[0].messages[0].content == "2 ways to say x"


async def test_callbacks_hear_every_step() -> None:
    """The rewriting, each search, and the fusion."""
    heard: list[str] = []

    class Hears(Handler):
        def on_end(self, info: RunInfo, output: Any) -> None:
            heard.append(f"{info.component} {info.name}")

    retriever = MultiQueryRetriever(Digits(), rewrite=lambda query: ["1", "2"])
    await retriever.runnable.invoke("x", callbacks=[Hears()])

    assert heard.count("Retriever retriever") == 2
    assert {"Lambda rewrite", "Lambda search", "Lambda fuse", "Chain multi_query"} <= set(heard)


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (lambda query: [], "no query to search for"),
        (lambda query: "text", "sequence of texts"),
        (lambda query: [1], "sequence of texts"),
    ],
)
async def test_rewriting_that_gives_no_queries(rewrite: Any, message: str) -> None:
    """Nothing is searched for, and the error says why."""
    with pytest.raises(RunError, match=message):
        await MultiQueryRetriever(Digits(), rewrite=rewrite).retrieve("x")


async def test_a_search_that_fails_fails_the_whole() -> None:
    """With the path of the search."""

    class Broken:
        async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
            raise ValueError(f"no index for {query}")

    with pytest.raises(RunError, match="no index for a") as failure:
        await MultiQueryRetriever(Broken(), rewrite=lambda query: ["a"]).retrieve("x")
    assert failure.value.node_path == ("search", "retriever")


def test_multi_query_retrievers_that_cannot_be_built() -> None:
    """The call says what to change."""
    with pytest.raises(BuildError, match="one of the two"):
        MultiQueryRetriever(Digits())
    with pytest.raises(BuildError, match="one of the two"):
        MultiQueryRetriever(Digits(), model=ScriptedChatModel([]), rewrite=lambda query: [query])
    with pytest.raises(BuildError, match="does the whole work"):
        MultiQueryRetriever(Digits(), rewrite=lambda query: [query], parse=lambda answer: [])
    with pytest.raises(BuildError, match="max_queries=0"):
        MultiQueryRetriever(Digits(), rewrite=lambda query: [query], max_queries=0)
    with pytest.raises(BuildError, match="is no retriever"):
        MultiQueryRetriever("x", rewrite=lambda query: [query])  # type: ignore[arg-type]


def router(**options: Any) -> RouterRetriever:
    return RouterRetriever(
        {"a": FakeRetriever(docs("12345")), "b": FakeRetriever(docs("23451")), "c": FakeRetriever(docs("34512"))},
        **options,
    )


async def test_a_router_asks_all_retrievers_by_default() -> None:
    """Upstream crashes there; here the results are joined by rank."""
    assert ids(await router().retrieve("x")) == "32415"
    assert repr(router()) == "RouterRetriever(['a', 'b', 'c'])"


async def test_a_router_chooses() -> None:
    """Sync or async, in the order of the choice, each name once; the options are passed on."""

    async def choose(query: str) -> list[str]:
        return query.split()

    async def behind_each_other(results: Sequence[Sequence[Document]]) -> list[Document]:
        return [document for found in results for document in found]

    asked = Digits()
    retriever = RouterRetriever({"a": asked, "b": FakeRetriever(docs("9"))}, route=choose, fuse=behind_each_other)
    assert ids(await retriever.retrieve("b a b", RetrieverOptions(top_k=3))) == "9"
    assert ids(await retriever.retrieve("b")) == "9"
    assert [options.top_k for _, options in asked.asked] == [3]
    assert ids(await router(route=lambda query: ["c"]).retrieve("x")) == "34512"


async def test_a_router_that_chooses_badly() -> None:
    """A name that is not there, and no name at all."""
    with pytest.raises(RunError, match=r"chose 'z', which is no retriever; the names are \['a', 'b', 'c'\]"):
        await router(route=lambda query: ["a", "z"]).retrieve("x")
    with pytest.raises(RunError, match="chose no retriever for 'x'"):
        await router(route=lambda query: []).retrieve("x")
    with pytest.raises(RunError, match="must return a list of documents, got 'nothing'"):
        await router(fuse=lambda results: "nothing").retrieve("x")


def test_routers_that_cannot_be_built() -> None:
    """No retriever, a name that is taken, a thing that is no retriever."""
    with pytest.raises(BuildError, match="at least one"):
        RouterRetriever({})
    with pytest.raises(BuildError, match="'fuse'"):
        RouterRetriever({"fuse": Digits()})
    with pytest.raises(BuildError, match="is no retriever"):
        RouterRetriever({"a": Digits})  # type: ignore[dict-item]


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


async def test_pieces_that_cannot_be_named() -> None:
    """Too few ids, and pieces of one document that are apart: nothing is stored."""
    store = Keeps()
    with pytest.raises(RunError, match="gave 1 ids for the 2 pieces of 'id'"):
        await ParentIndexer(store, splitter=Halves(), make_sub_ids=lambda parent, count: ["one"]).store(PAIR)
    with pytest.raises(RunError, match="'id' do not lie beside each other"):
        await ParentIndexer(store, splitter=Halves()).store([*PAIR, PAIR[0]])
    assert store.stored == []
    with pytest.raises(BuildError, match="splitter=3"):
        ParentIndexer(store, splitter=3)  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="ParentIndexer\\(3\\)"):
        ParentIndexer(3, splitter=Halves())  # type: ignore[arg-type]
