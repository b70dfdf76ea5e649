"""`pytest --benchmark`: collects the benchmarks, measures them, prints the table of workloads and judges the gates.

Loaded only when the flag is given. pytest-benchmark does the bookkeeping of single benchmarks; this adds what it
lacks: a literal flag, floors, goals and gates that compare with the same run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eino_harness.bench.measure import Plan, Samples
from eino_harness.bench.table import Record, Row, Verdict, build_rows, one_sided, render_table
from eino_harness.bench.workload import Workload

__all__ = ["BENCHMARK_RUN", "BenchmarkRun", "start", "workload_of"]

SMOKE_PLAN = Plan(rounds=2, warmup_rounds=0, round_s=0.0, inner=1)
"""Just enough to see that a benchmark runs."""


class BenchmarkRun:
    """The hooks and the results of one run with `--benchmark`."""

    def __init__(self, config: pytest.Config, *, smoke: bool) -> None:
        self.smoke = smoke
        self.plan = SMOKE_PLAN if smoke else Plan()
        self.records: list[Record] = []
        self._config = config
        self._rows: list[Row] = []
        self._written: list[Path] = []
        self._errors: dict[str, str] = {}

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        """Collect `bench_*.py`; a file named on the command line is collected by pytest already."""
        if file_path.suffix != ".py" or not file_path.name.startswith("bench_"):
            return None
        if parent.session.isinitpath(file_path):
            return None
        module: pytest.Module = pytest.Module.from_parent(parent, path=file_path)
        return module

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what is not a benchmark, and refuse a marker that makes no sense before anything runs."""
        chosen = [item for item in items if "benchmark" in getattr(item, "fixturenames", ())]
        left_out = [item for item in items if "benchmark" not in getattr(item, "fixturenames", ())]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = chosen
        for item in chosen:
            workload_of(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Keep the numbers of tests that use the plain `benchmark` fixture and declare a workload."""
        report = yield
        if report.failed and call.excinfo is not None:
            self._errors[item.nodeid] = call.excinfo.exconly(tryshort=True)
        if call.when == "call" and report.passed and item.get_closest_marker("workload"):
            samples = _samples_of(item)
            if samples is not None and "abenchmark" not in getattr(item, "fixturenames", ()):
                work = workload_of(item)
                self.records.append(one_sided(work, item.nodeid, "none", samples))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports and fail the run if a gate is broken."""
        self._rows = build_rows(self.records)
        if not self._rows and not self._errors:
            return
        from eino_harness.bench.report import write_reports

        folder = self._config.rootpath / str(self._config.getini("eino_benchmark_report"))
        self._written = write_reports(
            self._rows, folder / "smoke" if self.smoke else folder, smoke=self.smoke, errors=self._errors
        )
        if self.broken_gates() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, where the reports are, and one line for each broken gate."""
        if not self._rows:
            return
        write = terminalreporter.write_line
        terminalreporter.section("eino workloads" + (" (smoke: the numbers mean nothing)" if self.smoke else ""))
        for line in render_table(self._rows):
            write(line)
        for path in self._written:
            write(f"report: {path}")
        for row in self.broken_gates():
            write(_gate_text(row), red=True, bold=True)

    def broken_gates(self) -> list[Row]:
        """Return the rows whose gate fails; none in a smoke run, whose numbers mean nothing."""
        return [] if self.smoke else [row for row in self._rows if row.verdict is Verdict.FAILS_GATE]


BENCHMARK_RUN = pytest.StashKey[BenchmarkRun]()


def start(config: pytest.Config) -> BenchmarkRun:
    """Turn this run into a benchmark run.

    Raises:
        pytest.UsageError: If pytest-benchmark is missing or the tests are distributed over processes.
    """
    option = config.option
    if not hasattr(option, "benchmark_only"):
        raise pytest.UsageError(
            "--benchmark needs pytest-benchmark: pip install 'eino[bench]', and do not pass '-p no:benchmark'"
        )
    if getattr(option, "numprocesses", None) or getattr(option, "dist", "no") != "no":
        raise pytest.UsageError(
            "--benchmark cannot run in several processes at once: they disturb each other; drop -n, or add -n0"
        )
    option.benchmark_only = True
    option.benchmark_skip = False
    option.benchmark_enable = True
    option.randomly_reorganize = False  # pytest-randomly: a fixed order makes runs comparable
    if option.eino_benchmark_smoke:
        option.benchmark_min_rounds = 1
        option.benchmark_max_time = option.benchmark_min_time = "0.000001"
        option.benchmark_calibration_precision = 1
        option.benchmark_warmup = False
    if config.args_source is not config.ArgsSource.ARGS:
        folders = [config.rootpath / folder for folder in config.getini("eino_benchmark_paths")]
        config.args = [str(folder) for folder in folders if folder.exists()] or config.args
    run = BenchmarkRun(config, smoke=bool(option.eino_benchmark_smoke))
    config.stash[BENCHMARK_RUN] = run
    config.pluginmanager.register(run, "eino-benchmark-run")
    return run


def workload_of(item: pytest.Item) -> Workload:
    """Return the workload that a test declares; without a marker, one named after the test, without goals.

    Raises:
        pytest.UsageError: If the marker's arguments make no sense.
    """
    marker = item.get_closest_marker("workload")
    if marker is None:
        return Workload(item.name)
    try:
        work = Workload.from_marker(marker.args, marker.kwargs)
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from error
    return work if work.variant else replace(work, variant=_parameters(item))


def _parameters(item: pytest.Item) -> str:
    """Return a parametrised test's id without the event loop's part, which the table shows by itself."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return ""
    loop = callspec.params.get("abenchmark")
    return "-".join(part for part in callspec.id.split("-") if part != loop)


def _samples_of(item: pytest.Item) -> Samples | None:
    fixture = getattr(item, "funcargs", {}).get("benchmark")
    metadata = getattr(fixture, "stats", None)
    if metadata is None:
        return None
    return Samples(tuple(metadata.stats.data), metadata.iterations)


def _gate_text(row: Row) -> str:
    assert row.ratio is not None  # noqa: S101 - a gate without a ratio is NO_FLOOR
    return (
        f"GATE {row.workload.label}: {row.ratio.value:.2f}x the floor "
        f"(95 %: {row.ratio.low:.2f}..{row.ratio.high:.2f}), allowed {row.workload.gate_ratio:g}x. "
        f"Make it faster, or justify another gate_ratio at {row.nodeid}"
    )
