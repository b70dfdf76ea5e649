"""Runs in one SQLite file: records, answers and statuses, each change a commit that survives crashes and power cuts."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

from eino.components._closing import Closing
from eino.compose.store import (
    Record,
    RunStatus,
    RunSummary,
    StoredRun,
    active,
    answered_before,
    checked_ttl,
    fenced,
    require_numbered,
    status_of,
    unknown,
)
from eino.errors import (
    ComponentError,
    ConnectionFailedError,
    CorruptCheckpointError,
    OverloadedError,
    RunError,
    StoreUnavailableError,
)
from eino.ext._sqlite import MEMORY, Database
from eino.ext.stores._foreign import ForeignError, foreign, unwrapped
from eino.ext.stores._worker_files import WorkerFile

__all__ = ["SQLiteStore"]

T = TypeVar("T")

_Summaries: TypeAlias = list[RunSummary]  # inside the class, `list` is its method

_APPLICATION_ID: Final = 0x45494E52  # "EINR"
_VERSION: Final = 2
_TABLES: Final = (
    "CREATE TABLE epochs (last INTEGER NOT NULL)",
    "INSERT INTO epochs VALUES (0)",
    (
        "CREATE TABLE runs (namespace TEXT NOT NULL, run_id TEXT NOT NULL, epoch INTEGER NOT NULL, owner TEXT NOT NULL,"
        " worker TEXT NOT NULL, status TEXT NOT NULL, head INTEGER NOT NULL, head_mac BLOB NOT NULL,"
        " changed REAL NOT NULL, PRIMARY KEY (namespace, run_id)) WITHOUT ROWID"
    ),
    "CREATE INDEX runs_by_change ON runs (namespace, changed)",
    (
        "CREATE TABLE records (namespace TEXT NOT NULL, run_id TEXT NOT NULL, seq INTEGER NOT NULL,"
        " epoch INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL, mac BLOB NOT NULL,"
        " PRIMARY KEY (namespace, run_id, seq),"
        " FOREIGN KEY (namespace, run_id) REFERENCES runs ON DELETE CASCADE)"
    ),
    (
        "CREATE TABLE answers (namespace TEXT NOT NULL, run_id TEXT NOT NULL, interrupt_id TEXT NOT NULL,"
        " value BLOB NOT NULL, PRIMARY KEY (namespace, run_id, interrupt_id),"
        " FOREIGN KEY (namespace, run_id) REFERENCES runs ON DELETE CASCADE)"
    ),
)
_SWEPT_AT_ONCE: Final = 1000
"""Rows that one sweep deletes at most, so that a claim never waits for a large one."""


class SQLiteStore(Closing):
    """Stores runs in an SQLite file, which processes of one machine may share.

    Each method is one transaction in a worker thread; the file is in WAL mode and each commit waits for the disk.
    An epoch is never given out twice in a file, so that a worker whose run was deleted and begun anew is fenced too.
    Not for a file on a network share: SQLite's locks do not hold there.

    A file beside the database, locked while the store is open, tells the others that this worker lives. The kernel
    frees the lock when the process dies; then others may claim its runs.

    Args:
        path: The file; made if it is not there, its folder is not. `":memory:"` ends with the store.
        namespace: Which runs to see; those of one namespace are unknown in all others.
        ttl_s: Runs that nobody works on and that were not changed for so long are deleted, in seconds by the clock of
            the machine; None keeps them.

    Raises:
        BuildError: If the path is empty, `ttl_s` is no duration, or (when it is first used) the file holds something
            else.
        CheckpointVersionError: By every method: the file holds runs of another version.
        StoreUnavailableError: By every method: the file stays locked, or cannot be opened; trying again may help.
        ComponentError: By every method: the file cannot be read or written; nothing was changed.
        CorruptCheckpointError: By every method that reads a run: a row holds what no store has written.
    """

    def __init__(self, path: str | os.PathLike[str], *, namespace: str = "", ttl_s: float | None = None) -> None:
        self.path = os.fspath(path)
        """The file."""
        self._database = Database(
            path, application_id=_APPLICATION_ID, version=_VERSION, tables=_make_tables, survives_power_cuts=True
        )
        self._worker = None if self.path == MEMORY else WorkerFile(self.path)
        self._namespace = namespace
        self._ttl_s = checked_ttl(ttl_s)

    @property
    def namespace(self) -> str:
        """Which runs it sees."""
        return self._namespace

    def __repr__(self) -> str:
        return f"SQLiteStore({self.path!r})"

    async def aclose(self) -> None:
        """Close the file; used again, it is opened again. Safe to call more than once."""
        await self._database.aclose()
        if self._worker is not None:
            self._worker.release()

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        """See `CheckpointStore`."""
        return await self._write(lambda db: self._claim(db, run_id, owner, take_over=take_over, create=create))

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """See `CheckpointStore`."""
        require_numbered(run_id, records, expected_head)
        await self._write(
            lambda db: self._append(db, run_id, records, expected_head=expected_head, epoch=epoch, status=status)
        )

    async def transact(
        self, run_id: str, work: Callable[[sqlite3.Connection], Record], *, expected_head: int, epoch: int
    ) -> None:
        """See `TransactionalStore`."""
        with unwrapped():
            await self._write(lambda db: self._transact(db, run_id, work, expected_head=expected_head, epoch=epoch))

    async def load(self, run_id: str) -> StoredRun | None:
        """See `CheckpointStore`."""
        with _told():
            return await self._database.read(lambda db: self._load(db, run_id))

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        """See `CheckpointStore`."""
        await self._write(lambda db: self._answer(db, run_id, interrupt_id, value))

    async def list(self) -> list[RunSummary]:
        """See `CheckpointStore`."""
        with _told():
            return await self._database.read(self._list)

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        """See `CheckpointStore`."""
        await self._write(lambda db: self._delete(db, run_id, epoch))

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with _told():
            return await self._database.write(work)

    # What follows runs in worker threads, each in one transaction.

    def _claim(
        self, db: sqlite3.Connection, run_id: str, owner: str, *, take_over: bool | str, create: bool
    ) -> StoredRun:
        me = self._worker.hold() if self._worker is not None else ""
        if self._ttl_s is not None:
            self._sweep(db, self._ttl_s)
        run = self._load(db, run_id)
        if run is None:
            if not create:
                raise unknown(run_id)
            run = StoredRun(run_id, 0, "", RunStatus.NEW, 0, b"", ())
        is_free = run.status is not RunStatus.RUNNING or take_over is True or take_over == run.owner
        if not is_free and not self._is_left(db, run_id, me):
            raise active(run_id, run.owner)
        db.execute("UPDATE epochs SET last = last + 1")
        (epoch,) = db.execute("SELECT last FROM epochs").fetchone()
        db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, 0, x'', ?) ON CONFLICT (namespace, run_id) DO UPDATE SET"
            " epoch = excluded.epoch, owner = excluded.owner, worker = excluded.worker, status = excluded.status,"
            " changed = excluded.changed",
            (self._namespace, run_id, epoch, owner, me, RunStatus.RUNNING.value, time.time()),
        )
        return StoredRun(run_id, epoch, owner, run.status, run.head, run.head_mac, run.records, run.answers)

    def _is_left(self, db: sqlite3.Connection, run_id: str, me: str) -> bool:
        """Return whether the worker that has a run is gone."""
        (name,) = db.execute(
            "SELECT worker FROM runs WHERE namespace = ? AND run_id = ?", (self._namespace, run_id)
        ).fetchone()
        if self._worker is None or name == me:
            return False
        try:
            return self._worker.is_gone(name)
        except (TypeError, ValueError) as error:
            raise CorruptCheckpointError(f"run {run_id!r}: {error}") from error

    def _append(
        self,
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
            "UPDATE runs SET head = coalesce(?, head), head_mac = coalesce(?, head_mac), status = coalesce(?, status),"
            " changed = ? WHERE namespace = ? AND run_id = ? AND epoch = ? AND head = ?",
            (
                last and last.seq,
                last and last.mac,
                status and status.value,
                time.time(),
                self._namespace,
                run_id,
                epoch,
                expected_head,
            ),
        )
        if not changed.rowcount:
            raise fenced(run_id)
        try:
            db.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(self._namespace, run_id, each.seq, each.epoch, each.kind, each.body, each.mac) for each in records],
            )
        except sqlite3.IntegrityError as error:
            raise CorruptCheckpointError(f"run {run_id!r} has records behind its head {expected_head}") from error

    def _transact(
        self,
        db: sqlite3.Connection,
        run_id: str,
        work: Callable[[sqlite3.Connection], Record],
        *,
        expected_head: int,
        epoch: int,
    ) -> None:
        key = (self._namespace, run_id)
        found = db.execute("SELECT epoch, head FROM runs WHERE namespace = ? AND run_id = ?", key).fetchone()
        if found != (epoch, expected_head):
            raise fenced(run_id)
        record = foreign(work, db)
        if not db.in_transaction:
            raise ForeignError(RunError("the work of transact() must not commit or roll back: the store does"))
        self._append(db, run_id, (record,), expected_head=expected_head, epoch=epoch, status=None)

    def _load(self, db: sqlite3.Connection, run_id: str) -> StoredRun | None:
        key = (self._namespace, run_id)
        row = db.execute(
            "SELECT epoch, owner, status, head, head_mac FROM runs WHERE namespace = ? AND run_id = ?", key
        ).fetchone()
        if row is None:
            return None
        epoch, owner, status, head, head_mac = _checked(run_id, row, (int, str, str, int, bytes))
        rows = db.execute(
            "SELECT seq, epoch, kind, body, mac FROM records WHERE namespace = ? AND run_id = ? ORDER BY seq", key
        )
        records = tuple(Record(*_checked(run_id, each, (int, int, str, bytes, bytes))) for each in rows)
        rows = db.execute("SELECT interrupt_id, value FROM answers WHERE namespace = ? AND run_id = ?", key)
        answers = dict(_checked(run_id, each, (str, bytes)) for each in rows)
        return StoredRun(run_id, epoch, owner, status_of(run_id, status), head, head_mac, records, answers)

    def _answer(self, db: sqlite3.Connection, run_id: str, interrupt_id: str, value: bytes) -> None:
        key = (self._namespace, run_id)
        changed = db.execute("UPDATE runs SET changed = ? WHERE namespace = ? AND run_id = ?", (time.time(), *key))
        if not changed.rowcount:
            raise unknown(run_id)
        added = db.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (*key, interrupt_id, value)
        )
        if not added.rowcount:
            raise answered_before(run_id, interrupt_id)

    def _list(self, db: sqlite3.Connection) -> _Summaries:
        now = time.time()
        rows = db.execute(
            "SELECT run_id, status, owner, head, epoch, changed FROM runs WHERE namespace = ? ORDER BY run_id",
            (self._namespace,),
        )
        found = [_checked(row[0], row, (str, str, str, int, int, float)) for row in rows]
        return [
            RunSummary(run_id, status_of(run_id, status), owner, head, epoch, now - changed)
            for run_id, status, owner, head, epoch, changed in found
        ]

    def _delete(self, db: sqlite3.Connection, run_id: str, epoch: int | None) -> None:
        key = (self._namespace, run_id)
        row = db.execute("SELECT epoch FROM runs WHERE namespace = ? AND run_id = ?", key).fetchone()
        if row is not None and epoch is not None and row[0] != epoch:
            raise fenced(run_id)
        db.execute("DELETE FROM runs WHERE namespace = ? AND run_id = ?", key)

    def _sweep(self, db: sqlite3.Connection, ttl_s: float) -> None:
        db.execute(
            "DELETE FROM runs WHERE (namespace, run_id) IN (SELECT namespace, run_id FROM runs WHERE namespace = ?"
            " AND changed < ? AND status <> 'running' ORDER BY changed LIMIT ?)",
            (self._namespace, time.time() - ttl_s, _SWEPT_AT_ONCE),
        )


def _make_tables(db: sqlite3.Connection) -> None:
    for statement in _TABLES:
        db.execute(statement)


def _checked(run_id: object, row: tuple[Any, ...], types: tuple[type, ...]) -> tuple[Any, ...]:
    """Return the row: SQLite keeps values of any type in any column, so that a damaged file may hold them."""
    if tuple(map(type, row)) != types:
        raise CorruptCheckpointError(f"run {run_id!r}: a row holds values of other types than were written")
    return row


@contextmanager
def _told() -> Iterator[None]:
    """Tell what may pass from what will not."""
    try:
        yield
    except (OverloadedError, ConnectionFailedError) as error:
        raise StoreUnavailableError(str(error)) from error
    except OSError as error:
        raise ComponentError(
            f"there can be no file beside the SQLite file, for the lock of this worker: {error}"
        ) from error
