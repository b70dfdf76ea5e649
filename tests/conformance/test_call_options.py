"""Call options: who gets them, by node, by path, by kind; limits of one call."""

from __future__ import annotations

from typing import Any

import pytest

from eino import (
    END,
    START,
    Branch,
    Chain,
    ChatModel,
    ChatTemplate,
    Document,
    Embedder,
    EmbedderOptions,
    Graph,
    Lambda,
    MaxStepsError,
    Message,
    ModelOptions,
    Retriever,
    RetrieverOptions,
    RunError,
    StreamReader,
    user_message,
)
from eino.components import NO_EMBEDDER_OPTIONS, NO_RETRIEVER_OPTIONS
from eino_fixtures import EchoChatModel


async def suffixed(text: str, *, suffix: str = "") -> str:
    return text + suffix


def nested(depth: int = 3) -> Any:
    """Return a compiled graph of that many levels, each a lambda "n" and the next level "g"."""
    graph: Graph[str, str] | None = None
    for _ in range(depth):
        level = Graph[str, str]().add_lambda_node("n", suffixed).add_edge(START, "n")
        if graph is None:
            level.add_edge("n", END)
        else:
            level.add_graph_node("g", graph).add_edge("n", "g").add_edge("g", END)
        graph = level
    assert graph is not None
    return graph.compile(name="root")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"n": {"suffix": "1"}}, "x1", id="node"),
        pytest.param({"g/n": {"suffix": "2"}}, "x2", id="path"),
        pytest.param({"g/g/n": {"suffix": "3"}}, "x3", id="long path"),
        pytest.param({"n": {"suffix": "1"}, "g/n": {"suffix": "2"}, "g/g/n": {"suffix": "3"}}, "x123", id="all paths"),
        pytest.param({Lambda: {"suffix": "-"}}, "x---", id="kind, in nested graphs too"),
        pytest.param({"g": {Lambda: {"suffix": "-"}}}, "x--", id="kind below a graph"),
        pytest.param({"g": {"n": {"suffix": "2"}, "g/n": {"suffix": "3"}}}, "x23", id="keys below a graph"),
        pytest.param({Lambda: {"suffix": "-"}, "g/n": {"suffix": "2"}}, "x-2-", id="a node wins over its kind"),
        pytest.param({"g/n": {"suffix": "2"}, Lambda: {"suffix": "-"}}, "x-2-", id="whatever the order"),
        pytest.param({Lambda: {"unknown": 1, "suffix": "-"}}, "x---", id="what a kind does not declare is skipped"),
        pytest.param({}, "x", id="none"),
    ],
)
async def test_options_go_where_they_are_sent(options: Any, expected: str) -> None:
    """S65, 2.14: by key, by path, by kind."""
    runnable = nested()

    assert await runnable.invoke("x", options=options) == expected
    assert await runnable.collect(StreamReader.from_iterable(["x"]), options=options) == expected
    assert await runnable.invoke("x") == "x"  # nothing of it stays


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"m": {"suffix": "1"}}, r"option has designated an unknown node: m; the nodes are \['n', 'g'\]"),
        ({"g/m": {"suffix": "1"}}, "option has designated an unknown node: m"),
        ({"n/n": {"suffix": "1"}}, "cannot designate sub path of a component, path: n/n"),
        ({"": {"suffix": "1"}}, "call option has designated an empty path"),
        ({"n": {"prefix": "1"}}, r"node 'n' has no option 'prefix'; its keyword-only parameters are \['suffix'\]"),
        ({"n": "1"}, r"option type\[str\] is different from which the designated node\[n\] expects\[dict\]"),
        ({Lambda: "1"}, r"option type\[str\] is different from which the designated node\[n\] expects\[dict\]"),
        ({"g": "1"}, "designates a graph: give a mapping of kinds or keys"),
    ],
)
async def test_options_that_go_nowhere_are_refused(options: Any, text: str) -> None:
    """1.17: with the path in the text; a mistake in a nested graph carries the path of its node."""
    runnable = nested()

    for run in (
        runnable.invoke("x", options=options),
        runnable.collect(StreamReader.from_iterable(["x"]), options=options),
    ):
        with pytest.raises(RunError, match=text) as caught:
            await run
        assert caught.value.kind == "graph"
        assert caught.value.node_path == (("g",) if "g/m" in options else ())


async def test_callbacks_of_a_path_that_is_not_there() -> None:
    """1.17: the same rules hold for handlers and limits."""
    for options in ({"node_callbacks": {"m": []}}, {"max_steps": {"m": 3}}, {"max_steps": {"n": 3}}):
        with pytest.raises(RunError, match=r"unknown node: m|designates a node that is no graph"):
            await nested().invoke("x", **options)  # type: ignore[arg-type]  # options of a call


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"nonsense": 1}, "unknown call option 'nonsense'; the call options are"),
        ({"timeout_s": 0}, "timeout_s=0 must be above 0 seconds"),
        ({"timeout_s": -1.0}, r"timeout_s=-1\.0 must be above 0 seconds"),
        ({"max_steps": 0}, "max_steps=0: at least 1 step is needed"),
        ({"max_steps": "3"}, "max_steps='3': at least 1 step is needed"),
        ({"timeout_s": "3"}, "timeout_s='3' must be above 0 seconds"),
        ({"timeout_s": float("nan")}, "timeout_s=nan must be above 0 seconds"),
        ({"options": "n"}, "options='n' must be a mapping, by node key or path"),
        ({"node_callbacks": ["n"]}, r"node_callbacks=\['n'\] must be a mapping, by node key or path"),
    ],
)
async def test_malformed_call_options_are_refused(options: Any, text: str) -> None:
    """1.17: the option and its value are named."""
    with pytest.raises(RunError, match=text):
        await nested().invoke("x", **options)


class Searching:
    """An embedder and retriever that give back the options they got."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        self.seen.append(options)
        return [Document(id="1", content=query)]


class Embedding:
    """Notes its options."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def embed(self, texts: list[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
        self.seen.append(options)
        return [[0.0]]


async def test_options_of_components_are_merged_by_level() -> None:
    """2.14: the kind's, then the class's, then the node's; each component gets only its own."""
    model, search, embed = EchoChatModel(), Searching(), Embedding()
    graph = Graph[list[Message], Any]().add_chat_model_node("model", model).add_edge(START, "model")
    graph.add_lambda_node("text", lambda message: message.content).add_edge("model", "text")
    graph.add_retriever_node("search", search).add_edge("text", "search")
    graph.add_lambda_node("list", lambda documents: [each.content for each in documents]).add_edge("search", "list")
    graph.add_embedding_node("embed", embed).add_edge("list", "embed").add_edge("embed", END)

    await graph.compile().invoke(
        [user_message("hi")],
        options={
            "model": ModelOptions(temperature=0.0),
            ChatModel: ModelOptions(temperature=1.0, top_p=0.5),
            EchoChatModel: ModelOptions(max_tokens=7),
            Retriever: RetrieverOptions(top_k=3),
            "embed": EmbedderOptions(model="small"),
            Embedder: EmbedderOptions(model="large"),
        },
    )

    [call] = model.calls
    assert (call.options.temperature, call.options.top_p, call.options.max_tokens) == (0.0, 0.5, 7)
    assert search.seen == [RetrieverOptions(top_k=3)]
    assert [options.model for options in embed.seen] == ["small"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param(
            {"m": {"temperature": 1}}, r"option type\[dict\] .* node\[m\] expects\[ModelOptions\]", id="mapping"
        ),
        pytest.param(
            {"m": RetrieverOptions()}, r"option type\[RetrieverOptions\] .* expects\[ModelOptions\]", id="another"
        ),
        pytest.param({ChatModel: 5}, r"option type\[int\] .* expects\[ModelOptions\]", id="by kind"),
        pytest.param({"t": ModelOptions()}, "a ChatTemplate takes no options", id="none"),
        pytest.param({"p": {}}, "a passthrough node takes no options", id="passthrough"),
    ],
)
async def test_options_of_another_kind_are_refused(options: Any, text: str) -> None:
    """1.17: the error names both types."""
    graph = Graph[dict[str, Any], Message]()
    graph.add_chat_template_node("t", ChatTemplate.from_messages(user_message("{q}"))).add_passthrough_node("p")
    graph.add_chat_model_node("m", EchoChatModel()).add_edge(START, "t").add_edge("t", "p").add_edge("p", "m")
    runnable = graph.add_edge("m", END).compile()

    with pytest.raises(RunError, match=text):
        await runnable.invoke({"q": "hi"}, options=options)


async def test_a_lambda_may_take_any_option() -> None:
    """D17: in the Go original such a lambda never gets options inside a graph."""

    async def anything(text: str, **options: Any) -> str:
        return f"{text}{sorted(options.items())}"

    runnable = Chain[str, str]().append_lambda(anything, key="n").compile()

    assert await runnable.invoke("x", options={"n": {"a": 1, "b": 2}}) == "x[('a', 1), ('b', 2)]"
    assert await runnable.invoke("x", options={Lambda: {"c": 3}}) == "x[('c', 3)]"


def counting(limit: int) -> Graph[int, int]:
    """Return a loop that counts up to `limit`."""
    graph = Graph[int, int]().add_lambda_node("n", lambda n: n + 1).add_edge(START, "n")
    return graph.add_branch("n", Branch(lambda n: "n" if n < limit else END, ends=["n", END]))


async def test_a_limit_of_steps_holds_for_the_graph_that_it_names() -> None:
    """D13: a designated limit does not limit the outermost graph, and a bare one not the inner graph."""
    outer = Graph[int, int]()
    for key in ("a", "b", "c"):
        outer.add_lambda_node(key, lambda n: n)
    outer.add_graph_node("loop", counting(5), compile_options={"max_steps": 100})
    outer.add_edge(START, "a").add_edge("a", "b").add_edge("b", "c").add_edge("c", "loop").add_edge("loop", END)
    runnable = outer.compile(name="outer")

    assert await runnable.invoke(0) == 5
    assert await runnable.invoke(0, max_steps=4) == 5
    assert await runnable.invoke(-3, max_steps={"loop": 8}) == 5
    assert await runnable.invoke(0, max_steps={"": 4, "loop": 5}) == 5
    with pytest.raises(MaxStepsError, match="3 steps of graph 'outer'") as caught:
        await runnable.invoke(0, max_steps=3)
    assert caught.value.node_path == ()
    with pytest.raises(MaxStepsError, match=r"4 steps did not reach the end, last nodes: \[n\]") as caught:
        await runnable.invoke(0, max_steps={"loop": 4})
    assert caught.value.node_path == ("loop",)


async def test_a_limit_of_steps_in_a_nested_dag_is_refused() -> None:
    """1.17: there, each node runs at most once."""
    inner = Graph[int, int]().add_lambda_node("n", lambda n: n).add_edge(START, "n").add_edge("n", END)
    outer = Chain[int, int]().append_graph(inner, key="dag", compile_options={"trigger": "all"})

    with pytest.raises(RunError, match="cannot set max run steps in dag") as caught:
        await outer.compile().invoke(0, max_steps={"dag": 3})
    assert caught.value.node_path == ("dag",)
