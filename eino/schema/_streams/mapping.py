"""A stream whose elements go through a function on their way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from types import CoroutineType
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from eino.schema._streams.iterators import next_of
from eino.schema._streams.source import Source

__all__ = ["DROP", "Drop", "Hooks", "MapSource", "OnEnd", "OnError"]

T = TypeVar("T")
U = TypeVar("U")


class Drop(Enum):
    """The type of `DROP`."""

    DROP = "DROP"


DROP: Final = Drop.DROP
"""What a function given to `StreamReader.map` returns to leave an element, an error or an end value out."""

OnError = Callable[[Exception], "BaseException | Literal[Drop.DROP] | Awaitable[BaseException | Literal[Drop.DROP]]"]
OnEnd = Callable[[], Any]


class Hooks(NamedTuple):
    """What is called for the elements, the errors and the end of a stream."""

    fn: Callable[[Any], Any]
    on_error: OnError | None
    on_end: OnEnd | None


class MapSource(Source[U], Generic[T, U]):
    """Pulls an element, applies the function, again while the answer is `DROP`."""

    __slots__ = ("_at_end", "_fn", "_hooks", "_next", "_pulling", "_upstream")

    def __init__(self, upstream: Source[T], hooks: Hooks) -> None:
        self._gone = None
        self._upstream = upstream
        self._next = next_of(upstream)
        self._hooks = hooks
        self._fn = hooks.fn
        self._pulling = False
        self._at_end = False

    async def __anext__(self) -> U:
        self.require_free()
        self._pulling = True
        try:
            while True:
                try:
                    item = await self._next()
                except StopAsyncIteration:
                    result = await self._end()
                except Exception as error:
                    if self._hooks.on_error is None or self._gone is not None:
                        raise
                    result = await _mapped(self._hooks.on_error(error))
                else:
                    result = self._fn(item)
                    if result.__class__ is CoroutineType:
                        result = await result
                if result is not DROP:
                    return result  # type: ignore[no-any-return]  # what the functions return is a U
        finally:
            self._pulling = False

    async def _end(self) -> Any:
        """Return or raise what `on_end` adds, the first time; after that the end is the end."""
        if not self._at_end:
            self._at_end = True
            if self._hooks.on_end is not None:
                result = await _resolved(self._hooks.on_end())
                if isinstance(result, BaseException):
                    raise result
                if result is not None and result is not DROP:
                    return result
        raise StopAsyncIteration

    def _is_unfinished(self) -> bool:
        return self._upstream.is_open

    def _is_busy(self) -> bool:
        return self._pulling

    def _moved(self) -> MapSource[T, U]:
        moved = MapSource[T, U](self._upstream.take_over(), self._hooks)
        moved._at_end = self._at_end
        return moved

    def _close(self) -> None:
        self._upstream.close()

    async def _aclose(self) -> None:
        await self._upstream.aclose()


async def _resolved(result: Any) -> Any:
    return await result if result.__class__ is CoroutineType else result


async def _mapped(answer: Any) -> Any:
    """Raise the exception that `on_error` answered, or return `DROP`."""
    answer = await _resolved(answer)
    if isinstance(answer, BaseException):
        raise answer
    if answer is not DROP:
        raise TypeError(f"on_error must return an exception or DROP, got {answer!r}")
    return DROP
