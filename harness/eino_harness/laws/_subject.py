"""What a law is checked on: a graph that can be made anew, how it ran, and how two runs are compared."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from eino import GraphInterrupt, InterruptContext, InterruptInfo, MemoryStore, Runnable
from eino._run.address import Address, AddressSegment
from eino._run.frame import current
from eino.callbacks import Handler, RunInfo
from eino.schema.stream import StreamReader
from eino_harness.laws._variant import Path, with_stops

__all__ = ["BrokenLaw", "Law", "LawName", "Outcome", "Subject", "Way", "differing_node", "outcome_of", "run"]

LawName: TypeAlias = Literal["stream", "ways", "chunking", "schedules", "resume", "cancel", "batch"]

Way: TypeAlias = Literal["invoke", "stream", "collect", "transform"]

MOST_STOPS: Final = 200
"""A run that stops more often than this will not end."""

_SHOWN_CHARS: Final = 200


@dataclass(frozen=True)
class Law:
    """What every graph should keep."""

    name: LawName
    says: str
    """The law, in one sentence."""
    remedy: str
    """What usually breaks it, and what to do."""


class BrokenLaw(Exception):  # noqa: N818 - what is wrong with a graph, not with a call
    """A law that a graph does not keep: the law, the smallest input found, the node, and what happened.

    Attributes:
        law: The law.
        input: The smallest input that was found.
        node: Path of the node where it shows, keys joined by `/`; empty where no single node is to blame.
        said: What happened, and what should have.
        backend: The event loop that it happened on.
        remedy: What to do.
    """

    def __init__(self, said: str, *, node: Path | str = "", remedy: str = "") -> None:
        super().__init__(said)
        self.said = said
        self.node = node if isinstance(node, str) else "/".join(node)
        self.remedy = remedy
        self.law: Law
        self.input: Any = None
        self.backend = ""

    def text(self) -> str:
        """Return all of it, over several lines."""
        where = repr(self.node) if self.node else "no single one: look at branches, merges and the state"
        lines = [
            f"law {self.law.name!r}: {self.law.says}",
            f"  smallest input: {self.input!r}",
            f"  node: {where}",
            f"  on {self.backend}: {self.said}",
            f"  what to do: {self.remedy or self.law.remedy}",
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    value: Any = None
    error: Exception | None = None
    stop: InterruptInfo | None = None
    """Where it stopped; None if it did not."""

    @property
    def failed(self) -> type[BaseException] | None:
        """The kind of error that a node raised; None if the run did not fail."""
        return None if self.error is None else type(self.error.__cause__ or self.error)

    @property
    def asked(self) -> tuple[InterruptContext, ...]:
        """The places that stopped by themselves and wait for answers."""
        if self.stop is None:
            return ()
        contexts = self.stop.contexts
        static = set(_static_places(self.stop, contexts[0].address[:1])) if contexts else set()
        return tuple(context for context in contexts if context.address not in static)

    def __str__(self) -> str:
        if self.error is not None:
            first_line = str(self.error).partition("\n")[0]
            return f"raised {_shown(f'{type(self.error).__name__}: {first_line}')}"
        if self.stop is not None:
            return f"stopped at {', '.join(each.address_text for each in self.stop.contexts)}"
        return f"gave {_shown(repr(self.value))}"


def _static_places(info: InterruptInfo, address: Address) -> Iterator[Address]:
    """Yield the addresses of graphs that stopped because they were to stop before or after a node."""
    if info.before_nodes or info.after_nodes:
        yield address
    for key, inner in info.sub_graphs.items():
        yield from _static_places(inner, (*address, AddressSegment("node", key)))


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}..."


@dataclass(frozen=True)
class Subject:
    """A graph under a law."""

    make: Callable[[], Runnable[Any, Any]]
    """Makes the graph; each run of a law gets one that has not run, where the user gave a function."""
    equal: Callable[[Any, Any], Any]
    answer: Callable[[Any], Any] | None
    """Answers the interrupts of the graph's own nodes; None if they end a run."""
    restart: bool
    """Whether a run that goes on does so in a newly made graph."""
    virtual: bool

    def same(self, one: Outcome, other: Outcome) -> bool:
        """Tell whether two runs ended alike: with equal values, the same kind of error, or the same questions."""
        if one.failed or other.failed or one.stop or other.stop:
            return one.failed is other.failed and _places(one) == _places(other)
        return bool(self.equal(one.value, other.value))

    async def ended(
        self,
        graphs: Sequence[Callable[[], Runnable[Any, Any]]],
        way: Way,
        value: Any,
        *,
        before: frozenset[Path] = frozenset(),
        on_stop: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> Outcome:
        """Return how a run ends that goes on, whenever it stopped, until only answers are missing.

        Args:
            graphs: Make the graph of the first part of the run, of the second, ...; the last one makes all others.
            way: How it is called.
            value: The input.
            before: Nodes to stop before.
            on_stop: Called whenever the run stopped.
            options: `chunks` and call options, see `run`.
        """
        if not before:
            outcome = await run(graphs[0](), way, value, **options)
            if outcome.stop is None:
                return outcome
        store = MemoryStore()
        resume: dict[str, Any] = {}
        for part in range(MOST_STOPS):
            runnable = with_stops(graphs[min(part, len(graphs) - 1)](), store, before)
            going_on: dict[str, Any] = {"checkpoint_id": "law", **({"resume": resume} if resume else {})}
            outcome = await run(runnable, way, value, **going_on, **options)
            if outcome.stop is None:
                return outcome
            asked = outcome.asked
            if self.answer is None and len(asked) == len(outcome.stop.contexts):
                return outcome
            resume = {each.id: self.answer(each) for each in asked} if self.answer is not None else {}
            on_stop()
        raise BrokenLaw(f"the run stopped {MOST_STOPS} times and did not end", remedy=_ENDLESS)


_ENDLESS: Final = "a node that interrupts again after each answer never ends: let it use the answer"


def _places(outcome: Outcome) -> list[str]:
    return sorted(context.address_text for context in outcome.asked)


async def run(
    runnable: Runnable[Any, Any], way: Way, value: Any, chunks: list[Any] | None = None, **options: Any
) -> Outcome:
    """Return how one run ends; `chunks` are the input of the ways that take a stream, else the value alone."""
    own = _own(value)
    pieces = StreamReader.from_iterable([own] if chunks is None else [_own(chunk) for chunk in chunks])
    concat = runnable.plan.concat

    async def whole(opening: Any) -> Any:
        async with opening as reader:
            return await reader.concat(concat)

    match way:
        case "invoke":
            return await outcome_of(lambda: runnable.invoke(own, **options))
        case "stream":
            return await outcome_of(lambda: whole(runnable.stream(own, **options)))
        case "collect":
            return await outcome_of(lambda: runnable.collect(pieces, **options))
        case "transform":
            return await outcome_of(lambda: whole(runnable.transform(pieces, **options)))


def _own(value: Any) -> Any:
    """Return a copy, so that no run sees what another did to its input; the value itself if it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


async def outcome_of(call: Callable[[], Awaitable[Any]]) -> Outcome:
    """Return how a call ends; a cancellation passes."""
    try:
        return Outcome(await call())
    except GraphInterrupt as stop:
        return Outcome(stop=stop.info)
    except Exception as error:  # what a graph raises is its outcome
        return Outcome(error=error)


class _Outputs(Handler):
    """Hears what each node gives, by the path of the node."""

    def __init__(self) -> None:
        self.by_path: dict[Path, list[Any]] = {}
        self._readers: list[tuple[Path, int, StreamReader[Any]]] = []

    def on_end(self, info: RunInfo, output: Any) -> None:
        self._note(output)

    def on_end_stream_output(self, info: RunInfo, reader: StreamReader[Any]) -> None:
        path = self._note(None)
        self._readers.append((path, len(self.by_path[path]) - 1, reader.map(lambda chunk: chunk)))

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        if not isinstance(error, GraphInterrupt):
            self._note(("raised", type(error.__cause__ or error)))

    def _note(self, output: Any) -> Path:
        frame = current.get()
        path = frame.path() if frame is not None else ()
        self.by_path.setdefault(path, []).append(output)
        return path

    async def read(self) -> dict[Path, list[Any]]:
        """Return the outputs, those that streamed joined."""
        for path, place, reader in self._readers:
            self.by_path[path][place] = (await outcome_of(reader.concat)).value
        self.by_path.pop((), None)
        return self.by_path


async def differing_node(
    subject: Subject, one: Callable[[Handler], Awaitable[object]], other: Callable[[Handler], Awaitable[object]]
) -> Path:
    """Return the path of the first node that gives something else in the other run; empty if none does.

    A node inside another one ends first, so it is found first.
    """
    heard = []
    for call in (one, other):
        hears = _Outputs()
        await call(hears)
        heard.append(await hears.read())
    first, second = heard
    for path, outputs in first.items():
        others = second.get(path, [])
        if len(outputs) != len(others) or not all(
            subject.same(Outcome(a), Outcome(b)) for a, b in zip(outputs, others, strict=True)
        ):
            return path
    return next((path for path in second if path not in first), ())
