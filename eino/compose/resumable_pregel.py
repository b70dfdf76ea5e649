"""The Pregel engine for runs that may stop and go on: the same super-steps, and before each one it may stop."""

from __future__ import annotations

from typing import Any

from eino._run.frame import GRAPH_LEVEL
from eino._run.interrupt import InterruptSignal
from eino._tasks import checkpoint
from eino._tasks.group import task_group
from eino.compose.extra import keep
from eino.compose.failures import node_failure
from eino.compose.level import ALARM, CUT_SHORT, Level, Stops, Task
from eino.compose.pregel import _at_start, _exceeded, _input_of, _routed
from eino.compose.routing import Arrivals
from eino.compose.run import CHECKPOINT_EVERY

__all__ = ["run_resumable_pregel"]

Pairs = list[tuple[int, Any]]


async def run_resumable_pregel(level: Level, value: Any) -> Any:
    """Run the graph, from its snapshot if there is one, and return what reached its end.

    Raises:
        InterruptSignal: If the graph stops; it says where it stands.
        RunError: If a node, condition, merge or limit failed.
    """
    run = level.run
    try:
        if level.restored is None:
            return await _from_arrivals(level, await _at_start(run, value), ())
        run.steps = level.restored.step
        done = level.done()
        todo = level.todo()
        arrivals = await _stepped(level, todo, done)
        return await _from_arrivals(level, arrivals, [index for index, _ in todo])
    except Exception as error:
        failure = node_failure(error, run.frame)
        raise failure from failure.__cause__


async def _from_arrivals(level: Level, arrivals: Arrivals, ran: Any) -> Any:
    """Run super-steps until the end is reached."""
    run, end = level.run, level.run.plan.end
    while arrivals:
        if end in arrivals:
            run.frame.node = GRAPH_LEVEL
            result = _input_of(run, arrivals, end)
            await arrivals.drop_all(run.mode)
            return result
        todo = [(index, _input_of(run, arrivals, index)) for index in arrivals.ready()]
        stops = _stops(level, todo, ran)
        if stops:
            run.steps += 1  # the step that is to run next
            raise level.signal(stops, await level.snapshot(todo, []), [])
        run.steps += 1
        if run.steps > run.max_steps:
            raise _exceeded(run, arrivals.sources)
        if run.steps > run.checkpoint_at:
            await checkpoint()
            run.checkpoint_at = run.steps + CHECKPOINT_EVERY
        if level.by_step and ran:
            snapshot = await level.snapshot(todo, [])
            await level.record(snapshot)
            todo = level.indexed(snapshot.todo)
        arrivals = await _stepped(level, todo, [])
        ran = [index for index, _ in todo]
    raise run.stuck(arrivals.sources)


def _stops(level: Level, todo: Pairs, ran: Any) -> Stops:
    durable, external = level.durable, level.session.external
    stops = Stops()
    stops.before = [index for index, _ in todo if index in durable.before]
    stops.after = [index for index in ran if index in durable.after]
    if external is not None and external.requested:
        stops.external = True
        stops.after = list(ran)
    return stops


async def _stepped(level: Level, todo: Pairs, done: Pairs) -> Arrivals:
    """Run the nodes of one super-step and send on what they give, and what others gave before the run stopped."""
    run = level.run
    extra = run.frame.extra
    extra.step = run.steps
    if len(todo) == 1 and not level.watched:
        outputs = await _alone(level, *todo[0], done)
    else:
        outputs = await _beside(level, todo, done)
    level.first_table = None
    return await _routed(run, sorted((*done, *outputs), key=lambda each: each[0]))


async def _alone(level: Level, index: int, value: Any, done: Pairs) -> Pairs:
    task, given = level.task(index, value)
    try:
        output = await level.inline(index, given)
    except InterruptSignal as signal:
        stops = Stops(signals=[(index, level.checked(index, signal))])
        snapshot = await level.snapshot([(index, task.value)], done)
    else:
        await level.ended(task)
        return [(index, output)]
    raise level.signal(stops, snapshot, [task])


async def _beside(level: Level, todo: Pairs, done: Pairs) -> Pairs:
    """Run nodes beside each other. All run to their end, whether one fails, stops or is done."""
    run = level.run
    tasks: dict[int, Task] = {}
    outputs: dict[int, Any] = {}
    failure: BaseException | None = None
    stops, cut = Stops(), []
    async with task_group() as group:
        for index, value in todo:
            task, given = level.task(index, value)
            tasks[index] = task
            level.start(group, task, given)
        level.alarm(group)
        running = dict(tasks)
        while running:
            if not group.done:
                await group.wait()
            index, value, error = group.done.popleft()
            if index == ALARM:
                level.cut_short(list(running.values()))
                continue
            task = running.pop(index)
            if value is CUT_SHORT:
                cut.append(task)
            elif isinstance(error, InterruptSignal):
                stops.signals.append((index, level.checked(index, error)))
            elif error is not None:
                failure = failure or error
            else:
                outputs[index] = value
                await level.ended(task)
                if level.by_step and (running or stops.signals) and failure is None:
                    outputs[index] = await _record_half(level, tasks, done, outputs, index)
    if failure is not None:
        for value in outputs.values():
            await run.mode.drop(value)
        raise failure
    ended = [(index, outputs[index]) for index in outputs]
    if cut or stops.signals:
        rest = [task for index, task in tasks.items() if index not in outputs]
        ran = [index for index in outputs if index in level.durable.after or (cut and level.watched)]
        stops.after = ran
        stops.external = bool(cut)
        snapshot = await level.snapshot([(task.index, task.value) for task in rest], [*done, *ended])
        raise level.signal(stops, snapshot, rest)
    return ended


async def _record_half(level: Level, tasks: dict[int, Task], done: Pairs, outputs: dict[int, Any], index: int) -> Any:
    """Record a step of which a part has ended, so that this part never runs again."""
    output = await level.materialised(outputs[index])
    outputs[index] = output
    rest = [(each, task.value) for each, task in tasks.items() if each not in outputs]
    if level.on_stream:
        await _record_streams(level, rest, done, outputs, tasks=tasks)
        return outputs[index]
    await level.record(await level.snapshot(rest, [*done, *outputs.items()]))
    return output


async def _record_streams(
    level: Level, rest: Pairs, done: Pairs, outputs: dict[int, Any], *, tasks: dict[int, Task]
) -> None:
    """The same in stream runs: what is recorded is read, so all goes on with copies."""
    todo: Pairs = []
    for each, value in rest:
        tasks[each].value, copy = map(keep, value.copy(2))
        todo.append((each, copy))
    ended: Pairs = []
    for each, value in list(outputs.items()):
        outputs[each], copy = map(keep, value.copy(2))
        ended.append((each, copy))
    for position, (each, value) in enumerate(done):
        mine, copy = map(keep, value.copy(2))
        done[position] = (each, mine)
        ended.append((each, copy))
    await level.record(await level.snapshot(todo, ended))
