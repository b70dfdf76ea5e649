"""Stores and an engine that break a promise each: the campaign must find every one, or it proves nothing."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eino.compose import durable_run, journal
from eino.compose.store import CheckpointStore, Record, RunStatus, StoredRun
from eino.errors import AlreadyAnsweredError, ComponentError, FencedError
from eino.ext.stores.sqlite import SQLiteStore
from eino_harness.faults.campaign import run_scenario
from eino_harness.faults.kits import SQLiteKit
from eino_harness.faults.site import Outcome, Sizes

__all__ = ["CASES", "Case", "prove"]


class UnfencedStore(SQLiteStore):
    """Tells a worker that was replaced that its records were stored."""

    async def append(self, run_id: str, records: Sequence[Record], **options: Any) -> None:
        """See `CheckpointStore`."""
        with suppress(FencedError):
            await super().append(run_id, records, **options)


class LaxStore(UnfencedStore):
    """Gives a run to whoever asks, and takes every answer."""

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        """See `CheckpointStore`."""
        return await super().claim(run_id, owner, take_over=True, create=create)

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        """See `CheckpointStore`."""
        with suppress(AlreadyAnsweredError):
            await super().answer(run_id, interrupt_id, value)


class LateStore(SQLiteStore):
    """Says that records are stored some time before they are."""

    _LAG: Final = 4

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._late: list[Record] = []

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """See `CheckpointStore`."""
        head = expected_head - len(self._late)
        self._late.extend(records)
        if len(self._late) >= self._LAG or status is not None:
            late, self._late = self._late, []
            await super().append(run_id, late, expected_head=head, epoch=epoch, status=status)


class TornStore(SQLiteStore):
    """Moves the head of a run in one transaction, and stores the records in the next one."""

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """See `CheckpointStore`."""
        if not records:
            await super().append(run_id, records, expected_head=expected_head, epoch=epoch, status=status)
            return
        last = records[-1]
        with closing(sqlite3.connect(self._database.path, isolation_level=None, timeout=10)) as db:
            db.execute("BEGIN IMMEDIATE")
            changed = db.execute(
                "UPDATE runs SET head = ?, head_mac = ?, status = coalesce(?, status)"
                " WHERE run_id = ? AND epoch = ? AND head = ?",
                (last.seq, last.mac, status and status.value, run_id, epoch, expected_head),
            )
            db.execute("COMMIT")
            if not changed.rowcount:
                raise FencedError(f"run {run_id!r} was taken over")
            db.execute("BEGIN IMMEDIATE")
            for each in records:
                db.execute(
                    "INSERT INTO records (namespace, run_id, seq, epoch, kind, body, mac)"
                    " VALUES ('', ?, ?, ?, ?, ?, ?)",
                    (run_id, each.seq, each.epoch, each.kind, each.body, each.mac),
                )
            db.execute("COMMIT")


class ClockStore(SQLiteStore):
    """Takes what was stored last by the clock for the latest, and discards what it takes for older."""

    async def append(self, run_id: str, records: Sequence[Record], **options: Any) -> None:
        """See `CheckpointStore`."""
        await super().append(run_id, records, **options)
        with closing(self._times()) as db, db:
            for each in records:
                db.execute("INSERT OR REPLACE INTO times VALUES (?, ?, ?)", (run_id, each.seq, time.time()))

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        """See `CheckpointStore`."""
        with closing(self._times()) as db, db:
            row = db.execute("SELECT seq FROM times WHERE run_id = ? ORDER BY at DESC", (run_id,)).fetchone()
            if row is not None:
                db.execute("DELETE FROM times WHERE run_id = ? AND seq > ?", (run_id, row[0]))
                db.execute("DELETE FROM records WHERE run_id = ? AND seq > ?", (run_id, row[0]))
                db.execute(
                    "UPDATE runs SET (head, head_mac) = (SELECT seq, mac FROM records"
                    " WHERE records.run_id = runs.run_id AND seq = ?) WHERE run_id = ?",
                    (row[0], run_id),
                )
        return await super().claim(run_id, owner, take_over=take_over, create=create)

    def _times(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._database.path, timeout=10)
        db.execute("CREATE TABLE IF NOT EXISTS times (run_id, seq, at, PRIMARY KEY (run_id, seq))")
        return db


class CalmStore(SQLiteStore):
    """Says that records are stored when they could not be."""

    async def append(self, run_id: str, records: Sequence[Record], **options: Any) -> None:
        """See `CheckpointStore`."""
        with suppress(ComponentError, FencedError):
            await super().append(run_id, records, **options)


class _Kit(SQLiteKit):
    """A kit of one of the stores above."""

    made: type[SQLiteStore]

    def store(self) -> SQLiteStore:
        """Return the broken store."""
        return self.made(self.path)


class UnfencedKit(_Kit):
    """See the store of this name; the same below."""

    made = UnfencedStore


class LaxKit(_Kit):
    """See `LaxStore`."""

    made = LaxStore


class LateKit(_Kit):
    """See `LateStore`."""

    made = LateStore


class TornKit(_Kit):
    """See `TornStore`."""

    made = TornStore


class TrustingKit(SQLiteKit):
    """The store is sound; the journal on top of it chains and seals nothing, and trusts whatever it finds."""

    @asynccontextmanager
    async def open(self, watch: Callable[[str], None] | None = None) -> AsyncIterator[CheckpointStore]:
        """Return the store, while nothing is chained."""
        trusting: dict[str, Callable[..., Any]] = {
            "_chained": lambda *_, **__: b"",
            "_unsealed": lambda *given: given[-1][journal._SEAL_BYTES :],
            "_require_answers": lambda *_: None,
        }
        sound: dict[str, Any] = {name: getattr(journal, name) for name in trusting}
        try:
            for name, function in trusting.items():
                setattr(journal, name, function)
            async with super().open(watch) as store:
                yield store
        finally:
            for name, function in sound.items():
                setattr(journal, name, function)


class ClockKit(_Kit):
    """See `ClockStore`."""

    made = ClockStore


class CalmKit(_Kit):
    """See `CalmStore`."""

    made = CalmStore


class RerunKit(SQLiteKit):
    """The store is sound; the engine of its workers passes over the records of ended steps, and runs them again."""

    @asynccontextmanager
    async def open(self, watch: Callable[[str], None] | None = None) -> AsyncIterator[CheckpointStore]:
        """Return the store; in a worker, break the engine."""
        if watch is not None:
            fold = durable_run.DurableSession.fold

            def forgetful(session: Any, entries: Any) -> None:
                fold(session, [entry for entry in entries if entry.kind not in ("level", "kept")])

            durable_run.DurableSession.fold = forgetful  # type: ignore[assignment, method-assign]
        async with super().open(watch) as store:
            yield store


_SMALL: Final = Sizes(kills=8, resumes=3, flips=40, zombies=6, clocks=0, points=2)


@dataclass(frozen=True, slots=True)
class Case:
    """One broken promise, and the scenario that must find it."""

    kit: type[SQLiteKit]
    scenario: str
    sizes: Sizes = _SMALL

    @property
    def store(self) -> str:
        """Name of the kit, as the command line takes it."""
        return f"{self.kit.__module__}:{self.kit.__qualname__}"


CASES: Final[Mapping[str, Case]] = {
    "a store that does not fence": Case(UnfencedKit, "zombie"),
    "a store that gives a run to all": Case(LaxKit, "resume"),
    "a store that stores late": Case(LateKit, "kill"),
    "a store that tears its transactions": Case(TornKit, "points"),
    "a store that trusts what it finds": Case(TrustingKit, "damage"),
    "a store that goes by the clock": Case(ClockKit, "clock", Sizes(clocks=3)),
    "a store that hides that it is full": Case(CalmKit, "outage", Sizes(clocks=0)),
    "an engine that runs finished steps again": Case(RerunKit, "kill", Sizes(kills=4)),
}
"""What is broken, in words."""


def prove(seed: int, tell: Callable[[str], object]) -> int:
    """Run each case; return 0 if the campaign found all of them, else 1."""
    missed = 0
    for name, case in CASES.items():
        outcome = found(case, seed)
        verdict = f"found: {outcome.violations[0].text}" if outcome.violations else "NOT FOUND"
        missed += not outcome.violations
        tell(f"{case.scenario:<8}{outcome.seconds:>6.1f} s  {name}: {verdict[:200]}")
    return 1 if missed else 0


def found(case: Case, seed: int) -> Outcome:
    """Return what the scenario shows of a case; its files are removed."""
    outcome = run_scenario(case.scenario, case.store, case.sizes, seed)
    if "files" in outcome.facts:
        shutil.rmtree(outcome.facts.pop("files"))
    return outcome
