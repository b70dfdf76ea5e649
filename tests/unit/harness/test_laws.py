"""`check_graph`: sound graphs keep the laws, and each law catches a graph that is broken in just that way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from eino import (
    END,
    START,
    Branch,
    BuildError,
    Chain,
    Graph,
    Lambda,
    MemoryStore,
    Message,
    RunContext,
    RunError,
    RunningLoopError,
    StreamReader,
    assistant_message,
    interrupt,
    tool,
    tool_call,
    user_message,
)
from eino.flow import ReactAgent
from eino_fixtures import FunctionChatModel, ScriptedChatModel
from eino_fixtures.clock import VirtualClock
from eino_fixtures.graph_strategies import RandomGraph, dags
from eino_harness.laws import LAWS, LawsBrokenError, check_graph

TEXTS = st.text("abc", max_size=4)
both_loops = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def chain(*nodes: Any, **options: Any) -> Graph[Any, Any]:
    """Return a graph of lambdas `n0`, `n1`, ... behind each other."""
    graph = Graph[Any, Any](**options)
    keys = [START, *(f"n{place}" for place in range(len(nodes))), END]
    for key, node in zip(keys[1:-1], nodes, strict=True):
        graph.add_lambda_node(key, node)
    for source, target in itertools.pairwise(keys):
        graph.add_edge(source, target)
    return graph


def same(text: str) -> str:
    return text


async def slow(text: str) -> str:
    await anyio.sleep(1.0)
    return text


async def letters(text: str) -> AsyncIterator[str]:
    yield ""
    for letter in text:
        yield letter


# Sound graphs.


@dataclass
class Seen:
    texts: list[str] = field(default_factory=list)


def remember(text: str, state: Seen) -> str:
    state.texts.append(text)
    return text


def sound() -> Graph[str, dict[str, str]]:
    """Return a graph with a stream, a nested graph, a state, a branch and nodes beside each other."""

    async def doubled(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield "".join(letter * 2 for letter in chunk)

    async def recall(text: str, ctx: RunContext[Seen]) -> str:
        return text + "|".join(ctx.state.texts)

    inner = chain(slow, doubled)
    graph = Graph[str, dict[str, str]](state=Seen)
    graph.add_lambda_node("spell", letters, pre=remember)
    graph.add_graph_node("inner", inner, output_key="inner")
    graph.add_lambda_node("recall", recall, output_key="recall")
    graph.add_lambda_node("short", same, output_key="short")
    graph.add_edge(START, "spell").add_edge("spell", "inner")
    graph.add_branch("spell", Branch(lambda text: "recall" if len(text) > 2 else "short", ends={"recall", "short"}))
    for key in ("inner", "recall", "short"):
        graph.add_edge(key, END)
    return graph


def test_a_sound_graph_keeps_every_law() -> None:
    report = check_graph(lambda: sound().compile(trigger="all"), inputs=TEXTS, max_examples=8)

    assert report.laws == tuple(LAWS) == ("stream", "ways", "chunking", "schedules", "resume", "cancel", "batch")
    assert report.backends == ("asyncio", "trio")
    assert report.inputs >= 14


@settings(max_examples=6)
@given(drawn=dags(max_nodes=4, failures=False))
def test_random_graphs_keep_every_law(drawn: RandomGraph) -> None:
    """Those that give an answer: values that cannot be merged may well be streams that can."""

    def make() -> Any:
        return drawn.build()[0].compile(trigger="all")

    try:
        VirtualClock().run(make().invoke, {"input": 3})
    except RunError:
        reject()
    check_graph(make, inputs=[{"input": 3}])


def test_an_agent_with_a_model_and_tools_keeps_the_laws() -> None:
    @tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    def answer(messages: Any, options: Any) -> Message:
        if messages[-1].role == "user":
            return assistant_message("", tool_calls=[tool_call("add", {"a": 1, "b": 2}, id="1")])
        return assistant_message(f"It is {messages[-1].content}.")

    def make() -> Any:
        return ReactAgent(model=FunctionChatModel(answer), tools=[add]).runnable

    check_graph(make, inputs=[[user_message("1 + 2")]])


def test_scripted_models_are_made_anew_for_each_run() -> None:
    def make() -> Any:
        model = ScriptedChatModel(["hello"])
        return Chain[list[Message], Message]().append_chat_model(model)

    laws = [law for law in LAWS if law != "batch"]
    check_graph(make, inputs=[[user_message("hi")]], laws=laws, restart=False, backends="asyncio")


def test_a_graph_itself_is_checked_too() -> None:
    report = check_graph(chain(same), inputs=["a", "b"], laws="stream")
    assert (report.laws, report.inputs) == (("stream",), 4)
    assert check_graph(chain(same).compile(), inputs=TEXTS, laws=["ways"], max_examples=3, seed=7).inputs <= 6


def test_real_time_is_possible() -> None:
    async def busy(text: str) -> str:
        await anyio.sleep(0.0001)
        return text

    check_graph(lambda: chain(busy), inputs=["a"], virtual_time=False)


# Each law, and a graph that breaks it.


def two_forms() -> Graph[str, str]:
    async def shouting(text: str) -> str:
        return text.upper()

    return chain(same, Lambda(invoke=shouting, stream=letters))


def forgetful_collect() -> Graph[str, str]:
    async def first(text: str) -> str:
        return text

    async def others(chunks: AsyncIterator[str]) -> str:
        return "".join([chunk async for chunk in chunks][1:])

    return chain(Lambda(invoke=first, collect=others))


def each_chunk_a_word() -> Graph[str, str]:
    async def titled(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk.title()

    return chain(same, titled)


def racing() -> Graph[str, dict[str, str]]:
    order: list[str] = []

    def arrives(key: str) -> Callable[[str], str]:
        def node(text: str) -> str:
            order.append(key)
            return ",".join(order)

        return node

    graph = Graph[str, dict[str, str]]()
    for key in "ab":
        graph.add_lambda_node(key, arrives(key), output_key=key)
        graph.add_edge(START, key).add_edge(key, END)
    return graph


def remembering_outside() -> Graph[str, str]:
    outside: list[str] = []

    def note(text: str) -> str:
        outside.append(text)
        return text

    return chain(note, lambda text: text + "".join(outside))


def swallowing() -> Graph[str, str]:
    async def stubborn(text: str) -> str:
        try:
            await anyio.sleep(5.0)
        except BaseException:
            return "never mind"
        return text

    return chain(stubborn)


def leaking_task() -> Graph[str, str]:
    async def careless(text: str) -> str:
        kept.append(asyncio.ensure_future(anyio.sleep_forever()))
        await anyio.sleep(1.0)
        return text

    kept: list[Any] = []
    return chain(careless)


def leaking_stream() -> Graph[str, str]:
    async def careless(text: str) -> str:
        async def endless(writer: Any) -> None:
            while await writer.send(text):
                pass

        reader = StreamReader.from_producer(endless)
        return await reader.recv()

    return chain(careless)


def turning() -> Graph[str, str]:
    async def hides(text: str) -> str:
        try:
            await anyio.sleep(5.0)
        except BaseException as error:
            raise ValueError("something went wrong") from error
        return text

    return chain(hides)


def counting() -> Graph[str, str]:
    calls = itertools.count(1)
    return chain(same, lambda text: f"{text}{next(calls)}")


BROKEN = {
    "stream": (two_forms, "'a'", "n1", "invoke gave 'A', but stream gave 'a'"),
    "ways": (forgetful_collect, "'a'", "n0", "invoke gave 'a', but collect gave ''"),
    "chunking": (
        each_chunk_a_word,
        "'aa'",
        "n1",
        "invoke gave 'Aa', but stream, texts cut to 1 characters at most gave 'AA'",
    ),
    "schedules": (racing, "''", "b", "with nodes late (schedule "),
    "resume": (remembering_outside, "'a'", "n1", "stopped before node 'n1' and resumed 1 times, gave 'a'"),
    "cancel": (swallowing, "''", "n0", "cancelled after 2.5 s of virtual time, went on and gave 'never mind'"),
    "batch": (counting, "['', '']", "", "alone, input 1 ('') gave '1', but in a batch of 2 it gave '2'"),
}


def broken_of(make: Callable[[], Any], law: Any, **options: Any) -> LawsBrokenError:
    with pytest.raises(LawsBrokenError) as raised:
        check_graph(make, laws=[law], **{"inputs": TEXTS, **options})
    return raised.value


@both_loops
@pytest.mark.parametrize("law", BROKEN)
def test_the_law_catches_a_graph_that_breaks_it(law: Any, backend: Any) -> None:
    make, smallest, node, said = BROKEN[law]

    error = broken_of(make, law, backends=[backend])

    [broken] = error.broken
    text = str(error)
    assert (broken.law, broken.backend, repr(broken.input)) == (LAWS[law], backend, smallest)
    assert broken.node in {"schedules": "ab"}.get(law, [node])  # trio runs first what it likes
    assert said in broken.said
    assert text.startswith(f"1 of 1 laws are broken\n\nlaw {law!r}: {LAWS[law].says}\n  smallest input: {smallest}\n")
    assert f"  on {backend}: {broken.said}\n  what to do: " in text
    assert (LAWS[law].remedy in text) == (broken.remedy == "")


def test_every_other_law_is_kept_by_a_graph_that_breaks_one() -> None:
    """Else a test above could pass for a wrong reason."""
    breaks = {name: broken_laws(make) for name, (make, *_) in BROKEN.items()}
    assert breaks == {
        "stream": ["stream", "ways", "chunking", "resume"],  # they look at the stream too
        "ways": ["stream", "ways", "chunking", "resume"],
        "chunking": ["chunking"],
        "schedules": ["schedules", "batch"],
        "resume": ["resume", "batch"],
        "cancel": ["cancel"],
        "batch": ["batch"],
    }


def broken_laws(make: Callable[[], Any]) -> list[str]:
    try:
        check_graph(make, inputs=["", "aa", "b"], backends="asyncio")
    except LawsBrokenError as error:
        return [broken.law.name for broken in error.broken]
    return []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(turning, "raised RunError: ", id="another error"),
        pytest.param(leaking_task, "left 1 thing(s) behind: task 'Task-", id="task"),
        pytest.param(
            leaking_stream, "not even cancelled, left 1 thing(s) behind: a stream that was opened", id="stream"
        ),
    ],
)
def test_the_law_about_cancellation_names_what_was_left(make: Any, said: str) -> None:
    broken = broken_of(make, "cancel", inputs=["a"], backends="asyncio").broken[0]
    assert said in broken.said
    if make is leaking_stream:
        assert "test_laws.py:" in broken.said


def test_the_input_is_cut_too() -> None:
    async def titled(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk.title()

    broken = broken_of(lambda: chain(titled), "chunking").broken[0]
    assert broken.said == "invoke gave 'Aa', but transform, with the input cut into ['a', 'a'] gave 'AA'"


def test_a_stream_that_is_left_early_must_leave_nothing() -> None:
    async def careless(text: str) -> AsyncIterator[str]:
        kept.append(asyncio.ensure_future(anyio.sleep_forever()))
        for letter in text:
            yield letter

    kept: list[Any] = []

    broken = broken_of(lambda: chain(careless), "cancel", inputs=["abc"], backends="asyncio").broken[0]
    assert "left 1 thing(s) behind: task" in broken.said


def test_what_cannot_be_stored_breaks_the_law_about_resuming() -> None:
    class Secret:
        def __init__(self, text: str) -> None:
            self.text = text

    def wrapped(text: str) -> Secret:
        return Secret(text)

    def unwrapped(secret: Secret) -> str:
        return secret.text

    broken = broken_of(lambda: chain(wrapped, unwrapped), "resume", inputs=["a"]).broken[0]
    assert "Secret" in broken.said
    assert broken.node == "n1"


def test_the_node_inside_a_nested_graph_is_named() -> None:
    def make() -> Any:
        graph = Graph[str, str]()
        graph.add_graph_node("outer", two_forms())
        return graph.add_edge(START, "outer").add_edge("outer", END)

    assert broken_of(make, "stream").broken[0].node == "outer/n1"


def test_a_nested_graph_is_stopped_inside() -> None:
    def make() -> Any:
        graph = Graph[str, str]()
        graph.add_graph_node("outer", remembering_outside())
        return graph.add_edge(START, "outer").add_edge("outer", END)

    broken = broken_of(make, "resume", inputs=["a"]).broken[0]
    assert "stopped before node 'outer/n1' and resumed 1 times" in broken.said


def test_all_broken_laws_are_told_at_once() -> None:
    with pytest.raises(LawsBrokenError, match="2 of 7 laws are broken") as raised:
        check_graph(remembering_outside, inputs=["a", "bb"], backends="asyncio")
    assert [broken.law.name for broken in raised.value.broken] == ["resume", "batch"]


def test_of_given_inputs_the_smallest_counts() -> None:
    assert broken_of(two_forms, "stream", inputs=["aaa", "a", "", "aa"]).broken[0].input == "a"


def test_a_graph_that_is_not_deterministic_is_told_so_first() -> None:
    calls = itertools.count()
    broken = broken_of(lambda: chain(lambda text: f"{text}{next(calls)}"), "stream", inputs=["a"]).broken[0]
    assert broken.remedy.startswith("the graph does not even give the same answer twice")
    assert broken.remedy in broken.text()


def test_failures_must_be_of_the_same_kind() -> None:
    async def fails(text: str) -> str:
        raise ValueError(text)

    async def fails_otherwise(text: str) -> AsyncIterator[str]:
        raise KeyError(text)
        yield ""

    check_graph(lambda: chain(fails), inputs=["a"])
    broken = broken_of(lambda: chain(Lambda(invoke=fails, stream=fails_otherwise)), "stream", inputs=["a"]).broken[0]
    assert "but stream raised RunError" in broken.said
    assert broken.node == "n0"


def test_chunks_without_a_whole_and_inputs_that_cannot_be_copied_are_left_alone() -> None:
    class Handle:
        """As a lock or a socket: there is one."""

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("there is one")

        def __eq__(self, other: object) -> bool:
            raise ValueError("and it is not compared")

        __hash__ = object.__hash__

    async def unjoinable(handle: Handle) -> AsyncIterator[Any]:
        yield handle
        yield "!"

    async def count(chunks: AsyncIterator[Any]) -> int:
        return len([chunk async for chunk in chunks])

    async def two(value: Any) -> int:
        return 2

    def make() -> Any:
        return chain(Lambda(invoke=two, stream=unjoinable), Lambda(invoke=two, collect=count))

    check_graph(make, inputs=[Handle()], laws=["stream", "chunking"], backends="asyncio")


def test_equality_can_be_given() -> None:
    def rounded(number: float) -> float:
        return number + 1e-12

    async def streamed(number: float) -> AsyncIterator[float]:
        yield number

    def make() -> Any:
        return chain(Lambda(invoke=rounded, stream=streamed))

    assert broken_of(make, "stream", inputs=[1.0]).broken
    check_graph(make, inputs=[1.0], laws=["stream"], equal=lambda one, other: abs(one - other) < 1e-6)


# Graphs that interrupt.


def asking() -> Graph[str, str]:
    async def asks(text: str) -> str:
        return f"{text}:{interrupt('which?')}"

    return chain(same, asks, same)


def test_interrupts_are_answered() -> None:
    check_graph(asking, inputs=TEXTS, max_examples=4, answer=lambda context: f"answer to {context.info}")


def test_without_an_answer_a_run_that_asks_is_over() -> None:
    check_graph(asking, inputs=["a"])


def test_stops_of_the_graph_itself_need_no_answer() -> None:
    def make() -> Any:
        return asking().compile(interrupt_before=["n0", "n2"], checkpoint_store=MemoryStore())

    check_graph(make, inputs=["a"], laws=["stream", "resume", "schedules"], answer=lambda context: "yes")


def test_a_run_that_never_ends_to_ask_is_told() -> None:
    async def asks_again(text: str) -> str:
        while True:
            interrupt("again?")

    broken = broken_of(lambda: chain(asks_again), "stream", inputs=["a"], answer=lambda context: 1, backends="asyncio")
    assert "stopped 200 times" in str(broken)
    assert "let it use the answer" in str(broken)


# Wrong calls.


@pytest.mark.parametrize(
    ("graph", "options", "said"),
    [
        (same, {"inputs": ["a"]}, "'a'|is no graph|missing"),
        (3, {"inputs": ["a"]}, "give a graph, or a function that makes one"),
        (lambda: 3, {"inputs": ["a"]}, "3 is no graph"),
        (two_forms, {"inputs": []}, "give at least one input"),
        (two_forms, {"inputs": "abc"}, "give a list, or a Hypothesis strategy"),
        (two_forms, {"inputs": 3}, "give a list, or a Hypothesis strategy"),
        (two_forms, {"inputs": ["a"], "laws": ["gravity"]}, "there is no law 'gravity'; the laws are stream, ways"),
        (two_forms, {"inputs": ["a"], "laws": []}, "checks nothing"),
        (two_forms, {"inputs": ["a"], "backends": ["uvloop"]}, "give one or more of asyncio, trio"),
        (two_forms, {"inputs": ["a"], "max_examples": 0}, "at least 1 input is needed"),
        (Graph[str, str](), {"inputs": ["a"]}, "start"),
    ],
    ids=[
        "function",
        "number",
        "makes a number",
        "no input",
        "text",
        "no list",
        "law",
        "no law",
        "backend",
        "most",
        "empty",
    ],
)
def test_a_wrong_call_is_refused(graph: Any, options: Any, said: str) -> None:
    with pytest.raises((BuildError, TypeError), match=said):
        check_graph(graph, **options)


async def test_inside_a_running_loop_it_is_refused() -> None:
    with pytest.raises(RunningLoopError, match="call it from a plain `def` test"):
        check_graph(two_forms, inputs=["a"])
