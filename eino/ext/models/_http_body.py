"""Reading the body of a streamed HTTP response, and leaving it early without leaving anything behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    import httpx2

__all__ = ["ResponseBody", "drain"]

DRAIN_S: Final = 0.1
"""How long a body that is known to be over may take to end, in seconds, so that its connection can serve again."""


class ResponseBody:
    """The pieces of a body, as they arrive; `async with` closes the response.

    The HTTP library reads through a chain of async generators. Leaving one in the middle drops those below it, and the
    event loop closes what is dropped later, in tasks of its own. So the response is closed first, and then the chain
    is pulled to its end, which a closed connection makes short.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._pieces = response.aiter_bytes()

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._response.aclose()
        finally:
            await drain(self._pieces)


async def drain(pieces: AsyncIterator[bytes]) -> None:
    """Pull `pieces` to their end, for at most `DRAIN_S` seconds, whatever they raise."""
    with anyio.move_on_after(DRAIN_S), suppress(Exception):
        async for _ in pieces:
            pass
