"""`Workflow`: nodes that name what they need, down to single fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar, Unpack

from eino.compose._wiring import Wiring, wired
from eino.compose.body import Body
from eino.compose.branch import Branch
from eino.compose.builder import BuilderBase
from eino.compose.checks import type_text
from eino.compose.kinds import body_of, body_of_kind
from eino.compose.names import END, check_key, keys_text
from eino.compose.node import NodeOptions
from eino.compose.planner import CompileOptions, compile_graph
from eino.compose.runnable import Runnable
from eino.compose.workflow_node import WorkflowNode
from eino.errors import BuildError

__all__ = ["Workflow"]

I = TypeVar("I")  # noqa: E741 - input and output, as everywhere in eino
O = TypeVar("O")  # noqa: E741


class Workflow(BuilderBase[I, O]):
    """Nodes that say what they need of which other nodes: whole outputs, or fields of them.

    Each `add_..._node` returns the new `WorkflowNode`, whose `add_input` connects it; nodes may be added and connected
    in any order. A workflow runs in the DAG engine: each node once, as soon as all that it waits for is done or
    skipped; it has no loops. What does not fit is found by `compile`.
    """

    kind = "Workflow"

    def __init__(
        self,
        *,
        state: Callable[[], Any] | None = None,
        concat: Mapping[type, Callable[[Any], Any]] | None = None,
        merge: Mapping[type, Callable[[Any], Any]] | None = None,
    ) -> None:
        """Start an empty workflow; see `BuilderBase`."""
        super().__init__(state=state, concat=concat, merge=merge)
        self._nodes: dict[str, WorkflowNode] = {}
        self._end = WorkflowNode(END, self._check_open)
        self._branches: list[tuple[str, Branch]] = []

    def add_node(self, key: str, node: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a component, a function, or another graph as a node; its kind is inferred.

        Args:
            key: Name of the node in this workflow; no `/`, `:` or `;`.
            node: What runs: a model, template, tools node, retriever, ..., a `Lambda`, any function, a graph, chain or
                workflow.
            options: See `NodeOptions`.

        Raises:
            BuildError: If the key is taken or reserved, the node has no known kind, or an option is wrong.
        """
        return self._add(key, body_of(node, key), options)

    def add_lambda_node(self, key: str, function: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a function, or a `Lambda`, as a node."""
        return self._add(key, body_of_kind("Lambda", function, key), options)

    def add_chat_model_node(self, key: str, model: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a chat model: `list[Message]` to `Message`."""
        return self._add(key, body_of_kind("ChatModel", model, key), options)

    def add_chat_template_node(self, key: str, template: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a chat template: `dict[str, object]` to `list[Message]`."""
        return self._add(key, body_of_kind("ChatTemplate", template, key), options)

    def add_tools_node(self, key: str, tools: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a tools node: an assistant's `Message` to a `list[Message]` of results."""
        return self._add(key, body_of_kind("ToolsNode", tools, key), options)

    def add_embedding_node(self, key: str, embedder: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add an embedder: `list[str]` to `list[list[float]]`."""
        return self._add(key, body_of_kind("Embedding", embedder, key), options)

    def add_retriever_node(self, key: str, retriever: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a retriever: `str` to `list[Document]`."""
        return self._add(key, body_of_kind("Retriever", retriever, key), options)

    def add_indexer_node(self, key: str, indexer: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add an indexer: `list[Document]` to `list[str]`, the ids."""
        return self._add(key, body_of_kind("Indexer", indexer, key), options)

    def add_loader_node(self, key: str, loader: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a document loader: `Source` to `list[Document]`."""
        return self._add(key, body_of_kind("Loader", loader, key), options)

    def add_document_transformer_node(self, key: str, transformer: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a document transformer: `list[Document]` to `list[Document]`."""
        return self._add(key, body_of_kind("DocumentTransformer", transformer, key), options)

    def add_graph_node(self, key: str, graph: Any, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a graph, chain or workflow as one node; it is compiled with this one, with `compile_options=`."""
        return self._add(key, body_of_kind("Graph", graph, key), options)

    def add_passthrough_node(self, key: str, **options: Unpack[NodeOptions]) -> WorkflowNode:
        """Add a node that gives what it gets; with mappings, the dict that they make. It fires no callbacks."""
        return self._add(key, None, options)

    def end(self) -> WorkflowNode:
        """Return the end of the workflow: its input is the output of the run."""
        return self._end

    def add_branch(self, source: str, branch: Branch) -> Self:
        """Let `branch` choose which nodes run after `source`.

        It passes no data: the chosen nodes need inputs of their own, data-only ones of `source` for example. Nodes
        that no branch chooses are skipped, and so is what only they would run.

        Raises:
            BuildError: If `branch` is no branch, or `source` is the end.
        """
        self._check_open()
        if not isinstance(branch, Branch):
            raise BuildError(f"add_branch({source!r}, {branch!r}): give a Branch(condition, ends=...)")
        if source == END:
            raise BuildError("END cannot be a start node: nothing follows the end of a workflow")
        self._branches.append((source, branch))
        return self

    def compile(self, **options: Unpack[CompileOptions]) -> Runnable[I, O]:
        """Return the workflow as something that runs; afterwards it cannot be changed.

        Args:
            options: See `CompileOptions`; `trigger`, `eager` and `max_steps` have no meaning in workflows.

        Raises:
            BuildError: If a node is missing, types or paths do not fit, a part of an input is given twice, data
                cannot come in time, there is a loop, or an option is wrong.
        """
        if "trigger" in options or "eager" in options:
            raise BuildError(
                "Workflow doesn't support node trigger mode option: it is always a DAG whose nodes start as soon as "
                "they can; leave trigger and eager out, or use a Graph"
            )
        input_type, output_type = self._types
        topology, table = wired(
            Wiring(
                specs=self._topology.nodes,
                nodes={**self._nodes, END: self._end},
                branches=tuple(self._branches),
                input_type=input_type,
                output_type=output_type,
                concat=self._concat,
            )
        )
        runnable: Runnable[I, O] = compile_graph(self, topology, table, table.unknown(), {**options, "trigger": "all"})
        self._compiled = True
        return runnable

    def _add(self, key: str, body: Body | None, options: NodeOptions) -> WorkflowNode:
        self._check_open()
        check_key(key)
        if key in self._nodes:
            raise BuildError(f"node {key!r} already present: keys are unique in a workflow")
        self._topology.nodes[key] = self._spec(key, body, options)
        node = self._nodes[key] = WorkflowNode(key, self._check_open)
        return node

    def _check_open(self) -> None:
        if self._compiled:
            raise BuildError("workflow has been compiled, cannot be modified: build a new one")

    def __repr__(self) -> str:
        takes, gives = (type_text(each) for each in self._types)
        return f"<Workflow[{takes}, {gives}]: {keys_text(self._nodes)}>"
