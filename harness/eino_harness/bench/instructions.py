"""The gate on counts: counts benchmarks in a process of its own, compares with a committed baseline.

Counts repeat, times do not: a change of 1 % is visible. They depend on the build of Python, so a baseline is for one.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

from eino_harness.bench.counting import COUNTER_VARIABLE, FILE_VARIABLE, CounterName
from eino_harness.report.schema import Check, report_data

__all__ = [
    "Baseline",
    "CountError",
    "Judged",
    "baseline_path",
    "best_counter",
    "count",
    "instructions_table",
    "judge",
    "least",
    "read_baseline",
    "write_baseline",
    "write_instructions_report",
]

GATE = 0.01
"""Largest growth that passes: 1 %. Counts of one build repeat within 0.3 %."""

_LIMIT_S = 1800
_LIBRARIES = ("msgspec", "anyio", "pydantic")
"""Whose code is counted along with ours: a new version of one may move counts."""

Verdict = Literal["ok", "more", "less", "new", "gone"]


class CountError(RuntimeError):
    """Counting, or comparing counts, is not possible; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Counts to compare with, and the build that they are of."""

    counter: CounterName
    build: Mapping[str, str]
    """What must be the same: the Python, its compiler, the machine."""
    libraries: Mapping[str, str]
    """Versions of the libraries whose code is counted too."""
    counts: Mapping[str, float]
    """Instructions a call, by test."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One benchmark beside its baseline."""

    test: str
    before: float | None
    after: float | None
    verdict: Verdict

    @property
    def change(self) -> float | None:
        """Relative change; None where one of the two is missing."""
        return None if self.before is None or self.after is None else self.after / self.before - 1


def best_counter() -> CounterName:
    """Return `"instructions"` where valgrind and pytest-codspeed are installed, else `"bytecodes"`."""
    return "instructions" if shutil.which("valgrind") and util.find_spec("pytest_codspeed") else "bytecodes"


def this_build(counter: CounterName) -> dict[str, str]:
    """Return what counts depend on besides the code: for bytecodes the version of Python, else its build as well."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    if counter == "bytecodes":
        return {"python": python}
    return {"python": python, "compiler": platform.python_compiler(), "machine": platform.machine()}


def count(paths: Sequence[str], counter: CounterName, *, environ: Mapping[str, str] = os.environ) -> Baseline:
    """Return the counts of all benchmarks with the marker `instructions` below `paths`.

    Args:
        paths: What pytest shall collect: folders, files, tests.
        counter: Which counter.
        environ: The environment of the counting process.

    Raises:
        CountError: If the counter is not installed, a benchmark failed, or there was none.
    """
    _check_installed(counter)
    with tempfile.TemporaryDirectory(prefix="eino-count-") as name:
        folder = Path(name)
        lines = _counting_process(paths, counter, folder, environ)
        totals = _callgrind_totals(folder) if counter == "instructions" else {}
        counts = {}
        for line in lines:
            total = line["count"] if line["count"] is not None else totals.get(line["uri"])
            if total is None:
                raise CountError(f"valgrind wrote no count for {line['test']}: is another profiler active in it?")
            counts[line["test"]] = total / line["calls"]
    libraries = {name: metadata.version(name) for name in _LIBRARIES}
    return Baseline(counter, this_build(counter), libraries, dict(sorted(counts.items())))


def least(one: Baseline, other: Baseline) -> Baseline:
    """Return the lower count of each benchmark: where memory happens to lie adds up to 1 % to some."""
    counts = {test: min(value, other.counts.get(test, value)) for test, value in one.counts.items()}
    return replace(one, counts=counts)


def _check_installed(counter: CounterName) -> None:
    if counter == "bytecodes":
        return
    if not shutil.which("valgrind"):
        raise CountError(
            "valgrind is not installed: `apt-get install valgrind`, or count with --counter bytecodes, which sees "
            "Python code only"
        )
    if not util.find_spec("pytest_codspeed"):
        raise CountError("pytest-codspeed is not installed: pip install 'eino[bench]'")


def _counting_process(
    paths: Sequence[str], counter: CounterName, folder: Path, environ: Mapping[str, str]
) -> list[dict[str, Any]]:
    file = folder / "counts.jsonl"
    command = [sys.executable, "-m", "pytest", *paths, "-q", "-p", "eino_harness.bench.counting"]
    command += ["-p", "no:randomly", "-p", "no:cacheprovider", "-o", "eino_leak_check=false"]
    extra = {FILE_VARIABLE: str(file), COUNTER_VARIABLE: counter, "PYTHONHASHSEED": "0"}
    if counter == "instructions":
        command += ["--codspeed", "--codspeed-mode=simulation"]
        command = [*_fixed_addresses(), *_valgrind(folder), *command]
        extra |= {"CODSPEED_ENV": "1", "CODSPEED_PROFILE_FOLDER": str(folder)}
    else:
        command += ["-p", "no:codspeed", "--benchmark-disable"]
    clean = {name: value for name, value in environ.items() if not name.startswith(("PYTEST_", "COV_", "CODSPEED_"))}
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, env={**clean, **extra}, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CountError(f"counting did not end within {_LIMIT_S} s: name fewer benchmarks") from error
    if done.returncode == 5:
        raise CountError(
            f"no benchmark with the marker `instructions` in {', '.join(paths)}: add @pytest.mark.instructions to some"
        )
    if done.returncode != 0:
        raise CountError(
            f"the benchmarks failed while they were counted:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
        )
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _fixed_addresses() -> list[str]:
    """Return the command that switches off the random layout of memory, which moves counts by hash of address."""
    command = ["setarch", platform.machine(), "-R"]
    if not shutil.which("setarch"):
        return []
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, timeout=10, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return command if allowed else []


def _valgrind(folder: Path) -> list[str]:
    return [
        *("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"),
        f"--callgrind-out-file={folder / 'callgrind.%p'}",
    ]


_TRIGGER = re.compile(r"^desc: Trigger: Client Request: (.*)$", re.MULTILINE)
_TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)


def _callgrind_totals(folder: Path) -> dict[str, int]:
    """Return the instructions of each part that callgrind wrote, by the name that pytest-codspeed gave it.

    Source:
        https://valgrind.org/docs/manual/cl-format.html (header lines `desc: Trigger`, and `totals`)
    """
    totals = {}
    for path in folder.glob("callgrind.*.*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        trigger, total = _TRIGGER.search(text), _TOTALS.search(text)
        if trigger and total:
            totals[trigger.group(1)] = int(total.group(1))
    return totals


def baseline_path(folder: Path, counter: CounterName) -> Path:
    """Return where the baseline of this Python's version lies in `folder`."""
    major, minor, *_ = platform.python_version_tuple()
    machine = f"-{platform.machine()}" if counter == "instructions" else ""
    return folder / f"{counter}-py{major}.{minor}{machine}.json"


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write counts for later runs to compare with."""
    data = {
        "counter": baseline.counter,
        "build": dict(baseline.build),
        "libraries": dict(baseline.libraries),
        "counts": {test: round(value, 1) for test, value in baseline.counts.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def read_baseline(path: Path, counter: CounterName) -> Baseline:
    """Return a baseline.

    Raises:
        CountError: If there is none, it is damaged, or it is of another build of Python.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        baseline = Baseline(data["counter"], data["build"], data["libraries"], data["counts"])
    except FileNotFoundError:
        raise CountError(f"there is no baseline {str(path)!r}: write one with --update, and commit it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CountError(f"{str(path)!r} is no baseline ({error!r}): write it again with --update") from error
    here = this_build(counter)
    if baseline.counter != counter or dict(baseline.build) != here:
        raise CountError(
            f"{str(path)!r} is of another build ({baseline.counter}: {_listed(baseline.build)}), here is {counter}: "
            f"{_listed(here)}; counts of different builds are not comparable: check out the older commit, write a "
            "baseline here with --update --baseline DIR, and compare with that"
        )
    return baseline


def _listed(build: Mapping[str, str]) -> str:
    return ", ".join(build.values())


def judge(before: Baseline, after: Baseline, gate: float = GATE) -> list[Judged]:
    """Return one line for each benchmark: more than `gate` above its baseline fails."""
    judged = []
    for test, value in after.counts.items():
        old = before.counts.get(test)
        verdict: Verdict = "new" if old is None else "ok"
        if old is not None and value > old * (1 + gate):
            verdict = "more"
        elif old is not None and value < old * (1 - gate):
            verdict = "less"
        judged.append(Judged(test, old, value, verdict))
    gone = [Judged(test, value, None, "gone") for test, value in before.counts.items() if test not in after.counts]
    return judged + gone


def instructions_table(judged: Sequence[Judged], counter: CounterName, gate: float = GATE) -> list[str]:
    """Return the table as lines of text."""
    rows = [("benchmark", "baseline", "now", "change", "verdict")]
    rows += [(each.test, _number(each.before), _number(each.after), _change(each), each.verdict) for each in judged]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(
            cell.rjust(width) if 0 < column < 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    unit = "machine instructions" if counter == "instructions" else "bytecode instructions (C code is not seen)"
    lines += ["", f"{unit} a call; more than {gate:.1%} above the baseline fails"]
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _change(each: Judged) -> str:
    return "-" if each.change is None else f"{each.change:+.2%}"


def write_instructions_report(
    judged: Sequence[Judged], before: Baseline, after: Baseline, folder: Path, gate: float = GATE
) -> list[Path]:
    """Write `latest.json` and `index.html` into `folder`; return their paths."""
    from eino_harness.report.page import page_environment

    moved = [name for name, version in after.libraries.items() if before.libraries.get(name, version) != version]
    verdicts = [each.verdict for each in judged]
    data = report_data(
        "instructions",
        "Instruction counts" if after.counter == "instructions" else "Bytecode counts",
        summary={
            "counted": str(len(after.counts)),
            "more": str(verdicts.count("more")),
            "less": str(verdicts.count("less")),
        },
        checks=[
            Check(each.test, each.verdict != "more", f"{_change(each)}, allowed +{gate:.1%}")
            for each in judged
            if each.change is not None
        ],
        note=f"Other versions than in the baseline: {', '.join(moved)}." if moved else "",
        details={
            "counter": after.counter,
            "gate": gate,
            "build": dict(after.build),
            "benchmarks": [
                {"test": each.test, "before": each.before, "after": each.after, "verdict": each.verdict}
                for each in judged
            ],
        },
    )
    rows = [(each, _number(each.before), _number(each.after), _change(each)) for each in judged]
    page = page_environment(Path(__file__).parent / "templates").get_template("instructions.html")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "latest.json", folder / "index.html"]
    paths[0].write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(page.render(data=data, rows=rows), encoding="utf-8")
    return paths
