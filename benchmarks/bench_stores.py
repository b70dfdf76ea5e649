"""What it costs to keep runs in a store, beside the same commits made by hand."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from eino import END, START, Graph, MemoryStore
from eino.compose.journal import Journal
from eino.ext.stores.sqlite import SQLiteStore

STEPS = 10
IN_MEMORY = Path("/dev/shm")  # a file system without a disk: what is left is what we add, not how the disk swings


async def one_more(value: int) -> int:
    return value + 1


def line(store: Any, **options: Any) -> Any:
    graph = Graph[int, int]()
    for index in range(STEPS):
        graph.add_lambda_node(f"n{index}", one_more)
        graph.add_edge(START if not index else f"n{index - 1}", f"n{index}")
    graph.add_edge(f"n{STEPS - 1}", END)
    return graph.compile(checkpoint_store=store, **options)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.mark.workload(
    "SQL1",
    "a run of 10 steps, each stored in SQLite; the floor makes the same commits",
    unit="us/step",
    per=STEPS,
    gate_ratio=25.0,
)
def test_steps_in_sqlite(abenchmark):
    """What does eino add to the database's own commits? Both on a file system without a disk; the difference counts.

    Timed: the whole run, with claim and delete. The floor: one commit each for claim, start, ten steps and delete, with
    records as large as those of eino, in the thread of the event loop. Goal: at most 300 us a step between the two.
    """
    with folder() as path:
        store = SQLiteStore(path / "runs.db")
        runnable = line(store, durability="step")
        db = sqlite3.connect(path / "floor.db", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE runs (run_id TEXT PRIMARY KEY, epoch INTEGER, head INTEGER)")
        db.execute("CREATE TABLE records (run_id TEXT, seq INTEGER, body BLOB, PRIMARY KEY (run_id, seq))")
        body = b"x" * 200

        def commit(*statements: tuple[str, tuple[Any, ...]]) -> None:
            db.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                db.execute(statement, values)
            db.execute("COMMIT")

        async def by_hand() -> int:
            commit(("INSERT INTO runs VALUES ('r', 1, 0)", ()))
            for step in range(STEPS):
                commit(
                    ("UPDATE runs SET head = ? WHERE run_id = 'r' AND epoch = 1", (step,)),
                    ("INSERT INTO records VALUES ('r', ?, ?)", (step, body)),
                )
            commit(("DELETE FROM records WHERE run_id = 'r'", ()), ("DELETE FROM runs WHERE run_id = 'r'", ()))
            return STEPS

        done = abenchmark.compare(subject=lambda: runnable.invoke(0, checkpoint_id="r"), floor=by_hand)
        db.close()
        anyio.run(store.aclose)
    assert done.subject == done.floor == STEPS


@pytest.mark.workload("MEM1", "a run of 10 steps, each stored in memory", unit="us/step", per=STEPS)
def test_steps_in_memory(abenchmark):
    """What does a record for each step cost without a database? Timed: the whole run, with claim and delete."""
    runnable = line(MemoryStore(), durability="step")
    assert abenchmark(lambda: runnable.invoke(0, checkpoint_id="r")) == STEPS


@pytest.mark.workload("REC1", "read a run of 1,000 records from memory and check its chain", unit="us/run")
def test_reading_a_long_run(abenchmark):
    """What does a long history cost whoever goes on with it? Expected: a straight line in the records."""
    store = MemoryStore()

    async def read() -> int:
        if not await store.list():
            journal = await Journal.open(store, "r")
            for number in range(1000):
                await journal.append("kept", {"address": f"a{number}", "value": [number]})
        found = await Journal.peek(store, "r")
        return len(found.entries) if found is not None else 0

    assert abenchmark(read) == 1000
