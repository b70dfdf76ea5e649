"""Tasks behind a stream: one runs a function that sends, the other pulls a source."""

from __future__ import annotations

import contextvars
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from eino._tasks import Parker, TaskHandle, checkpoint, is_cancellation, spawn
from eino.errors import StreamBrokenError
from eino.schema._streams.channel import Inlet
from eino.schema._streams.iterators import next_of
from eino.schema._streams.source import CHECKPOINT_EVERY, Fault, Source

__all__ = ["Producer", "Puller", "pulling_ahead"]

_log = logging.getLogger("eino.streams")


class Sink(Protocol):
    """Where a feeder puts what it has."""

    def push(self, item: object) -> None:
        """Append an element or a `Fault`."""
        ...

    def end(self) -> None:
        """Say that nothing more will come."""
        ...

    def forget(self, feeder: Any) -> None:
        """Let go of the feeder, which has nothing left to do."""
        ...


class _Feeder(ABC):
    """The life of a task behind a stream. It knows where to put things, never a reader: a dropped reader is noticed.

    The task is never cancelled before its first step: asyncio would drop it without running its `finally`.
    """

    __slots__ = ("_begun", "_context", "_sink", "_stopped", "task")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._context = contextvars.copy_context()
        self._begun = False
        self._stopped = False
        self.task: TaskHandle | None = None

    def start(self) -> None:
        self.task = spawn(self._live, name=f"eino: {type(self).__name__} of a stream", context=self._context)

    def stop(self) -> None:
        self._stopped = True
        if self.task is not None and self._begun:
            self.task.cancel()

    async def _live(self) -> None:
        self._begun = True
        try:
            if not self._stopped:
                await self._work()
        except BaseException as error:
            self._report(error)
            if _is_for_the_task(error):
                raise
        finally:
            self._sink.end()
            try:
                await self.arelease()
            finally:
                self._sink.forget(self)

    def _report(self, error: BaseException) -> None:
        """Tell the reader what ended the task. One that has gone asked for the end, but not for other errors."""
        if self._stopped:
            if not is_cancellation(error):
                _log.warning("a task behind a stream failed after its reader had gone", exc_info=error)
            return
        if is_cancellation(error):
            broken = StreamBrokenError("the task that fills this stream was cancelled from outside before the end")
            broken.__cause__ = error
            error = broken
        self._sink.push(Fault(error))

    @abstractmethod
    def release(self) -> None: ...

    @abstractmethod
    async def arelease(self) -> None: ...

    @abstractmethod
    async def _work(self) -> None: ...


def _is_for_the_task(error: BaseException) -> bool:
    """Whether an error is meant for the task itself. Others, interrupts included, are the reader's."""
    return is_cancellation(error) or isinstance(error, (GeneratorExit, KeyboardInterrupt, SystemExit))


class Producer(_Feeder):
    """Runs a function that sends."""

    __slots__ = ("_produce",)

    def __init__(self, sink: Sink, produce: Callable[[], Awaitable[object]]) -> None:
        super().__init__(sink)
        self._produce = produce

    def release(self) -> None:
        """A function that never ran has nothing to close."""

    async def arelease(self) -> None:
        """A function cleans up after itself."""

    async def _work(self) -> None:
        await self._produce()


class Puller(_Feeder):
    """Pulls a source whenever there is room for its elements. The source is its own from now on."""

    __slots__ = ("_has_room", "_source", "_wait_for_room")

    def __init__(
        self,
        sink: Sink,
        source: Source[Any],
        has_room: Callable[[], bool],
        wait_for_room: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(sink)
        self._source = source
        self._has_room = has_room
        self._wait_for_room = wait_for_room

    def release(self) -> None:
        if self.task is None:
            self._source.close()

    async def arelease(self) -> None:
        await self._source.aclose()

    async def _work(self) -> None:
        has_room, wait_for_room = self._has_room, self._wait_for_room
        pull, push = next_of(self._source), self._sink.push
        pulled = 0
        while True:
            while not has_room():
                await wait_for_room()
            try:
                item = await pull()
            except StopAsyncIteration:
                return
            except BaseException as error:
                if _is_for_the_task(error):
                    raise
                item = Fault(error)
            push(item)
            pulled += 1
            if pulled % CHECKPOINT_EVERY == 0:
                await checkpoint()


def pulling_ahead(inlet: Inlet, source: Source[Any]) -> Puller:
    """Return a puller that is ahead of the reader by what the inlet holds."""
    return Puller(inlet, source, inlet.has_room, partial(inlet.wait_for_room, Parker(), inlet.ticket()))
