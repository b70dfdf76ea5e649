"""Several readers of one stream.

The elements that were pulled lie in a linked list; each reader holds its place in it, so what all have read is
freed. One that is cancelled or closed while it waits takes nothing away from the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from eino._tasks import HandoffParker, Parker, join_all
from eino.schema._streams.arrays import END, ArraySource, IteratorSource
from eino.schema._streams.channel import Channel, Inlet
from eino.schema._streams.feeders import Puller
from eino.schema._streams.outlet import Outlet
from eino.schema._streams.source import Fault, OwningSource, Source, in_use

__all__ = ["copies_of"]

T = TypeVar("T")

Cell = list[Any]
"""`[element, next cell]`; the next cell is None as long as the element has not come."""


def copies_of(source: Source[T], count: int) -> list[Source[T]]:
    """Return `count` sources, each with every element that `source` still has. The source is theirs from now on."""
    match source:
        case ArraySource():
            return list(source.take_over().copies(count))
        case CopySource():
            return list(source.copies(count))
        case Outlet():
            return list(_SharedChannel(source.detach()).readers(count))
        case IteratorSource():
            channel: Channel[T] = Channel()
            channel.add(Inlet(0, nowait=source.take_over()))
            return list(_SharedChannel(channel).readers(count))
        case _:
            return list(_SharedSource(source.take_over()).readers(count))


class _Shared(ABC, Generic[T]):
    """What the copies have in common: the end of the list, where it gets more from, and who waits."""

    __slots__ = ("_open_readers", "_sleepers", "_tail")

    def __init__(self) -> None:
        self._open_readers = 0
        self._tail: Cell = [None, None]
        self._sleepers: list[Parker] = []

    def readers(self, count: int, cell: Cell | None = None) -> list[CopySource[T]]:
        self._open_readers += count
        return [CopySource(self, self._tail if cell is None else cell) for _ in range(count)]

    @abstractmethod
    def extend(self) -> bool:
        """Append one element to the list if one is there; return whether one is."""

    @abstractmethod
    def has_ended(self) -> bool:
        """Return whether nothing more will be appended."""

    @property
    @abstractmethod
    def is_unfinished(self) -> bool:
        """Whether something is left that must be closed."""

    @property
    def is_breathless(self) -> bool:
        """Whether others must have their turn before more is read."""
        return False

    async def breathe(self) -> None:
        """Let others have their turn."""

    def lie_down(self, parker: Parker) -> None:
        """Note who goes to sleep until something may have come."""
        self._sleepers.append(parker)

    def get_up(self, parker: Parker) -> None:
        """Forget a sleeper that was cancelled."""
        if parker in self._sleepers:
            self._sleepers.remove(parker)

    def unpark(self) -> None:
        """Wake every reader that waits."""
        sleepers, self._sleepers = self._sleepers, []
        for parker in sleepers:
            parker.unpark()

    def leave(self) -> bool:
        """Take one reader off; return whether it was the last, which closes the source."""
        self._open_readers -= 1
        return self._open_readers == 0

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    async def aclose(self) -> None: ...


class _SharedChannel(_Shared[T]):
    """Copies of a pipe or a merge: all readers together are the consumer of the channel."""

    __slots__ = ("_channel",)

    def __init__(self, channel: Channel[T]) -> None:
        super().__init__()
        self._channel = channel
        channel.consumer = self

    def extend(self) -> bool:
        item = self._channel.take()
        if item is END:
            return False
        tail: Cell = [None, None]
        self._tail[0] = item
        self._tail[1] = self._tail = tail
        return True

    def has_ended(self) -> bool:
        if self._channel.open_inlets > 0 or self._channel.queue:
            return False
        self._channel.consumer = Parker()  # let go of each other: no cycle waits for the garbage collector
        return True

    @property
    def is_unfinished(self) -> bool:
        return self._channel.is_unfinished

    @property
    def is_breathless(self) -> bool:
        return self._channel.is_breathless

    async def breathe(self) -> None:
        await self._channel.breathe()

    def lie_down(self, parker: Parker) -> None:
        self._channel.ask()
        self._sleepers.append(parker)

    def get_up(self, parker: Parker) -> None:
        super().get_up(parker)
        if not self._sleepers:
            self._channel.hungry = False

    def close(self) -> None:
        self._channel.close()

    async def aclose(self) -> None:
        await self._channel.aclose()


class _SharedSource(_Shared[T]):
    """Copies of a source that must be awaited: a task of its own pulls it, one element whenever a reader asks."""

    __slots__ = ("_ended", "_hungry", "_parker", "_puller")

    def __init__(self, source: Source[T]) -> None:
        super().__init__()
        self._hungry = False
        """Whether a reader asked and nothing has come since."""
        self._ended = False
        self._parker = HandoffParker()
        self._puller: Puller | None = Puller(self, source, self._is_hungry, self._parker.park)

    def extend(self) -> bool:
        """While the source never waits, its task does the work inside this call; otherwise it comes later."""
        if self._ended or self._puller is None:
            return False
        tail = self._tail
        self._hungry = True
        if self._puller.task is None:
            self._puller.start()
        else:
            self._parker.hand_off()
        return tail is not self._tail

    def _is_hungry(self) -> bool:
        return self._hungry

    def has_ended(self) -> bool:
        return self._ended

    @property
    def is_unfinished(self) -> bool:
        return not self._ended

    def push(self, item: object) -> None:
        """Append what was pulled, and wake who waits for it."""
        self._hungry = False
        tail: Cell = [None, None]
        self._tail[0] = item
        self._tail[1] = self._tail = tail
        if self._sleepers:
            self.unpark()

    def end(self) -> None:
        """Append nothing more, and let everyone who waits find out."""
        self._ended = True
        self.unpark()

    def forget(self, _puller: Puller) -> None:
        """Let go of the task, which has nothing left to do."""
        self._puller = None

    def close(self) -> None:
        self._ended = True
        if self._puller is not None:
            self._puller.stop()
            self._puller.release()

    async def aclose(self) -> None:
        self._ended = True
        puller = self._puller
        if puller is not None:
            puller.stop()
            if puller.task is not None:
                await join_all([puller.task])
            await puller.arelease()


class CopySource(OwningSource[T]):
    """One of the readers, at its own place in the list."""

    __slots__ = ("_cell", "_parker", "_shared")

    def __init__(self, shared: _Shared[T], cell: Cell) -> None:
        super().__init__()
        self._shared = shared
        self._cell = cell
        self._parker = Parker()

    async def __anext__(self) -> T:
        while True:
            cell = self._cell
            following = cell[1]
            if following is not None:
                self._cell = following
                item = cell[0]
                if item.__class__ is Fault:
                    raise item.unwrap()
                return item  # type: ignore[no-any-return]  # the list holds elements of this stream
            if self._gone is not None:
                self.raise_gone()
            shared = self._shared
            if shared.extend():
                continue
            if shared.has_ended():
                raise StopAsyncIteration
            parker = self._parker
            if parker.is_parked:
                raise in_use()
            if shared.is_breathless:
                await shared.breathe()
                continue
            shared.lie_down(parker)
            try:
                await parker.park()
            except BaseException:
                shared.get_up(parker)
                raise

    def copies(self, count: int) -> list[CopySource[T]]:
        """Return `count` readers at this place; this one is theirs from now on."""
        self.hand_on()
        readers = self._shared.readers(count, self._cell)
        self._leave()
        return readers

    def _is_unfinished(self) -> bool:
        return self._cell[1] is not None or self._shared.is_unfinished

    def _is_busy(self) -> bool:
        return self._parker.is_parked

    def _moved(self) -> CopySource[T]:
        [moved] = self._shared.readers(1, self._cell)
        moved.origin = self.origin
        self._leave()
        return moved

    def _close(self) -> None:
        if self._leave():
            self._shared.close()

    async def _aclose(self) -> None:
        if self._leave():
            await self._shared.aclose()

    def _leave(self) -> bool:
        """Let go of what the others read on; return whether this was the last reader."""
        self._cell = [None, None]
        self._parker.unpark()
        return self._shared.leave()
