"""Runs whose store is down for a while, loses its answers, or holds what it should not: nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from eino import END, START, Graph, GraphInterrupt, MemoryStore, RunError, interrupt
from eino.compose.journal import MAX_RECORD_BYTES, Journal, _chained
from eino.compose.owner import Owner, is_left_by
from eino.compose.patience import ATTEMPTS
from eino.compose.store import Record, RunStatus, StoredRun
from eino.errors import (
    AlreadyAnsweredError,
    BuildError,
    CheckpointTooLargeError,
    CheckpointVersionError,
    CodecError,
    CorruptCheckpointError,
    FencedError,
    RunActiveError,
    StoreUnavailableError,
)
from eino_fixtures.clock import VirtualClock


class Shaky(MemoryStore):
    """Is down for some calls, and sometimes does what it was told but cannot say so."""

    def __init__(self) -> None:
        super().__init__()
        self.down = 0
        """How many of the next calls it refuses."""
        self.lost: set[str] = set()
        """Methods whose next call is carried out, and its answer lost."""
        self.calls: list[str] = []

    async def _shake(self, name: str, call: Any) -> Any:
        self.calls.append(name)
        if self.down:
            self.down -= 1
            raise StoreUnavailableError("nobody is there")
        result = await call
        if name in self.lost:
            self.lost.discard(name)
            raise StoreUnavailableError("the line is cut")
        return result

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        run: StoredRun = await self._shake(
            "claim", super().claim(run_id, owner, take_over=take_over, create=create) if not self.down else None
        )
        return run

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        call = super().append(run_id, records, expected_head=expected_head, epoch=epoch, status=status)
        await self._shake("append", call if not self.down else call.close())

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        call = super().answer(run_id, interrupt_id, value)
        await self._shake("answer", call if not self.down else call.close())

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        call = super().delete(run_id, epoch=epoch)
        await self._shake("delete", call if not self.down else call.close())


def paying(store: Any, paid: list[str], **options: Any) -> Any:
    async def ask(order: str) -> str:
        return f"{order}: {interrupt('pay?')}"

    async def pay(order: str) -> str:
        paid.append(order)
        return order

    graph = Graph[str, str]().add_node("ask", ask).add_node("pay", pay)
    graph.add_edge(START, "ask").add_edge("ask", "pay").add_edge("pay", END)
    return graph.compile(name="g", checkpoint_store=store, **options)


async def stopped(runnable: Any) -> str:
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("order", checkpoint_id="r")
    return str(stop.value.contexts[0].id)


@pytest.mark.parametrize("down", [1, ATTEMPTS - 1])
async def test_a_store_that_is_down_for_a_while_is_asked_again(down: int, virtual_clock: VirtualClock) -> None:
    store, paid = Shaky(), list[str]()
    runnable = paying(store, paid, durability="step")
    store.down = down
    question = await stopped(runnable)
    store.down = down
    assert await runnable.invoke(checkpoint_id="r", resume={question: "yes"}) == "order: yes"
    assert paid == ["order: yes"]
    assert await store.list() == []


@pytest.mark.parametrize("lost", ["claim", "append", "answer", "delete"])
async def test_what_was_done_although_the_answer_was_lost_is_not_done_again(
    lost: str, virtual_clock: VirtualClock
) -> None:
    store, paid = Shaky(), list[str]()
    runnable = paying(store, paid, durability="step", keep=lost != "delete")
    store.lost = {lost} - {"answer", "delete"}
    question = await stopped(runnable)
    store.lost = {lost}
    assert await runnable.invoke(checkpoint_id="r", resume={question: "yes"}) == "order: yes"
    assert paid == ["order: yes"]
    assert store.lost == set()
    if lost != "delete":
        found = await Journal.peek(store, "r")
        assert found is not None
        assert [entry.kind for entry in found.entries].count("end") == 1


async def test_a_refusal_after_trouble_is_a_refusal(virtual_clock: VirtualClock) -> None:
    """That a call was made again does not mean that the record of another worker, or its answer, is ours."""
    store = Shaky()
    mine = await Journal.open(store, "r")
    other = await Journal.open(store, "r", take_over=True)
    store.down = 1
    with pytest.raises(FencedError):
        await mine.append("level", {})
    store.down = 1
    with pytest.raises(FencedError):
        await mine.delete()
    await other.answer({"ask": "no"})
    store.down = 1
    with pytest.raises(AlreadyAnsweredError):
        await other.answer({"ask": "yes"})
    assert other.status is RunStatus.RUNNING


async def test_a_run_waits_for_a_store_that_stays_down_and_goes_on_later(virtual_clock: VirtualClock) -> None:
    """The node behind a step that could not be stored is not run; the next call of the same process goes on."""
    store, paid = Shaky(), list[str]()

    async def note(order: str) -> str:
        paid.append(order)
        if paid == ["order", "order!"]:
            store.down = 10 * ATTEMPTS
        return order + "!"

    graph = Graph[str, str]()
    before = START
    for key in ("a", "b", "c"):
        graph.add_node(key, note)
        graph.add_edge(before, key)
        before = key
    graph.add_edge("c", END)
    runnable = graph.compile(checkpoint_store=store, durability="step")
    with pytest.raises(RunError, match="nobody is there") as failed:
        await runnable.invoke("order", checkpoint_id="r")
    assert isinstance(failed.value.__cause__, StoreUnavailableError)
    assert paid == ["order", "order!"]
    store.down = 0
    assert [each.status for each in await store.list()] == [RunStatus.RUNNING]
    assert await runnable.invoke("ignored", checkpoint_id="r") == "order!!!"
    assert paid == ["order", "order!", "order!", "order!!"]


async def test_a_run_whose_end_could_not_be_stored_can_be_called_again(virtual_clock: VirtualClock) -> None:
    store, paid = Shaky(), list[str]()

    async def pay(order: str) -> str:
        paid.append(order)
        store.down = 10 * ATTEMPTS if len(paid) == 1 else 0
        return order

    graph = Graph[str, str]().add_node("pay", pay).add_edge(START, "pay").add_edge("pay", END)
    runnable = graph.compile(checkpoint_store=store, durability="step")
    with pytest.raises(StoreUnavailableError) as kept:  # the error, and so all that it refers to, stays alive
        await runnable.invoke("order", checkpoint_id="r")
    store.down = 0
    assert await runnable.invoke("order", checkpoint_id="r") == "order"
    assert paid == ["order", "order"]
    assert kept.value.retryable


async def test_a_run_of_this_process_that_is_at_work_is_not_taken() -> None:
    store = MemoryStore()
    journal = await Journal.open(store, "r")
    with pytest.raises(RunActiveError) as refused:
        await Journal.open(store, "r")
    assert not is_left_by(refused.value.owner, Owner())
    journal.leave()
    assert (await Journal.open(store, "r")).epoch > journal.epoch
    with pytest.raises(FencedError):
        await journal.append("level", {})


async def test_a_run_of_another_process_is_not_taken() -> None:
    store = MemoryStore()
    await store.claim("r", "host:1:abc/1", take_over=False, create=True)
    with pytest.raises(RunActiveError, match="host:1:abc/1"):
        await Journal.open(store, "r")


async def test_what_is_too_large_is_told_and_nothing_is_written() -> None:
    store, paid = MemoryStore(), list[str]()
    runnable = paying(store, paid, durability="step", max_checkpoint_bytes=2000)
    with pytest.raises(CheckpointTooLargeError, match=r"max_checkpoint_bytes="):
        await runnable.invoke("x" * 2000, checkpoint_id="r")
    question = await stopped(runnable)
    with pytest.raises(CheckpointTooLargeError, match="answer"):
        await runnable.invoke(checkpoint_id="r", resume={question: "y" * 2000})
    assert paid == []
    assert await runnable.invoke(checkpoint_id="r", resume={question: "yes"}) == "order: yes"


async def test_a_stored_record_that_is_too_large_is_not_read() -> None:
    store, paid = MemoryStore(), list[str]()
    await stopped(paying(store, paid))
    with pytest.raises(CheckpointTooLargeError, match="record 1 has"):
        await paying(store, paid, max_checkpoint_bytes=10).invoke(checkpoint_id="r")
    assert [each.status for each in await store.list()] == [RunStatus.WAITING]


async def test_what_is_nested_too_deeply_is_told() -> None:
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    journal = await Journal.open(MemoryStore(), "r")
    with pytest.raises(CodecError, match="deep"):
        await journal.append("level", deep)
    assert MAX_RECORD_BYTES == 64 * 2**20


@pytest.mark.parametrize("limit", [0, -1, 1.5, "1"])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(BuildError, match="max_checkpoint_bytes="):
        paying(MemoryStore(), [], max_checkpoint_bytes=limit)


def test_a_limit_needs_a_store() -> None:
    with pytest.raises(BuildError, match="max_checkpoint_bytes="):
        paying(None, [], max_checkpoint_bytes=10)


async def test_a_record_of_another_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    store, paid = MemoryStore(), list[str]()
    with monkeypatch.context() as patched:
        patched.setattr("eino.compose.journal._FORMAT", 2)
        await stopped(paying(store, paid))
    with pytest.raises(CheckpointVersionError, match="format 2, not 1"):
        await paying(store, paid).invoke(checkpoint_id="r")
    assert [each.status for each in await store.list()] == [RunStatus.WAITING]


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        pytest.param("answered", [1, ["ask"]], "a record of answers", id="answers that are none"),
        pytest.param(
            "answered", [1, {"ask": b"seal"}], "is not what the run went on with", id="an answer that is not there"
        ),
        pytest.param(
            "interrupt", [1, {"points": [], "levels": {}, "kept": {}, "shape": "?", "input": []}], "shape", id="shape"
        ),
        pytest.param(
            "interrupt",
            [1, {"points": [], "levels": {}, "kept": {}, "shape": "[]", "input": []}],
            "shape",
            id="no graph",
        ),
        pytest.param("level", 7, "not as eino writes it", id="a number"),
        pytest.param("level", [2, 3, 4], "not as eino writes it", id="three parts"),
        pytest.param("level", b"\xc1", "not as eino writes it", id="no msgpack"),
        pytest.param("answered", b"\x92\x01\xc1", "not as eino writes it", id="broken inside"),
        pytest.param("level", b"\x81\xd4\x00\x00\x00", "not as eino writes it", id="a key that is none"),
        pytest.param("answered", b"\x92\x01\x81\xd4\x00\x00\x00", "not as eino writes it", id="a key inside"),
    ],
)
async def test_a_record_that_eino_would_not_write_is_told_and_stays(kind: str, body: Any, said: str) -> None:
    store = MemoryStore()
    data = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
    run = await store.claim("r", "me", take_over=False, create=True)
    mac = _chained("", "r", 1, run.epoch, kind, body=data, before=b"")
    record = Record(1, run.epoch, kind, data, mac)
    await store.append("r", [record], expected_head=0, epoch=run.epoch, status=RunStatus.WAITING)
    with pytest.raises(CorruptCheckpointError, match=said):
        await paying(store, []).invoke("order", checkpoint_id="r")
    assert [each.status for each in await store.list()] == [RunStatus.WAITING]


async def test_an_answer_that_vanished_is_told() -> None:
    """A run that went on with an answer does not ask again because somebody removed it, and takes no other one."""
    store = MemoryStore()

    async def ask(order: str) -> str:
        return f"{order} {interrupt('one?')} {interrupt('two?')}"

    graph = Graph[str, str]().add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)
    runnable = graph.compile(checkpoint_store=store)
    question = await stopped(runnable)
    with pytest.raises(GraphInterrupt):
        await runnable.invoke(checkpoint_id="r", resume={question: "yes"})
    stored = store._runs["r"]
    (given,) = stored.answers.values()
    for answers in ({}, {question: b""}, {question: given[:-1] + b"?"}, {"other": given}):
        store._runs["r"] = StoredRun(
            "r", stored.epoch, stored.owner, stored.status, stored.head, stored.head_mac, stored.records, answers
        )
        with pytest.raises(CorruptCheckpointError, match="answer"):
            await Journal.peek(store, "r")


@pytest.mark.parametrize("name", ["checkpoint_id", "write_checkpoint_id"])
async def test_an_id_without_nul_is_needed(name: str) -> None:
    with pytest.raises(RunError, match="NUL"):
        await paying(MemoryStore(), []).invoke("order", **{name: "a\0b"})
