"""Sources that never wait: a tuple, or a Python iterator. They start nothing and need no closing."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final, TypeVar

from eino._tasks import checkpoint
from eino.schema._streams.source import CHECKPOINT_EVERY, Fault, Source

__all__ = ["END", "ArraySource", "IteratorSource", "NowaitSource", "source_of"]

T = TypeVar("T")

END: Final = object()
"""What is returned without waiting when nothing is there."""


class ArraySource(Source[T]):
    """The elements of a tuple. Copies share the tuple."""

    __slots__ = ("_index", "_items")

    def __init__(self, items: tuple[T, ...], start: int = 0) -> None:
        self._gone = None
        self._items = items
        self._index = start

    async def __anext__(self) -> T:
        index = self._index
        if index < len(self._items):
            self._index = index + 1
            return self._items[index]
        self.require_present()
        raise StopAsyncIteration

    def pull_nowait(self) -> Any:
        """Return the next element, or `END`."""
        index = self._index
        if index < len(self._items):
            self._index = index + 1
            return self._items[index]
        return END

    def rest(self) -> tuple[T, ...]:
        """Return what was not read yet."""
        return self._items[self._index :]

    def copies(self, count: int) -> list[ArraySource[T]]:
        return [ArraySource(self._items, self._index) for _ in range(count)]

    def _moved(self) -> ArraySource[T]:
        moved = ArraySource(self._items, self._index)
        self._close()
        return moved

    def _close(self) -> None:
        self._items = ()


class IteratorSource(Source[T]):
    """The elements of a Python iterator, taken one by one as they are asked for."""

    __slots__ = ("_iterator", "_pulled")

    def __init__(self, iterator: Iterator[T]) -> None:
        self._gone = None
        self._iterator = iterator
        self._pulled = 0

    async def __anext__(self) -> T:
        self.require_present()
        self._pulled += 1
        if self._pulled % CHECKPOINT_EVERY == 0:
            await checkpoint()
        item = self.pull_nowait()
        if item is END:
            raise StopAsyncIteration
        if item.__class__ is Fault:
            raise item.unwrap()
        return item  # type: ignore[no-any-return]  # END and Fault are told apart above

    def pull_nowait(self) -> Any:
        """Return the next element, a `Fault`, or `END`."""
        try:
            return next(self._iterator, END)
        except Exception as error:
            return Fault(error)

    def _moved(self) -> IteratorSource[T]:
        moved = IteratorSource(self._iterator)
        self._iterator = iter(())
        return moved

    def _close(self) -> None:
        """Close a generator, so that its `finally` runs now. Other iterators belong to whoever made them."""
        iterator, self._iterator = self._iterator, iter(())
        if isinstance(iterator, Generator):
            iterator.close()


NowaitSource = ArraySource[Any] | IteratorSource[Any]


def source_of(items: Iterable[T]) -> ArraySource[T] | IteratorSource[T]:
    """Return lists and tuples as an array, anything else as an iterator that is read lazily."""
    if isinstance(items, tuple):
        return ArraySource(items)
    if isinstance(items, list):
        return ArraySource(tuple(items))
    return IteratorSource(iter(items))
