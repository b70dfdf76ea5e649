"""Runs in one SQLite file: records, answers and statuses, each change a commit that survives crashes and power cuts."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from eino.compose.store import Record, RunStatus, RunSummary, StoredRun
from eino.errors import AlreadyAnsweredError, CorruptCheckpointError, FencedError, RunActiveError, UnknownRunError
from eino.ext._sqlite import Database

__all__ = ["SQLiteStore"]

_APPLICATION_ID: Final = 0x45494E52  # "EINR"
_VERSION: Final = 1
_TABLES: Final = (
    "CREATE TABLE epochs (last INTEGER NOT NULL)",
    "INSERT INTO epochs VALUES (0)",
    (
        "CREATE TABLE runs (run_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, owner TEXT NOT NULL, status TEXT NOT NULL,"
        " head INTEGER NOT NULL, head_mac BLOB NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE records (run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, seq INTEGER NOT NULL,"
        " epoch INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (run_id, seq))"
    ),
    (
        "CREATE TABLE answers (run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, interrupt_id TEXT NOT NULL,"
        " value BLOB NOT NULL, PRIMARY KEY (run_id, interrupt_id))"
    ),
)


class SQLiteStore:
    """Stores runs in an SQLite file, which processes of one machine may share.

    Each method is one transaction in a worker thread; the file is in WAL mode and each commit waits for the disk.
    An epoch is never given out twice in a file, so that a worker whose run was deleted and begun anew is fenced too.
    Not for a file on a network share: SQLite's locks do not hold there.

    Args:
        path: The file; made if it is not there, its folder is not. `":memory:"` ends with the store.

    Raises:
        BuildError: If the path is empty, or (when it is first used) the file holds something else.
        ComponentError: By every method: the file cannot be read or written, or stays locked; nothing was changed.
        CorruptCheckpointError: By every method that reads a run: a row holds what no store has written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._database = Database(
            path, application_id=_APPLICATION_ID, version=_VERSION, tables=_make_tables, survives_power_cuts=True
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the file; used again, it is opened again. Safe to call more than once."""
        await self._database.aclose()

    async def claim(self, run_id: str, owner: str, *, take_over: bool, create: bool) -> StoredRun:
        """See `CheckpointStore`."""
        return await self._database.write(lambda db: _claim(db, run_id, owner, take_over=take_over, create=create))

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """See `CheckpointStore`."""
        await self._database.write(
            lambda db: _append(db, run_id, records, expected_head=expected_head, epoch=epoch, status=status)
        )

    async def load(self, run_id: str) -> StoredRun | None:
        """See `CheckpointStore`."""
        return await self._database.read(lambda db: _load(db, run_id))

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        """See `CheckpointStore`."""
        await self._database.write(lambda db: _answer(db, run_id, interrupt_id, value))

    async def list(self) -> list[RunSummary]:
        """See `CheckpointStore`."""
        return await self._database.read(_list)

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        """See `CheckpointStore`."""
        await self._database.write(lambda db: _delete(db, run_id, epoch))


def _make_tables(db: sqlite3.Connection) -> None:
    for statement in _TABLES:
        db.execute(statement)


def _claim(db: sqlite3.Connection, run_id: str, owner: str, *, take_over: bool, create: bool) -> StoredRun:
    run = _load(db, run_id)
    if run is None:
        if not create:
            raise UnknownRunError(f"there is no run {run_id!r} in the store")
        run = StoredRun(run_id, 0, "", RunStatus.NEW, 0, b"", ())
    elif run.status is RunStatus.RUNNING and not take_over:
        raise RunActiveError(
            f"run {run_id!r} is being run by {run.owner}: wait, or give take_over=True if that worker is gone"
        )
    db.execute("UPDATE epochs SET last = last + 1")
    (epoch,) = db.execute("SELECT last FROM epochs").fetchone()
    db.execute(
        "INSERT INTO runs VALUES (?, ?, ?, ?, 0, x'') ON CONFLICT (run_id)"
        " DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner, status = excluded.status",
        (run_id, epoch, owner, RunStatus.RUNNING.value),
    )
    return StoredRun(run_id, epoch, owner, run.status, run.head, run.head_mac, run.records, run.answers)


def _append(
    db: sqlite3.Connection,
    run_id: str,
    records: Sequence[Record],
    *,
    expected_head: int,
    epoch: int,
    status: RunStatus | None,
) -> None:
    last = records[-1] if records else None
    changed = db.execute(
        "UPDATE runs SET head = coalesce(?, head), head_mac = coalesce(?, head_mac), status = coalesce(?, status)"
        " WHERE run_id = ? AND epoch = ? AND head = ?",
        (
            last and last.seq,
            last and last.mac,
            status and status.value,
            run_id,
            epoch,
            expected_head,
        ),
    )
    if not changed.rowcount:
        raise FencedError(f"run {run_id!r} was taken over by another worker, or discarded: this one must stop")
    try:
        db.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)",
            [(run_id, each.seq, each.epoch, each.kind, each.body, each.mac) for each in records],
        )
    except sqlite3.IntegrityError as error:
        raise CorruptCheckpointError(f"run {run_id!r} has records behind its head {expected_head}") from error


def _load(db: sqlite3.Connection, run_id: str) -> StoredRun | None:
    row = db.execute("SELECT epoch, owner, status, head, head_mac FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        return None
    _check(run_id, row, (int, str, str, int, bytes))
    epoch, owner, status, head, head_mac = row
    rows = db.execute("SELECT seq, epoch, kind, body, mac FROM records WHERE run_id = ? ORDER BY seq", (run_id,))
    records = tuple(Record(*_check(run_id, each, (int, int, str, bytes, bytes))) for each in rows)
    rows = db.execute("SELECT interrupt_id, value FROM answers WHERE run_id = ?", (run_id,))
    answers = dict(_check(run_id, each, (str, bytes)) for each in rows)
    return StoredRun(run_id, epoch, owner, _status(run_id, status), head, head_mac, records, answers)


def _answer(db: sqlite3.Connection, run_id: str, interrupt_id: str, value: bytes) -> None:
    if db.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone() is None:
        raise UnknownRunError(f"there is no run {run_id!r} in the store")
    added = db.execute(
        "INSERT INTO answers VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (run_id, interrupt_id, value),
    )
    if not added.rowcount:
        raise AlreadyAnsweredError(f"interrupt {interrupt_id!r} of run {run_id!r} was answered before")


def _list(db: sqlite3.Connection) -> list[RunSummary]:
    rows = db.execute("SELECT run_id, status, owner, head FROM runs ORDER BY run_id")
    return [RunSummary(run_id, _status(run_id, status), owner, head) for run_id, status, owner, head in rows]


def _delete(db: sqlite3.Connection, run_id: str, epoch: int | None) -> None:
    row = db.execute("SELECT epoch FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is not None and epoch is not None and row[0] != epoch:
        raise FencedError(f"run {run_id!r} was taken over by another worker: this one must not delete it")
    db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))


def _check(run_id: str, row: tuple[Any, ...], types: tuple[type, ...]) -> tuple[Any, ...]:
    """Return the row: SQLite keeps values of any type in any column, so that a damaged file may hold them."""
    if tuple(map(type, row)) != types:
        raise CorruptCheckpointError(f"run {run_id!r}: a row holds values of other types than were written")
    return row


def _status(run_id: str, status: str) -> RunStatus:
    try:
        return RunStatus(status)
    except ValueError as error:
        raise CorruptCheckpointError(f"run {run_id!r} has the unknown status {status!r}") from error
