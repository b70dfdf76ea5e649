"""`pytest --benchmark-memory`: what each benchmark allocates, by memray. Loaded only when the flag is given.

Each benchmark is called until it allocates no more for the first time only, then tracked over some calls, inside the
running loop. Python's own allocator is tracked too: objects count, not only the pages that they lie in.
"""

from __future__ import annotations

import functools
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from eino_harness._abenchmark import Comparison
from eino_harness._benchmark_run import workload_of
from eino_harness.bench.loops import LoopDriver, open_loop

__all__ = ["MEMORY_RUN", "Memory", "MemoryBenchmark", "MemoryRun", "memory_table", "open_memory", "start", "track"]

WARM_UP_CALLS = 5
CALLS = 20
_SLOW_S = 0.05  # a call that takes longer is tracked twice only
_SLOW_CALLS = 2


@dataclass(frozen=True, slots=True)
class Memory:
    """What one benchmark allocated."""

    label: str
    work: str
    test: str
    loop: str
    calls: int
    """Calls that were tracked together."""
    allocations: float
    """Allocations a call."""
    peak_bytes: int
    """Most that was allocated at once, over what there was before."""
    kept_bytes: float
    """What a call allocated and did not give back until the last had ended and garbage was collected."""


class MemoryBenchmark:
    """Stands in for `abenchmark`: same calls, nothing timed. The floor is called, not tracked."""

    def __init__(self, driver: LoopDriver, keep: Callable[[int, tuple[int, int, int]], None]) -> None:
        self._driver = driver
        self._keep = keep

    @property
    def loop(self) -> str:
        """The event loop's name."""
        return self._driver.name

    def run(self, func: Callable[..., Any], *args: Any) -> Any:
        """Return what `await func(*args)` returns, not tracked."""
        return self._driver.run(lambda: func(*args))

    def __call__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Track `func(*args, **kwargs)`; options of timing (`rounds`, `inner`, `clock`) mean nothing here."""
        for option in ("rounds", "inner", "clock"):
            kwargs.pop(option, None)
        call = functools.partial(func, *args, **kwargs) if args or kwargs else func
        return self._driver.run(functools.partial(self._tracked, call))

    def compare(self, *, subject: Callable[[], Any], floor: Callable[[], Any], **_: Any) -> Comparison:
        """Track `subject`; return what both return."""
        return Comparison(self(subject), self._driver.run(functools.partial(_called, floor, 1)))

    async def _tracked(self, func: Callable[[], Any]) -> Any:
        began_s = time.perf_counter()
        await _called(func, 1)
        calls = CALLS if time.perf_counter() - began_s < _SLOW_S else _SLOW_CALLS
        await _called(func, WARM_UP_CALLS if calls == CALLS else 1)
        gc.collect()
        result = None
        with tempfile.TemporaryDirectory(prefix="eino-memory-") as folder, track(Path(folder) / "trace") as found:
            for _ in range(calls):
                result = func()
                if hasattr(type(result), "__await__"):
                    result = await result
            value, result = result, None
            del value  # what the last call returned is not kept by the benchmark
            gc.collect()
        self._keep(calls, found())
        return await _called(func, 1)


async def _called(func: Callable[[], Any], times: int) -> Any:
    result = None
    for _ in range(times):
        result = func()
        if hasattr(type(result), "__await__"):
            result = await result
    return result


@contextmanager
def track(file: Path) -> Iterator[Callable[[], tuple[int, int, int]]]:
    """Track allocations inside the block.

    Yields:
        A function that says, inside or behind the block's end: number of allocations, bytes at the peak, bytes kept.
    """
    from memray import FileReader, Tracker

    found: list[tuple[int, int, int]] = []
    with Tracker(file, trace_python_allocators=True):
        yield lambda: found[0]
    with FileReader(file) as reader:
        kept = sum(record.size for record in reader.get_leaked_allocation_records(merge_threads=True))
        metadata = reader.metadata
        found.append((metadata.total_allocations, metadata.peak_memory, kept))


class MemoryRun:
    """The hooks and the results of one run with `--benchmark-memory`."""

    def __init__(self, config: pytest.Config) -> None:
        self.found: list[Memory] = []
        self._config = config
        self._written: list[Path] = []

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        """Collect `bench_*.py`; a file named on the command line is collected by pytest already."""
        if file_path.suffix != ".py" or not file_path.name.startswith("bench_") or parent.session.isinitpath(file_path):
            return None
        module: pytest.Module = pytest.Module.from_parent(parent, path=file_path)
        return module

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the tests with the fixture `abenchmark`."""
        chosen = [item for item in items if "abenchmark" in getattr(item, "fixturenames", ())]
        if left_out := [item for item in items if item not in chosen]:
            config.hook.pytest_deselected(items=left_out)
            items[:] = chosen

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        if self.found:
            folder = Path(self._config.rootpath / str(self._config.getini("eino_memory_report")))
            self._written = write_memory_report(self.found, folder)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if self.found:
            terminalreporter.section("memory")
            for line in (*memory_table(self.found), *(f"report: {path}" for path in self._written)):
                terminalreporter.write_line(line)


MEMORY_RUN = pytest.StashKey[MemoryRun]()


def start(config: pytest.Config) -> None:
    """Turn this run into one that tracks memory.

    Raises:
        pytest.UsageError: If memray or pytest-benchmark is missing, or something else measures or tracks.
    """
    option: Any = config.option
    if util.find_spec("memray") is None:
        raise pytest.UsageError(
            "--benchmark-memory needs memray, which is on Linux and macOS: pip install 'eino[bench]'"
        )
    if not hasattr(option, "benchmark_disable"):
        raise pytest.UsageError(
            "--benchmark-memory needs pytest-benchmark: pip install 'eino[bench]', and do not pass '-p no:benchmark'"
        )
    for name, flag in (("eino_benchmark", "--benchmark"), ("eino_benchmark_smoke", "--benchmark-smoke")):
        if getattr(option, name, False):
            raise pytest.UsageError(f"--benchmark-memory and {flag} cannot be used together: tracking slows down")
    if getattr(option, "memray", False):
        raise pytest.UsageError("--benchmark-memory and --memray cannot be used together: memray tracks once at a time")
    if getattr(option, "numprocesses", None) or getattr(option, "dist", "no") != "no":
        raise pytest.UsageError("--benchmark-memory cannot run in several processes at once: drop -n, or add -n0")
    option.benchmark_disable = True
    option.randomly_reorganize = False
    if config.args_source is not config.ArgsSource.ARGS:
        folders = [config.rootpath / folder for folder in config.getini("eino_benchmark_paths")]
        config.args = [str(folder) for folder in folders if folder.exists()] or config.args
    run = MemoryRun(config)
    config.stash[MEMORY_RUN] = run
    config.pluginmanager.register(run, "eino-memory-run")


@contextmanager
def open_memory(request: pytest.FixtureRequest, benchmark: Any) -> Iterator[MemoryBenchmark]:
    """Yield what `abenchmark` is in a run that tracks memory."""
    work, found = workload_of(request.node), request.config.stash[MEMORY_RUN].found
    driver = open_loop(request.param)

    def keep(calls: int, tracked: tuple[int, int, int]) -> None:
        allocations, peak, kept = tracked
        found.append(
            Memory(
                label=work.label,
                work=work.work,
                test=request.node.nodeid,
                loop=driver.name,
                calls=calls,
                allocations=allocations / calls,
                peak_bytes=peak,
                kept_bytes=kept / calls,
            )
        )

    try:
        yield MemoryBenchmark(driver, keep)
        benchmark(int)  # pytest-benchmark, which is disabled, warns of a test that does not use it
    finally:
        driver.close()


_HEADINGS = ("id", "work", "allocations a call", "peak KiB", "kept B a call")


def memory_table(found: Sequence[Memory]) -> list[str]:
    """Return the table as lines of text."""
    rows = [_HEADINGS, *map(_cells, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _cells(memory: Memory) -> tuple[str, ...]:
    loop = "" if memory.loop == "asyncio" else f" ({memory.loop})"
    return (
        memory.label + loop,
        memory.work,
        f"{memory.allocations:,.1f}",
        f"{memory.peak_bytes / 1024:,.1f}",
        f"{memory.kept_bytes:,.1f}",
    )


def write_memory_report(found: Sequence[Memory], folder: Path) -> list[Path]:
    """Write `latest.json` and `index.html` into `folder`; return their paths."""
    from eino_harness.report.page import page_environment
    from eino_harness.report.schema import report_data

    data = report_data(
        "memory",
        "Memory",
        summary={
            "benchmarks": str(len(found)),
            "highest peak": f"{max(memory.peak_bytes for memory in found) / 1024:,.0f} KiB",
        },
        details={"benchmarks": [asdict(memory) for memory in found]},
    )
    page = page_environment(Path(__file__).parent / "templates").get_template("memory.html")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "latest.json", folder / "index.html"]
    paths[0].write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    rows = [(memory, _cells(memory)) for memory in found]
    paths[1].write_text(page.render(data=data, rows=rows, headings=_HEADINGS), encoding="utf-8")
    return paths
