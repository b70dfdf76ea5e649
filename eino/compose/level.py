"""One graph of a run that may stop and go on: runs its nodes, gathers what stopped, and says where it stands."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from eino._run.address import Address, address_text
from eino._run.frame import GRAPH_LEVEL
from eino._run.interrupt import InterruptInfo, InterruptSignal, new_id
from eino._run.session import MORE, Point, address_of, is_below
from eino._tasks.group import TaskGroup
from eino.compose.beside import node_task
from eino.compose.checkpoint import Box, Snapshot, boxed, key_index, state_box, unboxed
from eino.compose.durable import Durable
from eino.compose.durable_run import DurableSession
from eino.compose.effects import at_most_once
from eino.compose.extra import keep
from eino.compose.failures import node_failure
from eino.compose.run import Run
from eino.compose.stage import refuse_awaitable
from eino.compose.table import CallTable
from eino.errors import EndOfStream, RunError

__all__ = ["ALARM", "CUT_SHORT", "Level", "Stops", "Task"]

ALARM = -2
"""Key of the task that ends when running nodes are to be cut short."""

CUT_SHORT: Any = object()
"""What a node gives that was cut short."""


@dataclass(slots=True)
class Task:
    """A node that runs, or ran."""

    index: int
    value: Any
    """Its input; in stream runs a copy that nobody has read."""
    scope: anyio.CancelScope | None = None
    """Cuts it short; None where nobody may."""


@dataclass(slots=True)
class Stops:
    """Why a graph stops here."""

    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    signals: list[tuple[int, InterruptSignal]] = field(default_factory=list)
    external: bool = False

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.signals or self.external)


class Level:
    """One graph run of a session."""

    def __init__(self, run: Run, session: DurableSession, restored: Snapshot | None) -> None:
        self.run = run
        self.session = session
        self.restored = restored
        self.address: Address = address_of(run.frame)
        self.text = address_text(self.address)
        self.durable = run.plan.durable or Durable()
        self.on_stream = run.mode.on_stream
        self.first_table: CallTable | None = None
        """Calls of the nodes that go on from a snapshot of their own, without their pre handlers: these have run."""

    @property
    def by_step(self) -> bool:
        """Whether each step is recorded."""
        return self.session.by_step

    @property
    def watched(self) -> bool:
        """Whether somebody may stop the run from outside."""
        return self.session.external is not None

    def place(self, index: int) -> str:
        """Return the address of a node as text."""
        return f"{self.text}{MORE}node:{self.run.plan.keys[index]}"

    def todo(self) -> list[tuple[int, Any]]:
        """Return the nodes that the snapshot says are to run, with their inputs."""
        return self.indexed(self.restored.todo) if self.restored is not None else []

    def done(self) -> list[tuple[int, Any]]:
        """Return the nodes that the snapshot says have ended, with their outputs."""
        return self.indexed(self.restored.done) if self.restored is not None else []

    def indexed(self, boxes: Sequence[tuple[str, Box]]) -> list[tuple[int, Any]]:
        """Return stored values by index of their node, as the run takes them."""
        plan = self.run.plan
        return [(key_index(plan, key), self.unbox(box)) for key, box in boxes]

    def _kept(self, value: Any) -> Any:
        return keep(value) if self.on_stream else value

    def task(self, index: int, value: Any) -> tuple[Task, Any]:
        """Return a task for a node, and the input to give it."""
        if not self.on_stream:
            return Task(index, value), value
        spare, given = map(keep, value.copy(2))
        return Task(index, spare), given

    async def inline(self, index: int, value: Any) -> Any:
        """Run a node in this very task.

        Raises:
            InterruptSignal: If it stopped.
        """
        frame = self.run.frame
        frame.node = index
        self.session.restart(self.place(index))
        call, is_async = self._call(index)
        result = call(value)
        if is_async:
            result = await result
        elif hasattr(result.__class__, "__await__"):
            refuse_awaitable(result)
        return await self._begun(index, result)

    def start(self, group: TaskGroup, task: Task, value: Any) -> None:
        """Run a node in a task of its own."""
        frame = self.run.frame.branch_off(task.index)
        self.session.restart(self.place(task.index))
        call, is_async = self._call(task.index)
        if self.watched:
            task.scope = anyio.CancelScope()

        async def work() -> Any:
            result = await node_task(frame, call, is_async, value)
            try:
                return await self._begun(task.index, result)
            except Exception as error:
                failure = node_failure(error, frame)
                raise failure from failure.__cause__

        group.start(task.index, _cuttable(work, task.scope) if task.scope is not None else work())

    def alarm(self, group: TaskGroup) -> None:
        """Let the group hear when running nodes are to be cut short."""
        if self.watched:
            group.start(ALARM, self.session.external.wait_due())

    def cut_short(self, tasks: Sequence[Task]) -> None:
        """Cut running nodes short. Those in which graphs run are left to these, which cut their own nodes short."""
        for task in tasks:
            if task.scope is not None and not self.session.is_active_below(self.place(task.index)):
                task.scope.cancel()

    def _call(self, index: int) -> Any:
        table = self.run.table
        if self.first_table is not None and self.place(index) in self.session.levels:
            table = self.first_table
        call, is_async = table.call(index)
        if self.run.plan.stages[index].spec.effect == "at_most_once" and self.session.journal is not None:
            return at_most_once(self, call, is_async), True
        return call, is_async

    async def _begun(self, index: int, result: Any) -> Any:
        """Wait until a stream has begun, since its node's own code runs no sooner and may stop the run.

        A tools node's stream is read to its end: each of its tools may stop the run.
        """
        if not self.on_stream:
            return result
        body = self.run.plan.stages[index].spec.body
        if body is not None and body.component == "ToolsNode":
            return await self.materialised(result)
        probe, whole = map(keep, result.copy(2))
        try:
            await probe.recv()
        except EndOfStream:
            pass
        finally:
            await probe.aclose()
        return whole

    async def materialised(self, value: Any) -> Any:
        """Return a value of the run that can be recorded and used as well."""
        if not self.on_stream:
            return value
        return self.unbox(await self.box(value))

    async def ended(self, task: Task) -> None:
        """Note that a node ended: what was known of it and below it is of no use any more."""
        self.session.forget(self.place(task.index))
        if self.on_stream:
            await task.value.aclose()

    def checked(self, index: int, signal: InterruptSignal) -> InterruptSignal:
        """Return the signal if it comes from the node.

        Raises:
            RunError: If it comes out of the stream of another one, which counts as ended since its first chunk.
        """
        place = self.place(index)
        strange = [point for point in signal.points if not is_below(point.text, place)]
        if not strange:
            return signal
        raise self.run.at_graph(
            RunError(
                f"interrupt() at {strange[0].text} came when its stream had begun: what was delivered cannot be "
                "taken back; call it before the first chunk"
            )
        )

    async def snapshot(
        self, todo: Sequence[tuple[int, Any]], done: Sequence[tuple[int, Any]], dag: dict[str, Any] | None = None
    ) -> Snapshot:
        """Return where the graph stands. Streams are read to their end."""
        return Snapshot(
            step=self.run.steps,
            todo=[(self.run.plan.keys[index], await self.box(value)) for index, value in todo],
            done=[(self.run.plan.keys[index], await self.box(value)) for index, value in done],
            dag=dag,
            state=state_box(self._own_state()),
        )

    async def box(self, value: Any) -> Box:
        """Return a value of the run as it is stored."""
        return await boxed(value, self.run.mode, self.run.plan)

    def unbox(self, box: Box) -> Any:
        """Return a stored value as the run takes it."""
        return self._kept(unboxed(box, self.run.mode))

    def _own_state(self) -> Any:
        return self.run.frame.state if self.run.plan.state is not None else None

    async def record(self, snapshot: Snapshot) -> None:
        """Store where the graph stands, if every step is stored."""
        await self.session.record_level(self.text, snapshot.dump())

    def signal(self, stops: Stops, snapshot: Snapshot, interrupted: Sequence[Task]) -> InterruptSignal:
        """Return what this graph raises when it stops."""
        plan, signals = self.run.plan, sorted(stops.signals, key=lambda each: each[0])
        self.run.frame.node = GRAPH_LEVEL
        raised = InterruptSignal.merged([signal for _, signal in signals]) if signals else InterruptSignal([])
        for task in interrupted:
            place = self.place(task.index)
            raised.points.extend(self.session.answered_below(place, raised.points))
            for table, found in ((raised.kept, self.session.kept), (raised.levels, self.session.levels)):
                for text, value in found.items():
                    if is_below(text, place):
                        table.setdefault(text, value)
        state = state_box(self._own_state())
        info_state = _copied(state[0]) if state else None
        if not signals:
            raised.points.append(Point(new_id(), self.address, info_state, is_static=True))
        raised.levels[self.text] = snapshot.dump()
        nested = {plan.keys[index]: signal.info for index, signal in signals if signal.info is not None}
        own = {plan.keys[task.index] for task in interrupted}
        raised.info = InterruptInfo(
            state=info_state,
            before_nodes=tuple(plan.keys[index] for index in sorted(stops.before)),
            after_nodes=tuple(plan.keys[index] for index in sorted(stops.after)),
            rerun_nodes=tuple(key for key in plan.keys if key in own and key not in nested),
            rerun_infos={
                plan.keys[index]: point.info
                for index, signal in signals
                for point in signal.points
                if point.pending and point.text == self.place(index)
            },
            sub_graphs=nested,
        )
        return raised


async def _cuttable(work: Any, scope: anyio.CancelScope) -> Any:
    with scope:
        return await work()
    return CUT_SHORT


def _copied(value: Any) -> Any:
    """Return the state as it is now; what cannot be copied is shown as it is."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value
