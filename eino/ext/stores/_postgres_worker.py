"""Tells which workers live: each holds a lock of the server for as long as its connection stands. No clock is asked."""

from __future__ import annotations

import contextlib
import secrets
import threading

import psycopg

from eino.ext.stores._postgres_connections import Connection, Connections

__all__ = ["Worker"]


class Worker:
    """This worker, as the others see it.

    The server frees the lock when the connection ends, so the locks of dead processes can be taken.

    Args:
        connections: Where to get the connection that holds the lock.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self.number = 0
        """Which lock it holds; 0 for none."""

    def hold(self) -> None:
        """Hold the lock, if it is not held: the same one as long as the store is open. For worker threads.

        Raises:
            StoreUnavailableError: If the server cannot be reached.
        """
        with self._lock:
            if self._connection is not None and self._stands(self._connection):
                return
            self._drop()
            connection = self._connections.connect()
            number = self.number or secrets.randbits(62) + 1
            # A server that ends idle sessions would end this one, which is idle by design; and it is to notice soon
            # when this machine has vanished.
            connection.execute(
                "SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES ('idle_session_timeout', '0'),"
                " ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'))"
                " AS wanted (setting_name, value) ON name = setting_name"
            )
            connection.execute("SELECT pg_advisory_lock(%s)", (number,))
            self._connection, self.number = connection, number

    def is_gone(self, db: Connection, number: int) -> bool:
        """Return whether the worker with this lock has died. `db` is in a transaction; the lock is freed at its end."""
        if number == self.number:
            return False
        found = db.execute("SELECT pg_try_advisory_xact_lock_shared(%s)", (number,)).fetchone()
        return found is not None and bool(found[0])

    def close(self) -> None:
        """Free the lock. For worker threads."""
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(psycopg.Error):  # the server would notice the end of the connection later
                    self._connection.execute("SELECT pg_advisory_unlock(%s)", (self.number,))
            self._drop()
            self.number = 0

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @staticmethod
    def _stands(connection: Connection) -> bool:
        with contextlib.suppress(psycopg.Error):
            connection.execute("SELECT 1")
            return True
        return False
