"""The events of one run, as they come."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeAlias

from eino._run.interrupt import GraphInterrupt, InterruptContext, InterruptSignal
from eino._tasks import Parker, TaskHandle, now, shielded, sleep, spawn
from eino.adk.cancel import AgentCancelledError, CancelHandle, CancelMode, CancelOutcome, CancelRequest, checked_mode
from eino.adk.contexts import agent_contexts
from eino.adk.events import AgentAction, AgentEvent, AgentInterrupt
from eino.adk.lanes import Lane
from eino.adk.run_state import AgentRun, RootRun, Sink
from eino.errors import RunCancelledError, RunError, StreamInUseError
from eino.schema.message import Message

__all__ = ["EventQueue", "EventStream"]

Begin: TypeAlias = Callable[[Sink], Awaitable[Lane]]
"""Begins a run whose events go to the sink."""


class EventQueue:
    """Events on their way to a reader: any number of them, so that nothing that runs ever waits for the reader."""

    __slots__ = ("_parker", "ended", "events")

    def __init__(self) -> None:
        self.events: deque[AgentEvent] = deque()
        """Those that nobody has taken yet, the oldest first."""
        self._parker = Parker()
        self.ended = False

    def put(self, event: AgentEvent) -> None:
        """Append an event; what comes behind the end is dropped."""
        if self.ended:
            return
        events = self.events
        events.append(event)
        if len(events) == 1:  # else the reader was woken already
            self._parker.unpark()

    def end(self) -> None:
        """Say that nothing more will come."""
        self.ended = True
        self._parker.unpark()

    async def get(self) -> AgentEvent | None:
        """Return the next event; None at the end.

        Raises:
            StreamInUseError: If another task waits here.
        """
        while not self.events:
            if self.ended:
                return None
            await self.arrival()
        return self.events.popleft()

    def arrival(self) -> Awaitable[None]:
        """Return what must be awaited at once: it sleeps until there is an event, or the end.

        Raises:
            StreamInUseError: If another task waits here.
        """
        if self._parker.is_parked:
            raise StreamInUseError("two tasks read the events of one run: let one read, and hand on what it reads")
        return self._parker.park()

    def clear(self) -> None:
        """Drop what nobody read, and close its streams."""
        self.end()
        while self.events:
            message = self.events.popleft().message
            if message is not None:
                message.close()


class _Pump:
    """Runs the agents in a task of its own. It knows the queue, never the reader: a dropped reader is noticed."""

    __slots__ = ("_waiting", "begin", "ended", "failure", "lane", "queue", "root", "signal", "timer")

    def __init__(self, begin: Begin, root: RootRun) -> None:
        self.begin = begin
        self.root = root
        self.queue = EventQueue()
        self.lane: Lane | None = None
        self.failure: Exception | None = None
        self.signal: InterruptSignal | None = None
        self.ended = False
        self.timer: TaskHandle | None = None
        """Stops the run at once when the time for a safe point is over."""
        self._waiting: tuple[Parker, ...] = ()

    async def run(self) -> None:
        try:
            if not self.is_cancelled_at_once:
                self.lane = await self.begin(self.queue.put)
        except GraphInterrupt as stop:
            if not self._cancelled(agent_contexts(stop.contexts)):
                self.failure = stop
                self.queue.put(_interrupted(stop, self.root))
        except InterruptSignal as signal:  # the run is part of another one, which stops
            self.signal = signal
        except Exception as error:
            self.failure = error
            if not self.root.has_told(error):
                self.queue.put(_failed(error, self.root))
        finally:
            self.root.over()
            if self.lane is None and self.failure is None and self.signal is None and self.is_cancelled_at_once:
                self._cancelled(())
            self.end()

    @property
    def is_cancelled_at_once(self) -> bool:
        """Whether somebody asked to stop the run without delay."""
        return self.root.cancel is not None and self.root.cancel.is_immediate

    def _cancelled(self, contexts: tuple[InterruptContext, ...]) -> bool:
        """Tell that the run was cancelled, if it was."""
        info = self.root.cancel.info if self.root.cancel is not None else None
        if info is None:
            return False
        self.failure = AgentCancelledError(info, contexts)
        self.queue.put(_event_of(self.failure, self.root.stopped))
        return True

    def end(self) -> None:
        """Say that nothing of the run goes on."""
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()
        self.queue.end()
        waiting, self._waiting = self._waiting, ()
        for each in waiting:
            each.unpark()

    async def wait_ended(self) -> None:
        """Return when the run has ended."""
        while not self.ended:
            parker = Parker()
            self._waiting = (*self._waiting, parker)
            await parker.park()


class EventStream:
    """The events of one run, in the order in which they happened: `async with runner.run(...) as events`.

    The run begins when the block is entered or the first event is asked for, and goes on whether anybody reads or not.
    Leaving the block, or `aclose()`, cancels what still runs and waits until nothing of it is left. A run that fails
    ends with an event that has the `error`, one that stops to ask with one whose `action.interrupted` says where;
    reading events raises neither.
    """

    def __init__(self, begin: Begin, root: RootRun) -> None:
        """Private: use a `Runner`."""
        self._pump = _Pump(begin, root)
        self._task: TaskHandle | None = None
        self._closed = False

    @property
    def done(self) -> bool:
        """Whether the run has ended; events may still be unread."""
        return self._pump.ended

    def start(self) -> Self:
        """Begin the run, if it has not begun; return the stream itself.

        Raises:
            RuntimeError: If no event loop runs in this thread.
        """
        if self._task is None and not self._closed:
            self._task = spawn(self._pump.run, name="eino: run of agents")
        return self

    async def __aenter__(self) -> Self:
        return self.start()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AgentEvent:
        if self._task is None:
            self.start()
        queue = self._pump.queue
        events = queue.events
        while not events:
            if queue.ended:
                raise self._pump.signal or StopAsyncIteration
            await queue.arrival()
        return events.popleft()

    async def answer(self) -> Message:
        """Wait for the run and return its last message. Events stay where they are, and may be read before or after.

        Raises:
            RunError: What the run failed with, or if no agent said anything.
            GraphInterrupt: If the run stopped to ask; its `contexts` say where and what.
            AgentCancelledError: If the run was cancelled with `cancel`.
            RunCancelledError: If it was cancelled otherwise.
        """
        self.start()
        pump = self._pump
        await pump.wait_ended()
        if pump.signal is not None:
            raise pump.signal
        if pump.failure is not None:
            raise pump.failure
        if pump.lane is None:
            raise RunCancelledError("the run of agents was cancelled before it came to an answer")
        for entry in reversed(pump.lane.entries):
            if entry.error and not entry.skipped:
                raise RunError(f"the last message of agent {entry.agent_name!r} broke off: {entry.error}")
            if entry.message is not None and not entry.skipped:
                return entry.message
        raise RunError("no agent of the run said anything")

    def cancel(
        self, mode: CancelMode = CancelMode.IMMEDIATE, *, timeout_s: float | None = None, recursive: bool = False
    ) -> CancelHandle:
        """Ask the run to stop, so that it can go on later if it is stored; its last event has an `AgentCancelledError`.

        Calls join: the stronger mode counts, and the earliest end of the time. What the run would ask a person in the
        meantime, it asks when it goes on. A run that is not stored cannot go on, and one that ends first ends as usual.

        Args:
            mode: At once, or at which safe points. Between the turns of two agents it stops in any mode.
            timeout_s: How long to wait for a safe point, in seconds, until the run is stopped at once; None for any
                time. It has no meaning at once.
            recursive: Whether agents inside the first one count as well: in tools, workflows and after transfers.
                At once, everything stops in any case.

        Raises:
            BuildError: If the mode is none, or the time is negative.
        """
        checked_mode(mode, timeout_s)
        root, contributed = self._pump.root, not self._pump.ended
        if contributed:
            root.cancel = request = root.cancel or CancelRequest(None)
            request.ask(mode, timeout_s=timeout_s, recursive=recursive)
            if request.is_immediate:
                self._stop_at_once(request)
            elif request.deadline_s is not None:
                self._start_timer(request, request.deadline_s)
        return CancelHandle(contributed, self._outcome)

    def _start_timer(self, request: CancelRequest, deadline_s: float) -> None:
        if self._pump.timer is not None:
            self._pump.timer.cancel()

        async def stop_in_time() -> None:
            await sleep(max(0.0, deadline_s - now()))
            request.escalate()
            self._stop_at_once(request)

        self._pump.timer = spawn(stop_in_time, name="eino: time for a safe point")

    def _stop_at_once(self, request: CancelRequest) -> None:
        if request.external is not None:
            request.external.request(0.0)
        elif self._task is not None:
            self._task.cancel()

    async def _outcome(self) -> CancelOutcome:
        self.start()
        await self._pump.wait_ended()
        failure = self._pump.failure
        if not isinstance(failure, AgentCancelledError):
            return CancelOutcome.ENDED
        return CancelOutcome.ESCALATED if failure.info.timed_out else CancelOutcome.CANCELLED

    async def aclose(self) -> None:
        """Cancel the run if it has not ended, and wait until nothing of it is left. Idempotent."""
        self._closed = True
        if self._task is not None and not self._task.done:
            self._task.cancel()
            await self._task.wait_ended()
        self._pump.end()
        self._pump.queue.clear()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pump.ended and self._task is not None and self._task.done:  # nothing to wait for: no shield either
            await self.aclose()
        else:
            await shielded(self.aclose)

    def __del__(self) -> None:
        task = self._task
        if task is not None and not task.done:
            task.cancel()
            warnings.warn(
                "the events of a run of agents were dropped while it ran, which cancels it: use "
                "`async with runner.run(...) as events:`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


def _interrupted(stop: GraphInterrupt, root: RootRun) -> AgentEvent:
    action = AgentAction(interrupted=AgentInterrupt(contexts=agent_contexts(stop.contexts)))
    turn = root.stopped
    if turn is None:
        return AgentEvent(action=action)
    return AgentEvent(agent_name=turn.agent_name, run_path=turn.run_path, action=action)


def _failed(error: Exception, root: RootRun) -> AgentEvent:
    return _event_of(error, root.failed)


def _event_of(error: Exception, turn: AgentRun | None) -> AgentEvent:
    if turn is None:
        return AgentEvent(error=error)
    return AgentEvent(agent_name=turn.agent_name, run_path=turn.run_path, error=error)
