"""Does a store of runs keep the contract of `CheckpointStore`?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, ClassVar

from eino.compose.store import RunStatus
from eino.errors import AlreadyAnsweredError, FencedError, RunActiveError, StoreUnavailableError
from eino_harness.conformance._store_checks import RUN, add, claim, refused, same, stored
from eino_harness.conformance._store_claims import ClaimChecks
from eino_harness.conformance._store_records import RecordChecks
from eino_harness.conformance._suite import require

__all__ = ["CheckpointStoreConformance"]

_METHODS = ("claim", "append", "load", "answer", "list", "delete")


class CheckpointStoreConformance(ClaimChecks, RecordChecks, suite=True):
    """Checks a store of runs. Each store from `make` is over an empty place of its own.

    Abilities that can be left out with a reason: `"shared"` and `"namespaces"` (unless `beside` is defined),
    `"liveness"` (unless `leave` is defined too), `"errors"` (unless `make_failing` is defined).
    """

    _is_suite = True
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {
        "shared": (
            "test_another_store_of_the_place_sees_the_same",
            "test_a_store_is_opened_again",
            "test_another_store_is_fenced_too",
            "test_of_many_stores_one_wins",
        ),
        "namespaces": ("test_namespaces_do_not_mix",),
        "liveness": ("test_runs_of_a_worker_that_is_gone_are_free", "test_runs_of_a_worker_that_lives_are_not_free"),
        "errors": ("test_a_store_that_is_down_says_so",),
    }

    def make(self) -> Any:
        """Return a new store over an empty place: itself, an awaitable, or an async context manager."""
        return super().make()

    def make_failing(self) -> Any:
        """Return a store whose place cannot be reached."""
        raise NotImplementedError(
            f"{type(self).__name__} must define make_failing(), or leave it out: without = {{'errors': 'the reason'}}"
        )

    def beside(self, store: Any, namespace: str | None = None) -> Any:
        """Return another store of the same place, as another process would open it.

        Args:
            store: One from `make`.
            namespace: Its namespace; None for the same one.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define beside(store, namespace), or leave out what needs it: without ="
            " {'shared': 'the reason', 'namespaces': 'the reason', 'liveness': 'the reason'}"
        )

    async def leave(self, store: Any) -> None:
        """End the worker that uses `store`, as its death would: what it runs stays as it is."""
        raise NotImplementedError(
            f"{type(self).__name__} must define leave(store), or leave it out: without = {{'liveness': 'the reason'}}"
        )

    @asynccontextmanager
    async def _beside(self, store: Any, namespace: str | None = None) -> AsyncIterator[Any]:
        made = self.beside(store, namespace)
        if isinstance(made, AbstractAsyncContextManager):
            async with made as other:
                yield other
        else:
            yield made

    async def test_it_has_the_methods_of_a_store(self) -> None:
        """It has the methods of a `CheckpointStore`, and a namespace."""
        async with self.component() as store:
            missing = [name for name in _METHODS if not callable(getattr(store, name, None))]
            require(not missing, f"{type(store).__name__} must have {', '.join(missing)}")
            same(type(getattr(store, "namespace", None)), str, "type of the namespace")

    async def test_another_store_of_the_place_sees_the_same(self) -> None:
        """What one store wrote the next call of another store of the place sees, all of it."""
        async with self.component() as store, self._beside(store) as other:
            run = await claim(store)
            await add(store, run.epoch, 3, status=RunStatus.WAITING)
            await store.answer(RUN, "ask", b"yes")
            same(await other.load(RUN), await stored(store), "the run, seen by another store")
            same([each.run_id for each in await other.list()], [RUN], "the list, seen by another store")
            await other.delete(RUN)
            same(await store.load(RUN), None, "a run that another store deleted")

    async def test_a_store_is_opened_again(self) -> None:
        """What was stored is there when the place is opened again, and epochs go on rising."""
        async with self.component() as store:
            async with self._beside(store) as first:
                old = await claim(first)
                await add(first, old.epoch, 2, status=RunStatus.FAILED)
                before = await stored(first)
                await claim(first, "gone")
                await first.delete("gone")
            async with self._beside(store) as second:
                same(await stored(second), before, "the run after the place was opened again")
                new = await claim(second)
            require(new.epoch > old.epoch, f"the epoch went from {old.epoch} to {new.epoch} when it was opened again")

    async def test_another_store_is_fenced_too(self) -> None:
        """Claims, heads and answers count for all stores of the place."""
        async with self.component() as store, self._beside(store) as other:
            old = await claim(store)
            await refused(RunActiveError, lambda: claim(other, owner="two"), "a claim by another store")
            new = await claim(other, owner="two", take_over=True)
            await refused(FencedError, lambda: add(store, old.epoch, 1), "an append of the old worker")
            await add(other, new.epoch, 1)
            await refused(FencedError, lambda: add(store, new.epoch, 1), "an append behind an old head")
            await other.answer(RUN, "ask", b"yes")
            await refused(AlreadyAnsweredError, lambda: store.answer(RUN, "ask", b"no"), "a second answer")

    async def test_of_many_stores_one_wins(self) -> None:
        """Of claims of several stores beside each other one wins."""
        import anyio

        won: list[int] = []

        async def attempt(store: Any, owner: str) -> None:
            try:
                won.append((await claim(store, owner=owner)).epoch)
            except RunActiveError:
                return

        async with (
            self.component() as store,
            self._beside(store) as second,
            self._beside(store) as third,
            anyio.create_task_group() as tasks,
        ):
            for number in range(9):
                tasks.start_soon(attempt, (store, second, third)[number % 3], f"worker {number}")
        same(len(won), 1, "number of claims that won")

    async def test_namespaces_do_not_mix(self) -> None:
        """A run of one namespace is unknown in all others."""
        async with self.component() as store, self._beside(store, "other") as other:
            same(other.namespace, "other", "the namespace")
            require(store.namespace != "other", "the store from make() must have another namespace than 'other'")
            run = await claim(store)
            await add(store, run.epoch, 2)
            await store.answer(RUN, "ask", b"yes")
            same((await other.load(RUN), list(await other.list())), (None, []), "a run of another namespace")
            await refused(FencedError, lambda: add(other, run.epoch, 3, head=2), "an append from another namespace")
            beside = await claim(other)
            same((beside.status, beside.head), (RunStatus.NEW, 0), "a run with the same id in another namespace")
            same(dict(beside.answers), {}, "answers of a run with the same id in another namespace")
            await other.delete(RUN)
            same(len((await stored(store)).records), 2, "records after a delete in another namespace")

    async def test_runs_of_a_worker_that_is_gone_are_free(self) -> None:
        """Runs of a worker that died can be claimed without `take_over`, and it is fenced if it was not dead."""
        async with self.component() as store, self._beside(store) as other:
            old = await claim(other)
            await add(other, old.epoch, 1)
            await self.leave(other)
            new = await claim(store, owner="two")
            same((new.status, new.head), (RunStatus.RUNNING, 1), "a run of a worker that died")
            await refused(FencedError, lambda: add(store, old.epoch, 2, head=1), "an append of the old worker")

    async def test_runs_of_a_worker_that_lives_are_not_free(self) -> None:
        """That one worker died says nothing of the others."""
        async with self.component() as store, self._beside(store) as other, self._beside(store) as third:
            await claim(other, "of the dead")
            await claim(store, "of the living")
            await self.leave(other)
            await refused(RunActiveError, lambda: claim(third, "of the living", "two"), "a claim of a running run")
            await claim(third, "of the dead", "two")
            await refused(RunActiveError, lambda: claim(store, "of the dead", "three"), "a claim of a running run")

    async def test_a_store_that_is_down_says_so(self) -> None:
        """Every method of a store whose place cannot be reached raises a `StoreUnavailableError`."""
        calls: dict[str, Callable[[Any], Awaitable[object]]] = {
            "claim": claim,
            "append": lambda store: add(store, 1, 1),
            "load": lambda store: store.load(RUN),
            "answer": lambda store: store.answer(RUN, "ask", b"yes"),
            "list": lambda store: store.list(),
            "delete": lambda store: store.delete(RUN),
        }
        async with self.component(self.make_failing) as store:
            for name, call in calls.items():
                error = await refused(StoreUnavailableError, partial(call, store), f"`{name}`")
                require(str(error), f"`{name}` failed with StoreUnavailableError, but its text is empty")
