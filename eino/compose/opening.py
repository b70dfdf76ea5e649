"""The three ways to open a stream: `async for`, `async with`, `await`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from eino.compose.delivery import read_out
from eino.schema.stream import StreamReader

__all__ = ["Opening"]

T = TypeVar("T")


class Opening(Generic[T]):
    """A stream that opens when it is used; nothing runs before.

    `async for chunk in opening`, `async with opening as reader` and `reader = await opening` are equal, except for
    who closes: the `with` block in any case, the loop when it ends by itself, and after `await` the caller.
    """

    __slots__ = ("_open", "_reader")

    def __init__(self, open_reader: Callable[[], Awaitable[StreamReader[T]]]) -> None:
        self._open = open_reader
        self._reader: StreamReader[T] | None = None

    def __await__(self) -> Generator[Any, Any, StreamReader[T]]:
        return self._open().__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        return read_out(self._open)

    async def __aenter__(self) -> StreamReader[T]:
        self._reader = await self._open()
        return self._reader

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            await self._reader.aclose()
