"""Runs are begun, stopped, resumed, answered, killed, taken over, deleted and pruned in any order, on each store.

The model knows what was answered and how a run stands. Whatever happened before, a run goes on where it stood, gives what
an undisturbed run gives, asks no question twice, repeats a node only after a kill, and is never damaged.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from eino import END, START, Graph, GraphInterrupt, MemoryStore, current_context, interrupt, prune_runs
from eino.compose.inspection import inspect_run
from eino.compose.journal import Journal
from eino.compose.store import RunStatus
from eino.errors import AlreadyAnsweredError, FencedError, RunActiveError, UnknownRunError, UnknownTargetError
from eino.ext.stores.postgres import PostgresStore
from eino.ext.stores.sqlite import SQLiteStore

RUNS = st.sampled_from(["one", "two"])
ANSWERS = st.sampled_from(["yes", "no", ""])
QUESTIONS = 2
NIGHTLY = settings.get_profile("nightly").max_examples


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """A store whose worker dies before or after the k-th change; from then on the worker reaches nothing."""

    def __init__(self, store: Any, dies_at: int, *, before: bool) -> None:
        self._store = store
        self._left = dies_at
        self._before = before
        self.dead = False

    @property
    def namespace(self) -> str:
        return str(self._store.namespace)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        async def mortal(*args: Any, **options: Any) -> Any:
            self._left -= name in ("claim", "append", "answer", "delete")
            if self.dead or (self._left == 0 and self._before):
                self.dead = True
                raise Killed
            result = await call(*args, **options)
            if self._left == 0:
                self.dead = True
                raise Killed
            return result

        return mortal


@dataclass
class Model:
    """What is known of a run."""

    answers: list[str] = field(default_factory=list)
    question: str = ""
    """The id of the interrupt at which it waits; empty where it does not, or nobody knows."""
    was_killed: int = 0
    is_done: bool = False

    @property
    def text(self) -> str:
        return "s" + "".join(f"a{answer}" for answer in self.answers) + "z"


class Machine(RuleBasedStateMachine):
    """Drives the runs of one store; the derived classes say which."""

    def __init__(self) -> None:
        super().__init__()
        self.store = self.opened()
        self.runs: dict[str, Model] = {}
        self.worked: Counter[str] = Counter()
        self.kills = 0

    def opened(self) -> Any:
        raise NotImplementedError

    def reopened(self) -> Any:
        """What the next process sees."""
        self.closed()
        return self.opened()

    def closed(self) -> None:
        anyio.run(self.store.aclose)

    def teardown(self) -> None:
        self.closed()

    def runnable(self, store: Any) -> Any:
        def asks(number: int) -> Callable[[str], Any]:
            async def ask(text: str) -> str:
                answer = interrupt(number)
                self.worked[current_context().attempt_id] += 1
                return f"{text}a{answer}"

            return ask

        async def last(text: str) -> str:
            self.worked[current_context().attempt_id] += 1
            return text + "z"

        graph = Graph[str, str]()
        before = START
        for number in range(QUESTIONS):
            graph.add_lambda_node(f"ask{number}", asks(number)).add_edge(before, f"ask{number}")
            before = f"ask{number}"
        graph.add_lambda_node("last", last).add_edge(before, "last").add_edge("last", END)
        return graph.compile(name="g", checkpoint_store=store, durability="step", keep=True)

    def call(self, run_id: str, store: Any, resume: dict[str, Any]) -> str:
        """Call the run, and note in the model what became of it."""
        model = self.runs.get(run_id)
        given = () if resume else ("s",)
        if model is None or (model.is_done and not resume):
            model = self.runs[run_id] = Model()
            for attempt in [each for each in self.worked if each.startswith(f"{run_id}/")]:
                del self.worked[attempt]
        try:
            result = str(anyio.run(lambda: self.runnable(store).invoke(*given, checkpoint_id=run_id, resume=resume)))
        except GraphInterrupt as stop:
            (context,) = stop.contexts
            assert context.info == len(model.answers), "it asks the question that was not answered yet"
            assert model.question in ("", context.id), "and asks it under the same id"
            model.question = context.id
            return ""
        model.is_done, model.question = True, ""
        assert result == model.text
        return result

    def answered(self, model: Model, answer: str) -> dict[str, Any]:
        """Note an answer, and return it as it is given."""
        resume = {model.question: answer}
        model.answers.append(answer)
        model.question = ""
        return resume

    def waiting(self, run_id: str) -> Model | None:
        model = self.runs.get(run_id)
        return model if model is not None and model.question else None

    @rule(run_id=RUNS)
    def calls(self, run_id: str) -> None:
        """A call without an answer begins a run, goes on with it, or hears the same question again."""
        self.call(run_id, self.store, {})

    @rule(run_id=RUNS, answer=ANSWERS)
    def resumes(self, run_id: str, answer: str) -> None:
        """A call with an answer goes on; where nobody asked it is refused."""
        model = self.waiting(run_id)
        if model is not None:
            self.call(run_id, self.store, self.answered(model, answer))
        elif run_id not in self.runs or self.runs[run_id].is_done:
            with pytest.raises(UnknownRunError):
                anyio.run(lambda: self.runnable(self.store).invoke(checkpoint_id=run_id, resume={"nobody": answer}))

    @rule(run_id=RUNS, answer=ANSWERS)
    def answers_from_outside(self, run_id: str, answer: str) -> None:
        """An answer without a claim counts at the next call; a second one is refused."""
        model = self.waiting(run_id)
        if model is None:
            return
        question = model.question
        given = self.answered(model, answer)

        async def give() -> None:
            journal = await Journal.peek(self.store, run_id)
            assert journal is not None
            await journal.answer(given)
            with pytest.raises(AlreadyAnsweredError):
                await journal.answer(given)

        anyio.run(give)
        with pytest.raises(AlreadyAnsweredError):
            anyio.run(lambda: self.runnable(self.store).invoke(checkpoint_id=run_id, resume={question: "other"}))

    @rule(run_id=RUNS)
    def names_what_nobody_asked(self, run_id: str) -> None:
        if self.waiting(run_id) is not None:
            with pytest.raises(UnknownTargetError):
                anyio.run(lambda: self.runnable(self.store).invoke(checkpoint_id=run_id, resume={"nobody": 1}))

    @rule(run_id=RUNS, answer=ANSWERS, dies_at=st.integers(1, 7), before=st.booleans(), is_answered=st.booleans())
    def is_killed(self, run_id: str, answer: str, dies_at: int, before: bool, is_answered: bool) -> None:
        """The process dies at any change of the store; another one finds what was committed."""
        model = self.waiting(run_id) if is_answered else None
        resume = {} if model is None else {model.question: answer}
        asked = None if model is None else model.question
        mortal = Mortal(self.store, dies_at, before=before)
        known = self.runs.get(run_id)
        if model is not None:
            self.answered(model, answer)
        self.kills += 1
        try:
            self.call(run_id, mortal, resume)
        except Killed:
            self.store = self.reopened()
            found = anyio.run(lambda: self.store.load(run_id))
            model = self.runs[run_id]
            if found is None or (not found.records and (known is None or known.is_done)):
                self.runs.pop(run_id)
                if found is not None:
                    anyio.run(lambda: self.store.delete(run_id))
                return
            if known is not None and known.is_done and found.records[-1].kind == "end" and known is not model:
                self.runs[run_id] = known  # it was not begun anew yet
                return
            model.is_done = found.records[-1].kind == "end"
            if asked is not None and asked not in found.answers:
                model.answers.pop()
                model.question = asked
        else:
            self.store = self.reopened()

    @rule(run_id=RUNS)
    def is_replaced(self, run_id: str) -> None:
        """A worker whose run is taken over can store nothing more, and the run stands as it did."""
        if run_id not in self.runs:
            return

        async def replace() -> None:
            old = await Journal.open(self.store, run_id)
            with pytest.raises(RunActiveError):
                await Journal.open(self.store, run_id)
            new = await Journal.open(self.store, run_id, take_over=True)
            with pytest.raises(FencedError):
                await old.append("end", {}, "done")
            with pytest.raises(FencedError):
                await old.delete()
            await new.append("kept", {"address": "nowhere", "value": [1]}, str(old.status))
            new.leave()
            old.leave()

        if not self.runs[run_id].is_done:
            anyio.run(replace)

    @rule(run_id=RUNS)
    def is_deleted(self, run_id: str) -> None:
        anyio.run(lambda: self.store.delete(run_id))
        self.runs.pop(run_id, None)

    @rule()
    def prunes(self) -> None:
        """What is over is removed, and nothing else."""
        done = {each.run_id for each in anyio.run(self.store.list) if each.status is RunStatus.DONE}
        gone = anyio.run(lambda: prune_runs(self.store, idle_s=0.0, statuses={RunStatus.DONE}))
        assert set(gone) == done
        assert all(self.runs[run_id].is_done for run_id in gone)
        for run_id in gone:
            del self.runs[run_id]

    @precondition(lambda self: self.runs)
    @rule()
    def opens_again(self) -> None:
        self.store = self.reopened()

    @invariant()
    def the_list_is_right(self) -> None:
        found = {each.run_id: each for each in anyio.run(self.store.list)}
        assert set(found) == set(self.runs)
        for run_id, model in self.runs.items():
            if model.is_done:  # a kill between a new claim and its first record leaves it as it is, but claimed
                assert found[run_id].status in (RunStatus.DONE, RunStatus.RUNNING)
            if model.question:
                assert found[run_id].status in (RunStatus.WAITING, RunStatus.RUNNING)

    @invariant()
    def nothing_is_damaged(self) -> None:
        for run_id in self.runs:
            report = anyio.run(lambda run_id=run_id: inspect_run(self.store, run_id))
            assert report is not None
            assert report.problem == ""

    @invariant()
    def nodes_run_again_after_kills_only(self) -> None:
        assert all(count <= 1 + self.kills for count in self.worked.values())
        assert sum(count - 1 for count in self.worked.values()) <= self.kills


class MemoryMachine(Machine):
    def opened(self) -> Any:
        return MemoryStore()

    def reopened(self) -> Any:
        return self.store  # it ends with the process, so a kill is that of one call

    def closed(self) -> None:
        pass


class SQLiteMachine(Machine):
    def opened(self) -> Any:
        if not hasattr(self, "folder"):
            here = "/dev/shm" if Path("/dev/shm").is_dir() else None
            self.folder = tempfile.TemporaryDirectory(dir=here)
        return SQLiteStore(Path(self.folder.name) / "runs.db")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class PostgresMachine(Machine):
    url = os.environ.get("EINO_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")

    def opened(self) -> Any:
        if not hasattr(self, "schema"):
            self.schema = f"eino_test_{secrets.token_hex(6)}"
        # What is asked here is order, not power cuts: the disk need not be waited for.
        return PostgresStore(self.url, schema=self.schema, max_connections=1)

    def teardown(self) -> None:
        super().teardown()
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE".encode())


EXAMPLES = {MemoryMachine: 40, SQLiteMachine: 12, PostgresMachine: 4}
"""How many histories each store gets; the nightly run has 20 times as many."""


@pytest.mark.parametrize("machine", EXAMPLES, ids=lambda machine: machine.__name__)
def test_any_order(machine: Any, postgres_url: str) -> None:
    is_nightly = settings.default is not None and settings.default.max_examples == NIGHTLY
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES[machine] * (20 if is_nightly else 1),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
