"""`Chain`: a line of nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar, Unpack

from eino.compose.builder import BuilderBase
from eino.compose.chain_options import ChainNodeOptions
from eino.compose.graph import Graph
from eino.compose.names import END, START
from eino.compose.node import NodeOptions
from eino.compose.parallel import ChainBranch, Named, Parallel
from eino.compose.planner import CompileOptions
from eino.compose.runnable import Runnable
from eino.compose.topology import PlacedBranch
from eino.errors import BuildError

__all__ = ["Chain"]

I = TypeVar("I")  # noqa: E741 - input and output, as everywhere in eino
O = TypeVar("O")  # noqa: E741


class Chain(BuilderBase[I, O]):
    """Components in a line: each gets what the one before gives.

    Each `append_...` returns the chain, so that calls can be chained; it checks at once that the new node fits. A
    chain compiles to the same thing as a graph and runs in the Pregel engine.
    """

    kind = "Chain"

    def __init__(
        self,
        *,
        state: Callable[[], Any] | None = None,
        concat: Mapping[type, Callable[[Any], Any]] | None = None,
        merge: Mapping[type, Callable[[Any], Any]] | None = None,
    ) -> None:
        """Start an empty chain; see `BuilderBase`."""
        super().__init__(state=state, concat=concat, merge=merge)
        self._graph: Graph[Any, Any] | None = None
        self._last: tuple[str, ...] = (START,)
        self._count = 0

    def append(self, node: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a component, a function or a graph; its kind is inferred.

        Raises:
            BuildError: If it has no known kind, an option is wrong, or it does not fit behind the last node.
        """
        return self._append("add_node", node, options)

    def append_lambda(self, function: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a function, or a `Lambda`."""
        return self._append("add_lambda_node", function, options)

    def append_chat_model(self, model: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a chat model: `list[Message]` to `Message`."""
        return self._append("add_chat_model_node", model, options)

    def append_chat_template(self, template: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a chat template: `dict[str, object]` to `list[Message]`."""
        return self._append("add_chat_template_node", template, options)

    def append_tools_node(self, tools: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a tools node: an assistant's `Message` to a `list[Message]` of results."""
        return self._append("add_tools_node", tools, options)

    def append_embedding(self, embedder: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append an embedder: `list[str]` to `list[list[float]]`."""
        return self._append("add_embedding_node", embedder, options)

    def append_retriever(self, retriever: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a retriever: `str` to `list[Document]`."""
        return self._append("add_retriever_node", retriever, options)

    def append_indexer(self, indexer: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append an indexer: `list[Document]` to `list[str]`, the ids."""
        return self._append("add_indexer_node", indexer, options)

    def append_loader(self, loader: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a document loader: `Source` to `list[Document]`."""
        return self._append("add_loader_node", loader, options)

    def append_document_transformer(self, transformer: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a document transformer: `list[Document]` to `list[Document]`."""
        return self._append("add_document_transformer_node", transformer, options)

    def append_graph(self, graph: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a graph, chain or workflow as one node."""
        return self._append("add_graph_node", graph, options)

    def append_passthrough(self, **options: Unpack[ChainNodeOptions]) -> Self:
        """Append a node that gives what it gets."""
        key, rest = self._key(options)
        self._inner().add_passthrough_node(key, **rest)
        return self._connected(key)

    def append_parallel(self, parallel: Parallel) -> Self:
        """Append nodes that run beside each other; what follows gets a dict of their outputs.

        Raises:
            BuildError: If there are fewer than two, one does not fit, or a parallel or branch stands directly before.
        """
        if not isinstance(parallel, Parallel):
            raise BuildError(f"append_parallel({parallel!r}): give a Parallel")
        if len(parallel.nodes) < 2:
            raise BuildError(
                f"append parallel invalid, not enough nodes, count = {len(parallel.nodes)}: one node needs no parallel"
            )
        before = self._only_last("parallel")
        keys = self._add_all(
            parallel.nodes, [f"parallel_{index}" for index in range(len(parallel.nodes))], "output_key"
        )
        inner = self._inner()
        try:
            for key in keys:
                inner.add_edge(before, key)
        except BuildError:
            self._take_back(keys)
            raise
        return self._followed_by(keys)

    def append_branch(self, branch: ChainBranch) -> Self:
        """Append a choice between nodes; what follows gets the output of the one that was chosen.

        Raises:
            BuildError: If there are fewer than two, one does not fit, or a parallel or branch stands directly before.
        """
        if not isinstance(branch, ChainBranch):
            raise BuildError(f"append_branch({branch!r}): give a ChainBranch")
        if len(branch.nodes) < 2:
            raise BuildError(
                f"append branch invalid, not enough nodes, nodeList length = {len(branch.nodes)}: a choice needs two"
            )
        before = self._only_last("branch")
        keys = self._add_all(branch.nodes, [f"branch_{named.name}" for named in branch.nodes], None)
        targets = {named.name: key for named, key in zip(branch.nodes, keys, strict=True)}
        try:
            self._inner().place_branch(PlacedBranch(before, branch.branch(), targets=targets))
        except BuildError:
            self._take_back(keys)
            raise
        return self._followed_by(keys)

    def _only_last(self, what: str) -> str:
        """Return the one node before, or refuse: a parallel or branch cannot follow another one directly."""
        if self._compiled:
            raise BuildError("chain has been compiled, cannot be modified: build a new one")
        if len(self._last) != 1:
            raise BuildError(
                f"append {what} invalid, multiple previous nodes: {list(self._last)}: "
                "put a node between, such as append_passthrough()"
            )
        return self._last[0]

    def _add_all(self, nodes: list[Named], suffixes: list[str], named_option: str | None) -> tuple[str, ...]:
        """Add all nodes of a collection, or none."""
        inner = self._inner()
        added: list[str] = []
        try:
            for named, suffix in zip(nodes, suffixes, strict=True):
                options: dict[str, Any] = dict(named.options)
                key = options.pop("key", f"node_{self._count}_{suffix}")
                if named_option is not None:
                    options[named_option] = named.name
                node = () if named.adder == "add_passthrough_node" else (named.node,)
                getattr(inner, named.adder)(key, *node, **options)
                added.append(key)
        except BuildError:
            self._take_back(tuple(added))
            raise
        return tuple(added)

    def _take_back(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            self._inner().take_back(key)

    def _followed_by(self, keys: tuple[str, ...]) -> Self:
        self._last = keys
        self._count += 1
        return self

    def compile(self, **options: Unpack[CompileOptions]) -> Runnable[I, O]:
        """Return the chain as something that runs; afterwards it cannot be changed.

        Raises:
            BuildError: If the chain is empty, its last node does not fit its output type, or an option is wrong.
        """
        if "trigger" in options or "eager" in options:
            raise BuildError(
                "Chain doesn't support node trigger mode option: leave trigger and eager out, or use a Graph"
            )
        inner = self._inner()
        if self._last == (START,):
            raise BuildError("pre node keys not set, number of nodes in chain= 0: append at least one node")
        if not self._compiled:
            self._end(inner)
        try:
            runnable: Runnable[I, O] = inner.compile(**options)
        except Exception:  # a BuildError, or whatever a compile callback raises
            if not self._compiled:
                inner.disconnect(END)
            raise
        self._compiled = True
        return runnable

    def _end(self, inner: Graph[Any, Any]) -> None:
        """Connect the last nodes with the end, or none of them if one does not fit."""
        try:
            for last in self._last:
                inner.add_edge(last, END)
        except BuildError:
            inner.disconnect(END)
            raise

    def _append(self, adder: str, node: Any, options: ChainNodeOptions) -> Self:
        key, rest = self._key(options)
        getattr(self._inner(), adder)(key, node, **rest)
        return self._connected(key)

    def _key(self, options: ChainNodeOptions) -> tuple[str, NodeOptions]:
        if self._compiled:
            raise BuildError("chain has been compiled, cannot be modified: build a new one")
        rest = dict(options)
        key = rest.pop("key", f"node_{self._count}")
        return key, rest  # type: ignore[return-value]  # without `key` these are node options

    def _connected(self, key: str) -> Self:
        """Connect the new node with the last ones, or take it back if it does not fit."""
        inner = self._inner()
        try:
            for last in self._last:
                inner.add_edge(last, key)
        except BuildError:
            inner.take_back(key)
            raise
        return self._followed_by((key,))

    def _inner(self) -> Graph[Any, Any]:
        """Return the graph that the chain builds; made late, because `Chain[I, O]` is not known in `__init__`."""
        if self._graph is None:
            self._graph = Graph.like(self)
        return self._graph

    def __repr__(self) -> str:
        return repr(self._inner())
