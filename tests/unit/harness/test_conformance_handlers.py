"""The suite for callback handlers: ours pass it, and each of its checks finds a handler that breaks just its promise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from eino import Handler, RunInfo, handler_builder
from eino_harness.conformance import CallbackHandlerConformance, Conformance, check_conformance
from eino_harness.trace import Trace


class Counting(Handler):
    """Keeps the contract; the broken ones replace a part of it."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, info: RunInfo, value: Any) -> None:
        self.count += 1

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self.count += 1

    def on_end_stream_output(self, info: RunInfo, reader: Any) -> None:
        self.count += 1


@asynccontextmanager
async def opened_trace() -> AsyncIterator[Trace]:
    trace = Trace()
    yield trace
    trace.close()


class TestTrace(CallbackHandlerConformance):
    def make(self) -> Any:
        return opened_trace()

    async def heard(self, handler: Trace) -> int:
        return len(await handler.text())


class TestCounting(CallbackHandlerConformance):
    def make(self) -> Counting:
        return Counting()

    async def heard(self, handler: Counting) -> int:
        return handler.count


class TestEndsOnly(CallbackHandlerConformance):
    without = {"recording": "it prints", "streams": "it hears values only"}  # noqa: RUF012

    def make(self) -> Any:
        return handler_builder(on_end=lambda info, output: None)


def kit(cls: type[Counting], **fields: Any) -> Any:
    async def heard(self: Any, handler: Counting) -> int:
        return handler.count

    return type("Kit", (CallbackHandlerConformance,), {"make": lambda self: cls(), "heard": heard} | fields)


class Waits(Counting):
    async def on_start(self, info: RunInfo, value: Any) -> None:  # type: ignore[override]
        self.count += 1


class Refuses(Counting):
    def on_end(self, info: RunInfo, output: Any) -> None:
        if info.component == "Graph":
            raise ValueError("no")


class DeafToFailures(Counting):
    def on_start(self, info: RunInfo, value: Any) -> None:
        if "words" in value:
            self.count += 1

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self.count = max(0, self.count - 2)


class Changes(Counting):
    def on_start(self, info: RunInfo, value: Any) -> None:
        self.count += 1
        if isinstance(value, dict):
            value["seen"] = True


class Picky(Counting):
    def on_start(self, info: RunInfo, value: Any) -> None:
        self.count += len(str(value).encode()) > 0


class Measures(Counting):
    def on_start(self, info: RunInfo, value: Any) -> None:
        self.count += len(value)


class RaisesOnError(Counting):
    def on_error(self, info: RunInfo, error: BaseException) -> None:
        raise KeyError("on_error")


class OneRunAtOnce(Counting):
    running: set[int] = set()  # noqa: RUF012

    def on_start(self, info: RunInfo, value: Any) -> None:
        self.count += 1
        if info.parent_seq == 0:
            assert not self.running, "another run is on its way"
            self.running.add(info.seq)

    def on_end(self, info: RunInfo, output: Any) -> None:
        self.running.discard(info.seq)

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self.count += 1
        self.running.discard(info.seq)


class RefusesInterrupts(Counting):
    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self.count += 1
        if type(error).__name__ == "GraphInterrupt":
            raise KeyError("what is this?")


class BrokenByCancellation(Counting):
    broken = False

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self.count += 1
        self.broken = self.broken or not isinstance(error, Exception)

    def on_start(self, info: RunInfo, value: Any) -> None:
        assert not self.broken
        self.count += 1


class Deaf(Handler):
    count = 0

    def on_start(self, info: RunInfo, value: Any) -> None:
        self.count += 1


class Spawns(Counting):
    def on_start(self, info: RunInfo, value: Any) -> None:
        self.count += 1
        self.task = asyncio.ensure_future(anyio.sleep_forever())


class Blocks(Counting):
    def on_start(self, info: RunInfo, value: Any) -> None:
        self.count += 1
        if info.name == "checked":
            time.sleep(0.06)


BROKEN = [
    ("test_it_is_a_handler", kit(Waits), "on_start is an async def"),
    ("test_runs_go_on_as_without_it", kit(Refuses), "callback handler on_end of Graph"),
    ("test_it_hears_each_run", kit(DeafToFailures), "after each run there must be more"),
    ("test_it_changes_nothing", kit(Changes), "was changed to"),
    ("test_any_value_will_do", kit(Measures), "on_start"),
    ("test_any_value_will_do", kit(Picky), "surrogates not allowed"),
    ("test_failures_pass", kit(RaisesOnError), "on_error raised KeyError"),
    ("test_interrupts_pass", kit(RefusesInterrupts), "on_error raised KeyError: 'what is this?'"),
    ("test_cancellation_passes", kit(BrokenByCancellation), ""),
    ("test_runs_beside_each_other_do_not_mix", kit(OneRunAtOnce), "another run is on its way"),
    ("test_it_hears_streams", kit(Deaf), "streams are not heard"),  # type: ignore[arg-type]  # not a Counting
    ("test_it_leaves_nothing_behind", kit(Spawns), "the runs left something behind: task"),
    ("test_no_call_blocks", kit(Blocks), "on_start took 0.0"),
]


@pytest.mark.allow_leaks("broken handlers leave things open: that is what the checks are for")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("check", "suite", "said"), BROKEN, ids=[f"{each[0]}-{at}" for at, each in enumerate(BROKEN)])
async def test_a_handler_that_breaks_a_promise_is_found(check: str, suite: type[Conformance], said: str) -> None:
    report = await check_conformance(suite)

    failed = {result.name: str(result.error) for result in report.failed}
    assert said in failed.get(check, "kept"), report.markdown()
    assert not report.ok


def test_every_check_of_handlers_has_a_proof() -> None:
    assert {check for check, *_ in BROKEN} == set(CallbackHandlerConformance.checks())


def test_heard_must_be_defined_or_left_out() -> None:
    suite = type("Kit", (CallbackHandlerConformance,), {"make": lambda self: Counting()})
    report = asyncio.run(check_conformance(suite))
    assert [str(result.error).partition(",")[0] for result in report.failed] == ["Kit must define heard(handler)"]
