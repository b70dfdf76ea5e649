"""Retrievers made of others: row F01 of `agents-scenarios.md` and beside it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from eino import (
    END,
    START,
    BuildError,
    Chain,
    ChatTemplate,
    ComponentError,
    Document,
    Graph,
    GraphInterrupt,
    Handler,
    MemoryStore,
    RateLimitError,
    RetrieverOptions,
    RetryPolicy,
    RunError,
    RunInfo,
    RunTimeoutError,
    ServerError,
    interrupt,
    user_message,
)
from eino.components.retriever import NO_RETRIEVER_OPTIONS
from eino.flow import (
    MultiQueryRetriever,
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
    with pytest.raises(ComponentError, match=message) as failure:
        await MultiQueryRetriever(Digits(), rewrite=rewrite).retrieve("x")
    assert failure.value.__notes__ == ["MultiQueryRetriever, node path: [check]"]


class Fails:
    """Raises the same error each time."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        raise self.error


def over(retriever: Any, kind: str) -> tuple[Any, str]:
    """Return a retriever made of another one, and the note on errors of the other one."""
    if kind == "router":
        return RouterRetriever({"here": retriever}), "RouterRetriever, node path: [here, here]"
    return (
        MultiQueryRetriever(retriever, rewrite=lambda query: [query]),
        "MultiQueryRetriever, node path: [search, retriever]",
    )


KINDS = ("multi query", "router")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_component_error_of_a_search_comes_out_as_it_is(kind: str) -> None:
    """With its own cause, and a note that says where: once, however often the same error is raised."""
    limit = RateLimitError("slow down", retry_after_s=3.0)
    limit.__cause__ = OSError("429")
    retriever, place = over(Fails(limit), kind)

    for _ in range(2):
        with pytest.raises(RateLimitError) as failure:
            await retriever.retrieve("x")

        assert failure.value is limit
        assert limit.__notes__ == [place]
        assert repr(limit.__cause__) == "OSError('429')"
        assert limit.__context__ is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        pytest.param(ValueError("no index"), False, id="another error"),
        pytest.param(TimeoutError("too late"), True, id="a time-out"),
        pytest.param(BuildError("wrong program"), False, id="an error of eino"),
    ],
)
async def test_other_errors_of_a_search_are_the_cause_of_a_component_error(
    kind: str, error: Exception, retryable: bool
) -> None:
    """It may be tried again when they may."""
    retriever, place = over(Fails(error), kind)

    with pytest.raises(ComponentError, match=str(error)) as failure:
        await retriever.retrieve("x")

    assert type(failure.value) is ComponentError
    assert failure.value.__cause__ is error
    assert failure.value.__notes__ == [place]
    assert failure.value.retryable is retryable


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_error_of_a_search_is_the_cause_of_a_component_error(kind: str) -> None:
    """A retriever may be a graph that ran too long: that has no cause of its own."""
    late = RunTimeoutError("too late", node_path=("inner",))
    retriever, place = over(Fails(late), kind)

    with pytest.raises(ComponentError) as failure:
        await retriever.retrieve("x")

    assert failure.value.__cause__ is late
    assert failure.value.retryable
    assert str(failure.value) == "too late"
    assert failure.value.__notes__ == [f"{place[:-1]}, inner]"]


async def test_the_model_that_fails_to_rewrite_is_told() -> None:
    """Its error comes out as it is."""
    with pytest.raises(ServerError) as failure:
        await MultiQueryRetriever(Digits(), model=ScriptedChatModel([ServerError("down")])).retrieve("x")
    assert failure.value.__notes__ == ["MultiQueryRetriever, node path: [model]"]


async def test_retrievers_made_of_retrievers_made_of_others_say_each_place() -> None:
    """Innermost first; inside a graph the error is the cause of the run's, and the node may be tried again."""
    down = ServerError("down")
    chain = Chain[str, list[Document]]().append_retriever(over(over(Fails(down), "router")[0], "multi query")[0])

    with pytest.raises(RunError) as failure:
        await chain.compile().invoke("x")

    assert failure.value.__cause__ is down
    assert down.__notes__ == [
        "RouterRetriever, node path: [here, here]",
        "MultiQueryRetriever, node path: [search, retriever]",
    ]
    assert RetryPolicy().wait_s(1, failure.value, Random(1)) is not None


async def test_no_more_documents_than_top_k_are_returned() -> None:
    """The best of the joined ones; each search has the limit as well. Without one, none is left out."""
    two, none = RetrieverOptions(top_k=2), RetrieverOptions(top_k=None)
    several = MultiQueryRetriever(Digits(), rewrite=lambda query: ["12", "34", "5"])
    own = router(fuse=lambda results: [document for found in results for document in found])

    assert ids(await several.retrieve("x", two)) == "12"
    assert ids(await several.retrieve("x", none)) == ids(await several.retrieve("x")) == "12345"
    assert ids(await router().retrieve("x", RetrieverOptions(top_k=3))) == "324"
    assert ids(await router().retrieve("x", two)) == "23"
    assert ids(await router().retrieve("x", none)) == ids(await router().retrieve("x")) == "32415"
    assert ids(await own.retrieve("x", two)) == "12"


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
    with pytest.raises(ComponentError, match=r"chose 'z', which is no retriever; the names are \['a', 'b', 'c'\]"):
        await router(route=lambda query: ["a", "z"]).retrieve("x")
    with pytest.raises(ComponentError, match="chose no retriever for 'x'"):
        await router(route=lambda query: []).retrieve("x")
    with pytest.raises(ComponentError, match="must return a list of documents, got 'nothing'"):
        await router(fuse=lambda results: "nothing").retrieve("x")


@pytest.mark.parametrize("as_graph", [True, False], ids=["its graph", "the retriever"])
async def test_a_router_in_a_stored_run_goes_on_with_its_choice(as_graph: bool) -> None:
    """Each step of the run is stored, with what was chosen; it is not chosen anew when the run goes on."""
    chosen: list[str] = []

    class Asks:
        async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
            return docs(str(interrupt("which?")))

    def choose(query: str) -> list[str]:
        chosen.append(query)
        return ["b", "a"]

    routed = RouterRetriever({"a": FakeRetriever(docs("1")), "b": Asks(), "c": Digits()}, route=choose)
    graph = Graph[str, list[Document]]()
    if as_graph:
        graph.add_graph_node("find", routed.runnable)
    else:
        graph.add_retriever_node("find", routed)
    graph.add_edge(START, "find")
    graph.add_edge("find", END)
    runnable = graph.compile(checkpoint_store=MemoryStore(), durability="step")

    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("x", checkpoint_id="run")
    (asked,) = [each for each in stop.value.contexts if each.is_root_cause]
    assert ids(await runnable.invoke(checkpoint_id="run", resume={asked.id: "2"})) == "21"
    assert chosen == ["x"]


def test_routers_that_cannot_be_built() -> None:
    """No retriever, a name that is taken, a thing that is no retriever."""
    with pytest.raises(BuildError, match="at least one"):
        RouterRetriever({})
    with pytest.raises(BuildError, match="'fuse'"):
        RouterRetriever({"fuse": Digits()})
    with pytest.raises(BuildError, match="is no retriever"):
        RouterRetriever({"a": Digits})  # type: ignore[dict-item]
