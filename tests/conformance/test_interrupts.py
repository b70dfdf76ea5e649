"""Interrupts, checkpoints and resume: the rows of core-scenarios 3.7, with S100, X9 and X13."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    Branch,
    Chain,
    Graph,
    Lambda,
    MaxStepsError,
    Message,
    RunContext,
    RunError,
    ToolsNode,
    Workflow,
    assistant_message,
    current_context,
    to_field,
    tool,
    tool_call,
)
from eino.compose.interrupts import GraphInterrupt, interrupt, interrupt_group
from eino.compose.store import MemoryStore
from eino.errors import UnknownRunError, UnknownTargetError
from eino_fixtures.clock import VirtualClock


@dataclass
class Letters:
    a: str = ""


def adding(what: str) -> Any:
    async def add(text: str) -> str:
        return text + what

    return add


def line(*nodes: Any, state: Any = None, **options: Any) -> Graph[Any, Any]:
    """Return a graph of nodes in a line, with keys 1, 2, ..."""
    graph = Graph[Any, Any](state=state)
    before = START
    for position, node in enumerate(nodes, 1):
        graph.add_node(str(position), node, **options.get(f"n{position}", {}))
        graph.add_edge(before, str(position))
        before = str(position)
    graph.add_edge(before, END)
    return graph


async def call(runnable: Any, streaming: bool, *args: Any, **options: Any) -> Any:
    if not streaming:
        return await runnable.invoke(*args, **options)
    reader = await runnable.stream(*args, **options)
    return await reader.concat()


def with_a(text: str, state: Letters) -> str:
    return text + state.a


both = pytest.mark.parametrize("streaming", [False, True])


@both
async def test_s76_static_interrupts_and_state_data(streaming: bool) -> None:
    """S76: before and after at once; data for the graph itself replaces its state."""
    graph = line(adding("1"), adding("2"), state=Letters, n2={"pre": with_a})
    runnable = graph.compile(
        name="root", trigger="all", checkpoint_store=MemoryStore(), interrupt_before=["2"], interrupt_after=["1"]
    )
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, "start", checkpoint_id="1")
    info = stop.value.info
    assert (info.before_nodes, info.after_nodes, info.state) == (("2",), ("1",), Letters())
    (context,) = stop.value.contexts
    assert (context.address_text, context.info, context.is_root_cause) == ("runnable:root", Letters(), True)
    assert context.is_static
    assert await call(runnable, streaming, checkpoint_id="1", resume={context.id: Letters("state")}) == "start1state2"


@both
async def test_s77_nested_graph_stops_after_a_node(streaming: bool) -> None:
    """S77: the nested graph's stop is in sub_graphs; its address has the outer runnable as parent."""
    inner = line(adding("1"), adding("2"), state=Letters, n2={"pre": with_a})
    outer = line(adding("1"), inner, adding("3"), n2={"compile_options": {"interrupt_after": ["1"]}})
    runnable = outer.compile(name="root", checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, "start", checkpoint_id="1")
    sub = stop.value.info.sub_graphs["2"]
    assert (sub.after_nodes, sub.state, stop.value.info.rerun_nodes) == (("1",), Letters(), ())
    (context,) = stop.value.contexts
    assert context.address_text == "runnable:root;node:2"
    assert context.parent is not None
    assert (context.parent.address_text, context.parent.info) == ("runnable:root", None)
    resumed = await call(runnable, streaming, checkpoint_id="1", resume={context.address_text: Letters("state")})
    assert resumed == "start11state23"


@both
async def test_s79_parallel_nodes_are_reported_together(streaming: bool) -> None:
    """S79: both nodes of a super-step are in after_nodes."""
    graph = Graph[str, dict[str, Any]]().add_passthrough_node("3").add_edge("3", END)
    for key in "12":
        graph.add_lambda_node(key, adding(""), output_key=key)
        graph.add_edge(START, key)
        graph.add_edge(key, "3")
    runnable = graph.compile(checkpoint_store=MemoryStore(), interrupt_after=["1", "2"])
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, "input", checkpoint_id="1")
    assert stop.value.info.after_nodes == ("1", "2")
    assert await call(runnable, streaming, checkpoint_id="1") == {"1": "input", "2": "input"}


@both
@pytest.mark.parametrize("trigger", ["any", "all"])
async def test_s80_rerun_with_state_modifier(streaming: bool, trigger: Any) -> None:
    """S80: a node that interrupts runs again, its pre handler too, on the state that the modifier gave."""

    async def ask(text: str, ctx: RunContext[Letters]) -> str:
        if not ctx.was_interrupted:
            interrupt("test extra")
        return text

    graph = line(ask, state=Letters, n1={"pre": lambda text, state: state.a})
    runnable = graph.compile(name="root", trigger=trigger, checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, "start", checkpoint_id="1")
    assert stop.value.info.rerun_nodes == ("1",)
    assert stop.value.info.rerun_infos == {"1": "test extra"}
    got = await call(runnable, streaming, checkpoint_id="1", state_modifier=lambda place, state: Letters("state"))
    assert got == "state"


@both
async def test_s82_s85_the_original_input_comes_back(streaming: bool) -> None:
    """S82, S85 as 5b has them: the rerun gets the original input, and the pre handler prefixes it once."""
    seen = []

    async def ask(text: str, ctx: RunContext[Letters]) -> str:
        seen.append((text, ctx.was_interrupted, ctx.interrupt_state))
        if not ctx.was_interrupted:
            interrupt("why", state=text)
        return text + "_processed"

    graph = line(ask, state=Letters, n1={"pre": lambda text, state: "prefix_" + text})
    runnable = graph.compile(checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt):
        await call(runnable, streaming, "test", checkpoint_id="1")
    assert await call(runnable, streaming, "ignored", checkpoint_id="1") == "prefix_test_processed"
    assert seen == [("prefix_test", False, None), ("prefix_test", True, "prefix_test")]


@pytest.mark.parametrize("trigger", ["any", "all"])
@pytest.mark.parametrize(
    ("timeout_s", "after", "rerun"), [(None, ("1",), ()), (3600.0, ("1",), ()), (0.0, (), ("1",)), (1.0, (), ("1",))]
)
async def test_s83_external_interrupt(
    virtual_clock: VirtualClock, trigger: Any, timeout_s: float | None, after: Any, rerun: Any
) -> None:
    """S83: the running node is awaited or cut short, and the run goes on with the input that it had."""

    async def slow(text: str) -> str:
        await anyio.sleep(3)
        return text + "1"

    runnable = line(slow, adding("2")).compile(trigger=trigger, checkpoint_store=MemoryStore())
    async with runnable.start("input", checkpoint_id="1") as handle:
        await anyio.sleep(0.5)
        await handle.interrupt(timeout_s=timeout_s)
        with pytest.raises(GraphInterrupt) as stop:
            await handle.result()
    assert (stop.value.info.after_nodes, stop.value.info.rerun_nodes) == (after, rerun)
    assert await runnable.invoke(checkpoint_id="1") == "input12"


@pytest.mark.parametrize("timeout_s", [None, 0.0])
@pytest.mark.parametrize("trigger", ["any", "all"])
async def test_s83_external_interrupt_of_parallel_and_nested(
    virtual_clock: VirtualClock, trigger: Any, timeout_s: float | None
) -> None:
    """S83: two parallel sleepers, one of them inside a nested graph, which stops by itself."""

    async def slow(text: str) -> str:
        await anyio.sleep(3)
        return text + "s"

    graph = Graph[str, dict[str, Any]]()
    graph.add_lambda_node("2", slow, output_key="2")
    graph.add_graph_node("3", line(slow, adding("n")), output_key="3")
    for key in "23":
        graph.add_edge(START, key).add_edge(key, END)
    runnable = graph.compile(name="root", trigger=trigger, checkpoint_store=MemoryStore())
    async with runnable.start("x", checkpoint_id="1") as handle:
        await anyio.sleep(0.5)
        await handle.interrupt(timeout_s=timeout_s)
        with pytest.raises(GraphInterrupt) as stop:
            await handle.result()
    assert set(stop.value.info.sub_graphs) == {"3"}
    assert await runnable.invoke(checkpoint_id="1") == {"2": "xs", "3": "xsn"}


@both
async def test_s86_before_the_first_node_of_a_nested_graph(streaming: bool) -> None:
    """S86: the nested graph stops before anything in it ran."""
    outer = line(adding("1"), line(adding("sub1")), n2={"compile_options": {"interrupt_before": ["1"]}})
    runnable = outer.compile(checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, "input", checkpoint_id="1")
    assert stop.value.info.sub_graphs["2"].before_nodes == ("1",)
    assert await call(runnable, streaming, checkpoint_id="1") == "input1sub1"


async def test_s88_none_is_an_input() -> None:
    """S88: None as input survives the stop."""

    async def ask(value: Any, ctx: RunContext[Any]) -> str:
        assert value is None
        if not ctx.was_interrupted:
            interrupt()
        return "success"

    runnable = line(ask).compile(checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt):
        await runnable.invoke(None, checkpoint_id="1")
    assert await runnable.invoke(None, checkpoint_id="1") == "success"


@both
async def test_s91_state_and_typed_data(streaming: bool) -> None:
    """S91: the node finds its state and the caller's data, a value of a registered type."""

    async def ask(text: str, ctx: RunContext[Any]) -> str:
        answer = interrupt({"why": text}, state={"seen": text})
        assert ctx.is_resume_target
        assert ctx.resume_data == answer
        assert not ctx.has_target_below
        return f"{ctx.interrupt_state['seen']}:{answer.content}"

    runnable = line(ask).compile(name="root", checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, "first", checkpoint_id="1")
    (context,) = stop.value.contexts
    assert (context.address_text, context.info) == ("runnable:root;node:1", {"why": "first"})
    data = assistant_message("yes")
    assert await call(runnable, streaming, "new", checkpoint_id="1", resume={context.id: data}) == "first:yes"


def asking_tool(log: list[str]) -> Any:
    @tool
    async def ask(q: str) -> str:
        """Ask a person."""
        ctx = current_context()
        log.append(f"{ctx.address[-1].sub_id}:{ctx.was_interrupted}:{ctx.is_resume_target}")
        return f"{q}={interrupt({'q': q})}"

    return ask


def calls(*ids: str, name: str = "ask") -> Message:
    return assistant_message("", tool_calls=[tool_call(name, {"q": i}, id=i) for i in ids])


@both
async def test_s92_a_tool_in_a_nested_nested_graph(streaming: bool) -> None:
    """S92: the address goes all the way down, and the parents all the way up."""
    log: list[str] = []

    async def model(_: Any) -> Message:
        return calls("call_123")

    b = Graph[Any, Any]().add_lambda_node("model", model).add_tools_node("tools", ToolsNode([asking_tool(log)]))
    b.add_edge(START, "model").add_edge("model", "tools").add_edge("tools", END)
    a = Graph[Any, Any]().add_graph_node("sub_graph_b", b)
    a.add_edge(START, "sub_graph_b").add_edge("sub_graph_b", END)
    root = Graph[Any, Any]().add_graph_node("sub_graph_a", a)
    root.add_edge(START, "sub_graph_a").add_edge("sub_graph_a", END)
    runnable = root.compile(name="root", checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, "x", checkpoint_id="1")
    (context,) = stop.value.contexts
    assert context.address_text == "runnable:root;node:sub_graph_a;node:sub_graph_b;node:tools;tool:ask:call_123"
    assert context.parent is not None
    assert not context.parent.is_root_cause
    assert context.parent.address[-1].id == "tools"
    (message,) = await call(runnable, streaming, checkpoint_id="1", resume={context.id: "fine"})
    assert message.content == "call_123=fine"
    assert log == ["call_123:False:False", "call_123:True:True"]


async def test_s94_tools_in_a_loop_look_fresh_again() -> None:
    """S94: only the named call is a target; a later call of the same tool has no state of the earlier ones."""
    log: list[str] = []
    rounds = [calls("call_1", "call_2"), calls("call_3"), assistant_message("all done")]

    async def model(_: Any, ctx: RunContext[Letters]) -> Message:
        ctx.state.a += "."
        return rounds[len(ctx.state.a) - 1]

    graph = Graph[Any, Message](state=Letters).add_lambda_node("model", model)
    graph.add_tools_node("tools", ToolsNode([asking_tool(log)])).add_edge(START, "model").add_edge("tools", "model")
    graph.add_branch("model", Branch(lambda m: "tools" if m.tool_calls else END, ends={"tools", END}))
    runnable = graph.compile(name="root", checkpoint_store=MemoryStore())

    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke([], checkpoint_id="1")
    assert [context.info["q"] for context in stop.value.contexts] == ["call_1", "call_2"]
    first = stop.value.contexts
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke(checkpoint_id="1", resume={first[0].id: "r1"})
    assert [context.info["q"] for context in stop.value.contexts] == ["call_2"]
    assert stop.value.contexts[0].id == first[1].id
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke(checkpoint_id="1", resume={first[1].id: "r2"})
    assert [context.info["q"] for context in stop.value.contexts] == ["call_3"]
    last = await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: "r3"})
    assert last.content == "all done"
    assert sorted(log[:2]) == ["call_1:False:False", "call_2:False:False"]
    assert sorted(log[2:4]) == ["call_1:True:True", "call_2:True:False"]
    assert log[4:] == ["call_2:True:True", "call_3:False:False", "call_3:True:True"]


@both
async def test_s95_a_graph_inside_a_lambda(streaming: bool) -> None:
    """S95: it nests by itself; its checkpoint lives in the outer one, whatever store it has."""

    async def inner_node(text: str) -> str:
        return f"{text} {interrupt('inner')}"

    inner = line(adding("!"), inner_node).compile(name="inner", checkpoint_store=MemoryStore())
    begun = []

    async def lambda_node(text: str) -> str:
        begun.append(text)
        try:
            return await inner.invoke(text, checkpoint_id="own")
        except Exception as error:  # an interrupt is none of these
            return f"eaten {error}"

    runnable = line(lambda_node).compile(name="root", checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, "x", checkpoint_id="1")
    (context,) = stop.value.contexts
    assert context.address_text == "runnable:root;node:1;runnable:inner;node:2"
    assert context.parent is not None
    assert context.parent.address_text == "runnable:root;node:1;runnable:inner"
    assert await call(runnable, streaming, checkpoint_id="1", resume={context.id: "done"}) == "x! done"
    assert begun == ["x", "x"]


async def test_s97_a_tool_runs_a_graph_that_interrupts() -> None:
    """S97: a graph inside a tool; the tool is an ancestor of the target, the inner node the target."""
    flags = []

    async def inner_node(text: str) -> str:
        ctx = current_context()
        flags.append(("node", ctx.is_resume_target, ctx.has_target_below))
        return f"{text}:{interrupt('inner')}"

    inner = line(inner_node).compile(name="inner")

    @tool
    async def wrapper(q: str) -> str:
        """Run a graph."""
        ctx = current_context()
        flags.append(("tool", ctx.is_resume_target, ctx.has_target_below))
        async with interrupt_group("wrapper tool interrupt") as group:
            with group.part("step", "one"):
                return await inner.invoke(q)
        raise AssertionError

    runnable = line(ToolsNode([wrapper], on_error="return_to_model")).compile(
        name="root", checkpoint_store=MemoryStore()
    )
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke(calls("c", name="wrapper"), checkpoint_id="1")
    context = stop.value.contexts[0]
    chain = []
    while context is not None:
        chain.append(context.info)
        context = context.parent
    assert chain == ["inner", None, None, "wrapper tool interrupt", None, None]
    (message,) = await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: "ok"})
    assert message.content == "c:ok"
    assert flags == [("tool", False, False), ("node", False, False), ("tool", False, True), ("node", True, False)]


@both
async def test_s100_finished_tools_are_not_run_again(streaming: bool) -> None:
    """S100: of four calls two interrupt; the others ran once, and the results come in the order of the calls."""
    ran: list[str] = []

    @tool
    async def plain(q: str) -> str:
        """Work."""
        ran.append(q)
        return q.upper()

    node = ToolsNode([asking_tool([]), plain])
    both_kinds = [*calls("t3", "t4", name="plain").tool_calls, *calls("t1", "t2").tool_calls]
    runnable = line(node).compile(checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await call(runnable, streaming, assistant_message("", tool_calls=both_kinds), checkpoint_id="1")
    assert {context.info["q"] for context in stop.value.contexts} == {"t1", "t2"}
    answers = {context.id: context.info["q"] + "!" for context in stop.value.contexts}
    messages = await call(runnable, streaming, checkpoint_id="1", resume=answers)
    assert [message.content for message in messages] == ["T3", "T4", "t1=t1!", "t2=t2!"]
    assert sorted(ran) == ["t3", "t4"]


@pytest.mark.parametrize("trigger", ["any", "all"])
async def test_x9_what_runs_beside_an_interrupt_is_awaited(virtual_clock: VirtualClock, trigger: Any) -> None:
    """X9: nodes that run are awaited and kept; in a DAG the follow-up of a fast node runs before."""
    ran: list[str] = []

    def noted(name: str, seconds: float, stops: bool = False) -> Any:
        async def node(value: Any) -> dict[str, str]:
            ran.append(name)
            await anyio.sleep(seconds)
            if stops:
                interrupt(name)
            ran.append(name + ".")
            return {name: "."}

        return node

    graph = Graph[str, dict[str, Any]]()
    graph.add_lambda_node("stops", noted("stops", 0.05, stops=True)).add_lambda_node("fast", noted("fast", 0.01))
    graph.add_lambda_node("slow", noted("slow", 1)).add_lambda_node("behind", noted("behind", 0.01))
    graph.add_lambda_node("late", noted("late", 0.01)).add_lambda_node("join", lambda value: value)
    for source, target in [(START, "stops"), (START, "fast"), (START, "slow"), ("fast", "behind"), ("slow", "late")]:
        graph.add_edge(source, target)
    for source in ("stops", "behind", "late"):
        graph.add_edge(source, "join")
    graph.add_edge("join", END)
    runnable = (
        graph.compile(trigger=trigger, checkpoint_store=MemoryStore(), max_steps=9)
        if trigger == "any"
        else (graph.compile(trigger=trigger, checkpoint_store=MemoryStore()))
    )
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("x", checkpoint_id="1")
    assert "slow." in ran
    assert "late" not in ran
    assert ("behind." in ran) is (trigger == "all")
    before = len(ran)
    got = await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: None})
    again = ran[before:]
    assert "fast" not in again
    assert "slow" not in again
    assert got["stops"] == "."


async def test_x13_before_and_after_in_a_loop() -> None:
    """X13: one stop before, then before and after together each round; behind the last round there is none."""

    async def step(text: str) -> str:
        return text + "."

    graph = Graph[str, str]().add_lambda_node("step", step).add_edge(START, "step")
    graph.add_branch("step", Branch(lambda text: END if len(text) == 3 else "step", ends={"step", END}))
    runnable = graph.compile(checkpoint_store=MemoryStore(), interrupt_before=["step"], interrupt_after=["step"])
    stops = []
    for given in (("",), (), ()):
        with pytest.raises(GraphInterrupt) as stop:
            await runnable.invoke(*given, checkpoint_id="1")
        stops.append((stop.value.info.before_nodes, stop.value.info.after_nodes))
    assert stops == [(("step",), ()), (("step",), ("step",)), (("step",), ("step",))]
    assert await runnable.invoke(checkpoint_id="1") == "..."


async def test_interrupts_without_a_store_still_end_the_run() -> None:
    """Contexts are filled, nothing is saved, and no handler inside the run can eat the interrupt."""

    async def ask(text: str) -> str:
        try:
            return str(interrupt("sure?"))
        except Exception:
            return "eaten"

    runnable = line(adding("1"), ask).compile(name="root")
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("x")
    assert [context.address_text for context in stop.value.contexts] == ["runnable:root;node:2"]
    assert stop.value.info.rerun_nodes == ("2",)
    with pytest.raises(GraphInterrupt):
        await call(runnable, True, "x")


async def test_bad_ids_and_targets() -> None:
    """Each is refused with its reason, and the stored run is as it was."""

    async def ask(text: str) -> str:
        return f"{text}{interrupt('sure?')}"

    store = MemoryStore()
    runnable = line(ask).compile(name="root", checkpoint_store=store)
    with pytest.raises(UnknownRunError, match="nope"):
        await runnable.invoke(checkpoint_id="nope")
    with pytest.raises(UnknownRunError, match="nope"):
        await runnable.invoke("x", checkpoint_id="nope", resume={"a": 1})
    assert await store.list() == []
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("x", checkpoint_id="1")
    with pytest.raises(UnknownTargetError, match="runnable:root;node:1"):
        await runnable.invoke(checkpoint_id="1", resume={"other": 1})
    with pytest.raises(RunError, match="checkpoint_store"):
        await line(ask).compile().invoke("x", checkpoint_id="1")
    assert await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].address_text: "!"}) == "x!"
    assert await store.list() == []


@both
@pytest.mark.parametrize(
    ("value", "expected"), [pytest.param([], {"static": 2}, id="skipped"), ([1], {"output": 2, "static": 2})]
)
async def test_s115_a_workflow_stops_before_a_node(streaming: bool, value: list[int], expected: Any) -> None:
    """S115: a node with mapped, data-only input behind a branch gives the same after an interrupt."""
    workflow = Workflow[list[int], dict[str, int]]()
    node = workflow.add_lambda_node("1", lambda number: number + 1)
    node.add_input(START, to_field("", extract=lambda values: values[0]), data_only=True)
    workflow.add_branch(START, Branch(lambda values: "1" if values else END, ends=["1", END]))
    workflow.end().add_input("1", to_field("output")).set_static_value("static", 2)
    runnable = workflow.compile(checkpoint_store=MemoryStore(), interrupt_before=["1"])
    if value:
        with pytest.raises(GraphInterrupt) as stop:
            await call(runnable, streaming, value, checkpoint_id="1")
        assert stop.value.info.before_nodes == ("1",)
        assert await call(runnable, streaming, checkpoint_id="1") == expected
    else:
        assert await call(runnable, streaming, value, checkpoint_id="1") == expected


async def test_messages_go_through_a_chain_and_a_stream_is_collected() -> None:
    """A chain stops too; collect and transform take the options as well."""

    async def pieces() -> AsyncIterator[str]:
        for letter in "ab":
            yield letter

    async def ask(text: str) -> str:
        return f"{text}{interrupt()}"

    runnable = Chain[str, str]().append_lambda(ask, key="ask").compile(name="c", checkpoint_store=MemoryStore())
    for begin in (runnable.collect, runnable.transform):
        with pytest.raises(GraphInterrupt) as stop:
            await begin(pieces(), checkpoint_id="1")
        answer = {stop.value.contexts[0].id: "!"}
        assert await runnable.collect(pieces(), checkpoint_id="1", resume=answer) == "ab!"


@pytest.mark.parametrize("durability", ["interrupt", "step"])
async def test_a_long_loop_goes_on_with_its_steps_counted(durability: Any) -> None:
    """The limit of steps holds across resumes, and an interrupt in round n goes on in round n."""

    async def step(text: str) -> str:
        if len(text) == 3:
            interrupt("half")
        return text + "."

    graph = Graph[str, str]().add_lambda_node("step", step).add_edge(START, "step")
    graph.add_branch("step", Branch(lambda text: END if len(text) == 9 else "step", ends={"step", END}))
    runnable = graph.compile(checkpoint_store=MemoryStore(), durability=durability, max_steps=5)
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("", checkpoint_id="1")
    with pytest.raises(MaxStepsError, match="5 steps"):
        await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: None})
    assert await runnable.invoke(checkpoint_id="1", max_steps=9) == "." * 9


async def test_interrupts_in_worker_threads_and_sync_runs() -> None:
    """A plain function in a thread interrupts like any other; code that cannot await gets the same error."""

    def plain(text: str) -> str:
        return f"{text}{interrupt('thread')}"

    graph = Graph[str, str]().add_lambda_node("plain", Lambda(plain, threaded=True)).add_edge(START, "plain")
    runnable = graph.add_edge("plain", END).compile(checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("x", checkpoint_id="1")
    assert await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: "!"}) == "x!"


async def test_the_address_and_flags_of_ancestors() -> None:
    """D3: without a target nobody is one; ancestors of a target have one below and are none themselves."""
    flags: list[tuple[bool, bool, bool]] = []

    async def ask(text: str) -> str:
        return f"{text}{interrupt()}"

    inner = line(ask).compile(name="inner")

    async def outer(text: str) -> str:
        ctx = current_context()
        flags.append((ctx.was_interrupted, ctx.is_resume_target, ctx.has_target_below))
        return await inner.invoke(text)

    runnable = line(outer).compile(name="root", checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("x", checkpoint_id="1")
    with pytest.raises(GraphInterrupt):
        await runnable.invoke(checkpoint_id="1")
    assert await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: 1}) == "x1"
    assert flags == [(False, False, False), (False, False, False), (False, False, True)]


async def test_the_same_graph_twice_in_one_node() -> None:
    """Two runs of one graph inside a node are told apart; the second goes on where it stood."""

    async def ask(text: str) -> str:
        return f"{text}{interrupt(text)}"

    inner = line(ask).compile(name="inner")

    async def outer(text: str) -> str:
        return await inner.invoke(text + "1") + await inner.invoke(text + "2")

    runnable = line(outer).compile(name="root", checkpoint_store=MemoryStore())
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke("x", checkpoint_id="1")
    with pytest.raises(GraphInterrupt) as again:
        await runnable.invoke(checkpoint_id="1", resume={stop.value.contexts[0].id: "a"})
    assert again.value.contexts[0].address_text == "runnable:root;node:1;runnable:inner:2;node:1"
    assert await runnable.invoke(checkpoint_id="1", resume={again.value.contexts[0].id: "b"}) == "x1ax2b"
