"""A process whose clocks are wrong: what Python code reads of the time of day is off by a fixed number of seconds."""

from __future__ import annotations

import datetime  # noqa: ICN001 - what is changed is the module
import time
from typing import Any, Final

__all__ = ["SKEW_VARIABLE", "skew"]

SKEW_VARIABLE: Final = "EINO_FAULT_CLOCK_S"
"""Environment variable that says by how many seconds the clocks of workers are off. Only the workers read it."""


def skew(offset_s: float) -> None:
    """Put the time of day off in this process, for all modules that are imported from now on. Monotonic clocks stay.

    `time.time`, `time.time_ns`, `time.clock_gettime(CLOCK_REALTIME)` and `datetime.now`, `utcnow` and `today` are
    replaced; what a database server says of the time is not.
    """
    if not offset_s:
        return
    true_time, true_ns, true_get = time.time, time.time_ns, time.clock_gettime

    def get(clock: int) -> float:
        return true_get(clock) + (offset_s if clock == time.CLOCK_REALTIME else 0.0)

    time.time = lambda: true_time() + offset_s
    time.time_ns = lambda: true_ns() + int(offset_s * 1e9)
    time.clock_gettime = get
    _skew_datetime(datetime.timedelta(seconds=offset_s))


def _skew_datetime(offset: datetime.timedelta) -> None:
    true = datetime.datetime

    class Skewed(true):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return true.now(tz) + offset

        @classmethod
        def utcnow(cls) -> Any:
            return true.now(datetime.UTC).replace(tzinfo=None) + offset

        @classmethod
        def today(cls) -> Any:
            return true.now() + offset

    datetime.datetime = Skewed  # type: ignore[misc]
