"""What a user gets from `pip install eino` alone: the three packages import, nothing optional comes along, quickly.

Run by `tox run -e wheel` in an environment that holds the built wheel and its required dependencies, nothing else.
"""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = ("eino", "eino_fixtures", "eino_harness")
IMPORTS: dict[str, float | None] = {
    "import eino": 100.0,
    "from eino import Chain, Graph, Message, tool": None,
    "import asyncio": None,
}
"""What importing may cost, in milliseconds. `import eino` loads names when they are used, so the line below it is what
a program pays that uses them; asyncio, which is in it, shows how fast the machine is."""
ATTEMPTS = 15
"""The best of so many interpreters counts: the others were disturbed by whatever else the machine does."""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a new interpreter without the working directory on its path; return what it printed."""
    return subprocess.run([sys.executable, "-P", *arguments], capture_output=True, text=True, check=False)


def import_ms(statement: str) -> float:
    """Return what a statement's imports cost as `-X importtime` reports it, in milliseconds: the best of `ATTEMPTS`."""
    python("-c", statement)  # the first import writes the bytecode
    return min(one_import_ms(statement) for _ in range(ATTEMPTS))


def one_import_ms(statement: str) -> float:
    """Return the time of all modules that a new interpreter loads for a statement, in milliseconds."""
    run = python("-X", "importtime", "-c", statement)
    if run.returncode != 0:
        raise SystemExit(f"`{statement}` fails:\n{run.stderr}")
    rows = [line.removeprefix("import time:").split("|") for line in run.stderr.splitlines() if "|" in line]
    modules = [name.strip() for _, _, name in rows]
    own_us = [int(own) for own, _, _ in rows[modules.index("site") + 1 :]]  # what comes before is Python's own start
    return sum(own_us) / 1000


def main() -> int:
    """Print the findings; return 1 when one of them is a failure."""
    failures = []
    for package in PACKAGES:
        run = python("-W", "error", "-c", f"import {package}; print({package}.__file__)")
        print(f"import {package}: {run.stdout.strip() or 'failed'}")
        if run.returncode != 0 or "site-packages" not in run.stdout:
            failures.append(f"`import {package}` does not work from the installed wheel:\n{run.stdout}{run.stderr}")

    for statement, budget_ms in IMPORTS.items():
        best_ms = import_ms(statement)
        budget = "no budget" if budget_ms is None else f"budget {budget_ms:.0f} ms"
        print(f"{statement}: {best_ms:.1f} ms, best of {ATTEMPTS} ({budget})")
        if budget_ms is not None and best_ms > budget_ms:
            failures.append(f"`{statement}` takes {best_ms:.1f} ms; see `python -X importtime -c '{statement}'`")

    for script in metadata.distribution("eino").entry_points.select(group="console_scripts"):
        help_run = subprocess.run(
            [Path(sys.executable).with_name(script.name), "--help"], capture_output=True, text=True, check=False
        )
        print(f"{script.name} --help: exit code {help_run.returncode}")
        if help_run.returncode != 0:
            failures.append(f"`{script.name} --help` fails without the extras:\n{help_run.stdout}{help_run.stderr}")

    print(*failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
