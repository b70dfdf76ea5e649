"""A reader has one user at a time: two tasks at once, and readers that were handed on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest

from eino._tasks import checkpoint, spawn
from eino.errors import StreamInUseError
from eino.schema import StreamReader, merge, merge_named, pipe


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await checkpoint()


async def wait() -> AsyncGenerator[int]:
    await anyio.sleep_forever()
    yield 1


class Waits:
    def __aiter__(self) -> Waits:
        return self

    async def __anext__(self) -> int:
        await anyio.sleep_forever()
        return 1

    async def aclose(self) -> None:
        await checkpoint()


def copied(reader: StreamReader[Any]) -> StreamReader[Any]:
    left, right = reader.copy(2)
    right.close()
    return left


KINDS: dict[str, Callable[[], StreamReader[Any]]] = {
    "generator": lambda: StreamReader.from_async(wait()),
    "async iterator": lambda: StreamReader.from_async(Waits()),
    "map": lambda: StreamReader.from_async(wait()).map(str),
    "copy of a generator": lambda: copied(StreamReader.from_async(wait())),
    "merge": lambda: merge([StreamReader.from_async(wait()), StreamReader.from_iterable([])]),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
async def test_a_second_task_that_reads_is_told_so_and_the_first_goes_on(kind: str) -> None:
    reader = KINDS[kind]()
    first = spawn(reader.recv)
    await turns()
    with pytest.raises(StreamInUseError, match="two tasks"):
        await reader.recv()
    assert not first.done

    first.cancel()
    await first.wait_ended()
    await reader.aclose()


async def test_a_second_task_at_a_pipe_is_told_so() -> None:
    reader, writer = pipe()
    for source in (reader, *(pipe()[0] for _ in range(0))):
        first = spawn(source.recv)
        await turns()
        with pytest.raises(StreamInUseError, match="two tasks"):
            await source.recv()
        await writer.send(1)
        await first.join()
    writer.close()


@every_kind
async def test_a_loop_cannot_begin_while_another_task_waits(kind: str) -> None:
    reader = KINDS[kind]()
    first = spawn(reader.recv)
    await turns()
    with pytest.raises(StreamInUseError, match="two tasks"):
        async for _ in reader:
            pass

    first.cancel()
    await first.wait_ended()
    await reader.aclose()


@every_kind
async def test_a_reader_cannot_be_given_away_while_a_task_waits(kind: str) -> None:
    reader = KINDS[kind]()
    first = spawn(reader.recv)
    await turns()
    assert reader.is_busy
    for give_away in (
        lambda: reader.copy(2),
        lambda: reader.map(str),
        lambda: merge([reader, StreamReader.from_iterable([])]),
        lambda: merge_named({"a": reader}),
        lambda: StreamReader.from_async(reader),
    ):
        with pytest.raises(StreamInUseError, match="two tasks"):
            give_away()

    first.cancel()
    await first.wait_ended()
    assert not reader.is_busy
    await reader.aclose()


@every_kind
@pytest.mark.parametrize("how", ["copy", "map", "merge", "merge_named", "from_async"])
async def test_a_reader_that_was_given_away_says_so(kind: str, how: str) -> None:
    reader = KINDS[kind]()
    new: list[StreamReader[Any]]
    match how:
        case "copy":
            new = list(reader.copy(2))
        case "map":
            new = [reader.map(str)]
        case "merge":
            new = [merge([reader, StreamReader.from_iterable([])])]
        case "merge_named":
            new = [merge_named({"a": reader})]
        case _:
            new = [StreamReader.from_async(reader)]

    assert not reader.is_open
    assert not reader.is_busy
    for use in (
        reader.recv,
        reader.concat,
        lambda: anext(reader),
        lambda: anext(aiter(reader)),
    ):
        with pytest.raises(StreamInUseError, match="handed on"):
            await use()
    with pytest.raises(StreamInUseError, match="handed on"):
        reader.map(str)
    reader.close()
    await reader.aclose()  # closing what belongs to somebody else does nothing
    assert all(each.is_open for each in new)
    for each in new:
        await each.aclose()


async def test_a_loop_over_a_reader_that_is_given_away_meanwhile_is_told_so() -> None:
    reader, writer = pipe()
    for number in range(4):
        await writer.send(number)
    writer.close()
    with pytest.raises(StreamInUseError, match="handed on"):
        async for number in reader:
            if number == 1:
                mapped = reader.map(lambda item: item)

    assert [item async for item in mapped] == [2, 3]


@pytest.mark.parametrize("kind", ["generator", "map"])
async def test_a_generator_cannot_be_closed_while_another_task_is_in_it(kind: str) -> None:
    reader = KINDS[kind]()
    first = spawn(reader.recv)
    await turns()
    with pytest.raises(StreamInUseError, match="cancel that task first"):
        await reader.aclose()

    first.cancel()
    await first.wait_ended()
    await reader.aclose()


async def test_an_element_that_wakes_a_reader_which_is_given_away_meanwhile_goes_to_the_new_owner() -> None:
    reader, writer = pipe()
    raised: list[type[BaseException]] = []

    async def read() -> None:
        try:
            await reader.recv()
        except StreamInUseError as error:
            raised.append(type(error))

    task = spawn(read)
    await turns()
    await writer.send(1)  # wakes the task, which has not run yet ...
    left, right = reader.copy(2)  # ... when its reader goes
    await task.join()
    writer.close()

    assert raised == [StreamInUseError]
    assert [item async for item in left] == [item async for item in right] == [1]
