"""The texts in pictures of graphs."""

from __future__ import annotations

from eino.compose.introspect import NodeInfo

__all__ = ["node_label", "short"]


def node_label(node: NodeInfo) -> str:
    """Return what stands in the box of a node: its name and its kind."""
    kind = f"{node.type} {node.component}".strip() if node.type else node.component
    return f"{node.name} ({kind})"


def short(name: str) -> str:
    """Return the name of a function without its module."""
    return name.rpartition(".")[2]
