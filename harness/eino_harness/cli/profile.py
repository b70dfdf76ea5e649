"""`eino-harness profile`: where the time of a graph goes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_to"]

_DESCRIPTION = """
Runs a function without arguments (MODULE:FUNCTION, plain or async) or a script, and says for every node of every graph
how long it ran, waited and computed, and how much of the whole was the framework's. Writes a page with a flame graph,
JSON, and a file for speedscope. A function is run twice: for the times, then for the samples.
"""


def add_to(subparsers: Any) -> None:
    """Add `profile` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "profile",
        help="show where the time of a graph goes",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 done, 1 the program failed, 2 there is nothing to profile.",
    )
    parser.add_argument("target", metavar="MODULE:FUNCTION|SCRIPT", help="what to run")
    parser.add_argument("--arguments", default="", metavar="TEXT", help="arguments of a script, as in a shell")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="default: %(default)s")
    parser.add_argument(
        "--repeats", type=int, default=1, help="calls of a function for the times; default: %(default)s"
    )
    parser.add_argument("--out", type=Path, default=Path("reports/profile"), metavar="DIR", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Profile, print the table, write the files; return the exit code."""
    import shlex
    import traceback

    try:
        import pyinstrument  # noqa: F401 - needed later; named now

        from eino_harness.profile.report import profile_table, write_profile
        from eino_harness.profile.target import TargetError, profile_function, profile_script
    except ModuleNotFoundError as error:
        print(f"eino-harness profile: {error.name} is missing: pip install 'eino[bench]'", file=sys.stderr)
        return 2
    target = arguments.target
    try:
        if target.endswith(".py"):
            profile = profile_script(Path(target), shlex.split(arguments.arguments))
        elif arguments.arguments or arguments.repeats < 1:
            raise TargetError("a function takes no arguments here, and --repeats is at least 1")
        else:
            profile = profile_function(target, backend=arguments.backend, repeats=arguments.repeats)
    except TargetError as error:
        print(f"eino-harness profile: {error}", file=sys.stderr)
        return 2
    except (Exception, SystemExit):
        traceback.print_exc()
        print(f"eino-harness profile: {target} failed, so there is no profile", file=sys.stderr)
        return 1
    print("\n".join(profile_table(profile)))
    if profile.note:
        print(profile.note)
    for path in write_profile(profile, arguments.out):
        print(f"report: {path}")
    return 0
