"""`eino runs`: lists, shows, removes and verifies the runs of a store, without the program that wrote them."""

from __future__ import annotations

import json
import secrets
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from eino import END, START, Graph, GraphInterrupt, MemoryStore, SealedStore, interrupt
from eino.compose.inspection import inspect_run
from eino.compose.retention import prune_runs
from eino.compose.store import RunStatus
from eino.errors import BuildError
from eino.ext.stores.postgres import PostgresStore
from eino.ext.stores.sqlite import SQLiteStore
from eino.schema.codec import register
from eino_harness.cli import main


@register("test_runs_command.Question")
@dataclass
class Question:
    """A type that the command does not know."""

    text: str


async def ask(order: str) -> str:
    return f"{order}: {interrupt(Question('pay?'))}"


def graph(store: Any, **options: Any) -> Any:
    return (
        Graph[str, str]()
        .add_node("ask", ask)
        .add_edge(START, "ask")
        .add_edge("ask", END)
        .compile(name="g", checkpoint_store=store, **options)
    )


async def filled(store: Any) -> str:
    """One run that waits, one that is done, one that a worker has. Return what the first one waits for."""
    for run_id in ("asks", "done"):
        with pytest.raises(GraphInterrupt) as stop:
            await graph(store).invoke("order", checkpoint_id=run_id)
        question = str(stop.value.contexts[0].id)
        if run_id == "asks":
            first = question
    await graph(store, keep=True).invoke(checkpoint_id="done", resume={question: "yes"})
    await store.claim("runs", "worker 7", take_over=False, create=True)
    return first


@pytest.fixture
def path(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with SQLiteStore(tmp_path / "runs.db") as store:
            await filled(store)

    anyio.run(fill)
    return tmp_path / "runs.db"


def test_the_installed_command_lists_runs(path: Path) -> None:
    command = [Path(sys.executable).with_name("eino"), "runs", "ls", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["run", "status", "records", "idle", "owner"]
    assert [row.split()[:3] for row in rows] == [
        ["asks", "waiting", "1"],
        ["done", "done", "3"],
        ["runs", "running", "0"],
    ]
    assert rows[2].endswith("worker 7")


def test_lists(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "ls", str(path), "--status", "waiting", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert (run["run_id"], run["status"], run["head"]) == ("asks", "waiting", 1)
    assert main(["runs", "ls", str(path), "--namespace", "other"]) == 0
    assert capsys.readouterr().out.splitlines() == ["run  status  records  idle  owner"]


def test_a_run_is_shown_with_what_it_waits_for(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "show", str(path), "asks"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("run asks: waiting, epoch 1, owner ")
    assert "waits at runnable:g;node:ask (id " in shown
    assert "pay?" in shown
    assert main(["runs", "show", str(path), "done", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["kind"] for each in report["records"]] == ["interrupt", "answered", "end"]
    assert (len(report["answers"]), report["waiting"], report["problem"]) == (1, [], "")
    assert main(["runs", "show", str(path), "nobody"]) == 1
    assert "there is no run 'nobody'" in capsys.readouterr().err


async def test_an_answer_that_waits_for_the_run_is_seen(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "runs.db") as store:
        question = await filled(store)
        report = await inspect_run(store, "asks")
        assert report is not None
        (point,) = report.waiting
        assert (point.id, point.address, point.is_answered) == (question, "runnable:g;node:ask", False)
        assert await inspect_run(store, "nobody") is None


def test_runs_are_removed_by_id(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "rm", str(path), "done", "runs"]) == 1
    assert "worker 7: give --force; nothing was removed" in capsys.readouterr().err
    assert main(["runs", "rm", str(path), "done", "nobody"]) == 1
    assert "no run 'nobody' in the store; nothing was removed" in capsys.readouterr().err
    assert main(["runs", "rm", str(path), "done", "runs", "--force"]) == 0
    assert capsys.readouterr().out == "2 removed\n"
    assert main(["runs", "rm", str(path), "asks", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["asks"]
    assert main(["runs", "verify", str(path)]) == 0
    assert capsys.readouterr().out == "0 runs, all well\n"


def test_runs_are_removed_by_age(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "rm", str(path), "--idle", "1h"]) == 0
    with sqlite3.connect(path) as db:
        db.execute("UPDATE runs SET changed = changed - 7200 WHERE run_id <> 'runs'")
    db.close()
    assert main(["runs", "ls", str(path)]) == 0
    assert " 2h " in capsys.readouterr().out
    assert main(["runs", "rm", str(path), "--idle", "1.5h", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["done"]
    assert main(["runs", "rm", str(path), "--idle", "90s", "--status", "waiting", "--status", "running"]) == 0
    assert capsys.readouterr().out == "1 removed\n"


def test_damage_is_found(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "verify", str(path)]) == 0
    assert capsys.readouterr().out == "3 runs, all well\n"
    with sqlite3.connect(path) as db:
        db.execute("UPDATE records SET body = x'9201c0' WHERE run_id = 'done' AND seq = 1")
        db.execute("UPDATE runs SET status = 'asleep' WHERE run_id = 'runs'")
    db.close()
    assert main(["runs", "verify", str(path), "asks", "done", "runs", "nobody", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["verified"], sorted(found["problems"])) == (4, ["done", "nobody", "runs"])
    assert "record 1 is not what was written" in found["problems"]["done"]
    assert "'asleep'" in found["problems"]["runs"]
    assert main(["runs", "show", str(path), "done"]) == 1
    assert "record 1 is not what was written" in capsys.readouterr().err
    assert main(["runs", "verify", str(path), "done"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 runs, 1 with problems"


def test_what_others_stored_is_printed_as_text(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE runs SET run_id = 'a' || char(27) || '[2J', owner = '' WHERE run_id = 'runs'")
    db.close()
    assert main(["runs", "ls", str(path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_signed_runs_need_their_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, path = tmp_path / "key", str(tmp_path / "runs.db")
    key.write_bytes(secrets.token_bytes(32))

    async def fill() -> None:
        async with SQLiteStore(path) as store:
            await filled(SealedStore(store, {"k1": key.read_bytes()}))

    anyio.run(fill)
    assert main(["runs", "verify", path, "--key", f"k1={key}"]) == 0
    assert capsys.readouterr().out == "3 runs, all well\n"
    assert main(["runs", "verify", path, "--key", f"k2={key}"]) == 1
    assert "was not signed with a key that is known here" in capsys.readouterr().out
    assert main(["runs", "verify", path]) == 1
    capsys.readouterr()
    for wrong in ("k1", f"={key}", f"k1={path}x"):
        assert main(["runs", "verify", path, "--key", wrong]) == 2


def test_postgres_runs(postgres_url: str, postgres_schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def fill() -> None:
        async with PostgresStore(postgres_url, schema=postgres_schema) as store:
            await filled(store)

    anyio.run(fill)
    place = [postgres_url, "--schema", postgres_schema]
    assert main(["runs", "ls", *place]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == [
        "status",
        "waiting",
        "done",
        "running",
    ]
    assert main(["runs", "show", *place, "asks"]) == 0
    assert "pay?" in capsys.readouterr().out
    assert main(["runs", "rm", place[0], "done", *place[1:]]) == 0
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(f"UPDATE {postgres_schema}.records SET mac = ''".encode())
    assert main(["runs", "verify", *place]) == 1
    assert "run 'asks': record 1 is not what was written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ls", "there/is/none.db"], "there is no file 'there/is/none.db'"),
        (["rm", "{path}"], "rm needs the ids of runs, or --idle TIME"),
        (["rm", "{path}", "done", "--idle", "7d"], "rm needs the ids of runs, or --idle TIME"),
        (["rm", "{path}", "done", "--status", "done"], "--status goes with --idle"),
        (["ls", "postgresql://me:hunter2@[::1"], "cannot be read"),
    ],
)
def test_wrong_command_lines_are_told(
    arguments: list[str], said: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", *(each.format(path=path) for each in arguments)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "hunter2" not in told


def test_a_duration_that_is_none_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["runs", "rm", str(path), "--idle", "7 days"])
    assert "'7 days' is no duration such as 90s" in capsys.readouterr().err


def test_a_store_that_is_down_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    assert main(["runs", "ls", str(tmp_path / "text.db")]) == 1
    assert "it is no SQLite database" in capsys.readouterr().err


async def test_a_run_that_was_claimed_meanwhile_is_not_pruned() -> None:
    class Busy(MemoryStore):
        async def list(self) -> Any:
            runs = await super().list()
            await self.claim("done", "somebody", take_over=True, create=False)
            return runs

    store = Busy()
    for run_id in ("done", "too"):
        run = await store.claim(run_id, "me", take_over=False, create=True)
        await store.append(run_id, [], expected_head=0, epoch=run.epoch, status=RunStatus.DONE)
    assert await prune_runs(store, idle_s=0) == ("too",)
    assert await store.load("done") is not None
    with pytest.raises(BuildError, match="idle_s=-1"):
        await prune_runs(store, idle_s=-1)
