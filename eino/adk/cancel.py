"""Cancelling a run of agents: at once, or where nothing is lost, so that it can go on later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, Flag
from typing import Any, Final

import msgspec

from eino._run.address import Address
from eino._run.frame import here
from eino._run.interrupt import InterruptContext, InterruptSignal, new_id
from eino._run.session import Point, address_of
from eino._tasks import now
from eino.adk.run_state import AgentRun
from eino.compose.external import External
from eino.errors import BuildError, RunCancelledError
from eino.schema.codec import register

__all__ = [
    "AgentCancelledError",
    "CancelHandle",
    "CancelInfo",
    "CancelMode",
    "CancelOutcome",
    "CancelRequest",
    "checked_mode",
    "stop_after_model",
    "stop_after_tools",
    "stop_between",
]


class CancelMode(Flag):
    """Where a run is to stop. Safe points may be joined: `AFTER_MODEL | AFTER_TOOLS` is whichever comes first."""

    IMMEDIATE = 1
    """At once: models and tools that run are cancelled, and asked again when the run goes on."""
    AFTER_MODEL = 2
    """When the model has asked for tools; they run when the run goes on. A final answer is never cancelled."""
    AFTER_TOOLS = 4
    """When a round of tools has ended; its results are kept."""


class CancelOutcome(Enum):
    """What became of the wish to cancel."""

    CANCELLED = "cancelled"
    """The run stopped where it was to stop, or at a question of its own on the way there."""
    ESCALATED = "escalated"
    """The time for the safe point was over, and the run was stopped at once."""
    ENDED = "ended"
    """The run came to its end, or failed, first."""


@register("eino.adk.CancelInfo")
class CancelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a run was cancelled."""

    mode: int
    """Value of the `CancelMode` that was asked for."""
    escalated: bool = False
    """Whether it was stopped at once although a safe point had been asked for."""
    timed_out: bool = False
    """Whether that was because the time for the safe point was over."""


class AgentCancelledError(RunCancelledError):
    """The run of agents was cancelled. With a `checkpoint_id` it can go on: `runner.resume(checkpoint_id)`."""

    def __init__(self, info: CancelInfo, contexts: tuple[InterruptContext, ...] = ()) -> None:
        """Say how, and where the run stopped."""
        mode = "|".join(str(each.name) for each in CancelMode(info.mode))
        how = " (escalated: its time was over)" if info.timed_out else " (escalated)" if info.escalated else ""
        super().__init__(f"the run of agents was cancelled, mode {mode}{how}")
        self.info = info
        self.contexts = contexts
        """The places at which the run stopped; empty if nothing of it is stored."""

    @property
    def mode(self) -> CancelMode:
        """Where the run was to stop."""
        return CancelMode(self.info.mode)


_NO_SAFE_POINT: Final = CancelMode(0)


class CancelRequest:
    """The wishes to cancel one run, joined: the stronger mode, the earlier deadline, the wider reach."""

    __slots__ = ("_info", "_safe_points", "deadline_s", "external", "recursive")

    def __init__(self, external: External | None) -> None:
        self.external = external
        """Stops the graphs of a stored run; None for a run that nobody could go on with."""
        self.recursive = False
        self.deadline_s: float | None = None
        """When to stop at once, on the clock of `eino._tasks.now`."""
        self._safe_points = _NO_SAFE_POINT
        self._info: CancelInfo | None = None

    @property
    def info(self) -> CancelInfo | None:
        """What was asked for; None if nothing was."""
        return self._info

    @property
    def is_immediate(self) -> bool:
        """Whether the run is to stop at once."""
        return self._info is not None and (self._info.escalated or self._info.mode == CancelMode.IMMEDIATE.value)

    def ask(self, mode: CancelMode, *, timeout_s: float | None, recursive: bool) -> None:
        """Join a wish with those before it."""
        self.recursive = self.recursive or recursive
        before = self._info
        if CancelMode.IMMEDIATE in mode:
            self._safe_points = _NO_SAFE_POINT
            if not self.is_immediate:
                self._info = CancelInfo(mode=CancelMode.IMMEDIATE.value, escalated=before is not None)
            self.deadline_s = None
            return
        if self.is_immediate:
            return
        self._safe_points |= mode
        self._info = CancelInfo(mode=self._safe_points.value)
        if timeout_s is not None:
            deadline_s = now() + timeout_s
            self.deadline_s = deadline_s if self.deadline_s is None else min(self.deadline_s, deadline_s)

    def escalate(self) -> None:
        """Stop at once: the time for the safe point is over."""
        if self._info is not None and not self.is_immediate:
            self._info = CancelInfo(mode=self._info.mode, escalated=True, timed_out=True)

    def stops_at(self, point: CancelMode) -> bool:
        """Whether the run is to stop at such a safe point."""
        return self.is_immediate or bool(self._safe_points & point)


class CancelHandle:
    """One call of `EventStream.cancel`."""

    def __init__(self, contributed: bool, wait: Callable[[], Awaitable[CancelOutcome]]) -> None:
        """Private: use `EventStream.cancel`."""
        self.contributed = contributed
        """Whether there was still something to cancel."""
        self._wait = wait

    async def wait(self) -> CancelOutcome:
        """Wait until the run has stopped or ended, and return which of the two it was."""
        return await self._wait()


def checked_mode(mode: CancelMode, timeout_s: float | None) -> None:
    """Refuse a cancellation that means nothing.

    Raises:
        BuildError: If the mode is no mode, or the time is negative or given for an immediate one.
    """
    if not isinstance(mode, CancelMode) or not mode:
        raise BuildError(f"cancel(mode={mode!r}): give CancelMode.IMMEDIATE, AFTER_MODEL or AFTER_TOOLS")
    if timeout_s is not None and not (isinstance(timeout_s, (int, float)) and timeout_s >= 0):
        raise BuildError(f"cancel(timeout_s={timeout_s!r}): give seconds from 0, or None to wait for the safe point")


def stop_after_model(run: AgentRun) -> None:
    """Stop here if the run is cancelled: the model has asked for tools that have not run.

    Raises:
        InterruptSignal: If it is.
    """
    request = run.root.cancel
    if request is not None and request.info is not None:
        _stop(run, request, request.stops_at(CancelMode.AFTER_MODEL) and _is_reached(run, request))


def stop_after_tools(run: AgentRun) -> None:
    """Stop here if the run is cancelled: the tools have run, and the model has not seen their results.

    Raises:
        InterruptSignal: If it is.
    """
    request = run.root.cancel
    if request is not None and request.info is not None:
        _stop(run, request, request.stops_at(CancelMode.AFTER_TOOLS) and _is_reached(run, request))


def stop_between(run: AgentRun) -> None:
    """Stop here if the run is cancelled, in whatever mode: between the turns of two agents nothing is lost.

    Args:
        run: The turn in which others take theirs.

    Raises:
        InterruptSignal: If it is.
    """
    request = run.root.cancel
    if request is not None and request.info is not None:
        _stop(run, request, _is_reached(run, request))


def _is_reached(run: AgentRun, request: CancelRequest) -> bool:
    """Whether the wish concerns this turn: the one that the run began with, and with `recursive` all inside it."""
    top = run.root.top
    if request.recursive or request.is_immediate or run is top or top is None:
        return True
    return run.outer is top and run.run_path == top.run_path


def _stop(run: AgentRun, request: CancelRequest, stops: bool) -> None:
    if stops:
        run.root.stopped = run.root.stopped or run
        raise InterruptSignal([_point(request, address_of(here.get()))])


def _point(request: CancelRequest, address: Address) -> Point:
    info: Any = request.info
    return Point(new_id(), address, info)
