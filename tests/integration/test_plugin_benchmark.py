"""`pytest --benchmark`, as people type it: which tests run, what is printed and saved, and how the run ends."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.figure  # noqa: F401 - pytester forgets what its runs import, and numpy refuses to be loaded twice
import pytest

import eino_harness._abenchmark
import eino_harness._benchmark_run
from eino_harness.bench import Plan

BENCH = """
import asyncio
import pytest

async def once():
    return 1

async def five_times():
    for _ in range(5):
        await once()
    return 1

@pytest.mark.workload("W1", "five awaits", goal_ratio=50, gate_ratio=100)
def test_five(abenchmark):
    done = abenchmark.compare(subject=five_times, floor=once)
    assert done.subject == done.floor == 1

def test_plain(benchmark):
    assert benchmark(sum, [1, 2]) == 3

def test_no_benchmark():
    raise AssertionError("this is no benchmark")
"""
QUICK = ("-p", "no:randomly", "-p", "no:cacheprovider", "--benchmark-max-time=0.001", "--benchmark-min-rounds=1")

QUICK_PLAN = Plan(rounds=7, warmup_rounds=1, round_s=0.0005)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with one benchmark file and one test file; measuring takes a moment only."""
    monkeypatch.setattr(eino_harness._benchmark_run, "Plan", lambda: QUICK_PLAN)
    pytester.makeini("[pytest]\n")
    pytester.mkdir("benchmarks").joinpath("bench_five.py").write_text(BENCH)
    pytester.makepyfile(test_other="def test_other(): pass\ndef test_stray(benchmark): benchmark(int)")
    return pytester


def test_without_arguments_it_runs_the_benchmarks_folder(project: pytest.Pytester) -> None:
    result = project.runpytest("--benchmark", *QUICK)

    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "*= eino workloads =*",
            "id *work *floor *eino *unit *ratio *95 % *goal *verdict",
            "W1 *five awaits *us/op *x *..* *<= 50x, gate 100x *ok",
            "report: *latest.json",
        ]
    )


def test_plain_pytest_ignores_benchmark_files(project: pytest.Pytester) -> None:
    result = project.runpytest("--benchmark-disable", *QUICK)

    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*eino workloads*")
    result.stdout.no_fnmatch_line("*bench_five*")


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        pytest.param(["--benchmark", "benchmarks/bench_five.py"], 2, id="a file behind the flag"),
        pytest.param(["benchmarks/bench_five.py", "--benchmark"], 2, id="a file before the flag"),
        pytest.param(["benchmarks", "--benchmark"], 2, id="a folder"),
        pytest.param(["--benchmark", "benchmarks/bench_five.py::test_five"], 1, id="one test"),
        pytest.param(["--benchmark", "test_other.py"], 1, id="a test file with a benchmark in it"),
        pytest.param(["--benchmark", "-k", "plain"], 1, id="by keyword"),
        pytest.param(["--benchmark", "--benchmark-disable"], 2, id="the flag is stronger than --benchmark-disable"),
        pytest.param(["--benchmark", "--benchmark-skip"], 2, id="the flag is stronger than --benchmark-skip"),
    ],
)
def test_it_runs_what_is_named_once(project: pytest.Pytester, arguments: list[str], passed: int) -> None:
    result = project.runpytest(*arguments, *QUICK)

    assert result.parseoutcomes()["passed"] == passed
    assert result.ret == pytest.ExitCode.OK


def test_it_works_from_a_sub_folder(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project.mkdir("deep")
    monkeypatch.chdir(folder)

    result = project.runpytest("--benchmark", *QUICK)

    assert result.parseoutcomes()["passed"] == 2
    assert (project.path / "reports" / "benchmarks" / "latest.json").exists()


def test_it_works_in_addopts(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--benchmark")

    assert project.runpytest(*QUICK).parseoutcomes()["passed"] == 2


def test_it_overrides_a_project_that_switches_benchmarks_off(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\naddopts = --benchmark-disable\n")

    assert project.runpytest("--benchmark", *QUICK).parseoutcomes()["passed"] == 2


def test_other_folders_can_be_set(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\neino_benchmark_paths = speed\neino_benchmark_report = out\n")
    project.mkdir("speed").joinpath("bench_more.py").write_text(BENCH)

    result = project.runpytest("--benchmark", *QUICK)

    result.stdout.fnmatch_lines(["speed/bench_more.py*"])
    assert (project.path / "out" / "index.html").exists()


def test_without_a_benchmarks_folder_it_looks_where_pytest_looks(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(bench_here="def test_here(benchmark): benchmark(int)")

    assert pytester.runpytest("--benchmark", *QUICK).parseoutcomes()["passed"] == 1


def test_nothing_to_run_is_no_success(project: pytest.Pytester) -> None:
    result = project.runpytest("--benchmark", "-k", "nothing", *QUICK)

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.no_fnmatch_line("*eino workloads*")
    assert not (project.path / "reports").exists()


def test_collecting_only_measures_nothing(project: pytest.Pytester) -> None:
    result = project.runpytest("--benchmark", "--collect-only", *QUICK)

    result.stdout.fnmatch_lines(["*test_five?asyncio?*"])
    assert not (project.path / "reports").exists()


def test_several_processes_are_refused(project: pytest.Pytester) -> None:
    pytest.importorskip("xdist", reason="needs pytest-xdist")
    result = project.runpytest("--benchmark", "-n2", *QUICK)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --benchmark cannot run in several processes at once*drop -n, or add -n0"])
    assert project.runpytest("--benchmark", "-n0", *QUICK).ret == pytest.ExitCode.OK


def test_without_pytest_benchmark_the_remedy_is_named(project: pytest.Pytester) -> None:
    result = project.runpytest("--benchmark", "-p", "no:benchmark", "-p", "no:randomly")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --benchmark needs pytest-benchmark: pip install 'eino?bench?'*"])


def test_pytest_benchmarks_own_options_keep_working(project: pytest.Pytester) -> None:
    result = project.runpytest("--benchmark", "--benchmark-autosave", "--benchmark-json=own.json", *QUICK)

    assert result.ret == pytest.ExitCode.OK
    assert list(project.path.glob(".benchmarks/*/0001_*.json"))
    saved = {each["name"]: each for each in json.loads((project.path / "own.json").read_text())["benchmarks"]}
    five = saved["test_five[asyncio]"]
    assert five["stats"]["rounds"] == 7
    assert five["extra_info"]["loop"] == "asyncio"
    assert len(five["extra_info"]["floor_s"]) == 7
    assert 0 < five["stats"]["median"] < 1e-3  # seconds a call, not a round


def test_the_saved_report_agrees_with_the_table(project: pytest.Pytester) -> None:
    project.runpytest("--benchmark", *QUICK)
    data = json.loads((project.path / "reports/benchmarks/latest.json").read_text())
    (work,) = data["workloads"]

    assert (work["id"], work["loop"], work["verdict"], work["rounds"]) == ("W1", "asyncio", "ok", 7)
    assert work["ratio"]["low"] <= work["ratio"]["value"] <= work["ratio"]["high"]
    assert work["ratio"]["value"] > 1.5  # five awaits against one
    page = (project.path / "reports/benchmarks/index.html").read_text()
    assert "<svg" in page
    assert "five awaits" in page


def test_a_broken_gate_fails_the_run_in_plain_words(project: pytest.Pytester) -> None:
    (project.path / "benchmarks" / "bench_five.py").write_text(BENCH.replace("gate_ratio=100", "gate_ratio=0.01"))

    result = project.runpytest("--benchmark", *QUICK)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(
        ["W1 *FAILS GATE", "GATE W1: *x the floor (95 %: *..*), allowed 0.01x. Make it faster, or justify another*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_missed_goal_is_shown_and_fails_nothing(project: pytest.Pytester) -> None:
    (project.path / "benchmarks" / "bench_five.py").write_text(BENCH.replace("goal_ratio=50", "goal_ratio=0.01"))

    result = project.runpytest("--benchmark", *QUICK)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["W1 *misses goal"])


def test_a_smoke_run_shows_that_everything_runs_and_judges_nothing(project: pytest.Pytester) -> None:
    (project.path / "benchmarks" / "bench_five.py").write_text(BENCH.replace("gate_ratio=100", "gate_ratio=0.01"))

    result = project.runpytest("--benchmark-smoke", "-p", "no:randomly")

    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["*eino workloads (smoke: the numbers mean nothing)*"])
    assert json.loads((project.path / "reports/benchmarks/smoke/latest.json").read_text())["smoke"] is True
    assert not (project.path / "reports/benchmarks/latest.json").exists()


def test_a_benchmark_that_fails_is_a_failed_test_without_a_row(project: pytest.Pytester) -> None:
    (project.path / "benchmarks" / "bench_five.py").write_text(
        BENCH.replace("return 1\n\nasync", "raise KeyError('no answer')\n\nasync")
    )

    result = project.runpytest("--benchmark", *QUICK)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["E*KeyError: 'no answer'"])
    result.stdout.no_fnmatch_line("*eino workloads*")


def test_a_marker_that_makes_no_sense_stops_before_anything_runs(project: pytest.Pytester) -> None:
    (project.path / "benchmarks" / "bench_five.py").write_text(BENCH.replace("goal_ratio=50", "goal=50"))

    result = project.runpytest("--benchmark", *QUICK)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *bench_five.py::test_five?asyncio?: workload marker does not know ?'goal'?*"])


SIDES = """
import pytest

@pytest.mark.workload("W7", "join", role="floor")
def test_floor(benchmark):
    benchmark("".join, ["a"] * 100)

@pytest.mark.workload("W7", "join", goal_ratio=1000)
def test_eino(benchmark):
    benchmark("".join, ["a"] * 200)

@pytest.mark.workload("W8", "alone", role="floor")
def test_alone(abenchmark):
    assert abenchmark(sum, [1, 2], start=3) == 6

@pytest.mark.workload("W9", "parametrised")
@pytest.mark.parametrize("size", [10, 20])
@pytest.mark.parametrize("abenchmark", ["asyncio", "uvloop", "trio"], indirect=True)
def test_sizes(abenchmark, size):
    async def work():
        return sum(range(size))

    assert abenchmark.run(work) == abenchmark(work) == sum(range(size))
    assert abenchmark.loop in {"asyncio", "uvloop", "trio"}
"""


def test_sides_loops_and_parameters_have_rows_of_their_own(project: pytest.Pytester) -> None:
    (project.path / "benchmarks" / "bench_five.py").write_text(SIDES)

    result = project.runpytest("--benchmark", *QUICK)

    assert result.parseoutcomes()["passed"] == 9
    result.stdout.fnmatch_lines(
        [
            "W7 *join *x *..* [*] *<= 1000x *ok",
            "W8 *alone * - *us/op *",
            "W9 10 *parametrised*",
            "W9 10 (trio)*",
            "W9 10 (uvloop)*",
            "W9 20 *",
            "[*]: the sides were timed in different tests*",
        ],
        consecutive=False,
    )


def test_without_the_flag_each_side_runs_once(project: pytest.Pytester) -> None:
    bench = Path("benchmarks/bench_calls.py")
    bench.write_text(
        """
calls = []

def test_counts(abenchmark):
    done = abenchmark.compare(subject=lambda: calls.append("subject"), floor=lambda: calls.append("floor"))
    assert calls == ["subject", "floor"]

def test_returns(abenchmark):
    async def answer(): return 42
    assert abenchmark(answer) == 42
"""
    )

    result = project.runpytest("--benchmark-disable", str(bench), *QUICK)

    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*eino workloads*")


MISUSED = """
import functools
import pytest

async def work(): return 1

def test_function(benchmark): benchmark(work)
def test_lambda(benchmark): benchmark(lambda: work())
def test_partial(benchmark): benchmark(functools.partial(work))
def test_pedantic(benchmark): benchmark.pedantic(lambda: work(), rounds=3)
"""


@pytest.mark.parametrize("flag", ["--benchmark-enable", "--benchmark-disable", "--benchmark"])
def test_the_plain_fixture_refuses_coroutines(project: pytest.Pytester, flag: str) -> None:
    """pytest-benchmark would time their creation."""
    bench = Path("benchmarks/bench_misused.py")
    bench.write_text(MISUSED)

    result = project.runpytest(flag, str(bench), "-W", "error", *QUICK)

    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "E *UnawaitedCoroutineError: benchmark(work) would time the creation of a coroutine*use the fixture `abenchmark`*"
        ]
    )
    result.stdout.no_fnmatch_line("*never awaited*")


def test_abenchmark_has_a_loop_of_its_own_and_says_so(project: pytest.Pytester) -> None:
    bench = Path("benchmarks/bench_async.py")
    bench.write_text("async def test_async(abenchmark): pass\n")
    result = project.runpytest("--benchmark", str(bench), *QUICK)
    result.stdout.fnmatch_lines(["E *abenchmark runs its own event loop: write `def`, not `async def`*"])

    bench.write_text(
        "import pytest\n@pytest.mark.parametrize('abenchmark', ['gevent'], indirect=True)\ndef test_loop(abenchmark): pass\n"
    )
    result = project.runpytest("--benchmark", str(bench), *QUICK)
    result.stdout.fnmatch_lines(["E *bench_async.py::test_loop?gevent?: no event loop is named 'gevent'*"])


def test_one_benchmark_a_test(project: pytest.Pytester) -> None:
    bench = Path("benchmarks/bench_twice.py")
    bench.write_text("def test_twice(abenchmark):\n    abenchmark(int)\n    abenchmark(int)\n")

    result = project.runpytest("--benchmark", str(bench), *QUICK)

    result.stdout.fnmatch_lines(["E *FixtureAlreadyUsed*"])


def test_rounds_calls_and_clock_can_be_chosen(project: pytest.Pytester) -> None:
    bench = Path("benchmarks/bench_plan.py")
    bench.write_text(
        """
import pytest
calls = {"subject": 0, "floor": 0}

def count(name):
    calls[name] += 1

@pytest.mark.workload("W12", "chosen", unit="ms/run")
def test_chosen(abenchmark):
    abenchmark.compare(subject=lambda: count("subject"), floor=lambda: count("floor"), rounds=3, inner=2, clock="cpu")
    assert calls["subject"] == 1 + 2 * (1 + 3)
"""
    )

    result = project.runpytest("--benchmark", str(bench), *QUICK)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["W12 *chosen *ms/run cpu*"])


def test_another_plugin_may_have_taken_the_flag(pytester: pytest.Pytester) -> None:
    """Then it keeps it, and ours is reached by --benchmark-smoke only; nothing breaks."""
    pytester.makeini("[pytest]\n")
    pytester.syspathinsert()
    pytester.makepyfile(
        theirs="def pytest_addoption(parser): parser.addoption('--benchmark', action='store_true', dest='theirs')",
        test_it="def test_it(pytestconfig): assert pytestconfig.option.theirs",
    )

    result = pytester.runpytest("-p", "theirs", "--benchmark", "-p", "no:randomly", "--benchmark-disable")

    result.assert_outcomes(passed=1)
