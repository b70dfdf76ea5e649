"""Connections of a model: one SDK client per event loop, since a connection belongs to the loop that opened it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from eino._tasks import asyncio_loop

__all__ = ["Clients"]

Client = TypeVar("Client")


async def _close(client: Any) -> None:
    await client.close()


class Clients(Generic[Client]):
    """Makes clients on demand, and keeps the one of each running event loop. Safe to share by threads.

    Args:
        make: Makes a client.
        shared: Whether one client serves all loops, because its connections come from outside.
        close: Closes a client; unless given, by its method `close`.
    """

    def __init__(
        self, make: Callable[[], Client], *, shared: bool, close: Callable[[Client], Awaitable[None]] = _close
    ) -> None:
        self._make = make
        self._shared = shared
        self._close = close
        self._by_loop: WeakKeyDictionary[object, Client] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self) -> Client:
        """Return the client of the running event loop."""
        key = self if self._shared else _running_loop()
        with self._lock:
            client = self._by_loop.get(key)
            if client is None:
                client = self._by_loop[key] = self._make()
        return client

    async def aclose(self) -> None:
        """Close the connections of the running event loop; those of others are closed there. Safe to call again."""
        key = self if self._shared else _running_loop()
        with self._lock:
            client = self._by_loop.pop(key, None)
        if client is not None and not self._shared:
            await self._close(client)


def _running_loop() -> object:
    loop: asyncio.AbstractEventLoop | None = asyncio_loop()
    if loop is not None:
        return loop
    import trio

    return trio.lowlevel.current_trio_token()
