"""More than one worker on one run: one that was stopped and replaced, and eight that resume it at once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Final

from eino_harness.faults.kills import passages_of
from eino_harness.faults.ledger import Line, of_kind
from eino_harness.faults.process import HangError, Worker
from eino_harness.faults.site import Outcome, Site, Sizes
from eino_harness.faults.workload import EFFECTS, EXPECTED, MOST_IN_FLIGHT, ONCE

__all__ = ["resume_at_once", "stop_and_replace"]

_RIVALS: Final = 8
"""Processes that resume one run at once."""

_NOT_HERE: Final = ("commit.before", "commit.after", "claim.before")
"""Not for stopped workers: inside a commit SQLite's lock is held, so that nobody could replace them before they go on;
before its claim a worker has no run that could be taken from it."""

_CHECKED: Final = ("append.intent.after:1", f"effect.before:{EFFECTS.index(ONCE) + 1}")
"""Where nothing stands between a stopped worker and the effect: what checked it lies behind, the effect before it."""


def stop_and_replace(site: Site, sizes: Sizes) -> Outcome:
    """Stop a worker with SIGSTOP at a labelled point, let another one end the run, and let the first go on.

    It must be fenced at its next record. Before that it may end the work that it was about to do, which has the
    idempotency key of the other worker's; an effect that must happen once it may not begin.
    """
    outcome = Outcome("zombie", site.store)
    outcome.facts["ended"] = Counter()
    points = [each for each in passages_of(site, sizes, outcome) if each[0] not in _NOT_HERE]
    site.random("zombie").shuffle(points)
    chosen = points[: sizes.zombies]
    for trial in sizes.trials(len(chosen)):
        try:
            _zombie(site, outcome, trial, *chosen[trial])
        except HangError as error:
            site.blame(outcome, trial, f"zombie-{trial}", str(error))
        outcome.trials += 1
    outcome.facts["ended"] = dict(outcome.facts["ended"])
    return outcome


def _zombie(site: Site, outcome: Outcome, trial: int, label: str, nth: int) -> None:
    run_id, ledger = f"zombie-{trial}", site.ledger(f"zombie-{trial}")
    first = site.pool.start(site.job(run_id, 1, fault=f"{label}:{nth}=stop"))
    if not site.pool.wait_stopped(first):
        site.blame(outcome, trial, run_id, f"the worker was to stop at {label}:{nth}, and did not get there")
        return
    try:
        finished = {2: site.finished(run_id)}
        site.pool.run(site.job(run_id, 2))
    except BaseException:
        first.kill()
        raise
    site.judge(outcome, trial, run_id, finished, lives=2)
    before = ledger.lines()
    stored = site.journal(run_id)
    first.signal(signal.SIGCONT)
    site.pool.wait_end(first)
    late = ledger.lines()[len(before) :]
    _judge_late(site, outcome, trial, where=f"{label}:{nth}", before=before, late=late, code=first.code)
    site.judge_rows(outcome, trial, run_id)
    now = site.journal(run_id)
    if stored is None or now is None or (stored.status, stored.entries) != (now.status, now.entries):
        site.blame(outcome, trial, run_id, f"stopped at {label}:{nth}, then replaced: it changed what is stored")


def _judge_late(
    site: Site,
    outcome: Outcome,
    trial: int,
    *,
    where: str,
    before: Sequence[Line],
    late: Sequence[Line],
    code: int | None,
) -> None:
    """Judge what a replaced worker did when it went on."""
    run_id, said = f"zombie-{trial}", f"stopped at {where}, replaced, continued: it"
    effects = of_kind(late, "effect")
    ends = [line.get("type", line["is"]) for line in late if line["is"] in ("error", "result", "found done")]
    outcome.facts["ended"][ends[0] if ends else f"exit {code}"] += 1
    for line in of_kind(late, "error"):
        if not line["refusal"]:
            site.blame(outcome, trial, run_id, f"{said} ended with {line['type']}: {line['text']}")
    if not ends:
        site.blame(outcome, trial, run_id, f"{said} ended with exit code {code} and said nothing")
    if len(effects) > MOST_IN_FLIGHT:
        site.blame(outcome, trial, run_id, f"{said} did {len(effects)} pieces of work before it was fenced")
    known = {(line["name"], line["key"]) for line in of_kind(before, "effect")}
    for line in effects:
        outcome.add("work in flight that it ended")
        if (line["name"], line["key"]) not in known:
            site.blame(outcome, trial, run_id, f"{said} did {line['name']} under an idempotency key of its own")
        if line["name"] == ONCE and where not in _CHECKED:
            site.blame(outcome, trial, run_id, f"{said} did {ONCE} again, which must happen once")


def resume_at_once(site: Site, sizes: Sizes) -> Outcome:
    """Let eight processes resume one waiting run at the same moment, each with an answer of its own."""
    outcome = Outcome("resume", site.store)
    outcome.facts.update({"processes": 0, "one effect": 0, "refusals": Counter()})
    for trial in sizes.trials(sizes.resumes):
        try:
            _race(site, outcome, trial)
        except HangError as error:
            site.blame(outcome, trial, f"resume-{trial}", str(error))
        outcome.trials += 1
    outcome.facts["refusals"] = dict(outcome.facts["refusals"])
    return outcome


def _race(site: Site, outcome: Outcome, trial: int) -> None:
    run_id, ledger = f"resume-{trial}", site.ledger(f"resume-{trial}")
    site.pool.run(site.job(run_id, 1, call="begin"))
    waiting = of_kind(ledger.lines(), "waiting")
    if not waiting:
        site.blame(outcome, trial, run_id, f"the run did not come to its question: {ledger.lines()[-2:]}")
        return
    (question,) = waiting[0]["ids"]
    gate = site.folder / f"{run_id}.gate"
    os.mkfifo(gate)
    rivals = [
        site.pool.start(
            site.job(run_id, life, call="resume", take_over=False, gate=str(gate), answers={question: f"yes{life}"})
        )
        for life in range(2, 2 + _RIVALS)
    ]
    try:
        for rival in rivals:
            site.pool.wait_ready(rival)
        _open(gate, rivals, site)
    finally:
        for rival in rivals:
            rival.kill()
        gate.unlink()
    _judge_race(site, outcome, trial, ledger.lines())
    site.judge_store(outcome, trial, run_id)
    site.judge_rows(outcome, trial, run_id)


def _open(gate: os.PathLike[str], rivals: Sequence[Worker], site: Site) -> None:
    """Let all go at once; a write end that stays open lets late readers through too."""
    if all(rival.code is not None for rival in rivals):
        return
    file = os.open(gate, os.O_RDWR)  # for reading too, so that it opens when nobody waits yet
    try:
        site.pool.wait_end(*rivals)
    finally:
        os.close(file)


def _judge_race(site: Site, outcome: Outcome, trial: int, lines: Sequence[Line]) -> None:
    run_id = f"resume-{trial}"
    results = of_kind(lines, "result")
    errors = of_kind(lines, "error")
    paid = sum(line["name"] == ONCE for line in of_kind(lines, "effect"))
    asked = sum(line["name"] == "approve" for line in of_kind(lines, "effect"))
    outcome.add("processes", _RIVALS)
    outcome.add("one effect", (paid, asked) == (1, 1))
    outcome.facts["refusals"].update(line["type"] for line in errors)
    if (paid, asked) != (1, 1):
        site.blame(outcome, trial, run_id, f"'approve' happened {asked} times and {ONCE!r} {paid} times")
    if len(results) != 1:
        site.blame(outcome, trial, run_id, f"{len(results)} processes were told that they ended the run")
    for line in results:
        wanted = EXPECTED.replace("approved=yes", f"approved=yes{line['life']}")
        if line["value"] != wanted:
            site.blame(outcome, trial, run_id, f"process {line['life']} got {line['value']!r}, not {wanted!r}")
    if len(results) + len(errors) != _RIVALS:
        site.blame(outcome, trial, run_id, f"{len(results)} results and {len(errors)} errors of {_RIVALS} processes")
    for line in errors:
        if not line["refusal"]:
            site.blame(outcome, trial, run_id, f"a process was refused with {line['type']}: {line['text']}")
