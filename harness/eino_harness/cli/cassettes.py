"""`eino cassettes lint`: are recordings fit to be committed, and does every one have a test?"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

__all__ = ["add_to"]

_SUFFIXES: Final = (".yaml", ".yml")
_SOURCES: Final = (".py", ".md", ".toml")
_SKIPPED: Final = frozenset({".git", ".tox", ".venv", "node_modules", "site-packages", "__pycache__"})

_DESCRIPTION = """
Reads recordings in vcrpy's format. Reports what redaction would have taken out (keys, tokens, cookies, organisation
ids, headers that a replay does not need), files that cannot be read, and recordings that no test, script or page names.
"""


def add_to(subparsers: Any) -> None:
    """Add `cassettes` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "cassettes",
        help="check recorded provider calls",
        epilog="Exit codes: 0 all is well, 1 something was found, 2 the command line is wrong.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    lint = actions.add_parser(
        "lint", help="refuse secrets, report recordings that nothing uses", description=_DESCRIPTION
    )
    lint.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files, or folders; default: folders named `cassettes` below here",
    )
    lint.add_argument(
        "--used-in",
        action="append",
        type=Path,
        metavar="DIR",
        help="where tests, scripts and pages lie that use them; default: here. May be given several times",
    )
    lint.add_argument("--no-orphans", action="store_true", help="do not look for recordings that nothing uses")
    lint.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check, report, and return the exit code."""
    from eino_fixtures.cassettes import lint_cassette, unused_cassettes

    here = Path.cwd()
    missing = [path for path in (*arguments.paths, *(arguments.used_in or ())) if not path.exists()]
    if missing:
        print(f"eino cassettes lint: there is no {str(missing[0])!r}", file=sys.stderr)
        return 2
    cassettes = sorted(set(_cassettes(arguments.paths) if arguments.paths else _in_cassette_folders(here)))
    problems = [problem for cassette in cassettes for problem in lint_cassette(cassette)]
    unused = [] if arguments.no_orphans else unused_cassettes(cassettes, _files(arguments.used_in or [here], _SOURCES))
    for problem in problems:
        print(problem)
    for cassette in unused:
        print(f"{cassette}: no test, script or page names it: delete it, or use it")
    found = len(problems) + len(unused)
    print(f"{len(cassettes)} recordings, {found} problems" if found else f"{len(cassettes)} recordings, all well")
    return 1 if found else 0


def _cassettes(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()] + list(_files([p for p in paths if p.is_dir()], _SUFFIXES))


def _in_cassette_folders(root: Path) -> list[Path]:
    return [path for path in _files([root], _SUFFIXES) if "cassettes" in path.relative_to(root).parts[:-1]]


def _files(roots: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files below `roots` that end so, without those of environments and tools."""
    found = []
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if name not in _SKIPPED)
            found += [Path(folder, name) for name in sorted(names) if name.endswith(suffixes)]
    return found
