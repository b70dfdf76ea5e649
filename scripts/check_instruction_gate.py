"""Shows that the gate on counts is neither blind nor nervous.

    python scripts/check_instruction_gate.py [--repeats 20] [--counter bytecodes] [--out FILE]

Counts the engine's benchmarks once for a baseline, then 20 times again: none may fail the gate of 1 %. Then plants work
that is worth about 5 % into the loop of the runner, in a copy, and counts again: that must fail. Takes about 6 minutes
with valgrind; `--counter bytecodes` takes one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from eino_harness.bench.host import describe_commit, describe_host
from eino_harness.bench.instructions import GATE, Baseline, CounterName, Judged, best_counter, count, judge

ROOT = Path(__file__).parent.parent
BENCHMARKS = [
    f"{ROOT}/benchmarks/bench_engine.py::{name}" for name in ("test_w1_chain_of_10", "test_w3_loop_of_100_rounds")
]
WATCHED = "test_w1_chain_of_10"

RUNNER = Path("eino/compose/pregel.py")
LINE = "            steps += segment.length\n"
"""In the loop over segments: runs once for each linear piece of a graph."""

WASTE = "            frame.node\n"
"""One attribute read, which changes nothing; so many of them are planted as are worth 5 %."""

PROBE = 10
"""Planted first, to see what one is worth."""

WANTED, LOWEST, HIGHEST = 0.05, 0.04, 0.06


def main() -> int:
    """Count, plant, judge; return 0 if the gate did what it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--counter", choices=("instructions", "bytecodes"), default=best_counter())
    parser.add_argument("--out", type=Path, help="write what was found as Markdown")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eino-gate-") as name:
        copy = Path(name)
        for package in ("eino", "harness/eino_harness", "fixtures/eino_fixtures"):
            shutil.copytree(ROOT / package, copy / Path(package).name, ignore=shutil.ignore_patterns("__pycache__"))
        # The copy, not the checkout, is what runs: -P and PYTHONPATH put it first.
        environ = {**os.environ, "PYTHONPATH": str(copy), "PYTHONSAFEPATH": "1"}
        os.chdir(ROOT)
        lines, ok = check(copy, environ, arguments.repeats, arguments.counter)
    host = describe_host()
    command = f"python scripts/check_instruction_gate.py --repeats {arguments.repeats} --counter {arguments.counter}"
    where = f"`{command}`, commit {describe_commit(ROOT)}, {host['python']}, {host['cpu']}."
    text = "\n".join(["# The gate on counts: noise and a planted regression", "", where, "", *lines, ""])
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return 0 if ok else 1


def check(copy: Path, environ: Mapping[str, str], repeats: int, counter: CounterName) -> tuple[list[str], bool]:
    """Return what was found, as Markdown, and whether the gate did what it must."""
    baseline = count(BENCHMARKS, counter, environ=environ)
    worst = dict.fromkeys(baseline.counts, 0.0)
    alarms = 0
    for number in range(repeats):
        judged = judge(baseline, count(BENCHMARKS, counter, environ=environ))
        alarms += any(each.verdict == "more" for each in judged)
        for each in judged:
            worst[each.test] = max(worst[each.test], abs(each.change or 0.0))
        print(f"{number + 1}/{repeats}: " + ", ".join(f"{each.change:+.3%}" for each in judged), file=sys.stderr)
    lines = [f"Noise: {repeats} repetitions in fresh processes, {alarms} failed the gate of {GATE:.0%}.", ""]
    lines += ["| benchmark | count a call | largest change |", "|---|--:|--:|"]
    lines += [
        f"| {test.rpartition('::')[2]} | {baseline.counts[test]:,.0f} | {change:.3%} |"
        for test, change in worst.items()
    ]
    statements, change, failed = plant(copy, environ, counter, baseline)
    verdict = "fails, as it must" if failed else "PASSES, WHICH IT MUST NOT"
    what = f"{statements} needless attribute reads in the loop of `{RUNNER}` make {WATCHED} {change:+.2%}"
    lines += ["", f"Regression: {what}: the gate {verdict}."]
    return lines, not alarms and failed


def plant(copy: Path, environ: Mapping[str, str], counter: CounterName, baseline: Baseline) -> tuple[int, float, bool]:
    """Plant work that is worth about 5 %; return how much it was, what it costs, and the verdict."""
    file = copy / RUNNER
    whole = file.read_text(encoding="utf-8")
    if whole.count(LINE) != 1:
        raise SystemExit(f"{RUNNER} no longer has the line {LINE.strip()!r}: mend this script")

    def planted(statements: int) -> Judged:
        file.write_text(whole.replace(LINE, WASTE * statements + LINE), encoding="utf-8")
        judged = judge(baseline, count(BENCHMARKS, counter, environ=environ))
        (watched,) = [each for each in judged if WATCHED in each.test]
        print(f"planted {statements}: {watched.change:+.2%}", file=sys.stderr)
        return watched

    probe = planted(PROBE)
    statements = round(PROBE * WANTED / (probe.change or 1.0))
    watched = planted(statements)
    change = watched.change or 0.0
    if not LOWEST < change < HIGHEST:
        raise SystemExit(f"{statements} statements are worth {change:.1%}, not about 5 %: mend this script")
    return statements, change, watched.verdict == "more"


if __name__ == "__main__":
    sys.exit(main())
