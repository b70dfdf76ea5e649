"""Where producers push and one consumer takes: the buffer behind pipes and merges.

A channel has one queue for all its inlets, in order of arrival, and each inlet has its own capacity. Merging pipes
moves their inlets into one channel: no task stands between the writers and the reader.

Everything here runs in the thread of one event loop. What waits is `Outlet`, a feeder, or whoever sends.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Generic, Protocol, TypeVar

from eino._tasks import Parker, TaskHandle, checkpoint, join_all
from eino.schema._streams.arrays import END, NowaitSource
from eino.schema._streams.markers import Group, SourceEnded
from eino.schema._streams.source import CHECKPOINT_EVERY

__all__ = ["Channel", "Feeder", "Inlet"]

T = TypeVar("T")

REFUSES: Final = -1
"""Capacity of an inlet that accepts nothing any more: sending takes the slow path and finds out why."""


class Feeder(Protocol):
    """A task that fills a stream."""

    @property
    def task(self) -> TaskHandle | None:
        """The task, once it was started."""
        ...

    def start(self) -> None:
        """Start the task."""
        ...

    def stop(self) -> None:
        """Tell the task to end; it closes its source on the way out. One that never started has nothing to do."""
        ...

    def release(self) -> None:
        """Close the source in place of a task that never started, without waiting."""
        ...

    async def arelease(self) -> None:
        """Close the source if that was not done; call it when the task has ended."""
        ...


class Wakeable(Protocol):
    """Who waits at the end of a channel."""

    def unpark(self) -> None: ...


class Inlet:
    """One producer's side of a channel.

    `capacity` 0 means hand-over: there is room only while the consumer waits.
    """

    __slots__ = ("_tickets", "blocked", "capacity", "channel", "ended", "feeder", "group", "nowait", "pending")

    def __init__(self, capacity: int, *, nowait: NowaitSource | None = None) -> None:
        self.channel: Channel[Any]
        self.capacity = capacity
        self.pending = 0
        self.ended = False
        self.blocked: deque[tuple[int, Parker]] = deque()
        """Who waits for room, by ticket: the order in which they came."""
        self._tickets = 0
        self.group: Group | None = None
        self.nowait = nowait
        self.feeder: Feeder | None = None

    def has_room(self) -> bool:
        if self.capacity == 0:
            return self.channel.hungry and not self.channel.queue
        return self.pending < self.capacity

    def push(self, item: object) -> None:
        """Append an element or a `Fault`; whether there is room is the caller's business."""
        channel = self.channel
        channel.queue.append((self, item))
        self.pending += 1
        if channel.hungry:
            channel.feed()

    def ticket(self) -> int:
        """Return a place in the order of those who wait for room, behind all that are given."""
        self._tickets += 1
        return self._tickets

    async def wait_for_room(self, parker: Parker, ticket: int) -> None:
        """Sleep until there may be room, the consumer has gone, or the inlet has ended.

        Who was woken and found the room taken waits again with its ticket: nobody that came later goes first.
        """
        entry = (ticket, parker)
        place = len(self.blocked)
        while place and self.blocked[place - 1][0] > ticket:
            place -= 1
        self.blocked.insert(place, entry)
        try:
            await parker.park()
        except BaseException:
            if entry in self.blocked:
                self.blocked.remove(entry)
            elif self.blocked:
                self.wake_next()  # it was this task's turn: pass it on
            raise

    def wake_next(self) -> None:
        """Wake who has waited for room the longest."""
        self.blocked.popleft()[1].unpark()

    def refuse(self) -> None:
        """Accept nothing more, and let everyone who waits for room find out."""
        self.capacity = REFUSES
        while self.blocked:
            self.wake_next()

    def end(self) -> None:
        """Say that nothing more will come. What was pushed stays readable."""
        if self.ended:
            return
        self.ended = True
        self.refuse()
        if not self.channel.closed:
            self.channel.inlet_ended(self)

    def forget(self, feeder: Feeder) -> None:
        """Let go of a task that has nothing left to do."""
        self.feeder = None
        self.channel.forget(feeder)


class Refill:
    """Stands in the queue for a source that never waits: its next element is taken at its turn."""

    __slots__ = ("source",)

    def __init__(self, source: NowaitSource) -> None:
        self.source = source


class Channel(Generic[T]):
    """A queue, the inlets that fill it, and whom to wake."""

    __slots__ = (
        "_feeders",
        "_handovers",
        "_inlets",
        "_must_close",
        "_refills",
        "_unstarted",
        "closed",
        "consumer",
        "hungry",
        "open_inlets",
        "queue",
    )

    def __init__(self) -> None:
        self.queue: deque[tuple[Inlet, Any]] = deque()
        self.open_inlets = 0
        self.closed = False
        self.hungry = False
        """Whether the consumer waits and nothing has come since."""
        self.consumer: Wakeable = Parker()
        """Who is woken when something comes: the outlet, or all readers of its copies."""
        self._inlets: dict[Inlet, None] = {}  # those that have not ended, in order; so no cycle outlives them
        self._handovers: list[Inlet] = []
        self._feeders: dict[Feeder, None] = {}
        self._unstarted: list[Feeder] = []
        self._refills = 0
        self._must_close = False

    def add(self, inlet: Inlet) -> None:
        inlet.channel = self
        self.open_inlets += 1
        self._inlets[inlet] = None
        if inlet.nowait is not None:
            inlet.push(Refill(inlet.nowait))
            return
        self._must_close = True
        if inlet.capacity == 0:
            self._handovers.append(inlet)
        if inlet.feeder is not None:
            self._feeders[inlet.feeder] = None
            self._unstarted.append(inlet.feeder)

    def absorb(self, other: Channel[Any], group: Group | None = None) -> None:
        """Take over all inlets of a channel that nobody reads any more, with what they hold, as members of `group`."""
        for inlet in other._inlets:
            inlet.channel = self
            if group is not None:
                group.add(inlet)
        self.open_inlets += other.open_inlets
        self.queue += other.queue
        self._inlets |= other._inlets
        self._handovers += other._handovers
        self._feeders |= other._feeders
        self._unstarted += other._unstarted
        self._must_close = self._must_close or other._must_close

    def mark_ended(self, group: Group) -> None:
        """Put the marker of a group that had ended before it came here behind what it left in the queue."""
        inlet = Inlet(REFUSES)
        inlet.channel = self
        inlet.push(SourceEnded(group.name))

    @property
    def is_unfinished(self) -> bool:
        """Whether something is left that must be closed."""
        return self._must_close and not self.closed and (self.open_inlets > 0 or bool(self.queue))

    @property
    def is_breathless(self) -> bool:
        """Whether sources that never wait were read for so long that others must have their turn."""
        return self._refills >= CHECKPOINT_EVERY

    async def breathe(self) -> None:
        """Let others have their turn."""
        self._refills = 0
        await checkpoint()

    def take(self) -> Any:
        """Return the next element or `Fault` without waiting, or `END` when none is there now."""
        if self._unstarted:  # with the first read, and not when the queue is empty: it may never be
            self._start_feeders()
        queue = self.queue
        while queue:
            inlet, item = queue.popleft()
            inlet.pending -= 1
            if item.__class__ is Refill:
                if self._refills >= CHECKPOINT_EVERY:
                    queue.appendleft((inlet, item))
                    inlet.pending += 1
                    return END
                item = self._refill(inlet, item)
                if item is END:
                    continue
            elif inlet.blocked and inlet.capacity:  # those without a buffer are woken by `ask`
                inlet.wake_next()
            return item
        return END

    def ask(self) -> None:
        """Say that the consumer goes to sleep, so that those produce who wait to be asked."""
        self.hungry = True
        for inlet in self._handovers:
            if inlet.blocked:
                inlet.wake_next()

    def _start_feeders(self) -> None:
        unstarted, self._unstarted = self._unstarted, []
        for feeder in unstarted:
            feeder.start()

    def feed(self) -> None:
        """Wake the consumer, who is hungry."""
        self.hungry = False
        self.consumer.unpark()

    def inlet_ended(self, inlet: Inlet) -> None:
        self.open_inlets -= 1
        del self._inlets[inlet]
        if inlet in self._handovers:
            self._handovers.remove(inlet)
        if inlet.group is not None:
            for marker in inlet.group.member_ended():
                inlet.push(marker)
        if self.open_inlets == 0 and self.hungry:
            self.feed()

    def close(self) -> None:
        """Stop everything that feeds the channel, without waiting."""
        self._refuse()
        for feeder in self._feeders:
            feeder.release()

    async def aclose(self) -> None:
        """Stop everything that feeds the channel, and wait for its end."""
        self._refuse()
        feeders = list(self._feeders)
        await join_all([feeder.task for feeder in feeders if feeder.task is not None])
        for feeder in feeders:
            await feeder.arelease()

    def forget(self, feeder: Feeder) -> None:
        self._feeders.pop(feeder, None)

    def _refuse(self) -> None:
        """Let writers and waiting readers find out that the consumer has gone, and tell the tasks to end."""
        self.closed = True
        self.queue.clear()
        self._unstarted.clear()
        for inlet in self._inlets:
            inlet.refuse()
            if inlet.nowait is not None:
                inlet.nowait.close()
        self._inlets.clear()
        self._handovers.clear()
        for feeder in self._feeders:
            feeder.stop()
        if self.hungry:
            self.feed()

    def _refill(self, inlet: Inlet, refill: Refill) -> Any:
        """Take the next element of a source that never waits, and queue again for the one after it."""
        self._refills += 1
        item = refill.source.pull_nowait()
        if item is END:
            inlet.end()
        else:
            inlet.push(refill)
        return item
