"""Stored runs: statuses, ids, changed graphs, effects, retention, bad values, and what crashes leave behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    BuildError,
    CodecError,
    Graph,
    GraphChangedError,
    GraphInterrupt,
    HandleError,
    MemoryStore,
    RetryPolicy,
    RunActiveError,
    RunContext,
    RunError,
    Settled,
    UnknownRunError,
    UnknownTargetError,
    current_context,
    handler_builder,
    interrupt,
    interrupt_group,
)
from eino.compose.store import RunStatus
from eino.errors import AlreadyAnsweredError, CorruptCheckpointError
from eino_fixtures.clock import VirtualClock


def graph_of(*nodes: Any, keys: str = "123456", state: Any = None, **options: Any) -> Graph[Any, Any]:
    """Return a graph of nodes in a line."""
    graph = Graph[Any, Any](state=state)
    before = START
    for key, node in zip(keys, nodes, strict=False):
        graph.add_node(key, node, **options.get(f"n{key}", {}))
        graph.add_edge(before, key)
        before = key
    return graph.add_edge(before, END)


async def plus(text: str) -> str:
    return text + "+"


async def ask(text: Any) -> str:
    return f"{text}{interrupt('sure?')}"


async def stopped(runnable: Any, *given: Any, **options: Any) -> GraphInterrupt:
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke(*given, **options)
    return stop.value


async def test_a_run_that_is_done_is_deleted_or_kept() -> None:
    """D15: nothing is left of a run that is done; with keep=True it stays, and its id begins a new one."""
    store = MemoryStore()
    await graph_of(plus).compile(checkpoint_store=store).invoke("a", checkpoint_id="1")
    assert await store.list() == []
    runnable = graph_of(plus, ask).compile(checkpoint_store=store, keep=True)
    stop = await stopped(runnable, "a", checkpoint_id="1")
    assert [each.status for each in await store.list()] == [RunStatus.WAITING]
    assert await runnable.invoke(checkpoint_id="1", resume={stop.contexts[0].id: "!"}) == "a+!"
    assert [each.status for each in await store.list()] == [RunStatus.DONE]
    with pytest.raises(UnknownRunError, match="begin one"):
        await runnable.invoke(checkpoint_id="1")
    await stopped(runnable, "b", checkpoint_id="1")


async def test_several_interrupts_of_one_node_and_answers_count_once() -> None:
    """Earlier calls return what they got; the first answer to a point counts, and is found again after a failure."""
    fails = [True]

    async def twice(text: str) -> str:
        first, second = interrupt("first"), interrupt("second")
        if fails:
            fails.clear()
            raise ValueError("broken")
        return f"{text}{first}{second}"

    store = MemoryStore()
    runnable = graph_of(twice).compile(checkpoint_store=store)
    stop = await stopped(runnable, "x", checkpoint_id="1")
    stop = await stopped(runnable, checkpoint_id="1", resume={stop.contexts[0].id: 1})
    assert stop.contexts[0].info == "second"
    with pytest.raises(RunError, match="broken"):
        await runnable.invoke(checkpoint_id="1", resume={stop.contexts[0].id: 2})
    assert [each.status for each in await store.list()] == [RunStatus.FAILED]
    with pytest.raises(AlreadyAnsweredError, match="answered before"):
        await runnable.invoke(checkpoint_id="1", resume={stop.contexts[0].id: 3})
    assert await runnable.invoke(checkpoint_id="1") == "x12"


async def test_read_one_id_and_write_another_and_begin_afresh() -> None:
    """The stored run stays under its id; D2: force_new_run works wherever it stands among the options."""
    store = MemoryStore()
    runnable = graph_of(plus, ask).compile(checkpoint_store=store)
    stop = await stopped(runnable, "a", checkpoint_id="A")
    again = await stopped(runnable, checkpoint_id="A", write_checkpoint_id="B")
    assert [each.run_id for each in await store.list()] == ["A", "B"]
    got = await runnable.invoke(checkpoint_id="A", write_checkpoint_id="B", resume={again.contexts[0].id: "b"})
    assert got == "a+b"
    assert [each.run_id for each in await store.list()] == ["A"]
    await stopped(runnable, "z", force_new_run=True, checkpoint_id="A")
    stop = await stopped(runnable, checkpoint_id="A")
    assert await runnable.invoke(checkpoint_id="A", resume={stop.contexts[0].id: "!"}) == "z+!"
    with pytest.raises(UnknownRunError, match="nope"):
        await runnable.invoke(checkpoint_id="nope", write_checkpoint_id="B")


async def test_a_run_that_is_running_is_refused_unless_taken_over(virtual_clock: VirtualClock) -> None:
    """The second worker is refused; after a take-over the first one is fenced."""

    async def slow(text: str) -> str:
        await anyio.sleep(5)
        return text

    runnable = graph_of(slow, plus).compile(checkpoint_store=MemoryStore(), durability="step")
    async with runnable.start("x", checkpoint_id="1") as handle:
        await anyio.sleep(1)
        with pytest.raises(RunActiveError, match="take_over"):
            await runnable.invoke("y", checkpoint_id="1")
        assert await runnable.invoke("y", checkpoint_id="1", take_over=True) == "x+"
        with pytest.raises(Exception, match="taken over"):
            await handle.result()


async def test_a_changed_graph_is_refused_or_migrated() -> None:
    """Removed nodes and another engine are named; the stored run is unharmed; a hook may move it."""
    store = MemoryStore()
    stop = await stopped(graph_of(plus, ask, keys="ab").compile(checkpoint_store=store), "x", checkpoint_id="1")
    renamed = graph_of(plus, ask, keys="ac")
    with pytest.raises(GraphChangedError, match=r"removed nodes \['b'\]; new nodes \['c'\]"):
        await renamed.compile(checkpoint_store=store).invoke(checkpoint_id="1")
    with pytest.raises(GraphChangedError, match="trigger='all', it had 'any'"):
        await graph_of(plus, ask, keys="ab").compile(checkpoint_store=store, trigger="all").invoke(checkpoint_id="1")

    def migrate(change: Any) -> Any:
        assert (change.removed, change.added) == (("b",), ("c",))
        level = change.levels["runnable:"]
        level["todo"] = [["c", box] for _, box in level["todo"]]
        return change.levels

    migrated = graph_of(plus, ask, keys="ac").compile(checkpoint_store=store, migrate=migrate)
    stop = await stopped(migrated, checkpoint_id="1")
    assert await migrated.invoke(checkpoint_id="1", resume={stop.contexts[0].id: "!"}) == "x+!"


class Opaque:
    """Nothing knows how to store it."""


async def test_values_that_cannot_be_stored_are_named() -> None:
    """The error names the path; the stored run is unharmed. D14: without a store nothing needs to be stored."""
    store = MemoryStore()
    runnable = graph_of(ask).compile(checkpoint_store=store)
    with pytest.raises(CodecError, match=r"Opaque.*\$"):
        await runnable.invoke(Opaque(), checkpoint_id="1")
    assert [each.status for each in await store.list()] == [RunStatus.FAILED]
    assert (await stopped(graph_of(ask).compile(), Opaque())).contexts[0].info == "sure?"
    stop = await stopped(runnable, "x", checkpoint_id="1", force_new_run=True)
    with pytest.raises(CodecError, match="Opaque"):
        await runnable.invoke(checkpoint_id="1", resume={stop.contexts[0].id: Opaque()})
    assert await runnable.invoke(checkpoint_id="1", resume={stop.contexts[0].id: 1}) == "x1"
    with pytest.raises(BuildError, match="Opaque"):
        graph_of(ask, state=Opaque).compile(checkpoint_store=store)


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_effect_without_result_asks_a_person(streaming: bool) -> None:
    """at_most_once: a crash between intent and result stops the run; the answer decides."""
    paid: list[str] = []
    crash = [True]

    async def pay(text: str) -> str:
        paid.append(current_context().attempt_id)
        if crash:
            crash.clear()
            raise SystemExit  # the process dies
        return text + " paid"

    async def call(**options: Any) -> Any:
        if not streaming:
            return await runnable.invoke("bill", checkpoint_id="1", **options)
        reader = await runnable.stream("bill", checkpoint_id="1", **options)
        return await reader.concat()

    store = MemoryStore()
    graph = graph_of(plus, pay, plus, n2={"effect": "at_most_once"})
    runnable = graph.compile(checkpoint_store=store, durability="step")
    with pytest.raises(SystemExit):
        await call()
    with pytest.raises(GraphInterrupt) as stop:
        await call()
    (point,) = stop.value.contexts
    assert point.info["reason"] == "unknown outcome"
    assert point.address_text.endswith("node:2;effect:at_most_once")
    assert paid == [point.info["attempt_id"]]
    assert await call(resume={point.id: Settled("bill+ by hand")}) == "bill+ by hand+"

    crash.append(True)
    with pytest.raises(SystemExit):
        await call()
    with pytest.raises(GraphInterrupt) as stop:
        await call()
    assert await call(resume={stop.value.contexts[0].id: "retry"}) == "bill+ paid+"
    assert len(paid) == 3


async def test_an_effect_may_ask_before_it_happens_and_wrong_answers_are_refused() -> None:
    """interrupt() inside an at_most_once node withdraws the intent; an answer that is no decision fails the run."""

    async def pay(text: str) -> str:
        return text + str(interrupt("how much?"))

    graph = graph_of(pay, n1={"effect": "at_most_once"})
    runnable = graph.compile(checkpoint_store=MemoryStore())
    stop = await stopped(runnable, "x", checkpoint_id="1")
    assert await runnable.invoke(checkpoint_id="1", resume={stop.contexts[0].id: 5}) == "x5"

    async def fails(text: str) -> str:
        raise ValueError(text)

    runnable = graph_of(fails, n1={"effect": "at_most_once"}).compile(checkpoint_store=MemoryStore())
    with pytest.raises(RunError, match="ValueError"):
        await runnable.invoke("x", checkpoint_id="1")
    stop = await stopped(runnable, "x", checkpoint_id="1")
    with pytest.raises(RunError, match="say Settled"):
        await runnable.invoke("x", checkpoint_id="1", resume={stop.contexts[0].id: "maybe"})
    with pytest.raises(BuildError, match="transactional"):
        graph_of(plus, n1={"effect": "transactional"}).compile(checkpoint_store=MemoryStore())


async def test_attempt_id_is_the_same_when_work_is_repeated() -> None:
    """The key of a step does not change with retries and resumes, and differs between the rounds of a loop."""
    keys: list[str] = []

    async def work(text: str) -> str:
        keys.append(current_context().attempt_id)
        if len(keys) == 1:
            raise ConnectionError("again")
        interrupt()
        return text

    policy = RetryPolicy(base_s=0.0)
    runnable = graph_of(plus, work, n2={"retry": policy}).compile(name="r", checkpoint_store=MemoryStore())
    stop = await stopped(runnable, "x", checkpoint_id="7")
    await runnable.invoke(checkpoint_id="7", resume={stop.contexts[0].id: None})
    assert keys == ["7/runnable:r;node:2/2"] * 3
    seen: list[str] = []

    async def note(text: str) -> str:
        seen.append(current_context().attempt_id)
        return text

    await graph_of(note, note).compile().invoke("x")
    assert len(set(seen)) == 2


async def test_no_retry_fallback_or_handler_sees_an_interrupt_as_failure() -> None:
    """Handlers hear a GraphInterrupt, at the node and at each graph; a retry does not call again."""
    heard: list[tuple[str, str]] = []
    begun: list[str] = []

    async def node(text: str) -> str:
        begun.append(text)
        return await ask(text)

    handler = handler_builder(on_error=lambda info, error: heard.append((info.name, type(error).__name__)))
    inner = graph_of(node, n1={"retry": RetryPolicy(base_s=0.0)})
    for options in ({}, {"checkpoint_store": MemoryStore()}):
        heard.clear()
        runnable = graph_of(inner if not options else graph_of(node)).compile(name="root", **options)
        await stopped(runnable, "x", callbacks=[handler], **({"checkpoint_id": "1"} if options else {}))
        assert heard == [("1", "GraphInterrupt"), ("1", "GraphInterrupt"), ("root", "GraphInterrupt")]
    assert begun == ["x", "x"]


async def test_d1_several_nested_graphs_keep_their_places() -> None:
    """D1: with several nested graphs and a lambda to restore, each goes on where it stood."""
    begun: list[str] = []

    def first(key: str) -> Any:
        async def node(text: str) -> str:
            begun.append(key)
            return text + key

        return node

    graph = Graph[str, dict[str, Any]]()
    for key in "abc":
        graph.add_graph_node(key, graph_of(first(key), ask), output_key=key)
    graph.add_lambda_node("d", ask, output_key="d")
    for key in "abcd":
        graph.add_edge(START, key).add_edge(key, END)
    for trigger in ("any", "all"):
        begun.clear()
        runnable = graph_again(graph, first).compile(name="root", trigger=trigger, checkpoint_store=MemoryStore())
        stop = await stopped(runnable, "x", checkpoint_id="1")
        addresses = [context.address_text for context in stop.contexts]
        assert addresses == sorted(addresses)  # D16: in the order of the nodes
        answers = {context.id: context.address[1].id for context in stop.contexts}
        got = await runnable.invoke(checkpoint_id="1", resume=answers)
        assert got == {"a": "xaa", "b": "xbb", "c": "xcc", "d": "xd"}
        assert sorted(begun) == ["a", "b", "c"]


def graph_again(_: Any, first: Any) -> Graph[str, dict[str, Any]]:
    graph = Graph[str, dict[str, Any]]()
    for key in "abc":
        graph.add_graph_node(key, graph_of(first(key), ask), output_key=key)
    graph.add_lambda_node("d", ask, output_key="d")
    for key in "abcd":
        graph.add_edge(START, key).add_edge(key, END)
    return graph


async def test_a_group_raises_its_parts_together() -> None:
    """Both parts are root causes, the node is their parent with the group's words; answers come one by one."""

    async def node(text: str) -> str:
        got = {}
        ctx = current_context()
        assert ctx.interrupt_state in (None, "kept")
        async with interrupt_group("two questions", state="kept") as group:
            for key in ("one", "two"):
                with group.part("question", key):
                    got[key] = interrupt(key)
        return f"{text}{got['one']}{got['two']}"

    runnable = graph_of(node).compile(name="root", checkpoint_store=MemoryStore())
    stop = await stopped(runnable, "x", checkpoint_id="1")
    assert [context.info for context in stop.contexts] == ["one", "two"]
    assert stop.contexts[0].parent is stop.contexts[1].parent
    assert stop.contexts[0].parent is not None
    assert stop.contexts[0].parent.info == "two questions"
    with pytest.raises(UnknownTargetError, match="stands for several"):
        await runnable.invoke(checkpoint_id="1", resume={"runnable:root;node:1": 1})
    stop = await stopped(runnable, checkpoint_id="1", resume={"runnable:root;node:1;question:one": 1})
    assert [context.info for context in stop.contexts] == ["two"]
    assert await runnable.invoke(checkpoint_id="1", resume={stop.contexts[0].id: 2}) == "x12"


async def test_pre_handlers_of_a_nested_graph_run_once() -> None:
    """A graph that goes on where it stood had its pre handler; a node that runs again gets it again."""

    @dataclass
    class Count:
        times: int = 0

    def counted(value: str, state: Count) -> str:
        state.times += 1
        return value

    async def told(text: str, ctx: RunContext[Count]) -> str:
        return f"{text}{ctx.state.times}"

    graph = graph_of(graph_of(plus, ask), told, state=Count, n1={"pre": counted})
    runnable = graph.compile(checkpoint_store=MemoryStore())
    stop = await stopped(runnable, "x", checkpoint_id="1")
    assert await runnable.invoke(checkpoint_id="1", resume={stop.contexts[0].id: "!"}) == "x+!1"


async def test_streams_go_on_and_the_last_one_is_lazy(virtual_clock: VirtualClock) -> None:
    """The output streams through while it is made; the run is done when it was read to the end."""

    async def speak(text: str) -> AsyncIterator[str]:
        yield text
        await anyio.sleep(1)
        yield "."

    store = MemoryStore()
    runnable = graph_of(plus, ask, speak).compile(checkpoint_store=store, durability="step", keep=True)
    stop = await stopped(runnable, "x", checkpoint_id="1")
    async with runnable.stream(checkpoint_id="1", resume={stop.contexts[0].id: "!"}) as reader:
        assert await reader.recv() == "x+!"
        assert [each.status for each in await store.list()] == [RunStatus.RUNNING]
        assert await reader.recv() == "."
        assert [chunk async for chunk in reader] == []
    assert [each.status for each in await store.list()] == [RunStatus.DONE]

    runnable = graph_of(plus, speak).compile(checkpoint_store=store, durability="step")
    async with runnable.stream("y", checkpoint_id="2") as reader:
        assert await reader.recv() == "y+"
    assert [each.status for each in await store.list()] == [RunStatus.DONE, RunStatus.CANCELLED]
    assert await runnable.invoke(checkpoint_id="2") == "y+."


async def test_an_interrupt_behind_the_first_chunk_is_refused() -> None:
    """What was delivered cannot be taken back: the error says what to do instead."""

    async def late(text: str) -> AsyncIterator[str]:
        yield text
        interrupt("late")

    async def whole(text: str) -> str:
        return text

    for nodes in ((late,), (late, whole)):
        runnable = graph_of(*nodes).compile(checkpoint_store=MemoryStore())
        with pytest.raises(RunError, match="before the first chunk"):
            async with runnable.stream("x", checkpoint_id="1") as reader:
                async for _ in reader:
                    pass

    async def early(text: str) -> AsyncIterator[str]:
        yield text + str(interrupt("early"))

    runnable = graph_of(early, whole).compile(checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        async with runnable.stream("x", checkpoint_id="1") as reader:
            pass
    assert await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: "!"}) == "x!"
    with pytest.raises(GraphInterrupt):
        async with graph_of(early).compile().stream("x") as reader:
            await reader.recv()


async def test_bad_options_are_named() -> None:
    """Each wrong compile or call option is refused where it stands."""
    store = MemoryStore()
    for options, text in [
        ({"interrupt_before": ["x"]}, "'x' is no node"),
        ({"interrupt_after": "1"}, "list of node keys"),
        ({"durability": "never", "checkpoint_store": store}, "'interrupt' or 'step'"),
        ({"durability": "step"}, "checkpoint_store"),
        ({"keep": 1, "checkpoint_store": store}, "True or False"),
    ]:
        with pytest.raises(BuildError, match=text):
            graph_of(plus).compile(**options)
    runnable = graph_of(plus).compile(checkpoint_store=store)
    for given, text in [
        ({"checkpoint_id": 7}, "checkpoint_id=7"),
        ({"resume": {"a": 1}}, "needs the checkpoint_id"),
        ({"checkpoint_id": "1", "resume": 7}, "resume=7"),
    ]:
        with pytest.raises(RunError, match=text):
            await runnable.invoke("x", **given)
    with pytest.raises(RunError, match="no input"):
        await runnable.invoke()
    async with runnable.start("x") as handle:
        with pytest.raises(HandleError, match="seconds from 0"):
            await handle.interrupt(timeout_s=-1)
        await handle.interrupt()
    with pytest.raises(HandleError, match="not begun"):
        await runnable.start("x").interrupt()


async def test_a_broken_record_is_refused() -> None:
    """A changed byte is noticed, and nothing is run."""
    store = MemoryStore()
    runnable = graph_of(ask).compile(checkpoint_store=store)
    await stopped(runnable, "x", checkpoint_id="1")
    run = store._runs["1"]
    record = run.records[0]
    broken = type(record)(record.seq, record.epoch, record.kind, record.body[:-1] + b"!", record.mac)
    store._runs["1"] = type(run)(
        run.run_id, run.epoch, run.owner, run.status, run.head, run.head_mac, (broken,), run.answers
    )
    with pytest.raises(CorruptCheckpointError, match="record 1"):
        await runnable.invoke(checkpoint_id="1")
