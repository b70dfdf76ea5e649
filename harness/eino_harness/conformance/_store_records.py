"""Checks of stores: what is written is there, as it was written, whole, and nowhere else."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel

from eino.compose.store import Record, RunStatus
from eino.errors import AlreadyAnsweredError, FencedError, UnknownRunError
from eino_harness.conformance._store_checks import RUN, add, claim, record, records, refused, same, stored
from eino_harness.conformance._suite import Conformance, at_once, require

__all__ = ["RecordChecks"]

MANY = 120
"""Records and runs where there are to be many: more than one page of most services that give pages."""
LARGE_BYTES = 1_000_000
IDS = (
    "a",
    "A",
    "a ",
    " a",
    "a/b",
    "a%",
    "a_",
    "a'; DROP TABLE runs; --",
    "{0}",
    "%s",
    "$1",
    "\u00e9",
    "e\u0301",
    "\u65e5\u672c",
    "\U0001f98a",
    "x" * 500,
)
"""Ids that are easily taken for each other, or for something else."""


class RecordChecks(Conformance, suite=True):
    """What is written is there, as it was written, whole, and nowhere else."""

    _is_suite = True

    async def test_records_come_back_as_they_were_written(self) -> None:
        """Each byte of a record comes back, whatever it is, and so do its kind, its epoch and its MAC."""
        written = [
            Record(1, 1, "level", bytes(range(256)), bytes(reversed(range(256)))),
            Record(2, 1, "\u65e5\u672c", b"", b""),
            Record(3, 7, "level", b"\xff\xfe text \x00", b"\x00"),
            Record(4, 2**40, "level", b"\x01" * LARGE_BYTES, b"mac"),
        ]
        async with self.component() as store:
            run = await claim(store)
            await store.append(RUN, written, expected_head=0, epoch=run.epoch, status=None)
            found = await stored(store)
        for got, wanted in zip(found.records, written, strict=False):
            same(got, wanted, f"record {wanted.seq}")
        same(len(found.records), len(written), "number of records")
        same({type(each.body) for each in found.records}, {bytes}, "types of the bodies")

    async def test_records_come_in_their_order(self) -> None:
        """Records come in the order of their sequences, however many, and none is missing."""
        async with self.component() as store:
            run = await claim(store)
            for head in range(12):
                await add(store, run.epoch, head + 1, head=head)
            await add(store, run.epoch, MANY, head=12)
            found = await stored(store)
        same([each.seq for each in found.records], list(range(1, MANY + 1)), "sequences of the records")

    async def test_the_head_is_the_last_record(self) -> None:
        """Sequence and MAC of the last record are those of the run."""
        async with self.component() as store:
            run = await claim(store)
            await add(store, run.epoch, 2)
            await add(store, run.epoch, 5, head=2)
            found = await stored(store)
        same((found.head, found.head_mac), (5, b"mac 5"), "the head")

    async def test_a_record_that_was_overtaken_is_refused(self) -> None:
        """An append behind a head that is no more is fenced: nothing that is stored is replaced."""
        async with self.component() as store:
            run = await claim(store)
            await add(store, run.epoch, 2)
            late = [record(2, run.epoch, b"late")]
            await refused(
                FencedError,
                lambda: store.append(RUN, late, expected_head=1, epoch=run.epoch, status=RunStatus.DONE),
                "an append behind an old head",
            )
            found = await stored(store)
        same(list(found.records), records(1, 2, run.epoch), "records after a fenced append")
        same(found.status, RunStatus.RUNNING, "status after a fenced append")

    async def test_gaps_are_refused(self) -> None:
        """An append behind a head that is not there yet is fenced; sequences that leave a gap are a ValueError."""
        async with self.component() as store:
            run = await claim(store)
            await refused(FencedError, lambda: add(store, run.epoch, 4, head=3), "an append behind a future head")
            for wrong in ([record(2)], [record(1), record(3)], [record(1), record(1)]):
                await refused(
                    ValueError,
                    partial(store.append, RUN, wrong, expected_head=0, epoch=run.epoch, status=None),
                    f"records with the sequences {[each.seq for each in wrong]} behind 0",
                )
            found = await stored(store)
        same((found.head, tuple(found.records)), (0, ()), "head and records after refused appends")

    async def test_a_status_comes_with_its_records(self) -> None:
        """An append sets the status, unless it is None; without records it sets the status alone."""
        async with self.component() as store:
            run = await claim(store)
            await add(store, run.epoch, 1, status=RunStatus.WAITING)
            same((await stored(store)).status, RunStatus.WAITING, "status that was given with a record")
            await add(store, run.epoch, 2, head=1)
            found = await stored(store)
            same((found.status, found.head), (RunStatus.WAITING, 2), "status and head after an append without a status")
            for status in RunStatus:
                await store.append(RUN, [], expected_head=2, epoch=run.epoch, status=status)
                found = await stored(store)
                same((found.status, found.head, found.head_mac), (status, 2, b"mac 2"), "status that was given alone")

    async def test_an_append_changes_nothing_else(self) -> None:
        """Owner, epoch and answers of a run stay, and so do all other runs."""
        async with self.component() as store:
            for run_id in ("beside", RUN):
                run = await claim(store, run_id)
                await store.answer(run_id, "ask", b"yes")
            before = await stored(store, "beside")
            await add(store, run.epoch, 1, status=RunStatus.DONE)
            found = await stored(store)
            same((found.owner, found.epoch, dict(found.answers)), ("one", run.epoch, {"ask": b"yes"}), "the run")
            same(await stored(store, "beside"), before, "another run")

    async def test_an_unknown_run_takes_no_records(self) -> None:
        """An append to a run that is not there is fenced, and makes none."""
        async with self.component() as store:
            await refused(FencedError, lambda: add(store, 1, 1), "an append to an unknown run")
            await refused(FencedError, lambda: add(store, 0, 1), "an append to an unknown run with epoch 0")
            same(await store.load(RUN), None, "an unknown run after an append")

    async def test_of_many_who_append_one_wins(self) -> None:
        """Of appends beside each other behind one head one is stored; the others are fenced."""

        async def attempt(number: int) -> bytes | None:
            body = b"%d" % number
            try:
                await store.append(RUN, [record(1, run.epoch, body)], expected_head=0, epoch=run.epoch, status=None)
            except FencedError:
                return None
            return body

        async with self.component() as store:
            run = await claim(store)
            won = [body for body in await at_once(attempt) if body is not None]
            same([each.body for each in (await stored(store)).records], won, "the stored record, of those that won")
            same(len(won), 1, "number of appends that won")

    async def test_what_is_read_is_of_one_moment(self) -> None:
        """A run that is read while records are added is whole: its head is its last record."""
        added = anyio.Event()

        async def write() -> None:
            for head in range(0, 20, 2):
                await add(store, run.epoch, head + 2, head=head)
                await anyio.lowlevel.checkpoint()
            added.set()

        async def read() -> None:
            # As long as there is something to come: ten reads may be over before the first record is added.
            while not added.is_set():
                found = await stored(store)
                same(found.head, len(found.records), "the head of a run that is read while records are added")
                require(found.head % 2 == 0, f"{found.head} records are seen, where two are added at a time")
                await anyio.lowlevel.checkpoint()

        async with self.component() as store:
            run = await claim(store)
            await at_once(lambda number: write() if number == 0 else read())

    async def test_an_unknown_run_is_none(self) -> None:
        """`load` of a run that is not there gives None, and begins none."""
        async with self.component() as store:
            same(await store.load(RUN), None, "an unknown run")
            same(await store.load(RUN), None, "an unknown run that was read before")
            same(list(await store.list()), [], "the list after an unknown run was read")

    async def test_a_look_disturbs_nobody(self) -> None:
        """Neither `load` nor `list` takes the run from its worker."""
        async with self.component() as store:
            run = await claim(store)
            before = await stored(store)
            await store.list()
            same(await stored(store), before, "a run that was read twice")
            await add(store, run.epoch, 1)

    async def test_what_was_read_is_the_caller_s_own(self) -> None:
        """Whoever changes what it has read does not change what is stored."""
        async with self.component() as store:
            await claim(store)
            await store.answer(RUN, "ask", b"yes")
            for read in (await stored(store), await claim(store, take_over=True)):
                with suppress(TypeError):  # what cannot be changed is safe as well
                    read.answers["ask"] = b"no"  # type: ignore[index]
            same(dict((await stored(store)).answers), {"ask": b"yes"}, "answers after a caller changed what it read")

    async def test_answers_come_back_as_they_were_given(self) -> None:
        """Each byte of an answer comes back; answers to several interrupts stand beside each other."""
        given = {"ask": bytes(range(256)), "ASK": b"", "ask ": b"\x00", "\u65e5\u672c": b"x" * LARGE_BYTES}
        async with self.component() as store:
            await claim(store)
            for interrupt_id, value in given.items():
                await store.answer(RUN, interrupt_id, value)
            same(dict((await stored(store)).answers), given, "the answers")

    async def test_the_first_answer_counts(self) -> None:
        """A second answer to an interrupt is refused, also the same one, and the first one stays."""
        async with self.component() as store:
            await claim(store)
            await store.answer(RUN, "ask", b"yes")
            for second in (b"yes", b"no"):
                await refused(AlreadyAnsweredError, partial(store.answer, RUN, "ask", second), "a second answer")
            same(dict((await stored(store)).answers), {"ask": b"yes"}, "the answer after a second one")

    async def test_of_many_who_answer_one_wins(self) -> None:
        """Of answers beside each other one is stored; the others are refused."""

        async def attempt(number: int) -> bytes | None:
            try:
                await store.answer(RUN, "ask", b"%d" % number)
            except AlreadyAnsweredError:
                return None
            return b"%d" % number

        async with self.component() as store:
            await claim(store)
            won = [value for value in await at_once(attempt) if value is not None]
            same(len(won), 1, "number of answers that won")
            same(dict((await stored(store)).answers), {"ask": won[0]}, "the stored answer, of those that won")

    async def test_an_answer_needs_a_run(self) -> None:
        """An answer to a run that is not there is refused, and begins none."""
        async with self.component() as store:
            await refused(UnknownRunError, lambda: store.answer(RUN, "ask", b"yes"), "an answer to an unknown run")
            same(await store.load(RUN), None, "an unknown run after an answer")

    async def test_an_answer_disturbs_nobody(self) -> None:
        """Whoever answers needs no claim, and the worker of the run goes on."""
        async with self.component() as store:
            run = await claim(store)
            await store.answer(RUN, "ask", b"yes")
            await add(store, run.epoch, 1, status=RunStatus.DONE)
            found = await stored(store)
            same((found.epoch, found.status, found.head), (run.epoch, RunStatus.DONE, 1), "a run that was answered")
            await claim(store, owner="two")
            same(dict((await stored(store)).answers), {"ask": b"yes"}, "the answer after another claim")

    async def test_the_list_is_complete_and_sorted(self) -> None:
        """The list has every run once, by id, however many there are."""
        async with self.component() as store:
            same(list(await store.list()), [], "the list of an empty store")
            wanted = sorted(f"run {number}" for number in range(MANY))
            for run_id in reversed(wanted):
                await claim(store, run_id)
            same([each.run_id for each in await store.list()], wanted, "ids of the list")
            for run_id in wanted[::2]:
                await store.delete(run_id)
            same([each.run_id for each in await store.list()], wanted[1::2], "ids of the list after deletes")

    async def test_the_list_tells_how_runs_stand(self) -> None:
        """A summary has status, owner, epoch and head of its run, and for how long it was not changed."""
        async with self.component() as store:
            run = await claim(store, owner="two")
            await add(store, run.epoch, 3, status=RunStatus.WAITING)
            (summary,) = await store.list()
        found = (summary.run_id, summary.status, summary.owner, summary.head, summary.epoch)
        same(found, (RUN, RunStatus.WAITING, "two", 3, run.epoch), "the summary")
        require(0 <= summary.idle_s < 60, f"a run that was changed just now is said to be idle for {summary.idle_s} s")

    async def test_a_delete_takes_all_along(self) -> None:
        """Nothing of a deleted run is there any more, also when its id is used again, and no other run is touched."""
        async with self.component() as store:
            for run_id in (RUN, "beside"):
                run = await claim(store, run_id)
                await add(store, run.epoch, 2, run_id=run_id)
                await store.answer(run_id, "ask", b"yes")
            await store.delete(RUN)
            same(await store.load(RUN), None, "a deleted run")
            same([each.run_id for each in await store.list()], ["beside"], "ids of the list")
            again = await claim(store)
            same((again.status, again.head, again.head_mac), (RunStatus.NEW, 0, b""), "a run that was begun anew")
            same((tuple(again.records), dict(again.answers)), ((), {}), "records and answers of a run begun anew")
            beside = await stored(store, "beside")
            same((len(beside.records), dict(beside.answers)), (2, {"ask": b"yes"}), "another run after a delete")

    async def test_a_delete_of_an_unknown_run_is_no_error(self) -> None:
        """A run that is not there can be deleted, with an epoch too."""
        async with self.component() as store:
            await store.delete(RUN)
            await store.delete(RUN, epoch=1)
            same(list(await store.list()), [], "the list after a delete of an unknown run")

    async def test_runs_do_not_mix(self) -> None:
        """Ids that resemble each other, or are code elsewhere, are ids of different runs."""
        async with self.component() as store:
            for run_id in IDS:
                run = await claim(store, run_id, owner=f"of {run_id}")
                body = Record(1, run.epoch, "level", run_id.encode(), run_id.encode())
                await store.append(run_id, [body], expected_head=0, epoch=run.epoch, status=None)
                await store.answer(run_id, f"ask {run_id}", run_id.encode())
            for run_id in IDS:
                found = await stored(store, run_id)
                same(found.run_id, run_id, "the id of a run")
                same([each.body for each in found.records], [run_id.encode()], f"the records of {run_id!r}")
                same(dict(found.answers), {f"ask {run_id}": run_id.encode()}, f"the answers of {run_id!r}")
                same(found.owner, f"of {run_id}", f"the owner of {run_id!r}")
            same([each.run_id for each in await store.list()], sorted(IDS), "ids of the list")

    def make(self) -> Any:
        """Return a new store over an empty place."""
        return super().make()
