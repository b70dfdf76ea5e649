"""The DAG engine for runs that may stop and go on."""

from __future__ import annotations

from typing import Any

from eino._run.frame import GRAPH_LEVEL
from eino._run.interrupt import InterruptSignal
from eino._tasks.group import TaskGroup, task_group
from eino.compose.checkpoint import Snapshot, key_index, unboxed
from eino.compose.dag import _completed, _input_of
from eino.compose.dag_state import DagState
from eino.compose.extra import keep
from eino.compose.failures import node_failure
from eino.compose.level import ALARM, CUT_SHORT, Level, Stops, Task
from eino.compose.run import START_INDEX

__all__ = ["run_resumable_dag"]


async def run_resumable_dag(level: Level, value: Any) -> Any:
    """Run the graph, from its snapshot if there is one, and return what reached its end.

    Once something stopped, nodes that run are awaited and what follows them starts after the resume.

    Raises:
        InterruptSignal: If the graph stops; it says where it stands.
        RunError: If a node, condition or merge failed.
    """
    run = level.run
    dag = _Dag(level)
    try:
        if level.restored is None:
            await _completed(run, dag.state, START_INDEX, value)
        else:
            await dag.restore(level.restored)
        async with task_group() as group:
            level.alarm(group)
            await dag.react(group)
        run.frame.node = GRAPH_LEVEL
        return _input_of(run, dag.state, run.plan.end)
    except Exception as error:
        failure = node_failure(error, run.frame)
        raise failure from failure.__cause__
    finally:
        for rest in dag.state.leftovers():
            await run.mode.drop(rest)


class _Dag:
    def __init__(self, level: Level) -> None:
        self.level = level
        self.run = level.run
        self.state = DagState(level.run.table.dag)
        self.ready: dict[int, Any] = {}
        """Nodes that may start, with their inputs."""
        self.running: dict[int, Task] = {}
        self.stopped: list[Task] = []
        """Nodes that stopped or were cut short."""
        self.stops = Stops()
        self.ended: list[int] = []
        """Nodes that ended since the run began, or went on."""
        self.unchecked: set[int] = set()
        """Nodes that the run had stopped before: it does not stop there again."""

    async def react(self, group: TaskGroup) -> None:
        """Run until the end is ready.

        Raises:
            InterruptSignal: If the graph stops.
        """
        level, run, external = self.level, self.run, self.level.session.external
        while not self.state.end_is_ready:
            for index in self.state.take_ready():
                self.ready[index] = _input_of(run, self.state, index)
            if external is not None and external.requested and not self.stops.external:
                self.stops.external = True
                self.stops.after.extend(self.ended if not self.running else ())
            self.stops.before = [
                index for index in self.ready if index in level.durable.before and index not in self.unchecked
            ]
            if not self.stops and (run.plan.eager or not self.running):
                if len(self.ready) == 1 and not self.running and not level.watched:
                    await self._inline(*self.ready.popitem())
                    continue
                self._start_all(group)
            if not self.running:
                if self.stops:
                    raise await self._stopped()
                raise run.stuck(tuple(self.state.last))
            await self._take(group)

    def _start_all(self, group: TaskGroup) -> None:
        self.run.share_extra()
        for index in sorted(self.ready):
            task, given = self.level.task(index, self.ready.pop(index))
            self.running[index] = task
            self.level.start(group, task, given)

    async def _inline(self, index: int, value: Any) -> None:
        level = self.level
        task, given = level.task(index, value)
        try:
            output = await level.inline(index, given)
        except InterruptSignal as signal:
            self._note_signal(task, signal)
        else:
            await self._completed(task, output)

    async def _take(self, group: TaskGroup) -> None:
        """Take what ended: at least one node, and all that have ended beside it."""
        level, external = self.level, self.level.session.external
        if not group.done:
            await group.wait()
        while group.done and not self.state.end_is_ready:
            index, value, error = group.done.popleft()
            if index == ALARM:
                self.stops.external = True
                level.cut_short(list(self.running.values()))
                continue
            task = self.running.pop(index)
            if value is CUT_SHORT:
                self.stopped.append(task)
                self.stops.external = True
            elif isinstance(error, InterruptSignal):
                self._note_signal(task, error)
            elif error is not None:
                raise error
            else:
                if external is not None and external.requested:
                    self.stops.external = True
                    self.stops.after.append(index)
                await self._completed(task, value)

    def _note_signal(self, task: Task, signal: InterruptSignal) -> None:
        self.stops.signals.append((task.index, self.level.checked(task.index, signal)))
        self.stopped.append(task)

    async def _completed(self, task: Task, output: Any) -> None:
        level, index = self.level, task.index
        await level.ended(task)
        self.ended.append(index)
        self.run.steps += 1
        if index in level.durable.after and index not in self.stops.after:
            self.stops.after.append(index)
        await _completed(self.run, self.state, index, output)
        if self.state.end_is_ready:
            return
        if level.by_step:
            await self._record()

    async def _stopped(self) -> InterruptSignal:
        return self.level.signal(self.stops, await self._snapshot(), self.stopped)

    async def _record(self) -> None:
        """Record the progress, with copies of what is read for it."""
        for index in self.state.take_ready():
            self.ready[index] = _input_of(self.run, self.state, index)
        snapshot = await self._snapshot()
        await self.level.record(snapshot)

    async def _snapshot(self) -> Snapshot:
        """Return where the graph stands; values that were streams are whole afterwards."""
        level, plan = self.level, self.run.plan
        todo: list[tuple[int, Any]] = []
        for table in (self.running, self.ready):
            todo.extend([(index, await self._read(table, index)) for index in sorted(table)])
        todo.extend([(task.index, await self._read(self.stopped, at)) for at, task in enumerate(self.stopped)])
        waiting: dict[str, Any] = {}
        for target, arrived in self.state.waiting().items():
            boxes = []
            for position, (source, value) in enumerate(arrived):
                box = await level.box(value)
                arrived[position] = (source, level.unbox(box))
                boxes.append([plan.key_of(source), box])
            waiting[plan.key_of(target)] = boxes
        return await level.snapshot(todo, [], {**self.state.dump(), "waiting": waiting})

    async def _read(self, table: Any, index: int) -> Any:
        """Return a value to be stored, and leave one of the same content in its place."""
        held = table[index]
        value = held.value if isinstance(held, Task) else held
        if not self.level.on_stream:
            return value
        mine, copy = map(keep, value.copy(2))
        if isinstance(held, Task):
            held.value = mine
        else:
            table[index] = mine
        return copy

    async def restore(self, snapshot: Snapshot) -> None:
        """Take up where the graph stood."""
        level, plan, dag = self.level, self.run.plan, snapshot.dag or {}
        self.run.steps = snapshot.step
        self.state.load(dag)
        for key, arrived in dag["waiting"].items():
            for source, box in arrived:
                self.state.give(key_index(plan, key), key_index(plan, source), unboxed(box, self.run.mode))
        self.ready = dict(level.todo())
        self.unchecked = set(self.ready)
