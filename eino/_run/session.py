"""What a run that may stop and go on knows: where it waits, what was answered, what need not be done again.

Pure: it sees no store, no clock and no task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from eino._run.address import Address, AddressSegment, address_text
from eino._run.frame import Frame

__all__ = ["MORE", "Point", "Session", "address_of", "is_below", "session_of"]

MORE = ";"
"""Stands between the segments of an address."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place of the run that waits for an answer, or waited for one."""

    id: str
    address: Address
    info: Any = None
    state: Any = None
    answered: tuple[Any, ...] = ()
    """What earlier calls of `interrupt` at this address got; they get it again when the node runs again."""
    pending: bool = True
    """Whether it still waits."""
    is_static: bool = False
    """Whether the graph itself was to stop, and no code in it did. Said anew at each stop, so it is not stored."""

    @property
    def text(self) -> str:
        """The address as text."""
        return address_text(self.address)

    def dump(self) -> dict[str, Any]:
        """Return the point as plain data."""
        return {
            "id": self.id,
            "address": [[each.type, each.id, each.sub_id] for each in self.address],
            "info": self.info,
            "state": self.state,
            "answered": list(self.answered),
            "pending": self.pending,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Point:
        """Return the point that `dump` made `data` of."""
        address = tuple(AddressSegment(*each) for each in data["address"])
        rest = {name: data[name] for name in ("id", "info", "state", "pending")}
        return cls(address=address, answered=tuple(data["answered"]), **rest)


@dataclass(slots=True)
class Session:
    """One run that may stop and go on, with all graphs that run inside it. Everything is found by address text."""

    run_id: str = ""
    """Id under which the run is stored; empty when it is not."""
    points: dict[str, Point] = field(default_factory=dict)
    """Where the run had stopped. What is done is forgotten, so that a node which runs again looks fresh."""
    answers: dict[str, Any] = field(default_factory=dict)
    """What was answered to the points; None for a point that is to go on without data."""
    kept: dict[str, Any] = field(default_factory=dict)
    """Results of parts of a node that need not be done again: tool calls that ended."""
    levels: dict[str, Any] = field(default_factory=dict)
    """Where each graph had stopped that has not gone on yet."""
    calls: dict[str, int] = field(default_factory=dict)
    """How often `interrupt` was called, and graphs were begun, at an address since its node began."""
    external: Any = None
    """The wish to stop that comes from outside; None when nobody can utter it."""

    def forget(self, text: str) -> None:
        """Forget all that is known of a place and what is below it: it is done, or begins afresh."""
        for table in (self.points, self.answers, self.kept, self.levels, self.calls):
            if table:
                for each in [each for each in table if is_below(each, text)]:
                    del table[each]

    def restart(self, text: str) -> None:
        """Count the calls below a place from 0 again: its node begins."""
        if self.calls:
            for each in [each for each in self.calls if is_below(each, text)]:
                del self.calls[each]

    def count(self, what: str) -> int:
        """Return how often this was asked before."""
        seen = self.calls.get(what, 0)
        self.calls[what] = seen + 1
        return seen

    def answered_below(self, text: str, without: Iterable[Point]) -> list[Point]:
        """Return the points below a place that got their answer, as what they are when the place stops once more."""
        raised = {point.text for point in without}
        return [
            replace(point, answered=(*point.answered, *self._answer_to(each)), pending=False)
            for each, point in self.points.items()
            if is_below(each, text) and each not in raised and (each in self.answers or not point.pending)
        ]

    def _answer_to(self, text: str) -> tuple[Any, ...]:
        return (self.answers[text],) if text in self.answers else ()

    def stopped_at(self, text: str) -> bool:
        """Whether the run had stopped at this very address."""
        point = self.points.get(text)
        return point is not None and point.pending

    def is_target(self, text: str) -> bool:
        """Whether the point at this very address was answered."""
        return text in self.answers

    def has_target_below(self, text: str) -> bool:
        """Whether a point further inside was answered."""
        return any(each != text and is_below(each, text) for each in self.answers)


def is_below(text: str, place: str) -> bool:
    """Whether an address is that of a place, or of something inside it."""
    return text == place or text.startswith(place + MORE)


def session_of(frame: Frame | None) -> Session | None:
    """Return the session that a frame belongs to, if its run may stop and go on."""
    while frame is not None:
        extra = frame.extra
        if extra is not None and extra.session is not None:
            return extra.session  # type: ignore[no-any-return]  # extra is the runner's
        frame = frame.parent
    return None


def address_of(frame: Frame) -> Address:
    """Return the address of what runs in `frame`.

    A graph that is a node adds nothing to the node's own segment; one that is invoked inside a node adds its name.
    """
    outer = address_of(frame.parent) if frame.parent is not None else ()
    segments: list[AddressSegment] = []
    if not frame.is_node:
        segments.append(AddressSegment("runnable", frame.graph.name, frame.nth))
    if frame.node >= 0:
        segments.append(AddressSegment("node", frame.graph.keys[frame.node]))
    return (*outer, *segments, *frame.place)
