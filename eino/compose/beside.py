"""Runs several nodes of a graph beside each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eino._run.frame import Frame, current
from eino._tasks.group import task_group
from eino.compose.failures import node_failure
from eino.compose.run import Run
from eino.compose.stage import refuse_awaitable

__all__ = ["node_task", "run_beside"]


async def run_beside(run: Run, inputs: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Run nodes beside each other and return their outputs in the order of `inputs`.

    All run to their end even if one fails; then the failure that came first is raised.
    """
    run.share_extra()
    outputs: dict[int, Any] = {}
    failure: BaseException | None = None
    async with task_group() as group:
        for index, value in inputs:
            call, is_async = run.table.call(index)
            group.start(index, node_task(run.frame.branch_off(index), call, is_async, value))
        for _ in inputs:
            if not group.done:
                await group.wait()
            index, value, error = group.done.popleft()
            if error is None:
                outputs[index] = value
            elif failure is None:
                failure = error
    if failure is not None:
        for value in outputs.values():
            await run.mode.drop(value)
        raise failure
    return [(index, outputs[index]) for index, _ in inputs]


async def node_task(frame: Frame, call: Callable[[Any], Any], is_async: bool, value: Any) -> Any:
    """Run one node in a task of its own, whose frame this becomes."""
    current.set(frame)
    try:
        result = call(value)
        if is_async:
            return await result
        if hasattr(result.__class__, "__await__"):
            refuse_awaitable(result)
        return result
    except Exception as error:
        failure = node_failure(error, frame)
        raise failure from failure.__cause__
