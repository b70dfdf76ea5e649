"""Random runs that are interrupted, resumed and killed give what an undisturbed run gives."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from eino import END, START, Branch, Graph, Runnable, current_context
from eino.compose.interrupts import GraphInterrupt, interrupt
from eino.compose.store import MemoryStore, Record, RunStatus, StoredRun


class Killed(BaseException):
    """The process is gone."""


class MortalStore(MemoryStore):
    """A store whose worker dies before or after the k-th append; from then on the worker reaches nothing."""

    def __init__(self, runs: dict[str, StoredRun], dies_at: int | None, *, before: bool) -> None:
        super().__init__()
        self._runs = runs
        self.left = dies_at
        self.before = before
        self.dead = False

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        if self.left is not None:
            self.left -= 1
        dies = self.left == 0
        if self.dead or (dies and self.before):
            self.dead = True
            raise Killed
        await super().append(run_id, records, expected_head=expected_head, epoch=epoch, status=status)
        if dies:
            self.dead = True
            raise Killed

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        if self.dead:
            raise Killed
        await super().delete(run_id, epoch=epoch)


@dataclass
class Rounds:
    count: int = 0
    seen: list[str] = field(default_factory=list)


@dataclass
class World:
    """What the nodes do to the world outside: how often each ended."""

    ended: Counter[str] = field(default_factory=Counter)
    asks: frozenset[str] = frozenset()

    def node(self, name: str) -> Any:
        async def work(value: Any) -> Any:
            answer = interrupt(name) if name in self.asks else ""
            key = current_context().attempt_id
            self.ended[key] += 1
            return f"{value}{name}{answer}" if isinstance(value, str) else f"{sorted(value.items())}{name}{answer}"

        return work


def graph_of(world: World, trigger: Any, streaming_ends: bool) -> Graph[str, str]:
    """Return a graph with a parallel part, a nested graph and, in Pregel mode, a loop."""
    inner = Graph[str, str](state=Rounds)
    inner.add_lambda_node("x", world.node("x")).add_lambda_node("y", world.node("y"))
    inner.add_edge(START, "x").add_edge("x", "y").add_edge("y", END)
    graph = Graph[str, str](state=Rounds)
    graph.add_lambda_node("a", world.node("a"), pre=count)
    graph.add_lambda_node("b", world.node("b"), output_key="b")
    graph.add_lambda_node("c", world.node("c"), output_key="c")
    graph.add_graph_node("n", inner, output_key="n")
    graph.add_lambda_node("j", world.node("j"))
    graph.add_edge(START, "a")
    for key in "bcn":
        graph.add_edge("a", key).add_edge(key, "j")
    if trigger == "any":
        graph.add_branch("j", Branch(lambda text: END if text.count("a") > 1 else "a", ends={"a", END}))
    else:
        graph.add_edge("j", END)
    return graph


def count(value: str, state: Rounds) -> str:
    return value


def compiled(world: World, trigger: Any, store: Any, **options: Any) -> Runnable[str, str]:
    extra = {"max_steps": 30} if trigger == "any" else {}
    return graph_of(world, trigger, False).compile(
        name="root", trigger=trigger, checkpoint_store=store, **extra, **options
    )


async def undisturbed(trigger: Any, asks: frozenset[str]) -> str:
    """Run once, each question answered at once."""
    runnable = compiled(World(asks=asks), trigger, MemoryStore())
    given: tuple[str, ...] = ("s",)
    resume: dict[str, Any] = {}
    while True:
        try:
            return await runnable.invoke(*given, checkpoint_id="r", resume=resume)
        except GraphInterrupt as stop:
            given = ()
            resume = {context.id: f"<{context.info}>" for context in stop.contexts}


async def disturbed(
    trigger: Any, asks: frozenset[str], deaths: list[tuple[int, bool]], answers: list[int], streams: list[bool]
) -> tuple[str, World]:
    world = World(asks=asks)
    runs: dict[str, StoredRun] = {}
    deaths, answers, streams = list(deaths), list(answers), list(streams)
    resume: dict[str, Any] = {}
    for _ in range(200):
        dies_at, before = deaths.pop() if deaths else (None, False)
        store = MortalStore(runs, dies_at, before=before)
        runnable = compiled(world, trigger, store, durability="step", interrupt_before=["j"] if "!" in asks else [])
        on_stream = streams.pop() if streams else False
        try:
            options: dict[str, Any] = {"checkpoint_id": "r", "take_over": True, "resume": resume}
            if on_stream:
                async with runnable.stream("s", **options) as reader:
                    return await reader.concat(), world
            return await runnable.invoke("s", **options), world
        except GraphInterrupt as stop:
            contexts = [context for context in stop.contexts if isinstance(context.info, str)]
            chosen = contexts[: 1 + (answers.pop() if answers else 9)]
            resume = {context.id: f"<{context.info}>" for context in chosen}
        except Killed:
            stored = runs["r"].answers if "r" in runs else {}
            resume = {each: data for each, data in resume.items() if each not in stored}
            if "r" not in runs or not any(record.kind == "interrupt" for record in runs["r"].records):
                resume = {}
    raise AssertionError("the run never ended")


@settings(max_examples=60)
@given(
    trigger=st.sampled_from(["any", "all"]),
    asks=st.frozensets(st.sampled_from("abcxy!"), max_size=4),
    deaths=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=6),
    answers=st.lists(st.integers(0, 3), max_size=6),
    streams=st.lists(st.booleans(), max_size=8),
)
def test_a_disturbed_run_gives_the_same_and_repeats_nothing(
    trigger: Any, asks: frozenset[str], deaths: list[Any], answers: list[int], streams: list[bool]
) -> None:
    """With every step stored, a kill repeats at most what was running; interrupts repeat nothing that had ended."""
    wanted = asyncio.run(undisturbed(trigger, asks - {"!"}))
    got, world = asyncio.run(disturbed(trigger, asks, deaths, answers, streams))
    assert got == wanted
    repeated = sum(times - 1 for times in world.ended.values())
    assert repeated <= 4 * len(deaths)
    if not deaths:
        assert repeated == 0
