"""Where runs are stored: append-only records per run, with a sequence, an epoch and an explicit status."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from eino.errors import AlreadyAnsweredError, FencedError, RunActiveError, UnknownRunError

__all__ = ["CheckpointStore", "MemoryStore", "Record", "RunStatus", "RunSummary", "StoredRun"]


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


class CheckpointStore(Protocol):
    """Stores runs. Each method is one transaction; calls may come from many tasks, threads and processes at once."""

    async def claim(self, run_id: str, owner: str, *, take_over: bool, create: bool) -> StoredRun:
        """Make `owner` the only one who may append: raise the epoch, set the status to running, return what there is.

        `status` in the answer is the one before the claim.

        Raises:
            RunActiveError: If the run is running under another owner and `take_over` is false.
            UnknownRunError: If there is no such run and `create` is false.
        """
        ...

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """Add records behind the one with the sequence `expected_head`, and set the status unless it is None.

        Raises:
            FencedError: If the run was claimed since, deleted, or has another head.
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


class MemoryStore:
    """Stores runs in this process, for tests and for runs that wait for people but need not survive a restart."""

    def __init__(self) -> None:
        """Make an empty store."""
        self._runs: dict[str, StoredRun] = {}
        self._lock = threading.Lock()

    async def claim(self, run_id: str, owner: str, *, take_over: bool, create: bool) -> StoredRun:
        """See `CheckpointStore`."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                if not create:
                    raise UnknownRunError(f"there is no run {run_id!r} in the store")
                run = StoredRun(run_id, 0, "", RunStatus.NEW, 0, b"", ())
            elif run.status is RunStatus.RUNNING and not take_over:
                raise RunActiveError(
                    f"run {run_id!r} is being run by {run.owner}: wait, or give take_over=True if that worker is gone"
                )
            self._runs[run_id] = StoredRun(
                run_id, run.epoch + 1, owner, RunStatus.RUNNING, run.head, run.head_mac, run.records, run.answers
            )
            return StoredRun(run_id, run.epoch + 1, owner, run.status, run.head, run.head_mac, run.records, run.answers)

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """See `CheckpointStore`."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or run.epoch != epoch or run.head != expected_head:
                raise FencedError(f"run {run_id!r} was taken over by another worker, or discarded: this one must stop")
            last = records[-1] if records else None
            self._runs[run_id] = StoredRun(
                run_id,
                epoch,
                run.owner,
                run.status if status is None else status,
                run.head if last is None else last.seq,
                run.head_mac if last is None else last.mac,
                (*run.records, *records),
                run.answers,
            )

    async def load(self, run_id: str) -> StoredRun | None:
        """See `CheckpointStore`."""
        return self._runs.get(run_id)

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        """See `CheckpointStore`."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                raise UnknownRunError(f"there is no run {run_id!r} in the store")
            if interrupt_id in run.answers:
                raise AlreadyAnsweredError(f"interrupt {interrupt_id!r} of run {run_id!r} was answered before")
            answers = {**run.answers, interrupt_id: value}
            self._runs[run_id] = StoredRun(
                run_id, run.epoch, run.owner, run.status, run.head, run.head_mac, run.records, answers
            )

    async def list(self) -> list[RunSummary]:
        """See `CheckpointStore`."""
        runs = sorted(self._runs.values(), key=lambda run: run.run_id)
        return [RunSummary(run.run_id, run.status, run.owner, run.head) for run in runs]

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        """See `CheckpointStore`."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None and epoch is not None and run.epoch != epoch:
                raise FencedError(f"run {run_id!r} was taken over by another worker: this one must not delete it")
            self._runs.pop(run_id, None)
