"""Pipes and producers: back-pressure, hand-over, telling the writer that the reader has gone."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from eino._tasks import backend, checkpoint, spawn
from eino.errors import EndOfStream, StreamBrokenError, StreamClosedError
from eino.schema import StreamReader, StreamWriter, merge, pipe

on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await checkpoint()


async def send_all(writer: StreamWriter[Any], items: list[Any], accepted: list[Any]) -> None:
    for item in items:
        if not await writer.send(item):
            return
        accepted.append(item)
    writer.close()


@pytest.mark.parametrize("capacity", [1, 2, 10])
async def test_a_writer_waits_when_the_buffer_is_full(capacity: int) -> None:
    reader, writer = pipe(capacity=capacity)
    accepted: list[int] = []
    task = spawn(send_all, writer, list(range(20)), accepted)
    await turns(30)
    assert accepted == list(range(capacity))

    assert await reader.recv() == 0
    await turns(30)
    assert accepted == list(range(capacity + 1))

    assert [item async for item in reader] == list(range(1, 20))
    await task.join()


async def test_capacity_0_hands_each_element_to_a_waiting_reader() -> None:
    reader, writer = pipe(capacity=0)
    accepted: list[int] = []
    task = spawn(send_all, writer, [1, 2], accepted)
    await turns()
    assert accepted == []

    assert await reader.recv() == 1
    await turns()
    assert accepted == [1]
    assert await reader.recv() == 2
    await task.join()
    assert [item async for item in reader] == []


async def test_send_says_that_it_was_accepted() -> None:
    reader, writer = pipe()

    assert await writer.send(1) is True
    assert await writer.send_error(ValueError("boom")) is True
    await reader.aclose()
    assert await writer.send(2) is False
    assert await writer.send_error(ValueError("boom")) is False


@pytest.mark.parametrize("capacity", [0, 1])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_reader_that_goes_wakes_the_writer(capacity: int, waits: bool) -> None:
    reader, writer = pipe(capacity=capacity)
    accepted: list[int] = []
    task = spawn(send_all, writer, [1, 2, 3], accepted)
    await turns()
    if waits:
        await reader.aclose()
    else:
        reader.close()
    await task.join()

    assert accepted == [1][:capacity]
    assert await writer.send(4) is False


async def test_what_was_sent_stays_readable_after_close() -> None:
    reader, writer = pipe()
    await writer.send(1)
    writer.close()
    writer.close()

    assert await reader.recv() == 1
    with pytest.raises(EndOfStream):
        await reader.recv()


async def test_close_wakes_the_reader() -> None:
    reader, writer = pipe()
    seen: list[Any] = []

    async def read() -> None:
        seen.extend([item async for item in reader])
        seen.append("end")

    task = spawn(read)
    await turns()
    assert seen == []
    writer.close()
    await task.join()

    assert seen == ["end"]


async def test_sending_after_close_is_an_error_that_names_the_element() -> None:
    reader, writer = pipe()
    writer.close()

    with pytest.raises(StreamClosedError, match="send after close: 'late'"):
        await writer.send("late")
    assert [item async for item in reader] == []


async def test_closing_while_a_send_waits_is_an_error_for_that_send() -> None:
    reader, writer = pipe(capacity=1)
    await writer.send(1)
    raised: list[type[BaseException]] = []

    async def send() -> None:
        try:
            await writer.send(2)
        except StreamClosedError as error:
            raised.append(type(error))

    task = spawn(send)
    await turns()
    writer.close()
    await task.join()

    assert raised == [StreamClosedError]
    assert [item async for item in reader] == [1]


async def test_send_error_takes_exceptions_only() -> None:
    reader, writer = pipe()
    with pytest.raises(TypeError, match="'boom'"):
        await writer.send_error("boom")  # type: ignore[arg-type]
    await reader.aclose()


@pytest.mark.parametrize("capacity", [-1, -10])
def test_a_negative_capacity_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match=str(capacity)):
        pipe(capacity=capacity)
    with pytest.raises(ValueError, match=str(capacity)):
        StreamReader.from_producer(lambda writer: writer.send(1), capacity=capacity)


async def test_several_tasks_may_send_and_a_cancelled_one_passes_its_turn_on() -> None:
    reader, writer = pipe(capacity=1)
    await writer.send("first")

    async def send(item: str) -> None:
        await writer.send(item)

    tasks = []
    for item in ("a", "b", "c"):
        tasks.append(spawn(send, item))
        await turns()
    assert await reader.recv() == "first"  # wakes the task that sends "a" ...
    tasks[0].cancel()  # ... which never gets to send on asyncio; trio lets it
    expected = ["b", "c"] if backend() == "asyncio" else ["a", "b", "c"]
    assert [await reader.recv() for _ in expected] == expected
    for task in tasks:
        await task.wait_ended()
    await reader.aclose()


async def test_a_cancelled_send_is_not_sent() -> None:
    reader, writer = pipe(capacity=1)
    await writer.send(1)
    task = spawn(writer.send, 2)  # type: ignore[arg-type]  # what send returns is not looked at
    await turns()
    task.cancel()
    await task.join()
    writer.close()

    assert [item async for item in reader] == [1]


async def test_a_writer_that_is_dropped_unclosed_breaks_the_stream() -> None:
    reader, writer = pipe()
    await writer.send(1)
    del writer
    gc.collect()

    assert await reader.recv() == 1
    with pytest.raises(StreamBrokenError, match="dropped without"):
        await reader.recv()
    with pytest.raises(EndOfStream):
        await reader.recv()


async def test_a_writer_that_is_dropped_wakes_the_reader() -> None:
    reader, writer = pipe()
    seen: list[type[BaseException]] = []

    async def read() -> None:
        try:
            await reader.recv()
        except StreamBrokenError as error:
            seen.append(type(error))

    task = spawn(read)
    await turns()
    del writer
    gc.collect()
    await task.join()

    assert seen == [StreamBrokenError]


async def test_a_writer_may_be_dropped_after_its_reader() -> None:
    reader, writer = pipe()
    await reader.aclose()
    del writer
    gc.collect()

    with pytest.raises(StreamClosedError):
        await reader.recv()


async def test_a_producer_starts_with_the_first_read_and_ends_the_stream() -> None:
    events: list[str] = []

    async def produce(writer: StreamWriter[int]) -> None:
        events.append("started")
        for number in range(3):
            await writer.send(number)
        events.append("done")

    reader = StreamReader.from_producer(produce)
    await turns()
    assert events == []
    assert [item async for item in reader] == [0, 1, 2]
    assert events == ["started", "done"]


async def test_a_producers_error_is_the_last_element() -> None:
    async def produce(writer: StreamWriter[int]) -> None:
        await writer.send(1)
        raise LookupError("lost")

    reader = StreamReader.from_producer(produce)
    assert await reader.recv() == 1
    with pytest.raises(LookupError, match="lost"):
        await reader.recv()
    with pytest.raises(EndOfStream):
        await reader.recv()


class Interrupt(BaseException):
    """Stands for the signal of an interrupt: no `except Exception` may eat it."""


async def test_an_interrupt_travels_to_the_reader() -> None:
    async def produce(writer: StreamWriter[int]) -> None:
        await writer.send(1)
        raise Interrupt

    async def generate() -> AsyncGenerator[int]:
        yield 1
        raise Interrupt

    readers = [
        StreamReader.from_producer(produce),
        StreamReader.from_async(generate()),
        merge([StreamReader.from_async(generate()), StreamReader.from_iterable([])]),
        StreamReader.from_async(generate()).map(lambda item: item, on_error=lambda error: error),
        *StreamReader.from_async(generate()).copy(2),
    ]
    for reader in readers:
        assert await reader.recv() == 1
        with pytest.raises(Interrupt):
            await reader.recv()
        with pytest.raises(EndOfStream):
            await reader.recv()


async def test_closing_the_reader_cancels_the_producer_and_waits_for_it() -> None:
    events: list[str] = []

    async def produce(writer: StreamWriter[int]) -> None:
        try:
            await writer.send(1)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await turns()
            events.append("cleaned up")

    async with StreamReader.from_producer(produce) as reader:
        await reader.recv()

    assert events == ["cleaned up"]


async def test_closing_a_reader_whose_producer_never_ran_never_runs_it() -> None:
    ran = []

    async def produce(writer: StreamWriter[int]) -> None:
        ran.append(True)

    reader = StreamReader.from_producer(produce)
    reader.close()
    async with StreamReader.from_producer(produce):
        pass
    await turns()

    assert ran == []


@on_asyncio
async def test_closing_a_reader_whose_producer_is_about_to_run_never_runs_it() -> None:
    ran = []

    async def produce(writer: StreamWriter[int]) -> None:
        ran.append(True)

    reader = StreamReader.from_producer(produce)
    reading = spawn(reader.recv)
    await checkpoint()  # the read has started the task, whose first step comes at the next turn
    reader.close()
    with pytest.raises(StreamClosedError):
        await reading.join()
    await turns()

    assert ran == []


async def test_what_a_producer_raises_after_its_reader_has_gone_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def produce(writer: StreamWriter[int]) -> None:
        try:
            await writer.send(1)
            await anyio.sleep_forever()
        finally:
            raise LookupError("in the cleanup")

    with caplog.at_level(logging.WARNING, logger="eino.streams"):
        async with StreamReader.from_producer(produce) as reader:
            await reader.recv()

    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]


async def test_a_producer_runs_in_the_context_of_the_call_that_made_it() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def produce(writer: StreamWriter[str]) -> None:
        await writer.send(variable.get())

    token = variable.set("where it was made")
    reader = StreamReader.from_producer(produce)
    variable.reset(token)
    variable.set("where it is read")

    assert [item async for item in reader] == ["where it was made"]


@on_asyncio
async def test_a_producer_that_is_cancelled_from_outside_breaks_the_stream() -> None:
    """A cut stream must not look like a complete one."""

    async def produce(writer: StreamWriter[int]) -> None:
        await writer.send(1)
        await anyio.sleep_forever()

    reader = StreamReader.from_producer(produce)
    assert await reader.recv() == 1
    [task] = [task for task in asyncio.all_tasks() if task.get_name().startswith("eino: ")]
    task.cancel()
    with pytest.raises(StreamBrokenError, match="cancelled from outside"):
        await reader.recv()
    with pytest.raises(EndOfStream):
        await reader.recv()


async def test_a_million_sends_do_not_keep_a_timeout_waiting() -> None:
    async def produce(writer: StreamWriter[int]) -> None:
        while await writer.send(1):
            pass

    seen = 0
    async with StreamReader.from_producer(produce) as reader:
        with anyio.move_on_after(0) as scope:
            async for item in reader:
                seen += item

    assert scope.cancelled_caught


async def test_a_reader_that_waits_is_told_when_it_is_closed() -> None:
    reader, writer = pipe()
    raised: list[type[BaseException]] = []

    async def read() -> None:
        try:
            await reader.recv()
        except StreamClosedError as error:
            raised.append(type(error))

    task = spawn(read)
    await turns()
    reader.close()
    await task.join()

    assert raised == [StreamClosedError]
    assert await writer.send(1) is False


@pytest.mark.parametrize("copies", [1, 2])
async def test_a_reader_that_gave_up_waiting_is_handed_nothing(copies: int) -> None:
    """With capacity 0 a send is accepted only while somebody waits, and a cancelled reader does not."""
    reader, writer = pipe(capacity=0)
    readers = reader.copy(copies)
    for each in readers:
        waiting = spawn(each.recv)
        await turns()
        waiting.cancel()
        await waiting.wait_ended()
    accepted: list[int] = []
    sending = spawn(send_all, writer, [1], accepted)
    await turns()
    assert accepted == []

    for each in readers:
        assert [item async for item in each] == [1]
    await sending.join()
    assert accepted == [1]


async def test_a_sender_keeps_its_place_when_another_stream_was_faster() -> None:
    """Both of a merge are woken when the reader waits, and one of them finds it served."""
    readers, writers, sending = [], [], []
    async with anyio.create_task_group() as tasks:
        for name, count in (("a", 1), ("b", 3)):
            reader, writer = pipe(0)
            readers.append(reader)
            writers.append(writer)
            for number in range(count):
                sending.append(f"{name}{number}")
                tasks.start_soon(writer.send, sending[-1])
                await anyio.wait_all_tasks_blocked()
        async with merge(readers) as merged:
            got = [await merged.recv() for _ in sending]
            for writer in writers:
                writer.close()

    assert sorted(got) == sending
    assert [each for each in got if each.startswith("b")] == ["b0", "b1", "b2"]


async def test_senders_that_find_the_room_taken_wait_in_the_order_in_which_they_came() -> None:
    """Two are woken at once, and two that never waited take the room before they run."""
    reader, writer = pipe(2)
    async with reader, anyio.create_task_group() as tasks:
        for number in range(2):
            await writer.send(f"first {number}")
        for number in range(3):
            tasks.start_soon(writer.send, number)
            await anyio.wait_all_tasks_blocked()
        assert [await reader.recv(), await reader.recv()] == ["first 0", "first 1"]
        assert [await writer.send("quick 0"), await writer.send("quick 1")] == [True, True]
        await anyio.wait_all_tasks_blocked()
        got = []
        for _ in range(5):
            got.append(await reader.recv())
            await anyio.wait_all_tasks_blocked()  # one is woken at a time: trio runs those woken together in any order

    assert got == ["quick 0", "quick 1", 0, 1, 2]
