"""Asks a store that is down again, for a while."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

from eino._run.retry import backoff_s
from eino._tasks import now, sleep
from eino.errors import CheckpointError, StoreUnavailableError

__all__ = ["patiently"]

T = TypeVar("T")

ATTEMPTS: Final = 8
"""How often a store is asked; the waits between are 5 seconds on average, 10 at most."""
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 4.0
LONGEST_S: Final = 15.0
"""How long after its first refusal it is not asked again, in seconds: some stores take long to refuse."""

_RANDOM: Final = Random()  # noqa: S311 - spreads callers, guards nothing


async def patiently(
    work: Callable[[], Awaitable[T]], settle: Callable[[CheckpointError], Awaitable[T]] | None = None
) -> T:
    """Return what `work` gives; called again while the store is down.

    Args:
        work: One call of a store.
        settle: Told the refusal of a later call. Returns what an earlier one gave, if that had been carried out and its
            answer was lost; else raises the refusal.

    Raises:
        StoreUnavailableError: If the store stays down.
    """
    attempt, began_s = 1, math.nan  # asking the clock costs more than the rest, and few calls need it
    while True:
        try:
            return await work()
        except StoreUnavailableError:
            began_s = now() if attempt == 1 else began_s
            if attempt == ATTEMPTS or now() - began_s > LONGEST_S:
                raise
        except CheckpointError as error:
            if attempt == 1 or settle is None:
                raise
            return await settle(error)
        await sleep(backoff_s(attempt, base_s=FIRST_WAIT_S, cap_s=LONGEST_WAIT_S, rng=_RANDOM))
        attempt += 1
