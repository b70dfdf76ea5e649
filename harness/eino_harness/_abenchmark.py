"""The `abenchmark` fixture: benchmarks inside a running loop, and side by side with a floor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from eino_harness._benchmark_run import BENCHMARK_RUN, workload_of
from eino_harness.bench.loops import LoopDriver, open_loop
from eino_harness.bench.measure import Arm, ClockName, Plan, Rounds, Samples, quiet_gc
from eino_harness.bench.table import Record, one_sided
from eino_harness.bench.workload import Workload

__all__ = ["AsyncBenchmark", "Comparison", "open_benchmark"]

CALL_ONCE = Plan(rounds=1, warmup_rounds=0, round_s=0.0, inner=1)
"""What a benchmark does when benchmarks are disabled: it is a test like any other."""


@dataclass(frozen=True)
class Comparison:
    """What the two sides of a comparison returned last, to assert that they did the same work."""

    subject: Any
    floor: Any


class AsyncBenchmark:
    """Times a function by calling it many times inside one running event loop.

    Functions may be plain or `async`. One benchmark a test: a second one is refused.
    """

    def __init__(
        self,
        benchmark: Any,
        driver: LoopDriver,
        workload: Workload,
        *,
        nodeid: str,
        plan: Plan,
        record: Callable[[Record], None],
    ) -> None:
        self._benchmark = benchmark
        self._driver = driver
        self._workload = workload
        self._nodeid = nodeid
        self._plan = plan
        self._record = record

    @property
    def loop(self) -> str:
        """The event loop: `"asyncio"`, `"uvloop"` or `"trio"`."""
        return self._driver.name

    def run(self, func: Callable[..., Any], *args: Any) -> Any:
        """Return what `await func(*args)` returns, untimed, in the loop of the benchmark: for preparation."""
        return self._driver.run(lambda: func(*args))

    def __call__(
        self,
        func: Callable[..., Any],
        *args: Any,
        rounds: int | None = None,
        inner: int | None = None,
        clock: ClockName = "wall",
        **kwargs: Any,
    ) -> Any:
        """Time `func(*args, **kwargs)`, awaiting it if it is async; return its last result.

        Args:
            func: What to time.
            *args: Its arguments.
            rounds: How many rounds count; more rounds, narrower interval.
            inner: Calls in a round; found by itself when not given.
            clock: `"cpu"` counts only the time this process computes: for work that sleeps.
            **kwargs: Its keyword arguments.
        """
        call = functools.partial(func, *args, **kwargs) if args or kwargs else func
        (arm,) = self._run([call], self._planned(rounds, inner, clock))
        return arm.result

    def compare(
        self,
        *,
        subject: Callable[[], Any],
        floor: Callable[[], Any],
        rounds: int | None = None,
        inner: int | None = None,
        clock: ClockName = "wall",
    ) -> Comparison:
        """Time `subject` and `floor` in turn, a third of a millisecond each; return what each returned last.

        Their ratio holds on a busy machine (see `eino_harness.bench.Rounds`). `inner` counts calls of the subject;
        the floor's are chosen by themselves.
        """
        ours, theirs = self._run([subject, floor], self._planned(rounds, inner, clock))
        return Comparison(ours.result, theirs.result)

    def _planned(self, rounds: int | None, inner: int | None, clock: ClockName) -> Plan:
        if self._benchmark.disabled:
            return CALL_ONCE
        plan = replace(self._plan, clock=clock)
        if plan.round_s <= 0:  # smoke: the sizes that a benchmark asks for are not wanted
            return plan
        return replace(plan, rounds=rounds or plan.rounds, inner=inner)

    def _run(self, functions: Sequence[Callable[[], Any]], plan: Plan) -> list[Arm]:
        """Let pytest-benchmark drive the rounds, on a clock that shows the seconds a call that we measured.

        That keeps its table, storage and comparison working, and its bookkeeping when a benchmark fails. The clock is
        the one private attribute we touch.
        """
        measured = Rounds(self._driver, functions, plan)
        shown_s = 0.0

        def target() -> None:
            nonlocal shown_s
            if not measured.arms:
                measured.prepare()
                measured.warm_up()
            if self._benchmark.enabled:
                shown_s += measured.run_one()

        with quiet_gc():
            self._benchmark._timer = lambda: shown_s
            self._benchmark.pedantic(target, rounds=plan.rounds, iterations=1)
        if samples := measured.samples():
            self._keep(plan, *samples)
        return measured.arms

    def _keep(self, plan: Plan, samples: Samples, floor: Samples | None = None) -> None:
        work = self._workload
        self._benchmark.extra_info.update(
            loop=self.loop, workload=work.label, inner=samples.inner, clock=f"{plan.clock}, amortised per call"
        )
        if floor is None:
            self._record(one_sided(work, self._nodeid, self.loop, samples, plan.clock))
            return
        self._benchmark.extra_info.update(floor_s=list(floor.seconds), floor_inner=floor.inner)
        self._record(Record(work, self._nodeid, self.loop, samples, floor, plan.clock))


@contextmanager
def open_benchmark(request: pytest.FixtureRequest, benchmark: Any) -> Iterator[AsyncBenchmark]:
    """Yield the fixture's value, with an event loop of its own.

    Raises:
        pytest.UsageError: If the test is a coroutine function, or the loop is not installed or unknown.
    """
    if inspect.iscoroutinefunction(request.function):
        raise pytest.UsageError(
            f"{request.node.nodeid}: abenchmark runs its own event loop: write `def`, not `async def`, and hand it the "
            "coroutine function"
        )
    try:
        driver = open_loop(request.param)
    except (ValueError, ModuleNotFoundError) as error:
        raise pytest.UsageError(f"{request.node.nodeid}: {error}") from error
    run = request.config.stash.get(BENCHMARK_RUN, None)
    try:
        yield AsyncBenchmark(
            benchmark,
            driver,
            workload_of(request.node),
            nodeid=request.node.nodeid,
            plan=run.plan if run is not None else Plan(),
            record=run.records.append if run is not None else lambda _: None,
        )
    finally:
        driver.close()
