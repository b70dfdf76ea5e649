"""Stores of runs: claims, fencing, answers, deletes, many workers at once, damaged files, and graphs that go on."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from eino import END, START, Graph, GraphInterrupt, MemoryStore, interrupt
from eino.compose.journal import Journal
from eino.compose.store import Record, RunStatus
from eino.errors import (
    AlreadyAnsweredError,
    BuildError,
    ComponentError,
    CorruptCheckpointError,
    FencedError,
    RunActiveError,
    UnknownRunError,
)
from eino.ext.stores._worker_files import WorkerFile
from eino.ext.stores.postgres import PostgresStore
from eino.ext.stores.sqlite import SQLiteStore

IDS = ["r", "x'; DROP TABLE runs; --", "ü/é/日本", " ", "R", "%", "%s", "{0}"]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "postgres":
        store: Any = PostgresStore(
            request.getfixturevalue("postgres_url"), schema=request.getfixturevalue("postgres_schema")
        )
    else:
        store = SQLiteStore(tmp_path / "runs.db")
    yield store
    anyio.run(store.aclose)


async def claim(store: Any, run_id: str = "r", owner: str = "me", **options: bool) -> Any:
    return await store.claim(run_id, owner, **{"take_over": False, "create": True, **options})


def record(seq: int, epoch: int = 1) -> Record:
    return Record(seq, epoch, "level", b"\x00body", b"mac%d" % seq)


async def test_a_run_is_as_it_was_written(store: Any) -> None:
    for run_id in IDS:
        run = await claim(store, run_id)
        assert (run.status, run.head, run.records, dict(run.answers)) == (RunStatus.NEW, 0, (), {})
        written = [record(1, run.epoch), record(2, run.epoch)]
        await store.append(run_id, written, expected_head=0, epoch=run.epoch, status=RunStatus.WAITING)
        await store.answer(run_id, "a", b"\xff")
        stored = await store.load(run_id)
        assert (stored.records, stored.head, stored.head_mac) == (tuple(written), 2, b"mac2")
        assert (stored.status, stored.owner, dict(stored.answers)) == (RunStatus.WAITING, "me", {"a": b"\xff"})
        await store.append(run_id, [], expected_head=2, epoch=run.epoch, status=None)
        assert await store.load(run_id) == stored
    assert [each.run_id for each in await store.list()] == sorted(IDS)


async def test_an_active_run_is_refused_and_a_taken_over_worker_is_fenced(store: Any) -> None:
    old = await claim(store, owner="old")
    with pytest.raises(RunActiveError, match="old"):
        await claim(store, owner="new")
    new = await claim(store, owner="new", take_over=True)
    assert new.epoch > old.epoch
    with pytest.raises(FencedError):
        await store.append("r", [record(1)], expected_head=0, epoch=old.epoch, status=RunStatus.DONE)
    with pytest.raises(FencedError):
        await store.delete("r", epoch=old.epoch)
    with pytest.raises(FencedError):
        await store.append("r", [record(5)], expected_head=4, epoch=new.epoch, status=None)
    stored = await store.load("r")
    assert (stored.records, stored.status, stored.owner) == ((), RunStatus.RUNNING, "new")


async def test_the_first_answer_counts(store: Any) -> None:
    await claim(store)
    await store.answer("r", "ask", b"yes")
    with pytest.raises(AlreadyAnsweredError):
        await store.answer("r", "ask", b"no")
    assert dict((await store.load("r")).answers) == {"ask": b"yes"}


async def test_runs_that_are_not_there(store: Any) -> None:
    assert await store.load("r") is None
    await store.delete("r")
    with pytest.raises(UnknownRunError):
        await claim(store, create=False)
    with pytest.raises(UnknownRunError):
        await store.answer("r", "ask", b"")
    with pytest.raises(FencedError):
        await store.append("r", [record(1)], expected_head=0, epoch=1, status=None)
    assert await store.list() == []


async def test_a_delete_takes_records_and_answers_along(store: Any) -> None:
    run = await claim(store)
    await store.append("r", [record(1)], expected_head=0, epoch=run.epoch, status=None)
    await store.answer("r", "ask", b"yes")
    await store.delete("r", epoch=run.epoch)
    again = await claim(store)
    assert (again.records, dict(again.answers), again.head_mac) == ((), {}, b"")


async def test_a_worker_of_a_run_that_was_begun_anew_is_fenced(store: Any) -> None:
    old = await claim(store)
    await store.delete("r")
    await claim(store)
    with pytest.raises(FencedError):
        await store.append("r", [record(1)], expected_head=0, epoch=old.epoch, status=None)


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Open another store of the same place."""
    if request.param == "sqlite":
        return lambda: SQLiteStore(tmp_path / "runs.db")
    url, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
    return lambda: PostgresStore(url, schema=schema)


def test_of_many_workers_one_wins(opened: Callable[[], Any]) -> None:
    together = threading.Barrier(8, timeout=30)

    async def work(number: int) -> bool:
        async with opened() as store:
            try:
                await claim(store, owner=f"worker {number}")
            except RunActiveError:
                return False
            finally:
                together.wait()  # a store that is closed has left its runs
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda number: anyio.run(work, number), range(8))) == 1


async def test_the_runs_of_a_worker_that_is_gone_are_free(opened: Callable[[], Any]) -> None:
    async with opened() as first, opened() as second:
        old = await claim(first, owner="first")
        await claim(first, "other", owner="first")
        with pytest.raises(RunActiveError) as refused:
            await claim(second, owner="second")
        assert refused.value.owner == "first"
        await first.aclose()
        new = await claim(second, owner="second")
        assert new.status is RunStatus.RUNNING
        assert new.epoch > old.epoch
        with pytest.raises(FencedError):
            await first.append("r", [record(1)], expected_head=0, epoch=old.epoch, status=None)
        await claim(first, "mine", owner="first")  # it lives again, but has lost its runs
        with pytest.raises(RunActiveError):
            await claim(second, "mine", owner="second")
        assert (await claim(second, "other", owner="second")).epoch > new.epoch


async def test_a_run_is_taken_over_from_the_owner_who_is_named_only(store: Any) -> None:
    await claim(store, owner="first")
    with pytest.raises(RunActiveError, match="first"):
        await claim(store, owner="second", take_over="zero")  # type: ignore[arg-type]
    assert (await claim(store, owner="second", take_over="first")).status is RunStatus.RUNNING  # type: ignore[arg-type]


async def test_namespaces_do_not_see_each_other(tmp_path: Path, postgres_url: str, postgres_schema: str) -> None:
    def opened(kind: str, namespace: str) -> Any:
        if kind == "sqlite":
            return SQLiteStore(tmp_path / "runs.db", namespace=namespace)
        return PostgresStore(postgres_url, schema=postgres_schema, namespace=namespace)

    for kind in ("sqlite", "postgres"):
        async with opened(kind, "ann") as ann, opened(kind, "bob") as bob:
            run = await claim(ann)
            await ann.append("r", [record(1, run.epoch)], expected_head=0, epoch=run.epoch, status=RunStatus.DONE)
            await ann.answer("r", "ask", b"yes")
            assert (ann.namespace, bob.namespace) == ("ann", "bob")
            assert (await bob.load("r"), await bob.list()) == (None, [])
            other = await claim(bob)
            assert (other.status, other.records, dict(other.answers)) == (RunStatus.NEW, (), {})
            await bob.delete("r")
            assert (await ann.load("r")).head == 1


async def test_what_is_over_its_time_is_deleted(tmp_path: Path, postgres_url: str, postgres_schema: str) -> None:
    stores: list[Any] = [
        MemoryStore(ttl_s=1e-9),
        SQLiteStore(tmp_path / "runs.db", ttl_s=1e-9),
        PostgresStore(postgres_url, schema=postgres_schema, ttl_s=1e-9),
    ]
    for store in stores:
        for run_id, status in {"over": RunStatus.DONE, "asks": RunStatus.WAITING, "runs": None}.items():
            run = await claim(store, run_id)
            await store.append(run_id, [record(1)], expected_head=0, epoch=run.epoch, status=status)
        await claim(store, "last")
        assert [each.run_id for each in await store.list()] == ["last", "runs"]
        if not isinstance(store, MemoryStore):
            await store.aclose()


@pytest.mark.parametrize("make", [MemoryStore, SQLiteStore, PostgresStore])
@pytest.mark.parametrize("ttl_s", [0, -1.0, float("nan")])
def test_a_time_that_is_none_is_refused(make: Any, ttl_s: float) -> None:
    given = () if make is MemoryStore else ("postgresql:///test",)
    with pytest.raises(BuildError, match="ttl_s="):
        make(*given, ttl_s=ttl_s)


async def test_a_list_tells_how_long_a_run_is_idle(store: Any) -> None:
    run = await claim(store)
    (first,) = await store.list()
    assert (first.run_id, first.owner, first.epoch, first.head) == ("r", "me", run.epoch, 0)
    assert 0 <= first.idle_s < 60


DAMAGE = [
    "UPDATE records SET body = x'00' WHERE seq = 2",
    "UPDATE records SET mac = x'00' WHERE seq = 2",
    "UPDATE records SET kind = 'end' WHERE seq = 2",
    "UPDATE records SET epoch = 9 WHERE seq = 2",
    "UPDATE records SET body = 'text' WHERE seq = 2",
    "UPDATE records SET seq = seq + 10",
    "DELETE FROM records WHERE seq = 1",
    "DELETE FROM records WHERE seq = 3",
    "DELETE FROM records",
    "INSERT INTO records SELECT namespace, run_id, 4, epoch, kind, body, mac FROM records WHERE seq = 3",
    "UPDATE records SET body = (SELECT body FROM records AS other WHERE other.run_id = 'r' AND other.seq = 1)",
    "UPDATE runs SET head = 2",
    "UPDATE runs SET head_mac = x'00'",
    "UPDATE runs SET status = 'asleep'",
    "UPDATE runs SET epoch = 'one'",
]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damage_is_told_and_changes_nothing(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with SQLiteStore(path) as store:
        journal = await Journal.open(store, "r")
        for number in range(3):
            await journal.append("level", {"n": number})
        assert [each.body for each in (await Journal.peek(store, "r") or journal).entries] == [
            {"n": 0},
            {"n": 1},
            {"n": 2},
        ]
    with sqlite3.connect(path) as db:
        db.execute(damage)
    db.close()
    async with SQLiteStore(path) as store:
        with pytest.raises(CorruptCheckpointError, match="'r'"):
            await Journal.peek(store, "r")


async def test_records_behind_the_head_are_told(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with SQLiteStore(path) as store:
        run = await claim(store)
        with sqlite3.connect(path) as db:
            db.execute("INSERT INTO records VALUES ('', 'r', 1, 1, 'x', x'', x'')")
        db.close()
        with pytest.raises(CorruptCheckpointError, match="behind its head 0"):
            await store.append("r", [record(1)], expected_head=0, epoch=run.epoch, status=RunStatus.DONE)
        assert (await store.load("r")).status is RunStatus.RUNNING  # type: ignore[union-attr]


def _text(path: Path) -> None:
    path.write_text("no database " * 100)


def _other(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (a)")
    db.close()


@pytest.mark.parametrize(
    ("make", "error"), [(_text, ComponentError), (_other, BuildError), (Path.mkdir, ComponentError)]
)
async def test_a_file_of_another_kind_is_left_alone(
    make: Callable[[Path], None], error: type[Exception], tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    make(path)
    with pytest.raises(error, match=r"runs\.db"):
        await SQLiteStore(path).list()


async def test_a_graph_goes_on_with_another_store_of_the_same_file(tmp_path: Path) -> None:
    async def ask(text: str) -> str:
        return f"{text} {interrupt('sure?')}"

    def compiled(store: Any) -> Any:
        graph = Graph[str, str]().add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)
        return graph.compile(checkpoint_store=store)

    async with SQLiteStore(tmp_path / "runs.db") as store:
        with pytest.raises(GraphInterrupt) as stop:
            await compiled(store).invoke("pay", checkpoint_id="r")
    (context,) = stop.value.info.contexts
    async with SQLiteStore(tmp_path / "runs.db") as store:
        assert await compiled(store).invoke(checkpoint_id="r", resume={context.id: "yes"}) == "pay yes"
        assert await store.list() == []


async def test_a_worker_that_no_store_names_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with SQLiteStore(path) as store, SQLiteStore(path) as other:
        await claim(store)
        with sqlite3.connect(path) as db:
            db.execute("UPDATE runs SET worker = '../../etc/passwd'")
        db.close()
        with pytest.raises(CorruptCheckpointError, match="no name of a worker"):
            await claim(other)


async def test_a_worker_needs_a_file_of_its_own(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / ("x" * 240)) as store:  # a name that has no room for more
        await store.list()
        with pytest.raises(ComponentError, match="lock of this worker"):
            await claim(store)


def test_workers_tell_who_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = str(tmp_path / "runs.db")
    first, second = WorkerFile(prefix), WorkerFile(prefix)
    name = first.hold()
    assert first.hold() == name
    assert not second.is_gone(name)
    names = iter([name, "0" * 16])
    monkeypatch.setattr("secrets.token_hex", lambda count: next(names))
    assert second.hold() == "0" * 16  # the first name is taken by one who lives
    first.release()
    first.release()
    assert second.is_gone(name)
    assert not first.is_gone("0" * 16)
    Path(f"{prefix}-worker-{'0' * 16}").unlink()  # somebody tidied up: then nobody knows that it lives
    assert first.is_gone("0" * 16)
    second.release()
    assert list(tmp_path.iterdir()) == []
    dropped = WorkerFile(prefix)
    monkeypatch.undo()
    name = dropped.hold()
    (tmp_path / "runs.db-worker-notes.txt").touch()
    (tmp_path / f"runs.db-worker-{'1' * 16}").touch()
    del dropped  # as a store that nobody closed
    assert first.is_gone(name)
    first.hold()
    assert not (tmp_path / f"runs.db-worker-{'1' * 16}").exists(), "files of the dead are removed"
    assert (tmp_path / "runs.db-worker-notes.txt").exists()
    first.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs platform with fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_that_drops_a_store_does_not_end_its_worker(tmp_path: Path) -> None:
    worker, other = WorkerFile(str(tmp_path / "runs.db")), WorkerFile(str(tmp_path / "runs.db"))
    name = worker.hold()
    child = os.fork()
    if not child:
        worker.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not other.is_gone(name)
    worker.release()
    assert other.is_gone(name)


async def test_a_database_in_memory_needs_no_worker() -> None:
    async with SQLiteStore(":memory:") as store:
        assert repr(store) == "SQLiteStore(':memory:')"
        await claim(store)
        with pytest.raises(RunActiveError):
            await claim(store, owner="other")
