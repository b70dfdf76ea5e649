"""`eino conform my_package.kits:MyModel`: does a component keep the contract of its kind?"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_to"]


def add_to(subparsers: Any) -> None:
    """Add `conform` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "conform",
        help="check a component against the contract of its kind, print a report",
        description="Runs a suite derived from a class of eino_harness.conformance, and prints a Markdown report.",
        epilog="Exit codes: 0 the contract is kept, 1 it is not, 2 the command line is wrong.",
    )
    parser.add_argument("suite", metavar="MODULE:CLASS", help="the suite, such as my_package.kits:TestMyModel")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the report there as well")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check, print the report, and return the exit code."""
    import anyio

    from eino_harness.conformance import check_conformance

    try:
        suite = _suite(arguments.suite)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        print(f"eino conform: {error}", file=sys.stderr)
        return 2
    report = anyio.run(check_conformance, suite, backend=arguments.backend)
    text = report.markdown()
    print(text, end="")
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")
    return 0 if report.ok else 1


def _suite(name: str) -> Any:
    from eino_harness.conformance import Conformance

    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"{name!r} is no MODULE:CLASS, such as my_package.kits:TestMyModel")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the folder that the command is run in, as `python -m` does
    suite = getattr(importlib.import_module(module), attribute)
    if not (isinstance(suite, type) and issubclass(suite, Conformance)):
        raise TypeError(f"{name} is {suite!r}, but a class derived from one of eino_harness.conformance is needed")
    return suite
