"""Sources that are pulled: async generators, and async iterators of other kinds."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from types import AsyncGeneratorType
from typing import Any, TypeVar

from eino._tasks import is_cancellation, shielded, spawn
from eino.errors import StreamInUseError
from eino.schema._streams.source import OwningSource, Source

__all__ = ["AsyncIteratorSource", "GeneratorSource", "async_source_of", "next_of"]

T = TypeVar("T")


class GeneratorSource(OwningSource[T]):
    """A native async generator. Loops get the generator itself: iterating over it costs nothing on top.

    An error or a cancellation that leaves the generator ends it, as everywhere in Python.
    """

    __slots__ = ("_generator", "_lent")

    def __init__(self, generator: AsyncGeneratorType[T, None]) -> None:
        super().__init__()
        self._generator = generator
        self._lent = False

    async def __anext__(self) -> T:
        self.require_free()
        return await self._generator.__anext__()

    def iterate(self) -> AsyncIterator[T]:
        self.require_free()
        self._lent = True
        return self._generator

    def unguarded(self) -> Callable[[], Awaitable[T]]:
        """Return the generator's own `__anext__`, for an owner that makes sure it is alone."""
        return self._generator.__anext__

    async def aclose(self) -> None:
        if self._gone is None and self._generator.ag_running:
            raise StreamInUseError(
                "a stream cannot be closed while another task waits for its next element: cancel that task first"
            )
        await super().aclose()

    def _is_unfinished(self) -> bool:
        return self._generator.ag_frame is not None

    def _is_busy(self) -> bool:
        return self._generator.ag_running

    def _is_abandoned(self) -> bool:
        """False while a loop goes on over the generator: in `async for x in make_reader()` the reader goes first."""
        return self.is_open and not (self._lent and sys.getrefcount(self._generator) > _UNSHARED)

    def _moved(self) -> GeneratorSource[T]:
        moved = GeneratorSource(self._generator)
        moved.origin, moved._lent = self.origin, self._lent
        del self._generator  # `_is_abandoned` counts references
        return moved

    def _close(self) -> None:
        if self._is_unfinished() and not self._is_busy():
            _close_in_background(self._generator)

    async def _aclose(self) -> None:
        if self._is_unfinished():
            await shielded(self._generator.aclose)


class _Reference:
    """Counts what one attribute is worth to `sys.getrefcount`, so that no version's number is written here."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = object()

    def count(self) -> int:
        return sys.getrefcount(self._held)


_UNSHARED = _Reference().count()


class AsyncIteratorSource(OwningSource[T]):
    """An async iterator that is no generator. Its errors do not end it; a cancelled pull does."""

    __slots__ = ("_at_end", "_finished", "_iterator", "_pulling")

    def __init__(self, iterator: AsyncIterator[T]) -> None:
        super().__init__()
        self._iterator = iterator
        self._pulling = False
        self._at_end = False
        """Whether nothing more will be pulled."""
        self._finished = False
        """Whether the iterator came to its end by itself, which leaves nothing to close."""

    async def __anext__(self) -> T:
        self.require_free()
        if self._at_end:
            raise StopAsyncIteration
        self._pulling = True
        try:
            return await self._iterator.__anext__()
        except StopAsyncIteration:
            self._at_end = self._finished = True
            raise
        except BaseException as error:
            self._at_end = is_cancellation(error)
            raise
        finally:
            self._pulling = False

    def _is_unfinished(self) -> bool:
        return not self._finished and hasattr(self._iterator, "aclose")

    def _is_busy(self) -> bool:
        return self._pulling

    def _moved(self) -> AsyncIteratorSource[T]:
        moved = AsyncIteratorSource(self._iterator)
        moved.origin, moved._at_end, moved._finished = self.origin, self._at_end, self._finished
        return moved

    def _close(self) -> None:
        if self._is_unfinished():
            _close_in_background(self._iterator)

    async def _aclose(self) -> None:
        if self._is_unfinished():
            await shielded(self._iterator.aclose)  # type: ignore[attr-defined]  # unfinished ones have it


def _close_in_background(closable: Any) -> None:
    """Start the cleanup; without a loop there is nobody to run it, and Python's own hooks take over."""

    async def cleanup() -> None:
        await shielded(closable.aclose)

    try:
        spawn(cleanup, name="eino: close a dropped stream")
    except RuntimeError:
        return


def async_source_of(items: AsyncIterable[T]) -> GeneratorSource[T] | AsyncIteratorSource[T]:
    """Return async generators as they are, other async iterables behind a wrapper that keeps the rules."""
    if isinstance(items, AsyncGeneratorType):
        return GeneratorSource(items)
    return AsyncIteratorSource(aiter(items))


def next_of(source: Source[T]) -> Callable[[], Awaitable[T]]:
    """Return the fastest way to pull one element, for an owner that makes sure it is alone."""
    return source.unguarded() if source.__class__ is GeneratorSource else source.__anext__
