"""Readers of all kinds: reading, ending, errors in the middle, closing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from eino._tasks import checkpoint, now, spawn
from eino.errors import ConcatError, EndOfStream, StreamClosedError, StreamInUseError
from eino.schema import ConcatRegistry, SourceEnded, StreamReader, merge, merge_named, pipe


async def generate(*items: Any) -> AsyncGenerator[Any]:
    """Yield the items; raise those that are errors."""
    for item in items:
        await checkpoint()
        if isinstance(item, BaseException):
            raise item
        yield item


class Numbers:
    """An async iterator that is no generator: it survives its errors, and says when it was closed."""

    def __init__(self, *items: Any) -> None:
        self._items = iter(items)
        self.closed = 0

    def __aiter__(self) -> Numbers:
        return self

    async def __anext__(self) -> Any:
        await checkpoint()
        for item in self._items:
            if isinstance(item, BaseException):
                raise item
            return item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await checkpoint()
        self.closed += 1


async def read(reader: StreamReader[Any]) -> list[Any]:
    """Return all that `recv` gives, errors as themselves, to the end."""
    seen: list[Any] = []
    while True:
        try:
            seen.append(await reader.recv())
        except EndOfStream:
            return seen
        except Exception as error:
            seen.append(error)


def piped(*items: Any) -> StreamReader[Any]:
    reader, writer = pipe(capacity=0)

    async def send() -> None:
        for item in items:
            await (writer.send_error(item) if isinstance(item, BaseException) else writer.send(item))
        writer.close()

    spawn(send)
    return reader


def produced(*items: Any) -> StreamReader[Any]:
    async def produce(writer: Any) -> None:
        for item in items:
            await (writer.send_error(item) if isinstance(item, BaseException) else writer.send(item))

    return StreamReader.from_producer(produce, capacity=2)


def copied(*items: Any) -> StreamReader[Any]:
    left, right = piped(*items).copy(2)
    right.close()
    return left


def copied_generator(*items: Any) -> StreamReader[Any]:
    left, right = StreamReader.from_async(Numbers(*items)).copy(2)
    right.close()
    return left


KINDS: dict[str, Callable[..., StreamReader[Any]]] = {
    "list": lambda *items: StreamReader.from_iterable(list(items)),
    "tuple": lambda *items: StreamReader.from_iterable(items),
    "iterator": lambda *items: StreamReader.from_iterable(iter(items)),
    "generator": lambda *items: StreamReader.from_async(generate(*items)),
    "async iterator": lambda *items: StreamReader.from_async(Numbers(*items)),
    "pipe": piped,
    "producer": produced,
    "map": lambda *items: piped(*items).map(lambda item: item),
    "copy of a pipe": copied,
    "copy of an iterator": copied_generator,
    "merge": lambda *items: merge([piped(*items), StreamReader.from_iterable([])]),
    "merge of generators": lambda *items: merge([StreamReader.from_async(generate(*items)), piped()]),
}
SURVIVES_ERRORS = sorted(KINDS.keys() - {"list", "tuple", "iterator", "generator", "merge of generators"})

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
async def test_recv_gives_every_element_and_then_the_end_again_and_again(kind: str) -> None:
    reader = KINDS[kind](1, 2, 3)

    assert [await reader.recv() for _ in range(3)] == [1, 2, 3]
    for _ in range(3):
        with pytest.raises(EndOfStream):
            await reader.recv()


@every_kind
async def test_async_for_gives_every_element_and_then_nothing(kind: str) -> None:
    reader = KINDS[kind](1, 2, 3)

    assert [item async for item in reader] == [1, 2, 3]
    assert [item async for item in reader] == []
    with pytest.raises(EndOfStream):
        await reader.recv()


@every_kind
async def test_an_empty_stream_ends_at_once(kind: str) -> None:
    assert [item async for item in KINDS[kind]()] == []


@every_kind
async def test_a_loop_that_was_left_can_be_taken_up_again(kind: str) -> None:
    async with KINDS[kind](1, 2, 3, 4) as reader:
        async for item in reader:
            if item == 2:
                break
        assert await reader.recv() == 3
        assert [item async for item in reader] == [4]


@every_kind
async def test_anext_works_on_the_reader(kind: str) -> None:
    reader = KINDS[kind](1)

    assert await anext(reader) == 1
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


@pytest.mark.parametrize("kind", SURVIVES_ERRORS)
async def test_an_error_stands_in_the_stream_and_does_not_end_it(kind: str) -> None:
    first, second = ValueError("first"), ValueError("second")

    assert await read(KINDS[kind](1, first, second, 2)) == [1, first, second, 2]


@pytest.mark.parametrize("kind", SURVIVES_ERRORS)
async def test_async_for_ends_at_an_error_and_a_new_one_goes_on_behind_it(kind: str) -> None:
    reader, seen = KINDS[kind](1, ValueError("boom"), 2), []

    with pytest.raises(ValueError, match="boom"):
        async for item in reader:
            seen.append(item)  # noqa: PERF401 - an extend would lose what came before the error
    seen.extend([item async for item in reader])

    assert seen == [1, 2]


async def test_an_error_ends_a_generator_as_everywhere_in_python() -> None:
    error = ValueError("boom")

    assert await read(StreamReader.from_async(generate(1, error, 2))) == [1, error]


@every_kind
async def test_a_closed_reader_says_so(kind: str) -> None:
    reader = KINDS[kind](1, 2, 3)
    await reader.recv()
    await reader.aclose()
    await reader.aclose()
    reader.close()

    assert not reader.is_open
    with pytest.raises(StreamClosedError, match="was closed"):
        await reader.recv()
    with pytest.raises(StreamClosedError, match="was closed"):
        async for _ in reader:
            pass
    for use in (lambda: reader.copy(2), lambda: reader.map(str), lambda: merge([reader, KINDS["list"]()])):
        with pytest.raises(StreamClosedError, match="was closed"):
            use()


@every_kind
async def test_close_without_waiting_is_the_same(kind: str) -> None:
    reader = KINDS[kind](1, 2, 3)
    await reader.recv()
    reader.close()
    reader.close()

    assert not reader.is_open
    with pytest.raises(StreamClosedError):
        await reader.recv()


@every_kind
async def test_async_with_closes(kind: str) -> None:
    async with KINDS[kind](1, 2, 3) as reader:
        assert await reader.recv() == 1

    with pytest.raises(StreamClosedError):
        await reader.recv()


async def test_a_reader_is_open_until_its_end_was_seen() -> None:
    reader = StreamReader.from_async(generate(1))
    assert reader.is_open
    await reader.recv()
    assert reader.is_open
    with pytest.raises(EndOfStream):
        await reader.recv()
    assert not reader.is_open

    assert not StreamReader.from_iterable([1]).is_open
    assert not StreamReader.from_iterable(iter([1])).is_open


async def test_lists_are_taken_as_they_are_and_iterators_lazily() -> None:
    items, pulled = [1, 2], []

    def count() -> Iterator[int]:
        for number in range(10):
            pulled.append(number)
            yield number

    taken, lazy = StreamReader.from_iterable(items), StreamReader.from_iterable(count())
    items.append(3)
    assert await taken.concat() == 2
    assert pulled == []
    assert await lazy.recv() == 0
    assert pulled == [0]


async def test_closing_a_reader_of_a_plain_generator_runs_its_cleanup() -> None:
    cleaned = []

    def count() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            cleaned.append(True)

    async with StreamReader.from_iterable(count()) as reader:
        await reader.recv()

    assert cleaned == [True]


async def test_an_error_of_a_plain_iterator_is_raised_in_its_place() -> None:
    assert [type(seen) for seen in await read(StreamReader.from_iterable(map(int, ["1", "x", "3"])))] == [
        int,
        ValueError,
        int,
    ]


async def test_reading_an_endless_iterator_lets_others_have_their_turn() -> None:
    def ones() -> Iterator[int]:
        while True:
            yield 1

    seen = 0
    with anyio.move_on_after(0) as scope:
        async for item in StreamReader.from_iterable(ones()):
            seen += item

    assert scope.cancelled_caught
    assert seen > 0


async def test_a_loop_over_a_generator_runs_on_the_generator_itself() -> None:
    generator = generate(1, 2)
    reader = StreamReader.from_async(generator)

    assert aiter(reader) is generator
    assert [item async for item in reader] == [1, 2]


async def test_a_reader_may_be_dropped_while_a_loop_goes_on_over_its_generator() -> None:
    assert [item async for item in StreamReader.from_async(generate(1, 2, 3))] == [1, 2, 3]
    assert [item async for item in KINDS["merge of generators"](1, 2, 3)] == [1, 2, 3]
    assert [item async for item in KINDS["copy of an iterator"](1, 2, 3)] == [1, 2, 3]


async def test_closing_closes_the_generator_and_waits_for_its_cleanup() -> None:
    cleaned = []

    async def count() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            await checkpoint()
            cleaned.append(True)

    async with StreamReader.from_async(count()) as reader:
        await reader.recv()
    assert cleaned == [True]

    reader = StreamReader.from_async(count())
    await reader.recv()
    reader.close()
    for _ in range(10):
        await checkpoint()
    assert cleaned == [True, True]


async def test_closing_finishes_although_the_caller_is_cancelled() -> None:
    cleaned = []

    async def count() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            for _ in range(5):
                await checkpoint()
            cleaned.append(True)

    with anyio.CancelScope() as scope:
        async with StreamReader.from_async(count()) as reader:
            await reader.recv()
            scope.cancel()
            await checkpoint()

    assert cleaned == [True]


async def test_cleanup_that_hangs_is_given_up_after_five_seconds(virtual_clock: object) -> None:
    async def hangs() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await anyio.sleep(3600)

    reader = StreamReader.from_async(hangs())
    await reader.recv()
    started = now()
    await reader.aclose()

    assert now() - started == pytest.approx(5.0)


async def test_an_async_iterator_is_closed_once_and_only_if_it_did_not_end() -> None:
    numbers = Numbers(1, 2)
    async with StreamReader.from_async(numbers) as reader:
        await reader.recv()
    await reader.aclose()
    assert numbers.closed == 1

    numbers = Numbers(1)
    async with StreamReader.from_async(numbers) as reader:
        assert [item async for item in reader] == [1]
    assert numbers.closed == 0

    numbers = Numbers(1)
    reader = StreamReader.from_async(numbers)
    reader.close()
    for _ in range(10):
        await checkpoint()
    assert numbers.closed == 1


async def test_an_async_iterable_without_aclose_needs_no_closing() -> None:
    class Plain:
        def __init__(self) -> None:
            self.left = 2

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    reader = StreamReader.from_async(Plain())
    assert not reader.is_open
    assert await reader.recv() == 1
    await reader.aclose()
    with pytest.raises(StreamClosedError):
        await reader.recv()


async def test_a_reader_given_to_from_async_is_handed_on() -> None:
    inner = KINDS["pipe"](1, 2)
    outer = StreamReader.from_async(inner)

    assert [item async for item in outer] == [1, 2]
    with pytest.raises(StreamInUseError, match="handed on"):
        await inner.recv()


@pytest.mark.parametrize("kind", ["pipe", "producer", "copy of a pipe", "copy of an iterator", "merge"])
async def test_a_cancelled_recv_loses_nothing_of_a_buffered_stream(kind: str) -> None:
    reader = KINDS[kind](1, 2)
    for _ in range(2):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await checkpoint()
            await reader.recv()
    seen = await read(reader)

    assert seen == [1, 2]


@pytest.mark.parametrize("kind", ["generator", "async iterator", "map"])
async def test_a_cancelled_recv_ends_a_stream_that_the_reader_pulls_itself(kind: str) -> None:
    waiting = anyio.Event()

    async def wait() -> AsyncIterator[int]:
        yield 1
        waiting.set()
        await anyio.sleep_forever()
        yield 2

    class Waits(Numbers):
        async def __anext__(self) -> Any:
            return await anext(self._generator)

        def __init__(self) -> None:
            super().__init__()
            self._generator = wait()

    reader: StreamReader[Any] = StreamReader.from_async(Waits() if kind == "async iterator" else wait())
    if kind == "map":
        reader = reader.map(lambda item: item)
    assert await reader.recv() == 1
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.recv)
        await waiting.wait()
        tasks.cancel_scope.cancel()

    with pytest.raises(EndOfStream):
        await reader.recv()
    await reader.aclose()


@every_kind
async def test_concat_joins_the_whole_stream_and_closes_it(kind: str) -> None:
    reader = KINDS[kind]("a", "b", "c")

    assert await reader.concat() == "abc"
    with pytest.raises(StreamClosedError):
        await reader.recv()


async def test_concat_of_one_element_is_the_element() -> None:
    only = object()

    assert await StreamReader.from_iterable([only]).concat() is only


async def test_concat_of_nothing_is_an_error() -> None:
    with pytest.raises(ConcatError, match="empty"):
        await StreamReader.from_iterable([]).concat()


async def test_concat_raises_the_first_error_of_the_stream_and_closes_it() -> None:
    numbers = Numbers("a", LookupError("first"), "b")
    reader = StreamReader.from_async(numbers)
    with pytest.raises(LookupError, match="first"):
        await reader.concat()

    assert numbers.closed == 1


async def test_concat_leaves_markers_out() -> None:
    named = merge_named({"x": StreamReader.from_iterable(["a"]), "y": StreamReader.from_iterable(["b"])})

    assert await named.concat() == "ab"
    with pytest.raises(ConcatError):
        await merge_named({"x": StreamReader.from_iterable([])}).concat()


async def test_concat_takes_a_registry() -> None:
    registry = ConcatRegistry(functions={str: lambda texts: "+".join(texts)})

    assert await StreamReader.from_iterable(["a", "b"]).concat(registry) == "a+b"


async def test_readers_and_pipes_can_be_made_before_the_loop_runs() -> None:
    done = []

    def outside() -> Any:
        reader, writer = pipe()
        merged = merge([reader, StreamReader.from_async(generate(2))])
        return merged.copy(2), writer

    async def inside(readers: Any, writer: Any) -> None:
        await writer.send(1)
        writer.close()
        done.extend([sorted([item async for item in reader]) for reader in readers])

    readers, writer = await anyio.to_thread.run_sync(outside)
    await inside(readers, writer)

    assert done == [[1, 2], [1, 2]]


async def test_markers_compare_and_print_by_name() -> None:
    assert SourceEnded("a") == SourceEnded(source="a") != SourceEnded("b")
    assert repr(SourceEnded("a")) == "SourceEnded(source='a')"


async def test_closing_a_generator_where_no_loop_runs_leaves_the_cleanup_to_whoever_has_it() -> None:
    generator = generate(1, 2)
    reader = StreamReader.from_async(generator)
    await reader.recv()
    await anyio.to_thread.run_sync(reader.close)

    assert not reader.is_open
    assert await anext(generator) == 2
    await generator.aclose()
