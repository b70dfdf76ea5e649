"""Workers that die: at random moments, and at each labelled point."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from eino_harness.faults.ledger import of_kind
from eino_harness.faults.process import HangError
from eino_harness.faults.site import Outcome, Site, Sizes
from eino_harness.faults.workload import EFFECTS

__all__ = ["kill_at_points", "kill_at_random", "passages_of"]

_PAUSE_S: Final = 0.004
"""Longest pause of each effect: about as long as a commit, so that kills hit effects and commits alike."""
_MOST_KILLS: Final = 4
"""Kills of one run; then it may end."""
_SECOND: Final = "effect.after:1"
"""Where the second worker of a run dies: it has done something, and recorded nothing of that yet."""
_CALIBRATIONS: Final = 3


def kill_at_random(site: Site, sizes: Sizes) -> Outcome:
    """Kill workers with SIGKILL at random moments of their lives, and restart them until their runs end."""
    outcome = Outcome("kill", site.store)
    span_s = _span_s(site, outcome)
    outcome.facts.update({"kills": 0, "undisturbed run, s": round(span_s, 3), "kill moments": [], "progress": []})
    for trial in _trials(sizes, outcome):
        _killed_run(site, outcome, trial, span_s)
        outcome.trials += 1
    site.check_database(outcome)
    return outcome


def _trials(sizes: Sizes, outcome: Outcome) -> Iterator[int]:
    """Return trials until there were enough kills: some processes end before they are hit."""
    if sizes.trial is not None:
        yield sizes.trial
        return
    for trial in range(3 * sizes.kills + 10):
        if outcome.facts["kills"] >= sizes.kills:
            return
        yield trial


def _span_s(site: Site, outcome: Outcome) -> float:
    """Return how long an undisturbed run takes, in seconds."""
    spans = []
    for number in range(_CALIBRATIONS):
        run_id = f"calm-{number}"
        worker = site.run(site.job(run_id, pause_s=_PAUSE_S), outcome, 0)
        if worker is not None:
            spans.append(worker.ended_at - worker.ready_at)
            site.judge(outcome, 0, run_id, {}, lives=1)
    return median(spans) if spans else 1.0


def _killed_run(site: Site, outcome: Outcome, trial: int, span_s: float) -> None:
    run_id = f"kill-{trial}"
    random = site.random("kill", trial)
    kills = random.randint(1, _MOST_KILLS)
    finished: dict[int, set[str]] = {}
    for life in range(1, kills + 2):
        moment_s = random.uniform(0, span_s) if life <= kills else None
        finished[life] = _finished(site, outcome, trial, run_id)
        worker = site.pool.start(site.job(run_id, life, pause_s=_PAUSE_S, take_over=bool(trial % 2)))
        try:
            site.pool.wait_ready(worker)
            if moment_s is not None and not site.pool.ended_within(worker, moment_s):
                worker.kill()
            site.pool.wait_end(worker)
        except HangError as error:
            site.blame(outcome, trial, run_id, str(error))
            return
        if worker.code != -signal.SIGKILL:
            break
        done = {line["name"] for line in of_kind(site.ledger(run_id).lines(), "effect")}
        outcome.add("kills")
        outcome.facts["kill moments"].append(round((moment_s or 0.0) / span_s, 3))
        outcome.facts["progress"].append(round(len(done) / len(EFFECTS), 3))
    _judge(site, outcome, trial, run_id, finished)


def _finished(site: Site, outcome: Outcome, trial: int, run_id: str) -> set[str]:
    try:
        return site.finished(run_id)
    except Exception as error:  # whatever it is, the store is to be blamed
        site.blame(outcome, trial, run_id, f"a kill damaged what is stored: {type(error).__name__}: {error}")
        return set()


def _judge(site: Site, outcome: Outcome, trial: int, run_id: str, finished: dict[int, set[str]]) -> None:
    before = len(outcome.violations)
    tally = site.judge(outcome, trial, run_id, finished, lives=len(finished))
    outcome.add("runs")
    outcome.add("runs that ended right", len(outcome.violations) == before)
    outcome.add("effects", tally.effects)
    outcome.add("repeated while in flight", tally.repeated)
    outcome.add("asked whether it happened", tally.settled)
    outcome.facts["most repeated by one kill"] = max(outcome.facts.get("most repeated by one kill", 0), tally.worst)


def kill_at_points(site: Site, sizes: Sizes) -> Outcome:
    """Kill a worker at each passage of each labelled point, and let another one end the run.

    Once for each point, that other one is killed too, behind the first effect that it did, and a third ends the run.
    """
    outcome = Outcome("points", site.store)
    passages = list(passages_of(site, sizes, outcome))
    last = dict(passages)
    cases: list[tuple[str, ...]] = [(f"{label}:{nth}",) for label, nth in passages]
    cases += [(f"{label}:{nth}", _SECOND) for label, nth in last.items()]
    outcome.facts["labels"] = sorted(last)
    for trial in sizes.trials(len(cases)):
        _killed_at(site, outcome, trial, cases[trial])
        outcome.trials += 1
    site.check_database(outcome)
    return outcome


def _killed_at(site: Site, outcome: Outcome, trial: int, faults: Sequence[str]) -> None:
    run_id, before = f"point-{trial}", len(outcome.violations)
    finished: dict[int, set[str]] = {}
    for life, fault in enumerate((*faults, ""), 1):
        finished[life] = _finished(site, outcome, trial, run_id)
        worker = site.run(site.job(run_id, life, fault=fault), outcome, trial)
        if worker is None:
            return
        if life == 1 and worker.code != -signal.SIGKILL:
            site.blame(outcome, trial, run_id, f"the worker was to die at {fault}, and did not get there")
            return
        outcome.add("kills at points", worker.code == -signal.SIGKILL)
        if worker.code != -signal.SIGKILL:
            break
    _judge(site, outcome, trial, run_id, finished)
    for number, found in enumerate(outcome.violations[before:], before):
        outcome.violations[number] = replace(found, text=f"killed at {', '.join(faults)}: {found.text}")


def passages_of(site: Site, sizes: Sizes, outcome: Outcome) -> Iterator[tuple[str, int]]:
    """Return each point with the number of its passage, as an undisturbed run passes them."""
    site.run(site.job("census"), outcome, 0)
    counts = of_kind(site.ledger("census").lines(), "passed")
    for label, count in sorted((line["label"], line["count"]) for line in counts):
        passages = range(1, count + 1)
        for nth in passages if not sizes.points else _spread(passages, sizes.points):
            yield label, nth


def _spread(passages: range, most: int) -> list[int]:
    """Return at most so many passages: the first, the last, and some between."""
    if len(passages) <= most:
        return list(passages)
    return sorted({passages[round(at * (len(passages) - 1) / max(most - 1, 1))] for at in range(most)})
