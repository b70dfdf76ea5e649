"""Notes every run, node and tool call: when it ran, for how long it computed, and inside of what."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from eino._run.frame import current
from eino.compose import instrument
from eino.compose.extra import keep
from eino.compose.plan import Plan
from eino.compose.stage import Call, Stage
from eino.errors import EndOfStream
from eino.schema.stream import StreamReader
from eino_harness.profile.frames import awaiting_frame, plain_frame

__all__ = ["RUN", "Recorder", "Visit", "recording"]

RUN = "Run"
"""Kind of the visit that is a whole run of an outermost graph."""

Seconds = Callable[[], float]


@dataclass(slots=True, eq=False)
class Visit:
    """One call of a node or tool, or one run."""

    path: tuple[str, ...]
    """Keys of the nodes from the outermost graph down; for a tool its name behind them; for a run the graph's name."""
    kind: str
    """`"ChatModel"`, `"Lambda"`, `"Tool"`, ..., or `"Run"`."""
    parent: Visit | None
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When it ran or was waited for: begin and end in seconds. A stream has one for its start and one for each pull."""
    cpu_s: float = 0.0
    """How long its thread computed for it, without what is inside of it."""
    thread: int = 0
    """The thread that it ran in."""


@dataclass(slots=True)
class _Stack:
    visits: list[Visit] = field(default_factory=list)
    mark_s: float = 0.0


class Recorder:
    """An instrument of the engine (`eino.compose.instrument`). Threads and event loops may run beside each other."""

    def __init__(self, *, wall: Seconds = time.perf_counter, cpu: Seconds = time.thread_time) -> None:
        self.visits: list[Visit] = []
        """What was noted, in the order of beginning."""
        self.on = True
        """False when nothing is to be noted any more."""
        self._wall = wall
        self._cpu = cpu
        self._local = threading.local()
        self._visit: ContextVar[Visit | None] = ContextVar("eino_profile_visit", default=None)

    def run(self, plan: Plan, run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Note the runs of an outermost graph, and of graphs that a node's code calls; others are noted as nodes."""

        async def noted(*args: Any, **kwargs: Any) -> Any:
            if not self.on or kwargs.get("node_name") is not None:
                return await run(*args, **kwargs)
            visit = self._begin((*self._path(), plan.name), RUN if current.get() is None else plan.kind)
            result = await self._drive(visit, lambda: run(*args, **kwargs))
            return self._timed(visit, result)

        return noted

    def node(self, plan: Plan, stage: Stage, call: Call, *, on_stream: bool) -> Call:
        """Note the calls of a node, and in stream runs the pulls from its output."""
        function, is_async = call
        body = stage.spec.body
        if body is None:  # a passthrough: nothing runs
            return call
        kind = body.component

        def plain(value: Any) -> Any:
            if not self.on:
                return function(value)
            visit = self._begin(self._path(), kind)
            return self._note(visit, lambda: plain_frame(visit.path)(_Times(self, visit), lambda: function(value)))

        async def awaited(value: Any) -> Any:
            if not self.on:
                return await function(value)
            visit = self._begin(self._path(), kind)
            result = await self._drive(visit, lambda: function(value))
            timed = self._timed(visit, result) if on_stream else result
            return keep(timed) if timed is not result else result

        return (awaited, True) if is_async else (plain, False)

    async def tool(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Note one call of a tool."""
        if not self.on:
            return await call()
        visit = self._begin((*self._path(), name), "Tool")
        return self._timed(visit, await self._drive(visit, call))

    def _begin(self, path: tuple[str, ...], kind: str) -> Visit:
        visit = Visit(path, kind, self._visit.get(), thread=threading.get_ident())
        self.visits.append(visit)
        return visit

    @staticmethod
    def _path() -> tuple[str, ...]:
        frame = current.get()
        return frame.path() if frame is not None else ()

    def _note(self, visit: Visit, call: Callable[[], Any]) -> Any:
        """Call with `visit` as what is inside of which, and note its span."""
        outer = self._visit.get()
        self._visit.set(visit)
        began_s = self._wall()
        try:
            return call()
        finally:
            visit.spans.append((began_s, self._wall()))
            self._visit.set(outer)

    async def _drive(self, visit: Visit, call: Callable[[], Awaitable[Any]]) -> Any:
        outer = self._visit.get()
        self._visit.set(visit)
        began_s = self._wall()
        try:
            return await awaiting_frame(visit.path)(_Times(self, visit), call)
        finally:
            visit.spans.append((began_s, self._wall()))
            self._visit.set(outer)

    def _timed(self, visit: Visit, result: Any) -> Any:
        """Return a stream with each pull noted; anything else as it is."""
        return StreamReader.from_async(_Pulls(self, visit, result)) if isinstance(result, StreamReader) else result

    def resume(self, visit: Visit) -> None:
        """The thread computes for `visit` from now on; what it computed for until now is paused."""
        stack, now_s = self._stack(), self._cpu()
        if stack.visits:
            stack.visits[-1].cpu_s += now_s - stack.mark_s
        stack.visits.append(visit)
        stack.mark_s = now_s

    def pause(self) -> None:
        """The thread computes no more for what it was resumed for, but again for what is around that."""
        stack, now_s = self._stack(), self._cpu()
        stack.visits.pop().cpu_s += now_s - stack.mark_s
        stack.mark_s = now_s

    def _stack(self) -> _Stack:
        try:
            stack: _Stack = self._local.stack
        except AttributeError:
            stack = self._local.stack = _Stack()
        return stack


class _Times:
    """The clock of one visit."""

    __slots__ = ("_recorder", "_visit", "pause")

    def __init__(self, recorder: Recorder, visit: Visit) -> None:
        self._recorder = recorder
        self._visit = visit
        self.pause = recorder.pause

    def resume(self) -> None:
        self._recorder.resume(self._visit)


class _Pulls:
    """A stream whose pulls are noted. It goes on behind an element that is an error, as the stream itself does."""

    def __init__(self, recorder: Recorder, visit: Visit, reader: StreamReader[Any]) -> None:
        self._recorder = recorder
        self._visit = visit
        self._reader = reader

    def __aiter__(self) -> _Pulls:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._recorder._drive(self._visit, self._reader.recv)
        except EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self._reader.aclose()


@contextmanager
def recording(recorder: Recorder | None = None) -> Iterator[Recorder]:
    """Note everything that runs inside the block, in graphs compiled before as well.

    Raises:
        RuntimeError: If something else records already.
    """
    if instrument.active is not None:
        raise RuntimeError("graphs are being profiled already: one profile at a time")
    recorder = recorder or Recorder()
    instrument.use(recorder)
    try:
        yield recorder
    finally:
        recorder.on = False
        instrument.use(None)
