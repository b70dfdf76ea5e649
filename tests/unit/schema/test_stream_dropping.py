"""What happens to readers that nobody closes: they warn, name the line, and end what they started."""

from __future__ import annotations

import gc
import inspect
import re
import threading
import warnings
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from eino._tasks import backend, checkpoint, spawn
from eino.schema import StreamReader, StreamWriter, merge, merge_named, pipe


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await checkpoint()


@contextmanager
def warned() -> Iterator[list[str]]:
    """Collect the texts of resource warnings instead of failing on them."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
        gc.collect()
    texts.extend(str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning))


def here() -> int:
    """Return the line of the caller."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


async def count(closed: list[str] | None = None) -> AsyncGenerator[int]:
    try:
        for number in range(1000):
            await checkpoint()
            yield number
    finally:
        if closed is not None:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            closed.append("closed")


async def produce(writer: StreamWriter[int]) -> None:
    while await writer.send(1):
        pass


OPENERS: dict[str, Callable[[], StreamReader[Any]]] = {
    "generator": lambda: StreamReader.from_async(count()),
    "producer": lambda: StreamReader.from_producer(produce),
    "map": lambda: StreamReader.from_async(count()).map(str),
    "merge": lambda: merge([StreamReader.from_async(count()), StreamReader.from_async(count())]),
    "named merge": lambda: merge_named({"a": StreamReader.from_async(count())}),
}
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("begun", [False, True])
async def test_a_dropped_reader_warns_once(opener: str, begun: bool) -> None:
    with warned() as texts:
        reader = OPENERS[opener]()
        if begun:
            await reader.recv()
        del reader
        gc.collect()
        await turns()

    assert len(texts) == 1, texts
    assert "dropped before its end and never closed" in texts[0]
    assert "async with" in texts[0]


async def test_the_warning_names_the_line_that_opened_the_stream() -> None:
    with warned() as texts:
        reader = StreamReader.from_async(count())
        line = here() - 1
        other = "elsewhere"
        await reader.recv()
        del reader, other
        gc.collect()
        await turns()

    assert f"{__file__}:{line} " in texts[0]


async def test_the_line_of_a_map_is_where_its_stream_was_opened() -> None:
    with warned() as texts:
        source = StreamReader.from_async(count())
        line = here() - 1
        reader = source.map(str)
        await reader.recv()
        del reader, source
        gc.collect()
        await turns()

    assert f"{__file__}:{line} " in texts[0]


async def test_a_stream_that_the_framework_opens_is_blamed_on_the_callers_line() -> None:
    """The first frame outside eino is what the user can change."""
    module: dict[str, Any] = {"__name__": "eino.made_up", "StreamReader": StreamReader, "count": count}
    exec("def inside():\n    return StreamReader.from_async(count())", module)
    with warned() as texts:
        reader = module["inside"]()
        line = here() - 1
        del reader
        gc.collect()
        await turns()

    assert f"{__file__}:{line} " in texts[0]


async def test_a_stream_opened_by_a_task_of_the_framework_is_blamed_on_that_task() -> None:
    code = "async def inside():\n    StreamReader.from_async(count())"
    module: dict[str, Any] = {"__name__": "eino.made_up", "StreamReader": StreamReader, "count": count}
    exec(compile(code, "made_up.py", "exec"), module)
    with warned() as texts:
        await spawn(module["inside"]).join()

    assert re.search(r"opened at made_up\.py:2 ", texts[0])


@pytest.mark.parametrize("count_", [2, 3])
async def test_each_dropped_copy_warns_and_the_last_one_closes_the_source(count_: int) -> None:
    closed: list[str] = []
    with warned() as texts:
        copies = list(StreamReader.from_async(count(closed)).copy(count_))
        line = here() - 1
        await copies[0].recv()
        while copies:
            assert closed == []
            copies.pop()
            gc.collect()
            await turns()

    assert len(texts) == count_
    assert all(f":{line} " in text for text in texts)
    assert closed == ["closed"]


@pytest.mark.parametrize("kind", ["merge", "copy"])
async def test_tasks_behind_a_dropped_reader_end(kind: str) -> None:
    closed: list[str] = []
    reader: StreamReader[int] | None = StreamReader.from_async(count(closed))
    if kind == "merge":
        reader = merge([reader, StreamReader.from_iterable([])])
    else:
        reader, other = reader.copy(2)
        await other.aclose()
    with warned():
        await reader.recv()
        await turns()
        reader = None
        gc.collect()
        await turns()

    assert closed == ["closed"]


async def test_a_writer_learns_that_its_reader_was_dropped() -> None:
    reader, writer = pipe(capacity=1)
    accepted: list[bool] = []

    async def send() -> None:
        while True:
            accepted.append(await writer.send(1))
            if not accepted[-1]:
                return

    task = spawn(send)
    await turns()
    with warned() as texts:
        del reader
        gc.collect()
    await task.join()

    assert accepted == [True, False]
    assert len(texts) == 1


async def test_a_reader_that_is_dropped_in_another_thread_ends_its_tasks() -> None:
    closed: list[str] = []
    holder = [merge([StreamReader.from_async(count(closed)), StreamReader.from_iterable([])])]
    await holder[0].recv()

    def drop() -> None:
        holder.clear()
        gc.collect()

    with warned() as texts:
        thread = threading.Thread(target=drop)
        thread.start()
        with anyio.fail_after(10):
            while not closed:
                await checkpoint()
        thread.join()

    assert len(texts) == 1


@pytest.mark.parametrize("kind", ["generator", "merge", "pipe"])
async def test_a_reader_that_outlives_its_loop_warns_and_harms_nothing(kind: str) -> None:
    holder: list[Any] = []

    async def elsewhere() -> None:
        if kind == "generator":
            holder.append(StreamReader.from_async(count()))
        elif kind == "merge":
            holder.append(merge([StreamReader.from_async(count()), StreamReader.from_iterable([])]))
            await holder[0].recv()
        else:
            holder.extend(pipe())

    with warned() as texts:
        thread = threading.Thread(target=anyio.run, args=(elsewhere,), kwargs={"backend": backend()})
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
        holder.clear()
        gc.collect()
        await turns()

    assert len(texts) == 1, texts


@on_asyncio
async def test_a_generator_that_is_dropped_half_read_is_closed() -> None:
    closed: list[str] = []
    with warned() as texts:
        reader = StreamReader.from_async(count(closed))
        async for _ in reader:
            break
        del reader
        gc.collect()
        await turns()

    assert closed == ["closed"]
    assert len(texts) == 1


def no_warning() -> dict[str, Callable[[], Any]]:
    async def read_to_the_end() -> None:
        async for _ in StreamReader.from_async(count()):
            pass

    async def merged_to_the_end() -> None:
        reader = merge([StreamReader.from_async(count()), StreamReader.from_iterable([1])])
        async for _ in reader:
            pass

    async def arrays() -> None:
        for reader in (
            StreamReader.from_iterable([1, 2]),
            StreamReader.from_iterable(iter([1, 2])),
            merge([StreamReader.from_iterable([1, 2]), StreamReader.from_iterable(iter([1, 2]))]),
            StreamReader.from_iterable([1, 2]).map(str),
            *StreamReader.from_iterable([1, 2]).copy(2),
            *StreamReader.from_iterable(iter([1, 2])).copy(2),
        ):
            await reader.recv()

    async def handed_on() -> None:
        async with StreamReader.from_async(count()).map(str) as reader:
            await reader.recv()
            async with reader.map(len) as mapped:
                await mapped.recv()

    async def closed() -> None:
        StreamReader.from_async(count()).close()
        merge([StreamReader.from_async(count()), StreamReader.from_async(count())]).close()
        for copy in StreamReader.from_async(count()).copy(3):
            copy.close()

    async def a_pipe_that_was_emptied() -> None:
        reader, writer = pipe()
        await writer.send(1)
        writer.close()
        await reader.recv()

    async def copies_read_to_the_end() -> None:
        for copy in StreamReader.from_async(count()).copy(2):
            async for _ in copy:
                pass

    return {case.__name__: case for case in (
        read_to_the_end, merged_to_the_end, arrays, handed_on, closed, a_pipe_that_was_emptied, copies_read_to_the_end
    )}  # fmt: skip


@pytest.mark.parametrize("case", no_warning())
async def test_there_is_no_warning_for_what_was_finished_or_needs_no_closing(case: str) -> None:
    with warned() as texts:
        await no_warning()[case]()
        gc.collect()
        await turns()

    assert texts == []


async def test_a_finished_stream_leaves_no_garbage_for_the_collector() -> None:
    """Channels, copies and tasks let go of each other: nothing waits for a collection."""

    class Element:
        pass

    async def generate() -> AsyncGenerator[Element]:
        for _ in range(10):
            yield Element()

    async def send(writer: StreamWriter[Element]) -> None:
        for _ in range(10):
            await writer.send(Element())

    def alive() -> int:
        kinds = [type(each) for each in gc.get_objects()]
        return sum(kind is Element or kind.__module__.startswith("eino.schema._streams") for kind in kinds)

    def opened() -> list[StreamReader[Element]]:
        readers = [StreamReader.from_async(generate()) for _ in range(3)]
        left, right = readers[0].copy(2)
        piped_left, piped_right = StreamReader.from_producer(send).copy(2)
        return [
            merge([left, readers[1]]),
            right,
            readers[2].map(lambda item: item),
            merge([piped_left, StreamReader.from_producer(send)]),
            piped_right,
            StreamReader.from_producer(send),
        ]

    async def read_all() -> None:
        for reader in opened():
            async for _ in reader:
                pass

    gc.collect()
    before = alive()
    gc.disable()
    try:
        await read_all()
        await turns()
        after = alive()
    finally:
        gc.enable()

    assert after == before


async def test_a_reader_can_be_referenced_weakly() -> None:
    import weakref

    reader = StreamReader.from_iterable([1])
    assert weakref.ref(reader)() is reader


@on_asyncio
async def test_a_task_that_is_named_in_a_dump_says_what_it_is() -> None:
    import asyncio

    async with merge([StreamReader.from_async(count()), StreamReader.from_iterable([])]) as reader:
        await reader.recv()
        names = [task.get_name() for task in asyncio.all_tasks()]

    assert "eino: Puller of a stream" in names
    assert backend() == "asyncio"
