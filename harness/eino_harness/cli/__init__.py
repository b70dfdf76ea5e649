"""The `eino` command. Subcommands come from entry points of the group `eino.commands`, so that packages can add some.

An entry point names a function that takes the subparsers of argparse, adds its own and sets `run` as its default:
`run(arguments) -> int` returns the exit code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

__all__ = ["main"]

GROUP = "eino.commands"

EXIT_FAILED = 1
EXIT_USAGE = 2  # what argparse itself exits with


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 failed, 2 the command line is wrong."""
    parser = argparse.ArgumentParser(
        prog=_name(),
        description="eino: LLM applications as typed, streaming graphs and agents.",
        epilog="Exit codes: 0 done, 1 failed, 2 the command line is wrong.",
    )
    parser.add_argument("--version", action="version", version=f"eino {metadata.version('eino')}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        entry.load()(subparsers)
    parsed = parser.parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_FAILED
    return code


def _name() -> str:
    """Return the name that the command was called by: `eino-harness` is the same command as `eino`."""
    return "eino-harness" if Path(sys.argv[0]).stem == "eino-harness" else "eino"
