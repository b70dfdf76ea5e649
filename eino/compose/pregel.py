"""The Pregel engine: super-steps, loops, a limit on steps.

As long as one node at a time is ready, which is most of the time in most graphs, the engine walks along the fused
segments of the plan (`_walk`). Only when several are ready does it start tasks and gather their outputs (`_spread`).
"""

from __future__ import annotations

from typing import Any

from eino._run.frame import GRAPH_LEVEL
from eino._tasks import checkpoint
from eino.compose.beside import run_beside
from eino.compose.failures import node_failure
from eino.compose.routing import Arrivals, arrivals_at_start, send
from eino.compose.run import CHECKPOINT_EVERY, Run
from eino.compose.stage import refuse_awaitable
from eino.compose.table import Segment
from eino.errors import MaxStepsError

__all__ = ["run_pregel"]


async def run_pregel(run: Run, value: Any) -> Any:
    """Run the graph once and return what reached its end.

    Args:
        run: The run.
        value: Input of the graph: a value, or a reader in stream runs.

    Raises:
        RunError: If a node, condition, merge or limit failed; cancellation passes unchanged.
    """
    frame, on_stream = run.frame, run.mode.on_stream
    segment = run.table.entry
    steps, bound = 0, min(run.max_steps, run.checkpoint_at)
    try:
        arrivals = await _at_start(run, value) if segment is None else None
        while True:
            if segment is None:  # several nodes, or none: leave the fast way until one alone is ready again
                run.steps = steps
                value, segment = await _spread(run, arrivals)
                if segment is None:
                    return value
                steps = run.steps
                bound = min(run.max_steps, run.checkpoint_at)
            steps += segment.length
            if steps > bound:
                if steps > run.max_steps:
                    raise await _cut_short(run, segment, value, steps - segment.length)
                await checkpoint()
                run.checkpoint_at = steps + CHECKPOINT_EVERY
                bound = min(run.max_steps, run.checkpoint_at)
            for frame.node, call, is_async in segment.steps:
                if is_async:
                    value = await call(value)
                else:
                    value = call(value)
                    if hasattr(value.__class__, "__await__"):
                        refuse_awaitable(value)
            branch = segment.branch
            if branch is None:
                if segment.ends:
                    return value
                if segment.following is None:
                    arrivals = await _routed(run, [(segment.last, value)])
                segment = segment.following
                continue
            try:
                if branch.is_plain and not on_stream:
                    answer = branch.condition(value)
                    if branch.is_async:
                        answer = await answer
                else:
                    answer, value = await run.mode.decide(branch, value, run.plan)
                following = segment.by_key.get(answer) if answer.__class__ is str else None
                if following is None:
                    if hasattr(answer.__class__, "__await__"):
                        refuse_awaitable(answer)
                    chosen = branch.branch.chosen(answer)
                    if len(chosen) == 1:
                        following = segment.by_key[chosen[0]]
                    else:
                        arrivals = await _chosen(run, segment, chosen, value)
            except Exception as error:
                failure = run.routing_failure(error, segment.last)
                raise failure from failure.__cause__
            segment = following
    except Exception as error:
        failure = node_failure(error, frame)
        raise failure from failure.__cause__


async def _chosen(run: Run, segment: Segment, chosen: tuple[str, ...], value: Any) -> Arrivals:
    """Send a value to several nodes that a branch chose, or to none."""
    arrivals = Arrivals(run.plan)
    arrivals.sources = (segment.last,)
    if not chosen or segment.branch is None:
        await run.mode.drop(value)
        return arrivals
    for key, copy in zip(chosen, run.mode.share(value, len(chosen)), strict=True):
        edge = segment.branch.by_key[key]
        arrivals.add(edge.target, segment.last, run.mode.pass_on(edge, copy))
    return arrivals


async def _spread(run: Run, arrivals: Arrivals | None) -> tuple[Any, Segment | None]:
    """Run super-steps of several nodes until the end is reached or one node alone is ready.

    Returns:
        The result of the graph; or the input of that node, and the segment that begins with it.
    """
    end = run.plan.end
    while arrivals:
        if end in arrivals:
            result = _input_of(run, arrivals, end)
            await arrivals.drop_all(run.mode)
            return result, None
        inputs = [(index, _input_of(run, arrivals, index)) for index in arrivals.ready()]
        if len(inputs) == 1:
            index, value = inputs[0]
            run.sources = arrivals.sources
            return value, run.table.segment(index)
        run.steps += 1
        if run.steps > run.max_steps:
            raise _exceeded(run, arrivals.sources)
        if run.steps > run.checkpoint_at:
            await checkpoint()
            run.checkpoint_at = run.steps + CHECKPOINT_EVERY
        arrivals = await _routed(run, await run_beside(run, inputs))
    raise run.stuck(arrivals.sources if arrivals is not None else ())


async def _cut_short(run: Run, segment: Segment, value: Any, steps: int) -> MaxStepsError:
    """Run the nodes of a segment that may still run after `steps` steps, and return the error for the rest."""
    frame, table = run.frame, run.table
    allowed = run.max_steps - steps
    if allowed == 0 and run.sources and steps == run.steps:  # the last step was one of several nodes
        return _exceeded(run, run.sources)
    for index, call, is_async in segment.steps:
        if index != GRAPH_LEVEL and call is table.call(index)[0]:  # a node, not the check of an edge
            if allowed == 0:
                break
            allowed -= 1
            frame.node = index
        value = call(value)
        if is_async:
            value = await value
        elif hasattr(value.__class__, "__await__"):
            refuse_awaitable(value)
    return _exceeded(run, (frame.node,))


def _exceeded(run: Run, last: tuple[int, ...]) -> MaxStepsError:
    run.frame.node = GRAPH_LEVEL
    names = ", ".join(run.plan.key_of(index) for index in last)
    graph = f" of graph {run.plan.name!r}" if run.plan.name else ""
    return MaxStepsError(
        f"exceeds max steps: {run.max_steps} steps{graph} did not reach the end, last nodes: [{names}]; "
        "raise max_steps at compile or in the call, or look for a branch that never leaves the loop"
    )


def _input_of(run: Run, arrivals: Arrivals, target: int) -> Any:
    """Return the merged input of a node."""
    arrived = arrivals.take(target)
    try:
        return run.mode.merge(run.plan, target, arrived)
    except Exception as error:
        failure = run.input_failure(error, target)
        raise failure from failure.__cause__


async def _at_start(run: Run, value: Any) -> Arrivals:
    try:
        return await arrivals_at_start(run.plan, run.mode, value)
    except Exception as error:
        failure = run.routing_failure(error, GRAPH_LEVEL)
        raise failure from failure.__cause__


async def _routed(run: Run, outputs: list[tuple[int, Any]]) -> Arrivals:
    """Send the outputs of a super-step to where they go."""
    arrivals = Arrivals(run.plan)
    for source, value in outputs:
        run.frame.node = source
        try:
            await send(run.plan, run.mode, source, value, arrivals)
        except Exception as error:
            failure = run.routing_failure(error, source)
            raise failure from failure.__cause__
    return arrivals
