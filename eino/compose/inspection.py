"""What is stored of a run, for people: without claiming it, and without the program that wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eino._run.address import AddressSegment, address_text
from eino.compose.journal import parts_of, require_whole
from eino.compose.store import CheckpointStore, RunStatus, StoredRun
from eino.errors import CheckpointError

__all__ = ["RecordReport", "RunReport", "WaitingPoint", "inspect_run"]


@dataclass(frozen=True, slots=True)
class RecordReport:
    """One record of a run."""

    seq: int
    epoch: int
    kind: str
    size: int
    """Bytes of its body."""


@dataclass(frozen=True, slots=True)
class WaitingPoint:
    """A point at which a run waits for an answer."""

    id: str
    address: str
    info: Any
    """What the point asks, as plain data; values of users' types as they are stored."""
    is_answered: bool
    """Whether an answer is stored with which the run has not gone on yet."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What is stored of a run."""

    run_id: str
    status: RunStatus
    owner: str
    epoch: int
    records: tuple[RecordReport, ...]
    answers: tuple[str, ...]
    """Ids of the interrupts that were answered."""
    waiting: tuple[WaitingPoint, ...]
    problem: str
    """Why the run cannot be gone on with; empty if it is as it was written."""


async def inspect_run(store: CheckpointStore, run_id: str) -> RunReport | None:
    """Return what is stored of a run; None if there is none.

    Raises:
        StoreUnavailableError: If the store cannot be reached.
    """
    run = await store.load(run_id)
    return None if run is None else _report(store.namespace, run)


def _report(namespace: str, run: StoredRun) -> RunReport:
    problem = ""
    waiting: tuple[WaitingPoint, ...] = ()
    try:
        require_whole(namespace, run)
        waiting = _waiting(run)
    except CheckpointError as error:
        problem = str(error)
    return RunReport(
        run.run_id,
        run.status,
        run.owner,
        run.epoch,
        tuple(RecordReport(each.seq, each.epoch, each.kind, len(each.body)) for each in run.records),
        tuple(sorted(run.answers)),
        waiting,
        problem,
    )


def _waiting(run: StoredRun) -> tuple[WaitingPoint, ...]:
    """Return the points of the last stop, if the run waits there."""
    stops = [each for each in run.records if each.kind == "interrupt"]
    if not stops or run.status is not RunStatus.WAITING:
        return ()
    points = [point for point in parts_of(run.run_id, stops[-1])["points"] if point["pending"]]
    return tuple(
        WaitingPoint(
            point["id"],
            address_text(tuple(AddressSegment(*each) for each in point["address"])),
            point["info"],
            point["id"] in run.answers,
        )
        for point in points
    )
