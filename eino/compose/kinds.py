"""The kinds of node: how a component of each is recognised and called, and what it takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eino.components.embedder import Embedder, EmbedderOptions
from eino.components.indexer import Indexer, IndexerOptions
from eino.components.loader import Loader, LoaderOptions, Source
from eino.components.model import ChatModel, ModelOptions
from eino.components.prompt import ChatTemplate
from eino.components.retriever import Retriever, RetrieverOptions
from eino.components.transformer import Transformer, TransformerOptions
from eino.compose.body import Body, Shape, ShapeKind
from eino.compose.builder import BuilderBase
from eino.compose.lambdas import Lambda
from eino.compose.runnable import Runnable
from eino.errors import BuildError
from eino.schema.document import Document
from eino.schema.message import Message

__all__ = ["body_of", "body_of_kind", "graph_body"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of component."""

    name: str
    """As `RunInfo.component` shows it."""
    methods: Mapping[ShapeKind, str]
    """The method for each shape; all must be there."""
    input_type: Any
    output_type: Any
    options_type: type | None
    """Class of the options that a call may give it; None if it takes none."""
    protocol: Any = None
    """Type under which call options address all components of the kind."""
    remedy: str = ""


_KINDS = (
    Kind(
        "ChatModel",
        {"invoke": "generate", "stream": "stream"},
        Sequence[Message],
        Message,
        ModelOptions,
        ChatModel,
        "a chat model has `async def generate(messages, options)` and `def stream(messages, options)`",
    ),
    Kind(
        "ChatTemplate",
        {"invoke": "format"},
        dict[str, Any],
        list[Message],
        None,
        ChatTemplate,
        "make one with ChatTemplate.from_messages(...)",
    ),
    Kind(
        "ToolsNode",
        {"invoke": "invoke", "stream": "stream"},
        Message,
        list[Message],
        object,
        None,
        "make one with ToolsNode(tools)",
    ),
    Kind(
        "Embedding",
        {"invoke": "embed"},
        list[str],
        list[list[float]],
        EmbedderOptions,
        Embedder,
        "an embedder has `async def embed(texts, options)`",
    ),
    Kind(
        "Retriever",
        {"invoke": "retrieve"},
        str,
        list[Document],
        RetrieverOptions,
        Retriever,
        "a retriever has `async def retrieve(query, options)`",
    ),
    Kind(
        "Indexer",
        {"invoke": "store"},
        Sequence[Document],
        list[str],
        IndexerOptions,
        Indexer,
        "an indexer has `async def store(documents, options)`",
    ),
    Kind(
        "Loader",
        {"invoke": "load"},
        Source,
        list[Document],
        LoaderOptions,
        Loader,
        "a loader has `async def load(source, options)`",
    ),
    Kind(
        "DocumentTransformer",
        {"invoke": "transform"},
        Sequence[Document],
        list[Document],
        TransformerOptions,
        Transformer,
        "a transformer has `async def transform(documents, options)`",
    ),
)
_BY_NAME = {kind.name: kind for kind in _KINDS}


def body_of(node: Any, key: str) -> Body:
    """Return what a node can do, its kind inferred.

    Raises:
        BuildError: If it has no known kind.
    """
    if isinstance(node, (BuilderBase, Runnable)):
        return graph_body(node)
    if isinstance(node, Lambda):
        return node.body
    named = getattr(node, "component", None)
    if isinstance(named, str) and named in _BY_NAME:
        return _component(node, _BY_NAME[named])
    if not isinstance(node, type):
        for kind in _KINDS:
            if kind.name != "ToolsNode" and _has(node, kind):
                return _component(node, kind)
    if callable(node):
        return Lambda(node).body
    raise BuildError(
        f"node {key!r}: {node!r} is no component, function or graph; "
        "the kinds are " + ", ".join((*_BY_NAME, "Lambda", "Graph", "Chain", "Workflow"))
    )


def body_of_kind(name: str, node: Any, key: str) -> Body:
    """Return what a node of a given kind can do.

    Raises:
        BuildError: If it is of another kind.
    """
    if name == "Lambda":
        if isinstance(node, Lambda):
            return node.body
        if isinstance(node, (BuilderBase, Runnable)):
            raise BuildError(f"node {key!r}: {node!r} is a graph: use add_graph_node")
        return Lambda(node).body
    if name == "Graph":
        if isinstance(node, (BuilderBase, Runnable)):
            return graph_body(node)
        raise BuildError(f"node {key!r}: {node!r} is no Graph, Chain or Workflow")
    kind = _BY_NAME[name]
    if isinstance(node, type) or not _has(node, kind):
        raise BuildError(f"node {key!r}: {node!r} is no {name}: {kind.remedy}")
    return _component(node, kind)


def graph_body(graph: Any) -> Body:
    """Return the body of a graph as a node; how to call it is known when the outer graph is compiled."""
    return Body(
        shapes={},
        input_type=graph.input_type,
        output_type=graph.output_type,
        component=graph.kind,
        instance=graph,
        self_instrumented=True,
    )


def _has(node: Any, kind: Kind) -> bool:
    return all(callable(getattr(node, method, None)) for method in kind.methods.values())


def _component(node: Any, kind: Kind) -> Body:
    shapes = {
        shape: Shape.of_method(getattr(node, method), gives_stream=shape in ("stream", "transform"))
        for shape, method in kind.methods.items()
    }
    return Body(
        shapes=shapes,
        input_type=kind.input_type,
        output_type=kind.output_type,
        component=kind.name,
        type=_type_name(node, kind.name),
        instance=node,
        self_instrumented=bool(getattr(node, "self_instrumented", False)),
        options_type=kind.options_type,
        option_kinds=tuple(each for each in (kind.protocol, type(node)) if each is not None),
    )


def _type_name(node: Any, kind: str) -> str:
    """Return the implementation's name without the kind: `OpenAIChatModel` is `OpenAI`, `ToolsNode` has none."""
    named = getattr(node, "type_name", None)
    if isinstance(named, str):
        return named
    name = type(node).__name__
    return name.removesuffix(kind)
