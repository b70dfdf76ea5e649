"""`eino-harness faults`: kill, stop, race and damage durable runs, and see that they come out right."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["add_to"]

_STOPPED = 128 + signal.SIGTERM
"""Exit code of a campaign that was stopped, as shells give it."""
_MOST_PRINTED = 5
"""Broken promises of one scenario that are printed; the report has all."""

_DESCRIPTION = """
Runs a graph in worker processes that are killed, stopped, raced, damaged and cut off from their store, and judges each
run by a ledger of its effects. Writes latest.json, latest.md and index.html.
"""


def add_to(subparsers: Any) -> None:
    """Add `faults` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "faults",
        help="kill, stop, race and damage durable runs, write a reliability report",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 all promises were kept, 1 one was broken, 2 the command line is wrong.",
    )
    parser.add_argument(
        "--store",
        default="all",
        metavar="NAMES",
        help="sqlite, postgres, MODULE:CLASS of a kit, or all; comma-separated",
    )
    parser.add_argument("--only", default="", metavar="NAMES", help="scenarios, comma-separated; all by default")
    parser.add_argument("--kills", type=int, default=200, help="kills at random moments; default: %(default)s")
    parser.add_argument("--resumes", type=int, default=100, help="runs resumed by 8 at once; default: %(default)s")
    parser.add_argument("--flips", type=int, default=400, help="flipped bits; default: %(default)s")
    parser.add_argument("--zombies", type=int, default=50, help="workers stopped and replaced; default: %(default)s")
    parser.add_argument("--clocks", type=int, default=20, help="runs under skewed clocks; default: %(default)s")
    parser.add_argument("--points", type=int, default=0, help="passages of each point; default: 0, all")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments; default: %(default)s")
    parser.add_argument(
        "--trial", type=int, metavar="N", help="repeat this one trial; needs one scenario and one store"
    )
    parser.add_argument(
        "--prove", action="store_true", help="run on stores and engines that are broken; each must be found"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("reports/reliability"), metavar="DIR", help="default: %(default)s"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the campaign, print what it shows, write the report; return the exit code."""
    if sys.platform == "win32":
        print("eino-harness faults: needs the signals and processes of a POSIX system", file=sys.stderr)
        return 2
    from eino_harness.faults.broken import prove
    from eino_harness.faults.campaign import SCENARIOS, CampaignError, check_stores, run_campaign
    from eino_harness.faults.kits import names_of
    from eino_harness.faults.report import outcome_text, write_campaign_report
    from eino_harness.faults.site import Sizes

    if arguments.prove:
        return prove(arguments.seed, print)
    scenarios = [name for name in arguments.only.split(",") if name] or list(SCENARIOS)
    stores = names_of(arguments.store)
    try:
        _check(arguments, scenarios, list(SCENARIOS), stores)
        check_stores(stores)
    except (ValueError, CampaignError) as error:
        print(f"eino-harness faults: {error}", file=sys.stderr)
        return 2
    names = ("kills", "resumes", "flips", "zombies", "clocks", "points", "trial")
    sizes = Sizes(**{name: getattr(arguments, name) for name in names})
    outcomes = []
    with _tidy_when_stopped():
        for outcome in run_campaign(stores, scenarios, sizes, arguments.seed):
            outcomes.append(outcome)
            _print(outcome, outcome_text(outcome))
    for path in write_campaign_report(outcomes, sizes, arguments.seed, arguments.out):
        print(f"report: {path}")
    return 1 if any(outcome.violations for outcome in outcomes) else 0


@contextmanager
def _tidy_when_stopped() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, so that workers, files and schemas are removed."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_STOPPED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(outcome: Any, text: str) -> None:
    verdict = "skipped" if outcome.skipped else f"{len(outcome.violations)} broken" if outcome.violations else "ok"
    print(f"{outcome.scenario:<8}{outcome.store:<10}{outcome.seconds:>6.1f} s  {verdict}: {text}")
    for found in outcome.violations[:_MOST_PRINTED]:
        print(f"  {found.run} (seed {found.seed}): {found.text}\n    again: {found.command}")
    sys.stdout.flush()


def _check(arguments: argparse.Namespace, scenarios: list[str], known: list[str], stores: Any) -> None:
    if unknown := [name for name in scenarios if name not in known]:
        raise ValueError(f"--only {','.join(unknown)}: the scenarios are {', '.join(known)}")
    for name in ("kills", "resumes", "flips", "zombies", "clocks", "points"):
        if getattr(arguments, name) < 0:
            raise ValueError(f"--{name} {getattr(arguments, name)} must be 0 or more")
    if arguments.trial is not None and (len(scenarios), len(stores)) != (1, 1):
        raise ValueError("--trial repeats one trial: name one scenario with --only and one store with --store")
