"""`eino-harness compare`: two runs of the same benchmarks, side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_to", "share"]

_DESCRIPTION = """
Compares medians (or minima) of two runs of `pytest --benchmark` on one host. A workload is slower when it changed by
more than the threshold and the two-sided Mann-Whitney U test over its rounds gives p < alpha. Runs of different
hosts or Pythons are not comparable: that is an error, not a number.
"""


def add_to(subparsers: Any) -> None:
    """Add `compare` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "compare",
        help="compare two runs of the benchmarks",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 nothing is slower, 1 something is, 2 the runs or the command line make no sense.",
    )
    parser.add_argument("before", type=Path, metavar="BASELINE", help="latest.json of the older run, or its folder")
    parser.add_argument(
        "after",
        type=Path,
        nargs="?",
        default=Path("reports/benchmarks"),
        metavar="NOW",
        help="that of the newer run; default: %(default)s",
    )
    parser.add_argument(
        "--threshold", type=share, default=0.15, metavar="PERCENT", help="smallest change that counts; default: 15%%"
    )
    parser.add_argument("--alpha", type=share, default=0.01, help="largest p that counts; default: %(default)s")
    parser.add_argument("--statistic", choices=("median", "min"), default="median", help="default: %(default)s")
    parser.add_argument(
        "--history",
        type=Path,
        default=Path("reports/benchmarks/history"),
        metavar="DIR",
        help="earlier runs for the trend; default: %(default)s",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("reports/comparison"), metavar="DIR", help="default: %(default)s"
    )
    parser.set_defaults(run=run)


def share(text: str) -> float:
    """Return `"5%"` or `"0.05"` as 0.05.

    Raises:
        argparse.ArgumentTypeError: If it is no share between 0 and 10 (1000 %).
    """
    number = text.removesuffix("%")
    try:
        value = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 10:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write 5% or 0.05")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the table, write the report; return the exit code."""
    from eino_harness.bench.compare import Limits, compare_runs, read_run, trend
    from eino_harness.bench.compare_report import comparison_table, write_comparison
    from eino_harness.report.schema import ReportError

    limits = Limits(arguments.threshold, arguments.alpha, arguments.statistic)
    try:
        before, after = read_run(arguments.before), read_run(arguments.after)
        changes = compare_runs(before, after, limits)
        earlier = [_run_or_none(path) for path in sorted(arguments.history.glob("*.json"))]
    except ReportError as error:
        print(f"eino-harness compare: {error}", file=sys.stderr)
        return 2
    if not any(change.change is not None for change in changes):
        print("eino-harness compare: the runs have no workload in common that can be compared", file=sys.stderr)
        return 2
    runs = {run["created"]: run for run in [before, *filter(None, earlier), after]}
    lines = trend(list(runs.values()), limits)
    print("\n".join(comparison_table(changes, limits)))
    for path in write_comparison(changes, limits, [before, after], lines, arguments.out):
        print(f"report: {path}")
    return 1 if any(change.verdict == "slower" for change in changes) else 0


def _run_or_none(path: Path) -> dict[str, Any] | None:
    """Return a run of the history; None for one that failed or that an older eino wrote, which no trend needs."""
    from eino_harness.bench.compare import read_run
    from eino_harness.report.schema import ReportError

    try:
        return read_run(path)
    except ReportError:
        return None
