"""The gate on counts: the verdicts, the baseline, and counting itself in small projects."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eino_harness.bench import instructions
from eino_harness.bench.counting import COUNTER_VARIABLE, FILE_VARIABLE, count_bytecodes
from eino_harness.bench.instructions import (
    Baseline,
    CountError,
    baseline_path,
    best_counter,
    count,
    instructions_table,
    judge,
    least,
    read_baseline,
    this_build,
    write_baseline,
)
from eino_harness.cli import main
from eino_harness.report.page import external_requests

BENCH = """
import pytest

async def add(value):
    return value + 1

async def ten(value):
    for _ in range({rounds}):
        value = await add(value)
    return value

@pytest.mark.instructions(calls=10)
def test_ten(abenchmark):
    assert abenchmark.loop == "asyncio"
    assert abenchmark.run(add, 1) == 2
    done = abenchmark.compare(subject=lambda: ten(0), floor=lambda: ten(0), rounds=3)
    assert done.subject == done.floor == {rounds}

@pytest.mark.instructions(calls=10)
def test_plain(abenchmark):
    assert abenchmark(sum, [1, 2], rounds=3) == 3

def test_not_counted(abenchmark):
    raise AssertionError("not marked")
"""

WORDY = """
import pytest

class Wordy:
    def __repr__(self):
        return "".join(str(number) for number in range(1000))

@pytest.mark.instructions(calls=10)
def test_wordy(abenchmark):
    async def give():
        return Wordy()
    abenchmark(give)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Makes a project whose benchmark loops so many times."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (tmp_path / "benchmarks").mkdir()

    def make(rounds: int) -> Path:
        (tmp_path / "benchmarks" / "bench_ten.py").write_text(BENCH.format(rounds=rounds))
        return tmp_path

    return make


def of(**counts: float) -> Baseline:
    return Baseline("bytecodes", this_build("bytecodes"), {"msgspec": "0"}, counts)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        pytest.param(1009, "ok", id="below the gate"),
        pytest.param(1011, "more", id="above the gate"),
        pytest.param(1050, "more", id="5 %"),
        pytest.param(991, "ok", id="a little less"),
        pytest.param(980, "less", id="less"),
    ],
)
def test_one_percent_more_fails(now: float, verdict: str) -> None:
    (judged,) = judge(of(a=1000.0), of(a=now))

    assert judged.verdict == verdict
    assert judged.change == pytest.approx(now / 1000 - 1)


def test_the_lower_of_two_counts_stands() -> None:
    """A benchmark that only one of them has keeps its count."""
    assert least(of(a=5.0, b=2.0, c=1.0), of(a=4.0, b=3.0)).counts == {"a": 4.0, "b": 2.0, "c": 1.0}


def test_benchmarks_come_and_go_without_failing() -> None:
    judged = judge(of(a=1.0), of(b=1.0))

    assert [(each.test, each.verdict, each.change) for each in judged] == [("b", "new", None), ("a", "gone", None)]
    assert "machine instructions a call" in instructions_table(judged, "instructions")[-1]


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = baseline_path(tmp_path / "baseline", "bytecodes")
    write_baseline(of(a=10.25), path)

    assert path.name == f"bytecodes-py{sys.version_info.major}.{sys.version_info.minor}.json"
    assert read_baseline(path, "bytecodes") == of(a=10.2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(None, "write one with --update, and commit it", id="none"),
        pytest.param("{", "is no baseline", id="damaged"),
        pytest.param("{}", "write it again with --update", id="empty"),
        pytest.param(
            {"build": {"python": "CPython 2.7.18"}}, "of another build .*2.7.18.*not comparable", id="other Python"
        ),
        pytest.param({"counter": "instructions"}, "of another build", id="other counter"),
    ],
)
def test_a_baseline_that_cannot_serve_is_refused(tmp_path: Path, change: Any, says: str) -> None:
    path = tmp_path / "b.json"
    write_baseline(of(a=1.0), path)
    if change is None:
        path.unlink()
    elif isinstance(change, str):
        path.write_text(change)
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises(CountError, match=says):
        read_baseline(path, "bytecodes")


def test_machine_instructions_depend_on_the_build_of_python() -> None:
    assert set(this_build("instructions")) == {"python", "compiler", "machine"}
    assert baseline_path(Path(), "instructions").name.endswith(f"-{os.uname().machine}.json")


def test_bytecodes_are_counted_exactly() -> None:
    def loop(times: int) -> Callable[[], None]:
        def work() -> None:
            for _ in range(times):
                pass

        return work

    few, more, most = (count_bytecodes(loop(times)) for times in (10, 20, 40))

    assert count_bytecodes(loop(10)) == few
    assert more - few > 0
    assert most - more == 2 * (more - few)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="needs Python 3.11, where the other counter is not there")
def test_the_tracing_counter_of_old_pythons_counts_too() -> None:
    from eino_harness.bench.counting import _count_traced

    def loop(times: int) -> None:
        for _ in range(times):
            pass

    tracer = sys.gettrace()
    few, more, most = (_count_traced(lambda times=times: loop(times)) for times in (10, 20, 40))  # type: ignore[misc]

    assert most - more == 2 * (more - few) > 0
    assert sys.gettrace() is tracer


def test_counts_repeat_and_growth_fails(project: Callable[[int], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The same code passes; 5 % more of the loop does not."""
    options = ["--counter", "bytecodes", "--baseline", "baseline", "--out", "out"]
    folder = project(100)

    assert main(["instructions", "--update", *options]) == 0
    assert main(["instructions", *options]) == 0
    assert "+0.00%" in capsys.readouterr().out
    project(106)
    assert main(["instructions", *options]) == 1
    out = capsys.readouterr().out
    assert "bench_ten.py::test_ten[asyncio]" in out
    assert "more" in out
    page = (folder / "out" / "index.html").read_text()
    assert external_requests(page) == []
    assert "what C code does is not seen" in " ".join(page.split())
    checks = {
        check["name"]: check["ok"] for check in json.loads((folder / "out" / "latest.json").read_text())["checks"]
    }
    assert checks == {
        "benchmarks/bench_ten.py::test_plain[asyncio]": True,
        "benchmarks/bench_ten.py::test_ten[asyncio]": False,
    }
    project(80)
    assert main(["instructions", *options]) == 0
    assert "keep that with --update" in capsys.readouterr().out


def test_an_ignored_signal_changes_no_count(project: Callable[[int], Path]) -> None:
    """As `nohup` ignores it. Before Python 3.13 asyncio's runner wrote out what a run gave where it was not ignored."""
    (project(1) / "benchmarks" / "bench_ten.py").write_text(WORDY)
    before = count(["benchmarks"], "bytecodes")
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ignored = count(["benchmarks"], "bytecodes")
    finally:
        signal.signal(signal.SIGINT, handler)

    assert ignored.counts == before.counts != {}


@pytest.mark.nightly
@pytest.mark.skipif(best_counter() == "bytecodes", reason="needs valgrind and pytest-codspeed")
def test_machine_instructions_repeat(project: Callable[[int], Path]) -> None:
    project(100)

    first, again = (count(["benchmarks"], "instructions") for _ in range(2))

    assert set(first.counts) == {f"benchmarks/bench_ten.py::test_{name}[asyncio]" for name in ("ten", "plain")}
    assert all(each.verdict == "ok" for each in judge(first, again))
    assert first.counts["benchmarks/bench_ten.py::test_ten[asyncio]"] > 1000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("def test_a(abenchmark): pass", "no benchmark with the marker `instructions`", id="none marked"),
        pytest.param(
            "import pytest\n@pytest.mark.instructions\ndef test_a(benchmark): pass", "needs the fixture", id="no loop"
        ),
        pytest.param(
            "import pytest\n@pytest.mark.instructions(rounds=1)\ndef test_a(abenchmark): pass",
            "write @pytest.mark.instructions",
            id="unknown argument",
        ),
        pytest.param(
            "import pytest\n@pytest.mark.instructions\ndef test_a(abenchmark): abenchmark(lambda: 1 / 0)",
            "ZeroDivisionError",
            id="it raises",
        ),
    ],
)
def test_what_cannot_be_counted_is_a_usage_error(
    project: Callable[[int], Path], capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    (project(1) / "benchmarks" / "bench_ten.py").write_text(text)

    assert main(["instructions", "--counter", "bytecodes", "--update"]) == 2
    assert says in capsys.readouterr().err


def test_no_baseline_is_a_usage_error(project: Callable[[int], Path], capsys: pytest.CaptureFixture[str]) -> None:
    project(1)

    assert main(["instructions", "--counter", "bytecodes", "--baseline", "nowhere"]) == 2
    assert "--update" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        pytest.param("valgrind", "apt-get install valgrind", id="valgrind"),
        pytest.param("codspeed", "eino", id="codspeed"),
    ],
)
def test_a_missing_counter_names_what_to_install(monkeypatch: pytest.MonkeyPatch, missing: str, says: str) -> None:
    if missing == "valgrind":
        monkeypatch.setattr(shutil, "which", lambda _: None)
    else:
        monkeypatch.setattr(shutil, "which", lambda name: name)
        monkeypatch.setattr(instructions.util, "find_spec", lambda _: None)

    assert best_counter() == "bytecodes"
    with pytest.raises(CountError, match=says):
        count([], "instructions")


def test_the_plugin_alone_says_who_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from eino_harness.bench.counting import pytest_configure

    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    monkeypatch.delenv(COUNTER_VARIABLE, raising=False)

    with pytest.raises(pytest.UsageError, match="run that instead"):
        pytest_configure(None)  # type: ignore[arg-type]
