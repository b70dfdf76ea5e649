"""SealedStore: what was not signed with a known key is refused, wherever it was put."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from eino import END, START, Graph, GraphInterrupt, MemoryStore, SealedStore, interrupt
from eino.compose.journal import Journal, _chained
from eino.compose.store import Record, RunStatus, StoredRun
from eino.errors import BuildError, CorruptCheckpointError
from eino_harness.conformance import CheckpointStoreConformance

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


class TestSealedStore(CheckpointStoreConformance):
    without = {  # noqa: RUF012
        "shared": "as the store inside",
        "namespaces": "as the store inside",
        "liveness": "as the store inside",
        "errors": "as the store inside",
    }

    def make(self) -> Any:
        return SealedStore(MemoryStore(), {"k": NEW})


async def ask(order: str) -> str:
    return f"{order} {interrupt('one?')} {interrupt('two?')}"


async def waiting(store: Any) -> Any:
    """A run that has two records and an answer."""
    graph = Graph[str, str]().add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)
    runnable = graph.compile(checkpoint_store=store)
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("pay", checkpoint_id="r")
    question = stop.value.contexts[0].id
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke(checkpoint_id="r", resume={question: "yes"})
    return runnable, stop.value.contexts[0].id


async def test_a_run_goes_on_and_keys_are_replaced() -> None:
    inner = MemoryStore()
    await waiting(SealedStore(inner, {"old": OLD}))
    both = SealedStore(inner, {"old": OLD, "new": NEW})
    graph = Graph[str, str]().add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)
    runnable = graph.compile(checkpoint_store=both, keep=True)
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke(checkpoint_id="r")
    answered = {stop.value.contexts[0].id: "no"}
    assert await runnable.invoke(checkpoint_id="r", resume=answered) == "pay yes no"
    assert {each.mac[1:4] for each in inner._runs["r"].records} == {b"old", b"new"}
    with pytest.raises(CorruptCheckpointError, match=r"known here \('new'\), but with b'old'"):
        await Journal.peek(SealedStore(inner, {"new": NEW}), "r")
    first = SealedStore(MemoryStore(), {"old": OLD, "new": NEW}, key_id="old")
    await waiting(first)
    assert {each.mac[1:4] for each in first._store._runs["r"].records} == {b"old"}  # type: ignore[attr-defined]


def _forged(run: StoredRun) -> StoredRun:
    """A chain that fits, as somebody without the key can make it."""
    before, records = b"", []
    for each in run.records:
        mac = _chained("", "r", each.seq, each.epoch, each.kind, body=each.body, before=before)
        records.append(replace(each, mac=mac))
        before = mac
    return replace(run, records=tuple(records), head_mac=before)


def _record(**change: Any) -> Callable[[StoredRun], StoredRun]:
    return lambda run: replace(run, records=(replace(run.records[0], **change), *run.records[1:]))


def _cut(run: StoredRun) -> StoredRun:
    return replace(run, records=run.records[:-1], head=run.head - 1)


DAMAGE: dict[str, Callable[[StoredRun], StoredRun]] = {
    "forged": _forged,
    "body": _record(body=b"\x92\x01\x80"),
    "kind": _record(kind="end"),
    "epoch": _record(epoch=9),
    "no signature": _record(mac=b""),
    "short signature": _record(mac=b"\x03old"),
    "no answer": lambda run: replace(run, answers=dict.fromkeys(run.answers, b"")),
    "unsigned answer": lambda run: replace(run, answers={each: value[36:] for each, value in run.answers.items()}),
    "moved answer": lambda run: replace(run, answers={f"{each}x": value for each, value in run.answers.items()}),
    "cut": _cut,
    "head": lambda run: replace(run, head_mac=b"x"),
    "status of another": lambda run: replace(run, records=tuple(reversed(run.records))),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
async def test_what_was_not_signed_is_refused_and_left_as_it_is(damage: str) -> None:
    inner = MemoryStore()
    runnable, _ = await waiting(SealedStore(inner, {"old": OLD}))
    inner._runs["r"] = DAMAGE[damage](inner._runs["r"])
    before = inner._runs["r"]
    with pytest.raises(CorruptCheckpointError, match="'r'"):
        await runnable.invoke(checkpoint_id="r")
    after = inner._runs["r"]
    assert (after.records, dict(after.answers), after.status) == (before.records, dict(before.answers), before.status)


async def test_records_of_another_run_or_namespace_are_refused() -> None:
    inner = MemoryStore()
    await waiting(SealedStore(inner, {"old": OLD}))
    inner._runs["s"] = replace(inner._runs["r"], run_id="s")
    inner._changed_s["s"] = 0.0
    with pytest.raises(CorruptCheckpointError, match="'s'"):
        await SealedStore(inner, {"old": OLD}).load("s")
    inner.namespace = "other"
    with pytest.raises(CorruptCheckpointError, match="'r'"):
        await SealedStore(inner, {"old": OLD}).load("r")


async def test_what_was_stored_without_a_signature_is_refused() -> None:
    inner = MemoryStore()
    await waiting(inner)
    with pytest.raises(CorruptCheckpointError, match="or not at all"):
        await SealedStore(inner, {"old": OLD}).load("r")


@pytest.mark.parametrize(
    ("keys", "key_id", "said"),
    [
        ({}, None, "none of the keys"),
        ({"a": b"short-secret"}, None, "32 random bytes"),
        ({"a": "x" * 32}, None, "32 random bytes"),
        ({"": OLD}, None, "1 to 255 bytes"),
        ({"ü" * 128: OLD}, None, "1 to 255 bytes"),
        ({"a": OLD}, "b", "key_id='b'"),
    ],
)
def test_keys_that_are_none_are_refused(keys: Any, key_id: str | None, said: str) -> None:
    with pytest.raises(BuildError, match=said) as refused:
        SealedStore(MemoryStore(), keys, key_id=key_id)
    assert "short-secret" not in str(refused.value)


async def test_no_key_is_shown() -> None:
    store = SealedStore(MemoryStore(), {"a": b"\x41" * 32})
    assert "AAAA" not in repr(store)
    run = await store.claim("r", "me", take_over=False, create=True)
    await store.append("r", [Record(1, 1, "k", b"", b"m")], expected_head=0, epoch=run.epoch, status=RunStatus.DONE)
    assert b"AAAA" not in store._store._runs["r"].records[0].mac  # type: ignore[attr-defined]
