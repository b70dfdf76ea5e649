"""What a reader reads from: the rules that all kinds of sources share."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Generic, NoReturn, Self, TypeVar

from eino._tasks import call_in, here
from eino.errors import EinoError, StreamClosedError, StreamInUseError
from eino.schema._streams.origin import Origin, warn_unclosed

__all__ = ["CHECKPOINT_EVERY", "Fault", "OwningSource", "Source", "in_use"]

T = TypeVar("T")

CHECKPOINT_EVERY: Final = 256
"""Elements between two yields to the loop, so that timeouts work where nothing ever waits."""

_CLOSED = "this stream was closed: read it before `aclose()`, or close a copy instead"
_HANDED_ON = "this stream was handed on by copy, map or merge: use the reader that it returned"


def in_use() -> StreamInUseError:
    """Return the error for a second task that reads where one waits already."""
    return StreamInUseError("two tasks read one stream at once: give each its own reader with `copy(2)`")


class Source(Generic[T]):
    """One stream for one consumer at a time.

    `__anext__` returns the next element, raises the error that stands in its place, or raises `StopAsyncIteration` at
    the end, again and again. A source that was closed or taken over says so instead. (No `ABC`: its metaclass makes
    `isinstance` slow, and streams are made by the thousand.)
    """

    __slots__ = ("_gone",)

    _gone: tuple[type[EinoError], str] | None
    """Why there is nothing to read here any more; None while there is."""

    @property
    def is_open(self) -> bool:
        """Whether a consumer that walks away now leaves something behind that must be closed."""
        return self._gone is None and self._is_unfinished()

    @property
    def is_busy(self) -> bool:
        """Whether a task waits for the next element."""
        return self._gone is None and self._is_busy()

    must_close = False
    """Whether there can be anything behind a source of this class that must be closed."""

    def note_origin(self, origin: Origin) -> None:
        """Remember where the stream was opened, if it must be closed and nothing is known yet."""

    def __aiter__(self) -> Self:
        return self

    @abstractmethod
    async def __anext__(self) -> T: ...

    def iterate(self) -> AsyncIterator[T]:
        """Return what `async for` is to use: this, or something faster."""
        self.require_present()
        return self

    def take_over(self) -> Self:
        """Return a source for a new owner, with all that is left; from now on this one only says so.

        Raises:
            StreamInUseError: If a task waits here, or the source was taken over already.
            StreamClosedError: If it was closed.
        """
        self.hand_on()
        return self._moved()

    def hand_on(self) -> None:
        """Say from now on that the source was taken over; whoever calls this has taken what is in it.

        Raises:
            StreamInUseError: If a task waits here, or the source was taken over already.
            StreamClosedError: If it was closed.
        """
        self.require_free()
        self._gone = (StreamInUseError, _HANDED_ON)

    def require_free(self) -> None:
        """Raise what `take_over` would raise."""
        self.require_present()
        if self._is_busy():
            raise in_use()

    def require_present(self) -> None:
        """Raise if the source was closed or taken over."""
        if self._gone is not None:
            self.raise_gone()

    def raise_gone(self) -> NoReturn:
        """Raise the reason why there is nothing to read here."""
        assert self._gone is not None  # noqa: S101 - callers have looked
        kind, message = self._gone
        raise kind(message)

    def close(self) -> None:
        """Give up what is left without waiting; cleanup that must wait goes on in the background. Idempotent."""
        if self._gone is None:
            self._gone = (StreamClosedError, _CLOSED)
            self._close()

    async def aclose(self) -> None:
        """Give up what is left and wait for its cleanup. Idempotent."""
        if self._gone is None:
            self._gone = (StreamClosedError, _CLOSED)
            await self._aclose()

    def _is_unfinished(self) -> bool:
        return False

    def _is_busy(self) -> bool:
        return False

    @abstractmethod
    def _moved(self) -> Self:
        """Return a new source with what this one has, and keep nothing."""

    @abstractmethod
    def _close(self) -> None: ...

    async def _aclose(self) -> None:
        self._close()


class OwningSource(Source[T]):
    """A source with something behind it that must be closed: it says so when it is dropped instead."""

    __slots__ = ("_place", "origin")

    must_close = True

    def __init__(self) -> None:
        self._gone = None
        self._place = here()
        self.origin: Origin | None = None
        """Where the stream was opened."""

    def note_origin(self, origin: Origin) -> None:
        if self.origin is None:
            self.origin = origin

    def _is_abandoned(self) -> bool:
        """Whether the source, which is being dropped, leaves something open."""
        return self.is_open

    def __del__(self) -> None:
        if sys.is_finalizing() or not self._is_abandoned():
            return
        call_in(self._place, self.close)
        if self.origin is not None:
            warn_unclosed(self.origin)


class Fault:
    """An error that stands in a stream in the place of an element."""

    __slots__ = ("_trace", "error")

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self._trace: TracebackType | None = error.__traceback__

    def unwrap(self) -> BaseException:
        """Return what to raise. Copies raise one error several times: each begins with the trace of its origin."""
        return self.error.with_traceback(self._trace)
