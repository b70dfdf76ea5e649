"""Nodes with `effect="transactional"`: what they write and that they did are one transaction, so it happens once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eino import END, START, Branch, Graph, GraphInterrupt, MemoryStore, RunError, SealedStore, interrupt, transact
from eino.compose.journal import Journal
from eino.compose.store import Record, RunStatus
from eino.errors import BuildError, CodecError, FencedError, StoreUnavailableError
from eino.ext.stores.postgres import PostgresStore
from eino.ext.stores.sqlite import SQLiteStore
from eino_fixtures.clock import VirtualClock

CREATE = "CREATE TABLE IF NOT EXISTS eino_paid (amount INTEGER)"


@pytest.fixture(params=["sqlite", "postgres", "sealed"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Open a store in whose database there is a table `eino_paid`."""

    @asynccontextmanager
    async def open_one() -> AsyncIterator[Any]:
        if request.param == "postgres":
            url, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
            path = f"{url}?options=-csearch_path%3D{schema}"
            async with PostgresStore(path, schema=schema) as store:
                yield store
        else:
            async with SQLiteStore(tmp_path / "runs.db") as store:
                yield SealedStore(store, {"k": b"k" * 32}) if request.param == "sealed" else store

    return open_one


def graph(pay: Any, store: Any, **options: Any) -> Any:
    made = Graph[int, Any]().add_lambda_node("pay", pay, effect="transactional")
    made.add_edge(START, "pay").add_edge("pay", END)
    return made.compile(checkpoint_store=store, durability="step", keep=True, **options)


async def paid(store: Any) -> list[int]:
    """What lies in the table of the effects, read in a transaction of a run of its own."""
    found: list[int] = []

    def read(db: Any) -> int:
        db.execute(CREATE)
        found.extend(row[0] for row in db.execute("SELECT amount FROM eino_paid").fetchall())
        return len(found)

    async def look(_: int) -> int:
        return await transact(read)

    await graph(look, store).invoke(0, checkpoint_id="look", force_new_run=True)
    return found


def write(db: Any, amount: int) -> str:
    db.execute(CREATE)
    db.execute(f"INSERT INTO eino_paid VALUES ({amount:d})")
    return f"paid {amount}"


async def test_what_was_done_is_not_done_again_when_the_node_runs_again(opened: Callable[[], Any]) -> None:
    """The node breaks off behind its effect, twice; the effect is there once, and its result comes back."""
    trouble = 2
    results: list[str] = []

    async def pay(amount: int) -> str:
        nonlocal trouble
        first = await transact(lambda db: write(db, amount))
        second = await transact(lambda db: write(db, amount + 1))
        results.append(f"{first}, {second}")
        if trouble:
            trouble -= 1
            raise ConnectionError("broken off")
        return results[-1]

    for expected in (RunError, RunError, None):
        async with opened() as store:
            if expected is None:
                assert await graph(pay, store).invoke(7, checkpoint_id="r") == "paid 7, paid 8"
                assert await paid(store) == [7, 8]
            else:
                with pytest.raises(expected, match="broken off"):
                    await graph(pay, store).invoke(7, checkpoint_id="r")
    assert results == ["paid 7, paid 8"] * 3


async def test_each_round_of_a_loop_has_its_own(opened: Callable[[], Any]) -> None:
    async def pay(amount: int) -> int:
        await transact(lambda db: write(db, amount))
        return amount + 1

    made = Graph[int, int]().add_lambda_node("pay", pay, effect="transactional").add_edge(START, "pay")
    made.add_branch("pay", Branch(lambda amount: "pay" if amount < 3 else END, {"pay", END}))
    async with opened() as store:
        runnable = made.compile(checkpoint_store=store)
        assert await runnable.invoke(0, checkpoint_id="r") == 3
        assert await paid(store) == [0, 1, 2]


@pytest.mark.parametrize("reason", ["raises", "cannot be stored", "breaks its own table"])
async def test_what_breaks_off_leaves_nothing(opened: Callable[[], Any], reason: str) -> None:
    def work(db: Any) -> Any:
        write(db, 1)
        if reason == "raises":
            raise KeyError("no such order")
        return db.execute("INSERT INTO eino_nowhere VALUES (1)") if reason != "cannot be stored" else object()

    async def pay(amount: int) -> Any:
        return await transact(work)

    async with opened() as store:
        with pytest.raises(RunError) as failed:
            await graph(pay, store).invoke(7, checkpoint_id="r")
        cause = failed.value.__cause__
        wanted = {"raises": KeyError, "cannot be stored": CodecError}.get(reason, Exception)
        assert isinstance(cause, wanted)
        assert reason != "breaks its own table" or "eino_nowhere" in str(cause)
        assert await paid(store) == []
        assert (await Journal.peek(store, "r")).entries[-1].kind == "stop"  # type: ignore[union-attr]


async def test_a_question_undoes_the_work_and_the_answer_lets_it_run(opened: Callable[[], Any]) -> None:
    async def pay(amount: int) -> str:
        def work(db: Any) -> str:
            write(db, amount)
            return f"{interrupt('sure?')}"

        return await transact(work)

    async with opened() as store:
        with pytest.raises(GraphInterrupt) as stop:
            await graph(pay, store).invoke(7, checkpoint_id="r")
        assert await paid(store) == []
        answers = {stop.value.contexts[0].id: "yes"}
        assert await graph(pay, store).invoke(checkpoint_id="r", resume=answers) == "yes"
        assert await paid(store) == [7]


async def test_a_worker_that_was_replaced_does_nothing(opened: Callable[[], Any]) -> None:
    called: list[int] = []

    async def pay(amount: int) -> Any:
        await store.claim("r", "another", take_over=True, create=False)
        return await transact(lambda db: called.append(amount))

    async with opened() as store:
        with pytest.raises(FencedError):
            await graph(pay, store).invoke(7, checkpoint_id="r")
    assert called == []


@pytest.mark.parametrize("was_stored", [False, True])
async def test_a_transaction_whose_outcome_is_lost_is_looked_up(
    was_stored: bool, virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    class Shaky(SQLiteStore):
        trouble = 1

        async def transact(
            self, run_id: str, work: Callable[[sqlite3.Connection], Record], *, expected_head: int, epoch: int
        ) -> None:
            if self.trouble and not was_stored:
                self.trouble -= 1
                raise StoreUnavailableError("nobody is there")
            await super().transact(run_id, work, expected_head=expected_head, epoch=epoch)
            if self.trouble:
                self.trouble -= 1
                raise StoreUnavailableError("the line is cut")

    async def pay(amount: int) -> str:
        return await transact(lambda db: write(db, amount))

    async with Shaky(tmp_path / "runs.db") as store:
        assert await graph(pay, store).invoke(7, checkpoint_id="r") == "paid 7"
        assert await paid(store) == [7]


async def test_a_takeover_after_trouble_is_not_taken_for_ones_own(virtual_clock: VirtualClock, tmp_path: Path) -> None:
    class Shaky(SQLiteStore):
        async def transact(
            self, run_id: str, work: Callable[[sqlite3.Connection], Record], *, expected_head: int, epoch: int
        ) -> None:
            if (await self.claim(run_id, "another", take_over=True, create=False)).epoch == epoch + 1:
                raise StoreUnavailableError("nobody is there")
            await super().transact(run_id, work, expected_head=expected_head, epoch=epoch)

    async def pay(amount: int) -> str:
        return await transact(lambda db: write(db, amount))

    async with Shaky(tmp_path / "runs.db") as store:
        with pytest.raises(FencedError):
            await graph(pay, store).invoke(7, checkpoint_id="r")


async def test_work_that_commits_is_told(tmp_path: Path) -> None:
    async def pay(amount: int) -> Any:
        return await transact(lambda db: db.execute("COMMIT") and None)

    async with SQLiteStore(tmp_path / "runs.db") as store:
        with pytest.raises(RunError, match="must not commit"):
            await graph(pay, store).invoke(7, checkpoint_id="r")
        assert [run.status for run in await store.list()] == [RunStatus.FAILED]


async def test_where_it_cannot_be_called(tmp_path: Path) -> None:
    async def pay(amount: int) -> Any:
        return await transact(lambda db: None)

    with pytest.raises(RunError, match="outside of a node"):
        await transact(lambda db: None)
    async with SQLiteStore(tmp_path / "runs.db") as store:
        with pytest.raises(RunError, match="checkpoint_id="):
            await graph(pay, store).invoke(1)
        plain = Graph[int, Any]().add_lambda_node("pay", pay).add_edge(START, "pay").add_edge("pay", END)
        with pytest.raises(RunError, match="effect='transactional'"):
            await plain.compile(checkpoint_store=store).invoke(1, checkpoint_id="r")
    for store in (MemoryStore(), SealedStore(MemoryStore(), {"k": b"k" * 32})):  # type: ignore[assignment]
        with pytest.raises(BuildError, match="transactional"):
            graph(pay, store)
