"""The stores that are put to the test: how to open one, where it lives, and how to reach its rows behind its back."""

from __future__ import annotations

import hashlib
import importlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from eino.compose.store import CheckpointStore
from eino.errors import MissingExtraError

__all__ = [
    "KITS",
    "POSTGRES_VARIABLE",
    "TABLES",
    "PostgresKit",
    "RowAccess",
    "Rows",
    "SQLiteKit",
    "StoreKit",
    "Transactions",
    "kit_of",
    "names_of",
]

TABLES: Final = ("runs", "records", "answers")
"""The tables of a store in a database; each has a column `run_id`."""

Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""All that is stored of one run, by table."""


class StoreKit(Protocol):
    """One kind of store, at one place. Made anew in each process, so it holds no connection.

    Args:
        place: A folder of its own for what is stored.
    """

    title: str
    """What reports call the store."""

    def __init__(self, place: Path) -> None: ...

    def open(self, watch: Callable[[str], None] | None = None) -> AbstractAsyncContextManager[CheckpointStore]:
        """Return the store; `watch` is called with `commit.before` and `commit.after` if the kit can see commits."""
        ...

    def destroy(self) -> None:
        """Remove all that is stored."""
        ...

    @staticmethod
    def warm() -> None:
        """Import what the store needs."""
        ...


@runtime_checkable
class RowAccess(Protocol):
    """Kits whose rows can be read and written behind the back of the store."""

    def rows(self, run_id: str) -> Rows:
        """Return all that is stored of a run."""
        ...

    def replace(self, run_id: str, rows: Rows) -> None:
        """Put other rows in their place, whatever these say."""
        ...

    def problems(self) -> list[str]:
        """Return what the database itself says is wrong with it."""
        ...


@runtime_checkable
class Transactions(Protocol):
    """Kits whose stores run effects inside their transactions."""

    def book(self, db: Any, key: str) -> None:
        """Write a row, on the connection of the store."""
        ...

    def booked(self, run_id: str) -> int:
        """Return how many rows the run has written."""
        ...


class SQLiteKit:
    """`SQLiteStore` in a file of the folder."""

    title = "SQLite"

    def __init__(self, place: Path) -> None:
        self.place = place
        self.path = place / "runs.db"

    @asynccontextmanager
    async def open(self, watch: Callable[[str], None] | None = None) -> AsyncIterator[CheckpointStore]:
        """Return the store; commits are seen by a connection class that tells of them."""
        async with self.store() as store:
            if watch is None:
                yield store
                return
            with _told_commits(watch):
                yield store

    def store(self) -> Any:
        """Return a store that is not open yet."""
        from eino.ext.stores.sqlite import SQLiteStore

        return SQLiteStore(self.path)

    def destroy(self) -> None:
        """Remove the file."""
        for path in self.place.glob("runs.db*"):
            path.unlink()

    @staticmethod
    def warm() -> None:
        """Import what the store needs."""
        importlib.import_module("eino.ext.stores.sqlite")

    def rows(self, run_id: str) -> Rows:
        """See `RowAccess`."""
        with closing(self._connected()) as db:
            return {table: _selected(db, table, run_id) for table in TABLES}

    def replace(self, run_id: str, rows: Rows) -> None:
        """See `RowAccess`."""
        with closing(self._connected()) as db, db:
            for table in reversed(TABLES):
                db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608 - a fixed name
            for table in TABLES:
                for row in rows[table]:
                    marks = ", ".join("?" * len(row))
                    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - own columns
                    db.execute(statement, tuple(row.values()))

    def book(self, db: sqlite3.Connection, key: str) -> None:
        """See `Transactions`."""
        db.execute("CREATE TABLE IF NOT EXISTS booked (key TEXT NOT NULL)")
        db.execute("INSERT INTO booked VALUES (?)", (key,))

    def booked(self, run_id: str) -> int:
        """See `Transactions`."""
        with closing(self._connected()) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'booked'").fetchone():
                return 0
            (count,) = db.execute("SELECT count(*) FROM booked WHERE key LIKE ? || '/%'", (run_id,)).fetchone()
        return int(count)

    def problems(self) -> list[str]:
        """See `RowAccess`: SQLite's own check of the file."""
        with closing(self._connected()) as db:
            found = [str(row[0]) for row in db.execute("PRAGMA integrity_check")]
            found += [f"row without its run: {tuple(row)}" for row in db.execute("PRAGMA foreign_key_check")]
        return [text for text in found if text != "ok"]

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30)
        db.row_factory = sqlite3.Row
        return db


def _selected(db: sqlite3.Connection, table: str, run_id: str) -> list[Row]:
    rows = db.execute(f"SELECT * FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608 - a fixed name
    return [dict(row) for row in rows]


class _told_commits:  # noqa: N801 - used as a function
    """Let connections that are opened inside the block tell of their commits. For worker processes only."""

    def __init__(self, watch: Callable[[str], None]) -> None:
        self._watch = watch
        self._connect = sqlite3.connect

    def __enter__(self) -> None:
        watch = self._watch

        class Told(sqlite3.Connection):
            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                if sql != "COMMIT":
                    return super().execute(sql, parameters)
                watch("commit.before")
                cursor = super().execute(sql, parameters)
                watch("commit.after")
                return cursor

        def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            return self._connect(*args, factory=Told, **kwargs)

        sqlite3.connect = connect  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        sqlite3.connect = self._connect


POSTGRES_VARIABLE: Final = "EINO_POSTGRES_URL"
"""Environment variable that says which PostgreSQL database to use; it must be one where schemas may be made."""
POSTGRES_URL: Final = "postgresql://postgres@127.0.0.1:5432/test"


class PostgresKit:
    """`PostgresStore` in a schema of its own, of the database that `EINO_POSTGRES_URL` names."""

    title = "PostgreSQL"
    timeout_s = 10.0
    """How long the store waits for the server, in seconds."""

    def __init__(self, place: Path) -> None:
        self.schema = f"eino_faults_{hashlib.sha256(os.fsencode(place.absolute())).hexdigest()[:16]}"
        self.url = os.environ.get(POSTGRES_VARIABLE, POSTGRES_URL)

    @asynccontextmanager
    async def open(self, watch: Callable[[str], None] | None = None) -> AsyncIterator[CheckpointStore]:
        """Return the store; commits are made by the server, and not seen."""
        from eino.ext.stores.postgres import PostgresStore

        async with PostgresStore(self.url, schema=self.schema, max_connections=2, timeout_s=self.timeout_s) as store:
            yield store

    def destroy(self) -> None:
        """Remove the schema."""
        with self._connected() as db:
            db.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")

    @staticmethod
    def warm() -> None:
        """Import what the store needs, if it is installed."""
        with suppress(MissingExtraError):
            importlib.import_module("eino.ext.stores.postgres")

    def rows(self, run_id: str) -> Rows:
        """See `RowAccess`."""
        from psycopg.rows import dict_row

        with self._connected() as db, db.cursor(row_factory=dict_row) as cursor:
            return {
                table: cursor.execute(
                    f"SELECT * FROM {self.schema}.{table} WHERE run_id = %s",  # noqa: S608 - fixed names
                    (run_id,),
                ).fetchall()
                for table in TABLES
            }

    def replace(self, run_id: str, rows: Rows) -> None:
        """See `RowAccess`."""
        with self._connected() as db, db.transaction():
            for table in reversed(TABLES):
                db.execute(f"DELETE FROM {self.schema}.{table} WHERE run_id = %s", (run_id,))  # noqa: S608 - fixed names
            for table in TABLES:
                for row in rows[table]:
                    marks = ", ".join(["%s"] * len(row))
                    db.execute(
                        f"INSERT INTO {self.schema}.{table} ({', '.join(row)}) VALUES ({marks})",  # noqa: S608 - own columns
                        tuple(row.values()),
                    )

    def book(self, db: Any, key: str) -> None:
        """See `Transactions`. The lock is for those who make the table at once, which PostgreSQL refuses."""
        db.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (self.schema,))
        db.execute(f"CREATE TABLE IF NOT EXISTS {self.schema}.booked (key text NOT NULL)")
        db.execute(f"INSERT INTO {self.schema}.booked VALUES (%s)", (key,))  # noqa: S608 - fixed names

    def booked(self, run_id: str) -> int:
        """See `Transactions`."""
        with self._connected() as db:
            if db.execute("SELECT to_regclass(%s)", (f"{self.schema}.booked",)).fetchone() == (None,):
                return 0
            (count,) = db.execute(
                f"SELECT count(*) FROM {self.schema}.booked WHERE key LIKE %s || '/%%'",  # noqa: S608 - fixed names
                (run_id,),
            ).fetchone()
        return int(count)

    def problems(self) -> list[str]:
        """See `RowAccess`: the server checks its foreign keys by itself; heads must fit their records."""
        with self._connected() as db:
            found = db.execute(
                f"SELECT run_id, head FROM {self.schema}.runs AS run WHERE head <>"  # noqa: S608 - fixed names
                f" (SELECT count(*) FROM {self.schema}.records WHERE run_id = run.run_id)"
            ).fetchall()
        return [f"run {run_id!r} has the head {head}, but another number of records" for run_id, head in found]

    def _connected(self) -> Any:
        import psycopg

        return psycopg.connect(self.url, autocommit=True)


KITS: Final[Mapping[str, type[StoreKit]]] = {"sqlite": SQLiteKit, "postgres": PostgresKit}
"""The stores of eino, by the name that the command line gives them."""


def kit_of(name: str, place: Path) -> StoreKit:
    """Return a kit by its name, or by `MODULE:CLASS`.

    Raises:
        ValueError: If there is none.
    """
    if name in KITS:
        return KITS[name](place)
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"there is no store {name!r}: choose one of {', '.join(KITS)}, or give MODULE:CLASS of a kit")
    try:
        found: type[StoreKit] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the kit {name!r} cannot be imported: {error}") from error
    return found(place)


def names_of(given: str) -> Sequence[str]:
    """Return the kits that `--store` asks for."""
    return tuple(KITS) if given == "all" else tuple(given.split(","))
