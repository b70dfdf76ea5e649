"""A run that may stop and go on, from its first call to its end: what is stored of it, and when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import anyio

from eino._run.address import address_text, visible_address
from eino._run.frame import current
from eino._run.interrupt import GraphInterrupt, InterruptSignal
from eino._run.session import Point, Session, is_below
from eino._tasks import shielded
from eino.compose.checkpoint import Box, Snapshot, boxed, unboxed
from eino.compose.durable import Durable
from eino.compose.fingerprint import checked_levels, shape_text
from eino.compose.journal import Entry, Journal
from eino.compose.missing import MISSING
from eino.compose.mode import Mode
from eino.compose.plan import Plan
from eino.errors import (
    AlreadyAnsweredError,
    CorruptCheckpointError,
    EinoError,
    FencedError,
    RunError,
    UnknownRunError,
    UnknownTargetError,
)
from eino.schema.stream import StreamReader

__all__ = ["DurableSession", "run_root"]

T = TypeVar("T")

StateModifier = Callable[[str, Any], Any]


@dataclass(slots=True)
class DurableSession(Session):
    """A session with what is stored of it."""

    journal: Journal | None = None
    """Where the run is stored; None if it is not."""
    by_step: bool = False
    """Whether every step is stored."""
    durable: Durable = field(default_factory=Durable)
    shape: str = ""
    """The graph, as it is compared on resume."""
    state_modifier: StateModifier | None = None
    input: Box = field(default_factory=list)
    """What the run was begun with, where every step is stored."""
    resumed: bool = False
    """Whether the run goes on from what was stored."""
    intents: set[str] = field(default_factory=set)
    """Attempts at effects whose outcome is not known."""
    results: dict[str, Box] = field(default_factory=dict)
    """Outputs of effects, by attempt."""
    active: list[str] = field(default_factory=list)
    """Addresses of the graphs that run."""
    forgotten: list[str] = field(default_factory=list)
    """Places that are done since the last record of a step."""
    fenced: FencedError | None = None
    """What another worker that has the run now left to this one."""
    _lock: anyio.Lock | None = None

    @property
    def lock(self) -> anyio.Lock:
        """Held by whoever writes to the journal."""
        if self._lock is None:
            self._lock = anyio.Lock(fast_acquire=True)  # an event loop need not turn where nobody waits
        return self._lock

    def forget(self, text: str) -> None:
        """Forget all that is known of a place: it is done."""
        Session.forget(self, text)
        if self.by_step:
            self.forgotten.append(text)

    def is_active_below(self, place: str) -> bool:
        """Whether a graph runs at a place or inside it."""
        return any(is_below(text, place) for text in self.active)

    async def append(self, kind: str, body: Any, status: Any = None, *, is_last: bool = False) -> None:
        """Store one record. Graphs beside each other wait for each other."""
        if self.journal is None:
            return
        if self._lock is None:
            self._lock = anyio.Lock(fast_acquire=True)  # an event loop need not turn where nobody waits
        async with self._lock:
            try:
                await self.journal.append(kind, body, status, is_last=is_last)
            except FencedError as error:
                self.fenced = error
                raise

    async def record_level(self, text: str, level: dict[str, Any]) -> None:
        """Store where a graph stands, and what is done since the last record."""
        done, self.forgotten = self.forgotten, []
        await self.append("level", {"address": text, "level": level, "forget": done})

    async def keep_part(self, text: str, value: Any) -> None:
        """Keep the result of a part of a node, so that it is not done again."""
        self.kept[text] = value
        if self.by_step:
            await self.append("kept", {"address": text, "value": value})

    async def note_intent(self, attempt: str, *, withdrawn: bool = False, asked: str = "") -> None:
        """Store that an effect is about to happen, or will not after all.

        Args:
            attempt: At what.
            withdrawn: Whether it will not.
            asked: Id of the interrupt whose answer lets it happen again. That answer is spent: should the outcome be
                unknown once more, somebody is asked once more.
        """
        (self.intents.discard if withdrawn else self.intents.add)(attempt)
        await self.append("intent", {"attempt": attempt, "withdrawn": withdrawn, "asked": asked})

    async def note_result(self, attempt: str, box: Box) -> None:
        """Store what an effect gave."""
        await self.append("result", {"attempt": attempt, "output": box})
        self.intents.discard(attempt)
        self.results[attempt] = box

    async def transact(self, attempt: str, work: Callable[[Any], T]) -> T:
        """Do some work in one transaction with the record that it was done, and return what it gave."""
        journal, lock = self.journal, self.lock
        if journal is None:
            raise RunError("a run that is not stored has no transactions")
        async with lock:
            body = await journal.transact("result", lambda db: {"attempt": attempt, "output": [work(db)]})
        self.results[attempt] = body["output"]
        return body["output"][0]  # type: ignore[no-any-return]  # of `work`

    async def save(self, signal: InterruptSignal) -> None:
        """Store the whole run as it stopped."""
        if self.journal is None:
            return
        self.points = {point.text: point for point in signal.points}
        self.levels, self.kept = signal.levels, signal.kept
        await self.append("interrupt", self.whole(), "waiting")

    def whole(self) -> dict[str, Any]:
        """Return the whole run as it stopped, as plain data."""
        points = [point.dump() for point in self.points.values()]
        body = {"points": points, "levels": self.levels, "kept": self.kept}
        return {**body, "shape": self.shape, "input": self.input}

    async def done(self) -> None:
        """Note that the run reached its end."""
        if self.journal is None:
            return
        try:
            if self.durable.keep:
                await self.append("end", {}, "done")
            else:
                await self.journal.delete()
        finally:
            self.journal.leave()

    async def broken_off(self, status: str) -> None:
        """Note that the run did not reach its end: what is stored stays, and the run can be called again.

        If that cannot be noted the run keeps the status `running`, but nobody has it: the next call goes on with it.
        The caller hears of what broke it off, which is often the same trouble, and not of this.
        """
        if self.journal is None:
            return
        try:
            with suppress(EinoError):
                await self.append("stop", {}, status, is_last=True)
        finally:
            self.journal.leave()

    def fold(self, entries: Any) -> None:
        """Take up what is stored.

        Raises:
            CorruptCheckpointError: If a record is not as the engine writes it.
        """
        for entry in entries:
            try:
                self._fold(entry)
            except (AttributeError, CorruptCheckpointError, LookupError, TypeError, ValueError) as error:
                raise CorruptCheckpointError(
                    f"run {self.run_id!r}: a record of the kind {entry.kind!r} is not as eino writes it"
                ) from error

    def _fold(self, entry: Entry) -> None:
        body = entry.body
        match entry.kind:
            case "start":
                self.shape, self.input = _shape(body["shape"]), body["input"]
                self.resumed = True
            case "level":
                for text in body["forget"]:
                    Session.forget(self, text)
                self.levels[body["address"]] = body["level"]
            case "kept":
                self.kept[body["address"]] = body["value"]
            case "interrupt":
                self.resumed = True
                self.shape, self.input = _shape(body["shape"]), body["input"]
                self.points = {point.text: point for point in map(Point.load, body["points"])}
                self.levels, self.kept = dict(body["levels"]), dict(body["kept"])
                for level in self.levels.values():
                    Snapshot.load(level)  # told now, while nothing of the run has begun
            case "intent":
                (self.intents.discard if body["withdrawn"] else self.intents.add)(body["attempt"])
                self.points = {text: point for text, point in self.points.items() if point.id != body["asked"]}
            case "result":
                self.intents.discard(body["attempt"])
                self.results[body["attempt"]] = body["output"]

    async def answer(self, given: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
        """Note the answers of this call, and those that were stored before.

        Raises:
            UnknownTargetError: If a target is no pending point of the run, or two name one.
            AlreadyAnsweredError: If a point was answered in an earlier call.
        """
        if self.journal is None:
            return
        chosen: dict[str, Any] = {}
        for target, data in given.items():
            point = self._target(target)
            if point.text in chosen:
                raise UnknownTargetError(f"resume={{...}} names {point.text} twice, the second time as {target!r}")
            if point.id in stored:
                raise AlreadyAnsweredError(
                    f"resume={{{target!r}: ...}}: the interrupt at {point.text} was answered before, with "
                    f"{stored[point.id]!r:.200}: leave it out to go on with that answer"
                )
            chosen[point.text] = data
        given_now = {self.points[text].id: data for text, data in chosen.items()}
        for text, point in self.points.items():
            if text in chosen:
                self.answers[text] = chosen[text]
            elif point.pending and point.id in stored:
                self.answers[text] = stored[point.id]
                if point.id not in self.journal.answers:  # it was given under another id of the run
                    given_now[point.id] = stored[point.id]
        await self.journal.answer(given_now)
        await self.journal.go_on_with(self.points[text].id for text in self.answers)

    def _target(self, target: str) -> Point:
        pending = [point for point in self.points.values() if point.pending]
        found = [point for point in pending if target in (point.id, point.text)]
        found = found or [point for point in pending if address_text(visible_address(point.address)) == target]
        found = found or [point for point in pending if isinstance(target, str) and is_below(point.text, target)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{point.text} (id {point.id})" for point in pending) or "none"
        problem = "stands for several" if found else "is none"
        raise UnknownTargetError(
            f"resume={{{target!r}: ...}} {problem} of the points that run {self.run_id!r} waits at; these are: {known}"
        )


def _shape(data: Any) -> str:
    """Return the stored shape of a graph.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(data, str):
        raise TypeError(f"{data!r:.200} is no shape of a graph")
    return data


async def run_root(
    run: Callable[..., Awaitable[Any]],
    plan: Plan,
    value: Any,
    mode: Mode,
    *,
    options: Mapping[str, Any],
    node_name: str | None,
) -> Any:
    """Run a graph that has no resumable run around it, and store what is to be stored.

    Args:
        run: Runs it once, see `Execution.run`.
        plan: The graph.
        value: Its input; an input that is not given is refused unless the run goes on from a stored one.
        mode: What kind of run it is.
        options: Call options.
        node_name: Display name, if it is a node of another graph.
    """
    session, value = await _opened(plan, value, mode, options)
    try:
        result = await run(value, mode, options, node_name, session)
    except InterruptSignal as signal:
        await _or_failed(session, partial(session.save, signal))
        if current.get() is None:
            raise signal.told() from None
        raise
    except Exception as error:
        await session.broken_off("failed")
        if session.fenced is not None and session.fenced is not error:
            raise session.fenced from error  # whatever failed, the run is not this worker's any more
        raise
    except BaseException:
        await shielded(partial(session.broken_off, "cancelled"))
        raise
    if session.journal is None:
        return result
    if mode.on_stream:
        return StreamReader.from_async(_delivered(result, session))
    await session.done()
    return result


async def _or_failed(session: DurableSession, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except BaseException:
        await shielded(partial(session.broken_off, "failed"))
        raise


async def _delivered(reader: StreamReader[Any], session: DurableSession) -> Any:
    """The run is done when its stream was read to the end."""
    status = "cancelled"
    try:
        async for chunk in reader:
            yield chunk
        status = "done"
        await session.done()
    except GraphInterrupt as stop:
        status = "failed"
        raise RunError(
            f"interrupt() came when the output had begun, at {stop.contexts[0].address_text}: what was delivered "
            "cannot be taken back; call it before the first chunk"
        ) from stop
    except Exception:
        status = "failed"
        raise
    finally:
        await reader.aclose()
        if status != "done":
            await shielded(partial(session.broken_off, status))


async def _opened(plan: Plan, value: Any, mode: Mode, options: Mapping[str, Any]) -> tuple[DurableSession, Any]:
    """Return the session, with what is stored of the run taken up, and the input."""
    durable = plan.durable or Durable()
    read_id, write_id = _ids(options)
    session = DurableSession(durable=durable, external=options.get("_external"))
    session.state_modifier = options.get("state_modifier")
    resume = _resume(options)
    if not write_id:
        if resume:
            raise RunError(f"resume={resume!r:.200} needs the checkpoint_id of the run that it answers")
        return session, _input(value, read_id)
    if durable.store is None:
        raise RunError(f"checkpoint_id={write_id!r}: compile the graph with checkpoint_store=, such as MemoryStore()")
    session.run_id = write_id
    session.by_step = durable.durability == "step"
    take_over = bool(options.get("take_over"))
    is_new = value is not MISSING and not resume
    stored = await _stored(durable, read_id, write_id, is_new=is_new)
    opened = partial(Journal.open, durable.store, write_id, take_over=take_over, max_bytes=durable.max_bytes)
    session.journal = await opened(create=is_new or stored is not None)
    entries, answers = (stored or session.journal).entries, dict((stored or session.journal).answers)
    is_over = options.get("force_new_run") or any(entry.kind == "end" for entry in entries)
    if is_over and (resume or value is MISSING):
        await shielded(session.journal.give_back)
        raise UnknownRunError(f"run {read_id!r} is over: there is nothing to resume; give an input to begin one")
    try:
        if is_over or stored is not None:
            await session.journal.delete()
            session.journal = await opened()
        if not is_over:
            session.fold(entries)
            session.levels = checked_levels(write_id, plan, session.shape, session.levels) if session.resumed else {}
            await session.answer(resume, answers)
        return session, await _begun(session, plan, value, mode, copied=stored is not None)
    except CorruptCheckpointError:
        await shielded(session.journal.give_back)
        raise
    except BaseException:
        await shielded(partial(session.broken_off, "waiting" if session.points else "failed"))
        raise


async def _stored(durable: Durable, read_id: str, write_id: str, *, is_new: bool) -> Journal | None:
    """Return the run to go on with, if it is to be stored under another id than its own."""
    if not read_id or read_id == write_id:
        return None
    found: Journal | None = await Journal.peek(durable.store, read_id, max_bytes=durable.max_bytes)
    if found is None and not is_new:
        raise UnknownRunError(f"there is no run {read_id!r} in the store: give an input to begin one")
    return found


async def _begun(session: DurableSession, plan: Plan, value: Any, mode: Mode, *, copied: bool) -> Any:
    """Return the input of the run, and store what must be known of it if it breaks off."""
    if session.resumed:
        if mode.on_stream and value is not MISSING:
            await value.aclose()
        if copied:
            await session.append("interrupt", session.whole())
        return unboxed(session.input, mode)
    value = _input(value, session.run_id)
    session.shape = shape_text(plan)
    if session.by_step:
        box = session.input = await boxed(value, mode, plan)
        await session.append("start", {"shape": session.shape, "input": box})
        value = unboxed(box, mode)
    return value


def _input(value: Any, read_id: str) -> Any:
    """Return the input of a new run.

    Raises:
        RunError: If there is none.
    """
    if value is MISSING:
        if read_id:
            raise UnknownRunError(f"there is no run {read_id!r} to go on with: give an input to begin one")
        raise RunError("no input was given; only a run that is stored under a checkpoint_id can go on without one")
    return value


def _resume(options: Mapping[str, Any]) -> Mapping[str, Any]:
    resume = options.get("resume") or {}
    if not isinstance(resume, Mapping):
        raise RunError(f"resume={resume!r:.200}: give a mapping of the id or address of a point to its answer")
    return resume


def _ids(options: Mapping[str, Any]) -> tuple[str, str]:
    """Return the ids to read and to write; empty if there is none."""
    for name in ("checkpoint_id", "write_checkpoint_id"):
        given = options.get(name)
        if given is not None and (not isinstance(given, str) or not given or "\0" in given):
            raise RunError(f"{name}={given!r:.200}: give a text that is not empty and has no NUL, or leave it out")
    read_id: str = options.get("checkpoint_id") or ""
    return read_id, options.get("write_checkpoint_id") or read_id
