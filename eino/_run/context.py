"""`RunContext`: the immutable snapshot of a run that user code sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from eino._run.address import Address, address_text
from eino._run.frame import Frame, current
from eino._run.ids import next_seq, run_id
from eino._run.session import Session, address_of, session_of
from eino._run.state import StateLevel, find_level
from eino.errors import EinoError

__all__ = ["NoRunError", "RunContext", "current_context", "process_state", "snapshot"]

S = TypeVar("S")


class NoRunError(EinoError, RuntimeError):
    """The context of a run was asked for outside every run."""


@dataclass(frozen=True, slots=True)
class RunContext(Generic[S]):
    """What a node, tool, handler or condition may know of the run that it is part of.

    A snapshot: it does not change while the run goes on. Declare it by annotation (`ctx: RunContext[MyState]`) or
    call `current_context()`. A task that outlives its node takes it by parameter.
    """

    run_id: str
    """Id of the graph run that encloses the caller; unique in this process."""
    graph_name: str
    """Name that the graph was compiled with; empty when it has none."""
    node_key: str
    """Key of the running node; empty at the level of the graph itself."""
    node_path: tuple[str, ...]
    """Node keys from the outermost graph down to the running node."""
    address: Address
    """Where this is, with the names of runnables and tools: see `eino.compose.interrupt`."""
    attempt: int
    """1 on the first try of the node, 2 on its first retry, and so on."""
    _level: StateLevel | None = field(repr=False)
    _session: Session | None = field(default=None, repr=False)
    _attempt_id: str = field(default="", repr=False)

    @property
    def state(self) -> S:
        """State of the innermost enclosing graph that has one.

        Raises:
            StateError: If no enclosing graph has a state.
        """
        return cast("S", find_level(self._level, object).value)

    def state_of(self, of: type[Any]) -> Any:
        """Return the nearest state that is an instance of `of`, also one of an outer graph.

        Raises:
            StateError: If there is none.
        """
        return find_level(self._level, of).value

    @property
    def attempt_id(self) -> str:
        """Key of this piece of work: the same each time it is repeated, after a crash or an interrupt or on a retry.

        Give it to services that accept an idempotency key. It is unique to the run, the place and the step; it
        outlives the process only where the run has a `checkpoint_id`.
        """
        return self._attempt_id or f"{self.run_id}/{address_text(self.address)}"

    @property
    def was_interrupted(self) -> bool:
        """Whether the run had stopped at this very place and is now being resumed."""
        return self._session is not None and self._session.stopped_at(address_text(self.address))

    @property
    def interrupt_state(self) -> Any:
        """What `interrupt(info, state)` was given at this place before the run stopped; None if nothing was."""
        point = self._session.points.get(address_text(self.address)) if self._session is not None else None
        return None if point is None else point.state

    @property
    def resume_data(self) -> Any:
        """What the caller answered to the interrupt of this place; None without an answer."""
        return None if self._session is None else self._session.answers.get(address_text(self.address))

    @property
    def is_resume_target(self) -> bool:
        """Whether `resume=` named this very place; with or without data."""
        return self._session is not None and self._session.is_target(address_text(self.address))

    @property
    def has_target_below(self) -> bool:
        """Whether `resume=` named a place inside this one."""
        return self._session is not None and self._session.has_target_below(address_text(self.address))


def current_context() -> RunContext[Any]:
    """Return the context of the run that the caller is part of; works in nodes, tools, handlers and conditions.

    Raises:
        NoRunError: Outside every run. A thread or task that was started outside does not belong to the run.
    """
    frame = current.get()
    if frame is None:
        raise NoRunError("there is no run here: call current_context() in a node, tool, handler or condition of a run")
    return snapshot(frame)


def snapshot(frame: Frame) -> RunContext[Any]:
    """Return what `frame` says now."""
    if not frame.seq:
        frame.seq = next_seq()
    graph = frame.graph
    address = address_of(frame)
    session = session_of(frame)
    return RunContext(
        run_id=run_id(frame.seq),
        graph_name=graph.name,
        node_key=graph.keys[frame.node] if frame.node >= 0 else "",
        node_path=frame.path(),
        address=address,
        attempt=frame.attempt,
        _level=frame.state,
        _session=session,
        _attempt_id=_attempt_id(frame, address, session) if session is not None else "",
    )


def _attempt_id(frame: Frame, address: Address, session: Session) -> str:
    """Return the run, the place, and the steps at which the graphs around it are."""
    steps: list[str] = []
    each: Frame | None = frame
    while each is not None:
        if each.extra is not None:
            steps.append(str(each.extra.step))
        if each.parent is None:
            outermost = each
        each = each.parent
    if not session.run_id:
        if not outermost.seq:
            outermost.seq = next_seq()
        session.run_id = run_id(outermost.seq)
    return f"{session.run_id}/{address_text(address)}/{'.'.join(reversed(steps))}"


@asynccontextmanager
async def process_state(of: type[S]) -> AsyncIterator[S]:
    """Hold the nearest state that is an instance of `of`, so that nobody else changes it until the block ends.

    Each level has its own lock; asking for a level that the caller already holds waits for ever, as with any lock.

    Raises:
        NoRunError: Outside every run.
        StateError: If no enclosing graph has such a state.
    """
    frame = current.get()
    if frame is None:
        raise NoRunError("there is no run here: use process_state(...) in a node, tool, handler or condition of a run")
    async with find_level(frame.state, of).exclusive() as value:
        yield cast("S", value)
