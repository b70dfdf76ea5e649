"""Workers whose clocks are an hour ahead or behind: nothing may change, whoever goes on with whose run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from eino_harness.faults.ledger import of_kind
from eino_harness.faults.process import Workers, workers
from eino_harness.faults.site import Outcome, Site, Sizes
from eino_harness.faults.workload import EFFECTS

__all__ = ["skew_clocks"]

_HOUR_S: Final = 3600.0
_ORDERS: Final = ((1, -1, 0), (-1, 1, 0), (1, 0, -1), (0, 1, -1), (-1, 0, 1), (0, -1, 1))
"""Clocks of the three workers of a run, in hours off: forwards and backwards steps, at the beginning and the end."""


def skew_clocks(site: Site, sizes: Sizes) -> Outcome:
    """Kill two workers of each run in turn, and let a third one end it, all three with other clocks."""
    outcome = Outcome("clock", site.store)
    with ExitStack() as stack:
        pools = {
            hours: stack.enter_context(workers(site.folder / "errors.txt", skew_s=hours * _HOUR_S))
            for hours in (-1, 0, 1)
        }
        for trial in sizes.trials(sizes.clocks):
            _skewed_run(site, pools, outcome, trial)
            outcome.trials += 1
    return outcome


def _skewed_run(site: Site, pools: dict[int, Workers], outcome: Outcome, trial: int) -> None:
    run_id, random = f"clock-{trial}", site.random("clock", trial)
    order = _ORDERS[trial % len(_ORDERS)]
    finished: dict[int, set[str]] = {}
    for life, hours in enumerate(order, 1):
        finished[life] = site.finished(run_id)
        done = {line["name"] for line in of_kind(site.ledger(run_id).lines(), "effect")}
        left = len(EFFECTS) - len(done)
        fault = f"effect.after:{random.randint(1, max(1, left // 2))}" if life < len(order) else ""
        pools[hours].run(site.job(run_id, life, fault=fault))
    before = len(outcome.violations)
    site.judge(outcome, trial, run_id, finished, lives=len(order))
    outcome.add("runs that ended right", len(outcome.violations) == before)
