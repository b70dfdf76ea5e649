"""`check_graph`: applies laws to a graph, on each event loop, with inputs that Hypothesis makes or the user names."""

from __future__ import annotations

import gc
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, get_args

import anyio
import sniffio
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from eino import BuildError, Runnable, RunningLoopError
from eino_fixtures.clock import VirtualBackendName, VirtualClock
from eino_harness.laws._laws import CHECKS, LAWS
from eino_harness.laws._subject import BrokenLaw, LawName, Subject

__all__ = ["LawReport", "LawsBrokenError", "check_graph"]

DEAR_LAWS: Final = frozenset({"cancel", "resume"})
"""Laws that run the graph dozens of times for one input: they get a quarter of the inputs."""
BATCH: Final = 4
"""Most inputs of one batch."""


@dataclass(frozen=True)
class LawReport:
    """What was checked: every law was kept."""

    laws: tuple[LawName, ...]
    backends: tuple[str, ...]
    inputs: int
    """How many inputs the graph was given, over all laws and event loops; a batch counts once."""


class LawsBrokenError(AssertionError):
    """A graph does not keep some laws; the text has each with the smallest input, the node and what to do.

    Attributes:
        broken: The broken laws, in the order of `LAWS`.
    """

    def __init__(self, broken: Sequence[BrokenLaw], checked: int) -> None:
        self.broken = tuple(broken)
        head = f"{len(self.broken)} of {checked} laws are broken"
        super().__init__("\n\n".join([head, *(each.text() for each in self.broken)]))


def check_graph(
    graph: Any,
    *,
    inputs: SearchStrategy[Any] | Iterable[Any],
    laws: Iterable[LawName] | None = None,
    equal: Callable[[Any, Any], Any] = operator.eq,
    answer: Callable[[Any], Any] | None = None,
    restart: bool = True,
    backends: Iterable[VirtualBackendName] = ("asyncio", "trio"),
    virtual_time: bool = True,
    max_examples: int = 20,
    seed: int | None = None,
) -> LawReport:
    """Check that a graph keeps the laws; for plain `def` tests, because it runs event loops of its own.

    Args:
        graph: A function that makes the graph, with fresh fakes; or a graph, chain, workflow or runnable whose runs do
            not change it. What is not compiled is compiled without options.
        inputs: A Hypothesis strategy of inputs, or the inputs themselves.
        laws: Names of `LAWS`; all if not given.
        equal: Tells whether two answers are the same.
        answer: Gives the answer to an `InterruptContext`, for graphs whose nodes interrupt; without it a run that asks
            is over.
        restart: Whether a run that was stopped goes on in a newly made graph, as after a restart of the process. Set it
            to False for fakes that count their calls, such as scripted models.
        backends: Event loops to check on.
        virtual_time: Whether time is virtual. Set it to False for nodes that wait for real sockets.
        max_examples: Most inputs that are tried for a law and event loop; a quarter of them for the laws `resume` and
            `cancel`.
        seed: Which inputs a strategy draws; the same ones always if not given.

    Returns:
        What was checked.

    Raises:
        LawsBrokenError: If a law is broken, with the smallest input that was found for each.
        BuildError: If the graph cannot be compiled, or an argument is wrong.
        RunningLoopError: Inside a running event loop.
    """
    _refuse_running_loop()
    names = _names(laws)
    loops = _backends(backends)
    if max_examples < 1:
        raise BuildError(f"check_graph(max_examples={max_examples!r}): at least 1 input is needed")
    subject = Subject(_maker(graph), equal, answer, restart=restart, virtual=virtual_time)
    subject.make()  # a graph that cannot be built breaks no law
    tries = _Tries(inputs, max_examples, seed)
    broken = []
    with _small_heap():
        for name in names:
            found = next(filter(None, (_broken(subject, name, loop, tries) for loop in loops)), None)
            if found is not None:
                broken.append(found)
    if broken:
        raise LawsBrokenError(broken, len(names))
    return LawReport(names, loops, tries.count)


def _broken(subject: Subject, name: LawName, backend: VirtualBackendName, tries: _Tries) -> BrokenLaw | None:
    check = CHECKS[name]

    async def checked(value: Any) -> BrokenLaw | None:
        try:
            await check(subject, value)
        except BrokenLaw as broken:
            return broken
        return None

    def judge(value: Any) -> BrokenLaw | None:
        clock = VirtualClock() if subject.virtual else None
        run: Any = anyio.run if clock is None else clock.run
        found: BrokenLaw | None = run(checked, value, backend=backend)
        if found is not None:
            found.law, found.input, found.backend = LAWS[name], value, backend
        return found

    return tries.first_broken(judge, dear=name in DEAR_LAWS, batched=name == "batch")


class _Tries:
    """The inputs of a check, and how many were used."""

    def __init__(self, inputs: SearchStrategy[Any] | Iterable[Any], most: int, seed: int | None) -> None:
        self.count = 0
        self._most = most
        self._seed = seed
        self._strategy = inputs if isinstance(inputs, SearchStrategy) else None
        self._examples: list[Any] = []
        if self._strategy is None:
            if isinstance(inputs, (str, bytes)) or not isinstance(inputs, Iterable):
                raise BuildError(f"check_graph(inputs={inputs!r:.100}): give a list, or a Hypothesis strategy")
            self._examples = list(inputs)
            if not self._examples:
                raise BuildError("check_graph(inputs=[]): give at least one input, or a Hypothesis strategy")

    def first_broken(self, judge: Callable[[Any], BrokenLaw | None], *, dear: bool, batched: bool) -> BrokenLaw | None:
        """Return what `judge` says of the smallest input that it finds something wrong with; None if there is none."""
        most = max(1, self._most // 4) if dear else self._most
        if self._strategy is None:
            return self._of_examples(judge, [self._examples[:most]] if batched else self._examples[:most])
        strategy = st.lists(self._strategy, min_size=1, max_size=BATCH) if batched else self._strategy
        return self._of_strategy(judge, strategy, most)

    def _of_examples(self, judge: Callable[[Any], BrokenLaw | None], examples: list[Any]) -> BrokenLaw | None:
        self.count += len(examples)
        found = [broken for broken in map(judge, examples) if broken is not None]
        return min(found, key=lambda broken: len(repr(broken.input)), default=None)

    def _of_strategy(
        self, judge: Callable[[Any], BrokenLaw | None], strategy: SearchStrategy[Any], most: int
    ) -> BrokenLaw | None:
        last: BrokenLaw | None = None

        def every(value: Any) -> None:
            nonlocal last
            self.count += 1
            found = judge(value)
            if found is not None:
                last = found
                raise found

        quiet = settings(
            max_examples=most,
            deadline=None,
            database=None,
            derandomize=self._seed is None,
            phases=(Phase.generate, Phase.shrink),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        test = quiet(given(strategy)(every))
        if self._seed is not None:
            test = seeded(self._seed)(test)
        try:
            test()  # the smallest input is run once more at the end
        except Exception:  # Hypothesis has an error of its own for a law that is broken now and then
            if last is None:
                raise
        return last


def _maker(graph: Any) -> Callable[[], Runnable[Any, Any]]:
    if isinstance(graph, Runnable):
        return lambda: graph
    if hasattr(graph, "compile"):
        runnable = _compiled(graph)
        return lambda: runnable
    if callable(graph):
        return lambda: _compiled(graph())
    raise BuildError(f"check_graph({graph!r}): give a graph, or a function that makes one")


def _compiled(graph: Any) -> Runnable[Any, Any]:
    found = graph.compile() if hasattr(graph, "compile") else graph
    if not isinstance(found, Runnable):
        raise BuildError(f"check_graph: {found!r:.200} is no graph: give a graph, or a function that makes one")
    return found


def _names(laws: Iterable[LawName] | None) -> tuple[LawName, ...]:
    names = tuple(LAWS) if laws is None else ((laws,) if isinstance(laws, str) else tuple(laws))
    for name in names:
        if name not in LAWS:
            raise BuildError(f"check_graph(laws=...): there is no law {name!r}; the laws are {', '.join(LAWS)}")
    if not names:
        raise BuildError(f"check_graph(laws=[]) checks nothing; the laws are {', '.join(LAWS)}")
    return names  # type: ignore[return-value]  # each is a key of LAWS


def _backends(backends: Iterable[VirtualBackendName]) -> tuple[VirtualBackendName, ...]:
    names = (backends,) if isinstance(backends, str) else tuple(backends)
    known = get_args(VirtualBackendName)
    if not names or any(name not in known for name in names):
        raise BuildError(f"check_graph(backends={backends!r}): give one or more of {', '.join(known)}")
    return names  # type: ignore[return-value]  # each is known


def _refuse_running_loop() -> None:
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return
    raise RunningLoopError(
        f"check_graph runs event loops of its own, but {library} runs already: call it from a plain `def` test, or "
        "from a worker thread"
    )


@contextmanager
def _small_heap() -> Iterator[None]:
    """Keep what exists already out of the collector's scans: the law about cancellation collects after each run."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
