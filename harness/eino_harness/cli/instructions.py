"""`eino-harness instructions`: the gate on what benchmarks execute."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from eino_harness.cli.compare import share

__all__ = ["add_to"]

_DESCRIPTION = """
Counts what the benchmarks with the marker `instructions` execute, and compares with the committed baseline of this
version of Python. With valgrind and pytest-codspeed it counts machine instructions; without, bytecode instructions,
which do not see C code.
"""


def add_to(subparsers: Any) -> None:
    """Add `instructions` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "instructions",
        help="count what benchmarks execute, and fail when it grew",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 nothing grew, 1 something grew, 2 nothing to compare with, or a benchmark failed.",
    )
    parser.add_argument("paths", nargs="*", default=["benchmarks"], metavar="PATH", help="default: benchmarks")
    parser.add_argument(
        "--counter", choices=("auto", "instructions", "bytecodes"), default="auto", help="default: %(default)s"
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        default=Path("reports/baseline"),
        metavar="DIR",
        help="folder of the baselines, one a version of Python; default: %(default)s",
    )
    parser.add_argument("--update", action="store_true", help="write the baseline instead of comparing with it")
    parser.add_argument("--gate", type=share, default=0.01, metavar="PERCENT", help="growth that passes; default: 1%%")
    parser.add_argument(
        "--out", type=Path, default=Path("reports/instructions"), metavar="DIR", help="default: %(default)s"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Count, compare, write the report; return the exit code."""
    from eino_harness.bench import instructions as gate

    counter = gate.best_counter() if arguments.counter == "auto" else arguments.counter
    if arguments.counter == "auto" and counter == "bytecodes":
        print("valgrind or pytest-codspeed is missing: counting bytecodes instead of machine instructions")
    path = gate.baseline_path(arguments.baseline, counter)
    try:
        before = None if arguments.update else gate.read_baseline(path, counter)
        after = gate.count(arguments.paths, counter)
        if before is None or any(each.verdict == "more" for each in gate.judge(before, after, arguments.gate)):
            after = gate.least(after, gate.count(arguments.paths, counter))
    except gate.CountError as error:
        print(f"eino-harness instructions: {error}", file=sys.stderr)
        return 2
    if before is None:
        gate.write_baseline(after, path)
        print(f"baseline: {path}, {len(after.counts)} benchmarks")
        return 0
    judged = gate.judge(before, after, arguments.gate)
    print("\n".join(gate.instructions_table(judged, counter, arguments.gate)))
    for written in gate.write_instructions_report(judged, before, after, arguments.out, arguments.gate):
        print(f"report: {written}")
    if any(each.verdict == "less" for each in judged):
        print("some need less than the baseline says: keep that with --update")
    return 1 if any(each.verdict == "more" for each in judged) else 0
