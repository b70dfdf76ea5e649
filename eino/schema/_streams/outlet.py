"""The consumer's side of a channel."""

from __future__ import annotations

from typing import TypeVar

from eino._tasks import Parker
from eino.schema._streams.arrays import END
from eino.schema._streams.channel import Channel
from eino.schema._streams.source import Fault, OwningSource

__all__ = ["Outlet"]

T = TypeVar("T")


class Outlet(OwningSource[T]):
    """Reads a channel. The channel does not know it, only its parker, so a dropped outlet is noticed."""

    __slots__ = ("_channel", "_parker")

    def __init__(self, channel: Channel[T]) -> None:
        super().__init__()
        self._channel = channel
        self._parker = Parker()
        channel.consumer = self._parker

    async def __anext__(self) -> T:
        while True:
            item = self._channel.take()  # looked up again after each wait: the channel may have been handed on
            if item.__class__ is Fault:
                raise item.unwrap()
            if item is not END:
                return item  # type: ignore[no-any-return]  # producers push elements of this stream
            await self._wait()

    async def _wait(self) -> None:
        """Sleep until something may have come; raise if nothing will."""
        channel = self._channel
        self.require_free()
        if channel.open_inlets == 0:
            raise StopAsyncIteration
        if channel.is_breathless:
            await channel.breathe()
            return
        channel.ask()
        try:
            await self._parker.park()
        except BaseException:
            channel.hungry = False
            raise

    def detach(self) -> Channel[T]:
        """Return the channel to a new owner, like `take_over`."""
        self.hand_on()
        channel, self._channel = self._channel, Channel()
        return channel

    def _is_unfinished(self) -> bool:
        return self._channel.is_unfinished

    def _is_busy(self) -> bool:
        return self._parker.is_parked

    def _moved(self) -> Outlet[T]:
        channel, self._channel = self._channel, Channel()
        moved = Outlet(channel)
        moved.origin = self.origin
        return moved

    def _close(self) -> None:
        self._channel.close()

    async def _aclose(self) -> None:
        await self._channel.aclose()
