"""A process that runs a graph is killed with SIGKILL in each step: the run ends as if nothing had been.

Nobody says that the process is gone: the next one finds out, on SQLite by a lock of the kernel, on PostgreSQL by a lock
of the server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

WORKER = """
import os, signal, sys
import anyio
from eino import END, START, Graph
from eino.errors import UnknownRunError
from eino.ext.stores.postgres import PostgresStore
from eino.ext.stores.sqlite import SQLiteStore

place, schema = sys.argv[3], sys.argv[4]
folder, die_at, steps = sys.argv[1], sys.argv[2], 6

def node(number):
    async def step(text: str) -> str:
        if die_at == f"before {number}":
            os.kill(os.getpid(), signal.SIGKILL)
        with open(f"{folder}/effects", "a") as file:
            file.write(f"{number}\\n")
        if die_at == f"after {number}":
            os.kill(os.getpid(), signal.SIGKILL)
        return text + str(number)
    return step

async def main():
    graph = Graph[str, str]()
    before = START
    for number in range(steps):
        graph.add_node(f"n{number}", node(number))
        graph.add_edge(before, f"n{number}")
        before = f"n{number}"
    graph.add_edge(before, END)
    async with PostgresStore(place, schema=schema) if schema else SQLiteStore(place) as store:
        runnable = graph.compile(checkpoint_store=store, durability="step", keep=True)
        known = await store.load("r")
        given = () if known is not None and known.head else ("",)
        print(await runnable.invoke(*given, checkpoint_id="r"), flush=True)

anyio.run(main)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_is_killed_in_each_step_repeats_that_step_only(tmp_path: Path) -> None:
    place = (os.fspath(tmp_path / "runs.db"), "")
    for number in range(6):
        assert _work(tmp_path, f"before {number}", place) == (-signal.SIGKILL, "")
        assert _work(tmp_path, f"after {number}", place) == (-signal.SIGKILL, "")
    assert _work(tmp_path, "never", place) == (0, "012345\n")
    assert (tmp_path / "effects").read_text().split() == list("001122334455")
    assert list(tmp_path.glob("runs.db-worker-*")) == [], "files of workers that died are removed"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_the_same_on_postgres(tmp_path: Path, postgres_url: str, postgres_schema: str) -> None:
    place = (postgres_url, postgres_schema)
    for die_at in ("before 2", "after 2", "after 4"):
        assert _work(tmp_path, die_at, place) == (-signal.SIGKILL, "")
        _until_the_server_knows(postgres_url, postgres_schema)
    assert _work(tmp_path, "never", place) == (0, "012345\n")
    assert (tmp_path / "effects").read_text().split() == list("01223445")


def _until_the_server_knows(url: str, schema: str) -> None:
    """Wait until the server has ended the sessions of the process that died: its locks are free then."""
    with psycopg.connect(url, autocommit=True) as db:
        (worker,) = db.execute(f"SELECT worker FROM {schema}.runs".encode()).fetchone() or (0,)
        db.execute("SELECT pg_advisory_lock(%s)", (worker,))


def _work(folder: Path, die_at: str, place: tuple[str, str]) -> tuple[int, str]:
    """Return the exit status and the output of a worker."""
    command = [sys.executable, "-c", WORKER, os.fspath(folder), die_at, *place]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    return done.returncode, done.stdout
