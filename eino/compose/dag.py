"""The DAG engine: each node once, when all that it waits for is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eino._run.frame import GRAPH_LEVEL
from eino._tasks.group import TaskGroup, task_group
from eino.compose.beside import node_task, run_beside
from eino.compose.dag_state import DagState
from eino.compose.failures import node_failure
from eino.compose.plan import Edge
from eino.compose.routing import selected
from eino.compose.run import START_INDEX, Run
from eino.compose.stage import refuse_awaitable

__all__ = ["run_dag"]


async def run_dag(run: Run, value: Any) -> Any:
    """Run the graph once and return what reached its end.

    With `plan.eager` a node starts as soon as it is ready; else the nodes that are ready together run together, and
    the next ones when all have ended. What still runs when the end is reached, or when a node fails, is cancelled and
    awaited.

    Raises:
        RunError: If a node, condition or merge failed; cancellation passes unchanged.
    """
    state = DagState(run.table.dag)
    try:
        if not _completed_nowait(run, state, START_INDEX, value):
            await _completed(run, state, START_INDEX, value)
        if run.plan.eager:
            async with task_group() as group:
                await _react(run, state, group)
        else:
            await _step(run, state)
        run.frame.node = GRAPH_LEVEL
        return _input_of(run, state, run.plan.end)
    except Exception as error:
        failure = node_failure(error, run.frame)
        raise failure from failure.__cause__
    finally:
        for rest in state.leftovers():
            await run.mode.drop(rest)


async def _react(run: Run, state: DagState, group: TaskGroup) -> None:
    """Run until the end is ready, starting each node as soon as it can run. A node that is alone runs inline."""
    run.share_extra()
    running = 0
    while not state.end_is_ready:
        ready = state.take_ready()
        if len(ready) == 1 and not running:
            await _inline(run, state, ready[0])
            continue
        for index in ready:
            call, is_async = run.table.call(index)
            running += 1
            value = _input_of(run, state, index)
            group.start(index, node_task(run.frame.branch_off(index), call, is_async, value))
        if not running:
            raise run.stuck(tuple(state.last))
        if not group.done:
            await group.wait()
        while group.done and not state.end_is_ready:
            index, value, error = group.done.popleft()
            running -= 1
            if error is not None:
                raise error
            if not _completed_nowait(run, state, index, value):
                await _completed(run, state, index, value)


async def _step(run: Run, state: DagState) -> None:
    """Run until the end is ready, in super-steps."""
    while not state.end_is_ready:
        ready = state.take_ready()
        if not ready:
            raise run.stuck(tuple(state.last))
        if len(ready) == 1:
            await _inline(run, state, ready[0])
            continue
        inputs = [(index, _input_of(run, state, index)) for index in ready]
        for index, value in await run_beside(run, inputs):
            if not _completed_nowait(run, state, index, value):
                await _completed(run, state, index, value)


async def _inline(run: Run, state: DagState, index: int) -> None:
    """Run a node that is alone, without a task."""
    value = _input_of(run, state, index)
    run.frame.node = index
    call, is_async = run.table.call(index)
    result = call(value)
    if is_async:
        result = await result
    elif hasattr(result.__class__, "__await__"):
        refuse_awaitable(result)
    if not _completed_nowait(run, state, index, result):
        await _completed(run, state, index, result)


async def _completed(run: Run, state: DagState, source: int, value: Any) -> None:
    """Send the output of a node on, and note what became ready or is skipped."""
    plan, mode = run.plan, run.mode
    routes = plan.start if source == START_INDEX else plan.routes[source]
    run.frame.node = source
    edges: Sequence[Edge] = routes.data
    let: set[int] | None = None
    try:
        if routes.branches:
            value, edges, let = await selected(plan, routes, mode, value)
            let.update(routes.control)
        if not edges:
            await mode.drop(value)
        for edge, copy in zip(edges, mode.share(value, len(edges)), strict=True):
            state.give(edge.target, source, mode.pass_on(edge, copy))
        for unwanted in state.complete(source, let):
            await mode.drop(unwanted)
    except Exception as error:
        failure = run.routing_failure(error, source)
        raise failure from failure.__cause__


def _completed_nowait(run: Run, state: DagState, source: int, value: Any) -> bool:
    """Do the same without waiting for the commonest case: a value, no branch. False if it is another case."""
    routes = run.plan.start if source == START_INDEX else run.plan.routes[source]
    if routes.branches or run.mode.on_stream:
        return False
    try:
        if run.table.dag.is_plain:
            state.advance(source, routes.data, value)
            return True
        for edge in routes.data:
            state.give(edge.target, source, value if edge.convert is None else edge.convert(value))
        state.complete(source)
    except Exception as error:
        failure = run.routing_failure(error, source)
        raise failure from failure.__cause__
    return True


def _input_of(run: Run, state: DagState, target: int) -> Any:
    """Return the input of a node: what arrived, merged; or nothing, as its type has it."""
    arrived = state.take_input(target)
    plan, mode = run.plan, run.mode
    maker = plan.makers[target]
    if len(arrived) == 1 and maker is None and target not in plan.named_fan_in:
        return arrived[0][1]
    try:
        if maker is not None and (arrived or maker.makes_of_nothing):
            return mode.make(plan, target, maker, arrived)
        return mode.merge(plan, target, arrived) if arrived else mode.empty(plan, target)
    except Exception as error:
        failure = run.input_failure(error, target)
        raise failure from failure.__cause__
