"""Timing inside a running loop: amortised over many calls, the two sides of a comparison in turn."""

from __future__ import annotations

import gc
import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, Literal

from eino_harness.bench.loops import LoopDriver

__all__ = ["Arm", "ClockName", "Plan", "Rounds", "Samples", "quiet_gc"]

ClockName = Literal["wall", "cpu"]
"""`"wall"`: the time that passes. `"cpu"`: the time that this process computes, for work that sleeps."""

_CLOCKS: dict[ClockName, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}

PIECES = 16
"""Into how many pieces a round is cut. A busy machine takes the processor away for milliseconds; of pieces that last
a third of one, some are left in peace."""


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    rounds: int = 41
    """Rounds that count. Odd, so that the median is a measured value."""
    warmup_rounds: int = 3
    """Rounds before, which do not count."""
    round_s: float = 0.005
    """How long one function runs in a round, in seconds.

    0 means that numbers are not wanted: each function is called as often as `inner` says.
    """
    inner: int | None = None
    """Calls of the first function in a round, all in one piece; None finds a good number, as it does for the others."""
    clock: ClockName = "wall"
    """What is counted."""


@dataclass(frozen=True)
class Samples:
    """What one function took."""

    seconds: tuple[float, ...]
    """Seconds a call in the fastest piece of each round."""
    inner: int
    """Calls in each piece."""


class Arm:
    """One function of a measurement, without arguments, plain or `async`."""

    def __init__(self, func: Callable[[], Any], plan: Plan) -> None:
        self.result: Any = None
        """What the last call returned."""
        self.inner = 1
        """Calls in a piece."""
        self.piece_s = 0.0
        """How long a piece lasts, about."""
        self._func = func
        self._clock = _CLOCKS[plan.clock]
        self._is_async = False

    async def prepare(self, plan: Plan) -> None:
        """Call once, to see whether the result must be awaited; find out how many calls make a piece."""
        self.result = self._func()
        self._is_async = inspect.isawaitable(self.result)
        if self._is_async:
            self.result = await self.result
        if plan.inner is not None:
            self.inner = plan.inner
            return
        wanted_s = plan.round_s / PIECES
        while (took_s := await self._passing(self.inner)) < wanted_s:
            # The least of a few estimates: a pause of the machine makes a piece look long, never short.
            self.inner = max(self.inner + 1, min(8 * self.inner, int(self.inner * wanted_s / max(took_s, 1e-9)) + 1))
        self.piece_s = took_s

    async def time_piece(self) -> float:
        """Time one piece; return seconds a call by the chosen clock."""
        return await self._timed(self.inner, self._clock) / self.inner

    async def _passing(self, inner: int) -> float:
        """Return how long `inner` calls take on the wall, at best of three."""
        return min([await self._timed(inner, time.perf_counter) for _ in range(3)])

    async def _timed(self, inner: int, clock: Callable[[], float]) -> float:
        func = self._func
        result = None
        if self._is_async:
            start = clock()
            for _ in repeat(None, inner):
                result = await func()
            took_s = clock() - start
        else:
            start = clock()
            for _ in repeat(None, inner):
                result = func()
            took_s = clock() - start
        self.result = result
        return took_s


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Leave collection on, but let it scan only what is made inside the block.

    The garbage that measured code makes is part of its cost; a scan of the test runner's own heap is not.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Rounds:
    """The rounds of one benchmark: its functions are timed in turn, piece by piece, inside one running loop.

    What slows the machine for longer than a round slows all of them alike; what stops it for a moment spoils a piece,
    and the fastest piece of the round is kept. So the ratio of two functions in one round holds on a busy machine.
    """

    def __init__(self, driver: LoopDriver, functions: Sequence[Callable[[], Any]], plan: Plan) -> None:
        self.arms: list[Arm] = []
        """One a function, once `prepare` was called."""
        self.pieces = 1
        """Pieces of each function in a round."""
        self._seconds: list[list[float]] = [[] for _ in functions]
        self._driver = driver
        self._functions = functions
        self._plan = plan

    def prepare(self) -> None:
        """Call each function once, find out how often a piece calls it, and how many pieces make a round."""
        self._driver.run(self._prepare)

    async def _prepare(self) -> None:
        plan = self._plan
        arms = []
        for function in self._functions:
            arms.append(Arm(function, plan))
            await arms[-1].prepare(replace(plan, inner=None) if len(arms) > 1 and plan.round_s > 0 else plan)
        longest_s = max(arm.piece_s for arm in arms)
        if plan.inner is None and longest_s > 0:
            self.pieces = max(1, min(PIECES, int(plan.round_s / longest_s)))
        self.arms = arms

    def warm_up(self) -> None:
        """Run the rounds that do not count."""
        for _ in range(self._plan.warmup_rounds):
            self._driver.run(self._round)

    def run_one(self) -> float:
        """Run a round; return the first function's seconds a call."""
        best = self._driver.run(self._round)
        for seconds, value in zip(self._seconds, best, strict=True):
            seconds.append(value)
        return best[0]

    async def _round(self) -> list[float]:
        """Return each function's fastest piece, in seconds a call; the order of the functions turns with each piece."""
        best = [math.inf] * len(self.arms)
        order = list(enumerate(self.arms))
        if len(self._seconds[0]) % 2:
            order.reverse()
        for _ in range(self.pieces):
            for side, arm in order:
                best[side] = min(best[side], await arm.time_piece())
            order.reverse()
        return best

    def samples(self) -> list[Samples]:
        """Return what each function took, in the rounds that count."""
        return [
            Samples(tuple(seconds), arm.inner) for seconds, arm in zip(self._seconds, self.arms, strict=True) if seconds
        ]
