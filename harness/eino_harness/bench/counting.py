"""Counts what benchmarks execute instead of timing them: a pytest plugin for the process that counts.

`eino-harness instructions` starts that process, with `-p eino_harness.bench.counting`. Only benchmarks with the marker
`instructions` are counted. Each is called until the interpreter has specialised its code, then over many calls.

There are two counters. `instructions`: machine instructions, by valgrind through pytest-codspeed; what C code
does is in it. `bytecodes`: instructions of the Python interpreter, which need no valgrind and do not see C code.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Literal, Protocol

import pytest

from eino_harness._abenchmark import Comparison
from eino_harness.bench.loops import LoopDriver, open_loop

__all__ = ["COUNTED", "CountedBenchmark", "CounterName", "open_counted"]

CounterName = Literal["instructions", "bytecodes"]

FILE_VARIABLE = "EINO_COUNTS_FILE"
"""Names the file that the counting process writes what it counted to."""

COUNTER_VARIABLE = "EINO_COUNTER"

WARM_UP_CALLS = 60
"""Calls before counting: CPython specialises code that ran a few dozen times at most."""

DEFAULT_CALLS = 100
"""Calls that are counted together, so that entering the event loop (some 100,000 instructions) hardly shows."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The counting process's own plan."""

    counter: CounterName
    file: Path


COUNTED = pytest.StashKey[Counted]()


class Count(Protocol):
    """Calls a function once and counts what it executes."""

    def __call__(self, func: Callable[[], None]) -> int | None:
        """Return the count; None where it is read from elsewhere when the process has ended."""
        ...


class CountedBenchmark:
    """Stands in for `abenchmark` in the counting process: same calls, nothing timed; the floor is not counted."""

    def __init__(self, driver: LoopDriver, calls: int, count: Count, note: Callable[[int, int | None], None]) -> None:
        self._driver = driver
        self._calls = calls
        self._count = count
        self._note = note

    @property
    def loop(self) -> str:
        """The event loop's name."""
        return self._driver.name

    def run(self, func: Callable[..., Any], *args: Any) -> Any:
        """Return what `await func(*args)` returns, not counted."""
        return self._driver.run(lambda: func(*args))

    def __call__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Count `func(*args, **kwargs)`; options of timing (`rounds`, `inner`, `clock`) mean nothing here."""
        for option in ("rounds", "inner", "clock"):
            kwargs.pop(option, None)
        return self._counted(functools.partial(func, *args, **kwargs) if args or kwargs else func)

    def compare(self, *, subject: Callable[[], Any], floor: Callable[[], Any], **_: Any) -> Comparison:
        """Count `subject`; return what both return."""
        return Comparison(self._counted(subject), self._driver.run(functools.partial(_called, floor, 1)))

    def _counted(self, func: Callable[[], Any]) -> Any:
        result = None

        def batch() -> None:
            nonlocal result
            result = self._driver.run(functools.partial(_called, func, self._calls))

        self._driver.run(functools.partial(_called, func, WARM_UP_CALLS))
        batch()
        with _no_collection():
            counted = self._count(batch)
        self._note(self._calls, counted)
        return result


async def _called(func: Callable[[], Any], times: int) -> Any:
    result = None
    for _ in range(times):
        result = func()
        if hasattr(type(result), "__await__"):
            result = await result
    return result


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out: when it comes depends on what ran before."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def open_counted(request: pytest.FixtureRequest, benchmark: Any) -> Iterator[CountedBenchmark]:
    """Yield what `abenchmark` is in the counting process."""
    counted = request.config.stash[COUNTED]
    nodeid = request.node.nodeid

    def note(calls: int, value: int | None) -> None:
        line = {"test": nodeid, "uri": _uri(request), "calls": calls, "count": value}
        with counted.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    driver = open_loop(request.param)
    try:
        count = _by_valgrind if counted.counter == "instructions" else _by_interpreter
        yield CountedBenchmark(driver, _calls(request.node), functools.partial(count, benchmark), note)
    finally:
        driver.close()


def _uri(request: pytest.FixtureRequest) -> str:
    """Return the name under which pytest-codspeed's results stand."""
    if request.config.stash[COUNTED].counter == "bytecodes":
        return ""
    from pytest_codspeed.utils import get_git_relative_uri_and_name

    uri, _ = get_git_relative_uri_and_name(request.node.nodeid, request.config.rootpath)
    return str(uri)


def _calls(item: pytest.Item) -> int:
    marker = item.get_closest_marker("instructions")
    unknown = set(marker.kwargs) - {"calls"} if marker else set()
    calls = marker.kwargs.get("calls", DEFAULT_CALLS) if marker else DEFAULT_CALLS
    if unknown or (marker and marker.args) or not isinstance(calls, int) or calls < 1:
        raise pytest.UsageError(f"{item.nodeid}: write @pytest.mark.instructions or instructions(calls=100)")
    return calls


def _by_valgrind(benchmark: Any, func: Callable[[], None]) -> None:
    """Count through pytest-codspeed's fixture, which tells valgrind when to begin, when to end, and what to call it."""
    benchmark(func)


def _by_interpreter(benchmark: Any, func: Callable[[], None]) -> int:
    """Count inside pytest-benchmark's fixture, which wants to be used; it is disabled, so it calls once."""
    return int(benchmark(count_bytecodes, func))


def count_bytecodes(func: Callable[[], None]) -> int:
    """Return how many bytecode instructions the interpreter executes in this thread while `func()` runs."""
    return _count_monitored(func) if sys.version_info >= (3, 12) else _count_traced(func)


def _count_monitored(func: Callable[[], None]) -> int:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]  # from Python 3.12 on
    tool = next(number for number in (3, 4, 2, 1, 0) if monitoring.get_tool(number) is None)
    count = 0

    def executed(_code: CodeType, _offset: int) -> None:
        nonlocal count
        count += 1

    monitoring.use_tool_id(tool, "eino-count")
    try:
        monitoring.register_callback(tool, monitoring.events.INSTRUCTION, executed)
        monitoring.set_events(tool, monitoring.events.INSTRUCTION)
        func()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(tool)
    return count


def _count_traced(func: Callable[[], None]) -> int:
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        func()
    finally:
        sys.settrace(before)
    return count


def pytest_configure(config: pytest.Config) -> None:
    """Read from the environment what to count."""
    file, counter = os.environ.get(FILE_VARIABLE), os.environ.get(COUNTER_VARIABLE)
    if not file or counter not in ("instructions", "bytecodes"):
        raise pytest.UsageError(
            "eino_harness.bench.counting is loaded by `eino-harness instructions`: run that instead"
        )
    name: CounterName = "instructions" if counter == "instructions" else "bytecodes"
    config.stash[COUNTED] = Counted(name, Path(file))
    # Else asyncio's runner takes the signal over in each run, and before Python 3.13 that writes out as text what the
    # run gave, unless the signal was ignored, as it is behind `nohup`.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if name == "instructions" and sys.version_info >= (3, 12) and sys.is_stack_trampoline_active():
        # pytest-codspeed names Python's frames for its flame graphs, at twice the instructions, in another code path.
        sys.deactivate_stack_trampoline()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect `bench_*.py`; a file named on the command line is collected by pytest already.

    Files without the marker are not even imported: under valgrind that can take minutes.
    """
    if file_path.suffix != ".py" or not file_path.name.startswith("bench_") or parent.session.isinitpath(file_path):
        return None
    if "mark.instructions" not in file_path.read_text(encoding="utf-8"):
        return None
    module: pytest.Module = pytest.Module.from_parent(parent, path=file_path)
    return module


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the benchmarks that are to be counted.

    Raises:
        pytest.UsageError: If one of them does not use `abenchmark`, or its marker makes no sense.
    """
    chosen = [item for item in items if item.get_closest_marker("instructions")]
    for item in chosen:
        _calls(item)
        if "abenchmark" not in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid}: the marker `instructions` needs the fixture `abenchmark`")
    if left_out := [item for item in items if item not in chosen]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen
