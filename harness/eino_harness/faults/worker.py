"""The worker: one process that runs one run, as a deployment would after a crash. It may be killed at any moment.

By hand: `EINO_FAULT=append.level.after:3 python -m eino_harness.faults.worker sqlite FOLDER RUN_ID`
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import anyio

from eino import GraphInterrupt
from eino.compose.effects import RETRY, Settled
from eino.compose.store import MemoryStore, RunStatus
from eino.errors import AlreadyAnsweredError, CheckpointError, EinoError, RunActiveError
from eino_harness.faults import variants
from eino_harness.faults.kits import KITS, StoreKit, Transactions, kit_of
from eino_harness.faults.ledger import Ledger, of_kind
from eino_harness.faults.points import FAULT_VARIABLE, Fault, FaultPoints, PointedStore
from eino_harness.faults.workload import INPUT, NAME, build

__all__ = ["Job", "perform", "warm"]

_LEFT_S: Final = 15.0
"""How long a worker without `take_over` waits until the store knows that the one before it is gone, in seconds."""
_LONGEST: Final = 400
"""Characters of an error that the ledger keeps."""
_TURN_S: Final = 0.02
"""How long it waits before it asks again, in seconds."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker process is to do. Plain data, so that it can be sent to it."""

    store: str
    """Name of a kit."""
    place: str
    """Folder of the store."""
    run_id: str
    ledger: str
    """File of the effects."""
    life: int = 1
    """Which process of this run it is, from 1."""
    fault: str = ""
    """Where it is to be hit, see `points`."""
    pause_s: float = 0.0
    """Longest time that each effect takes, in seconds; the times are random."""
    seed: int = 0
    take_over: bool = True
    answers: Mapping[str, Any] = field(default_factory=dict)
    """Answers to give at once, instead of those to what the run asks."""
    call: str = "serve"
    """`serve` answers what the run asks until it is done; `begin` and `resume` make one call, whatever comes of it."""
    variant: str = ""
    """What is special about this process, see `variants`."""
    gate: str = ""
    """A named pipe: the first call waits until somebody opens it for writing."""

    def dump(self) -> dict[str, Any]:
        """Return it as data for JSON."""
        return asdict(self)


def perform(job: Job, ready: Callable[[], None]) -> None:
    """Do a job in this process; `ready` is called when the work begins, or is about to behind a gate."""
    anyio.run(_Worker(job, ready).run)


def warm() -> None:
    """Import all that a worker needs, and run the graph once, so that a forked worker comes to the point at once."""
    anyio.run(_calm_run)
    for kit in KITS.values():
        kit.warm()


async def _calm_run() -> None:
    async def nothing(name: str, key: str, output: str) -> None: ...

    runnable = build(nothing).compile(name=NAME, checkpoint_store=MemoryStore(), durability="step")
    answers: dict[str, Any] = {}
    for _ in range(2):
        try:
            await runnable.invoke(INPUT, checkpoint_id="warm", resume=answers)
        except GraphInterrupt as stop:
            answers = {point.id: "yes" for point in stop.contexts}


class _Worker:
    def __init__(self, job: Job, ready: Callable[[], None]) -> None:
        self.job = job
        self.ready = ready
        self.ledger = Ledger(Path(job.ledger), job.life)
        self.points = FaultPoints(Fault.parse(job.fault))
        self.random = Random(f"{job.seed}/{job.run_id}/{job.life}")  # noqa: S311 - pauses

    async def run(self) -> None:
        """Do the job, and note what came of it."""
        kit = kit_of(self.job.store, Path(self.job.place))
        if not self.job.gate:
            self.ready()
        try:
            async with kit.open(self.points.hit) as store:
                await self._serve(kit, store)
        except Exception as error:  # whatever it is, the campaign judges it
            self.ledger.note(
                "error",
                type=type(error).__name__,
                text=ascii(str(error))[1:-1][:_LONGEST],
                refusal=isinstance(error, CheckpointError),
                typed=isinstance(error, EinoError),
            )
        for label, count in self.points.passed.items():
            self.ledger.note("passed", label=label, count=count)

    async def _serve(self, kit: StoreKit, store: Any) -> None:
        state = variants.apply(self.job.variant, self.ledger)
        graph = build(self._effect, state, kit.book if isinstance(kit, Transactions) else None)
        pointed = PointedStore(store, self.points)
        runnable = graph.compile(name=NAME, checkpoint_store=pointed, durability="step", keep=True)
        stored = await store.load(self.job.run_id)
        if self.job.gate:
            self.ready()
            os.close(os.open(self.job.gate, os.O_RDONLY))  # returns when the other end is opened
        if self.job.call == "serve":
            if stored is not None and stored.status is RunStatus.DONE:
                self.ledger.note("found done")
            else:
                await self._until_done(store, runnable)
            return
        given = (INPUT,) if self.job.call == "begin" else ()
        try:
            self.ledger.note("result", value=await self._call(runnable, given, self.job.answers))
        except GraphInterrupt as stop:
            self.ledger.note("waiting", ids=[point.id for point in stop.contexts])

    async def _until_done(self, store: Any, runnable: Any) -> None:
        answers: Mapping[str, Any] = {}
        while True:
            stored = await store.load(self.job.run_id)
            is_begun = stored is not None and stored.head > 0  # an input would begin a run that is done anew
            try:
                result = await self._call(runnable, () if is_begun else (INPUT,), answers)
            except GraphInterrupt as stop:
                answers = {point.id: self._answer(point.info) for point in stop.contexts}
            except AlreadyAnsweredError:  # killed after the answer was stored: go on with that one
                if not answers:
                    raise
                answers = {}
            else:
                self.ledger.note("result", value=result)
                return

    async def _call(self, runnable: Any, given: tuple[str, ...], answers: Mapping[str, Any]) -> Any:
        job, patience = self.job, _LEFT_S if self.job.call == "serve" else 0.0
        while True:
            try:
                with variants.armed():
                    return await runnable.invoke(
                        *given, checkpoint_id=job.run_id, take_over=job.take_over, resume=answers
                    )
            except RunActiveError:  # the store does not know yet that the worker before this one is gone
                if patience <= 0:
                    raise
                patience -= _TURN_S
                await anyio.sleep(_TURN_S)

    def _answer(self, info: Any) -> Any:
        """Answer as an operator does who can look at the world outside."""
        if "reason" not in info:
            return "yes"
        effects = of_kind(self.ledger.lines(), "effect")
        outputs = [line["output"] for line in effects if line["key"] == info["attempt_id"]]
        self.ledger.note("settled", happened=bool(outputs))
        return Settled(outputs[0]) if outputs else RETRY

    async def _effect(self, name: str, key: str, output: str) -> None:
        """Do the effect of a piece of work: one line of the ledger."""
        self.points.hit("effect.before")
        await self._pause()
        self.ledger.note("effect", name=name, key=key, output=output)
        self.points.hit("effect.after")
        await self._pause()

    async def _pause(self) -> None:
        await anyio.sleep(self.random.uniform(0, self.job.pause_s) if self.job.pause_s else 0)


def main() -> int:
    """Run one worker by hand; return the exit code."""
    if len(sys.argv) != 4:
        print("usage: python -m eino_harness.faults.worker STORE FOLDER RUN_ID", file=sys.stderr)  # noqa: T201
        return 2
    store, place, run_id = sys.argv[1:]
    ledger = str(Path(place) / f"{run_id}.jsonl")
    perform(Job(store, place, run_id, ledger, fault=os.environ.get(FAULT_VARIABLE, "")), lambda: None)
    for line in Ledger(Path(ledger)).lines():
        print(line)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
