"""The work that each framework does: the same functions, the same results.

W1 is a chain of 10 nodes that add one; W2 is one node, 8 beside each other, one that adds their results; W3 goes
100 times around a loop; W4 streams 1000 chunks through three transforms.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from pathlib import Path

CHAIN = 10
WIDTH = 8
ROUNDS = 100
CHUNKS = 1000

EXPECTED = {"W1": CHAIN, "W2": 8, "W3": ROUNDS, "W4": sum(range(3, CHUNKS + 3)), "W8": 5}
"""What each workload gives for the input 0."""

_REPEATS = 9
_LEAST_S = 0.05  # how long one repeat lasts at least

Workload = Callable[[], Awaitable[int]]


def measure(name: str, workloads: Mapping[str, Workload], *, distribution: str = "") -> None:
    """Time each workload inside one running asyncio loop; write microseconds a call as JSON to the file in argv[1].

    Args:
        name: The framework.
        workloads: What it can do, by id.
        distribution: The package that is measured, for its version; empty where there is none.
    """
    times = asyncio.run(_measure_all(workloads))
    version = metadata.version(distribution) if distribution else ""
    found = {"name": name, "version": version, "python": sys.version.split()[0], "us": times}
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")


async def _measure_all(workloads: Mapping[str, Workload]) -> dict[str, float]:
    times = {}
    for key, run in workloads.items():
        result = await run()
        if result != EXPECTED[key]:
            raise SystemExit(f"{key} gave {result!r}, expected {EXPECTED[key]!r}")
        times[key] = 1e6 * await _best_s(run)
    return times


async def _best_s(run: Workload) -> float:
    """Return the seconds of one call: the median of several repeats."""
    calls, took_s = 1, 0.0
    while took_s < _LEAST_S:
        calls = calls * 2 if took_s else calls
        took_s = await _time_s(run, calls)
    gc.collect()
    repeats = sorted([await _time_s(run, calls) / calls for _ in range(_REPEATS)])
    return repeats[_REPEATS // 2]


async def _time_s(run: Workload, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        await run()
    return time.perf_counter() - start
