"""The tables of runs in PostgreSQL, and the statements on them."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from eino.errors import CheckpointVersionError

__all__ = ["VERSION", "Tables"]

VERSION: Final = 1

_MAKERS: Final = 0x45494E52
"""Advisory lock of those who make tables."""
_SWEPT_AT_ONCE: Final = 1000
"""Rows that one sweep deletes at most, so that a claim never waits for a large one."""

# Texts compare as bytes, so that lists have the same order everywhere. Epochs come from a sequence, which never goes
# back: not when a run is deleted, nor when a transaction is undone.
_MAKE: Final = """
CREATE TABLE {0}.versions (version integer PRIMARY KEY);
CREATE SEQUENCE {0}.epochs;
CREATE TABLE {0}.runs (
    namespace text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    worker bigint NOT NULL,
    status text NOT NULL,
    head bigint NOT NULL,
    head_mac bytea NOT NULL,
    changed timestamptz NOT NULL,
    PRIMARY KEY (namespace, run_id)
);
CREATE INDEX runs_by_change ON {0}.runs (namespace, changed);
CREATE TABLE {0}.records (
    namespace text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    kind text NOT NULL,
    body bytea NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (namespace, run_id, seq),
    FOREIGN KEY (namespace, run_id) REFERENCES {0}.runs ON DELETE CASCADE
);
CREATE TABLE {0}.answers (
    namespace text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    interrupt_id text NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (namespace, run_id, interrupt_id),
    FOREIGN KEY (namespace, run_id) REFERENCES {0}.runs ON DELETE CASCADE
);
"""


class Tables:
    """The tables of one schema.

    Args:
        schema: Its name.
    """

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._are_there = False
        self.begin = self._said(
            "INSERT INTO {0}.runs VALUES (%s, %s, 0, '', 0, 'new', 0, '', clock_timestamp()) ON CONFLICT DO NOTHING"
        )
        self.read = self._said(
            "SELECT epoch, owner, status, head, head_mac FROM {0}.runs WHERE (namespace, run_id) = (%s, %s)"
        )
        self.lock = self._said(
            "SELECT epoch, owner, status, head, head_mac FROM {0}.runs WHERE (namespace, run_id) = (%s, %s) FOR UPDATE"
        )
        self.place = self._said("SELECT epoch, head FROM {0}.runs WHERE (namespace, run_id) = (%s, %s) FOR UPDATE")
        self.worker = self._said("SELECT worker FROM {0}.runs WHERE (namespace, run_id) = (%s, %s)")
        self.claim = self._said(
            "UPDATE {0}.runs SET epoch = nextval({1}), owner = %s, worker = %s, status = 'running',"
            " changed = clock_timestamp() WHERE (namespace, run_id) = (%s, %s) RETURNING epoch"
        )
        self.move = self._said(
            "UPDATE {0}.runs SET status = coalesce(%s, status), changed = clock_timestamp()"
            " WHERE (namespace, run_id, epoch, head) = (%s, %s, %s, %s)"
        )
        self.append = self._said(
            "WITH moved AS (UPDATE {0}.runs SET head = %s, head_mac = %s, status = coalesce(%s, status),"
            " changed = clock_timestamp() WHERE (namespace, run_id, epoch, head) = (%s, %s, %s, %s)"
            " RETURNING namespace, run_id)"
            " INSERT INTO {0}.records SELECT moved.*, added.* FROM moved, unnest"
            "(%s::bigint[], %s::bigint[], %s::text[], %s::bytea[], %s::bytea[]) AS added"
        )
        self.records = self._said(
            "SELECT seq, epoch, kind, body, mac FROM {0}.records WHERE (namespace, run_id) = (%s, %s) ORDER BY seq"
        )
        self.answers = self._said(
            "SELECT interrupt_id, value FROM {0}.answers WHERE (namespace, run_id) = (%s, %s) ORDER BY interrupt_id"
        )
        self.answer = self._said(
            "WITH run AS (UPDATE {0}.runs SET changed = clock_timestamp() WHERE (namespace, run_id) = (%s, %s)"
            " RETURNING namespace, run_id)"
            " INSERT INTO {0}.answers SELECT run.*, %s, %s FROM run ON CONFLICT DO NOTHING"
        )
        self.list = self._said(
            "SELECT run_id, status, owner, head, epoch,"
            " extract(epoch FROM clock_timestamp() - changed)::double precision"
            " FROM {0}.runs WHERE namespace = %s ORDER BY run_id"
        )
        self.delete = self._said(
            "DELETE FROM {0}.runs WHERE (namespace, run_id) = (%s, %s) AND epoch = coalesce(%s, epoch)"
        )
        self.sweep = self._said(
            "DELETE FROM {0}.runs WHERE (namespace, run_id) IN (SELECT namespace, run_id FROM {0}.runs"
            " WHERE namespace = %s AND status <> 'running' AND changed < clock_timestamp() - make_interval(secs => %s)"
            " ORDER BY changed LIMIT {2} FOR UPDATE SKIP LOCKED)"
        )

    def make(self, db: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Make the tables if they are not there.

        Raises:
            CheckpointVersionError: If they are of another version.
        """
        if self._are_there:
            return
        if not self._is_made(db):
            with db.transaction():
                db.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKERS,))
                if not self._is_made(db):
                    self._make(db)
        self._are_there = True

    def _is_made(self, db: psycopg.Connection[tuple[Any, ...]]) -> bool:
        # Not by to_regclass: in a transaction it may answer from a cache that does not know what others made since.
        found = db.execute(
            "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'versions'", (self._schema,)
        ).fetchone()
        if found is None:
            return False
        rows = db.execute(self._said("SELECT version FROM {0}.versions")).fetchall()
        if rows != [(VERSION,)]:
            raise CheckpointVersionError(
                f"the schema {self._schema!r} holds tables of the version {', '.join(str(row[0]) for row in rows)}, not"
                f" {VERSION}: name another one with schema=, or use the eino that made it"
            )
        return True

    def _make(self, db: psycopg.Connection[tuple[Any, ...]]) -> None:
        if db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self._schema,)).fetchone() is None:
            db.execute(self._said("CREATE SCHEMA {0}"))
        db.execute(self._said(_MAKE))
        db.execute(self._said("INSERT INTO {0}.versions VALUES (%s)"), (VERSION,))

    def _said(self, statement: str) -> sql.Composed:
        epochs = sql.Literal(sql.Identifier(self._schema, "epochs").as_string())
        return sql.SQL(statement).format(sql.Identifier(self._schema), epochs, sql.Literal(_SWEPT_AT_ONCE))
