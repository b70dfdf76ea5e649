"""What streams cost on top of the code that makes and reads their elements.

W5 and W6 of the architecture page, W4 without a graph around it, and what else is done per chunk. Floors are asyncio
code that a person would write for the same work: bare generators, one `asyncio.Queue`, a list shared by readers. They
have no errors in the middle, no closing from either end and no protection from cancelled readers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from eino.schema import StreamReader, StreamWriter, merge, merge_named, pipe

CHUNKS = 1000
SOURCES = 4
COPIES = 4

every_loop = pytest.mark.parametrize("abenchmark", ["asyncio", "uvloop"], indirect=True)


async def count(chunks: int = CHUNKS) -> AsyncGenerator[int, None]:
    for number in range(chunks):
        yield number


async def add_one(numbers: AsyncIterator[int]) -> AsyncGenerator[int, None]:
    async for number in numbers:
        yield number + 1


async def total(numbers: AsyncIterator[int]) -> int:
    """Read to the end and return the sum, so that both sides can be compared."""
    result = 0
    async for number in numbers:
        result += number
    return result


async def send_all(writer: StreamWriter[int]) -> None:
    for number in range(CHUNKS):
        await writer.send(number)
    writer.close()


EXPECTED = sum(range(CHUNKS))


@pytest.mark.workload(
    "W4", "stream 1000 chunks through 3 transforms", variant="readers", unit="us/chunk", per=CHUNKS,
    goal_us=0.6, goal_ratio=1.2, gate_ratio=1.5,
)  # fmt: skip
@every_loop
def test_w4_generators_behind_readers(abenchmark: Any) -> None:
    """What does it cost to pass generators to each other as readers?

    Timed: making the readers, reading all chunks. Expected: the floor, since `async for` runs on the generator itself.
    """

    async def through_readers() -> int:
        reader = StreamReader.from_async(count())
        for _ in range(3):
            reader = StreamReader.from_async(add_one(reader))
        return await total(reader)

    async def bare() -> int:
        return await total(add_one(add_one(add_one(count()))))

    done = abenchmark.compare(subject=through_readers, floor=bare)
    assert done.subject == done.floor == EXPECTED + 3 * CHUNKS


async def through_one_queue() -> int:
    """Four tasks that put into one queue, and a reader."""
    queue: asyncio.Queue[int | None] = asyncio.Queue(SOURCES * 10)

    async def put_all() -> None:
        for number in range(CHUNKS):
            await queue.put(number)
        await queue.put(None)

    tasks = [asyncio.create_task(put_all()) for _ in range(SOURCES)]
    result, running = 0, SOURCES
    while running:
        number = await queue.get()
        if number is None:
            running -= 1
        else:
            result += number
    for task in tasks:
        await task
    return result


@pytest.mark.workload(
    "W5", "merge 4 piped streams of 1000 chunks", unit="us/chunk", per=SOURCES * CHUNKS,
    goal_us=1.2, gate_ratio=1.6,
)  # fmt: skip
@every_loop
def test_w5_merge_of_pipes(abenchmark: Any) -> None:
    """What does a chunk cost on its way from a writer through a pipe and a merge to the reader?

    Timed: four tasks that send, the merge, reading all. Floor: the four tasks put into one `asyncio.Queue`.
    Expected: no task stands between writers and reader, so below the floor.
    """

    async def merged() -> int:
        readers, tasks = [], []
        for _ in range(SOURCES):
            reader, writer = pipe()
            readers.append(reader)
            tasks.append(asyncio.create_task(send_all(writer)))
        result = await total(merge(readers))
        for task in tasks:
            await task
        return result

    done = abenchmark.compare(subject=merged, floor=through_one_queue)
    assert done.subject == done.floor == SOURCES * EXPECTED


@pytest.mark.workload(
    "W5", "merge 4 generators of 1000 chunks", variant="generators", unit="us/chunk", per=SOURCES * CHUNKS,
    gate_ratio=2.5,
)  # fmt: skip
@every_loop
@pytest.mark.parametrize("combine", ["merge", "merge_named"])
def test_w5_merge_of_generators(abenchmark: Any, combine: str) -> None:
    """What does a chunk of a generator cost when a task must pull it?

    Timed: the merge, four tasks that pull up to 5 elements ahead. Floor: four tasks put into one `asyncio.Queue`.
    """

    async def merged() -> int:
        readers = [StreamReader.from_async(count()) for _ in range(SOURCES)]
        if combine == "merge":
            return await total(merge(readers))
        named = merge_named({str(number): reader for number, reader in enumerate(readers)})
        return sum([number async for number in named if type(number) is int])

    done = abenchmark.compare(subject=merged, floor=through_one_queue)
    assert done.subject == done.floor == SOURCES * EXPECTED


class Tee:
    """The floor of a copy: a list that grows, and readers with an index."""

    def __init__(self, source: AsyncIterator[int]) -> None:
        self.seen: list[int] = []
        self.pull = source.__anext__

    async def read(self) -> AsyncGenerator[int, None]:
        seen, pull, index = self.seen, self.pull, 0
        while True:
            if index == len(seen):
                try:
                    seen.append(await pull())
                except StopAsyncIteration:
                    return
            yield seen[index]
            index += 1


def array() -> StreamReader[int]:
    return StreamReader.from_iterable(range(CHUNKS))


def generator() -> StreamReader[int]:
    return StreamReader.from_async(count())


def producer() -> StreamReader[int]:
    return StreamReader.from_producer(send_all)


async def in_turn(readers: list[AsyncIterator[int]]) -> int:
    """One task reads a chunk from each reader, again and again."""
    pulls = [reader.__anext__ for reader in readers]
    result = 0
    try:
        while True:
            for pull in pulls:
                result += await pull()
    except StopAsyncIteration:
        for reader in readers[1:]:
            result += await total(reader)
        return result


async def side_by_side(readers: list[AsyncIterator[int]]) -> int:
    """Each reader has a task of its own."""
    tasks = [asyncio.create_task(total(reader)) for reader in readers]
    return sum([await task for task in tasks])


@pytest.mark.workload("W6", "one source chunk to 4 copies", unit="us/chunk", per=CHUNKS, goal_us=1.8, gate_ratio=6.0)
@every_loop
@pytest.mark.parametrize("readers", [in_turn, side_by_side], ids=lambda function: function.__name__)
@pytest.mark.parametrize("source", [array, producer, generator], ids=lambda function: function.__name__)
def test_w6_copies(
    abenchmark: Any,
    source: Callable[[], StreamReader[int]],
    readers: Callable[[list[AsyncIterator[int]]], Awaitable[int]],
) -> None:
    """What does it cost to read each chunk of a source four times?

    Timed: the source (a plain iterator, a task that sends through a pipe of 10, a generator that a task pulls one by
    one when a copy asks), four copies, reading all, by one task or by four. Floor: a generator, and a list shared by
    four readers. Expected: four tasks on a pipe cost most, since all five wait for each other every 10 chunks.
    """

    async def copied() -> int:
        return await readers([aiter(copy) for copy in source().copy(COPIES)])

    async def teed() -> int:
        tee = Tee(count())
        return await readers([tee.read() for _ in range(COPIES)])

    done = abenchmark.compare(subject=copied, floor=teed)
    assert done.subject == done.floor == COPIES * EXPECTED


@pytest.mark.workload("map", "map 1000 chunks of a generator", unit="us/chunk", per=CHUNKS, gate_ratio=2.5)
@every_loop
def test_map(abenchmark: Any) -> None:
    """What does a mapped chunk cost? Floor: a generator expression around the generator."""

    async def mapped() -> int:
        return await total(StreamReader.from_async(count()).map(lambda number: number + 1))

    async def expression() -> int:
        return await total(number + 1 async for number in count())

    done = abenchmark.compare(subject=mapped, floor=expression)
    assert done.subject == done.floor == EXPECTED + CHUNKS


@pytest.mark.workload("pipe", "send and receive 1000 chunks", unit="us/chunk", per=CHUNKS, gate_ratio=2.0)
@every_loop
@pytest.mark.parametrize("capacity", [0, 10])
def test_pipe(abenchmark: Any, capacity: int) -> None:
    """What does a chunk cost from one task to another? Floor: an `asyncio.Queue` (of 1 where we hand over)."""

    async def piped() -> int:
        reader, writer = pipe(capacity)
        task = asyncio.create_task(send_all(writer))
        result = await total(reader)
        await task
        return result

    async def queued() -> int:
        queue: asyncio.Queue[int | None] = asyncio.Queue(capacity or 1)

        async def put_all() -> None:
            for number in range(CHUNKS):
                await queue.put(number)
            await queue.put(None)

        task = asyncio.create_task(put_all())
        result = 0
        while (number := await queue.get()) is not None:
            result += number
        await task
        return result

    done = abenchmark.compare(subject=piped, floor=queued)
    assert done.subject == done.floor == EXPECTED


@pytest.mark.workload("open", "open, read and end a stream of one chunk", unit="us/stream")
@pytest.mark.parametrize("source", ["array", "generator", "pipe", "copy", "merge"])
def test_open(abenchmark: Any, source: str) -> None:
    """What does a stream cost that holds one chunk? Every value that enters a stream run is one."""

    async def single() -> AsyncGenerator[int, None]:
        yield 1

    async def opened() -> StreamReader[int]:
        match source:
            case "array":
                return StreamReader.from_iterable((1,))
            case "generator":
                return StreamReader.from_async(single())
            case "copy":
                return StreamReader.from_iterable((1,)).copy(2)[0]
            case "merge":
                return merge([StreamReader.from_iterable((1,)), StreamReader.from_iterable(())])
            case _:
                reader, writer = pipe()
                await writer.send(1)
                writer.close()
                return reader

    async def read() -> int:
        return await total(aiter(await opened()))

    assert abenchmark(read) == 1
