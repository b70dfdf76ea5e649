"""Streams: a reader that is pulled, and a writer that feeds it.

An error may stand in a stream in the place of an element. `recv` raises it and the next `recv` goes on behind it;
`async for` ends there, as Python demands, and a new `async for` goes on. The end is repeatable.

A reader has one user at a time. `copy`, `map`, `merge` and `concat` hand it on: use what they return instead.
Whatever a stream starts in the background ends with it; a reader that is dropped half-read warns.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from eino._tasks import Parker, call_in, here
from eino.errors import EndOfStream, StreamBrokenError, StreamClosedError
from eino.schema._concat import CONCAT, ConcatRegistry
from eino.schema._streams.arrays import source_of
from eino.schema._streams.channel import Channel, Inlet
from eino.schema._streams.copies import copies_of
from eino.schema._streams.feeders import Producer
from eino.schema._streams.iterators import async_source_of
from eino.schema._streams.mapping import DROP, Drop, Hooks, MapSource, OnEnd, OnError
from eino.schema._streams.markers import SourceEnded
from eino.schema._streams.origin import opened_here
from eino.schema._streams.outlet import Outlet
from eino.schema._streams.source import Fault, Source

__all__ = ["DROP", "StreamReader", "StreamWriter", "pipe"]

T = TypeVar("T")
U = TypeVar("U")


class StreamReader(Generic[T]):
    """The consumer's side of a stream.

    One task at a time may use it. A cancelled `recv` loses nothing of a pipe, a merge or a copy; it ends a stream that
    the reader pulls itself (`from_async`, and `map` of it), because it ends the generator.
    """

    __slots__ = ("__weakref__", "_source")

    def __init__(self, source: Source[T]) -> None:
        """Private: use the class methods, `pipe` or `merge`."""
        self._source = source
        if source.must_close:
            source.note_origin(opened_here())

    @classmethod
    def from_iterable(cls, items: Iterable[T]) -> StreamReader[T]:
        """Return a reader of the elements. Lists and tuples are taken as they are now, other iterables lazily.

        It needs no closing, and starts nothing.
        """
        return StreamReader(source_of(items))

    @classmethod
    def from_async(cls, items: AsyncIterable[T]) -> StreamReader[T]:
        """Return a reader that pulls an async generator or another async iterable, and closes it with itself.

        `async for` runs on the generator itself. Another reader is handed on.
        """
        if isinstance(items, StreamReader):
            return StreamReader(items._source.take_over())
        return StreamReader(async_source_of(items))

    @classmethod
    def from_producer(
        cls, produce: Callable[[StreamWriter[T]], Awaitable[object]], *, capacity: int = 10
    ) -> StreamReader[T]:
        """Return a reader of what `produce(writer)` sends.

        The function runs in a task of its own from the first read on, in the context of this call. The stream ends
        when it returns; an exception becomes the stream's last element. Closing the reader cancels it.

        Raises:
            ValueError: If `capacity` is negative.
        """
        inlet = _inlet(capacity)
        writer: StreamWriter[T] = StreamWriter(inlet)
        inlet.feeder = Producer(inlet, lambda: produce(writer))
        return StreamReader(_outlet_of(inlet))

    @property
    def is_open(self) -> bool:
        """Whether walking away from the reader now would leave something behind that must be closed."""
        return self._source.is_open

    @property
    def is_busy(self) -> bool:
        """Whether a task waits for the next element right now."""
        return self._source.is_busy

    async def recv(self) -> T:
        """Return the next element.

        Raises:
            EndOfStream: If nothing more will come; again at each call.
            StreamClosedError: If the reader was closed.
            StreamInUseError: If another task waits here, or the reader was handed on.
            BaseException: The error that stands in the stream at this place.
        """
        try:
            return await self._source.__anext__()
        except StopAsyncIteration:
            raise EndOfStream("the stream has ended: nothing more will come") from None

    def __aiter__(self) -> AsyncIterator[T]:
        return self._source.iterate()

    def __anext__(self) -> Awaitable[T]:
        return self._source.__anext__()

    def copy(self, count: int) -> tuple[StreamReader[T], ...]:
        """Return `count` independent readers, each with all that this one still has; this one is handed on.

        One copy is the reader itself.

        Elements are pulled when the fastest copy asks and kept until the slowest has read them. The source is closed
        when all copies are.

        Raises:
            ValueError: If `count` is below 1.
            StreamInUseError: If the reader is in use or was handed on.
            StreamClosedError: If the reader was closed.
        """
        if count < 1:
            raise ValueError(f"a stream is copied at least once, got count={count!r}")
        if count == 1:
            return (self,)
        return tuple(StreamReader(source) for source in copies_of(self._source, count))

    def map(
        self,
        fn: Callable[[T], U | Literal[Drop.DROP] | Awaitable[U | Literal[Drop.DROP]]],
        *,
        on_error: OnError | None = None,
        on_end: OnEnd | None = None,
    ) -> StreamReader[U]:
        """Return a reader of `fn(element)` for each element; this reader is handed on.

        Each function may be sync or async, and is called when the element is asked for. `DROP` as the answer leaves
        the element out. What `fn` raises is delivered in the element's place, and the stream goes on.

        Args:
            fn: Called with each element.
            on_error: Called with each `Exception` of the source, not those of `fn`; returns the exception to deliver
                instead, or `DROP`.
            on_end: Called once, at the first end; may return one more element, or an exception to deliver once. None
                and `DROP` add nothing.

        Raises:
            StreamInUseError: If the reader is in use or was handed on.
            StreamClosedError: If the reader was closed.
        """
        return StreamReader(MapSource(self._source.take_over(), Hooks(fn, on_error, on_end)))

    async def concat(self, registry: ConcatRegistry | None = None) -> T:
        """Read the stream to its end, close it, and return its elements as one value.

        `SourceEnded` markers are left out. `registry` says how types are joined; None takes the global one.

        Raises:
            ConcatError: If the stream is empty or its elements do not fit together.
            BaseException: The first error in the stream.
        """
        async with self:
            items = [item async for item in self if item.__class__ is not SourceEnded]
        return (CONCAT if registry is None else registry).concat(items)

    def close(self) -> None:
        """Give up the rest without waiting, for callers that cannot await. Idempotent.

        Tasks behind the stream are told to stop; they end in the background.
        """
        self._source.close()

    async def aclose(self) -> None:
        """Give up the rest: stop and await everything that the stream has started, at most 5 s. Idempotent.

        Closing a reader that was handed on does nothing: it belongs to somebody else.

        Raises:
            StreamInUseError: If another task is inside the generator that this reader pulls.
        """
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class StreamWriter(Generic[T]):
    """The producer's side of a pipe. Several tasks may send; each task's elements keep their order."""

    __slots__ = ("_closed", "_inlet", "_place")

    def __init__(self, inlet: Inlet) -> None:
        """Private: use `pipe` or `StreamReader.from_producer`."""
        self._inlet = inlet
        self._closed = False
        self._place = here()

    async def send(self, item: T) -> bool:
        """Put an element into the stream, waiting while the buffer is full; return whether it was accepted.

        False means that the reader has gone: stop producing. A reader that goes also ends the wait. An accepted
        element can be lost only by the reader's leaving.

        Raises:
            StreamClosedError: If this writer was closed.
        """
        inlet = self._inlet
        if inlet.pending < inlet.capacity:  # `inlet.push`, without the call
            inlet.pending += 1
            channel = inlet.channel
            channel.queue.append((inlet, item))
            if channel.hungry:
                channel.feed()
            return True
        return await self._send_when_there_is_room(item)

    async def send_error(self, error: BaseException) -> bool:
        """Put an error into the stream in the place of an element, like `send`. It does not end the stream.

        Raises:
            TypeError: If `error` is no exception.
            StreamClosedError: If this writer was closed.
        """
        if not isinstance(error, BaseException):
            raise TypeError(f"send_error takes an exception instance, got {error!r}")
        return await self.send(Fault(error))  # type: ignore[arg-type]  # taken apart again by the reader

    def send_nowait(self, item: T) -> bool:
        """Put an element into the stream even if the buffer is full; return whether it was accepted, like `send`.

        Raises:
            StreamClosedError: If this writer was closed.
        """
        if self._closed:
            raise StreamClosedError(f"send after close: {item!r} was sent to a stream that its writer had closed")
        if self._inlet.ended or self._inlet.channel.closed:
            return False
        self._inlet.push(item)
        return True

    def send_error_nowait(self, error: BaseException) -> bool:
        """Put an error into the stream as `send_error` does, without waiting.

        Raises:
            TypeError: If `error` is no exception.
            StreamClosedError: If this writer was closed.
        """
        if not isinstance(error, BaseException):
            raise TypeError(f"send_error_nowait takes an exception instance, got {error!r}")
        return self.send_nowait(Fault(error))  # type: ignore[arg-type]  # taken apart again by the reader

    def close(self) -> None:
        """Say that nothing more will come. What was sent stays readable. Idempotent."""
        self._closed = True
        self._inlet.end()

    async def _send_when_there_is_room(self, item: T) -> bool:
        inlet = self._inlet
        ticket = inlet.ticket()
        while not inlet.has_room():
            if self._closed:
                raise StreamClosedError(f"send after close: {item!r} was sent to a stream that its writer had closed")
            if inlet.ended or inlet.channel.closed:
                return False
            await inlet.wait_for_room(Parker(), ticket)
        inlet.push(item)
        return True

    def __del__(self) -> None:
        if not self._inlet.ended and not self._inlet.channel.closed:
            call_in(self._place, self._break_off)

    def _break_off(self) -> None:
        """Let the reader know, who would wait for ever."""
        self._inlet.push(Fault(StreamBrokenError("the writer of this stream was dropped without `close()`")))
        self._inlet.end()


def pipe(capacity: int = 10) -> tuple[StreamReader[Any], StreamWriter[Any]]:
    """Return both ends of a stream: what the writer sends, the reader receives.

    Args:
        capacity: How many elements wait in between before `send` waits too. With 0 each `send` waits for a reader.

    Raises:
        ValueError: If `capacity` is negative.
    """
    inlet = _inlet(capacity)
    return StreamReader(_outlet_of(inlet)), StreamWriter(inlet)


def _inlet(capacity: int) -> Inlet:
    if capacity < 0:
        raise ValueError(f"capacity is a number of elements, 0 or more, got {capacity!r}")
    return Inlet(capacity)


def _outlet_of(inlet: Inlet) -> Outlet[Any]:
    channel: Channel[Any] = Channel()
    channel.add(inlet)
    return Outlet(channel)
