"""Runs the tests in random orders, and says which order a failure needs.

    python scripts/random_orders.py --orders 20 --first 1   # the seeds 1 to 20

Exit codes: 0 all orders passed, 1 one failed (the command that repeats it is printed), 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the orders, print a line for each, return the exit code."""
    parser = argparse.ArgumentParser(prog="random_orders.py", description="Runs the tests in random orders.")
    parser.add_argument("--orders", type=int, default=20, help="how many; default: %(default)s")
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="seed of the first; default: %(default)s")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="default: one a processor")
    parser.add_argument("paths", nargs="*", help="tests; all if none are given")
    given = parser.parse_args(arguments)
    if given.orders < 1:
        parser.error(f"--orders {given.orders}: at least 1 is needed")
    failed = [seed for seed in range(given.first, given.first + given.orders) if not _passes(seed, given)]
    print(f"{given.orders - len(failed)} of {given.orders} random orders passed")
    return 1 if failed else 0


def _passes(seed: int, given: argparse.Namespace) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", f"--randomly-seed={seed}", *given.paths]
    if given.processes > 1:
        command.append(f"--numprocesses={given.processes}")
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = next((line for line in reversed(ended.stdout.splitlines()) if line.strip()), "no output")
    print(f"seed {seed}: {last} ({time.perf_counter() - began:.0f} s)", flush=True)
    if ended.returncode != 0:
        print(f"  again with: {' '.join(command)}\n{ended.stdout[-4000:]}{ended.stderr[-1000:]}", flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
