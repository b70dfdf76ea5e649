"""The campaign: every scenario on every store, each in a place of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from eino.errors import EinoError
from eino_harness.faults.clocks import skew_clocks
from eino_harness.faults.damage import damage
from eino_harness.faults.kills import kill_at_points, kill_at_random
from eino_harness.faults.kits import kit_of
from eino_harness.faults.outages import store_outages
from eino_harness.faults.rivals import resume_at_once, stop_and_replace
from eino_harness.faults.site import Outcome, Site, Sizes, site

__all__ = ["SCENARIOS", "CampaignError", "Scenario", "check_stores", "run_campaign", "run_scenario"]


class CampaignError(ValueError):
    """The campaign cannot be run as it was asked for; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of fault, and what is promised in spite of it."""

    title: str
    promise: str
    run: Callable[[Site, Sizes], Outcome]


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "kill": Scenario(
        "SIGKILL at random moments",
        "every run ends with the same result, no finished step runs twice, nothing is corrupt",
        kill_at_random,
    ),
    "points": Scenario(
        "SIGKILL at each labelled point",
        "the same, at each passage of each point around records, effects, answers, claims and commits",
        kill_at_points,
    ),
    "zombie": Scenario(
        "SIGSTOP, replaced, SIGCONT",
        "the replaced worker is fenced: at most it ends what it was at, and repeats no effect that must happen once",
        stop_and_replace,
    ),
    "resume": Scenario(
        "8 processes resume one run at once",
        "exactly one effect each time; all others are refused with a typed error",
        resume_at_once,
    ),
    "clock": Scenario(
        "clocks an hour ahead or behind",
        "nothing changes, whoever goes on with whose run",
        skew_clocks,
    ),
    "damage": Scenario(
        "damaged, foreign, hostile and unknown records",
        "a clear error each, no step runs on it, nothing is executed, what is stored stays as it was",
        damage,
    ),
    "outage": Scenario(
        "store slow, locked, full, gone or silent",
        "the run ends right, or stops with a clear error and ends right later",
        store_outages,
    ),
}
"""All scenarios, by the name that the command line gives them."""


def check_stores(stores: Sequence[str]) -> None:
    """Open each store once.

    Raises:
        CampaignError: If one cannot be used.
    """
    for store in stores:
        with tempfile.TemporaryDirectory(prefix="eino-faults-") as folder:
            try:
                kit = kit_of(store, Path(folder))
                anyio.run(_opened, kit)
                kit.destroy()
            except (ValueError, EinoError) as error:
                raise CampaignError(
                    f"the store {store!r} cannot be used: {error}. PostgreSQL is looked for where EINO_POSTGRES_URL "
                    "says, else at 127.0.0.1:5432; --store sqlite needs no server"
                ) from error


async def _opened(kit: object) -> None:
    async with kit.open() as store:  # type: ignore[attr-defined]
        await store.list()


def run_scenario(name: str, store: str, sizes: Sizes, seed: int) -> Outcome:
    """Run one scenario on one store. Its files are kept where it found something; the facts say where."""
    folder = Path(tempfile.mkdtemp(prefix=f"eino-faults-{name}-"))
    started = time.monotonic()
    try:
        with site(store, folder, seed, sizes.options()) as place:
            outcome = _told(name, place, sizes)
    except BaseException:  # stopped from outside
        shutil.rmtree(folder)
        raise
    outcome.seconds = time.monotonic() - started
    if outcome.violations:
        outcome.facts["files"] = str(folder)
    else:
        shutil.rmtree(folder)
    return outcome


def _told(name: str, place: Site, sizes: Sizes) -> Outcome:
    """Run one scenario; if it breaks down, that must not hide what the others show."""
    try:
        return SCENARIOS[name].run(place, sizes)
    except Exception as error:
        outcome = Outcome(name, place.store)
        place.blame(outcome, sizes.trial or 0, "all", f"the scenario broke down: {type(error).__name__}: {error}")
        traceback.print_exc()
        return outcome


def run_campaign(stores: Sequence[str], scenarios: Sequence[str], sizes: Sizes, seed: int) -> Iterator[Outcome]:
    """Run scenarios on stores, one after the other, and give what each showed as soon as it is known."""
    for store in stores:
        for name in scenarios:
            yield run_scenario(name, store, sizes, seed)
