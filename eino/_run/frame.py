"""The private run context: one mutable frame per line of execution.

A frame is set once per run and once per parallel task (a set per node would cost more than a node does); the runner
only stores the index of the node in it. Everything that user code may see is an immutable snapshot, made on demand
(`eino._run.context`).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol, cast

from eino._run.address import AddressSegment
from eino._run.state import StateLevel

__all__ = ["GRAPH_LEVEL", "Frame", "GraphView", "NodeFrame", "current", "here"]

GRAPH_LEVEL = -1
"""Value of `Frame.node` while no node runs: the graph itself is starting, routing or ending."""


class GraphView(Protocol):
    """What a frame needs to know of the graph that runs in it."""

    @property
    def name(self) -> str:
        """Name that it was compiled with."""
        ...

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of its nodes, by index."""
        ...


class Frame:
    """Where one line of execution is: which graph, which node, under which frame.

    Attributes:
        graph: The compiled graph that runs here.
        node: Index of the running node in `graph.keys`, or `GRAPH_LEVEL`.
        parent: Frame of the node in which this graph runs; None for the outermost graph.
        observer: Who hears of the run (`eino.callbacks`); None when nobody listens.
        state: Innermost state level; None when no enclosing graph has a state.
        seq: Number of this graph run, when observed or asked for; 0 before.
        node_seq: Number of the running node's invocation, when observed; 0 otherwise.
        place: Segments below the node (the tool call that runs), innermost last.
        attempt: 1 for the first try of the running node, 2 for its first retry.
        extra: What only some runs need, owned by the runner.
        nth: Tells graphs of one name apart that one node invokes in turn; empty for the first.
    """

    is_node = False
    """Whether this graph run is itself a node of the graph in `parent` (else it was invoked inside that node)."""

    # Most runs set nothing but the slots; the rest are class attributes until they are set.
    __slots__ = ("__dict__", "graph", "node", "observer", "parent", "place", "state")

    seq: int = 0
    node_seq: int = 0
    attempt: int = 1
    extra: Any = None
    nth: str = ""

    def __init__(self, graph: GraphView, parent: Frame | None, observer: Any, state: StateLevel | None) -> None:
        self.graph = graph
        self.parent = parent
        self.observer = observer
        self.state = state
        self.node = GRAPH_LEVEL
        self.place: tuple[AddressSegment, ...] = ()

    def branch_off(self, node: int) -> Frame:
        """Return a frame for a task that runs `node` beside others of the same graph run."""
        twin = type(self)(self.graph, self.parent, self.observer, self.state)
        twin.node = node
        if self.seq:
            twin.seq = self.seq
            twin.node_seq = self.node_seq
        twin.place = self.place
        if self.attempt != 1:
            twin.attempt = self.attempt
        if self.extra is not None:
            twin.extra = self.extra
            if self.nth:
                twin.nth = self.nth
        return twin

    def at(self, segment: AddressSegment) -> Frame:
        """Return a frame for work below the running node, such as one tool call."""
        twin = self.branch_off(self.node)
        twin.place = (*self.place, segment)
        return twin

    def path(self) -> tuple[str, ...]:
        """Return the node keys from the outermost graph down to the running node."""
        keys: list[str] = []
        frame: Frame | None = self
        while frame is not None:
            if frame.node >= 0:
                keys.append(frame.graph.keys[frame.node])
            frame = frame.parent
        return tuple(reversed(keys))


class NodeFrame(Frame):
    """The frame of a graph that is a node of another graph; it adds no segment of its own to addresses."""

    is_node = True


current: ContextVar[Frame | None] = ContextVar("eino_frame", default=None)
"""The frame of the running line of execution; None outside every run."""

here = cast("ContextVar[Frame]", current)
"""The same variable, for code that only ever runs inside a run."""
