"""Checks of stores: who has a run, and who has it no more."""

from __future__ import annotations

from functools import partial
from typing import Any

from eino.compose.store import RunStatus
from eino.errors import FencedError, RunActiveError, UnknownRunError
from eino_harness.conformance._store_checks import RUN, add, claim, record, refused, same, stored
from eino_harness.conformance._suite import CONCURRENT_CALLS, Conformance, at_once, require

__all__ = ["ClaimChecks"]

_AT_REST = (RunStatus.WAITING, RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED)


class ClaimChecks(Conformance, suite=True):
    """Who has a run, and who has it no more."""

    _is_suite = True

    async def test_a_new_run_is_empty(self) -> None:
        """The claim of a new run gives one without records and answers, and with the status `new`."""
        async with self.component() as store:
            run = await claim(store)
        same((run.run_id, run.owner), (RUN, "one"), "the claimed run")
        same((run.status, run.head, run.head_mac), (RunStatus.NEW, 0, b""), "the claimed run")
        same((tuple(run.records), dict(run.answers)), ((), {}), "records and answers of a new run")
        require(run.epoch > 0, f"the epoch of a claimed run must be above 0, it is {run.epoch}")

    async def test_a_claim_begins_a_run_only_if_asked(self) -> None:
        """A claim without `create` of a run that is not there is refused, and leaves nothing behind."""
        async with self.component() as store:
            await refused(UnknownRunError, lambda: claim(store, create=False), "a claim without create")
            same(await store.load(RUN), None, "a run after its claim was refused")
            await claim(store)
            await store.append(RUN, [], expected_head=0, epoch=(await stored(store)).epoch, status=RunStatus.FAILED)
            await claim(store, create=False)

    async def test_a_claimed_run_is_running(self) -> None:
        """A claimed run has the status `running` and its new owner."""
        async with self.component() as store:
            run = await claim(store, owner="two")
            found = await stored(store)
        same((found.status, found.owner, found.epoch), (RunStatus.RUNNING, "two", run.epoch), "a claimed run")

    async def test_a_claim_gives_all_that_is_stored(self) -> None:
        """A claim gives the records, the answers and the head, and the status before."""
        async with self.component() as store:
            for status in _AT_REST:
                run_id = status.value
                first = await claim(store, run_id)
                added = await add(store, first.epoch, 3, run_id=run_id, status=status)
                await store.answer(run_id, "ask", b"yes")
                run = await claim(store, run_id, "two")
                same(list(run.records), added, "the records of a claimed run")
                same(dict(run.answers), {"ask": b"yes"}, "the answers of a claimed run")
                same((run.head, run.head_mac), (3, b"mac 3"), "the head of a claimed run")
                same((run.status, run.owner), (status, "two"), "status before the claim, and owner")

    async def test_a_running_run_is_refused(self) -> None:
        """Whoever claims a run that another one has hears who has it."""
        async with self.component() as store:
            await claim(store, owner="one")
            error = await refused(RunActiveError, lambda: claim(store, owner="two"), "a claim of a running run")
        same(error.owner, "one", "the owner that the refusal names")

    async def test_a_refused_claim_changes_nothing(self) -> None:
        """After a claim was refused, the worker that has the run goes on."""
        async with self.component() as store:
            run = await claim(store, owner="one")
            await refused(RunActiveError, lambda: claim(store, owner="two"), "a claim of a running run")
            found = await stored(store)
            same((found.owner, found.epoch), ("one", run.epoch), "owner and epoch after a refused claim")
            await add(store, run.epoch, 1)

    async def test_a_running_run_can_be_taken_over(self) -> None:
        """`take_over=True` claims a running run, with all its records."""
        async with self.component() as store:
            first = await claim(store)
            added = await add(store, first.epoch, 2)
            second = await claim(store, owner="two", take_over=True)
            same(list(second.records), added, "the records of a run that was taken over")
            require(second.epoch > first.epoch, f"the epoch went from {first.epoch} to {second.epoch}: it must rise")
            same((await stored(store)).owner, "two", "the owner after a take-over")

    async def test_a_run_is_taken_over_from_a_named_owner_only(self) -> None:
        """`take_over="one"` claims a running run if `one` has it."""
        async with self.component() as store:
            await claim(store, owner="one")
            doing = "take_over= with another owner than the run has"
            await refused(RunActiveError, lambda: claim(store, owner="two", take_over="three"), doing)
            await claim(store, owner="two", take_over="one")
            await refused(RunActiveError, lambda: claim(store, owner="three", take_over="one"), doing)

    async def test_a_worker_that_was_replaced_is_fenced(self) -> None:
        """Whoever had the run before the last claim can change nothing."""
        async with self.component() as store:
            old = await claim(store)
            await claim(store, owner="two", take_over=True)
            await refused(FencedError, lambda: add(store, old.epoch, 1), "an append of the old worker")
            await refused(
                FencedError,
                lambda: store.append(RUN, [], expected_head=0, epoch=old.epoch, status=RunStatus.DONE),
                "a status of the old worker",
            )
            found = await stored(store)
        same((found.status, found.owner), (RunStatus.RUNNING, "two"), "a run after a fenced append")
        same(tuple(found.records), (), "records after a fenced append")

    async def test_epochs_of_the_future_are_fenced(self) -> None:
        """An epoch that was never given out is no pass."""
        async with self.component() as store:
            run = await claim(store)
            await refused(FencedError, lambda: add(store, run.epoch + 1, 1), "an append with a future epoch")

    async def test_each_claim_raises_the_epoch(self) -> None:
        """Epochs rise from claim to claim."""
        async with self.component() as store:
            epochs = [(await claim(store, take_over=True)).epoch for _ in range(5)]
        same(epochs, sorted(set(epochs)), "epochs of claims one after the other")

    async def test_epochs_do_not_begin_again_after_a_delete(self) -> None:
        """A worker whose run was deleted, and begun anew by another one, is fenced."""
        async with self.component() as store:
            old = await claim(store)
            await store.delete(RUN)
            await refused(FencedError, lambda: add(store, old.epoch, 1), "an append to a deleted run")
            same(await store.load(RUN), None, "a deleted run after a fenced append")
            new = await claim(store, owner="two")
            require(new.epoch > old.epoch, f"the epoch went from {old.epoch} to {new.epoch} by a delete: it must rise")
            await refused(FencedError, lambda: add(store, old.epoch, 1), "an append to a run that was begun anew")
            await refused(FencedError, lambda: store.delete(RUN, epoch=old.epoch), "a delete by its former worker")
            same((await stored(store)).owner, "two", "the owner of a run that was begun anew")

    async def test_of_many_who_claim_one_wins(self) -> None:
        """Of claims beside each other one wins; the others are refused."""

        async def attempt(number: int) -> int | None:
            try:
                return (await claim(store, owner=f"worker {number}")).epoch
            except RunActiveError:
                return None

        async with self.component() as store:
            won = [epoch for epoch in await at_once(attempt) if epoch is not None]
            same(won, [(await stored(store)).epoch], f"epochs of the claims that won, of {CONCURRENT_CALLS}")

    async def test_of_many_who_take_over_the_last_one_has_it(self) -> None:
        """Take-overs beside each other get an epoch each, and the highest has the run."""

        async def attempt(number: int) -> int:
            return (await claim(store, owner=f"worker {number}", take_over=True)).epoch

        async with self.component() as store:
            epochs = await at_once(attempt)
            same(len(set(epochs)), len(epochs), f"different epochs of {sorted(epochs)}")
            same((await stored(store)).epoch, max(epochs), "the epoch that is stored")
            for epoch in sorted(epochs)[:-1]:
                await refused(FencedError, partial(add, store, epoch, 1), "an append of an old worker")
            await add(store, max(epochs), 1)

    async def test_a_cancelled_call_does_all_or_nothing(self) -> None:
        """After a cancelled append the run is whole, and goes on."""
        import anyio

        async with self.component() as store:
            run = await claim(store)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await add(store, run.epoch, 2)
            found = await stored(store)
            require(found.head in (0, 2), f"after a cancelled append of 2 records the head is {found.head}")
            same(len(found.records), found.head, "records after a cancelled append")
            await store.append(
                RUN,
                [record(found.head + 1, run.epoch)],
                expected_head=found.head,
                epoch=run.epoch,
                status=None,
            )

    async def test_runs_are_deleted_by_those_who_have_them(self) -> None:
        """A delete with the epoch of the last claim removes the run, with an older one nothing."""
        async with self.component() as store:
            old = await claim(store)
            await add(store, old.epoch, 2)
            new = await claim(store, take_over=True)
            await refused(FencedError, lambda: store.delete(RUN, epoch=old.epoch), "a delete with an old epoch")
            same(len((await stored(store)).records), 2, "records after a fenced delete")
            await store.delete(RUN, epoch=new.epoch)
            same(await store.load(RUN), None, "a deleted run")

    def make(self) -> Any:
        """Return a new store over an empty place."""
        return super().make()
