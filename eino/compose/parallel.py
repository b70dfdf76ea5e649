"""What a chain has beside single nodes: `Parallel` and `ChainBranch`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, Unpack

from eino.compose.branch import Branch
from eino.compose.chain_options import ChainNodeOptions
from eino.compose.names import keys_text
from eino.compose.signature import callable_name
from eino.errors import BuildError

__all__ = ["ChainBranch", "Named", "Parallel"]


@dataclass(frozen=True, slots=True)
class Named:
    """A node under a name that only its collection knows."""

    name: str
    adder: str
    """Method of `Graph` that adds such a node."""
    node: Any
    options: ChainNodeOptions


class _Nodes:
    """Nodes by name, gathered until a chain takes them in."""

    _what = "nodes"
    _name = "name"

    def __init__(self) -> None:
        self.nodes: list[Named] = []

    def add(self, label: str, node: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a component, a function or a graph; its kind is inferred."""
        return self._add(Named(label, "add_node", node, options))

    def add_lambda(self, label: str, function: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a function, or a `Lambda`."""
        return self._add(Named(label, "add_lambda_node", function, options))

    def add_chat_model(self, label: str, model: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a chat model."""
        return self._add(Named(label, "add_chat_model_node", model, options))

    def add_chat_template(self, label: str, template: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a chat template."""
        return self._add(Named(label, "add_chat_template_node", template, options))

    def add_tools_node(self, label: str, tools: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a tools node."""
        return self._add(Named(label, "add_tools_node", tools, options))

    def add_embedding(self, label: str, embedder: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add an embedder."""
        return self._add(Named(label, "add_embedding_node", embedder, options))

    def add_retriever(self, label: str, retriever: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a retriever."""
        return self._add(Named(label, "add_retriever_node", retriever, options))

    def add_indexer(self, label: str, indexer: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add an indexer."""
        return self._add(Named(label, "add_indexer_node", indexer, options))

    def add_loader(self, label: str, loader: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a document loader."""
        return self._add(Named(label, "add_loader_node", loader, options))

    def add_document_transformer(self, label: str, transformer: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a document transformer."""
        return self._add(Named(label, "add_document_transformer_node", transformer, options))

    def add_graph(self, label: str, graph: Any, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a graph, chain or workflow as one node."""
        return self._add(Named(label, "add_graph_node", graph, options))

    def add_passthrough(self, label: str, **options: Unpack[ChainNodeOptions]) -> Self:
        """Add a node that gives what it gets."""
        return self._add(Named(label, "add_passthrough_node", None, options))

    def _add(self, named: Named) -> Self:
        if not isinstance(named.name, str) or not named.name:
            raise BuildError(f"{self._what} add node err, {self._name} must be a non-empty string, got {named.name!r}")
        if any(known.name == named.name for known in self.nodes):
            raise BuildError(
                f"{self._what} add node err, duplicate {self._name}= {named.name}: each node needs one of its own"
            )
        self.nodes.append(named)
        return self


class Parallel(_Nodes):
    """Nodes that all get the same input beside each other; together they give a dict with one key for each.

    The first argument of every `add...` is the key under which the node's output comes out.
    """

    _what = "parallel"
    _name = "output key"

    def _add(self, named: Named) -> Self:
        if "output_key" in named.options:
            raise BuildError(
                f"parallel add node err, output_key={named.options['output_key']!r} beside {named.name!r}: "
                "the first argument is the output key"
            )
        return super()._add(named)

    def __repr__(self) -> str:
        return f"<Parallel: {keys_text([named.name for named in self.nodes])}>"


class ChainBranch(_Nodes):
    """A choice between nodes: the condition returns the name of one, or several as a set, list or tuple.

    The condition takes a value or a stream and may be plain or async, as for `Branch`.
    """

    _what = "branch"
    _name = "branch key"

    def __init__(self, condition: Callable[..., Any]) -> None:
        """Make a choice; add the nodes to choose from afterwards."""
        super().__init__()
        Branch(condition, ["checked here"])  # refuses what is no condition where the mistake is
        self._condition = condition

    def branch(self) -> Branch:
        """Return the choice over the names of the nodes."""
        return Branch(self._condition, [named.name for named in self.nodes])

    def __repr__(self) -> str:
        return f"<ChainBranch {callable_name(self._condition)}: {keys_text([named.name for named in self.nodes])}>"
