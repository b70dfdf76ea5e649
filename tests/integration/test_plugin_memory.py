"""`pytest --benchmark-memory`: what is tracked, what is printed and saved, and what is refused."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import matplotlib.figure  # noqa: F401 - pytester forgets what its runs import, and numpy refuses to be loaded twice
import memray  # noqa: F401 - the same
import pytest

from eino_harness.report.page import external_requests

pytestmark = pytest.mark.allow_leaks("memray opens a pair of pipes when it is first used, and keeps it")

BENCH = """
import pytest

KEPT = []

async def lists(count):
    made = [[number] for number in range(count)]
    return len(made)

async def a_megabyte():
    return len(bytearray(1024 * 1024))

def hoard():
    KEPT.append(bytearray(10_000))

@pytest.mark.workload("lists", "many small lists")
def test_lists(abenchmark):
    assert abenchmark.loop == "asyncio"
    count = abenchmark.run(lists, 1000)
    assert abenchmark(lists, count, rounds=2) == 1000

@pytest.mark.workload("large", "one large buffer")
def test_large(abenchmark):
    done = abenchmark.compare(subject=a_megabyte, floor=lambda: 1024 * 1024)
    assert done.subject == done.floor == 1024 * 1024

@pytest.mark.workload("hoard", "it keeps what it makes")
def test_hoard(abenchmark):
    abenchmark(hoard)

def test_plain(benchmark):
    raise AssertionError("not tracked")
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.mkdir("benchmarks").joinpath("bench_memory.py").write_text(BENCH)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest("--benchmark-memory", "-p", "no:randomly", "-p", "no:cacheprovider", *arguments)


def test_allocations_peak_and_what_is_kept_are_told(project: pytest.Pytester) -> None:
    result = run(project)

    result.assert_outcomes(passed=3, deselected=1)
    result.stdout.fnmatch_lines(["*= memory =*", "id *work *allocations a call *peak KiB *kept B a call", "report: *"])
    folder = project.path / "reports" / "memory"
    data = json.loads((folder / "latest.json").read_text())
    found: dict[str, Any] = {each["label"]: each for each in data["benchmarks"]}
    assert data["kind"] == "memory"
    assert 2000 <= found["lists"]["allocations"] < 10_000  # each list, its storage, most numbers
    assert found["lists"]["peak_bytes"] > 50_000
    assert 1024**2 <= found["large"]["peak_bytes"] < 1.3 * 1024**2
    assert found["large"]["kept_bytes"] < 1000
    assert 10_000 <= found["hoard"]["kept_bytes"] < 12_000
    page = (folder / "index.html").read_text()
    assert external_requests(page) == []
    assert "many small lists" in page


def test_named_files_and_other_folders(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\neino_memory_report = out\n")

    result = run(project, "benchmarks/bench_memory.py", "-k", "large")

    result.assert_outcomes(passed=1, deselected=3)
    assert (project.path / "out" / "latest.json").exists()


def test_a_benchmark_that_raises_fails_the_run(project: pytest.Pytester) -> None:
    Path("benchmarks/bench_memory.py").write_text("def test_bad(abenchmark): abenchmark(lambda: 1 / 0)")

    result = run(project)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ZeroDivisionError*"])
    assert not (project.path / "reports").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        pytest.param(["--benchmark"], "cannot be used together: tracking slows down", id="timing"),
        pytest.param(["-n1"], "drop -n", id="xdist"),
        pytest.param(["-p", "no:benchmark"], "needs pytest-benchmark", id="no pytest-benchmark"),
    ],
)
def test_what_cannot_be_tracked_is_refused(project: pytest.Pytester, flags: list[str], says: str) -> None:
    result = run(project, *flags)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{says}*"])


def test_memray_must_be_installed(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "memray" else find(name, *more)
    )

    result = run(project)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs memray, which is on Linux and macOS: pip install 'eino?bench?'*"])
