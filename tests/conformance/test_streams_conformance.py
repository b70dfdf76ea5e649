"""Rows S22 to S28 and S35 of the conformance scenarios: streams behave as in the Go original."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from eino._tasks import checkpoint, spawn
from eino.errors import ConcatError, EndOfStream, StreamClosedError
from eino.schema import SourceEnded, StreamReader, concat, merge, merge_named, pipe


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await checkpoint()


async def sent(*items: Any) -> StreamReader[Any]:
    """Return the reader of a closed pipe that holds the items."""
    reader, writer = pipe(capacity=len(items) + 1)
    for item in items:
        await (writer.send_error(item) if isinstance(item, BaseException) else writer.send(item))
    writer.close()
    return reader


async def test_s22_one_copy_blocked_and_the_other_closed() -> None:
    """S22: child 1 is closed twice while child 0 waits: nothing breaks, child 0 reads both elements."""
    reader, writer = pipe(capacity=0)
    first, second = reader.copy(2)
    seen: list[int] = []

    async def read() -> None:
        seen.extend([item async for item in first])

    reading = spawn(read)
    await turns()
    await second.aclose()
    await second.aclose()
    second.close()
    assert await writer.send(1)
    assert await writer.send(2)
    writer.close()
    await reading.join()

    assert seen == [1, 2]


async def test_s23_copies_that_close_early_among_copies_that_read_on() -> None:
    """S23: of 100 copies of 1000 elements even copy i closes after i elements; the odd ones read all, in order."""
    closed: list[str] = []

    async def count() -> AsyncGenerator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            closed.append("source")

    copies = StreamReader.from_async(count()).copy(100)
    left = len(copies)
    seen: dict[int, list[int]] = {}

    async def read(number: int, copy: StreamReader[int]) -> None:
        nonlocal left
        if number % 2 == 0:
            seen[number] = [await copy.recv() for _ in range(number)]
        else:
            seen[number] = [item async for item in copy]
        left -= 1
        if number % 4:
            await copy.aclose()
        else:
            copy.close()

    async with anyio.create_task_group() as tasks:
        for number, copy in enumerate(copies):
            tasks.start_soon(read, number, copy)

    assert left == 0
    assert closed == ["source"]
    for number in range(100):
        assert seen[number] == list(range(1000 if number % 2 else number))


async def test_s23_the_source_is_closed_only_after_all_copies() -> None:
    """S23: 99 of 100 copies are closed: the source goes on; with the last one it is closed."""
    reader, writer = pipe()
    *others, last = reader.copy(100)
    for copy in others:
        await copy.aclose()
    assert await writer.send(1) is True
    await last.aclose()

    assert await writer.send(2) is False


LETTERS = ["a", "b", "c", "d"]


async def test_s25_the_end_hook_injects_a_value() -> None:
    """S25 InjectValue: five values, the last one from the hook, then the end."""
    reader = (await sent(*LETTERS)).map(lambda item: item, on_end=lambda: "extra")

    assert [await reader.recv() for _ in range(5)] == [*LETTERS, "extra"]
    for _ in range(2):
        with pytest.raises(EndOfStream):
            await reader.recv()


async def test_s25_the_end_hook_injects_an_error() -> None:
    """S25 InjectError: four values, then the error, then the end for ever."""
    reader = (await sent(*LETTERS)).map(lambda item: item, on_end=lambda: LookupError("E"))

    assert [await reader.recv() for _ in range(4)] == LETTERS
    with pytest.raises(LookupError, match="E"):
        await reader.recv()
    for _ in range(3):
        with pytest.raises(EndOfStream):
            await reader.recv()


async def test_s25_the_end_hook_of_an_empty_stream() -> None:
    """S25 EmptyStream: the error of the hook, then the end."""
    reader = (await sent()).map(lambda item: item, on_end=lambda: LookupError("E"))

    with pytest.raises(LookupError, match="E"):
        await reader.recv()
    with pytest.raises(EndOfStream):
        await reader.recv()


async def test_s26_an_error_of_the_source_is_not_its_end() -> None:
    """S26: "a", error E, then the reader stops reading: the end hook was not called."""
    called: list[bool] = []
    async with (await sent("a", LookupError("E"))).map(
        lambda item: item, on_error=lambda error: error, on_end=lambda: called.append(True)
    ) as reader:
        assert await reader.recv() == "a"
        with pytest.raises(LookupError, match="E"):
            await reader.recv()

    assert called == []


async def test_s28_an_array_merged_with_a_pipe() -> None:
    """S28: array [0, 1, 2] merged with a pipe of 3, 4, 5: each once, each source in order, then the end."""
    merged = merge([StreamReader.from_iterable([0, 1, 2]), await sent(3, 4, 5)])
    seen = [await merged.recv() for _ in range(6)]

    assert [item for item in seen if item < 3] == [0, 1, 2]
    assert [item for item in seen if item >= 3] == [3, 4, 5]
    with pytest.raises(EndOfStream):
        await merged.recv()


@pytest.mark.parametrize("kind", ["array", "pipe", "generator"])
async def test_s35_a_merge_with_the_ends_of_its_sources(kind: str) -> None:
    """S35: three single-chunk map streams named source0 to source2: three markers, keys 1 to 4."""

    async def chunk(value: dict[str, int]) -> AsyncGenerator[dict[str, int]]:
        yield value

    async def opened(value: dict[str, int]) -> StreamReader[dict[str, int]]:
        if kind == "array":
            return StreamReader.from_iterable([value])
        return await sent(value) if kind == "pipe" else StreamReader.from_async(chunk(value))

    chunks = [{"1": 1}, {"2": 2, "3": 3}, {"4": 4}]
    named = {f"source{number}": await opened(value) for number, value in enumerate(chunks)}
    seen = [item async for item in merge_named(named)]

    markers = [item.source for item in seen if isinstance(item, SourceEnded)]
    assert sorted(markers) == ["source0", "source1", "source2"]
    values = [item for item in seen if not isinstance(item, SourceEnded)]
    assert concat(values) == {"1": 1, "2": 2, "3": 3, "4": 4}


async def test_receiving_from_a_closed_copy_is_an_error() -> None:
    """1.1 Copy: a receive on a closed child says so, and does not disturb its sibling."""
    left, right = (await sent(1)).copy(2)
    await left.aclose()
    with pytest.raises(StreamClosedError):
        await left.recv()

    assert [item async for item in right] == [1]


async def test_a_send_that_waits_is_woken_by_the_readers_close() -> None:
    """1.1 Send: true ("closed") at once, which is False ("not accepted") here, also for a send that waits."""
    reader, writer = pipe(capacity=1)
    answers = [await writer.send(1)]

    async def send() -> None:
        answers.append(await writer.send(2))

    sending = spawn(send)
    await turns()
    assert answers == [True]
    await reader.aclose()
    await sending.join()

    assert answers == [True, False]


async def test_errors_of_a_mapped_function_are_delivered_as_they_are() -> None:
    """1.1 convert: errors of the function are not wrapped and do not end the stream; dropping leaves out."""
    boom = ZeroDivisionError("mine")

    def fail_on_two(number: int) -> int:
        if number == 2:
            raise boom
        return number

    reader = (await sent(1, 2, 3)).map(fail_on_two)
    assert await reader.recv() == 1
    with pytest.raises(ZeroDivisionError) as raised:
        await reader.recv()
    assert raised.value is boom
    assert await reader.recv() == 3


async def test_a_failed_source_does_not_end_a_merge() -> None:
    """1.1 merge: an exception of a pumped source is an error in the stream; the others go on."""

    async def fail() -> AsyncGenerator[int]:
        yield 1
        raise LookupError("panic")

    merged = merge([StreamReader.from_async(fail()), await sent(2, 3)])
    seen: list[Any] = []
    while True:
        try:
            seen.append(await merged.recv())
        except EndOfStream:
            break
        except LookupError as error:
            seen.append(str(error))

    assert sorted(map(str, seen)) == ["1", "2", "3", "panic"]


async def test_concatenating_an_empty_stream_is_an_error() -> None:
    """2.8: "stream reader is empty, concat fail"."""
    with pytest.raises(ConcatError, match="stream reader is empty, concat fail"):
        await (await sent()).concat()


async def test_markers_are_left_out_when_concatenating() -> None:
    """1.1 SourceEOF: is not the end, and concatenation ignores it."""
    assert await merge_named({"a": await sent("x"), "b": await sent("y")}).concat() in ("xy", "yx")
