"""Interrupts: how a node stops its run and asks, and what the caller then sees."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from eino._run.address import Address, AddressSegment, address_text
from eino._run.context import NoRunError
from eino._run.frame import Frame, current
from eino._run.session import Point, address_of, session_of
from eino.errors import ControlSignal

__all__ = [
    "GraphInterrupt",
    "InterruptContext",
    "InterruptGroup",
    "InterruptInfo",
    "InterruptSignal",
    "interrupt",
    "interrupt_group",
    "new_id",
]


@dataclass(frozen=True, slots=True)
class InterruptContext:
    """A place at which a run stopped, or one that encloses such a place."""

    id: str
    """What `resume={id: data}` names; empty for a place that only encloses others."""
    address: Address
    """Where it is; `address_text` is accepted by `resume=` as well."""
    info: Any
    """What `interrupt(info)` was given; for static interrupts the state of the graph."""
    is_root_cause: bool
    """Whether the run stopped here, not only below."""
    parent: InterruptContext | None = None
    """The place around it."""
    is_static: bool = False
    """Whether the graph itself was to stop here, at a node or from outside; `info` is its state then."""

    @property
    def address_text(self) -> str:
        """The address as text, such as `runnable:root;node:ask`."""
        return address_text(self.address)


@dataclass(frozen=True, slots=True)
class InterruptInfo:
    """What is known of a run that stopped, level by level."""

    state: Any = None
    """State of the graph; None if it has none."""
    before_nodes: tuple[str, ...] = ()
    """Nodes that are about to run and are listed in `interrupt_before`."""
    after_nodes: tuple[str, ...] = ()
    """Nodes that have run and are listed in `interrupt_after`, or had run when the run was stopped from outside."""
    rerun_nodes: tuple[str, ...] = ()
    """Nodes that stopped by themselves, or were cut short; they run again, with the same input."""
    rerun_infos: Mapping[str, Any] = field(default_factory=dict)
    """What those of them said that called `interrupt` themselves."""
    sub_graphs: Mapping[str, InterruptInfo] = field(default_factory=dict)
    """The same for nodes that are graphs."""
    contexts: tuple[InterruptContext, ...] = ()
    """The places at which the run stopped; only of the outermost level."""


class GraphInterrupt(ControlSignal):
    """A run stopped and waits; it is no failure. Call again with the same `checkpoint_id` to go on.

    Retries, fallbacks and `except Exception` inside the run never see it: there it is a signal of another kind.
    """

    def __init__(self, info: InterruptInfo) -> None:
        super().__init__(_text(info))
        self.info = info

    @property
    def contexts(self) -> tuple[InterruptContext, ...]:
        """The places at which the run stopped."""
        return self.info.contexts


def _text(info: InterruptInfo) -> str:
    places = ", ".join(
        f"{context.address_text} ({context.info!r:.80})" if context.info is not None else context.address_text
        for context in info.contexts
    )
    return f"the run is interrupted at {places}: resume it with the same checkpoint_id"


class InterruptSignal(BaseException):
    """Carries an interrupt through the run. No `except Exception` can eat it; the outermost runnable turns it around.

    Attributes:
        points: Where the run stopped, and places below the same nodes whose answers must not be lost.
        infos: What places that enclose others said, by address.
        levels: Where the graphs on the way had stopped, by address.
        kept: Results of parts of nodes that need not be done again, by address.
        info: What the innermost graph on the way out says; None while the signal is still in a node.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        super().__init__("an interrupt on its way")
        self.points = list(points)
        self.infos: dict[str, Any] = {}
        self.levels: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}
        self.info: InterruptInfo | None = None

    @classmethod
    def merged(cls, signals: Sequence[InterruptSignal]) -> InterruptSignal:
        """Return one signal for several."""
        if len(signals) == 1:
            return signals[0]
        merged = cls([point for signal in signals for point in signal.points])
        for signal in signals:
            merged.infos.update(signal.infos)
            merged.levels.update(signal.levels)
            merged.kept.update(signal.kept)
        return merged

    def told(self) -> GraphInterrupt:
        """Return what the outside sees."""
        pending = [point for point in self.points if point.pending]
        contexts = _contexts(pending, self.infos)
        info = self.info
        if info is None:
            nodes = (segment.id for point in pending for segment in point.address if segment.type == "node")
            info = InterruptInfo(rerun_nodes=tuple(dict.fromkeys(nodes))[:1])
        return GraphInterrupt(replace(info, contexts=contexts))


def _contexts(points: Sequence[Point], infos: Mapping[str, Any]) -> tuple[InterruptContext, ...]:
    """Return the root causes; places around several of them are one object."""
    around: dict[Address, InterruptContext] = {}

    def parent_of(address: Address) -> InterruptContext | None:
        if len(address) == 1:
            return None
        outer = address[:-1]
        if outer not in around:
            info = infos.get(address_text(outer))
            around[outer] = InterruptContext("", outer, info, is_root_cause=False, parent=parent_of(outer))
        return around[outer]

    return tuple(
        InterruptContext(each.id, each.address, each.info, True, parent_of(each.address), each.is_static)
        for each in points
    )


def new_id() -> str:
    """Return the id of a new point; never used twice."""
    return uuid.uuid4().hex


def interrupt(info: Any = None, state: Any = None) -> Any:
    """Stop the run here and ask; on resume return the answer.

    The first time, the run stops: what finished is kept, and the caller gets a `GraphInterrupt` with `info`. When the
    run is resumed the node runs again from its beginning, with the same input. The call then returns the data of
    `resume={id: data}`, or stops the run again if nobody answered. A node may call it several times: earlier calls
    return what they got before. In a node that gives a stream, call it before the first chunk.

    Args:
        info: What the caller is to know; any storable value.
        state: What the node wants to find again, as `ctx.interrupt_state`; any storable value.

    Raises:
        NoRunError: Outside every run.
    """
    frame = current.get()
    if frame is None:
        raise NoRunError("there is no run here to interrupt: call interrupt() in a node or tool of a run")
    address = address_of(frame)
    session = session_of(frame)
    if session is None:
        raise InterruptSignal([Point(new_id(), address, info, state)])
    text = address_text(address)
    nth = session.count(f"{text};interrupt:{frame.attempt}")
    before = session.points.get(text)
    answered: tuple[Any, ...] = ()
    if before is not None:
        answered = before.answered
        if text in session.answers and before.pending:
            answered = (*answered, session.answers[text])
        if nth < len(answered):
            return answered[nth]
    same = before is not None and before.pending and text not in session.answers
    raise InterruptSignal([Point(before.id if same and before else new_id(), address, info, state, answered)])


def interrupt_group(info: Any = None, state: Any = None) -> InterruptGroup:
    """Return a block for a node with several parts, each of which may interrupt; they are raised together.

    `async with interrupt_group(info) as group:` and inside it `with group.part("kind", "id"):` around each part. A part
    that interrupts ends its block; the others go on. `info` and `state` belong to the node as the parent of the parts.
    """
    return InterruptGroup(info, state)


class InterruptGroup:
    """See `interrupt_group`."""

    def __init__(self, info: Any, state: Any) -> None:
        """Private: use `interrupt_group`."""
        self._info = info
        self._state = state
        self._signals: list[InterruptSignal] = []
        self._outer: Frame | None = None

    async def __aenter__(self) -> Self:
        self._outer = current.get()
        if self._outer is None:
            raise NoRunError("there is no run here to interrupt: use interrupt_group() in a node or tool of a run")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._signals or self._outer is None:
            return
        signal = InterruptSignal.merged(self._signals)
        address = address_of(self._outer)
        signal.infos[address_text(address)] = self._info
        if self._state is not None:
            signal.points.append(Point("", address, self._info, self._state, pending=False))
        raise signal

    @contextmanager
    def part(self, kind: str, id: str) -> Iterator[None]:  # noqa: A002 - as in AddressSegment
        """Run a part at its own address, `...;kind:id`; its interrupt waits for the others."""
        outer = current.get()
        if outer is None or self._outer is None:
            raise NoRunError("use group.part(...) inside `async with interrupt_group(...)` of a node")
        token = current.set(outer.at(AddressSegment(kind, id)))
        try:
            yield
        except InterruptSignal as signal:
            self._signals.append(signal)
        finally:
            current.reset(token)
