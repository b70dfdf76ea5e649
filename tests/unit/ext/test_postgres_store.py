"""PostgresStore when the server is down, slow, restarted, read-only or full, and when it is told something wrong."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import psycopg
import pytest

from eino.compose.store import Record, RunStatus
from eino.errors import (
    BuildError,
    CheckpointError,
    CheckpointVersionError,
    ComponentError,
    CorruptCheckpointError,
    MissingExtraError,
    PermissionDeniedError,
    RunActiveError,
    StoreUnavailableError,
)
from eino.ext.stores._postgres_connections import Connections
from eino.ext.stores.postgres import PostgresStore

SECRET = "hunter2"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


class Relay:
    """Passes bytes between clients and the server, and holds them back when told so."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)
        self.port = int(self._listener.getsockname()[1])

    def hold(self) -> None:
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    def close(self) -> None:
        self.let_go()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._to)
            self._sockets += [client, server]
            self._start(self._pass, client, server)
            self._start(self._pass, server, client)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def relay(postgres_url: str) -> Iterator[Relay]:
    given = psycopg.conninfo.conninfo_to_dict(postgres_url)
    relay = Relay(str(given.get("host", "127.0.0.1")), int(given.get("port") or 5432))
    yield relay
    relay.close()


async def claim(store: Any, run_id: str = "r", owner: str = "me", **options: bool) -> Any:
    return await store.claim(run_id, owner, **{"take_over": False, "create": True, **options})


def through(url: str, **options: Any) -> str:
    return psycopg.conninfo.make_conninfo(url, **options)


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        (f"postgresql://me:{SECRET}@[::1", {}, "cannot be read"),
        ("host=a nonsense=b", {}, "cannot be read"),
        ("", {"max_connections": 0}, "max_connections=0"),
        ("", {"timeout_s": 0}, "timeout_s=0"),
        ("", {"timeout_s": float("nan")}, "timeout_s=nan"),
        ("", {"schema": ""}, "schema=''"),
        ("", {"schema": "a\0"}, "schema='a"),
        ("", {"namespace": "a\0"}, "namespace='a"),
    ],
)
def test_arguments_that_cannot_be_are_refused(url: str, options: Any, said: str) -> None:
    with pytest.raises(BuildError) as refused:
        PostgresStore(url, **options)
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("missing", ["psycopg", "psycopg_pool"])
def test_a_missing_library_names_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    monkeypatch.delitem(sys.modules, "eino.ext.stores.postgres")
    with pytest.raises(MissingExtraError, match=r'pip install "eino\[postgres\]"'):
        importlib.import_module("eino.ext.stores.postgres")


async def test_a_server_that_is_down_is_told_without_the_password(free_port: int) -> None:
    url = f"postgresql://me:{SECRET}@127.0.0.1:{free_port}/db"
    async with PostgresStore(url, timeout_s=0.2) as store:
        with pytest.raises(StoreUnavailableError) as told:
            await store.load("r")
        assert told.value.retryable
        for text in (str(told.value), repr(store)):
            assert f"port={free_port}" in text
            assert SECRET not in text
        assert "refused" in str(told.value)
        with pytest.raises(StoreUnavailableError):
            await claim(store)


async def test_a_claim_without_a_free_connection_for_the_worker_is_told(
    postgres_url: str, postgres_schema: str
) -> None:
    async with PostgresStore(postgres_url, schema=postgres_schema, timeout_s=0.5) as store:
        await store.list()
        store._worker._connections = Connections(  # what the server would do when it takes no more connections
            through(postgres_url, dbname="there_is_none"), max_connections=1, timeout_s=0.5
        )
        with pytest.raises(StoreUnavailableError, match="there_is_none"):
            await claim(store)


async def test_a_server_that_does_not_answer_is_given_up(relay: Relay, postgres_url: str, postgres_schema: str) -> None:
    url = through(postgres_url, host="127.0.0.1", port=relay.port)
    async with PostgresStore(url, schema=postgres_schema, timeout_s=0.3) as store:
        run = await claim(store)
        relay.hold()
        try:
            with pytest.raises(StoreUnavailableError, match="does not answer"):
                await store.list()
        finally:
            relay.let_go()
        assert (await store.load("r")) is not None
        await store.append("r", [], expected_head=0, epoch=run.epoch, status=RunStatus.DONE)


async def test_sessions_that_the_server_ended_are_replaced(postgres_url: str, postgres_schema: str) -> None:
    name = f"application_name={postgres_schema}"
    url = through(postgres_url, application_name=postgres_schema)
    async with (
        PostgresStore(url, schema=postgres_schema) as store,
        PostgresStore(postgres_url, schema=postgres_schema) as other,
    ):
        await claim(store)
        assert name in store._connections._conninfo
        with psycopg.connect(postgres_url, autocommit=True) as db:
            ended = db.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
                (postgres_schema,),
            ).fetchall()
        assert ended == [(True,), (True,)]  # the pool's, and the one that holds the lock of the worker
        with pytest.raises(StoreUnavailableError):
            await store.list()
        assert [each.run_id for each in await store.list()] == ["r"]
        await claim(store, "next")  # it holds its lock again, for its older runs as well
        with pytest.raises(RunActiveError):
            await claim(other)
        with pytest.raises(RunActiveError):
            await claim(other, "next")


async def test_a_lock_that_is_held_too_long_is_told_and_nothing_is_changed(
    postgres_url: str, postgres_schema: str
) -> None:
    async with PostgresStore(postgres_url, schema=postgres_schema, timeout_s=0.2) as store:
        run = await claim(store)
        with psycopg.connect(postgres_url) as db:
            db.execute(f"SELECT * FROM {postgres_schema}.runs FOR UPDATE".encode())
            with pytest.raises(StoreUnavailableError, match="timeout"):
                await store.append(
                    "r", [Record(1, 1, "k", b"", b"")], expected_head=0, epoch=run.epoch, status=RunStatus.DONE
                )
        stored = await store.load("r")
        assert stored is not None
        assert (stored.head, stored.status) == (0, RunStatus.RUNNING)


async def test_calls_wait_for_a_free_connection(postgres_url: str, postgres_schema: str) -> None:
    async with PostgresStore(postgres_url, schema=postgres_schema, max_connections=1) as store:
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(claim, store, str(number))
        assert len(await store.list()) == 8
    async with PostgresStore(postgres_url, schema=postgres_schema, max_connections=1, timeout_s=0.2) as store:
        await store.list()
        with psycopg.connect(postgres_url) as db:
            db.execute(f"LOCK TABLE {postgres_schema}.runs".encode())
            told: list[str] = []

            async def refused() -> None:
                with pytest.raises(StoreUnavailableError) as error:
                    await store.list()
                told.append(str(error.value))

            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(refused)
        assert any("max_connections=" in text for text in told), told


async def test_users_without_rights_and_servers_without_writes_are_told(
    postgres_url: str, postgres_schema: str
) -> None:
    async with PostgresStore(through(postgres_url, options="-crole=pg_monitor"), schema=postgres_schema) as store:
        with pytest.raises(PermissionDeniedError, match="permission denied"):
            await store.list()
    read_only = through(postgres_url, options="-cdefault_transaction_read_only=on")
    async with PostgresStore(read_only, schema=postgres_schema) as store:
        with pytest.raises(StoreUnavailableError, match="primary"):
            await claim(store)


def test_a_full_disk_is_told(postgres_url: str) -> None:
    connections = Connections(postgres_url, max_connections=1, timeout_s=5)
    try:
        with pytest.raises(ComponentError, match="disk of the server is full") as told:
            connections.run(
                lambda db: db.execute("DO $$BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END$$")
            )
        assert not told.value.retryable
        with pytest.raises(ComponentError, match="see the cause"):
            connections.run(lambda db: db.execute("SELEKT"))
    finally:
        connections.close()


async def test_tables_of_another_version_are_left_alone(postgres_url: str, postgres_schema: str) -> None:
    async with PostgresStore(postgres_url, schema=postgres_schema) as store:
        await store.list()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(f"UPDATE {postgres_schema}.versions SET version = 9".encode())
    async with PostgresStore(postgres_url, schema=postgres_schema) as store:
        with pytest.raises(CheckpointVersionError, match="version 9, not 1"):
            await claim(store)


def test_tables_are_made_once_by_many_at_a_time(postgres_url: str, postgres_schema: str) -> None:
    async def use(_: int) -> int:
        async with PostgresStore(postgres_url, schema=postgres_schema) as store:
            return len(await store.list())

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda number: anyio.run(use, number), range(6))) == [0] * 6


async def test_a_schema_that_is_there_is_used(postgres_url: str, postgres_schema: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {postgres_schema}".encode())
    async with PostgresStore(postgres_url, schema=postgres_schema) as store:
        await claim(store)
        await store.aclose()
        assert [each.run_id for each in await store.list()] == ["r"]


async def test_what_the_tables_cannot_hold_is_told(postgres_url: str, postgres_schema: str) -> None:
    async with PostgresStore(postgres_url, schema=postgres_schema) as store:
        with pytest.raises(CheckpointError, match="NUL"):
            await claim(store, "a\0b")
        await claim(store)
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute(f"UPDATE {postgres_schema}.runs SET status = 'asleep'".encode())
        with pytest.raises(CorruptCheckpointError, match="'asleep'"):
            await store.load("r")


async def test_records_behind_the_head_are_told_by_postgres(postgres_url: str, postgres_schema: str) -> None:
    async with PostgresStore(postgres_url, schema=postgres_schema) as store:
        run = await claim(store)
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute(f"INSERT INTO {postgres_schema}.records VALUES ('', 'r', 1, 1, 'x', '', '')".encode())
        with pytest.raises(CorruptCheckpointError, match="behind its head 0"):
            await store.append(
                "r", [Record(1, 1, "k", b"", b"")], expected_head=0, epoch=run.epoch, status=RunStatus.DONE
            )
        stored = await store.load("r")
        assert stored is not None
        assert stored.status is RunStatus.RUNNING
