"""Many inputs through one runnable, a few at a time."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio

from eino._tasks.group import task_group
from eino.errors import BuildError
from eino.schema.stream import StreamReader, StreamWriter

__all__ = ["DEFAULT_CONCURRENCY", "BatchItem", "Progress", "as_completed", "run_batch"]

O = TypeVar("O")  # noqa: E741 - output, as everywhere in eino

DEFAULT_CONCURRENCY = 16
"""Runs under way at once, if the caller does not say."""

Progress = Callable[[int, int | None], None]
"""`on_progress(done, total)`: called after each run; `total` is None when the inputs have no length."""

Invoke = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[O]):
    """What became of one input."""

    index: int
    """Position of the input, from 0."""
    output: O | None
    """Output of the run; None if it failed."""
    error: Exception | None = None
    """What the run raised; None if it did not."""

    def result(self) -> O:
        """Return the output, or raise what the run raised."""
        if self.error is not None:
            raise self.error
        return self.output  # type: ignore[return-value]  # without an error there is an output


class _Work:
    """The inputs, taken one by one by workers, and what is told about them."""

    def __init__(self, inputs: Iterable[Any] | AsyncIterable[Any], on_progress: Progress | None) -> None:
        self._now: Iterator[tuple[int, Any]] | None = None
        self._later: AsyncIterator[Any] | None = None
        if isinstance(inputs, AsyncIterable):
            self._later = aiter(inputs)
        elif isinstance(inputs, Iterable):
            self._now = enumerate(inputs)
        else:
            raise BuildError(f"batch takes an iterable or async iterable of inputs, got {type(inputs).__qualname__}")
        self._total = len(inputs) if isinstance(inputs, Sized) else None
        self._on_progress = on_progress
        self._taken = 0
        self._done = 0
        self._lock: anyio.Lock | None = None

    async def next(self) -> tuple[int, Any] | None:
        """Return the next input with its position; None at the end."""
        if self._now is not None:
            return next(self._now, None)
        if self._lock is None:
            self._lock = anyio.Lock()  # an async iterator has one user at a time
        async with self._lock:
            if self._later is None:
                return None
            try:
                value = await anext(self._later)
            except StopAsyncIteration:
                self._later = None
                return None
            self._taken += 1
            return self._taken - 1, value

    def note_done(self) -> None:
        """Tell that one more run has ended."""
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(self._done, self._total)


def _checked(concurrency: int) -> int:
    if not isinstance(concurrency, int) or concurrency < 1:
        raise BuildError(f"concurrency={concurrency!r}: at least 1 run at a time is needed")
    return concurrency


async def run_batch(
    invoke: Invoke,
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int,
    return_errors: bool,
    on_progress: Progress | None,
) -> list[Any]:
    """Return the output of each input, in the order of the inputs.

    At most `concurrency` runs are under way, and no input is taken before one of them can use it.

    Raises:
        RunError: What the first run that failed raised, unless `return_errors`; the other runs are then cancelled.
    """
    work = _Work(inputs, on_progress)
    results: dict[int, Any] = {}

    async def worker() -> None:
        while (taken := await work.next()) is not None:
            index, value = taken
            if return_errors:
                try:
                    results[index] = await invoke(value)
                except Exception as error:
                    results[index] = error
            else:
                results[index] = await invoke(value)
            work.note_done()

    async with task_group() as group:
        running = _checked(concurrency)
        for key in range(running):
            group.start(key, worker())
        while running:
            if not group.done:
                await group.wait()
            _, _, error = group.done.popleft()
            running -= 1
            if error is not None:
                raise error
    return [results[index] for index in range(len(results))]


def as_completed(
    invoke: Invoke, inputs: Iterable[Any] | AsyncIterable[Any], *, concurrency: int, on_progress: Progress | None
) -> StreamReader[BatchItem[Any]]:
    """Return a stream of what became of each input, in the order of completion.

    A reader that does not keep up holds the runs back. Closing the stream cancels what still runs.
    """
    work = _Work(inputs, on_progress)
    workers = _checked(concurrency)

    async def produce(writer: StreamWriter[BatchItem[Any]]) -> None:
        async def worker() -> None:
            while (taken := await work.next()) is not None:
                index, value = taken
                try:
                    item = BatchItem(index, await invoke(value))
                except Exception as error:
                    item = BatchItem(index, None, error)
                work.note_done()
                if not await writer.send(item):
                    return

        async with task_group() as group:
            for key in range(workers):
                group.start(key, worker())
            for _ in range(workers):
                if not group.done:
                    await group.wait()
                _, _, error = group.done.popleft()
                if error is not None:
                    raise error

    return StreamReader.from_producer(produce, capacity=workers)
