"""Kinds of nodes: how they are recognised, what they take and give; the adders of graphs and chains."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from eino import (
    END,
    START,
    BuildError,
    Chain,
    ChatTemplate,
    Document,
    Graph,
    Lambda,
    Message,
    Source,
    assistant_message,
    user_message,
)
from eino_fixtures import EchoChatModel


class MyEmbedder:
    async def embed(self, texts: list[str], options: Any = None) -> list[list[float]]:
        return [[float(len(text))] for text in texts]


class MyRetriever:
    async def retrieve(self, query: str, options: Any = None) -> list[Document]:
        return [Document(id="1", content=query)]


class MyIndexer:
    async def store(self, documents: list[Document], options: Any = None) -> list[str]:
        return [document.id for document in documents]


class MyLoader:
    async def load(self, source: Source, options: Any = None) -> list[Document]:
        return [Document(id="1", content=source.uri)]


class MyTransformer:
    async def transform(self, documents: list[Document], options: Any = None) -> list[Document]:
        return list(reversed(documents))


class MyToolsNode:
    component = "ToolsNode"
    self_instrumented = False
    type_name = "Mine"

    async def invoke(self, message: Message, options: Any = None) -> list[Message]:
        return [message]

    def stream(self, message: Message, options: Any = None) -> AsyncIterator[list[Message]]:
        async def chunks() -> AsyncIterator[list[Message]]:
            yield [message]

        return chunks()


class AwaitedModel:
    """A model whose `stream` is a coroutine that returns a reader."""

    async def generate(self, messages: Sequence[Message], options: Any = None) -> Message:
        return assistant_message("whole")

    async def stream(self, messages: Sequence[Message], options: Any = None) -> AsyncIterator[Message]:
        async def chunks() -> AsyncIterator[Message]:
            yield assistant_message("ch")
            yield assistant_message("unks")

        return chunks()


DOCUMENTS = [Document(id="1", content="a"), Document(id="2", content="b")]
TEMPLATE = ChatTemplate.from_messages(user_message("{q}"))

NODES: list[Any] = [
    pytest.param("chat_model", EchoChatModel(), [user_message("x")], "ChatModel", id="chat model"),
    pytest.param("chat_template", TEMPLATE, {"q": "x"}, "ChatTemplate", id="template"),
    pytest.param("tools", MyToolsNode(), assistant_message("x"), "ToolsNode", id="tools"),
    pytest.param("embedding", MyEmbedder(), ["a", "bb"], "Embedding", id="embedder"),
    pytest.param("retriever", MyRetriever(), "query", "Retriever", id="retriever"),
    pytest.param("indexer", MyIndexer(), DOCUMENTS, "Indexer", id="indexer"),
    pytest.param("loader", MyLoader(), Source("file.txt"), "Loader", id="loader"),
    pytest.param("document_transformer", MyTransformer(), DOCUMENTS, "DocumentTransformer", id="transformer"),
    pytest.param("lambda", len, "four", "Lambda", id="lambda"),
    pytest.param("graph", Chain[str, int]().append_lambda(len).compile(), "four", "Chain", id="graph"),
]


@pytest.mark.parametrize(("adder", "node", "value", "component"), NODES)
async def test_every_kind_has_its_adder_and_is_recognised(adder: str, node: Any, value: Any, component: str) -> None:
    """1.10: `add_..._node`, `append_...`, and the two that infer the kind give the same."""
    named, inferred = Graph[Any, Any](), Graph[Any, Any]()
    getattr(named, "add_tools_node" if adder == "tools" else f"add_{adder}_node")("n", node)
    inferred.add_node("n", node)
    chains = [
        getattr(Chain[Any, Any](), "append_tools_node" if adder == "tools" else f"append_{adder}")(node, key="n"),
        Chain[Any, Any]().append(node, key="n"),
    ]
    results = []

    for graph in (named, inferred):
        graph.add_edge(START, "n").add_edge("n", END)
    for built in (named, inferred, *chains):
        runnable = built.compile()
        assert runnable.plan.stages[0].spec.body.component == component
        results.append(await runnable.invoke(value))
    assert results[1:] == results[:-1]


async def test_a_stream_may_have_to_be_awaited_first() -> None:
    """1.10: for components whose `stream` is a coroutine function."""
    runnable = Chain[list[Message], Message]().append_chat_model(AwaitedModel()).compile()

    async with runnable.stream([user_message("x")]) as reader:
        assert [chunk.content async for chunk in reader] == ["ch", "unks"]
    assert (await runnable.invoke([user_message("x")])).content == "whole"


def test_the_type_of_a_component_is_its_class_without_the_kind() -> None:
    """2.13: unless it says a name of its own."""
    chain = Chain[Any, Any]().append(EchoChatModel()).append(lambda message: message).append(MyToolsNode())
    chain.append(lambda messages: messages[0].content).append(MyRetriever()).append(Lambda(len, type="Len"))

    types = [stage.spec.body.type for stage in chain.compile().plan.stages if stage.spec.body is not None]

    assert types == ["Echo", "", "Mine", "", "My", "Len"]


@pytest.mark.parametrize(
    ("adder", "text"),
    [
        ("chat_model", "is no ChatModel: a chat model has"),
        ("chat_template", "is no ChatTemplate: make one with"),
        ("tools", "is no ToolsNode: make one with"),
        ("embedding", "is no Embedding: an embedder has"),
        ("retriever", "is no Retriever: a retriever has"),
        ("indexer", "is no Indexer: an indexer has"),
        ("loader", "is no Loader: a loader has"),
        ("document_transformer", "is no DocumentTransformer: a transformer has"),
        ("graph", "is no Graph, Chain or Workflow"),
    ],
)
def test_what_is_of_another_kind_is_refused(adder: str, text: str) -> None:
    """1.10: the remedy names the methods; a class is no instance."""
    chain = Chain[Any, Any]()
    append = getattr(chain, "append_tools_node" if adder == "tools" else f"append_{adder}")

    for wrong in (object(), EchoChatModel if adder == "chat_model" else object):
        with pytest.raises(BuildError, match=text):
            append(wrong)
    assert repr(chain).endswith("no nodes>")


def test_a_graph_is_no_lambda() -> None:
    """1.10: there is an adder for graphs."""
    for graph in (Graph(), Chain(), Chain[str, int]().append_lambda(len).compile()):
        with pytest.raises(BuildError, match="is a graph: use add_graph_node"):
            Graph().add_lambda_node("n", graph)


def test_graphs_show_what_they_are() -> None:
    """In error texts and debuggers."""
    chain = Chain[str, int]().append_lambda(len)
    graph = (
        Graph[str, dict[str, Any]]().add_graph_node("n", chain, output_key="k").add_edge(START, "n").add_edge("n", END)
    )

    assert repr(chain) == "<Chain[str, int]: node_0>"
    assert repr(graph) == "<Graph[str, dict[str, Any]]: n>"
    runnable = graph.compile(name="my graph")
    assert repr(runnable) == "<Runnable Graph[str, dict[str, Any]] 'my graph': n>"
    assert repr(chain.compile()) == "<Runnable Chain[str, int]: node_0>"
    assert (runnable.name, runnable.kind) == ("my graph", "Graph")
