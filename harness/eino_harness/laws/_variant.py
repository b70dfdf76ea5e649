"""Variants of a compiled graph that must not change its answer: late nodes, other cuts, stops before nodes."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeAlias

from eino import Message, Runnable
from eino._tasks import checkpoint, now, sleep
from eino.compose.durable import Durable
from eino.compose.extra import keep
from eino.compose.plan import Plan
from eino.compose.stage import Stage, compile_stage
from eino.compose.store import CheckpointStore
from eino.errors import ConcatError
from eino.schema._codec_discovery import register_with_fields
from eino.schema._concat import ConcatRegistry
from eino.schema.codec import TYPES
from eino.schema.stream import StreamReader
from eino_fixtures.chunking import Chunking, Seeded, message_chunks

__all__ = ["Path", "cut", "node_paths", "with_cuts", "with_delays", "with_stops", "with_watch"]

Path: TypeAlias = tuple[str, ...]
"""Keys of nodes from the outermost graph down."""

_Step: TypeAlias = Callable[[Path, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Runs a node: gets its path and the function that calls it."""

DELAYS_S: Final = (0.0, 0.0, 1.0, 2.0, 4.0, 8.0)


def node_paths(runnable: Runnable[Any, Any], path: Path = ()) -> Iterator[Path]:
    """Yield the path of every node, those of graphs inside the graph behind their own."""
    for stage in runnable.plan.stages:
        here = (*path, stage.key)
        yield here
        inner = _inner(stage)
        if inner is not None:
            yield from node_paths(inner, here)


def with_delays(runnable: Runnable[Any, Any], seed: int, *, virtual: bool) -> Runnable[Any, Any]:
    """Return the graph with a wait before each node, random and the same for the same seed.

    Args:
        runnable: The graph.
        seed: Which of the schedules.
        virtual: Whether time is virtual, so that seconds cost nothing; else nodes wait for turns of the loop.
    """
    rngs: dict[Path, random.Random] = {}

    async def late(path: Path, call: Callable[[], Awaitable[Any]]) -> Any:
        rng = rngs.setdefault(path, random.Random(f"{seed}:{'/'.join(path)}"))  # noqa: S311 - the same again, no secret
        wait_s = rng.choice(DELAYS_S)
        if virtual:
            await sleep(wait_s)
        else:
            for _ in range(int(wait_s)):
                await checkpoint()
        return await call()

    return _around_nodes(runnable, late)


def with_watch(runnable: Runnable[Any, Any], moments: set[float], running: list[Path]) -> Runnable[Any, Any]:
    """Return the graph with its nodes watched.

    Args:
        runnable: The graph.
        moments: Gets the time at which each node begins and ends, on the loop's clock in seconds.
        running: Holds the paths of the nodes that run.
    """

    async def noted(path: Path, call: Callable[[], Awaitable[Any]]) -> Any:
        moments.add(now())
        running.append(path)
        try:
            return await call()
        finally:
            running.remove(path)
            moments.add(now())

    return _around_nodes(runnable, noted)


def with_cuts(runnable: Runnable[Any, Any], most_chars: int | None) -> Runnable[Any, Any]:
    """Return the graph with the output stream of each node cut into other chunks; into one if `most_chars` is None."""
    concat = runnable.plan.concat

    async def again(_: Path, call: Callable[[], Awaitable[Any]]) -> Any:
        given = await call()
        if not isinstance(given, StreamReader):
            return given
        pieces = _joined(given, concat) if most_chars is None else _cut_again(given, most_chars, concat)
        return keep(StreamReader.from_async(pieces))

    return _around_nodes(runnable, again)


def with_stops(
    runnable: Runnable[Any, Any], store: CheckpointStore, before: frozenset[Path] = frozenset()
) -> Runnable[Any, Any]:
    """Return the graph with its runs stored, and stopped before some of its nodes.

    Raises:
        BuildError: If the graph's state can never be stored.
    """
    return _stopping(runnable, store, before, ())


def _stopping(
    runnable: Runnable[Any, Any], store: CheckpointStore | None, before: frozenset[Path], path: Path
) -> Runnable[Any, Any]:
    plan = runnable.plan
    if isinstance(plan.state, type):
        register_with_fields(plan.state, TYPES)
    own = plan.durable or Durable()
    stops = {index for index, key in enumerate(plan.keys) if (*path, key) in before}
    durable = replace(own, store=store, before=own.before | stops)

    def inside(stage: Stage) -> Stage:
        inner = _inner(stage)
        here = (*path, stage.key)
        if inner is None or not any(each[: len(here)] == here and each != here for each in before):
            return stage
        return _with_inner(plan, stage, _stopping(inner, None, before, here))

    return _with_plan(runnable, replace(plan, durable=durable, stages=tuple(map(inside, plan.stages))))


def _around_nodes(runnable: Runnable[Any, Any], step: _Step, path: Path = ()) -> Runnable[Any, Any]:
    plan = runnable.plan

    def changed(stage: Stage) -> Stage:
        here = (*path, stage.key)
        inner = _inner(stage)
        if inner is not None:
            stage = _with_inner(plan, stage, _around_nodes(inner, step, here))
        return _around(stage, here, step)

    return _with_plan(runnable, replace(plan, stages=tuple(map(changed, plan.stages))))


def _around(stage: Stage, path: Path, step: _Step) -> Stage:
    plain, is_async = stage.plain

    async def plainly(value: Any) -> Any:
        async def call() -> Any:
            result = plain(value)
            return await result if is_async else result

        return await step(path, call)

    def wrapped(call: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def around(value: Any) -> Any:
            return await step(path, lambda: call(value))

        return around

    return Stage(stage.spec, (plainly, True), lambda: wrapped(stage.observed), lambda: wrapped(stage.stream))


def _inner(stage: Stage) -> Runnable[Any, Any] | None:
    body = stage.spec.body
    return None if body is None else body.runnable


def _with_inner(plan: Plan, stage: Stage, inner: Runnable[Any, Any]) -> Stage:
    spec = stage.spec
    return compile_stage(spec.with_body(inner.as_body(spec.name)), plan.concat)


def _with_plan(runnable: Runnable[Any, Any], plan: Plan) -> Runnable[Any, Any]:
    return Runnable(plan, runnable.input_type, runnable.output_type)


async def _joined(reader: StreamReader[Any], concat: ConcatRegistry) -> AsyncGenerator[Any, None]:
    async with reader:
        chunks = [chunk async for chunk in reader]
    try:
        yield concat.concat(chunks)
    except ConcatError:  # nobody promises that the chunks between two nodes have a whole
        for chunk in chunks:
            yield chunk


async def _cut_again(reader: StreamReader[Any], most_chars: int, concat: ConcatRegistry) -> AsyncGenerator[Any, None]:
    async with reader:
        async for chunk in reader:
            for piece in cut(chunk, most_chars, concat):
                yield piece


def cut(value: Any, most_chars: int, concat: ConcatRegistry) -> list[Any]:
    """Return pieces that join to `value`, their texts of so many characters at most; the value if it cannot be cut."""
    pieces = list(_pieces(value, Seeded(most_chars, max_chars=most_chars)))
    try:
        same = len(pieces) > 1 and bool(concat.concat(pieces) == value)
    except Exception:  # pieces that do not join, or cannot be compared, are none
        same = False
    return pieces if same else [value]


def _pieces(value: Any, chunking: Chunking) -> Iterator[Any]:
    if isinstance(value, str):
        yield from chunking.split(value)
    elif isinstance(value, Message):
        yield from message_chunks(value, chunking)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from ({key: piece} for piece in _pieces(inner, chunking))
    else:
        yield value
