"""`eino-harness conform my_package.kits:MyModel`: do components keep the contracts of their kinds?"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_to"]

_DESCRIPTION = """
Checks components against the contracts of their kinds, and prints a report card with a score. Each is a suite derived
from a class of eino_harness.conformance; or a chat model, tool, agent, embedder or callback handler, a class of one
that needs no arguments, or a function that makes one.
"""


def add_to(subparsers: Any) -> None:
    """Add `conform` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "conform",
        help="check components against the contracts of their kinds, print a report card",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 the contracts are kept, 1 one is not, 2 the command line is wrong.",
    )
    parser.add_argument("names", nargs="+", metavar="MODULE:NAME", help="such as my_package.kits:TestMyModel")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="default: %(default)s")
    parser.add_argument(
        "--format", choices=("text", "markdown", "json", "junit"), default="markdown", help="default: %(default)s"
    )
    parser.add_argument(
        "--out",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the card there as well: .txt, .md, .json or .xml (JUnit); may be given again",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check, print the card, and return the exit code."""
    import anyio

    from eino_harness.conformance import check_conformance
    from eino_harness.conformance._card import FORMATS, write_card

    try:
        suites = [_suite(name) for name in arguments.names]
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        print(f"eino conform: {error}", file=sys.stderr)
        return 2
    reports = [anyio.run(check_conformance, suite, backend=arguments.backend) for suite in suites]
    print(FORMATS[arguments.format](reports), end="")
    try:
        for path in arguments.out:
            write_card(reports, path)
    except (OSError, ValueError) as error:
        print(f"eino conform: --out: {error}", file=sys.stderr)
        return 2
    return 0 if all(report.ok for report in reports) else 1


def _suite(name: str) -> Any:
    from eino_harness.conformance import Conformance
    from eino_harness.conformance._of_component import suite_of

    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"{name!r} is no MODULE:NAME, such as my_package.kits:TestMyModel")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the folder that the command is run in, as `python -m` does
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, type) and issubclass(found, Conformance):
        return found
    return suite_of(attribute, found)
