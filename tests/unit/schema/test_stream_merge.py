"""Merging: nothing lost, each source in order, ends marked by name."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import anyio
import pytest

from eino._tasks import checkpoint, spawn
from eino.errors import EndOfStream, StreamClosedError, StreamInUseError
from eino.schema import SourceEnded, StreamReader, merge, merge_named, pipe


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await checkpoint()


async def generate(*items: Any) -> AsyncGenerator[Any]:
    for item in items:
        await checkpoint()
        yield item


def array(*items: Any) -> StreamReader[Any]:
    return StreamReader.from_iterable(items)


async def filled(*items: Any) -> StreamReader[Any]:
    reader, writer = pipe(capacity=len(items) + 1)
    for item in items:
        await (writer.send_error(item) if isinstance(item, BaseException) else writer.send(item))
    writer.close()
    return reader


async def read(reader: StreamReader[Any]) -> list[Any]:
    seen: list[Any] = []
    while True:
        try:
            seen.append(await reader.recv())
        except EndOfStream:
            return seen
        except Exception as error:
            seen.append(error)


async def test_arrays_come_one_after_another() -> None:
    first = array(1, 2, 3)
    await first.recv()

    assert await read(merge([first, array(), array(4, 5)])) == [2, 3, 4, 5]


async def test_merging_nothing_is_an_empty_stream() -> None:
    assert await read(merge([])) == []
    assert await read(merge_named({})) == []


async def test_merging_one_reader_is_that_reader() -> None:
    reader = array(1)

    assert merge([reader]) is reader


async def test_elements_come_in_the_order_of_their_arrival() -> None:
    (left, to_left), (right, to_right) = pipe(), pipe()
    await to_left.send("before the merge")
    merged = merge([left, right])
    for number in range(3):
        await to_right.send(f"right {number}")
        await to_left.send(f"left {number}")
    to_left.close()
    to_right.close()

    assert await read(merged) == [
        "before the merge",
        *("right 0", "left 0", "right 1", "left 1", "right 2", "left 2"),
    ]


async def test_a_source_that_has_much_does_not_starve_the_others() -> None:
    def ones() -> Iterator[int]:
        while True:
            yield 1

    reader, writer = pipe()
    async with merge([StreamReader.from_iterable(ones()), reader]) as merged:
        await merged.recv()
        await writer.send(2)
        assert 2 in [await merged.recv() for _ in range(3)]


async def test_each_pipe_keeps_its_own_back_pressure_in_a_merge() -> None:
    (left, to_left), (right, to_right) = pipe(capacity=1), pipe(capacity=3)
    accepted: dict[str, int] = {"left": 0, "right": 0}

    async def send(name: str, writer: Any) -> None:
        while await writer.send(name):
            accepted[name] += 1

    tasks = [spawn(send, "left", to_left), spawn(send, "right", to_right)]
    await turns()
    merged = merge([left, right])
    await turns()
    assert accepted == {"left": 1, "right": 3}

    taken = [await merged.recv() for _ in range(4)]
    await turns()
    assert sorted(taken) == ["left", "right", "right", "right"]
    assert accepted == {"left": 2, "right": 6}
    await merged.aclose()
    for task in tasks:
        await task.join()


async def test_a_blocked_writer_finds_the_reader_again_after_a_merge() -> None:
    (left, to_left), (right, to_right) = pipe(capacity=0), pipe(capacity=0)

    async def send(writer: Any, item: str) -> None:
        await writer.send(item)
        writer.close()

    tasks = [spawn(send, to_left, "left"), spawn(send, to_right, "right")]
    await turns()
    merged = merge([merge([left, array()]), right])

    assert sorted(await read(merged)) == ["left", "right"]
    for task in tasks:
        await task.join()


async def test_generators_are_pulled_side_by_side() -> None:
    running = 0
    together = anyio.Event()

    async def wait_for_the_other() -> AsyncGenerator[int]:
        nonlocal running
        running += 1
        if running == 2:
            together.set()
        await together.wait()
        yield running

    merged = merge([StreamReader.from_async(wait_for_the_other()) for _ in range(2)])

    assert await read(merged) == [2, 2]


async def test_a_source_is_pulled_ahead_but_not_without_end() -> None:
    pulled = 0

    async def count() -> AsyncGenerator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    async with merge([StreamReader.from_async(count()), array()]) as merged:
        await turns()
        assert pulled == 0  # nothing starts before the first read
        assert await merged.recv() == 1
        await turns(30)
        assert pulled <= 10


async def test_errors_pass_and_do_not_end_the_merge() -> None:
    boom = ValueError("boom")
    seen = await read(merge([await filled(1, boom, 2), StreamReader.from_async(generate(3))]))

    assert [item for item in seen if item != 3] == [1, boom, 2]
    assert 3 in seen


async def test_an_error_of_a_generator_is_an_element_and_the_others_go_on() -> None:
    boom = ValueError("boom")

    async def fail() -> AsyncGenerator[int]:
        yield 1
        raise boom

    seen = await read(merge([StreamReader.from_async(fail()), StreamReader.from_async(generate(2, 3, 4))]))

    assert [item for item in seen if item in (1, boom)] == [1, boom]
    assert [item for item in seen if item in (2, 3, 4)] == [2, 3, 4]


async def test_closing_the_merge_closes_every_source_and_waits() -> None:
    closed: list[str] = []

    async def wait(name: str) -> AsyncGenerator[int]:
        try:
            yield 1
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await turns()
            closed.append(name)

    def count() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append("plain")

    reader, writer = pipe()
    async with merge(
        [
            StreamReader.from_async(wait("first")),
            StreamReader.from_async(wait("second")),
            StreamReader.from_iterable(count()),
            reader,
        ]
    ) as merged:
        seen = [await merged.recv() for _ in range(4)]
        await turns(20)
        assert 1 in seen

    assert sorted(closed) == ["first", "plain", "second"]
    assert await writer.send(1) is False


async def test_closing_a_merge_that_was_never_read_closes_the_sources() -> None:
    reader, writer = pipe()
    started = []

    async def count() -> AsyncGenerator[int]:
        started.append(True)
        yield 1

    for close in (True, False):
        merged = merge([reader.map(lambda n: n), StreamReader.from_async(count())])
        if close:
            await merged.aclose()
        else:
            merged.close()
        await turns()
        assert await writer.send(1) is False
        reader, writer = pipe()
    await reader.aclose()

    assert started == []


async def test_a_reader_that_was_given_away_says_so() -> None:
    left, right = array(1), array(2)
    merged = merge([left, right])

    for reader in (left, right):
        with pytest.raises(StreamInUseError, match="handed on"):
            await reader.recv()
    assert await read(merged) == [1, 2]


async def test_a_reader_cannot_be_given_twice_and_then_nothing_is_taken() -> None:
    left, right = array(1), array(2)
    with pytest.raises(StreamInUseError, match="twice"):
        merge([left, right, left])
    with pytest.raises(StreamInUseError, match="twice"):
        merge_named({"a": left, "b": left})

    assert await read(left) == [1]
    assert await read(right) == [2]


async def test_a_merge_takes_all_readers_or_none() -> None:
    left, closed = array(1), array(2)
    await closed.aclose()
    with pytest.raises(StreamClosedError):
        merge([left, closed])
    with pytest.raises(StreamClosedError):
        merge_named({"left": left, "closed": closed})

    assert await read(left) == [1]


async def test_merges_of_merges_are_flat() -> None:
    (one, to_one), (two, to_two), (three, to_three) = pipe(), pipe(), pipe()
    merged = merge([merge([one, StreamReader.from_async(generate("g"))]), merge([two, three, array("a", "b")])])
    for writer, item in ((to_one, 1), (to_two, 2), (to_three, 3)):
        await writer.send(item)
        writer.close()

    assert sorted(map(str, await read(merged))) == ["1", "2", "3", "a", "b", "g"]


def marks(seen: list[Any]) -> list[str]:
    return [item.source for item in seen if isinstance(item, SourceEnded)]


async def test_a_named_merge_marks_the_end_of_each_source_behind_its_elements() -> None:
    pipes = {"a": pipe(), "b": pipe()}
    merged = merge_named({name: reader for name, (reader, _) in pipes.items()})
    await pipes["a"][1].send("a1")
    await pipes["b"][1].send("b1")
    pipes["a"][1].close()
    await pipes["b"][1].send("b2")
    pipes["b"][1].close()

    assert await read(merged) == ["a1", "b1", SourceEnded("a"), "b2", SourceEnded("b")]


@pytest.mark.parametrize("kind", ["array", "iterator", "pipe", "generator", "ended pipe"])
async def test_a_named_merge_of_one_source_marks_its_end(kind: str) -> None:
    async def opened(*items: Any) -> StreamReader[Any]:
        match kind:
            case "array":
                return array(*items)
            case "iterator":
                return StreamReader.from_iterable(iter(items))
            case "generator":
                return StreamReader.from_async(generate(*items))
            case _:
                return await filled(*items)

    assert await read(merge_named({"only": await opened(1, 2)})) == [1, 2, SourceEnded("only")]
    assert await read(merge_named({"only": await opened()})) == [SourceEnded("only")]


async def test_a_named_merge_of_arrays_is_in_the_order_of_the_names() -> None:
    assert await read(merge_named({"b": array(1), "a": array(2, 3)})) == [
        1,
        SourceEnded("b"),
        2,
        3,
        SourceEnded("a"),
    ]


async def test_errors_of_a_named_source_come_before_its_marker() -> None:
    boom = ValueError("boom")

    assert await read(merge_named({"a": await filled(1, boom), "b": array()})) in (
        [1, boom, SourceEnded("a"), SourceEnded("b")],
        [1, boom, SourceEnded("b"), SourceEnded("a")],
        [SourceEnded("b"), 1, boom, SourceEnded("a")],
    )


@pytest.mark.parametrize("outer", ["plain", "named"])
async def test_merging_named_merges_loses_no_name(outer: str) -> None:
    (one, to_one), (two, to_two) = pipe(), pipe()
    inner = merge_named({"a": one, "b": merge_named({"c": two, "d": array("d")})})
    others = [StreamReader.from_async(generate("g")), array("x")]
    merged: StreamReader[Any]
    if outer == "plain":
        merged = merge([inner, *others])
    else:
        merged = merge_named({"inner": inner, "g": others[0], "x": others[1]})
    await to_one.send(1)
    to_one.close()
    to_two.close()
    seen = await read(merged)

    names = marks(seen)
    assert sorted(item for item in map(str, seen) if len(item) == 1) == ["1", "d", "g", "x"]
    assert names.index("b") > max(names.index("c"), names.index("d"))
    if outer == "plain":
        assert sorted(names) == ["a", "b", "c", "d"]
    else:
        assert sorted(names) == ["a", "b", "c", "d", "g", "inner", "x"]
        assert names.index("inner") > max(names.index("a"), names.index("b"))


async def test_merging_a_named_merge_that_had_ended_keeps_its_markers() -> None:
    inner = merge_named({"a": await filled(1), "b": await filled()})
    seen = await read(merge_named({"inner": inner, "x": array("x")}))

    assert sorted(marks(seen)) == ["a", "b", "inner", "x"]
    assert marks(seen)[-2:] == ["inner", "x"] or marks(seen).index("inner") > marks(seen).index("a")


async def test_copies_of_a_named_merge_see_the_markers() -> None:
    reader, writer = pipe()
    left, right = merge_named({"a": reader, "b": array(2)}).copy(2)
    await writer.send(1)
    writer.close()

    assert await read(left) == await read(right)
    assert sorted(marks(await read(merge_named({"a": array(), "b": array()})))) == ["a", "b"]


async def test_a_map_sees_the_markers_as_elements() -> None:
    named = merge_named({"a": array(1), "b": array(2)})
    reader = named.map(lambda item: item.source if isinstance(item, SourceEnded) else item)

    assert await read(reader) == [1, "a", 2, "b"]


async def test_a_cancelled_reader_of_a_merge_loses_nothing() -> None:
    release = anyio.Event()

    async def wait(*items: int) -> AsyncGenerator[int]:
        await release.wait()
        for item in items:
            yield item

    merged = merge([StreamReader.from_async(wait(1, 2)), StreamReader.from_async(wait(3))])
    for _ in range(3):
        task = spawn(merged.recv)
        await turns()
        task.cancel()
        await task.wait_ended()
    release.set()

    assert sorted(await read(merged)) == [1, 2, 3]


async def test_many_sources_are_merged() -> None:
    merged = merge([StreamReader.from_async(generate(*range(n, n + 3))) for n in range(0, 300, 3)])

    assert sorted(await read(merged)) == list(range(300))


async def test_reading_a_merge_that_never_waits_lets_others_have_their_turn() -> None:
    def ones() -> Iterator[int]:
        while True:
            yield 1

    reader, writer = pipe()
    seen = 0
    async with merge([StreamReader.from_iterable(ones()), reader]) as merged:
        with anyio.move_on_after(0) as scope:
            async for item in merged:
                seen += item
    writer.close()

    assert scope.cancelled_caught
    assert seen >= 256
