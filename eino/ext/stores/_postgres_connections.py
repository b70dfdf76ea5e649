"""Connections to one PostgreSQL database, used from worker threads, with its errors as errors of eino."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from eino._tasks.threads import in_thread
from eino.errors import (
    BuildError,
    ComponentError,
    PermissionDeniedError,
    StoreUnavailableError,
)

__all__ = ["Connection", "Connections"]

T = TypeVar("T")

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_MIN_CONNECT_S: Final = 2
"""libpq takes whole seconds, and at least two."""
_KEEPALIVE: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""How soon a server that vanished without a word is noticed, in seconds; as libpq names them."""


class Connections:
    """A pool of connections, opened when it is first used.

    Work runs in worker threads, so that it is the same on every event loop, and a pool may serve several at once. Each
    connection commits each statement unless the work opens a transaction. Not for forked processes.

    Args:
        url: Where the database is: a URL, or `key=value` pairs, as libpq takes them.
        max_connections: How many to open at most.
        timeout_s: How long to wait for a connection, and for the answer to each statement, in seconds.

    Raises:
        BuildError: If one of these cannot be.
    """

    def __init__(self, url: str, *, max_connections: int, timeout_s: float) -> None:
        if max_connections < 1:
            raise BuildError(f"max_connections={max_connections!r}: at least 1 connection is needed")
        if not timeout_s > 0:
            raise BuildError(f"timeout_s={timeout_s!r} must be above 0 seconds")
        self._conninfo, self.place = _checked(url, timeout_s)
        self._max_connections = max_connections
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._pool: ConnectionPool[Connection] | None = None
        self._failure = ""  # why the last connection could not be made
        self._class = _connection_class(timeout_s, self._note)

    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` makes of a connection. For worker threads.

        Raises:
            StoreUnavailableError: If the server cannot be reached, or does not answer in time.
            ComponentError: If it refuses.
        """
        try:
            pool = self._opened()
            connection = pool.getconn()
            try:
                return work(connection)
            except psycopg.OperationalError:
                connection.close()  # its state is not known; those beside it may be gone as well
                pool.check()
                raise
            finally:
                pool.putconn(connection)
        except psycopg.Error as error:
            raise self._told(error) from error

    async def run_in_thread(self, work: Callable[[Connection], T]) -> T:
        """Do the same in a worker thread."""
        return await in_thread(self.run, work)

    def connect(self) -> Connection:
        """Return a connection of its own. For worker threads.

        Raises:
            StoreUnavailableError: If the server cannot be reached.
        """
        try:
            connection = self._class.connect(self._conninfo, autocommit=True)
            self._prepare(connection)
            return connection
        except psycopg.Error as error:
            raise self._told(error) from error

    def close(self) -> None:
        """Close all connections; used again, new ones are opened. For worker threads."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _opened(self) -> ConnectionPool[Connection]:
        with self._lock:
            if self._pool is None:
                pool = ConnectionPool(
                    self._conninfo,
                    connection_class=self._class,
                    kwargs={"autocommit": True},
                    min_size=0,
                    max_size=self._max_connections,
                    open=False,
                    configure=self._prepare,
                    name="eino-postgres",
                    timeout=self._timeout_s,
                    reconnect_timeout=self._timeout_s,
                )
                pool.open()
                self._pool = pool
            return self._pool

    def _prepare(self, connection: Connection) -> None:
        """Set what each session needs. The deadlines of the server end what the caller has given up."""
        limit = sql.Literal(f"{max(1, round(self._timeout_s * 1000))}ms")
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), limit))
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )

    def _note(self, failure: str) -> None:
        self._failure = failure

    def _told(self, error: psycopg.Error) -> ComponentError:
        said = str(error).strip().replace("\n", " ")
        text = f"the PostgreSQL database {self.place} cannot be used: {said}"
        match error:
            case PoolTimeout():
                why = self._failure or f"all {self._max_connections} connections are in use: give max_connections="
                return StoreUnavailableError(f"{text}; {why}")
            case errors.InsufficientPrivilege():
                return PermissionDeniedError(f"{text}; grant the user what it needs")
            case errors.DiskFull():
                return ComponentError(f"{text}; the disk of the server is full: make room and try again")
            case errors.ReadOnlySqlTransaction():
                return StoreUnavailableError(f"{text}; this server takes no writes: connect to the primary one")
            case psycopg.OperationalError() | psycopg.InterfaceError():
                return StoreUnavailableError(f"{text}; check that the server runs and can be reached")
        return ComponentError(f"{text}; see the cause")


def _checked(url: str, timeout_s: float) -> tuple[str, str]:
    """Return what to give to libpq, and what to call the database in errors: without the password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Without the cause: its text may hold the URL, and so the password.
        raise BuildError(
            "the URL of the PostgreSQL database cannot be read: write postgresql://user:password@host:5432/database"
        ) from None
    place = " ".join(f"{name}={given[name]}" for name in ("host", "port", "dbname", "user") if given.get(name))
    defaults: dict[str, Any] = {
        "connect_timeout": max(_MIN_CONNECT_S, round(timeout_s)),
        "application_name": "eino",
        **_KEEPALIVE,
    }
    return make_conninfo("", **{**defaults, **given}), f"({place})" if place else "(of the environment)"


def _connection_class(timeout_s: float, note: Callable[[str], None]) -> type[Connection]:
    """Return a class of connections that give up a server that does not answer, and tell why they were not made."""

    class Watched(psycopg.Connection[tuple[Any, ...]]):
        @classmethod
        def connect(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                connection = super().connect(*args, **kwargs)
            except psycopg.Error as error:
                note(str(error).strip().replace("\n", " "))
                raise
            note("")
            return connection

        def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
            try:
                return super().wait(_until(gen, time.monotonic() + 2 * timeout_s), *args, **kwargs)
            except _NoAnswer:
                self.pgconn.finish()
                raise

    return Watched


class _NoAnswer(psycopg.OperationalError):
    """The server did not answer in time."""


def _until(work: Generator[Any, Any, T], give_up_at: float) -> Generator[Any, Any, T]:
    """Do the same work until it is done or the time is over. The server's own deadline is half of it."""
    try:
        wanted = next(work)
        while True:
            ready = yield wanted
            if time.monotonic() > give_up_at:
                raise _NoAnswer("the server does not answer")
            wanted = work.send(ready)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic
