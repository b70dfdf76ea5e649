"""Handlers alone: what they hear, what is refused, the global registry, ids of infos."""

from __future__ import annotations

from typing import Any

import pytest

from eino import (
    BuildError,
    Handler,
    RunError,
    RunInfo,
    StreamReader,
    Timing,
    add_global_handler,
    around,
    handler_builder,
)
from eino._run.frame import Frame, current
from eino.callbacks import Observer, observer_of

INFO = RunInfo("node", "Type", "Lambda", 7, 3)


class Starts(Handler):
    """Hears starts only."""

    def __init__(self, name: str, heard: list[str]) -> None:
        self.name = name
        self.heard = heard

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - as in Handler
        self.heard.append(f"{self.name} {info.name}")


class Duck:
    """No subclass of Handler, but has one of its methods."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_end(self, info: RunInfo, output: Any) -> None:
        self.heard.append(output)


def test_an_info_joins_a_start_with_its_end() -> None:
    """A7: ids are texts that are unique in the process; the outermost has no parent."""
    assert INFO.run_id.endswith("-7")
    assert INFO.parent_id is not None
    assert INFO.parent_id.endswith("-3")
    assert INFO.parent_id.split("-")[0] == INFO.run_id.split("-")[0]
    assert RunInfo("n", "", "Graph", 1).parent_id is None


def test_the_methods_of_handler_do_nothing() -> None:
    """So that a subclass may call `super()`."""
    handler = Handler()

    for timing in ("on_start", "on_end", "on_error", "on_start_stream_input", "on_end_stream_output"):
        assert getattr(handler, timing)(INFO, None) is None


def test_only_what_is_defined_is_called() -> None:
    """1.9: what is not set costs nothing; any object with such a method will do."""
    heard: list[str] = []
    duck = Duck()
    observer = observer_of(
        None, [Starts("a", heard), duck, handler_builder(on_error=lambda info, error: heard.append("error"))]
    )
    assert observer is not None

    observer.start(INFO, 1)
    observer.end(INFO, 2)
    observer.error(INFO, ValueError("x"))
    reader = StreamReader.from_iterable([1])
    assert observer.start_stream(INFO, reader, lambda copy: None) is reader
    assert observer.end_stream(INFO, reader, lambda copy: None) is reader

    assert (heard, duck.heard) == (["a node", "error"], [2])


def test_handlers_are_ordered_by_timing() -> None:
    """2.13: starts backwards, ends forwards."""
    heard: list[str] = []
    handlers = [
        handler_builder(
            on_start=lambda info, value, name=name: heard.append(f"start {name}"),  # type: ignore[misc]  # bound early
            on_end=lambda info, value, name=name: heard.append(f"end {name}"),  # type: ignore[misc]  # bound early
        )
        for name in "ab"
    ]
    observer = Observer(tuple(handlers), ())

    observer.start(INFO, 1)
    observer.end(INFO, 1)

    assert heard == ["start b", "start a", "end a", "end b"]


def test_the_same_handlers_share_one_observer() -> None:
    """Architecture 7: sorting is done once; another order is another observer."""
    first, second = Starts("a", []), Starts("b", [])

    assert observer_of(None, [first, second]) is observer_of(None, (first, second))
    assert observer_of(None, [first, second]) is not observer_of(None, [second, first])
    assert observer_of(None, []) is None
    outer = observer_of(None, [first])
    assert observer_of(outer, []) is outer
    inner = observer_of(outer, [second])
    assert inner is not None
    assert inner.local == (first, second)


def test_many_sets_of_handlers_do_not_pile_up() -> None:
    """The observers that are kept are bounded."""
    from eino.callbacks import _observer

    for _ in range(200):
        assert observer_of(None, [Starts("x", [])]) is not None

    assert len(_observer._observers) <= _observer._CACHED_OBSERVERS


def test_a_global_handler_is_there_until_it_is_undone() -> None:
    """1.9: adding it twice has no further effect; undoing twice neither."""
    heard: list[str] = []
    handler = Starts("global", heard)
    undo, again = add_global_handler(handler), add_global_handler(handler)
    try:
        observer = observer_of(None)
        assert observer is not None
        assert observer.shared == (handler,)
        observer.start(INFO, 1)
        assert heard == ["global node"]
    finally:
        undo()
    assert observer_of(None) is None
    again()
    undo()
    assert observer_of(None) is None


@pytest.mark.parametrize("kind", ["start", "end"])
def test_what_a_handler_raises_names_it(kind: str) -> None:
    """1.9: timing, component and name; a RunError passes as it is, and so does what is no Exception."""
    errors: list[BaseException] = [KeyError("x"), RunError("mine"), KeyboardInterrupt()]

    def raising(info: RunInfo, value: Any) -> None:
        raise errors[0]

    observer = observer_of(None, [handler_builder(**{f"on_{kind}": raising})])
    assert observer is not None
    tell = getattr(observer, kind)

    with pytest.raises(RunError, match=f"callback handler on_{kind} of Lambda 'node' raised KeyError: 'x'"):
        tell(INFO, 1)
    with pytest.raises(RunError, match=f"callback handler on_{kind} of the Graph raised KeyError"):
        tell(RunInfo("", "", "Graph", 1), 1)
    errors.pop(0)
    with pytest.raises(RunError, match="mine") as caught:
        tell(INFO, 1)
    assert caught.value is errors.pop(0)
    with pytest.raises(KeyboardInterrupt):
        tell(INFO, 1)


async def test_each_handler_gets_a_copy_that_is_kept() -> None:
    """2.9: and the reader to go on with has everything."""
    got: list[Any] = []
    kept: list[Any] = []
    hears = handler_builder(on_end_stream_output=lambda info, reader: got.append(reader))
    observer = Observer((hears, hears), ())

    rest = observer.end_stream(INFO, StreamReader.from_iterable([1, 2]), kept.append)

    assert [[item async for item in reader] for reader in (rest, *got)] == [[1, 2]] * 3
    assert kept == got


def test_a_handler_chooses_per_call() -> None:
    """1.9: `needed` is asked with the info and the timing."""
    heard: list[str] = []

    def needed(info: RunInfo, timing: Timing) -> bool:
        return (info.name, timing) != ("node", "on_start")

    observer = observer_of(
        None,
        [
            handler_builder(
                on_start=lambda info, value: heard.append("start"),
                on_end=lambda info, value: heard.append("end"),
                needed=needed,
            )
        ],
    )
    assert observer is not None

    observer.start(INFO, 1)
    observer.start(RunInfo("other", "", "Lambda", 1), 1)
    observer.end(INFO, 1)

    assert heard == ["start", "end"]


def test_work_below_a_node_is_told_outside_runs_too() -> None:
    """5b: global handlers hear a tool that is called alone; without any, nothing happens."""
    heard: list[tuple[str, Any]] = []
    with around("Tool", name="quiet") as span:
        span.end(1)
    undo = add_global_handler(
        handler_builder(
            on_start=lambda info, value: heard.append((info.name, value)),
            on_end=lambda info, value: heard.append((info.component, value)),
        )
    )
    try:
        with around("Tool", name="mine", input="in") as span:
            span.end("out")
    finally:
        undo()
    assert heard == [("mine", "in"), ("Tool", "out")]


class View:
    """A graph, as frames need it."""

    name = "graph"
    keys = ("node",)


def test_work_below_a_node_has_it_as_its_parent() -> None:
    """A7: what runs inside the block lies below it; afterwards things are as before."""
    infos: list[RunInfo] = []
    observer = observer_of(None, [handler_builder(on_start=lambda info, value: infos.append(info))])
    frame = Frame(View(), None, observer, None)
    frame.seq = 5
    token = current.set(frame)
    try:
        with around("Tool", name="outer"), around("Tool", name="inner"):
            pass
        frame.node_seq = 8
        with around("Tool", name="in a node"):
            pass
        assert frame.node_seq == 8
    finally:
        current.reset(token)

    outer, inner, in_node = infos
    assert (outer.parent_seq, inner.parent_seq, in_node.parent_seq) == (5, outer.seq, 8)


def test_a_block_without_an_end_tells_no_end() -> None:
    """1.9: `span.end` is for results; an error is told by itself."""
    heard: list[str] = []
    observer = observer_of(
        None,
        [
            handler_builder(
                on_end=lambda info, value: heard.append("end"), on_error=lambda info, error: heard.append(str(error))
            )
        ],
    )
    token = current.set(Frame(View(), None, observer, None))
    try:
        with around("Tool", name="silent"):
            pass
        with pytest.raises(ValueError, match="boom"), around("Tool", name="failing"):
            raise ValueError("boom")
    finally:
        current.reset(token)

    assert heard == ["boom"]


def test_an_attribute_that_cannot_be_called_is_refused() -> None:
    """4b: when the handler is given."""

    class Wrong(Handler):
        on_end = 3  # type: ignore[assignment]  # the mistake

    with pytest.raises(BuildError, match="on_end is 3, which cannot be called"):
        observer_of(None, [Wrong()])
