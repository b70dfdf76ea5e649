"""The laws: each is a function of a graph and an input that raises `BrokenLaw` where the graph does not keep it."""

from __future__ import annotations

import gc
import itertools
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import anyio

from eino import Handler, Runnable
from eino._tasks import checkpoint, now, sleep
from eino_harness._leaks import GeneratorWatch, TaskWatch, settle
from eino_harness.laws._subject import BrokenLaw, Law, LawName, Outcome, Subject, Way, differing_node, outcome_of, run
from eino_harness.laws._variant import Path, cut, node_paths, with_cuts, with_delays, with_watch

__all__ = ["CHECKS", "LAWS", "Check"]

Check: TypeAlias = Callable[[Subject, Any], Awaitable[None]]

SCHEDULES: Final = 4
"""Schedules that are tried for an input, beside the one without delays."""
CUTS: Final = (None, 1, 4)
"""How streams are cut: into one chunk, then into texts of so many characters at most."""
MOST_MOMENTS: Final = 8
"""Moments of one kind at which a run is cancelled."""
BATCH_CONCURRENCY: Final = 3

_LAWS: Final = (
    Law(
        "stream",
        "what stream() gives, joined, is what invoke() gives",
        "a node that has both forms (a model, Lambda(invoke=, stream=)) must give the same in both; a stream must end "
        "with its last chunk, and chunks must join to the value: register how with @register_concat",
    ),
    Law(
        "ways",
        "collect() and transform() of the whole input give what invoke() gives",
        "a node that takes a stream must take a stream of one chunk too, and give the same for it as for the value",
    ),
    Law(
        "chunking",
        "how streams are cut into chunks makes no difference",
        "a node that works chunk by chunk must not depend on where a chunk ends: keep what is incomplete until the "
        "next chunk, or take the whole value",
    ),
    Law(
        "schedules",
        "the answer is the same whichever node is late",
        "nodes beside each other must not share what they change: give each its own output key, and merge the state in "
        "the node behind them",
    ),
    Law(
        "resume",
        "a run that stops before a node and goes on gives what a straight run gives",
        "what later nodes need must be in values or in the graph's state, not in variables or objects around the "
        "graph; its types must be storable (@register)",
    ),
    Law(
        "cancel",
        "a cancelled run ends as cancelled, and a stream that is left early ends; both leave nothing behind",
        "let cancellation pass (no `except BaseException`), close what you open in `async with` or `finally`, and "
        "start tasks in a task group that the node waits for",
    ),
    Law(
        "batch",
        "runs beside each other give what they give alone",
        "a graph is shared by its runs: what a node keeps between runs belongs into the graph's state, which each run "
        "has for itself",
    ),
)

LAWS: Final[Mapping[LawName, Law]] = MappingProxyType({law.name: law for law in _LAWS})
"""The laws by name."""


async def _stream_law(subject: Subject, value: Any) -> None:
    await _require_same(subject, value, "stream", "stream")


async def _ways_law(subject: Subject, value: Any) -> None:
    ways: tuple[Way, ...] = ("collect", "transform")
    for way in ways:
        await _require_same(subject, value, way, way)


async def _chunking_law(subject: Subject, value: Any) -> None:
    for most_chars in CUTS:
        words = "each stream in one chunk" if most_chars is None else f"texts cut to {most_chars} characters at most"
        if most_chars is not None:
            pieces = cut(value, most_chars, subject.make().plan.concat)
            shown = f"with the input cut into {pieces!r:.120}"
            await _require_same(subject, value, "transform", f"transform, {shown}", chunks=pieces)
        make = partial(_changed, subject.make, partial(with_cuts, most_chars=most_chars))
        await _require_same(subject, value, "stream", f"stream, {words}", make=make)


async def _schedules_law(subject: Subject, value: Any) -> None:
    for seed in range(1, SCHEDULES + 1):
        change = partial(with_delays, seed=seed, virtual=subject.virtual)
        make = partial(_changed, subject.make, change)
        await _require_same(subject, value, "invoke", f"with nodes late (schedule {seed}), invoke", make=make)


def _changed(make: Callable[[], Runnable[Any, Any]], change: Callable[[Any], Runnable[Any, Any]]) -> Runnable[Any, Any]:
    return change(make())


async def _require_same(
    subject: Subject,
    value: Any,
    way: Way,
    words: str,
    *,
    make: Callable[[], Runnable[Any, Any]] | None = None,
    **options: Any,
) -> None:
    """Require that a run in another way, or of a variant, ends as `invoke` does."""
    straight = await subject.ended([subject.make], "invoke", value)
    other = await subject.ended([make or subject.make], way, value, **options)
    if subject.same(straight, other):
        return

    async def again(graph: Callable[[], Runnable[Any, Any]], way: Way, handler: Handler, **more: Any) -> None:
        await subject.ended([graph], way, value, callbacks=(handler,), **more)

    node = await differing_node(
        subject,
        partial(again, subject.make, "invoke"),
        lambda heard: again(make or subject.make, way, heard, **options),
    )
    said = f"invoke {straight}, but {words} {other}"
    raise BrokenLaw(said, node=node, remedy=await _unsteady(subject, value))


async def _unsteady(subject: Subject, value: Any) -> str:
    """Return the remedy for a graph that gives different answers for one input; nothing if it does not."""
    one, other = [await subject.ended([subject.make], "invoke", value) for _ in range(2)]
    if subject.same(one, other):
        return ""
    return (
        "the graph does not even give the same answer twice: make it deterministic first (seeds, ids, clocks), and "
        "give check_graph a function that makes the graph with fresh fakes"
    )


async def _resume_law(subject: Subject, value: Any) -> None:
    straight = await subject.ended([subject.make], "invoke", value)
    paths = tuple(node_paths(subject.make()))
    plans: list[tuple[Way, frozenset[Path]]] = [("invoke", frozenset({path})) for path in paths]
    plans += [("invoke", frozenset(paths)), ("stream", frozenset(paths))]
    for way, before in plans:
        await _require_resumed(subject, value, straight, way, before)


async def _require_resumed(subject: Subject, value: Any, straight: Outcome, way: Way, before: frozenset[Path]) -> None:
    graphs = _graphs(subject)
    stops = 0

    def count() -> None:
        nonlocal stops
        stops += 1

    resumed = await subject.ended(graphs, way, value, before=before, on_stop=count)
    if subject.same(straight, resumed):
        return
    where = "every node" if len(before) > 1 else f"node {'/'.join(next(iter(before)))!r}"
    said = f"invoke {straight}, but {way}, stopped before {where} and resumed {stops} times, {resumed}"
    node = next(iter(before)) if len(before) == 1 else ()
    if stops:
        node = (
            await differing_node(
                subject,
                lambda heard: subject.ended([subject.make], "invoke", value, callbacks=(heard,)),
                lambda heard: subject.ended(_graphs(subject), way, value, before=before, callbacks=(heard,)),
            )
            or node
        )
    raise BrokenLaw(said, node=node, remedy=await _unsteady(subject, value))


def _graphs(subject: Subject) -> list[Callable[[], Runnable[Any, Any]]]:
    """Return what makes the graph of each part of a run: anew each time, or the same one always."""
    if subject.restart:
        return [subject.make]
    graph = subject.make()
    return [lambda: graph]


@dataclass(frozen=True)
class _Moment:
    """When, and in which way, a run is cancelled."""

    way: Way
    words: str
    wait: Callable[[], Awaitable[object]]
    must_end: bool = False
    """Whether every node waits then, so that a run that goes on has swallowed the cancellation."""


async def _cancel_law(subject: Subject, value: Any) -> None:
    waits = [(f"after {turns} turns of the loop", partial(_turns, turns)) for turns in range(MOST_MOMENTS)]
    begun_s = now()
    moments = {begun_s}
    await _undisturbed("invoke", with_watch(subject.make(), moments, []), value)
    between = [] if not subject.virtual else _between(sorted(moment - begun_s for moment in moments))
    ways: tuple[Way, ...] = ("invoke", "stream")
    for way in ways:
        straight = await _undisturbed(way, subject.make(), value)
        for words, wait in waits:
            await _require_cancelled(subject, value, straight, _Moment(way, words, wait))
        for moment in between:
            words = f"after {moment:g} s of virtual time"
            wait = partial(sleep, moment)
            await _require_cancelled(subject, value, straight, _Moment(way, words, wait, must_end=True))
    for chunks in range(MOST_MOMENTS):
        if not await _left_early(subject, value, chunks):
            break


async def _undisturbed(way: Way, runnable: Runnable[Any, Any], value: Any) -> Outcome:
    """Return how a run ends that nobody cancels; it must leave nothing behind either."""
    with _nothing_left(f"{way}, not even cancelled,") as left:
        outcome = await run(runnable, way, value)
        await left()
    return outcome


def _innermost(running: list[Path]) -> Path:
    """Return the one node that runs and has none inside it that does; nothing if there are several."""
    inner = [path for path in running if not any(each != path and each[: len(path)] == path for each in running)]
    return inner[0] if len(inner) == 1 else ()


def _between(moments: list[float]) -> list[float]:
    """Return moments at which no node begins or ends, and so every node that runs waits."""
    halves = [(one + other) / 2 for one, other in itertools.pairwise(moments) if other > one]
    step = max(1, -(-len(halves) // MOST_MOMENTS))
    return halves[::step]


async def _turns(count: int) -> None:
    for _ in range(count):
        await checkpoint()


async def _require_cancelled(subject: Subject, value: Any, straight: Outcome, moment: _Moment) -> None:
    way = moment.way
    outcome: Outcome | None = None
    running: list[Path] = []
    runnable = with_watch(subject.make(), set(), running)

    async def begin() -> None:
        nonlocal outcome
        outcome = await run(runnable, way, value)

    words = f"{way}, cancelled {moment.words},"
    with _nothing_left(words) as left:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(begin)
            await moment.wait()
            early = outcome is not None
            node = _innermost(running)
            tasks.cancel_scope.cancel()
        await left()
    if early or outcome is None:
        return
    if outcome.error is not None and outcome.failed is not straight.failed:
        raise BrokenLaw(f"{words} {outcome}: it must end as cancelled", node=getattr(outcome.error, "node_path", ()))
    if moment.must_end:
        raise BrokenLaw(f"{words} went on and {outcome}: a node swallowed the cancellation", node=node)


async def _left_early(subject: Subject, value: Any, chunks: int) -> bool:
    """Leave a stream behind so many chunks; return whether there were so many."""
    runnable = subject.make()
    taken = 0

    async def reading() -> None:
        nonlocal taken
        async with runnable.stream(value) as reader:
            async for _ in reader:
                taken += 1
                if taken > chunks:
                    return

    with _nothing_left(f"stream, left behind {chunks + 1} chunks,") as left:
        await outcome_of(reading)
        await left()
    return taken > chunks


@contextmanager
def _nothing_left(words: str) -> Iterator[Callable[[], Awaitable[None]]]:
    """Watch the block; what it yields requires that no task, generator or stream is left over.

    Raises:
        BrokenLaw: By the function, if something is left.
    """
    tasks, generators = TaskWatch(), GeneratorWatch()

    async def require_nothing() -> None:
        await settle()
        gc.collect()
        leaks = [*tasks.leaks(), *generators.leaks()]
        leaks += [str(each.message) for each in warned if issubclass(each.category, ResourceWarning)]
        if leaks:
            raise BrokenLaw(f"{words} left {len(leaks)} thing(s) behind: {'; '.join(leaks)}")

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        generators.install()
        try:
            yield require_nothing
        finally:
            generators.remove()


async def _batch_law(subject: Subject, values: Any) -> None:
    alone = [await run(subject.make(), "invoke", value) for value in values]
    runnable = subject.make()
    together = await runnable.batch(list(values), concurrency=BATCH_CONCURRENCY, return_errors=True)
    for place, (value, one, given) in enumerate(zip(values, alone, together, strict=True)):
        other = await outcome_of(partial(_given, given))
        if not subject.same(one, other):
            said = f"alone, input {place} ({value!r:.80}) {one}, but in a batch of {len(values)} it {other}"
            node = getattr(other.error, "node_path", ())
            raise BrokenLaw(said, node=node, remedy=await _unsteady(subject, value))


async def _given(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


CHECKS: Final[Mapping[LawName, Check]] = MappingProxyType(
    {
        "stream": _stream_law,
        "ways": _ways_law,
        "chunking": _chunking_law,
        "schedules": _schedules_law,
        "resume": _resume_law,
        "cancel": _cancel_law,
        "batch": _batch_law,
    }
)
