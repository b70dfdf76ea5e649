"""What a type checker says of programs that use streams. Checked by `mypy tests/typing`, never run.

An `ignore` marks a line that must be refused: mypy reports an ignore that it does not need.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

from eino import DROP, SourceEnded, StreamReader, StreamWriter, concat, merge, merge_named, pipe


async def numbers() -> AsyncIterator[int]:
    yield 1


async def readers_know_their_elements() -> None:
    assert_type(StreamReader.from_iterable(["a"]), StreamReader[str])
    assert_type(StreamReader.from_async(numbers()), StreamReader[int])
    async for number in StreamReader.from_async(numbers()):
        assert_type(number, int)


async def operations_carry_the_type_on() -> None:
    reader = StreamReader.from_iterable([1, 2])

    assert_type(reader.map(str), StreamReader[str])
    assert_type(reader.map(lambda number: number * 2.0 if number else DROP), StreamReader[float])
    assert_type(reader.copy(2), tuple[StreamReader[int], ...])
    assert_type(merge([reader]), StreamReader[int])
    assert_type(merge_named({"a": reader}), StreamReader[int | SourceEnded])
    assert_type(await reader.concat(), int)
    assert_type(concat(["a", "b"]), str)


async def a_pipe_takes_what_it_gives() -> None:
    ends: tuple[StreamReader[str], StreamWriter[str]] = pipe(capacity=1)
    reader, writer = ends

    assert_type(await reader.recv(), str)
    assert_type(await writer.send("a"), bool)
    await writer.send(1)  # type: ignore[arg-type]
