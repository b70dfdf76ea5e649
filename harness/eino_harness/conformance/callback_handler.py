"""Does a callback handler keep the contract of `Handler`?"""

from __future__ import annotations

import copy
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import anyio
import anyio.lowlevel

from eino import END, START, BuildError, Graph, GraphInterrupt, Handler, RunError, Runnable, interrupt
from eino.callbacks import Timing
from eino.callbacks._handler import slots_of
from eino_harness._leaks import GeneratorWatch, TaskWatch, settle
from eino_harness.conformance._suite import Conformance, ConformanceError, at_once, require

__all__ = ["CallbackHandlerConformance"]

QUICK_S: Final = 0.05
"""Seconds that one call of a handler may take: while it takes them, nothing else on the loop goes on."""
TRIES: Final = 3
"""A call counts as slow when it was each time: the machine may have been busy once."""

_INPUT: Final[Mapping[str, Any]] = {"text": "fox", "words": ["red", "fox"]}


class CallbackHandlerConformance(Conformance, suite=True):
    """Checks a handler of callbacks.

        class TestMyTracer(CallbackHandlerConformance):
            def make(self):
                return MyTracer(exporter=InMemoryExporter())

            async def heard(self, handler):
                return len(handler.exporter.spans)

    Each run of the checks is a small graph with a nested graph. Abilities that can be left out with a reason:
    `"recording"` (unless `heard` is defined), `"streams"` (it hears no streams), `"quick"` (its calls may take long).
    """

    _is_suite = True
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {
        "recording": ("test_it_hears_each_run",),
        "streams": ("test_it_hears_streams",),
        "quick": ("test_no_call_blocks",),
    }

    def make(self) -> Any:
        """Return a new handler: itself, an awaitable, or an async context manager that closes it."""
        return super().make()

    async def heard(self, handler: Any) -> int:
        """Return how much the handler has recorded so far: spans, lines, whatever grows with each run."""
        raise NotImplementedError(
            f"{type(self).__name__} must define heard(handler), or leave it out: "
            "without = {'recording': 'the reason'}"
        )

    async def test_it_is_a_handler(self) -> None:
        """It hears at least one timing, with plain functions."""
        async with self.component() as handler:
            try:
                slots_of(handler)
            except BuildError as error:
                raise ConformanceError(str(error)) from error

    async def test_runs_go_on_as_without_it(self) -> None:
        """A run gives what it gives without the handler, by value and by stream."""
        async with self.component() as handler:
            graph = _graph()
            alone = await graph.invoke(dict(_INPUT))
            heard = await graph.invoke(dict(_INPUT), callbacks=[handler])
            streamed = await _streamed(graph, handler)
        require(heard == alone, f"with the handler the run gave {heard!r:.200} instead of {alone!r:.200}")
        require(streamed == alone, f"with the handler the stream gave {streamed!r:.200} instead of {alone!r:.200}")

    async def test_it_hears_each_run(self) -> None:
        """What it records grows with each run, whether the run succeeds, fails or streams."""
        async with self.component() as handler:
            graph, failing = _graph(), _graph(_fail)
            counts = [await self.heard(handler)]
            await graph.invoke(dict(_INPUT), callbacks=[handler])
            counts.append(await self.heard(handler))
            await _failed(failing, handler)
            counts.append(await self.heard(handler))
            await _streamed(graph, handler)
            counts.append(await self.heard(handler))
        require(counts == sorted(set(counts)), f"after each run there must be more, but `heard` gave {counts}")

    async def test_it_changes_nothing(self) -> None:
        """The values that it hears stay as they are."""
        async with self.component() as handler:
            value = copy.deepcopy(dict(_INPUT))
            seen: list[Any] = []

            def look(given: Any) -> Any:
                seen.append(copy.deepcopy(given))
                return given

            await _graph(look).invoke(value, callbacks=[handler])
        require(value == _INPUT, f"the input of the run was changed to {value!r:.200}")
        require(seen == [_INPUT], f"the input of a node was changed to {seen!r:.200}")

    async def test_any_value_will_do(self) -> None:
        """None, empty texts, bytes, deep nesting and objects of foreign classes raise nothing."""
        deep: Any = "bottom"
        for _ in range(50):
            deep = [deep]
        async with self.component() as handler:
            for value in (None, "", b"\xff\x00", "Füchse 🦊 \ud800", deep, object(), float("nan"), 2**70):
                graph = _of_nodes(lambda given: given)
                result = await graph.invoke(value, callbacks=[handler])
                require(result is value, f"the run gave {result!r:.200} instead of {value!r:.200}")

    async def test_failures_pass(self) -> None:
        """A run that fails fails with its own error, which the handler neither hides nor adds to."""
        async with self.component() as handler:
            watched = _Watched(handler)
            error = await _failed(_graph(_fail), watched)
        require(not watched.raised, f"a handler must not raise, but {'; '.join(watched.raised)}")
        require(isinstance(error.__cause__, _Broken), f"the error of the run became {error!r:.300}")

    async def test_interrupts_pass(self) -> None:
        """A run that interrupts is interrupted, and the next one is heard."""
        async with self.component() as handler:
            watched = _Watched(handler)
            try:
                result = await _graph(lambda _: interrupt("?")).invoke(dict(_INPUT), callbacks=[watched])
            except GraphInterrupt:
                await _graph().invoke(dict(_INPUT), callbacks=[watched])
            else:
                raise ConformanceError(f"the run must be interrupted, but it gave {result!r:.200}")
        require(not watched.raised, f"a handler must not raise, but {'; '.join(watched.raised)}")

    async def test_cancellation_passes(self) -> None:
        """A cancelled run ends as cancelled, and the next one is heard."""

        async def waits(_: Any) -> Any:
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        async with self.component() as handler:
            watched = _Watched(handler)
            with anyio.CancelScope() as scope:
                await _graph(waits).invoke(dict(_INPUT), callbacks=[watched])
            require(scope.cancelled_caught, "a cancelled run must end as cancelled, but it gave an answer")
            require(not watched.raised, f"a handler must not raise, but {'; '.join(watched.raised)}")
            await _graph().invoke(dict(_INPUT), callbacks=[handler])

    async def test_runs_beside_each_other_do_not_mix(self) -> None:
        """Runs beside each other give what they give alone."""
        async with self.component() as handler:
            graph = _of_nodes(_turn, _turn)
            answers = await at_once(lambda number: _answer_of(graph, number, handler))
        wrong = [str(answer) for number, answer in enumerate(answers) if answer != number]
        require(not wrong, f"{len(wrong)} of {len(answers)} runs beside each other gave something else: {wrong[:1]}")

    async def test_it_hears_streams(self) -> None:
        """It hears a stream at its start or at its end, and the run's own readers get each chunk all the same."""
        async with self.component() as handler:
            timings = slots_of(handler).keys() & {"on_start_stream_input", "on_end_stream_output"}
            require(timings, "it has neither on_start_stream_input nor on_end_stream_output: streams are not heard")
            chunks = [chunk async for chunk in _graph().stream(dict(_INPUT), callbacks=[handler])]
            alone = [chunk async for chunk in _graph().stream(dict(_INPUT))]
        require(chunks == alone, f"with the handler the stream had {len(chunks)} chunks instead of {len(alone)}")

    async def test_it_leaves_nothing_behind(self) -> None:
        """When it is closed, behind a run, a stream that was left early and a failure, nothing of it stays open."""
        tasks, generators = TaskWatch(), GeneratorWatch()
        generators.install()
        try:
            async with self.component() as handler:
                await _graph().invoke(dict(_INPUT), callbacks=[handler])
                async with _graph().stream(dict(_INPUT), callbacks=[handler]) as reader:
                    await reader.recv()
                await _failed(_graph(_fail), handler)
            await settle()
            leaks = tasks.leaks() + generators.leaks()
        finally:
            generators.remove()
        require(not leaks, f"the runs left something behind: {'; '.join(leaks)}")

    async def test_no_call_blocks(self) -> None:
        """No call takes longer than 0.05 s, for the loop waits meanwhile; slow work belongs in a queue."""
        slowest: dict[str, float] = {}
        async with self.component() as handler:
            for _ in range(TRIES):
                timed = _Watched(handler)
                await _graph().invoke(dict(_INPUT), callbacks=[timed])
                await _streamed(_graph(), timed)
                await _failed(_graph(_fail), timed)
                for timing, taken in timed.longest.items():
                    slowest[timing] = min(taken, slowest.get(timing, taken))
        slow = {timing: taken for timing, taken in slowest.items() if taken > QUICK_S}
        words = ", ".join(f"{timing} took {taken:.2f} s" for timing, taken in slow.items())
        require(not slow, f"{words}: hand the work to a queue")


class _Watched(Handler):
    """Passes calls on to a handler, and notes how long they take and what they raise."""

    def __init__(self, handler: Any) -> None:
        self.longest: dict[str, float] = {}
        self.raised: list[str] = []
        for timing in slots_of(handler):
            setattr(self, timing, self._passing_on(timing, getattr(handler, timing)))
        if hasattr(handler, "needed"):
            self.needed = handler.needed

    def _passing_on(self, timing: Timing, function: Callable[..., Any]) -> Callable[..., None]:
        def call(info: Any, payload: Any) -> None:
            began = time.perf_counter()
            try:
                function(info, payload)
            except Exception as error:
                self.raised.append(f"{timing} raised {type(error).__name__}: {error}")
                raise
            finally:
                self.longest[timing] = max(self.longest.get(timing, 0.0), time.perf_counter() - began)

        return call


class _Broken(Exception):  # noqa: N818 - raised on purpose
    """What the failing node raises."""


def _fail(_: Any) -> Any:
    raise _Broken("on purpose")


async def _turn(number: Any) -> Any:
    await anyio.lowlevel.checkpoint()
    return number


async def _spelled(value: Any) -> AsyncIterator[Any]:
    for key, inner in value.items():
        yield {key: inner}


def _graph(node: Callable[[Any], Any] = lambda value: value) -> Runnable[Any, Any]:
    """Return a graph with `node` inside a graph inside it, behind which a stream comes."""
    inner = Graph[Any, Any]().add_lambda_node("node", node).add_edge(START, "node").add_edge("node", END)
    graph = Graph[Any, Any]()
    graph.add_graph_node("inner", inner)
    graph.add_lambda_node("spell", _spelled)
    return graph.add_edge(START, "inner").add_edge("inner", "spell").add_edge("spell", END).compile(name="checked")


def _of_nodes(*nodes: Callable[[Any], Any]) -> Runnable[Any, Any]:
    graph = Graph[Any, Any]()
    before = START
    for place, node in enumerate(nodes):
        graph.add_lambda_node(f"n{place}", node).add_edge(before, f"n{place}")
        before = f"n{place}"
    return graph.add_edge(before, END).compile()


async def _answer_of(graph: Runnable[Any, Any], number: int, handler: Any) -> Any:
    try:
        return await graph.invoke(number, callbacks=[handler])
    except RunError as error:
        return error


async def _streamed(graph: Runnable[Any, Any], handler: Any) -> Any:
    async with graph.stream(dict(_INPUT), callbacks=[handler]) as reader:
        return await reader.concat()


async def _failed(graph: Runnable[Any, Any], handler: Any) -> RunError:
    try:
        result = await graph.invoke(dict(_INPUT), callbacks=[handler])
    except RunError as error:
        return error
    raise ConformanceError(f"the run must fail, but it gave {result!r:.200}")
