"""One store under test with its workers, and what every scenario does with them: run, look, judge, tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio

from eino.compose.journal import Journal
from eino.compose.store import RunStatus
from eino_harness.faults.judge import Tally, finished_by, tally_of, violations_of
from eino_harness.faults.kits import RowAccess, Transactions, kit_of
from eino_harness.faults.ledger import Ledger, of_kind
from eino_harness.faults.process import HangError, Worker, Workers, workers
from eino_harness.faults.worker import Job
from eino_harness.faults.workload import ONCE

__all__ = ["Outcome", "Site", "Sizes", "Violation", "site"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is tried, for each store."""

    kills: int = 200
    resumes: int = 100
    flips: int = 400
    zombies: int = 50
    clocks: int = 20
    points: int = 0
    """Passages of each labelled point that are tried; 0 for all."""
    trial: int | None = None
    """The only trial to run, to repeat one; None for all."""

    def options(self) -> str:
        """Return what the command line must say so that trials have the same numbers again."""
        plain = Sizes()
        names = [name for name in ("flips", "zombies", "points") if getattr(self, name) != getattr(plain, name)]
        return "".join(f" --{name} {getattr(self, name)}" for name in names)

    def trials(self, count: int) -> range:
        """Return the numbers of the trials to run."""
        return range(count) if self.trial is None else range(self.trial, self.trial + 1)


@dataclass(frozen=True, slots=True)
class Violation:
    """One promise that was broken."""

    scenario: str
    store: str
    run: str
    trial: int
    seed: int
    text: str
    command: str
    """Repeats it."""


@dataclass(slots=True)
class Outcome:
    """What one scenario showed on one store."""

    scenario: str
    store: str
    trials: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    """Counts and samples, by name."""
    violations: list[Violation] = field(default_factory=list)
    seconds: float = 0.0
    skipped: str = ""
    """Why it was not run; empty if it was."""

    def add(self, name: str, count: float = 1) -> None:
        """Add to a count."""
        self.facts[name] = self.facts.get(name, 0) + count


class Site:
    """One store in a folder of its own."""

    def __init__(self, store: str, folder: Path, seed: int, pool: Workers, options: str = "") -> None:
        self.store = store
        self.folder = folder
        self.seed = seed
        self.pool = pool
        self.options = options
        self.kit = kit_of(store, folder)

    def random(self, *names: object) -> Random:
        """Return a source of chance of one trial: the same for the same seed, whatever ran before."""
        return Random("/".join(map(str, (self.seed, self.store, *names))))  # noqa: S311 - when to kill

    def job(self, run_id: str, life: int = 1, **options: Any) -> Job:
        """Return the work of one life of a run."""
        options.setdefault("ledger", str(self.folder / f"{run_id}.jsonl"))
        return Job(self.store, str(self.folder), run_id, life=life, seed=self.seed, **options)

    def ledger(self, run_id: str) -> Ledger:
        """Return what the workers of a run did, to be read and added to by the campaign."""
        return Ledger(self.folder / f"{run_id}.jsonl")

    def journal(self, run_id: str) -> Journal | None:
        """Return what is stored of a run, checked.

        Raises:
            CorruptCheckpointError: If it is not what was written.
        """
        return anyio.run(self._peek, run_id)

    async def _peek(self, run_id: str) -> Journal | None:
        async with self.kit.open() as store:
            return await Journal.peek(store, run_id)

    def finished(self, run_id: str) -> set[str]:
        """Return what is finished for good, by what is stored."""
        journal = self.journal(run_id)
        return set() if journal is None else finished_by(journal.entries)

    def judge(
        self,
        outcome: Outcome,
        trial: int,
        run_id: str,
        finished: Mapping[int, set[str]],
        *,
        lives: int,
        forgiven: frozenset[int] = frozenset(),
    ) -> Tally:
        """Judge a run that has ended, and note what is wrong with it; some lives may have ended with a clear error."""
        self.judge_store(outcome, trial, run_id)
        lines = self.ledger(run_id).lines()
        for text in violations_of(lines, finished, lives, forgiven):
            self.blame(outcome, trial, run_id, text)
        self.judge_rows(outcome, trial, run_id)
        return tally_of(lines)

    def judge_rows(self, outcome: Outcome, trial: int, run_id: str) -> None:
        """Note if the transaction of the last node did not happen exactly once."""
        if isinstance(self.kit, Transactions) and (rows := self.kit.booked(run_id)) != 1:
            self.blame(outcome, trial, run_id, f"the transaction of 'book' left {rows} rows, not 1")

    def judge_store(self, outcome: Outcome, trial: int, run_id: str) -> None:
        """Note what is wrong with what is stored of a run that is done."""
        try:
            journal = self.journal(run_id)
        except Exception as error:  # whatever it is, the store is to be blamed
            self.blame(outcome, trial, run_id, f"what is stored cannot be read: {type(error).__name__}: {error}")
        else:
            self._judge_status(outcome, trial, run_id, journal)

    def _judge_status(self, outcome: Outcome, trial: int, run_id: str, journal: Journal | None) -> None:
        if journal is None or journal.status is not RunStatus.DONE:
            status = "missing" if journal is None else journal.status.value
            self.blame(outcome, trial, run_id, f"the stored status of the run is {status}, not done")
            return
        ledger = self.ledger(run_id)
        if not of_kind(ledger.lines(), "result"):  # killed when it was done, but had not said so
            once = [entry.body for entry in journal.entries if entry.kind == "result"]
            outputs = [body["output"] for body in once if f";node:{ONCE}/" in body["attempt"]]
            for (output,) in outputs:
                ledger.note("stored result", value=output)

    def blame(self, outcome: Outcome, trial: int, run_id: str, text: str) -> None:
        """Note a broken promise, with the command that repeats it."""
        where = f"--store {self.store} --only {outcome.scenario} --seed {self.seed} --trial {trial}"
        command = f"eino-harness faults {where}{self.options}"
        outcome.violations.append(Violation(outcome.scenario, self.store, run_id, trial, self.seed, text, command))

    def check_database(self, outcome: Outcome) -> None:
        """Note what the database says is wrong with itself."""
        if isinstance(self.kit, RowAccess):
            for text in self.kit.problems():
                self.blame(outcome, 0, "all", f"the database is damaged: {text}")

    def run(self, job: Job, outcome: Outcome, trial: int) -> Worker | None:
        """Run a worker to its end; a worker that hangs is a broken promise."""
        try:
            return self.pool.run(job)
        except HangError as error:
            self.blame(outcome, trial, job.run_id, str(error))
            return None


@contextmanager
def site(store: str, folder: Path, seed: int, options: str = "") -> Iterator[Site]:
    """Have a store for the length of the block; it is destroyed behind it.

    Args:
        store: Name of its kit.
        folder: A folder for it alone.
        seed: Of all random choices.
        options: What a command line that repeats a trial must say besides.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with workers(folder / "errors.txt") as pool:
        place = Site(store, folder, seed, pool, options)
        try:
            yield place
        finally:
            place.kit.destroy()
