"""`eino demo`: the whole product in one minute, without a key and without a network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_to"]

_OUT = Path("reports/demo")

_DESCRIPTION = """
Runs a ReAct-style graph on a recorded tool-calling conversation and prints its streamed answer with the events, then a
short benchmark, then a short load test, then writes a report. Nothing leaves this machine.
"""


def add_to(subparsers: Any) -> None:
    """Add `demo` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo",
        help="run an agent on recorded provider calls, benchmark and load-test it, write a report",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 done, 1 a step failed, 2 the command line is wrong.",
    )
    parser.add_argument(
        "--cassette",
        type=Path,
        metavar="PATH",
        help="recorded OpenAI-compatible chat calls in vcrpy's format; the demo's own recording by default",
    )
    parser.add_argument("--out", type=Path, default=_OUT, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--users", type=int, default=4, help="users of the load test; default: %(default)s")
    parser.add_argument("--load-s", type=int, default=8, help="seconds of load test, 0 for none; default: %(default)s")
    parser.add_argument("--no-benchmark", action="store_true", help="leave the benchmark out")
    parser.add_argument("--fast", action="store_true", help="replay as fast as possible, not at the recorded pace")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return the exit code."""
    if arguments.users < 1 or arguments.load_s < 0:
        print("eino demo: --users must be at least 1, and --load-s at least 0", file=sys.stderr)
        return 2
    from eino.errors import EinoError
    from eino_fixtures.cassettes import CassetteError, CassetteMissError
    from eino_harness.demo import DemoError, run_demo

    try:
        run_demo(
            cassette=arguments.cassette,
            out=arguments.out,
            users=arguments.users,
            load_s=arguments.load_s,
            benchmark=not arguments.no_benchmark,
            paced=not arguments.fast,
        )
    except (DemoError, CassetteError, CassetteMissError, EinoError) as error:
        print(f"eino demo: {error}", file=sys.stderr)
        return 1
    if arguments.out == _OUT:
        _index()
    return 0


def _index() -> None:
    """Build the page that links this report and the others, and name it."""
    from eino_harness.report import ReportError, build_index

    try:
        _, (page, *_) = build_index(_OUT.parent)
    except ReportError as error:  # a damaged report of somebody else does not make the demo fail
        print(f"no page of all reports: {error}", file=sys.stderr)
        return
    print(f"all reports: {page}")
