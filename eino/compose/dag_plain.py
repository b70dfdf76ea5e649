"""The DAG engine for the commonest case: values, every edge with data and control, no branch, no field mappings.

Nothing is ever skipped there and nobody waits for a stream, so all that the scheduler needs is how many values each
node still waits for. It gives what `eino.compose.dag` gives, for half of the price.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from eino._run.frame import GRAPH_LEVEL
from eino._tasks.group import TaskGroup, task_group
from eino.compose.beside import node_task
from eino.compose.dag_state import PlainShape
from eino.compose.failures import node_failure
from eino.compose.run import START_INDEX, Run
from eino.compose.stage import refuse_awaitable

__all__ = ["run_plain_dag"]

_INDEX = itemgetter(0)
Ready = list[tuple[int, Any]]
"""Nodes that can run, with their inputs."""


class _Progress:
    """One run: which nodes can run, and what waits for further values."""

    __slots__ = ("_arrived", "_left", "_run", "_shape", "end_is_ready", "ready")

    def __init__(self, run: Run, shape: PlainShape) -> None:
        self._run = run
        self._shape = shape
        self._left = shape.left.copy()
        self._arrived: dict[int, list[Any]] = {}
        self.ready: Ready = []
        self.end_is_ready = False

    def send(self, source: int, value: Any) -> None:
        """Note the output of a node."""
        left, ready, end = self._left, self.ready, self._shape.end
        try:
            for target, convert, place in self._shape.forward[source]:
                item = value if convert is None else convert(value)
                if place >= 0:
                    arrived = self._arrived.get(target)
                    if arrived is None:
                        arrived = self._arrived[target] = [None] * left[target]
                    arrived[place] = item
                    left[target] -= 1
                    if left[target]:
                        continue
                    item = arrived
                if target == end:
                    self.end_is_ready = True
                ready.append((target, item))
        except Exception as error:
            failure = self._run.routing_failure(error, source)
            raise failure from failure.__cause__

    def take_ready(self) -> Ready:
        """Return what can run, in the order in which nodes were added."""
        ready, self.ready = self.ready, []
        if len(ready) > 1:
            ready.sort(key=_INDEX)
        return ready

    def output(self) -> Any:
        """Return what reached the end, once it is ready; the end has the highest index."""
        return self.input_of(*self.take_ready()[-1])

    def input_of(self, target: int, item: Any) -> Any:
        """Return the input of a node."""
        if self._shape.left[target] == 1:
            return item
        try:
            return self._run.plan.merge.merge(item)
        except Exception as error:
            failure = self._run.input_failure(error, target)
            raise failure from failure.__cause__


async def run_plain_dag(run: Run, value: Any, shape: PlainShape) -> Any:
    """Run the graph once and return what reached its end; see `run_dag`.

    Raises:
        RunError: If a node, condition or merge failed; cancellation passes unchanged.
    """
    progress = _Progress(run, shape)
    try:
        progress.send(START_INDEX, value)
        return await _react(run, progress)
    except Exception as error:
        failure = node_failure(error, run.frame)
        raise failure from failure.__cause__


async def _react(run: Run, progress: _Progress) -> Any:
    """Run nodes that are alone inline, until several are ready or the end is reached."""
    while not progress.end_is_ready:
        ready = progress.take_ready()
        if len(ready) > 1:
            run.share_extra()
            async with task_group() as group:
                await _beside(run, progress, group, ready)
            continue
        ((index, item),) = ready
        value = progress.input_of(index, item)
        run.frame.node = index
        call, is_async = run.table.call(index)
        result = call(value)
        if is_async:
            result = await result
        elif hasattr(result.__class__, "__await__"):
            refuse_awaitable(result)
        progress.send(index, result)
    run.frame.node = GRAPH_LEVEL
    return progress.output()


async def _beside(run: Run, progress: _Progress, group: TaskGroup, ready: Ready) -> None:
    """Run nodes beside each other until none runs, or the end is reached."""
    frame, table = run.frame, run.table
    running = 0
    while True:
        for index, item in ready:
            value = progress.input_of(index, item)
            call, is_async = table.call(index)
            group.start(index, node_task(frame.branch_off(index), call, is_async, value))
        running += len(ready)
        if not group.done:
            await group.wait()
        while group.done and not progress.end_is_ready:
            index, value, error = group.done.popleft()
            if error is not None:
                raise error
            running -= 1
            progress.send(index, value)
        if not running or progress.end_is_ready:
            return
        ready = progress.take_ready()
