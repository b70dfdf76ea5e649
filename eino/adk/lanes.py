"""Lanes: what one agent's turn has said and set, kept with the graph that runs it, so that it is in checkpoints.

Each turn has a lane of its own. While it lasts, the agent sees the lanes around it and its own, but not those of
agents beside it; when it ends, its lane becomes part of the one around it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from eino._run.context import NoRunError
from eino.adk._here import current_turn
from eino.adk.events import AgentAction
from eino.schema.codec import register
from eino.schema.message import Message

if TYPE_CHECKING:
    from eino.adk.run_state import AgentRun

__all__ = ["Lane", "LaneState", "LogEntry", "SessionValues"]


@register("eino.adk.LogEntry")
class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One event of an agent, as others will read it in the history.

    The collector does not look at them, there are many: nothing that they hold knows them.
    """

    agent_name: str
    message: Message | None = None
    """The message, whole; of a stream that broke off, its good part."""
    action: AgentAction | None = None
    error: str = ""
    """Why the stream broke off; empty if it did not."""
    skipped: bool = False
    """Whether histories leave it out: an attempt that was made again."""
    number: int = 0
    """Rises with each entry of a run, so that what was said beside each other can be told in order."""


@register("eino.adk.Lane")
@dataclass(slots=True)
class Lane:
    """What one turn has said and set so far."""

    entries: list[LogEntry] = field(default_factory=list)
    values: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Session values that were set in it, each with the number of its change."""
    action: AgentAction | None = None
    """The last action of the agent's own events."""

    def absorb(self, inner: Lane) -> None:
        """Take up a turn that has ended. Its action does not count here."""
        self.entries.extend(inner.entries)
        self.values.update(inner.values)


@register("eino.adk.SessionValues")
@dataclass(slots=True)
class SessionValues:
    """The values that all agents of a run share. It knows the order of changes, so that none is undone on resume."""

    values: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """Number of the last change of each."""
    changes: int = 0
    entries: int = 0
    """How many events were recorded."""

    def set(self, key: str, value: Any, lane: Lane) -> None:
        """Set a value, and note it in the lane of the agent that does."""
        self.changes += 1
        self.values[key] = value
        self.numbers[key] = self.changes
        lane.values[key] = (self.changes, value)

    def replay(self, lane: Lane) -> None:
        """Set again what a stored lane knows to have been set, unless something newer is known."""
        for key, (number, value) in lane.values.items():
            if number > self.numbers.get(key, 0):
                self.values[key], self.numbers[key] = value, number
                self.changes = max(self.changes, number)

    def win(self, values: dict[str, Any], lane: Lane) -> None:
        """Set what a call brought when the run went on; no lane that is restored later knows anything newer."""
        if values:
            self.changes += _GAP
        for key, value in values.items():
            self.set(key, value, lane)


_GAP = 1 << 32  # more changes than happen between two records of a run's root


def _turn() -> AgentRun:
    turn = current_turn.get()
    if turn is None:
        raise NoRunError("no agent runs here: a graph with the state of a turn runs inside one")
    return turn


def _lane_here() -> Lane:
    return _turn().lane


@register("eino.adk.LaneState")
@dataclass(slots=True)
class LaneState:
    """State of a graph that runs one turn of an agent; graphs with more to remember derive from it.

    A new one takes the lane of the running turn. One that comes from a checkpoint gives its lane to the turn.
    """

    lane: Lane = field(default_factory=_lane_here)

    def on_restored(self) -> None:
        """Let the running turn go on with the stored lane."""
        _turn().adopt(self.lane)
