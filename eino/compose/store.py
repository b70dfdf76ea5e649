"""Where runs are stored: append-only records per run, with a sequence, an epoch and an explicit status."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol

from eino.errors import (
    AlreadyAnsweredError,
    BuildError,
    CorruptCheckpointError,
    FencedError,
    RunActiveError,
    UnknownRunError,
)

__all__ = [
    "CheckpointStore",
    "MemoryStore",
    "Record",
    "RunStatus",
    "RunSummary",
    "StoredRun",
    "TransactionalStore",
    "active",
    "answered_before",
    "checked_ttl",
    "fenced",
    "offers_transactions",
    "require_numbered",
    "status_of",
    "unknown",
]


class RunStatus(StrEnum):
    """What has become of a run."""

    NEW = "new"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Record:
    """One step of the history of a run."""

    seq: int
    """1 for the first; the latest has the highest."""
    epoch: int
    """Which claim it was written under."""
    kind: str
    body: bytes
    mac: bytes
    """Chains it to the record before."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """All that is stored of a run."""

    run_id: str
    epoch: int
    owner: str
    """Who claimed it last."""
    status: RunStatus
    head: int
    """Sequence of the last record; 0 if there is none."""
    head_mac: bytes
    records: tuple[Record, ...]
    answers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a list of runs shows."""

    run_id: str
    status: RunStatus
    owner: str
    head: int
    epoch: int
    idle_s: float
    """For how long nothing of the run was changed, in seconds, by the clock of the store."""


class CheckpointStore(Protocol):
    """Stores runs. Each method is one transaction; calls may come from many tasks, threads and processes at once.

    Ids, owners and kinds are texts that UTF-8 can encode, without NUL. Epochs of one id only ever rise, also when the
    run was deleted and begun anew. No answer depends on a clock but `idle_s`.

    Every method raises a `StoreUnavailableError` when the store cannot be reached for now, and then changed nothing, or
    all that it was to change.
    """

    @property
    def namespace(self) -> str:
        """Which runs of the place it sees: those of one namespace are unknown in all others."""
        ...

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        """Make `owner` the only one who may append: raise the epoch, set the status to running, return what there is.

        `status` in the answer is the one before the claim. A run that is running is claimed if `take_over` is true, is
        the owner who has it, or if the store knows that this owner is gone.

        Raises:
            RunActiveError: If the run is running under another owner, whom it names.
            UnknownRunError: If there is no such run and `create` is false.
        """
        ...

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """Add records behind the one with the sequence `expected_head`, and set the status unless it is None.

        Either all of this happens or nothing.

        Raises:
            FencedError: If the run was claimed since, deleted, or has another head.
            ValueError: If the sequences of the records do not go on from `expected_head`.
        """
        ...

    async def load(self, run_id: str) -> StoredRun | None:
        """Return a run without claiming it."""
        ...

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        """Store the answer to an interrupt.

        Raises:
            AlreadyAnsweredError: If there is one.
            UnknownRunError: If there is no such run.
        """
        ...

    async def list(self) -> list[RunSummary]:
        """Return all runs, by id."""
        ...

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        """Remove a run; one that is not there is no error.

        Raises:
            FencedError: If `epoch` is given and the run was claimed since.
        """
        ...


class TransactionalStore(CheckpointStore, Protocol):
    """A store in a database, in which others may write in the transaction that stores a record."""

    async def transact(self, run_id: str, work: Callable[[Any], Record], *, expected_head: int, epoch: int) -> None:
        """Add the record that `work(connection)` gives, and keep all that it wrote, or nothing of both.

        `work` is called in a worker thread, once the claim was checked and nobody else can change the run. What it
        raises undoes all, and is raised unchanged.

        Raises:
            FencedError: If the run was claimed since, deleted, or has another head; `work` was not called.
        """
        ...


def offers_transactions(store: object) -> bool:
    """Return whether a store is a `TransactionalStore`."""
    return callable(getattr(store, "transact", None))


def active(run_id: str, owner: str) -> RunActiveError:
    """Return the refusal of a claim."""
    return RunActiveError(
        f"run {run_id!r} is being run by {owner}: wait, or give take_over=True if that worker is gone", owner=owner
    )


def fenced(run_id: str) -> FencedError:
    """Return the refusal of a change by a worker that has the run no more."""
    return FencedError(f"run {run_id!r} was taken over by another worker, or discarded: this one must stop")


def unknown(run_id: str) -> UnknownRunError:
    """Return the refusal of a run that is not there."""
    return UnknownRunError(f"there is no run {run_id!r} in the store")


def answered_before(run_id: str, interrupt_id: str) -> AlreadyAnsweredError:
    """Return the refusal of a second answer."""
    return AlreadyAnsweredError(f"interrupt {interrupt_id!r} of run {run_id!r} was answered before")


def require_numbered(run_id: str, records: Sequence[Record], expected_head: int) -> None:
    """Refuse records that would leave a gap.

    Raises:
        ValueError: If their sequences do not go on from `expected_head`.
    """
    for wanted, record in enumerate(records, expected_head + 1):
        if record.seq != wanted:
            raise ValueError(
                f"run {run_id!r}: a record behind number {wanted - 1} has number {record.seq}, not {wanted}"
            )


def status_of(run_id: str, text: str) -> RunStatus:
    """Return a stored status.

    Raises:
        CorruptCheckpointError: If it is none.
    """
    try:
        return RunStatus(text)
    except ValueError as error:
        raise CorruptCheckpointError(f"run {run_id!r} has the unknown status {text!r}") from error


def checked_ttl(ttl_s: float | None) -> float | None:
    """Return how long to keep runs, as a store was told.

    Raises:
        BuildError: If it is no duration.
    """
    if ttl_s is not None and not ttl_s > 0:
        raise BuildError(f"ttl_s={ttl_s!r} must be above 0 seconds, or None to keep runs until they are deleted")
    return ttl_s


_NO_ANSWERS: Final[Mapping[str, bytes]] = MappingProxyType({})


class MemoryStore:
    """Stores runs in this process, for tests and for runs that wait for people but need not survive a restart.

    Args:
        ttl_s: Runs that nobody works on and that were not changed for so long are deleted, in seconds; None keeps them.
    """

    namespace = ""

    def __init__(self, *, ttl_s: float | None = None) -> None:
        self._ttl_s = checked_ttl(ttl_s)
        self._runs: dict[str, StoredRun] = {}
        self._changed_s: dict[str, float] = {}  # when each run was changed, the last one last
        self._last_epoch = 0  # of all runs that ever were: a worker of a deleted run stays fenced
        self._lock = threading.Lock()

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        """See `CheckpointStore`."""
        with self._lock:
            if self._ttl_s is not None:
                self._sweep(time.monotonic() - self._ttl_s)
            run = self._runs.get(run_id)
            if run is None:
                if not create:
                    raise unknown(run_id)
                run = StoredRun(run_id, 0, "", RunStatus.NEW, 0, b"", (), _NO_ANSWERS)
            elif run.status is RunStatus.RUNNING and take_over is not True and take_over != run.owner:
                raise active(run_id, run.owner)
            self._last_epoch = epoch = self._last_epoch + 1
            rest = (run.head, run.head_mac, run.records, run.answers)
            self._keep(StoredRun(run_id, epoch, owner, RunStatus.RUNNING, *rest))
            return StoredRun(run_id, epoch, owner, run.status, *rest)

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """See `CheckpointStore`."""
        require_numbered(run_id, records, expected_head)
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or run.epoch != epoch or run.head != expected_head:
                raise fenced(run_id)
            last = records[-1] if records else None
            self._keep(
                StoredRun(
                    run_id,
                    epoch,
                    run.owner,
                    run.status if status is None else status,
                    run.head if last is None else last.seq,
                    run.head_mac if last is None else last.mac,
                    (*run.records, *records),
                    run.answers,
                )
            )

    async def load(self, run_id: str) -> StoredRun | None:
        """See `CheckpointStore`."""
        return self._runs.get(run_id)

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        """See `CheckpointStore`."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                raise unknown(run_id)
            if interrupt_id in run.answers:
                raise answered_before(run_id, interrupt_id)
            self._keep(replace(run, answers=MappingProxyType({**run.answers, interrupt_id: value})))

    async def list(self) -> list[RunSummary]:
        """See `CheckpointStore`."""
        with self._lock:
            now = time.monotonic()
            return [
                RunSummary(run_id, run.status, run.owner, run.head, run.epoch, now - self._changed_s[run_id])
                for run_id, run in sorted(self._runs.items())
            ]

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        """See `CheckpointStore`."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None and epoch is not None and run.epoch != epoch:
                raise fenced(run_id)
            self._runs.pop(run_id, None)
            self._changed_s.pop(run_id, None)

    def _keep(self, run: StoredRun) -> None:
        """Store a run as the last one that was changed."""
        self._runs[run.run_id] = run
        self._changed_s.pop(run.run_id, None)
        self._changed_s[run.run_id] = time.monotonic()

    def _sweep(self, over_s: float) -> None:
        """Delete what was not changed since then."""
        old = itertools.takewhile(lambda each: each[1] < over_s, self._changed_s.items())
        for run_id in [each for each, _ in old if self._runs[each].status is not RunStatus.RUNNING]:
            del self._runs[run_id], self._changed_s[run_id]
