"""Removes stored runs that nobody needs any more."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Final

from eino.compose.store import CheckpointStore, RunStatus
from eino.errors import BuildError, FencedError

__all__ = ["OVER", "prune_runs"]

OVER: Final = frozenset({RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED})
"""What becomes of runs that wait for nobody. Those that failed or were cancelled could still go on."""


async def prune_runs(
    store: CheckpointStore, *, idle_s: float, statuses: Collection[RunStatus] = OVER
) -> tuple[str, ...]:
    """Delete the runs that were not changed for so long, and return their ids.

    One that is claimed meanwhile stays. Safe to call from many places at once.

    Args:
        store: Where the runs are.
        idle_s: For how long nothing was changed, in seconds by the clock of the store.
        statuses: What must have become of them. With `RunStatus.RUNNING` also those whose worker lives.

    Raises:
        BuildError: If `idle_s` is negative.
        StoreUnavailableError: If the store cannot be reached; what was deleted is deleted.
    """
    if not idle_s >= 0:
        raise BuildError(f"idle_s={idle_s!r} must be 0 seconds or more")
    deleted = []
    for run in await store.list():
        if run.idle_s >= idle_s and run.status in statuses:
            with suppress(FencedError):  # somebody goes on with it
                await store.delete(run.run_id, epoch=run.epoch)
                deleted.append(run.run_id)
    return tuple(deleted)
