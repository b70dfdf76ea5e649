"""Callbacks: who hears what, in which order, with which info; what happens to the readers that handlers get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from eino import (
    END,
    START,
    Branch,
    BuildError,
    Chain,
    ChatTemplate,
    Graph,
    Handler,
    Lambda,
    RunError,
    RunInfo,
    StreamReader,
    Timing,
    add_global_handler,
    around,
    current_context,
    handler_builder,
    user_message,
)
from eino_fixtures import EchoChatModel

Heard = list[tuple[str, str]]


class Ear(Handler):
    """Notes all timings with the name of what they are about."""

    def __init__(self, heard: Heard | None = None, name: str = "") -> None:
        self.heard: Heard = [] if heard is None else heard
        self.infos: list[RunInfo] = []
        self.payloads: list[Any] = []
        self._name = name

    def _note(self, timing: str, info: RunInfo, payload: Any) -> None:
        self.heard.append((timing, self._name or info.name))
        self.infos.append(info)
        self.payloads.append(payload)

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - as in Handler
        self._note("start", info, input)

    def on_end(self, info: RunInfo, output: Any) -> None:
        self._note("end", info, output)

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        self._note("error", info, error)

    def on_start_stream_input(self, info: RunInfo, reader: Any) -> None:
        self._note("start stream", info, reader)

    def on_end_stream_output(self, info: RunInfo, reader: Any) -> None:
        self._note("end stream", info, reader)

    def names(self, timing: str) -> list[str]:
        return [name for each, name in self.heard if each == timing]


async def plus(text: str) -> str:
    return f"{text}+"


async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


async def joined(chunks: AsyncIterator[str]) -> str:
    return "".join([chunk async for chunk in chunks])


async def passed(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    async for chunk in chunks:
        yield chunk


async def failing(text: str) -> str:
    raise ValueError("boom")


@pytest.fixture
def globally() -> Iterator[Callable[[Handler], None]]:
    """Add global handlers, and take them back."""
    undo: list[Callable[[], None]] = []
    yield lambda handler: undo.append(add_global_handler(handler))
    for each in undo:
        each()


def grandparent() -> Any:
    """Three graphs in each other, each with a node in front of the next one."""
    child = Graph[str, str]()
    for key in ("child-1", "child-2"):
        child.add_lambda_node(key, plus)
    child.add_edge(START, "child-1").add_edge("child-1", "child-2").add_edge("child-2", END)
    parent = Graph[str, str]().add_lambda_node("parent-1", plus).add_graph_node("child1", child)
    parent.add_graph_node("child2", Chain[str, str]().append_lambda(plus, key="child2-1"))
    parent.add_edge(START, "parent-1").add_edge("parent-1", "child1").add_edge("child1", "child2").add_edge(
        "child2", END
    )
    root = Graph[str, str]().add_lambda_node("grandparent-1", plus).add_graph_node("parent", parent)
    root.add_edge(START, "grandparent-1").add_edge("grandparent-1", "parent").add_edge("parent", END)
    return root.compile(name="grandparent")


async def test_each_handler_hears_its_own_subtree_in_order() -> None:
    """S65: handlers of the run, of a nested graph, of one below it, of single nodes."""
    everything, below_parent, below_child, one, deep = Ear(), Ear(), Ear(), Ear(), Ear()

    await grandparent().invoke(
        "x",
        callbacks=[everything],
        node_callbacks={
            "parent": [below_parent],
            "parent/child1": [below_child],
            "grandparent-1": [one],
            "parent/child2/child2-1": [deep],
        },
    )

    assert everything.names("start") == [
        "grandparent", "grandparent-1", "parent", "parent-1", "child1", "child-1", "child-2", "child2", "child2-1",
    ]  # fmt: skip
    assert everything.names("end") == [
        "grandparent-1", "parent-1", "child-1", "child-2", "child1", "child2-1", "child2", "parent", "grandparent",
    ]  # fmt: skip
    assert below_parent.names("start") == everything.names("start")[2:]
    assert below_child.names("start") == ["child1", "child-1", "child-2"]
    assert one.heard == [("start", "grandparent-1"), ("end", "grandparent-1")]
    assert deep.heard == [("start", "child2-1"), ("end", "child2-1")]


async def test_a_stream_run_tells_the_same_nodes() -> None:
    """S65, 2.13: invokable nodes with values, graphs with streams."""
    ear, below = Ear(), Ear()

    await grandparent().collect(
        StreamReader.from_iterable(["x"]), callbacks=[ear], node_callbacks={"parent/child1": [below]}
    )

    assert ear.names("start stream") == ["grandparent", "parent", "child1", "child2"]
    assert ear.names("start") == ["grandparent-1", "parent-1", "child-1", "child-2", "child2-1"]
    assert ear.names("end") == ear.names("start")
    assert ear.names("end stream") == ["child1", "child2", "parent", "grandparent"]
    assert set(below.names("start")) == {"child-1", "child-2"}
    assert below.names("start stream") == ["child1"]


async def test_infos_tell_who_is_below_whom() -> None:
    """A7: one info per invocation, with an id and that of the enclosing one."""
    ear = Ear()

    await grandparent().invoke("x", callbacks=[ear])

    starts = {info.name: info for (timing, _), info in zip(ear.heard, ear.infos, strict=True) if timing == "start"}
    ends = {info.name: info for (timing, _), info in zip(ear.heard, ear.infos, strict=True) if timing == "end"}
    assert starts == ends
    assert len({info.run_id for info in starts.values()}) == len(starts)
    parents = {name: info.parent_id for name, info in starts.items()}
    by_id = {info.run_id: name for name, info in starts.items()}
    assert {name: by_id.get(parent or "") for name, parent in parents.items()} == {
        "grandparent": None,
        "grandparent-1": "grandparent",
        "parent": "grandparent",
        "parent-1": "parent",
        "child1": "parent",
        "child-1": "child1",
        "child-2": "child1",
        "child2": "parent",
        "child2-1": "child2",
    }
    assert starts["grandparent"].component == "Graph"
    assert starts["child2"].component == "Chain"
    assert starts["child-1"].component == "Lambda"


async def test_names_and_types_are_what_the_nodes_say() -> None:
    """1.15, 2.13: `name=` of a node, the type of a lambda and of a component; the key where nothing is said."""
    ear = Ear()
    chain = Chain[dict[str, Any], str]()
    chain.append_chat_template(ChatTemplate.from_messages(user_message("{q}")), key="template")
    chain.append_chat_model(EchoChatModel(), name="the model")
    chain.append_lambda(Lambda(lambda message: message.content, type="Extract"))

    await chain.compile().invoke({"q": "hi"}, callbacks=[ear])

    assert [(info.name, info.type, info.component) for info in ear.infos[1:-1:2]] == [
        ("template", "Default", "ChatTemplate"),
        ("the model", "Echo", "ChatModel"),
        ("node_2", "Extract", "Lambda"),
    ]
    assert (ear.infos[0].name, ear.infos[0].component) == ("", "Chain")


async def test_handlers_of_call_node_and_process_are_ordered(globally: Callable[[Handler], None]) -> None:
    """2.13: starts backwards, ends forwards through the list of call, node, global."""
    heard: Heard = []
    for name in ("global1", "global2"):
        globally(Ear(heard, name))
    runnable = Chain[str, str]().append_lambda(plus, key="n").compile()

    await runnable.invoke(
        "x", callbacks=[Ear(heard, "call1"), Ear(heard, "call2")], node_callbacks={"n": [Ear(heard, "node")]}
    )

    assert [name for timing, name in heard[4:9]] == ["global2", "global1", "node", "call2", "call1"]
    assert [name for timing, name in heard[9:14]] == ["call1", "call2", "node", "global1", "global2"]
    assert [timing for timing, _ in heard] == ["start"] * 9 + ["end"] * 9
    heard.clear()

    failing_run = Chain[str, str]().append_lambda(failing, key="n").compile()
    with pytest.raises(RunError):
        await failing_run.invoke("x", callbacks=[Ear(heard, "call1")], node_callbacks={"n": [Ear(heard, "node")]})
    assert [name for timing, name in heard if timing == "error"] == [
        "call1", "node", "global1", "global2", "call1", "global1", "global2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "in_value_runs", "in_stream_runs"),
    [
        pytest.param(plus, ("start", "end"), ("start", "end"), id="invoke"),
        pytest.param(letters, ("start", "end stream"), ("start", "end stream"), id="stream"),
        pytest.param(joined, ("start stream", "end"), ("start stream", "end"), id="collect"),
        pytest.param(passed, ("start stream", "end stream"), ("start stream", "end stream"), id="transform"),
    ],
)
async def test_the_timings_of_a_node_follow_its_shape(
    function: Any, in_value_runs: tuple[str, str], in_stream_runs: tuple[str, str]
) -> None:
    """2.13: not the kind of the run; the graph's own timings follow the run."""
    ear = Ear()
    runnable = Chain[str, str]().append_lambda(function, key="n").compile(name="root")

    await runnable.invoke("abc", callbacks=[ear])
    assert ear.heard == [("start", "root"), (in_value_runs[0], "n"), (in_value_runs[1], "n"), ("end", "root")]
    ear.heard.clear()
    async with runnable.transform(StreamReader.from_iterable(["ab", "c"]), callbacks=[ear]) as reader:
        assert [chunk async for chunk in reader]
    assert ear.heard == [
        ("start stream", "root"),
        (in_stream_runs[0], "n"),
        (in_stream_runs[1], "n"),
        ("end stream", "root"),
    ]


@pytest.mark.parametrize("trigger", ["any", "all"])
async def test_handlers_read_their_own_copies(trigger: Any) -> None:
    """2.9: every handler sees the whole stream, whatever the others read, and the run gets all of it."""
    copies: list[StreamReader[str]] = []
    handler = handler_builder(
        on_start_stream_input=lambda info, reader: copies.append(reader),
        on_end_stream_output=lambda info, reader: copies.append(reader),
    )
    graph = Graph[str, dict[str, str]]().add_lambda_node("letters", letters).add_edge(START, "letters")
    for key in "ab":
        graph.add_lambda_node(key, passed, output_key=key).add_edge("letters", key).add_edge(key, END)
    runnable = graph.compile(trigger=trigger)

    async with runnable.stream("xyz", callbacks=[handler, handler_builder(on_end=print)]) as reader:
        chunks = [chunk async for chunk in reader if True]
        assert ["".join(chunk[key] for chunk in chunks if key in chunk) for key in "ab"] == ["xyz", "xyz"]

    assert len(copies) == 7  # the graph's two, letters' output, two of each of a and b
    assert not any(copy.is_open for copy in copies)


async def test_what_handlers_leave_unread_is_closed() -> None:
    """5b: when the run ends, in value runs and in parallel nodes too; reading some of it is fine."""
    closed: list[str] = []
    taken: list[Any] = []

    async def source(text: str) -> AsyncIterator[str]:
        try:
            for letter in text:
                yield letter
        finally:
            closed.append(text)

    async def first(chunks: AsyncIterator[str]) -> str:
        async for chunk in chunks:
            return chunk
        return ""

    handler = handler_builder(
        on_start_stream_input=lambda info, reader: taken.append(reader),
        on_end_stream_output=lambda info, reader: taken.append(reader),
    )
    graph = Graph[str, dict[str, str]]().add_lambda_node("source", source).add_edge(START, "source")
    for key in "ab":
        graph.add_lambda_node(key, first, output_key=key).add_edge("source", key).add_edge(key, END)
    runnable = graph.compile()

    assert await runnable.collect(StreamReader.from_iterable(["xyz"]), callbacks=[handler]) == {"a": "x", "b": "x"}
    assert closed == ["xyz"]
    whole = {"a": "xyz", "b": "xyz"}  # between the nodes of a value run there are values
    assert await runnable.invoke("xyz", callbacks=[handler]) == whole
    assert await runnable.invoke("xyz", node_callbacks={"a": [handler], "source": [handler]}) == whole
    assert closed == ["xyz"] * 3
    assert taken
    assert not any(reader.is_open for reader in taken)


async def test_a_handler_may_close_its_reader_at_once() -> None:
    """5b: readers of handlers have a `close()` that does not wait."""
    handler = handler_builder(on_end_stream_output=lambda info, reader: reader.close())
    runnable = Chain[str, str]().append_lambda(letters).compile()

    assert await runnable.collect(StreamReader.from_iterable(["xyz"]), callbacks=[handler]) == "xyz"


async def test_a_handler_says_what_it_needs() -> None:
    """1.9: what it does not need costs no copy of the stream."""
    asked: list[tuple[str, Timing]] = []

    class Choosy(Ear):
        def needed(self, info: RunInfo, timing: Timing) -> bool:
            asked.append((info.name, timing))
            return info.name == "b"

    ear = Choosy()
    runnable = Chain[str, str]().append_lambda(letters, key="a").append_lambda(passed, key="b").compile(name="root")

    assert await runnable.collect(StreamReader.from_iterable(["xyz"]), callbacks=[ear]) == "xyz"

    assert ear.heard == [("start stream", "b"), ("end stream", "b")]
    assert ("root", "on_start_stream_input") in asked
    assert ("a", "on_end_stream_output") in asked
    assert await runnable.invoke("xyz", callbacks=[ear]) == "xyz"
    assert ("a", "on_start") in asked


async def test_errors_reach_the_node_and_every_graph_around_it() -> None:
    """2.13: once each; the graphs get the RunError with the path as it is there."""
    ear = Ear()
    inner = Chain[str, str]().append_lambda(failing, key="bad")
    runnable = Chain[str, str]().append_graph(inner, key="inner").compile(name="root")

    with pytest.raises(RunError):
        await runnable.invoke("x", callbacks=[ear])

    assert ear.heard == [
        ("start", "root"), ("start", "inner"), ("start", "bad"), ("error", "bad"), ("error", "inner"), ("error", "root"),
    ]  # fmt: skip
    assert isinstance(ear.payloads[3], ValueError)
    assert isinstance(ear.payloads[5], RunError)


async def test_errors_inside_a_stream_do_not_reach_on_error() -> None:
    """2.13, 5b: handlers see them in their own copy."""
    ear = Ear()

    async def breaking(text: str) -> AsyncIterator[str]:
        yield text
        raise ValueError("boom")

    runnable = Chain[str, str]().append_lambda(breaking, key="n").compile(name="root")

    with pytest.raises(RunError):
        await runnable.collect(StreamReader.from_iterable(["x"]), callbacks=[ear])

    assert ear.names("error") == []
    assert ear.names("end stream") == ["n", "root"]


async def test_a_wrong_call_option_still_starts_and_fails_the_graph() -> None:
    """S68: a limit of steps in a DAG; handlers always see pairs."""
    ear = Ear()
    graph = Graph[str, str]().add_lambda_node("n", plus).add_edge(START, "n").add_edge("n", END)
    runnable = graph.compile(trigger="all", name="root")

    with pytest.raises(RunError, match="cannot set max run steps in dag"):
        await runnable.invoke("x", max_steps=3, callbacks=[ear])

    assert ear.heard == [("start", "root"), ("error", "root")]


async def test_the_state_is_there_when_the_graph_starts() -> None:
    """S67: a handler asks for the state in the graph's own start."""
    states: list[Any] = []
    handler = handler_builder(on_start=lambda info, value: states.append(current_context().state))
    graph = Graph[str, str](state=lambda: {"n": 1}).add_lambda_node("n", plus).add_edge(START, "n").add_edge("n", END)

    await graph.compile().invoke("x", callbacks=[handler])

    assert states == [{"n": 1}, {"n": 1}]
    assert states[0] is states[1]


async def test_two_runs_inside_a_node_do_not_share_their_handlers() -> None:
    """S70: handlers that one call adds are not heard in the other."""
    base, first, second = Ear(), Ear(), Ear()
    inner = Chain[str, str]().append_lambda(plus, key="n").compile(name="inner")

    async def twice(text: str) -> str:
        await inner.invoke(text, callbacks=[first])
        return await inner.invoke(text, callbacks=[second])

    await Chain[str, str]().append_lambda(twice, key="twice").compile(name="root").invoke("x", callbacks=[base])

    assert base.names("start") == ["root", "twice", "inner", "n", "inner", "n"]
    assert first.names("start") == second.names("start") == ["inner", "n"]
    twice_info = base.infos[1]
    assert [info.parent_id for info in base.infos if info.name == "inner"] == [twice_info.run_id] * 4


async def test_a_global_handler_hears_each_timing_once(globally: Callable[[Handler], None]) -> None:
    """S71: however many runs are inside each other, and however often it was added."""
    ear = Ear()
    globally(ear)
    globally(ear)
    inner = Chain[str, str]().append_lambda(plus, key="n").compile(name="inner")

    async def nested(text: str) -> str:
        return await inner.invoke(text, callbacks=[Ear()])

    await Chain[str, str]().append_lambda(nested, key="nested").compile(name="root").invoke("x", callbacks=[Ear()])

    assert ear.names("start") == ["root", "nested", "inner", "n"]


async def test_a_run_keeps_the_global_handlers_that_it_started_with() -> None:
    """1.9: what is added or removed meanwhile holds for later runs."""
    late = Ear()
    undo: list[Callable[[], None]] = []

    def meddle(text: str) -> str:
        undo.append(add_global_handler(late))
        return text

    runnable = Chain[str, str]().append_lambda(meddle).append_lambda(plus, key="n").compile(name="root")
    try:
        await runnable.invoke("x", callbacks=[Ear()])
        assert late.heard == []
        await Chain[str, str]().append_lambda(plus, key="n").compile(name="root").invoke("x")
        assert late.names("start") == ["root", "n"]
    finally:
        for each in undo:
            each()
    await runnable.invoke("x")
    late.heard.clear()
    for each in undo:
        each()
    await Chain[str, str]().append_lambda(plus).compile().invoke("x")
    assert late.heard == []


async def test_passthroughs_and_branches_tell_nothing() -> None:
    """2.13: they fire no callbacks."""
    ear = Ear()
    graph = Graph[str, str]().add_passthrough_node("p").add_lambda_node("n", plus).add_edge(START, "p")
    graph.add_branch("p", Branch(lambda text: "n", ends=["n"])).add_edge("n", END)

    await graph.compile(name="root").invoke("x", callbacks=[ear])

    assert ear.names("start") == ["root", "n"]


async def test_a_component_that_fires_its_own_callbacks_is_left_alone() -> None:
    """2.13: the graph adds nothing; what it fires lies below the graph, what runs inside lies below it."""
    ear = Ear()
    inner = Chain[str, str]().append_lambda(plus, key="deep").compile(name="inner")

    async def own(text: str) -> str:
        with around("Tool", name="my tool", type="Mine", input=text) as span:
            result = await inner.invoke(text)
            span.end(result)
            return result

    chain = Chain[str, str]().append_lambda(plus, key="before").append_lambda(Lambda(own, self_instrumented=True))
    await chain.compile(name="root").invoke("x", callbacks=[ear])

    assert ear.names("start") == ["root", "before", "my tool", "inner", "deep"]
    infos = {info.name: info for info in ear.infos}
    assert (infos["my tool"].component, infos["my tool"].type) == ("Tool", "Mine")
    assert infos["my tool"].parent_id == infos["root"].run_id
    assert infos["inner"].parent_id == infos["my tool"].run_id
    assert ear.payloads[ear.heard.index(("end", "my tool"))] == "x++"


async def test_a_failing_component_that_fires_its_own_callbacks_tells_its_error() -> None:
    """1.9: an exception that leaves the block is told; one after the end is not."""
    ear = Ear()

    async def own(text: str) -> str:
        with around("Tool", name="fails"):
            raise ValueError("boom")

    async def late(text: str) -> str:
        with around("Tool", name="ended") as span:
            span.end("x")
            raise ValueError("boom")

    for function in (own, late):
        with pytest.raises(RunError):
            await (
                Chain[str, str]()
                .append_lambda(Lambda(function, self_instrumented=True))
                .compile()
                .invoke("x", callbacks=[ear])
            )
    assert [pair for pair in ear.heard if pair[1]] == [
        ("start", "fails"), ("error", "fails"), ("start", "ended"), ("end", "ended"),
    ]  # fmt: skip


@pytest.mark.parametrize("timing", ["on_start", "on_end"])
@pytest.mark.parametrize("name", ["root", "n"])
async def test_a_handler_that_raises_fails_the_run(timing: str, name: str) -> None:
    """1.9: with the path of the node, and its text names handler and timing."""

    def broken(info: RunInfo, payload: Any) -> None:
        if info.name == name:
            raise KeyError("mine")

    ear = Ear()
    handler = handler_builder(**{timing: broken})
    runnable = Chain[str, str]().append_lambda(plus, key="n").compile(name="root")

    with pytest.raises(RunError, match=f"callback handler {timing} of .* '{name}' raised KeyError: 'mine'") as caught:
        await runnable.invoke("x", callbacks=[ear, handler])

    assert caught.value.node_path == (() if name == "root" else ("n",))
    assert isinstance(caught.value.__cause__, KeyError)
    assert ear.names("error")[-1:] == ["root"]


@pytest.mark.parametrize("timing", ["on_start_stream_input", "on_end_stream_output"])
@pytest.mark.parametrize("name", ["root", "n"])
async def test_a_handler_that_raises_on_a_stream_leaves_nothing_open(timing: str, name: str) -> None:
    """1.9: the copies of all handlers are closed."""

    def broken(info: RunInfo, payload: Any) -> None:
        if info.name == name:
            raise KeyError("mine")

    closed: list[str] = []

    async def source() -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("source")

    ear = Ear()
    runnable = Chain[str, str]().append_lambda(passed, key="n").compile(name="root")

    with pytest.raises(RunError, match=f"callback handler {timing} of .* '{name}' raised KeyError: 'mine'") as caught:
        async with runnable.transform(source(), callbacks=[ear, handler_builder(**{timing: broken}), Ear()]) as reader:
            await reader.recv()

    assert isinstance(caught.value.__cause__, KeyError)
    assert closed in ([], ["source"])  # a source that was never begun has nothing to close


async def test_an_on_error_that_raises_does_not_hide_the_error() -> None:
    """1.9: it becomes a note on it."""

    def broken(info: RunInfo, error: BaseException) -> None:
        raise KeyError("mine")

    runnable = Chain[str, str]().append_lambda(failing, key="n").compile()

    with pytest.raises(RunError, match="ValueError: boom") as caught:
        await runnable.invoke("x", callbacks=[handler_builder(on_error=broken)])

    notes = [*getattr(caught.value, "__notes__", ()), *getattr(caught.value.__cause__, "__notes__", ())]
    assert notes == ["callback handler on_error raised as well: KeyError: 'mine'"] * 2


async def test_a_needed_that_raises_fails_the_run() -> None:
    """1.9: like the handler itself."""

    def needed(info: RunInfo, timing: Timing) -> bool:
        raise KeyError("mine")

    handler = handler_builder(on_start=lambda *_: None, on_start_stream_input=lambda *_: None, needed=needed)
    runnable = Chain[str, str]().append_lambda(plus).compile()

    for run in (
        runnable.invoke("x", callbacks=[handler]),
        runnable.collect(StreamReader.from_iterable(["x"]), callbacks=[handler]),
    ):
        with pytest.raises(RunError, match="KeyError: 'mine'"):
            await run


class Waiting(Handler):
    async def on_start(self, info: RunInfo, input: Any) -> None:  # type: ignore[override]  # noqa: A002 - the mistake
        """Handlers must not wait."""


class Silent(Handler):
    """Defines nothing."""


async def async_function(info: RunInfo, payload: Any) -> None:
    """A mistake."""


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(lambda: handler_builder(on_end=async_function), "on_end is an async def", id="builder"),  # type: ignore[arg-type]  # the mistake
        pytest.param(lambda: add_global_handler(Waiting()), "on_start is an async def", id="global"),
        pytest.param(lambda: add_global_handler(Silent()), "defines none of on_start, on_end", id="nothing"),
        pytest.param(handler_builder, "without a function hears nothing", id="empty builder"),
        pytest.param(lambda: handler_builder(on_end=3), "on_end is 3, which cannot be called", id="no function"),  # type: ignore[arg-type]  # the mistake
    ],
)
def test_what_cannot_be_a_handler_is_refused_when_it_is_made(make: Callable[[], Any], text: str) -> None:
    """4b: handlers are plain functions that hear something."""
    with pytest.raises(BuildError, match=text):
        make()


@pytest.mark.parametrize("bad", [Waiting(), Silent(), "handler", object()])
async def test_what_cannot_be_a_handler_is_refused_by_the_call(bad: Any) -> None:
    """4b: before anything runs."""
    ran: list[str] = []
    runnable = Chain[str, Any]().append_lambda(ran.append).compile()

    with pytest.raises(BuildError, match="handler"):
        await runnable.invoke("x", callbacks=[bad])
    with pytest.raises(BuildError, match="give a list of handlers"):
        await runnable.invoke("x", callbacks=Ear())  # type: ignore[arg-type]  # the mistake
    assert ran == []


async def test_nobody_listens_then_nothing_is_counted() -> None:
    """4.6: without handlers a run has no infos, and asking for its id makes one."""
    ids: list[tuple[str, str]] = []

    def look(text: str) -> str:
        ids.append((current_context().run_id, current_context().run_id))
        return text

    runnable = Chain[str, str]().append_lambda(look).compile()
    await runnable.invoke("x")
    await runnable.invoke("x")

    assert ids[0][0] == ids[0][1] != ids[1][0]
