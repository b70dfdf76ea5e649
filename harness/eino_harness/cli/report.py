"""`eino-harness report`: one page that links the latest report of every kind."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_to"]

_DESCRIPTION = """
Reads the latest report in each folder below --folder and writes index.html, index.md and junit.xml there. In GitHub
Actions the same table becomes the step summary, and every failed check an annotation.
"""


def add_to(subparsers: Any) -> None:
    """Add `report` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "report",
        help="build the page that links the latest reports",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 built, 1 --strict and a report failed or cannot be read, 2 the command line is wrong.",
    )
    parser.add_argument("--folder", type=Path, default=Path("reports"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a report failed or cannot be read")
    parser.add_argument("--json-schema", action="store_true", help="print the JSON Schema of reports, and do no more")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build the page; return the exit code."""
    import json

    from eino_harness.report.github import error_commands, write_step_summary
    from eino_harness.report.index import build_index
    from eino_harness.report.schema import ReportError, json_schema

    if arguments.json_schema:
        print(json.dumps(json_schema(), indent=2))
        return 0
    if not arguments.folder.is_dir():
        print(
            f"eino-harness report: there is no folder {str(arguments.folder)!r}: run what writes a report first "
            "(pytest --benchmark, locust -f loadtests, ...), or name another one with --folder",
            file=sys.stderr,
        )
        return 2
    try:
        entries, paths = build_index(arguments.folder)
    except ReportError as error:
        print(f"eino-harness report: {error}", file=sys.stderr)
        return 2
    for entry in entries:
        if entry.verdict != "missing":
            print(f"{entry.kind:<14}{entry.verdict:<12}{entry.problem or entry.link}")
    for path in paths:
        print(f"report: {path}")
    if write_step_summary(entries):
        print("the step summary has the table")
    if os.environ.get("GITHUB_ACTIONS"):
        print("\n".join(error_commands(entries)))
    bad = any(entry.verdict in {"failed", "unreadable"} for entry in entries)
    return 1 if arguments.strict and bad else 0
