"""The snapshot of one graph of a run: what is about to run with which input, what has ended, what waits.

Plain data with node keys, so that it can be stored, read by people and migrated. A value is kept in a list of one;
the list is empty where a stream ended without a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eino._run.state import StateLevel
from eino.compose.mode import Mode
from eino.compose.plan import Plan
from eino.compose.stage import concat_stream
from eino.errors import CorruptCheckpointError, EndOfStream, RunError
from eino.schema.stream import StreamReader

__all__ = ["Box", "Snapshot", "boxed", "key_index", "unboxed"]

Box = list[Any]
"""One stored value, or none."""


@dataclass(slots=True)
class Snapshot:
    """Where a graph stands. Nodes by key; `"start"` stands for the start, `"end"` for the end."""

    step: int
    """How many steps have begun."""
    todo: list[tuple[str, Box]]
    """Nodes to run, with their inputs."""
    done: list[tuple[str, Box]] = field(default_factory=list)
    """Nodes of the running step that have ended, with their outputs, which are not sent on yet."""
    dag: dict[str, Any] | None = None
    """Progress of a DAG; None for Pregel graphs."""
    state: Box = field(default_factory=list)
    """State of the graph, if it has one."""

    def dump(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "step": self.step,
            "todo": [[key, box] for key, box in self.todo],
            "done": [[key, box] for key, box in self.done],
            "dag": self.dag,
            "state": self.state,
        }

    @classmethod
    def load(cls, data: Any) -> Snapshot:
        """Return the snapshot that `dump` made `data` of.

        Raises:
            CorruptCheckpointError: If it did not.
        """
        try:
            return cls(
                step=data["step"],
                todo=[(key, box) for key, box in data["todo"]],
                done=[(key, box) for key, box in data["done"]],
                dag=data["dag"],
                state=data["state"],
            )
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptCheckpointError("the stored place of a graph is not as eino writes it") from error


async def boxed(value: Any, mode: Mode, plan: Plan) -> Box:
    """Return a value of the run as it is stored; a stream is read to its end."""
    if not mode.on_stream:
        return [value]
    chunks: list[Any] = []
    async with value as reader:
        try:
            while True:
                chunks.append(await reader.recv())
        except EndOfStream:
            pass
    return [await concat_stream(StreamReader.from_iterable(chunks), plan.concat)] if chunks else []


def unboxed(box: Box, mode: Mode) -> Any:
    """Return a stored value as the run takes it: in stream runs a stream of one chunk."""
    if mode.on_stream:
        return StreamReader.from_iterable(tuple(box))
    return box[0] if box else None


def state_box(level: StateLevel | None) -> Box:
    """Return the state of a graph as it is stored."""
    return [] if level is None else [level.value]


def key_index(plan: Plan, key: str) -> int:
    """Return the index of a node.

    Raises:
        RunError: If there is no such node: the graph changed and nobody migrated the snapshot.
    """
    if key == "start":
        return -1
    if key == "end":
        return plan.end
    if key not in plan.keys:
        raise RunError(f"the stored run stands at node {key!r}, which this graph does not have: {list(plan.keys)}")
    return plan.keys.index(key)
