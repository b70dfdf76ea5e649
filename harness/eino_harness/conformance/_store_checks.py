"""What the checks of stores share: short calls, and what must be refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from eino.compose.store import Record, RunStatus, StoredRun
from eino_harness.conformance._suite import ConformanceError, require

__all__ = ["add", "claim", "record", "records", "refused", "same", "stored"]

RUN = "run"


async def claim(
    store: Any, run_id: str = RUN, owner: str = "one", *, take_over: bool | str = False, create: bool = True
) -> StoredRun:
    """Claim a run, and return it."""
    run: StoredRun = await store.claim(run_id, owner, take_over=take_over, create=create)
    return run


def record(seq: int, epoch: int = 1, body: bytes = b"body") -> Record:
    """Return a record."""
    return Record(seq, epoch, "level", body, b"mac %d" % seq)


def records(first: int, last: int, epoch: int = 1) -> list[Record]:
    """Return records with these sequences."""
    return [record(seq, epoch) for seq in range(first, last + 1)]


async def add(
    store: Any, epoch: int, last: int, *, head: int = 0, run_id: str = RUN, status: RunStatus | None = None
) -> list[Record]:
    """Append the records behind `head` up to `last`, and return them."""
    added = records(head + 1, last, epoch)
    await store.append(run_id, added, expected_head=head, epoch=epoch, status=status)
    return added


async def stored(store: Any, run_id: str = RUN) -> StoredRun:
    """Return a run that must be there."""
    run: StoredRun | None = await store.load(run_id)
    if run is None:
        raise ConformanceError(f"run {run_id!r} was stored, but load({run_id!r}) gave None")
    return run


async def refused(kind: type[Exception], call: Callable[[], Awaitable[object]], doing: str) -> Any:
    """Return the error of this kind that `call` must raise."""
    try:
        result = await call()
    except kind as error:
        return error
    except Exception as error:
        raise ConformanceError(
            f"{doing} must be refused with {kind.__name__}, not with {type(error).__name__}: {error}"
        ) from error
    raise ConformanceError(f"{doing} must be refused with {kind.__name__}, but it gave {result!r:.200}")


def same(found: Any, wanted: Any, what: str) -> None:
    """Require that something is as it was written."""
    require(found == wanted, f"{what}: {found!r:.300} instead of {wanted!r:.300}")
