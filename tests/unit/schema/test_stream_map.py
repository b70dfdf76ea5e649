"""Mapping: functions of all kinds, dropping, errors, and the hook at the end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from eino._tasks import checkpoint, spawn
from eino.errors import EndOfStream, StreamClosedError, StreamInUseError
from eino.schema import DROP, StreamReader, pipe


async def read(reader: StreamReader[Any]) -> list[Any]:
    seen: list[Any] = []
    while True:
        try:
            seen.append(await reader.recv())
        except EndOfStream:
            return seen
        except Exception as error:
            seen.append(error)


async def piped(*items: Any) -> StreamReader[Any]:
    reader, writer = pipe(capacity=len(items) + 1)
    for item in items:
        await (writer.send_error(item) if isinstance(item, BaseException) else writer.send(item))
    writer.close()
    return reader


async def test_each_element_goes_through_the_function_when_it_is_asked_for() -> None:
    called: list[int] = []

    def double(number: int) -> int:
        called.append(number)
        return 2 * number

    reader = StreamReader.from_iterable([1, 2, 3]).map(double)
    assert called == []
    assert await reader.recv() == 2
    assert called == [1]
    assert [item async for item in reader] == [4, 6]


async def test_the_function_may_be_async() -> None:
    async def double(number: int) -> int:
        await checkpoint()
        return 2 * number

    assert [item async for item in StreamReader.from_iterable([1, 2]).map(double)] == [2, 4]


@pytest.mark.parametrize("is_async", [False, True])
async def test_drop_leaves_an_element_out(is_async: bool) -> None:
    def odd(number: int) -> Any:
        return number if number % 2 else DROP

    async def odd_later(number: int) -> Any:
        await checkpoint()
        return odd(number)

    reader = StreamReader.from_iterable(range(6)).map(odd_later if is_async else odd)

    assert [item async for item in reader] == [1, 3, 5]


async def test_none_is_an_element() -> None:
    assert await read(StreamReader.from_iterable([1]).map(lambda _: None)) == [None]


async def test_an_error_of_the_function_stands_for_its_element_and_is_not_mapped() -> None:
    mapped: list[Exception] = []

    def on_error(error: Exception) -> Exception:
        mapped.append(error)
        return error

    def invert(number: int) -> float:
        return 1 / number

    first, second, third = await read(StreamReader.from_iterable([1, 0, 2]).map(invert, on_error=on_error))

    assert (first, third) == (1.0, 0.5)
    assert isinstance(second, ZeroDivisionError)
    assert mapped == []


async def test_errors_of_the_source_pass_without_on_error() -> None:
    boom = ValueError("boom")

    assert await read((await piped(1, boom, 2)).map(lambda number: -number)) == [-1, boom, -2]


@pytest.mark.parametrize("is_async", [False, True])
async def test_on_error_gives_another_exception_or_drops_it(is_async: bool) -> None:
    def on_error(error: Exception) -> Any:
        return DROP if isinstance(error, KeyError) else LookupError(f"was {error}")

    async def on_error_later(error: Exception) -> Any:
        await checkpoint()
        return on_error(error)

    reader = await piped(1, KeyError("dropped"), ValueError("boom"), 2)
    one, error, two = await read(reader.map(lambda n: n, on_error=on_error_later if is_async else on_error))

    assert (one, two) == (1, 2)
    assert isinstance(error, LookupError)
    assert str(error) == "was boom"
    assert isinstance(error.__context__, ValueError)


async def test_on_error_that_returns_something_else_is_told_so() -> None:
    reader = await piped(ValueError("boom"))
    [error] = await read(reader.map(lambda n: n, on_error=lambda error: "oops"))  # type: ignore[arg-type, return-value]

    assert isinstance(error, TypeError)
    assert "'oops'" in str(error)


async def test_what_on_error_raises_is_delivered() -> None:
    def on_error(error: Exception) -> Exception:
        raise LookupError("mine") from error

    [error] = await read((await piped(ValueError("boom"))).map(lambda n: n, on_error=on_error))

    assert isinstance(error, LookupError)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("answer", [None, DROP])
async def test_on_end_may_add_nothing(answer: Any, is_async: bool) -> None:
    calls = []

    def on_end() -> Any:
        calls.append(True)
        return answer

    async def on_end_later() -> Any:
        await checkpoint()
        return on_end()

    reader = StreamReader.from_iterable([1]).map(lambda n: n, on_end=on_end_later if is_async else on_end)

    assert await read(reader) == [1]
    assert await read(reader) == []
    assert calls == [True]


async def test_on_end_is_not_called_before_the_end() -> None:
    calls = []
    reader = (await piped(1, ValueError("boom"))).map(lambda n: n, on_end=lambda: calls.append(True))
    await reader.recv()
    with pytest.raises(ValueError, match="boom"):
        await reader.recv()
    assert calls == []
    with pytest.raises(EndOfStream):
        await reader.recv()

    assert calls == [True]


async def test_on_end_is_not_called_for_a_stream_that_was_closed() -> None:
    calls = []
    async with StreamReader.from_iterable([1]).map(lambda n: n, on_end=lambda: calls.append(True)) as reader:
        await reader.recv()

    assert calls == []


async def test_an_error_that_on_end_raises_is_delivered_once() -> None:
    def on_end() -> Any:
        raise LookupError("at the end")

    reader = StreamReader.from_iterable([1]).map(lambda n: n, on_end=on_end)
    one, error = await read(reader)

    assert one == 1
    assert isinstance(error, LookupError)
    assert await read(reader) == []


async def test_maps_can_be_stacked_and_copied() -> None:
    reader = StreamReader.from_iterable(range(4)).map(lambda n: n + 1).map(lambda n: n * 10)
    assert await reader.recv() == 10
    left, right = reader.copy(2)

    assert [item async for item in left] == [20, 30, 40]
    assert [item async for item in right] == [20, 30, 40]


async def test_a_map_that_is_handed_on_keeps_its_hooks() -> None:
    reader = StreamReader.from_iterable([1]).map(lambda n: n, on_end=lambda: 2)
    moved = reader.map(lambda n: n * 10)

    assert await read(moved) == [10, 20]
    with pytest.raises(StreamInUseError, match="handed on"):
        await reader.recv()


async def test_closing_a_map_closes_its_source() -> None:
    closed = []

    async def generate() -> AsyncGenerator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async with StreamReader.from_async(generate()).map(str) as reader:
        assert await reader.recv() == "1"

    assert closed == [True]


async def test_a_map_that_waits_is_told_when_it_is_closed_and_on_error_is_not_asked() -> None:
    source, writer = pipe()
    asked: list[Exception] = []
    raised: list[type[BaseException]] = []
    reader = source.map(lambda n: n, on_error=lambda error: asked.append(error) or error)

    async def wait() -> None:
        try:
            await reader.recv()
        except StreamClosedError as error:
            raised.append(type(error))

    task = spawn(wait)
    for _ in range(5):
        await checkpoint()
    reader.close()
    await task.join()

    assert raised == [StreamClosedError]
    assert asked == []
    assert await writer.send(1) is False


async def test_two_tasks_cannot_be_in_one_map() -> None:
    entered = anyio.Event()

    async def slow(number: int) -> int:
        entered.set()
        await anyio.sleep_forever()
        return number

    reader = StreamReader.from_iterable([1, 2]).map(slow)
    first = spawn(reader.recv)
    await entered.wait()
    with pytest.raises(StreamInUseError, match="two tasks"):
        await reader.recv()
    with pytest.raises(StreamInUseError, match="two tasks"):
        reader.copy(2)
    first.cancel()
    await first.wait_ended()
