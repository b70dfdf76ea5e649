"""Every check of the suite for stores of runs can fail: each is shown a store that breaks just its promise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from eino import MemoryStore
from eino.compose.store import Record, RunStatus, RunSummary, StoredRun
from eino.errors import (
    AlreadyAnsweredError,
    CheckpointError,
    FencedError,
    RunActiveError,
    StoreUnavailableError,
    UnknownRunError,
)
from eino_harness.conformance import CheckpointStoreConformance, ConformanceError, check_conformance


@dataclass
class Place:
    """What several stores share."""

    last_epoch: int = 0
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    workers: dict[tuple[str, str], object] = field(default_factory=dict)
    living: list[object] = field(default_factory=list)


class Store(MemoryStore):
    """A store that keeps the contract; the broken ones replace a part of it."""

    def __init__(self, place: Place | None = None, namespace: str = "") -> None:
        super().__init__()
        self.place = place or Place()
        self.namespace = namespace
        self._runs = self.place.runs.setdefault(namespace, {})
        self._changed_s = self.place.changed.setdefault(namespace, {})
        self.place.living.append(self)

    @property
    def _last_epoch(self) -> int:
        return self.place.last_epoch

    @_last_epoch.setter
    def _last_epoch(self, value: int) -> None:
        if hasattr(self, "place"):
            self.place.last_epoch = value

    def is_gone(self, worker: object) -> bool:
        return worker not in self.place.living

    async def claim(self, run_id: str, owner: str, *, take_over: Any, create: bool) -> StoredRun:
        run = self._runs.get(run_id)
        worker = self.place.workers.get((self.namespace, run_id))
        if run is not None and take_over is False and worker is not None and self.is_gone(worker):
            take_over = run.owner
        claimed = await super().claim(run_id, owner, take_over=take_over, create=create)
        self.place.workers[self.namespace, run_id] = self
        return claimed

    def beside(self, namespace: str | None) -> Any:
        return type(self)(self.place, self.namespace if namespace is None else namespace)


def kit(parent: Any = Store, **change: Any) -> Any:
    """Return the suite for a store that is changed so."""
    broken = type("Broken", (parent,), change)

    def make(self: Any) -> Any:
        return broken()

    def make_failing(self: Any) -> Any:
        return Down()

    def beside(self: Any, store: Any, namespace: str | None = None) -> Any:
        return store.beside(namespace)

    async def leave(self: Any, store: Any) -> None:
        store.place.living.remove(store)

    return type(
        "Kit",
        (CheckpointStoreConformance,),
        {"make": make, "make_failing": make_failing, "beside": beside, "leave": leave},
    )


class Down:
    """A store that cannot be reached."""

    namespace = ""
    error: Any = StoreUnavailableError("nobody is there")

    async def fail(self, *args: Any, **options: Any) -> Any:
        raise self.error

    claim = append = load = answer = list = delete = fail


def failing(**change: Any) -> Any:
    down = type("BrokenDown", (Down,), change)
    return type("Kit", (kit(),), {"make_failing": lambda self: down()})


def on_claim(change: Any) -> Any:
    """A store whose claims come back changed."""

    async def claim(self: Any, run_id: str, owner: str, **options: Any) -> Any:
        return change(await Store.claim(self, run_id, owner, **options))

    return kit(claim=claim)


def on_load(change: Any) -> Any:
    """A store whose runs come back changed when they are read."""

    async def load(self: Any, run_id: str) -> Any:
        run = await Store.load(self, run_id)
        return None if run is None else change(run)

    return kit(load=load)


def claims(**forced: Any) -> Any:
    """A store that claims as if it was told something else."""

    async def claim(self: Any, run_id: str, owner: str, **options: Any) -> Any:
        return await Store.claim(self, run_id, owner, **{**options, **forced})

    return kit(claim=claim)


def changing(run_id: str, self: Any, **change: Any) -> None:
    if run_id in self._runs:
        self._runs[run_id] = replace(self._runs[run_id], **change)


async def keeps_old_status(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    before = self._runs.get(run_id)
    claimed = await Store.claim(self, run_id, owner, **options)
    changing(run_id, self, status=before.status if before else RunStatus.NEW)
    return claimed


async def keeps_old_owner(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    claimed = await Store.claim(self, run_id, owner, **options)
    changing(run_id, self, owner="one")
    return claimed


async def begins_where_refused(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    try:
        return await Store.claim(self, run_id, owner, **options)
    except UnknownRunError:
        await Store.claim(self, run_id, owner, **{**options, "create": True})
        raise


async def raises_where_refused(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    try:
        return await Store.claim(self, run_id, owner, **options)
    except RunActiveError:
        changing(run_id, self, epoch=self._runs[run_id].epoch + 1)
        raise


async def names_nobody(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    try:
        return await Store.claim(self, run_id, owner, **options)
    except RunActiveError as error:
        raise RunActiveError(str(error)) from None


async def never_takes_over(self: Any, run_id: str, owner: str, *, take_over: Any, create: bool) -> Any:
    return await Store.claim(self, run_id, owner, take_over=False, create=create)


async def takes_over_from_anyone(self: Any, run_id: str, owner: str, *, take_over: Any, create: bool) -> Any:
    return await Store.claim(self, run_id, owner, take_over=bool(take_over), create=create)


async def takes_over_and_forgets(self: Any, run_id: str, owner: str, *, take_over: Any, create: bool) -> Any:
    if take_over:
        changing(run_id, self, records=(), head=0, head_mac=b"")
    return await Store.claim(self, run_id, owner, take_over=take_over, create=create)


async def same_epoch(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    before = self._runs.get(run_id)
    claimed = await Store.claim(self, run_id, owner, **options)
    if before is None:
        return claimed
    changing(run_id, self, epoch=before.epoch)
    return replace(claimed, epoch=before.epoch)


async def epochs_of_each_run(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    before = self._runs.get(run_id)
    claimed = await Store.claim(self, run_id, owner, **options)
    epoch = 1 if before is None else before.epoch + 1
    changing(run_id, self, epoch=epoch)
    return replace(claimed, epoch=epoch)


async def falling_epochs(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    claimed = await Store.claim(self, run_id, owner, **options)
    changing(run_id, self, epoch=1000 - claimed.epoch)
    return replace(claimed, epoch=1000 - claimed.epoch)


async def claims_slowly(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    if (run := self._runs.get(run_id)) is not None and run.status is RunStatus.RUNNING:
        return await Store.claim(self, run_id, owner, **options)
    await checkpoint()
    return await Store.claim(self, run_id, owner, **{**options, "take_over": True})


async def takes_over_slowly(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    epoch = self.place.last_epoch
    await checkpoint()
    self.place.last_epoch = epoch
    return await Store.claim(self, run_id, owner, **options)


async def never_fenced(self: Any, run_id: str, records: Any, *, expected_head: int, epoch: int, status: Any) -> None:
    run = self._runs.get(run_id)
    epoch = epoch if run is None else run.epoch
    await Store.append(self, run_id, records, expected_head=expected_head, epoch=epoch, status=status)


async def fences_the_past(self: Any, run_id: str, records: Any, *, expected_head: int, epoch: int, status: Any) -> None:
    run = self._runs.get(run_id)
    epoch = epoch if run is None else min(epoch, run.epoch)
    await Store.append(self, run_id, records, expected_head=expected_head, epoch=epoch, status=status)


async def sets_status_when_fenced(self: Any, run_id: str, records: Any, **options: Any) -> None:
    try:
        await Store.append(self, run_id, records, **options)
    except FencedError:
        if options["status"] is not None:
            changing(run_id, self, status=options["status"])
        raise


async def fences_records_only(
    self: Any, run_id: str, records: Any, *, expected_head: int, epoch: int, status: Any
) -> None:
    run = self._runs.get(run_id)
    epoch = epoch if run is None or records else run.epoch
    await Store.append(self, run_id, records, expected_head=expected_head, epoch=epoch, status=status)


async def half_when_cancelled(self: Any, run_id: str, records: Any, **options: Any) -> None:
    if len(records) != 2 or options["expected_head"]:
        await Store.append(self, run_id, records, **options)
        return
    await Store.append(self, run_id, records[:1], **options)
    await checkpoint()
    await Store.append(self, run_id, records[1:], **{**options, "expected_head": options["expected_head"] + 1})


def adding(change: Any) -> Any:
    """A store that stores other records than it was given."""

    async def append(self: Any, run_id: str, records: Any, **options: Any) -> None:
        await Store.append(self, run_id, records, **options)
        if records:
            run = self._runs[run_id]
            changing(run_id, self, records=change(run.records))

    return kit(append=append)


def each_record(**change: Any) -> Any:
    return adding(lambda records: tuple(replace(each, **{k: f(each) for k, f in change.items()}) for each in records))


def as_text(records: tuple[Record, ...]) -> Any:
    return tuple(sorted(records, key=lambda each: str(each.seq)))


async def replaces(self: Any, run_id: str, records: Any, *, expected_head: int, epoch: int, status: Any) -> None:
    run = self._runs.get(run_id)
    if run is not None and run.head > expected_head and run.epoch == epoch:
        changing(run_id, self, records=run.records[:expected_head], head=expected_head)
    await Store.append(self, run_id, records, expected_head=expected_head, epoch=epoch, status=status)


async def loses(self: Any, run_id: str, records: Any, *, expected_head: int, epoch: int, status: Any) -> None:
    run = self._runs.get(run_id)
    if run is None or run.head <= expected_head:
        await Store.append(self, run_id, records, expected_head=expected_head, epoch=epoch, status=status)


async def leaves_gaps(self: Any, run_id: str, records: Any, *, expected_head: int, epoch: int, status: Any) -> None:
    run = self._runs.get(run_id)
    if run is not None and run.head < expected_head:
        changing(run_id, self, head=expected_head)
    await Store.append(self, run_id, records, expected_head=expected_head, epoch=epoch, status=status)


async def takes_any_sequence(self: Any, run_id: str, records: Any, **options: Any) -> None:
    start = options["expected_head"] + 1
    await Store.append(self, run_id, [replace(each, seq=start + n) for n, each in enumerate(records)], **options)


async def keeps_status(self: Any, run_id: str, records: Any, **options: Any) -> None:
    await Store.append(self, run_id, records, **{**options, "status": None})


async def ignores_status_alone(self: Any, run_id: str, records: Any, **options: Any) -> None:
    if records:
        await Store.append(self, run_id, records, **options)


async def runs_without_status(self: Any, run_id: str, records: Any, **options: Any) -> None:
    await Store.append(self, run_id, records, **{**options, "status": options["status"] or RunStatus.RUNNING})


async def drops_answers(self: Any, run_id: str, records: Any, **options: Any) -> None:
    await Store.append(self, run_id, records, **options)
    changing(run_id, self, answers={})


async def touches_others(self: Any, run_id: str, records: Any, **options: Any) -> None:
    await Store.append(self, run_id, records, **options)
    for other in self._runs:
        changing(other, self, status=options["status"] or self._runs[other].status)


async def begins_by_append(self: Any, run_id: str, records: Any, **options: Any) -> None:
    if run_id not in self._runs:
        await Store.claim(self, run_id, "nobody", take_over=False, create=True)
    await Store.append(self, run_id, records, **options)


async def appends_slowly(self: Any, run_id: str, records: Any, **options: Any) -> None:
    run = self._runs.get(run_id)
    if run is None or not records or run.epoch != options["epoch"] or run.head != options["expected_head"]:
        await Store.append(self, run_id, records, **options)
        return
    await checkpoint()
    if self._runs.get(run_id) is not None:
        self._runs[run_id] = run
    await Store.append(self, run_id, records, **options)


async def in_two_steps(self: Any, run_id: str, records: Any, **options: Any) -> None:
    for record in records:
        await Store.append(self, run_id, [record], **options)
        options["expected_head"] += 1
        for _ in range(3):  # trio shuffles who is next: after one turn, a reader may not have had its own
            await checkpoint()


async def begins_by_load(self: Any, run_id: str) -> Any:
    run = await Store.load(self, run_id)
    if run is None:
        self._runs[run_id] = StoredRun(run_id, 0, "", RunStatus.NEW, 0, b"", ())
        self._changed_s[run_id] = 0.0
    return run


async def claims_by_load(self: Any, run_id: str) -> Any:
    if run_id in self._runs:
        changing(run_id, self, epoch=self._runs[run_id].epoch + 1)
    return await Store.load(self, run_id)


async def shares_answers(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    await Store.answer(self, run_id, interrupt_id, value)
    changing(run_id, self, answers=dict(self._runs[run_id].answers))


async def answers_text(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    await Store.answer(self, run_id, interrupt_id, value.decode(errors="replace").encode())


async def one_answer(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    await Store.answer(self, run_id, interrupt_id, value)
    changing(run_id, self, answers={interrupt_id: value})


async def last_answer(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    if run_id in self._runs:
        rest = {each: kept for each, kept in self._runs[run_id].answers.items() if each != interrupt_id}
        changing(run_id, self, answers=rest)
    await Store.answer(self, run_id, interrupt_id, value)


async def same_answer_again(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    run = self._runs.get(run_id)
    if run is None or run.answers.get(interrupt_id) != value:
        await Store.answer(self, run_id, interrupt_id, value)


async def overwritten_and_refused(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    try:
        await Store.answer(self, run_id, interrupt_id, value)
    except AlreadyAnsweredError:
        changing(run_id, self, answers={interrupt_id: value})
        raise


async def answers_slowly(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    run = self._runs.get(run_id)
    if run is None or interrupt_id in run.answers:
        await Store.answer(self, run_id, interrupt_id, value)
        return
    await checkpoint()
    changing(run_id, self, answers={**run.answers, interrupt_id: value})


async def answers_nobody(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    if run_id in self._runs:
        await Store.answer(self, run_id, interrupt_id, value)


async def begins_by_answer(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    if run_id not in self._runs:
        await begins_by_load(self, run_id)
        raise UnknownRunError("there was no run")
    await Store.answer(self, run_id, interrupt_id, value)


async def claims_by_answer(self: Any, run_id: str, interrupt_id: str, value: bytes) -> None:
    await Store.answer(self, run_id, interrupt_id, value)
    changing(run_id, self, epoch=self._runs[run_id].epoch + 1)


def listing(change: Any) -> Any:
    async def summaries(self: Any) -> Any:
        return change(await Store.list(self))

    return kit(list=summaries)


def each_summary(**change: Any) -> Any:
    return listing(lambda found: [replace(each, **change) for each in found])


def by_insertion(self: Any) -> Any:
    return [RunSummary(run.run_id, run.status, run.owner, run.head, run.epoch, 0.0) for run in self._runs.values()]


async def unsorted(self: Any) -> Any:
    return by_insertion(self)


async def leaves_answers(self: Any, run_id: str, *, epoch: int | None = None) -> None:
    run = self._runs.get(run_id)
    await Store.delete(self, run_id, epoch=epoch)
    if run is not None:
        self.left = {**getattr(self, "left", {}), run_id: run.answers}


async def finds_answers(self: Any, run_id: str, owner: str, **options: Any) -> Any:
    claimed = await Store.claim(self, run_id, owner, **options)
    left = getattr(self, "left", {}).get(run_id)
    return claimed if left is None else replace(claimed, answers=left)


async def deletes_all(self: Any, run_id: str, *, epoch: int | None = None) -> None:
    await Store.delete(self, run_id, epoch=epoch)
    self._runs.clear()


async def hides_only(self: Any, run_id: str, *, epoch: int | None = None) -> None:
    run = self._runs.get(run_id)
    await Store.delete(self, run_id, epoch=epoch)
    if run is not None:
        self._runs[run_id], self._changed_s[run_id] = replace(run, status=RunStatus.CANCELLED), 0.0


async def deletes_unfenced(self: Any, run_id: str, *, epoch: int | None = None) -> None:
    await Store.delete(self, run_id)


async def deletes_what_is_there(self: Any, run_id: str, *, epoch: int | None = None) -> None:
    if run_id not in self._runs:
        raise UnknownRunError("there is no run")
    await Store.delete(self, run_id, epoch=epoch)


def folding(fold: Any) -> Any:
    """A store that takes some ids for the same."""

    class Folding(Store):
        async def claim(self, run_id: str, owner: str, **options: Any) -> Any:
            return await super().claim(fold(run_id), owner, **options)

        async def append(self, run_id: str, records: Any, **options: Any) -> Any:
            return await super().append(fold(run_id), records, **options)

        async def load(self, run_id: str) -> Any:
            return await super().load(fold(run_id))

        async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
            await super().answer(fold(run_id), interrupt_id, value)

        async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
            await super().delete(fold(run_id), epoch=epoch)

    return kit(Folding)


class Forgetful(Store):
    """Each object has runs of its own."""

    def beside(self, namespace: str | None) -> Any:
        return type(self)(None, self.namespace if namespace is None else namespace)


class OneNamespace(Store):
    """All namespaces are one."""

    def beside(self, namespace: str | None) -> Any:
        other = type(self)(self.place)
        other.namespace = namespace or ""
        return other


class NewEpochs(Store):
    """Counts epochs anew when it is opened."""

    def __init__(self, place: Place | None = None, namespace: str = "") -> None:
        super().__init__(place, namespace)
        self.place.last_epoch = 0


class Cached(Store):
    """Answers from what it has read before."""

    async def load(self, run_id: str) -> Any:
        cache = self.__dict__.setdefault("cache", {})
        if run_id not in cache:
            cache[run_id] = await super().load(run_id)
        return cache[run_id]

    async def append(self, run_id: str, records: Any, **options: Any) -> None:
        await super().append(run_id, records, **options)
        self.__dict__.setdefault("cache", {}).pop(run_id, None)

    async def claim(self, run_id: str, owner: str, **options: Any) -> Any:
        claimed = await super().claim(run_id, owner, **options)
        self.__dict__.setdefault("cache", {}).pop(run_id, None)
        return claimed


class UnfencedBeside(Store):
    """Asks only its own memory for who has the run."""

    async def append(self, run_id: str, records: Any, *, expected_head: int, epoch: int, status: Any) -> None:
        mine = self.__dict__.get("mine")
        if mine == epoch and run_id in self._runs:
            epoch = self._runs[run_id].epoch
        await super().append(run_id, records, expected_head=expected_head, epoch=epoch, status=status)

    async def claim(self, run_id: str, owner: str, **options: Any) -> Any:
        claimed = await super().claim(run_id, owner, **options)
        self.mine = claimed.epoch
        return claimed


class ManyWinners(Store):
    """Each object refuses only its own workers."""

    async def claim(self, run_id: str, owner: str, **options: Any) -> Any:
        has = self.place.workers.get((self.namespace, run_id))
        if has is not None and has is not self:
            options["take_over"] = True
        return await super().claim(run_id, owner, **options)


class Immortal(Store):
    def is_gone(self, worker: object) -> bool:
        return False


class AllGone(Store):
    def is_gone(self, worker: object) -> bool:
        return len(self.place.living) < 3 and len(self.place.workers) > 1


class UnfencedDead(Store):
    """Takes runs of dead workers over, but under the same epoch."""

    async def claim(self, run_id: str, owner: str, *, take_over: Any, create: bool) -> Any:
        run = self._runs.get(run_id)
        worker = self.place.workers.get((self.namespace, run_id))
        claimed = await super().claim(run_id, owner, take_over=take_over, create=create)
        if run is not None and worker is not None and self.is_gone(worker):
            changing(run_id, self, epoch=run.epoch)
            return replace(claimed, epoch=run.epoch)
        return claimed


BROKEN: list[tuple[str, Any]] = [
    ("test_it_has_the_methods_of_a_store", kit(answer=None)),
    ("test_it_has_the_methods_of_a_store", kit(namespace=property(lambda self: None, lambda self, value: None))),
    ("test_a_new_run_is_empty", on_claim(lambda run: replace(run, status=RunStatus.RUNNING))),
    ("test_a_new_run_is_empty", on_claim(lambda run: replace(run, epoch=run.epoch - 1))),
    ("test_a_claim_begins_a_run_only_if_asked", claims(create=True)),
    ("test_a_claim_begins_a_run_only_if_asked", kit(claim=begins_where_refused)),
    ("test_a_claimed_run_is_running", kit(claim=keeps_old_status)),
    ("test_a_claimed_run_is_running", kit(claim=keeps_old_owner)),
    ("test_a_claim_gives_all_that_is_stored", on_claim(lambda run: replace(run, records=run.records[1:]))),
    ("test_a_claim_gives_all_that_is_stored", on_claim(lambda run: replace(run, answers={}))),
    ("test_a_claim_gives_all_that_is_stored", on_claim(lambda run: replace(run, status=RunStatus.NEW))),
    ("test_a_running_run_is_refused", claims(take_over=True)),
    ("test_a_running_run_is_refused", kit(claim=names_nobody)),
    ("test_a_refused_claim_changes_nothing", kit(claim=raises_where_refused)),
    ("test_a_running_run_can_be_taken_over", kit(claim=never_takes_over)),
    ("test_a_running_run_can_be_taken_over", kit(claim=takes_over_and_forgets)),
    ("test_a_run_is_taken_over_from_a_named_owner_only", kit(claim=takes_over_from_anyone)),
    ("test_a_worker_that_was_replaced_is_fenced", kit(append=never_fenced)),
    ("test_a_worker_that_was_replaced_is_fenced", kit(append=fences_records_only)),
    ("test_epochs_of_the_future_are_fenced", kit(append=fences_the_past)),
    ("test_each_claim_raises_the_epoch", kit(claim=same_epoch)),
    ("test_each_claim_raises_the_epoch", kit(claim=falling_epochs)),
    ("test_epochs_do_not_begin_again_after_a_delete", kit(claim=epochs_of_each_run)),
    ("test_of_many_who_claim_one_wins", kit(claim=claims_slowly)),
    ("test_of_many_who_take_over_the_last_one_has_it", kit(claim=takes_over_slowly)),
    ("test_a_cancelled_call_does_all_or_nothing", kit(append=half_when_cancelled)),
    ("test_runs_are_deleted_by_those_who_have_them", kit(delete=deletes_unfenced)),
    ("test_runs_are_deleted_by_those_who_have_them", kit(delete=hides_only)),
    ("test_records_come_back_as_they_were_written", each_record(body=lambda each: each.body.rstrip(b"\0"))),
    ("test_records_come_back_as_they_were_written", each_record(body=lambda each: each.body.decode("latin-1"))),
    ("test_records_come_back_as_they_were_written", each_record(epoch=lambda each: each.epoch % 2**32)),
    (
        "test_records_come_back_as_they_were_written",
        each_record(kind=lambda each: each.kind.encode("ascii", "replace")),
    ),
    ("test_records_come_back_as_they_were_written", each_record(mac=lambda each: each.mac[:32])),
    ("test_records_come_back_as_they_were_written", each_record(body=lambda each: each.body[:65536])),
    ("test_records_come_in_their_order", adding(as_text)),
    ("test_records_come_in_their_order", on_load(lambda run: replace(run, records=run.records[:100]))),
    ("test_the_head_is_the_last_record", on_load(lambda run: replace(run, head_mac=b""))),
    ("test_the_head_is_the_last_record", on_load(lambda run: replace(run, head=min(run.head, 4)))),
    ("test_a_record_that_was_overtaken_is_refused", kit(append=replaces)),
    ("test_a_record_that_was_overtaken_is_refused", kit(append=loses)),
    ("test_a_record_that_was_overtaken_is_refused", kit(append=sets_status_when_fenced)),
    ("test_gaps_are_refused", kit(append=leaves_gaps)),
    ("test_gaps_are_refused", kit(append=takes_any_sequence)),
    ("test_a_status_comes_with_its_records", kit(append=keeps_status)),
    ("test_a_status_comes_with_its_records", kit(append=ignores_status_alone)),
    ("test_a_status_comes_with_its_records", kit(append=runs_without_status)),
    ("test_an_append_changes_nothing_else", kit(append=drops_answers)),
    ("test_an_append_changes_nothing_else", kit(append=touches_others)),
    ("test_an_unknown_run_takes_no_records", kit(append=begins_by_append)),
    ("test_of_many_who_append_one_wins", kit(append=appends_slowly)),
    ("test_what_is_read_is_of_one_moment", kit(append=in_two_steps)),
    ("test_an_unknown_run_is_none", kit(load=begins_by_load)),
    ("test_a_look_disturbs_nobody", kit(load=claims_by_load)),
    ("test_what_was_read_is_the_caller_s_own", kit(answer=shares_answers)),
    ("test_answers_come_back_as_they_were_given", kit(answer=answers_text)),
    ("test_answers_come_back_as_they_were_given", kit(answer=one_answer)),
    ("test_the_first_answer_counts", kit(answer=last_answer)),
    ("test_the_first_answer_counts", kit(answer=same_answer_again)),
    ("test_the_first_answer_counts", kit(answer=overwritten_and_refused)),
    ("test_of_many_who_answer_one_wins", kit(answer=answers_slowly)),
    ("test_an_answer_needs_a_run", kit(answer=answers_nobody)),
    ("test_an_answer_needs_a_run", kit(answer=begins_by_answer)),
    ("test_an_answer_disturbs_nobody", kit(answer=claims_by_answer)),
    ("test_the_list_is_complete_and_sorted", listing(lambda found: found[:50])),
    ("test_the_list_is_complete_and_sorted", kit(list=unsorted)),
    ("test_the_list_tells_how_runs_stand", each_summary(status=RunStatus.RUNNING)),
    ("test_the_list_tells_how_runs_stand", each_summary(idle_s=-3600.0)),
    ("test_the_list_tells_how_runs_stand", each_summary(epoch=0)),
    ("test_a_delete_takes_all_along", kit(delete=leaves_answers, claim=finds_answers)),
    ("test_a_delete_takes_all_along", kit(delete=deletes_all)),
    ("test_a_delete_of_an_unknown_run_is_no_error", kit(delete=deletes_what_is_there)),
    ("test_runs_do_not_mix", folding(str.lower)),
    ("test_runs_do_not_mix", folding(str.strip)),
    ("test_runs_do_not_mix", folding(lambda run_id: run_id[:64])),
    ("test_another_store_of_the_place_sees_the_same", kit(Forgetful)),
    ("test_another_store_of_the_place_sees_the_same", kit(Cached)),
    ("test_a_store_is_opened_again", kit(NewEpochs)),
    ("test_another_store_is_fenced_too", kit(UnfencedBeside)),
    ("test_of_many_stores_one_wins", kit(ManyWinners)),
    ("test_namespaces_do_not_mix", kit(OneNamespace)),
    ("test_runs_of_a_worker_that_is_gone_are_free", kit(Immortal)),
    ("test_runs_of_a_worker_that_is_gone_are_free", kit(UnfencedDead)),
    ("test_runs_of_a_worker_that_lives_are_not_free", kit(AllGone)),
    ("test_a_store_that_is_down_says_so", failing(error=ConnectionRefusedError("nobody is there"))),
    ("test_a_store_that_is_down_says_so", failing(error=StoreUnavailableError(""))),
]


def cases() -> Iterator[Any]:
    for number, (check, suite) in enumerate(BROKEN):
        yield pytest.param(check, suite, id=f"{check.removeprefix('test_')}-{number}")


@pytest.mark.parametrize(("check", "suite"), list(cases()))
async def test_a_store_that_breaks_a_promise_is_found(check: str, suite: Any) -> None:
    with pytest.raises(Exception) as found:
        await getattr(suite(), check)()

    error: BaseException = found.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConformanceError | CheckpointError), repr(error)  # not a mistake of the proof
    assert str(error)


async def test_a_store_that_keeps_the_contract_passes() -> None:
    report = await check_conformance(kit())

    assert report.ok, report.markdown()


def test_every_check_has_a_proof() -> None:
    assert {check for check, _ in BROKEN} == set(kit().checks())


@pytest.mark.parametrize("name", ["make_failing", "beside", "leave"])
async def test_what_must_be_defined_says_so(name: str) -> None:
    class Kit(CheckpointStoreConformance):
        def make(self) -> Any:
            return MemoryStore()

    with pytest.raises(NotImplementedError, match=rf"{name}.*without"):
        result = getattr(Kit(), name)(*(() if name == "make_failing" else (MemoryStore(),)))
        await result
