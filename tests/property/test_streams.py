"""Laws of streams: copies are equal under any interleaving, merges lose nothing under any schedule."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino._tasks import checkpoint
from eino.errors import EndOfStream
from eino.schema import SourceEnded, StreamReader, merge, merge_named
from eino_fixtures.stream_strategies import ScriptedError, StreamScript, schedules, stream_scripts


def run_on(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    """Run one example in a loop of its own."""
    anyio.run(main, backend=backend)


backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])

END = object()


async def step(reader: StreamReader[Any]) -> Any:
    """Return the next element, error or `END`."""
    try:
        return await reader.recv()
    except EndOfStream:
        return END
    except ScriptedError as error:
        return error


async def drain(reader: StreamReader[Any], pauses: Iterable[int] = ()) -> list[Any]:
    """Read to the end, with turns of the loop in between."""
    waits, seen = iter(pauses), []
    while (item := await step(reader)) is not END:
        seen.append(item)
        for _ in range(next(waits, 0)):
            await checkpoint()
    return seen


async def finished() -> None:
    """Let background tasks that have nothing left to do end before the loop does."""
    for _ in range(10):
        await checkpoint()


@backends
@given(script=stream_scripts(), schedule=schedules(readers=3))
def test_copies_are_equal_under_any_interleaving(backend: str, script: StreamScript, schedule: list[int]) -> None:
    async def main() -> None:
        copies = script.open().copy(3)
        seen: list[list[Any]] = [[], [], []]
        for number in schedule:
            item = await step(copies[number])
            if item is not END:
                seen[number].append(item)
        for number, copy in enumerate(copies):
            seen[number] += await drain(copy)
        await finished()
        assert seen == [list(script.items)] * 3

    run_on(backend, main)


@backends
@given(script=stream_scripts(), pauses=st.lists(st.lists(st.integers(0, 4), max_size=12), min_size=2, max_size=4))
def test_copies_are_equal_when_tasks_read_them_side_by_side(
    backend: str, script: StreamScript, pauses: list[list[int]]
) -> None:
    async def main() -> None:
        seen: dict[int, list[Any]] = {}

        async def read(number: int, copy: StreamReader[Any]) -> None:
            seen[number] = await drain(copy, pauses[number])

        async with anyio.create_task_group() as tasks:
            for number, copy in enumerate(script.open().copy(len(pauses))):
                tasks.start_soon(read, number, copy)
        await finished()
        assert [seen[number] for number in range(len(pauses))] == [list(script.items)] * len(pauses)

    run_on(backend, main)


@backends
@given(script=stream_scripts(), read_first=st.integers(0, 12), leave_after=st.lists(st.integers(0, 12), min_size=2))
def test_copies_that_leave_early_take_nothing_from_the_others(
    backend: str, script: StreamScript, read_first: int, leave_after: list[int]
) -> None:
    async def main() -> None:
        reader = script.open()
        before = [item for _ in range(read_first) if (item := await step(reader)) is not END]
        stays, *leavers = reader.copy(len(leave_after) + 1)
        async with anyio.create_task_group() as tasks:
            for leaver, count in zip(leavers, leave_after, strict=True):
                tasks.start_soon(leave, leaver, count)
            after = await drain(stays)
        await finished()
        assert before + after == list(script.items)

    async def leave(copy: StreamReader[Any], count: int) -> None:
        for _ in range(count):
            await step(copy)
        await copy.aclose()

    run_on(backend, main)


def tagged(source: int) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(source), st.integers(0, 99))


many_scripts = st.integers(2, 4).flatmap(
    lambda count: st.tuples(*(stream_scripts(elements=tagged(number)) for number in range(count)))
)


def of_source(seen: list[Any], source: int) -> list[Any]:
    return [item for item in seen if isinstance(item, tuple) and item[0] == source]


def elements(script: StreamScript) -> list[Any]:
    return [item for item in script.items if isinstance(item, tuple)]


def errors(items: Iterable[Any]) -> list[int]:
    return sorted(item.number for item in items if isinstance(item, ScriptedError))


@backends
@given(scripts=many_scripts, pauses=st.lists(st.integers(0, 4), max_size=20))
def test_a_merge_keeps_the_order_of_each_source_and_loses_nothing(
    backend: str, scripts: tuple[StreamScript, ...], pauses: list[int]
) -> None:
    async def main() -> None:
        seen = await drain(merge([script.open() for script in scripts]), pauses)
        await finished()
        assert len(seen) == sum(len(script.items) for script in scripts)
        for number, script in enumerate(scripts):
            assert of_source(seen, number) == elements(script)
        assert errors(seen) == errors(item for script in scripts for item in script.items)

    run_on(backend, main)


@backends
@given(scripts=many_scripts, pauses=st.lists(st.integers(0, 4), max_size=20), nest=st.booleans())
def test_a_named_merge_marks_each_end_once_and_behind_its_source(
    backend: str, scripts: tuple[StreamScript, ...], pauses: list[int], nest: bool
) -> None:
    async def main() -> None:
        named = {str(number): script.open() for number, script in enumerate(scripts)}
        merged: StreamReader[Any] = merge_named(named)
        if nest:
            merged = merge_named({"all": merged})
        seen = await drain(merged, pauses)
        await finished()
        markers = [item.source for item in seen if isinstance(item, SourceEnded)]
        assert sorted(markers) == sorted([*named, *(["all"] if nest else [])])
        assert not nest or seen[-1] == SourceEnded("all")
        for number, script in enumerate(scripts):
            before = seen[: seen.index(SourceEnded(str(number)))]
            assert of_source(before, number) == elements(script) == of_source(seen, number)

    run_on(backend, main)


@backends
@given(scripts=many_scripts, pauses=st.lists(st.integers(0, 4), max_size=20))
def test_copies_of_a_merge_agree_on_its_order(
    backend: str, scripts: tuple[StreamScript, ...], pauses: list[int]
) -> None:
    async def main() -> None:
        left, right = merge([script.open() for script in scripts]).copy(2)
        seen: dict[str, list[Any]] = {}

        async def read(name: str, reader: StreamReader[Any], waits: list[int]) -> None:
            seen[name] = await drain(reader, waits)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, "left", left, pauses)
            tasks.start_soon(read, "right", right, [])
        await finished()
        assert seen["left"] == seen["right"]
        assert len(seen["left"]) == sum(len(script.items) for script in scripts)

    run_on(backend, main)


@backends
@given(script=stream_scripts(), cancel_at=st.lists(st.integers(0, 12), max_size=4), turns=st.integers(0, 3))
def test_a_cancelled_read_of_a_copy_loses_nothing(
    backend: str, script: StreamScript, cancel_at: list[int], turns: int
) -> None:
    async def main() -> None:
        left, right = script.open().copy(2)
        seen: list[Any] = []

        async def read_into() -> None:
            seen.append(await step(left))

        for position in range(13):
            for _ in range(cancel_at.count(position)):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read_into)
                    for _ in range(turns):
                        await checkpoint()
                    tasks.cancel_scope.cancel()
            await read_into()
        seen.extend(await drain(left))
        while END in seen:
            seen.remove(END)
        assert seen == await drain(right) == list(script.items)
        await finished()

    run_on(backend, main)


@given(
    items=st.lists(st.integers(0, 99) | st.builds(ScriptedError, st.integers(0, 9)), max_size=12),
    dropped=st.frozensets(st.integers(0, 99)),
)
def test_a_map_is_the_map_of_the_list(items: list[Any], dropped: frozenset[int]) -> None:
    from eino.schema import DROP

    async def main() -> None:
        script = StreamScript("pipe", tuple(items), capacity=2)
        reader = script.open().map(
            lambda item: DROP if item in dropped else -item,
            on_error=lambda error: DROP if error.args == (0,) else ScriptedError(-error.args[0]),
            on_end=lambda: "end",
        )
        expected = [
            ScriptedError(-item.number) if isinstance(item, ScriptedError) else -item
            for item in items
            if item not in dropped and item != ScriptedError(0)
        ]
        assert await drain(reader) == [*expected, "end"]

    asyncio.run(main())


def test_strategies_are_coroutine_free_until_opened() -> None:
    """Drawing a script starts nothing: the same script opens again and again."""
    script = StreamScript("generator", (1, 2))

    async def main() -> None:
        assert await drain(script.open()) == await drain(script.open()) == [1, 2]

    run: Callable[[Coroutine[Any, Any, None]], None] = functools.partial(asyncio.run, debug=True)
    run(main())
