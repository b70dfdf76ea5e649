"""The stores of runs pass the suite that we give to others."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from eino import MemoryStore
from eino.ext.stores.postgres import PostgresStore
from eino.ext.stores.sqlite import SQLiteStore
from eino_harness.conformance import CheckpointStoreConformance, check_conformance


class TestMemoryStore(CheckpointStoreConformance):
    without = {  # noqa: RUF012
        "shared": "it is one object of one process",
        "namespaces": "each store has its own runs",
        "liveness": "it ends with its worker",
        "errors": "it is always there",
    }

    def make(self) -> Any:
        return MemoryStore()


class TestSQLiteStore(CheckpointStoreConformance):
    @asynccontextmanager
    async def make(self) -> AsyncIterator[Any]:
        with tempfile.TemporaryDirectory() as folder:
            async with SQLiteStore(Path(folder) / "runs.db") as store:
                yield store

    def make_failing(self) -> Any:
        return SQLiteStore("/there/is/no/such/folder/runs.db")

    def beside(self, store: Any, namespace: str | None = None) -> Any:
        return SQLiteStore(store.path, namespace=namespace or "")

    async def leave(self, store: Any) -> None:
        await store.aclose()


class TestPostgresStore(CheckpointStoreConformance):
    @pytest.fixture(autouse=True)
    def _url(self, postgres_url: str) -> None:
        type(self).url = postgres_url

    url = os.environ.get("EINO_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")

    @asynccontextmanager
    async def make(self) -> AsyncIterator[Any]:
        schema = f"eino_test_{secrets.token_hex(6)}"
        try:
            async with PostgresStore(self.url, schema=schema) as store:
                yield store
        finally:
            with psycopg.connect(self.url, autocommit=True) as db:
                db.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())

    def make_failing(self) -> Any:
        return PostgresStore("postgresql://127.0.0.1:1/none", timeout_s=0.05)

    def beside(self, store: Any, namespace: str | None = None) -> Any:
        return PostgresStore(self.url, schema=store.schema, namespace=namespace or "")

    async def leave(self, store: Any) -> None:
        await store.aclose()


async def test_the_suite_tells_what_it_left_out() -> None:
    report = await check_conformance(TestMemoryStore)
    assert report.ok, report.markdown()
    assert "`liveness` | left out: it ends with its worker" in report.markdown()
