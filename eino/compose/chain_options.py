"""The options of nodes in a chain."""

from __future__ import annotations

from eino.compose.node import NodeOptions

__all__ = ["ChainNodeOptions"]


class ChainNodeOptions(NodeOptions, total=False):
    """Keywords of every `append_...` of a chain, and of every `add...` of a `Parallel` or `ChainBranch`."""

    key: str
    """Key of the node in options, paths and errors; `node_0`, `node_1_parallel_0`, ... when not given."""
