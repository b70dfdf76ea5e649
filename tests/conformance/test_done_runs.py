"""A run that is done and kept stays as it is, whoever comes late to resume it; so does one that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from eino import END, START, Graph, GraphInterrupt, MemoryStore, Runnable, interrupt
from eino.compose.effects import Settled
from eino.compose.journal import Journal
from eino.compose.store import Record, RunStatus, StoredRun
from eino.errors import CorruptCheckpointError, FencedError, RunError, StoreUnavailableError, UnknownRunError


async def ask(text: str) -> str:
    return f"{text} {interrupt('well?')}"


def asking(store: MemoryStore) -> Runnable[str, str]:
    graph = Graph[str, str]().add_lambda_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)
    return graph.compile(name="g", checkpoint_store=store, keep=True)


async def stopped(runnable: Runnable[str, str]) -> str:
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("x", checkpoint_id="r")
    return stop.value.contexts[0].id


async def found(store: MemoryStore) -> StoredRun:
    run = await store.load("r")
    assert run is not None
    return run


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"resume": {"the question": "no"}}, id="an answer"),
        pytest.param({}, id="no input"),
        pytest.param({"force_new_run": True}, id="forced without an input"),
    ],
)
async def test_a_late_call_leaves_a_run_that_is_done(options: dict[str, Any]) -> None:
    """The kept history is not discarded by a call that is refused."""
    store = MemoryStore()
    runnable = asking(store)
    question = await stopped(runnable)
    assert await runnable.invoke(checkpoint_id="r", resume={question: "yes"}) == "x yes"
    before = await found(store)

    with pytest.raises(UnknownRunError, match="'r' is over: there is nothing to resume; give an input to begin one"):
        await runnable.invoke(checkpoint_id="r", **options)

    after = await found(store)
    assert (after.status, after.records) == (RunStatus.DONE, before.records)
    assert await stopped(runnable) != question  # an input begins it anew


class DamagedStore(MemoryStore):
    """A store that gives its runs out with a head that does not fit."""

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        run = await super().claim(run_id, owner, take_over=take_over, create=create)
        return replace(run, head_mac=b"x" * 32) if run.head else run


async def test_a_damaged_run_is_given_back() -> None:
    """Whoever mends it can go on with it: the refused call does not keep it."""
    store = DamagedStore()
    runnable = asking(store)
    question = await stopped(runnable)

    with pytest.raises(CorruptCheckpointError):
        await runnable.invoke(checkpoint_id="r", resume={question: "yes"})

    assert (await found(store)).status is RunStatus.WAITING


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"points": 7}, id="a stop without its parts"),
        pytest.param("text", id="no stop at all"),
        pytest.param({"points": [], "levels": {"runnable:g": 1}, "kept": {}, "shape": 7, "input": []}, id="no shape"),
        pytest.param(
            {"points": [], "levels": {"runnable:g": 1}, "kept": {}, "shape": "{}", "input": []}, id="no place"
        ),
    ],
)
async def test_a_record_that_eino_does_not_write_is_told(body: Any) -> None:
    """Its chain is whole, so that somebody else wrote it: a clear error, and it stays as it is."""
    store = MemoryStore()
    journal = await Journal.open(store, "r")
    await journal.append("interrupt", body, "waiting")
    before = await found(store)

    with pytest.raises(CorruptCheckpointError, match="is not as eino writes it"):
        await asking(store).invoke(checkpoint_id="r")

    after = await found(store)
    assert (after.status, after.records) == (RunStatus.WAITING, before.records)


@pytest.mark.parametrize(
    "change",
    [lambda value: value[:-1] + b"?", lambda value: value[1:], lambda value: b""],
    ids=["other", "shorter", "none"],
)
async def test_a_damaged_answer_is_told(change: Callable[[bytes], bytes]) -> None:
    """Nobody goes on with an answer that was not given."""
    store = MemoryStore()
    runnable = asking(store)
    question = await stopped(runnable)
    journal = await Journal.open(store, "r")
    await journal.answer({question: "no"})
    value = (await found(store)).answers[question]
    await store.delete("r")
    await stopped(runnable)
    await store.answer("r", question, change(value))

    with pytest.raises(CorruptCheckpointError, match=f"the answer to interrupt '{question}' is not what was written"):
        await runnable.invoke(checkpoint_id="r", take_over=True)


class FailingStore(MemoryStore):
    """A store that is gone from some record on."""

    async def append(self, run_id: str, records: Sequence[Record], **options: Any) -> None:
        if options["expected_head"] >= 1:
            raise StoreUnavailableError("the store is gone")
        await super().append(run_id, records, **options)


async def test_a_store_that_fails_is_what_the_caller_hears_of() -> None:
    """Noting that the run broke off fails as well, which must not hide why."""

    async def fails(text: str) -> str:
        raise ValueError("the node is to blame")

    graph = Graph[str, str]().add_lambda_node("ask", fails).add_edge(START, "ask").add_edge("ask", END)
    runnable = graph.compile(name="g", checkpoint_store=FailingStore(), durability="step")

    with pytest.raises(RunError, match="the node is to blame"):
        await runnable.invoke("x", checkpoint_id="r")


@pytest.mark.parametrize("effect", [None, "at_most_once"])
async def test_a_replaced_worker_hears_that_it_is_fenced(effect: Any) -> None:
    """Wherever its next record is written, and not as a failure of a node."""
    store = MemoryStore()

    async def replaced(text: str) -> str:
        await store.claim("r", "another worker", take_over=True, create=False)
        return text

    graph = Graph[str, str]().add_lambda_node("one", replaced, **({"effect": effect} if effect else {}))
    graph.add_lambda_node("two", replaced).add_edge(START, "one").add_edge("one", "two").add_edge("two", END)
    runnable = graph.compile(name="g", checkpoint_store=store, durability="step")

    with pytest.raises(FencedError, match="taken over by another worker"):
        await runnable.invoke("x", checkpoint_id="r")


class Killed(BaseException):
    """The process is gone."""


class MortalStore(MemoryStore):
    """A store whose worker dies at a record of one kind."""

    dies_at = "result"

    async def append(self, run_id: str, records: Sequence[Record], **options: Any) -> None:
        if self.dies_at in [record.kind for record in records]:
            self.dies_at = "any"
        if self.dies_at == "any":
            raise Killed
        await super().append(run_id, records, **options)


async def test_an_answer_lets_an_effect_happen_again_once() -> None:
    """Killed in the second attempt as well: nobody has said that this one did not happen, so somebody is asked again."""
    store = MortalStore()
    paid: list[str] = []

    async def pay(text: str) -> str:
        paid.append(text)
        return text

    graph = Graph[str, str]().add_lambda_node("pay", pay, effect="at_most_once").add_edge(START, "pay")
    runnable = graph.add_edge("pay", END).compile(name="g", checkpoint_store=store, durability="step")

    async def killed(**options: Any) -> None:
        store.dies_at = "result"
        with pytest.raises(Killed):
            await runnable.invoke("x", checkpoint_id="r", take_over=True, **options)
        store.dies_at = ""

    async def asked() -> str:
        with pytest.raises(GraphInterrupt) as stop:
            await runnable.invoke("x", checkpoint_id="r", take_over=True)
        return stop.value.contexts[0].id

    await killed()
    first = await asked()
    await killed(resume={first: "retry"})
    second = await asked()

    assert (paid, second != first) == (["x", "x"], True)
    assert await runnable.invoke("x", checkpoint_id="r", resume={second: Settled("done")}) == "done"
    assert paid == ["x", "x"]


async def test_a_refused_copy_of_a_run_that_is_over_leaves_nothing() -> None:
    """The place that the copy was to have is free as before."""
    store = MemoryStore()
    runnable = asking(store)
    question = await stopped(runnable)
    await runnable.invoke(checkpoint_id="r", resume={question: "yes"})

    with pytest.raises(UnknownRunError, match="is over"):
        await runnable.invoke(checkpoint_id="r", write_checkpoint_id="copy")

    assert [run.run_id for run in await store.list()] == ["r"]
