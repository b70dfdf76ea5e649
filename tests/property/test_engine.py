"""The engines against a slow and obvious interpreter: same result, same nodes run, same error, nothing left behind."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino import (
    END,
    START,
    BuildError,
    Handler,
    MaxStepsError,
    MergeError,
    RunError,
    RunInfo,
    StreamReader,
    handler_builder,
)
from eino._tasks import sleep
from eino_fixtures.clock import VirtualBackendName, VirtualClock
from eino_fixtures.graph_strategies import RandomGraph, RandomNode, Value, dags, digest, pregel_graphs
from eino_harness._leaks import GeneratorWatch, TaskWatch, settle

BACKENDS: tuple[VirtualBackendName, ...] = ("asyncio", "trio")
INPUT: Value = {"input": 3}
MAX_STEPS = 12

each_backend = pytest.mark.parametrize("backend", BACKENDS)


# The interpreter. It follows the pages about semantics, and knows nothing of plans, segments, indices or tasks.


@dataclass
class Failure(Exception):  # noqa: N818 - what happened, not what is wrong here
    """How a run failed: the kind of error, and at which node."""

    kind: str
    at: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What a run did."""

    began: Counter[str] = field(default_factory=Counter)
    result: Value | None = None
    failure: Failure | None = None


class Interpreter:
    """Runs a description by hand, with time as a number."""

    def __init__(self, graph: RandomGraph) -> None:
        self.graph = graph
        self.nodes = {node.key: node for node in graph.nodes}
        self.order = [node.key for node in graph.nodes]
        self.outcome = Outcome()

    def sources_of(self, target: str) -> list[str]:
        """Who gives `target` a value, or may."""
        sources = [source for source, other in self.graph.edges if other == target]
        sources += [branch.source for branch in self.graph.branches if target in branch.ends]
        return list(dict.fromkeys(sources))

    def takers_of(self, source: str) -> list[str]:
        """Who may get what `source` gives."""
        return [key for key in [*self.order, END] if source in self.sources_of(key)]

    def chosen_by(self, source: str, value: Value) -> set[str]:
        """Who gets what `source` gave."""
        chosen = {target for other, target in self.graph.edges if other == source}
        for branch in self.graph.branches:
            if branch.source == source:
                try:
                    chosen.update(branch.choose(value))
                except KeyError:
                    raise Failure("condition", () if source == START else (source,)) from None
        return chosen

    def merged(self, values: list[Value]) -> Value:
        """One input made of several values."""
        merged: Value = {}
        for value in values:
            if merged.keys() & value.keys():
                raise Failure("merge")
            merged.update(value)
        return merged

    def begin(self, key: str) -> RandomNode:
        node = self.nodes[key]
        if node.shape != "passthrough":
            self.outcome.began[key] += 1
        return node

    def finish(self, node: RandomNode, value: Value) -> Value:
        if node.fails:
            raise Failure("node", (node.key,))
        return value if node.shape == "passthrough" else {node.key: digest(node.key, value)}

    def step(self, inputs: dict[str, Value]) -> dict[str, Value]:
        """Run several nodes to their end; the failure that comes first in time counts."""
        begun = [self.begin(key) for key in inputs]
        failing = [node for node in begun if node.fails]
        if failing:
            raise Failure("node", (min(failing, key=lambda node: node.delay_s).key,))
        return {node.key: self.finish(node, inputs[node.key]) for node in begun}


class Pregel(Interpreter):
    """Super-steps: a node runs when something came for it; the run ends when something came for the end."""

    def run(self, value: Value) -> Value:
        came: dict[str, dict[str, Value]] = {}
        self.send(START, value, came)
        last: list[str] = []
        steps = 0
        while END not in came:
            if not came:
                raise Failure("stuck", tuple(last))
            inputs = {key: self.merged(list(came[key].values())) for key in self.order if key in came}
            steps += 1
            if steps > MAX_STEPS:
                raise Failure("steps", tuple(last))
            outputs = self.step(inputs)
            last = list(outputs)
            came = {}
            for key, output in outputs.items():
                self.send(key, output, came)
        return self.merged(list(came[END].values()))

    def send(self, source: str, value: Value, came: dict[str, dict[str, Value]]) -> None:
        for target in self.chosen_by(source, value):
            came.setdefault(target, {})[source] = value


class Dag(Interpreter):
    """Each node once, when every source has given its value or is known to give none; skipped if none gives one."""

    def __init__(self, graph: RandomGraph) -> None:
        super().__init__(graph)
        self.heard: dict[str, dict[str, Value | None]] = {key: {} for key in [*self.order, END]}
        self.waiting = [*self.order, END]

    def tell(self, source: str, target: str, value: Value | None) -> None:
        """Give `target` a value, or say that none will come."""
        self.heard[target][source] = value
        if target in self.waiting and self.is_settled(target) and not self.values_for(target):
            self.waiting.remove(target)  # skipped
            for behind in self.takers_of(target) if target != END else ():
                self.tell(target, behind, None)

    def is_settled(self, target: str) -> bool:
        sources = self.sources_of(target)
        return bool(sources) and all(source in self.heard[target] for source in sources)

    def values_for(self, target: str) -> list[Value]:
        return [value for value in self.heard[target].values() if value is not None]

    def complete(self, source: str, value: Value) -> None:
        chosen = self.chosen_by(source, value)
        for target in self.takers_of(source):
            self.tell(source, target, value if target in chosen else None)

    def take_ready(self) -> list[str]:
        ready = [key for key in self.waiting if self.is_settled(key)]
        self.waiting = [key for key in self.waiting if key not in ready]
        return ready


class DagInSteps(Dag):
    """All that is ready runs together, and then the next."""

    def run(self, value: Value) -> Value:
        self.complete(START, value)
        while True:
            ready = self.take_ready()
            if END in ready:
                return self.merged(self.values_for(END))
            if not ready:
                raise Failure("stuck")
            outputs = self.step({key: self.merged(self.values_for(key)) for key in ready})
            for key, output in outputs.items():
                self.complete(key, output)


class EagerDag(Dag):
    """Every node as soon as it is ready; the run ends at the end, or at the first failure in time."""

    def run(self, value: Value) -> Value:
        now = 0.0
        running: dict[str, tuple[float, Value]] = {}
        self.complete(START, value)
        while True:
            ready = self.take_ready()
            if END in ready:
                return self.merged(self.values_for(END))
            for key in ready:
                given = self.merged(self.values_for(key))
                running[key] = now + self.begin(key).delay_s, given
            if not running:
                raise Failure("stuck")
            key = min(running, key=lambda each: running[each][0])
            now, given = running.pop(key)
            self.complete(key, self.finish(self.nodes[key], given))


def interpreted(interpreter: Any, value: Value) -> Outcome:
    """Return what the interpreter does."""
    outcome: Outcome = interpreter.outcome
    try:
        outcome.result = interpreter.run(value)
    except Failure as failure:
        outcome.failure = failure
    return outcome


# The engine, observed from outside.


def watched(backend: VirtualBackendName, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run `main` in virtual time and return what it returns; nothing may be left in the loop."""

    async def watching() -> Any:
        tasks, generators = TaskWatch(), GeneratorWatch()
        generators.install()
        try:
            result = await main()
            gc.collect(0)
            await settle()
            assert tasks.leaks() == []
            assert generators.leaks() == []
            return result
        finally:
            generators.remove()

    return VirtualClock().run(watching, backend=backend)


def engine_outcome(
    graph: RandomGraph, backend: VirtualBackendName, *, as_stream: bool = False, **options: Any
) -> Outcome:
    """Return what the engine does."""
    built, log = graph.build()
    runnable = built.compile(**options)
    outcome = Outcome()

    async def main() -> None:
        try:
            if as_stream:
                outcome.result = await runnable.collect(StreamReader.from_iterable([{"input": 1}, INPUT]))
            else:
                outcome.result = await runnable.invoke(INPUT)
        except RunError as error:
            outcome.failure = failure_of(error)

    watched(backend, main)
    outcome.began = Counter(log)
    return outcome


def failure_of(error: RunError) -> Failure:
    """Return an error as the interpreter tells it."""
    cause = error.__cause__
    if isinstance(error, MaxStepsError):
        return Failure("steps", _last_nodes(error))
    if isinstance(cause, MergeError):
        return Failure("merge", error.node_path)
    if isinstance(cause, KeyError):
        return Failure("condition", error.node_path)
    if isinstance(cause, ValueError):
        assert error.kind == "node"
        return Failure("node", error.node_path)
    assert "no tasks to execute" in error.message
    return Failure("stuck", _last_nodes(error))


def _last_nodes(error: RunError) -> tuple[str, ...]:
    if "after graph start" in error.message:
        return ()
    inside = error.message.partition("nodes: [")[2].partition("]")[0]
    return tuple(inside.split(", "))


# Nodes that take no time complete in an order that nobody promises; who runs beside them is then not certain.
timed = ("invoke", "stream", "collect", "transform")


@each_backend
@given(graph=dags(shapes=timed))
def test_an_eager_dag_does_what_the_pages_say(backend: VirtualBackendName, graph: RandomGraph) -> None:
    expected = interpreted(EagerDag(graph), INPUT)

    actual = engine_outcome(graph, backend, trigger="all")

    assert actual.result == expected.result
    assert kind_and_place(actual) == kind_and_place(expected)
    if kind_and_place(expected)[:1] == ("merge",):
        assert expected.began - actual.began == Counter()
        assert set(actual.began.values()) <= {1}
    else:
        assert actual.began == expected.began


@each_backend
@given(graph=dags())
def test_a_dag_in_steps_does_what_the_pages_say(backend: VirtualBackendName, graph: RandomGraph) -> None:
    expected = interpreted(DagInSteps(graph), INPUT)

    actual = engine_outcome(graph, backend, trigger="all", eager=False)

    assert actual.result == expected.result
    assert kind_and_place(actual) == kind_and_place(expected)
    assert actual.began == expected.began


@each_backend
@given(graph=pregel_graphs())
def test_pregel_does_what_the_pages_say(backend: VirtualBackendName, graph: RandomGraph) -> None:
    expected = interpreted(Pregel(graph), INPUT)

    actual = engine_outcome(graph, backend, max_steps=MAX_STEPS)

    assert actual.result == expected.result
    assert actual.failure == expected.failure
    assert actual.began == expected.began


def kind_and_place(outcome: Outcome) -> tuple[Any, ...]:
    """Return how a run failed; of those that are stuck in a DAG, not which nodes were the last."""
    if outcome.failure is None:
        return ()
    return (outcome.failure.kind, () if outcome.failure.kind == "stuck" else outcome.failure.at)


@each_backend
@given(graph=pregel_graphs(failures=False), options=st.just({"max_steps": MAX_STEPS}))
def test_pregel_gives_the_same_on_streams(backend: VirtualBackendName, graph: RandomGraph, options: Any) -> None:
    same_on_streams(backend, graph, Pregel(graph), options)


@each_backend
@given(graph=dags(failures=False), eager=st.booleans())
def test_a_dag_gives_the_same_on_streams(backend: VirtualBackendName, graph: RandomGraph, eager: bool) -> None:
    same_on_streams(backend, graph, DagInSteps(graph), {"trigger": "all", "eager": eager})


def same_on_streams(backend: VirtualBackendName, graph: RandomGraph, interpreter: Interpreter, options: Any) -> None:
    """A stream run joins to the value of a value run, unless a key comes twice: streams are joined without a word."""
    expected = interpreted(interpreter, INPUT)

    actual = engine_outcome(graph, backend, as_stream=True, **options)

    if expected.failure is None:
        assert (actual.result, actual.failure) == (expected.result, None)
    elif expected.failure.kind != "merge":
        assert actual.result is None
        assert kind_and_place(actual) == kind_and_place(expected)


@each_backend
@given(
    graph=st.one_of(dags(), pregel_graphs()),
    trigger=st.sampled_from([{"trigger": "all"}, {"trigger": "all", "eager": False}, {"max_steps": MAX_STEPS}]),
    as_stream=st.booleans(),
    timeout_s=st.sampled_from([0.5, 1.5, 3.0, 7.0, 1000.0]),
    leave_after=st.integers(0, 3),
    observed=st.booleans(),
)
def test_nothing_is_left_behind(  # noqa: PLR0917 - all drawn by name
    backend: VirtualBackendName,
    graph: RandomGraph,
    trigger: Any,
    as_stream: bool,
    timeout_s: float,
    leave_after: int,
    observed: bool,
) -> None:
    """However a run ends: with a result, an error, a time-out, or because the caller walks away from its stream."""
    built, _ = graph.build()
    try:
        runnable = built.compile(**trigger)
    except BuildError:
        return  # a loop, drawn for Pregel
    hear = handler_builder(
        on_start_stream_input=lambda info, reader: None, on_end_stream_output=lambda info, reader: None
    )
    options: Any = {"timeout_s": timeout_s, **({"callbacks": [hear]} if observed else {})}

    async def main() -> None:
        try:
            if as_stream:
                async with runnable.transform(slowly(), **options) as reader:
                    count = 0
                    async for _ in reader:
                        count += 1
                        if count > leave_after:
                            break
            else:
                await runnable.invoke(INPUT, **options)
        except RunError:
            pass

    watched(backend, main)


async def slowly() -> Any:
    for number in range(3):
        await sleep(0.75)
        yield {"input": number}


def test_the_interpreter_can_tell_a_wrong_engine() -> None:
    """A diamond of unequal arms, an end that comes early, a skip: what the interpreter says of them is known."""
    nodes = tuple(RandomNode(key, "invoke", 2.0**index) for index, key in enumerate(("n0", "n1", "n2", "n3")))
    diamond = RandomGraph(nodes, ((START, "n0"), ("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n1"), ("n3", END)))

    assert interpreted(Pregel(diamond), INPUT).began == Counter({"n0": 1, "n1": 2, "n2": 1, "n3": 1})
    assert interpreted(EagerDag(diamond), INPUT).began == Counter({"n0": 1, "n1": 1, "n2": 1, "n3": 1})


class Pairs(Handler):
    """Counts how often each invocation starts and ends."""

    def __init__(self) -> None:
        self.began: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.parents: dict[str, str | None] = {}

    def _begin(self, info: RunInfo) -> None:
        self.began[info.run_id] += 1
        self.parents[info.run_id] = info.parent_id

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - as in Handler
        self._begin(info)

    def on_start_stream_input(self, info: RunInfo, reader: Any) -> None:
        self._begin(info)

    def on_end(self, info: RunInfo, output: Any) -> None:
        self.ended[info.run_id] += 1

    def on_end_stream_output(self, info: RunInfo, reader: Any) -> None:
        self.ended[info.run_id] += 1

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self.ended[info.run_id] += 1


@each_backend
@given(
    outer=st.one_of(dags(max_nodes=4), pregel_graphs(max_nodes=4)),
    inner=dags(max_nodes=3),
    trigger=st.sampled_from([{"trigger": "all"}, {"trigger": "all", "eager": False}, {"max_steps": MAX_STEPS}]),
    as_stream=st.booleans(),
    timeout_s=st.sampled_from([0.5, 3.0, 1000.0]),
)
def test_every_start_has_its_end(  # noqa: PLR0917 - all drawn by name
    backend: VirtualBackendName,
    outer: RandomGraph,
    inner: RandomGraph,
    trigger: Any,
    as_stream: bool,
    timeout_s: float,
) -> None:
    """Handlers hear pairs, whatever happens: errors, time-outs, nodes that are cancelled; in nested graphs too.

    Every invocation but the root lies below one that began.
    """
    nested, _ = inner.build()
    graph, _ = outer.build()
    graph.add_graph_node("nested", nested, compile_options={"trigger": "all"}, output_key="nested")
    graph.add_edge(START, "nested").add_edge("nested", END)
    try:
        runnable = graph.compile(**trigger)
    except BuildError:
        return  # a loop, drawn for Pregel
    pairs = Pairs()

    async def main() -> None:
        try:
            if as_stream:
                await runnable.collect(slowly(), timeout_s=timeout_s, callbacks=[pairs])
            else:
                await runnable.invoke(INPUT, timeout_s=timeout_s, callbacks=[pairs])
        except RunError:
            pass

    watched(backend, main)

    assert pairs.began == pairs.ended
    assert set(pairs.began.values()) == {1}
    roots = [parent for parent in pairs.parents.values() if parent is None]
    assert len(roots) == 1
    assert {parent for parent in pairs.parents.values() if parent is not None} <= set(pairs.began)


@each_backend
@given(
    graph=st.one_of(dags(failures=False), pregel_graphs(failures=False)),
    trigger=st.sampled_from([{"trigger": "all"}, {"trigger": "all", "eager": False}, {"max_steps": MAX_STEPS}]),
    numbers=st.lists(st.integers(0, 50), min_size=2, max_size=5, unique=True),
)
def test_runs_at_the_same_time_do_not_disturb_each_other(
    backend: VirtualBackendName, graph: RandomGraph, trigger: Any, numbers: list[int]
) -> None:
    """One runnable, several inputs at once, as values and as streams: each gives what it gives alone."""
    built, _ = graph.build()
    try:
        runnable = built.compile(**trigger)
    except BuildError:
        return  # a loop, drawn for Pregel

    async def outcome(number: int, *, as_stream: bool) -> Any:
        try:
            if as_stream:
                return await runnable.collect(StreamReader.from_iterable([{"input": number}]))
            return await runnable.invoke({"input": number})
        except RunError as error:
            return error.message

    async def alone() -> list[Any]:
        return [await outcome(number, as_stream=False) for number in numbers]

    async def together() -> list[Any]:
        results: dict[int, Any] = {}

        async def run(number: int) -> None:
            results[number] = await outcome(number, as_stream=False)
            await outcome(number, as_stream=True)

        async with anyio.create_task_group() as tasks:
            for number in numbers:
                tasks.start_soon(run, number)
        return [results[number] for number in numbers]

    assert watched(backend, together) == watched(backend, alone)
