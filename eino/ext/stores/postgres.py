"""Runs in a PostgreSQL database, which workers of many machines share: records, answers and statuses."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

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
from eino.errors import BuildError, CheckpointError, CorruptCheckpointError, MissingExtraError

if importlib.util.find_spec("psycopg") is None or importlib.util.find_spec("psycopg_pool") is None:
    raise MissingExtraError(
        "eino.ext.stores.postgres needs the libraries 'psycopg' and 'psycopg_pool', of which one is not installed;"
        ' pip install "eino[postgres]"',
        name="psycopg",
    )

import psycopg
from psycopg import errors, sql

from eino._tasks.threads import in_thread
from eino.ext.stores._foreign import foreign, unwrapped
from eino.ext.stores._postgres_connections import Connection, Connections
from eino.ext.stores._postgres_tables import Tables
from eino.ext.stores._postgres_worker import Worker

__all__ = ["PostgresStore"]

T = TypeVar("T")

_Summaries: TypeAlias = list[RunSummary]  # inside the class, `list` is its method


class PostgresStore(Closing):
    """Stores runs in a PostgreSQL database, 12 or later, which any number of workers share.

    Each method is one transaction, committed to the disk of the server. Works on every event loop: the calls are made
    in worker threads, with a pool of connections. The tables are made when the store is first used, if they are not
    there.

    One more connection, held while the store is open, tells the others that this worker lives: when it breaks, because
    the process died or the server was restarted, its runs may be claimed by others. So connect to the server itself, or
    to a pooler that keeps sessions, not to one that pools transactions.

    Args:
        url: Where the database is: `postgresql://user:password@host:5432/database`, or as libpq takes it; what it does
            not say comes from the environment (`PGPASSWORD`, ...).
        schema: The schema that has the tables, made if it is not there.
        namespace: Which runs to see; those of one namespace are unknown in all others.
        max_connections: How many connections to open at most, besides the one that is held.
        timeout_s: How long to wait for a connection, and for each answer of the server, in seconds.
        ttl_s: Runs that nobody works on and that were not changed for so long are deleted, in seconds by the clock of
            the server; None keeps them.

    Raises:
        BuildError: If an argument cannot be.
        CheckpointVersionError: By every method: the tables are of another version.
        StoreUnavailableError: By every method: the server cannot be reached, or does not answer; trying again may help.
        ComponentError: By every method: the server refuses.
        CorruptCheckpointError: By every method that reads a run: a row holds what no store has written.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "eino",
        namespace: str = "",
        max_connections: int = 8,
        timeout_s: float = 10.0,
        ttl_s: float | None = None,
    ) -> None:
        if not schema or "\0" in schema:
            raise BuildError(f"schema={schema!r}: name the schema that is to have the tables")
        if "\0" in namespace:
            raise BuildError(f"namespace={namespace!r}: PostgreSQL keeps no NUL character in a text")
        self._connections = Connections(url, max_connections=max_connections, timeout_s=timeout_s)
        self._worker = Worker(self._connections)
        self.schema = schema
        """The schema that has the tables."""
        self._tables = Tables(schema)
        self._namespace = namespace
        self._ttl_s = checked_ttl(ttl_s)

    @property
    def namespace(self) -> str:
        """Which runs it sees."""
        return self._namespace

    def __repr__(self) -> str:
        return f"PostgresStore{self._connections.place}"

    async def aclose(self) -> None:
        """Close all connections; used again, new ones are opened. Safe to call more than once."""
        await in_thread(self._close)

    def _close(self) -> None:
        self._worker.close()
        self._connections.close()

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        """See `CheckpointStore`."""
        return await self._run(run_id, lambda db: self._claim(db, run_id, owner, take_over=take_over, create=create))

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """See `CheckpointStore`."""
        require_numbered(run_id, records, expected_head)
        await self._run(
            run_id,
            lambda db: self._append(db, run_id, records, expected_head=expected_head, epoch=epoch, status=status),
        )

    async def transact(
        self, run_id: str, work: Callable[[Connection], Record], *, expected_head: int, epoch: int
    ) -> None:
        """See `TransactionalStore`."""
        with unwrapped():
            await self._run(
                run_id, lambda db: self._transact(db, run_id, work, expected_head=expected_head, epoch=epoch)
            )

    async def load(self, run_id: str) -> StoredRun | None:
        """See `CheckpointStore`."""
        return await self._run(run_id, lambda db: self._load(db, run_id))

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        """See `CheckpointStore`."""
        await self._run(run_id, lambda db: self._answer(db, run_id, interrupt_id, value))

    async def list(self) -> list[RunSummary]:
        """See `CheckpointStore`."""
        return await self._run("", self._list)

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        """See `CheckpointStore`."""
        await self._run(run_id, lambda db: self._delete(db, run_id, epoch))

    async def _run(self, run_id: str, work: Callable[[Connection], T]) -> T:
        if "\0" in run_id:
            raise CheckpointError(f"run {run_id!r}: PostgreSQL keeps no NUL character in a text; take another id")

        def with_tables(db: Connection) -> T:
            self._tables.make(db)
            return work(db)

        return await self._connections.run_in_thread(with_tables)

    # What follows runs in worker threads.

    def _claim(self, db: Connection, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        self._worker.hold()
        key = (self._namespace, run_id)
        with db.transaction():
            if self._ttl_s is not None:
                db.execute(self._tables.sweep, (self._namespace, self._ttl_s))
            if create:
                db.execute(self._tables.begin, key)
            run = self._read(db, run_id, self._tables.lock)
            if run is None:
                raise unknown(run_id)
            is_free = run.status is not RunStatus.RUNNING or take_over is True or take_over == run.owner
            if not is_free and not self._is_left(db, key):
                raise active(run_id, run.owner)
            (epoch,) = _one(db.execute(self._tables.claim, (owner, self._worker.number, *key)))
        return StoredRun(run_id, epoch, owner, run.status, run.head, run.head_mac, run.records, run.answers)

    def _is_left(self, db: Connection, key: tuple[str, str]) -> bool:
        """Return whether the worker that has a run is gone."""
        (number,) = _one(db.execute(self._tables.worker, key))
        return self._worker.is_gone(db, number)

    def _append(
        self,
        db: Connection,
        run_id: str,
        records: Sequence[Record],
        *,
        expected_head: int,
        epoch: int,
        status: RunStatus | None,
    ) -> None:
        place = (status and status.value, self._namespace, run_id, epoch, expected_head)
        if not records:
            changed = db.execute(self._tables.move, place)
        else:
            last = records[-1]
            rows = [(each.seq, each.epoch, each.kind, each.body, each.mac) for each in records]
            columns = [list(column) for column in zip(*rows, strict=True)]
            try:
                changed = db.execute(self._tables.append, (last.seq, last.mac, *place, *columns))
            except errors.UniqueViolation as error:
                raise CorruptCheckpointError(f"run {run_id!r} has records behind its head {expected_head}") from error
        if not changed.rowcount:
            raise fenced(run_id)

    def _transact(
        self, db: Connection, run_id: str, work: Callable[[Connection], Record], *, expected_head: int, epoch: int
    ) -> None:
        key = (self._namespace, run_id)
        with db.transaction():
            if db.execute(self._tables.place, key).fetchone() != (epoch, expected_head):
                raise fenced(run_id)
            record = foreign(work, db)
            self._append(db, run_id, (record,), expected_head=expected_head, epoch=epoch, status=None)

    def _load(self, db: Connection, run_id: str) -> StoredRun | None:
        with db.transaction():  # all that it reads is of one moment
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return self._read(db, run_id, self._tables.read)

    def _read(self, db: Connection, run_id: str, statement: sql.Composed) -> StoredRun | None:
        key = (self._namespace, run_id)
        row = db.execute(statement, key).fetchone()
        if row is None:
            return None
        epoch, owner, status, head, head_mac = row
        records = tuple(Record(*each) for each in db.execute(self._tables.records, key))
        answers: dict[str, bytes] = dict(db.execute(self._tables.answers, key).fetchall())
        return StoredRun(run_id, epoch, owner, status_of(run_id, status), head, head_mac, records, answers)

    def _answer(self, db: Connection, run_id: str, interrupt_id: str, value: bytes) -> None:
        key = (self._namespace, run_id)
        if db.execute(self._tables.answer, (*key, interrupt_id, value)).rowcount:
            return
        if db.execute(self._tables.worker, key).fetchone() is None:
            raise unknown(run_id)
        raise answered_before(run_id, interrupt_id)

    def _list(self, db: Connection) -> _Summaries:
        rows = db.execute(self._tables.list, (self._namespace,))
        return [RunSummary(run_id, status_of(run_id, status), *rest) for run_id, status, *rest in rows]

    def _delete(self, db: Connection, run_id: str, epoch: int | None) -> None:
        key = (self._namespace, run_id)
        if db.execute(self._tables.delete, (*key, epoch)).rowcount or epoch is None:
            return
        if db.execute(self._tables.worker, key).fetchone() is not None:
            raise fenced(run_id)


def _one(found: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    row = found.fetchone()
    if row is None:
        raise LookupError("the row is there: this transaction has locked it")
    return row
