"""`Graph`: nodes and edges in any topology, loops included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar, Unpack

from eino.compose.body import Body
from eino.compose.branch import Branch
from eino.compose.builder import BuilderBase
from eino.compose.checks import type_text
from eino.compose.kinds import body_of, body_of_kind
from eino.compose.names import END, START, check_key, keys_text
from eino.compose.node import NodeOptions, NodeSpec
from eino.compose.planner import CompileOptions, compile_graph
from eino.compose.runnable import Runnable
from eino.compose.topology import DataEdge, PlacedBranch
from eino.compose.types import UNKNOWN, EdgeTypes, TypeTable
from eino.errors import BuildError

__all__ = ["Graph"]

I = TypeVar("I")  # noqa: E741 - input and output, as everywhere in eino
O = TypeVar("O")  # noqa: E741


class Graph(BuilderBase[I, O]):
    """Nodes connected by edges and branches.

    Each `add_...` call checks what it adds, types included, and raises `BuildError` if it cannot work; the graph is
    then as it was before and can still be used. Compiled graphs cannot be changed.
    """

    def __init__(
        self,
        *,
        state: Callable[[], Any] | None = None,
        concat: Mapping[type, Callable[[Any], Any]] | None = None,
        merge: Mapping[type, Callable[[Any], Any]] | None = None,
    ) -> None:
        """Start an empty graph; see `BuilderBase`."""
        super().__init__(state=state, concat=concat, merge=merge)
        self._type_table: TypeTable | None = None

    @classmethod
    def like(cls, other: BuilderBase[Any, Any]) -> Graph[Any, Any]:
        """Return an empty graph with the types, state, registries and kind of `other`, which builds on it."""
        graph: Graph[Any, Any] = cls()
        graph._given_types = other._types
        graph._state, graph._concat, graph._merge = other._state, other._concat, other._merge
        graph.kind = other.kind
        return graph

    def add_node(self, key: str, node: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a component, a function, or another graph as a node; its kind is inferred.

        Args:
            key: Name of the node in this graph; no `/`, `:` or `;`.
            node: What runs: a model, template, tools node, retriever, ..., a `Lambda`, any function, a graph, chain or
                workflow.
            options: See `NodeOptions`.

        Raises:
            BuildError: If the key is taken or reserved, the node has no known kind, or an option is wrong.
        """
        return self._add(key, body_of(node, key), options)

    def add_lambda_node(self, key: str, function: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a function, or a `Lambda`, as a node."""
        return self._add(key, body_of_kind("Lambda", function, key), options)

    def add_chat_model_node(self, key: str, model: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a chat model: `list[Message]` to `Message`."""
        return self._add(key, body_of_kind("ChatModel", model, key), options)

    def add_chat_template_node(self, key: str, template: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a chat template: `dict[str, object]` to `list[Message]`."""
        return self._add(key, body_of_kind("ChatTemplate", template, key), options)

    def add_tools_node(self, key: str, tools: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a tools node: an assistant's `Message` to a `list[Message]` of results."""
        return self._add(key, body_of_kind("ToolsNode", tools, key), options)

    def add_embedding_node(self, key: str, embedder: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add an embedder: `list[str]` to `list[list[float]]`."""
        return self._add(key, body_of_kind("Embedding", embedder, key), options)

    def add_retriever_node(self, key: str, retriever: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a retriever: `str` to `list[Document]`."""
        return self._add(key, body_of_kind("Retriever", retriever, key), options)

    def add_indexer_node(self, key: str, indexer: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add an indexer: `list[Document]` to `list[str]`, the ids."""
        return self._add(key, body_of_kind("Indexer", indexer, key), options)

    def add_loader_node(self, key: str, loader: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a document loader: `Source` to `list[Document]`."""
        return self._add(key, body_of_kind("Loader", loader, key), options)

    def add_document_transformer_node(self, key: str, transformer: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a document transformer: `list[Document]` to `list[Document]`."""
        return self._add(key, body_of_kind("DocumentTransformer", transformer, key), options)

    def add_graph_node(self, key: str, graph: Any, **options: Unpack[NodeOptions]) -> Self:
        """Add a graph, chain or workflow as one node; it is compiled with this one, with `compile_options=`."""
        return self._add(key, body_of_kind("Graph", graph, key), options)

    def add_passthrough_node(self, key: str, **options: Unpack[NodeOptions]) -> Self:
        """Add a node that gives what it gets. Its type follows from its neighbours; it fires no callbacks."""
        return self._add(key, None, options)

    def add_edge(self, source: str, target: str) -> Self:
        """Let `target` run after `source`, with what it gives.

        Raises:
            BuildError: If a node is missing, the edge is there already, or the types can never fit.
        """
        self._check_open()
        self._check_source(source)
        self._check_target(target)
        if (source, target) in self._topology.control:
            raise BuildError(f"control edge[{source}]-[{target}] have been added yet: remove one of the two calls")
        what = (
            f"graph edge[{source}]-[{target}]: start node's output type[{{source}}] and end node's input "
            "type[{wanted}] mismatch: convert between them in a lambda node"
        )
        self._table().add_use(EdgeTypes(source, target, UNKNOWN, what))
        self._topology.control.append((source, target))
        self._topology.data.append(DataEdge(source, target))
        return self

    def add_branch(self, source: str, branch: Branch) -> Self:
        """Let `branch` choose which nodes run after `source`.

        Raises:
            BuildError: If a node is missing, or the types can never fit.
        """
        self._check_open()
        if not isinstance(branch, Branch):
            raise BuildError(f"add_branch({source!r}, {branch!r}): give a Branch(condition, ends=...)")
        return self.place_branch(PlacedBranch(source, branch))

    def place_branch(self, placed: PlacedBranch) -> Self:
        """Add a branch whose ends may stand for nodes with other keys; chains use it."""
        source = placed.source
        self._check_source(source)
        for end in placed.ends:
            self._check_target(end)
        trial = self._table().copy()
        condition = (
            f"branch of node[{source}]: condition's input type[{{wanted}}] and start node[{source}]'s output "
            "type[{source}] are mismatched"
        )
        trial.add_use(EdgeTypes(source, "", placed.branch.input_type, condition))
        for end in placed.ends:
            what = (
                f"graph edge[{source}]-[{end}] of a branch: start node's output type[{{source}}] and end node's input "
                "type[{wanted}] mismatch: convert between them in a lambda node"
            )
            trial.add_use(EdgeTypes(source, end, UNKNOWN, what))
        self._type_table = trial
        self._topology.branches.append(placed)
        return self

    def compile(self, **options: Unpack[CompileOptions]) -> Runnable[I, O]:
        """Return the graph as something that runs; afterwards the graph cannot be changed.

        Args:
            options: See `CompileOptions`.

        Raises:
            BuildError: If the start or the end is not connected, a type cannot be inferred, a DAG has a loop, or an
                option is wrong.
        """
        unknown = self._table().unknown()
        runnable: Runnable[I, O] = compile_graph(self, self._topology, self._table(), unknown, options)
        self._compiled = True
        return runnable

    def _add(self, key: str, body: Body | None, options: NodeOptions) -> Self:
        self._check_open()
        check_key(key)
        if key in self._topology.nodes:
            raise BuildError(f"node {key!r} already present: keys are unique in a graph")
        self._place(self._spec(key, body, options))
        return self

    def _place(self, spec: NodeSpec) -> None:
        self._table().add_node(spec.key, spec.input_type, spec.output_type)
        self._topology.nodes[spec.key] = spec

    def take_back(self, key: str) -> None:
        """Remove a node that was just added and all edges to it: it did not fit where a chain wanted it."""
        self.disconnect(key)
        self._topology.nodes.pop(key, None)
        self._table().remove(key)

    def disconnect(self, key: str) -> None:
        """Remove all edges to and from a node, or to the end."""
        self._topology.control[:] = [pair for pair in self._topology.control if key not in pair]
        self._topology.data[:] = [edge for edge in self._topology.data if key not in (edge.source, edge.target)]
        self._topology.branches[:] = [each for each in self._topology.branches if key not in (each.source, *each.ends)]
        self._table().disconnect(key)

    def _table(self) -> TypeTable:
        """Return the types along the edges; made late, because `Graph[I, O]` is not known in `__init__`."""
        if self._type_table is None:
            input_type, output_type = self._types
            self._type_table = TypeTable({END: output_type}, {START: input_type})
        return self._type_table

    def _check_open(self) -> None:
        if self._compiled:
            raise BuildError(f"{self.kind.lower()} has been compiled, cannot be modified: build a new one")

    def _check_source(self, key: str) -> None:
        if key == END:
            raise BuildError("END cannot be a start node: nothing follows the end of a graph")
        if key != START and key not in self._topology.nodes:
            raise BuildError(f"edge start node {key!r} needs to be added to graph first; {self._known()}")

    def _check_target(self, key: str) -> None:
        if key == START:
            raise BuildError("START cannot be an end node: nothing leads back to the start of a graph")
        if key != END and key not in self._topology.nodes:
            raise BuildError(f"edge end node {key!r} needs to be added to graph first; {self._known()}")

    def _known(self) -> str:
        return f"the nodes are {', '.join(map(repr, self._topology.nodes)) or 'none yet'}"

    def __repr__(self) -> str:
        takes, gives = (type_text(each) for each in self._types)
        return f"<{self.kind}[{takes}, {gives}]: {keys_text(self._topology.nodes)}>"
