"""Copies: lazy, independent, and none harms another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import anyio
import pytest

from eino._tasks import backend, checkpoint, spawn
from eino.errors import EndOfStream, StreamClosedError, StreamInUseError
from eino.schema import StreamReader, merge, pipe


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await checkpoint()


class Source:
    """Counts what was pulled from it, and whether it was closed."""

    def __init__(self, count: int, *, wait: bool = False) -> None:
        self.count = count
        self.wait = wait
        self.pulled = 0
        self.closed = 0
        self.gate = anyio.Event()

    async def generate(self) -> AsyncGenerator[int]:
        try:
            for number in range(self.count):
                if self.wait:
                    await self.gate.wait()
                self.pulled += 1
                yield number
        finally:
            self.closed += 1

    def iterate(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.pulled += 1
                yield number
        finally:
            self.closed += 1


OPENERS: dict[str, Callable[[Source], StreamReader[int]]] = {
    "generator": lambda source: StreamReader.from_async(source.generate()),
    "map of a generator": lambda source: StreamReader.from_async(source.generate()).map(lambda item: item),
    "plain iterator": lambda source: StreamReader.from_iterable(source.iterate()),
}
every_opener = pytest.mark.parametrize("opener", OPENERS)


@every_opener
async def test_nothing_is_pulled_before_a_copy_asks_and_then_one_by_one(opener: str) -> None:
    source = Source(10)
    left, right = OPENERS[opener](source).copy(2)
    await turns()
    assert source.pulled == 0

    for number in range(4):
        assert await left.recv() == number
        await turns()
        assert source.pulled == number + 1
    for number in range(4):
        assert await right.recv() == number
    await turns()
    assert source.pulled == 4
    await left.aclose()
    await right.aclose()


@every_opener
async def test_the_source_is_closed_when_the_last_copy_is(opener: str) -> None:
    source = Source(10)
    first, second, third = OPENERS[opener](source).copy(3)
    await first.recv()
    await first.aclose()
    await second.recv()
    second.close()
    await turns()
    assert source.closed == 0
    assert [await third.recv() for _ in range(3)] == [0, 1, 2]
    await third.aclose()

    assert source.closed == 1


@every_opener
async def test_a_source_that_no_copy_has_read_is_closed_too(opener: str) -> None:
    source = Source(10)
    for copy in OPENERS[opener](source).copy(2):
        await copy.aclose()
    closed_at_once = Source(10)
    for copy in OPENERS[opener](closed_at_once).copy(2):
        copy.close()
    await turns()

    assert source.pulled == closed_at_once.pulled == 0


@every_opener
async def test_copies_end_together_and_the_source_once(opener: str) -> None:
    source = Source(3)
    copies = OPENERS[opener](source).copy(4)
    for copy in copies:
        assert [item async for item in copy] == [0, 1, 2]
        with pytest.raises(EndOfStream):
            await copy.recv()
    await turns()

    assert source.closed == 1


async def test_copies_of_a_partly_read_array_have_the_rest() -> None:
    reader = StreamReader.from_iterable([1, 2, 3])
    await reader.recv()
    left, right = reader.copy(2)

    assert [item async for item in left] == [2, 3]
    assert [item async for item in right] == [2, 3]
    with pytest.raises(StreamInUseError, match="handed on"):
        await reader.recv()


async def test_one_copy_is_the_reader_itself() -> None:
    reader = StreamReader.from_iterable([1])

    assert reader.copy(1) == (reader,)
    assert await reader.recv() == 1


@pytest.mark.parametrize("count", [0, -1])
async def test_fewer_than_one_copy_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"count={count}"):
        StreamReader.from_iterable([1]).copy(count)


async def test_copies_of_a_copy_begin_at_its_place() -> None:
    source = Source(4)
    left, right = StreamReader.from_async(source.generate()).copy(2)
    assert await left.recv() == 0
    first, second = left.copy(2)

    assert [item async for item in first] == [1, 2, 3]
    assert [item async for item in second] == [1, 2, 3]
    assert [item async for item in right] == [0, 1, 2, 3]
    with pytest.raises(StreamInUseError, match="handed on"):
        await left.recv()
    await left.aclose()  # does nothing: it is not its own any more
    assert source.closed == 1


async def test_a_copy_of_a_copy_keeps_the_source_open() -> None:
    source = Source(4)
    left, right = StreamReader.from_async(source.generate()).copy(2)
    first, second = left.copy(2)
    await right.recv()
    await right.aclose()
    await first.aclose()
    assert source.closed == 0
    await second.aclose()

    assert source.closed == 1


@pytest.mark.parametrize("kind", ["pipe", "generator"])
async def test_a_copy_that_waits_does_not_block_one_that_has_something(kind: str) -> None:
    source = Source(3)
    if kind == "pipe":
        reader, writer = pipe()
        await writer.send(0)
    else:
        reader = StreamReader.from_async(source.generate())
    ahead, behind = reader.copy(2)
    assert await ahead.recv() == 0
    source.wait = True
    waiting = spawn(ahead.recv)
    await turns()
    assert not waiting.done

    assert await behind.recv() == 0
    waiting.cancel()
    await waiting.wait_ended()
    await ahead.aclose()
    await behind.aclose()


@pytest.mark.parametrize("kind", ["pipe", "generator", "iterator that ends when cancelled"])
async def test_a_cancelled_reader_takes_nothing_from_its_siblings(kind: str) -> None:
    source = Source(3, wait=True)
    if kind == "pipe":
        reader, writer = pipe()
    else:
        reader = StreamReader.from_async(source.generate())
    left, right = reader.copy(2)
    seen: list[int] = []

    async def read() -> None:
        seen.extend([item async for item in right])

    for _ in range(3):
        cancelled = spawn(left.recv)
        await turns()
        cancelled.cancel()
        await cancelled.wait_ended()
    reading = spawn(read)
    cancelled = spawn(left.recv)
    await turns()
    cancelled.cancel()
    await cancelled.wait_ended()
    if kind == "pipe":
        for number in range(3):
            await writer.send(number)
        writer.close()
    source.gate.set()
    await reading.join()

    assert seen == [0, 1, 2]
    assert [item async for item in left] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["pipe", "generator"])
async def test_all_copies_that_wait_are_woken_by_one_element(kind: str) -> None:
    source = Source(1, wait=True)
    if kind == "pipe":
        reader, writer = pipe()
    else:
        reader = StreamReader.from_async(source.generate())
    seen: list[Any] = []

    async def read(copy: StreamReader[int]) -> None:
        seen.append([item async for item in copy])

    tasks = [spawn(read, copy) for copy in reader.copy(5)]
    await turns()
    if kind == "pipe":
        await writer.send(0)
        writer.close()
    source.gate.set()
    for task in tasks:
        await task.join()

    assert seen == [[0]] * 5


@pytest.mark.parametrize("waits", [True, False])
async def test_a_closed_copy_says_so_even_while_it_waits(waits: bool) -> None:
    reader, writer = pipe()
    left, right = reader.copy(2)
    raised: list[type[BaseException]] = []

    async def read() -> None:
        try:
            await left.recv()
        except StreamClosedError as error:
            raised.append(type(error))

    if waits:
        task = spawn(read)
        await turns()
        left.close()
        await task.join()
    else:
        left.close()
        await read()

    assert raised == [StreamClosedError]
    await writer.send(1)
    writer.close()
    assert [item async for item in right] == [1]


async def test_a_writer_learns_that_all_copies_have_gone() -> None:
    reader, writer = pipe()
    left, right = reader.copy(2)
    await left.aclose()
    assert await writer.send(1) is True
    await right.aclose()

    assert await writer.send(2) is False


async def test_the_fastest_copy_sets_the_back_pressure() -> None:
    reader, writer = pipe(capacity=2)
    accepted: list[int] = []

    async def send() -> None:
        for number in range(10):
            await writer.send(number)
            accepted.append(number)
        writer.close()

    left, right = reader.copy(2)
    sending = spawn(send)
    await turns(20)
    assert accepted == [0, 1]
    assert await left.recv() == 0
    await turns(20)
    assert accepted == [0, 1, 2]
    assert [item async for item in left] == list(range(1, 10))
    assert [item async for item in right] == list(range(10))
    await sending.join()


async def test_every_copy_gets_every_error_in_its_place() -> None:
    reader, writer = pipe()
    boom = ValueError("boom")
    await writer.send(1)
    await writer.send_error(boom)
    await writer.send(2)
    writer.close()

    for copy in reader.copy(3):
        assert await copy.recv() == 1
        with pytest.raises(ValueError, match="boom") as raised:
            await copy.recv()
        assert raised.value is boom
        assert await copy.recv() == 2


async def test_the_trace_of_an_error_does_not_grow_with_the_copies() -> None:
    async def fail() -> AsyncGenerator[int]:
        yield 1
        raise ValueError("boom")

    lengths = []
    for copy in StreamReader.from_async(fail()).copy(5):
        await copy.recv()
        with pytest.raises(ValueError, match="boom") as raised:
            await copy.recv()
        lengths.append(len(raised.traceback))
        with pytest.raises(EndOfStream):
            await copy.recv()

    assert len(set(lengths)) == 1


async def test_elements_are_freed_when_all_copies_have_read_them() -> None:
    import gc
    import weakref

    class Element:
        pass

    async def generate() -> AsyncGenerator[Element]:
        for _ in range(100):
            yield Element()

    left, right = StreamReader.from_async(generate()).copy(2)
    alive: weakref.WeakSet[Element] = weakref.WeakSet()
    for _ in range(50):
        alive.add(await left.recv())
    assert len(alive) == 50
    for _ in range(50):
        await right.recv()
    gc.collect()
    assert len(alive) <= 2
    await left.aclose()
    for _ in range(50):
        alive.add(await right.recv())
    gc.collect()

    assert len(alive) <= 2
    await right.aclose()


async def test_a_scope_that_is_open_across_elements_survives_being_copied() -> None:
    """One task pulls the source from its first element to its cleanup, whoever asks."""

    async def generate() -> AsyncGenerator[int]:
        with anyio.CancelScope():
            for number in range(3):
                yield number
            await checkpoint()

    async def read(copy: StreamReader[int]) -> list[int]:
        return [item async for item in copy]

    left, right = StreamReader.from_async(generate()).copy(2)
    assert await left.recv() == 0
    task = spawn(right.aclose)
    await task.join()
    assert await read(left) == [1, 2]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_source_that_never_waits_is_pulled_without_a_turn_of_the_loop() -> None:
    """What makes copying a generator cheap: from the second element on, nobody sleeps."""
    source = Source(200)
    left, right = StreamReader.from_async(source.generate()).copy(2)
    await left.recv()
    await turns()
    turned = 0

    def turn() -> None:
        nonlocal turned
        turned += 1
        asyncio.get_running_loop().call_soon(turn) if source.pulled < 200 else None

    asyncio.get_running_loop().call_soon(turn)
    seen = [item async for item in left]

    assert seen == list(range(1, 200))
    assert turned <= 1
    await right.aclose()
    assert backend() == "asyncio"


async def test_reading_a_copied_source_that_never_waits_lets_others_have_their_turn() -> None:
    async def ones() -> AsyncGenerator[int]:
        while True:
            yield 1

    left, right = StreamReader.from_async(ones()).copy(2)
    right.close()
    seen = await left.recv()
    with anyio.move_on_after(0) as scope:
        async for item in left:
            seen += item
    await left.aclose()

    assert scope.cancelled_caught
    assert seen > 0


async def test_a_copied_plain_iterator_lets_others_have_their_turn() -> None:
    def ones() -> Iterator[int]:
        while True:
            yield 1

    left, right = StreamReader.from_iterable(ones()).copy(2)
    right.close()
    with anyio.move_on_after(0) as scope:
        async for _ in left:
            pass
    left.close()

    assert scope.cancelled_caught


async def test_copies_can_be_merged_again() -> None:
    reader, writer = pipe()
    for number in range(5):
        await writer.send(number)
    writer.close()

    assert sorted([item async for item in merge(reader.copy(3))]) == sorted([*range(5)] * 3)


async def test_closing_one_copy_from_inside_the_source_does_not_wait_for_itself() -> None:
    copies: list[StreamReader[int]] = []

    async def generate() -> AsyncGenerator[int]:
        yield 1
        for copy in copies:
            await copy.aclose()
        yield 2

    copies.extend(StreamReader.from_async(generate()).copy(2))
    assert await copies[0].recv() == 1
    with pytest.raises(StreamClosedError):
        await copies[0].recv()
    await turns()
