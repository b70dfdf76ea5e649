"""One SQLite file (or a database in memory), used from worker threads, with its errors as errors of eino."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from eino._tasks.threads import in_thread
from eino.components._closing import Closing
from eino.errors import BuildError, ComponentError, ConnectionFailedError, OverloadedError

__all__ = ["MEMORY", "Database"]

T = TypeVar("T")

MEMORY: Final = ":memory:"
"""The path of a database that lives in memory and ends with its connection."""
BUSY_S: Final = 10.0
"""How long to wait for another process that writes, in seconds."""
TURN_S: Final = 0.02
"""How long to leave the file to others before the next try to switch its mode, in seconds."""


class Database(Closing):
    """A file with tables of one kind, opened when it is first used.

    Work runs in worker threads, one piece at a time, each in a transaction of its own. The file is in WAL mode: other
    processes may read and write it meanwhile. Safe to share by tasks, threads and event loops; not by forked
    processes.

    Args:
        path: The file; `":memory:"` for none. It is made if it is not there, the folder is not.
        application_id: The number that marks files of this kind.
        version: Version of the tables.
        tables: Makes the tables of an empty file.
        survives_power_cuts: Whether each commit waits until it is on the disk. Without, a power cut may lose the last
            commits, never the file; the death of a process loses nothing either way.

    Raises:
        BuildError: If the path is empty.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        application_id: int,
        version: int,
        tables: Callable[[sqlite3.Connection], None],
        survives_power_cuts: bool = False,
    ) -> None:
        if not os.fspath(path):
            raise BuildError("the path of the SQLite file is empty; name a file, or ':memory:'")
        self.path = os.fspath(path)
        self._application_id = application_id
        self._version = version
        self._tables = tables
        self._synchronous = "FULL" if survives_power_cuts else "NORMAL"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` makes of the connection; all that it reads is of one moment.

        Raises:
            ComponentError: If the file cannot be used.
        """
        return await in_thread(self._run, work, "BEGIN")

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` makes of the connection; what it writes is kept as a whole, or not at all if it raises.

        Raises:
            ComponentError: If the file cannot be used.
        """
        return await in_thread(self._run, work, "BEGIN IMMEDIATE")

    async def aclose(self) -> None:
        """Close the file; used again, it is opened again. Safe to call more than once."""
        await in_thread(self._close)

    def _run(self, work: Callable[[sqlite3.Connection], T], begin: str) -> T:
        try:
            with self._lock:
                connection = self._opened()
                connection.execute(begin)
                try:
                    result = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                return result
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        _use_wal(connection)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        try:
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                self._tables(connection)
                connection.execute(f"PRAGMA application_id = {self._application_id:d}")
                connection.execute(f"PRAGMA user_version = {self._version:d}")
            elif (application_id, version) != (self._application_id, self._version):
                raise BuildError(
                    f"the SQLite file {self.path!r} holds something else (application id {application_id:#x}, version"
                    f" {version}; expected {self._application_id:#x}, version {self._version}); name another file"
                )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _failure(self, error: sqlite3.Error) -> ComponentError:
        text = f"the SQLite file {self.path!r} cannot be used: {error}"
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code; the rest says more precisely what
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return OverloadedError(f"{text}; another process writes to it: try again")
        if code == sqlite3.SQLITE_CANTOPEN:
            folder = Path(self.path).parent
            return ConnectionFailedError(f"{text}; check that the folder {str(folder)!r} is there and may be written")
        remedies = {
            sqlite3.SQLITE_NOTADB: "it is no SQLite database: name another file",
            sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a copy, or delete it and index again",
            sqlite3.SQLITE_FULL: "the disk is full: make room and try again",
            sqlite3.SQLITE_READONLY: "it, or its folder, may not be written: check the permissions",
            sqlite3.SQLITE_IOERR: "reading or writing it failed: check the disk",
        }
        return ComponentError(f"{text}; {remedies.get(code, 'see the cause')}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode. SQLite does not wait for the lock that this needs, so those that begin at once take turns."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(TURN_S)
