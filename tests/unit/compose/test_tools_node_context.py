"""What handlers hear of tool calls, and what tools know of theirs."""

# ruff: noqa: A002 - `next` is the word of the documentation, `input` that of handlers

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from eino._run import RetryPolicy, RunContext, current_context
from eino._run.address import address_text
from eino.callbacks import Handler, RunInfo, add_global_handler, around, handler_builder
from eino.components import tool
from eino.compose import Chain, Runnable
from eino.compose.tools_node import ToolAliases, ToolInput, ToolNext, ToolOutput, ToolsNode, current_tool_call_id
from eino.errors import RunError, ToolError
from eino.schema import Message, StreamReader, ToolInfo, assistant_message, concat, tool_call
from eino_fixtures import ByChar, fake_tool


def calls(*names: str) -> Message:
    return assistant_message("", [tool_call(name, {}, id=f"c{number}") for number, name in enumerate(names)])


def chain_of(node: ToolsNode, **options: Any) -> Runnable[Message, list[Message]]:
    chain = Chain[Message, list[Message]]().append_tools_node(node, key="tools", **options)
    return chain.compile(name="root")


class Recorder(Handler):
    """Hears of tools; reads streams when told to."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, object]] = []
        self.infos: dict[str, RunInfo] = {}
        self.readers: list[StreamReader[Any]] = []

    def needed(self, info: RunInfo, timing: str) -> bool:
        self.infos.setdefault(info.name, info)
        return info.component == "Tool"

    def _note(self, timing: str, info: RunInfo, payload: object) -> None:
        self.events.append((timing, info.name, info.type, payload))

    def on_start(self, info: RunInfo, input: Any) -> None:
        self._note("start", info, input)

    def on_end(self, info: RunInfo, output: Any) -> None:
        self._note("end", info, output)

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        if self.needed(info, "on_error"):
            self._note("error", info, repr(error))

    def on_end_stream_output(self, info: RunInfo, reader: Any) -> None:
        self._note("stream", info, None)
        self.readers.append(reader)


async def test_handlers_hear_each_call_under_the_name_that_was_called() -> None:
    @tool
    def web_search() -> str:
        """Search."""
        return "found"

    node = ToolsNode(
        [web_search, fake_tool("bad", returns=ValueError("broken"))],
        on_error="return_to_model",
        aliases={"web_search": ToolAliases(names=["find"])},
        sequential=True,
    )
    recorder = Recorder()

    await chain_of(node).invoke(calls("find", "bad", "made_up"), callbacks=[recorder])

    assert recorder.events == [
        ("start", "find", "WebSearch", "{}"),
        ("end", "find", "WebSearch", "found"),
        ("start", "bad", "FakeTool", "{}"),
        ("error", "bad", "FakeTool", "ValueError('broken')"),
        ("start", "made_up", "UnknownTool", "{}"),
        (
            "error",
            "made_up",
            "UnknownTool",
            "ToolError(\"tool 'made_up' not found in toolsNode indexes; the tools are ['web_search', 'bad']\")",
        ),
    ]
    tools = recorder.infos["tools"]
    assert {recorder.infos[name].parent_id for name in ("find", "bad", "made_up")} == {tools.run_id}
    assert len({info.run_id for info in recorder.infos.values()}) == len(recorder.infos) == 5


async def test_handlers_get_a_copy_of_a_stream() -> None:
    node = ToolsNode([fake_tool("spell", returns="abc", chunks=ByChar()), fake_tool("whole")])
    recorder = Recorder()
    heard = []

    async for row in chain_of(node).stream(calls("spell", "whole"), callbacks=[recorder]):
        heard.append(row)
        if len(heard) == 4:
            assert [piece async for piece in recorder.readers[0]] == ["a", "b", "c"]

    assert concat(heard)[0].content == "abc"
    assert sorted(event[:2] for event in recorder.events) == [
        ("end", "whole"),
        ("start", "spell"),
        ("start", "whole"),
        ("stream", "spell"),
    ]


async def test_an_unread_copy_is_closed_with_the_run() -> None:
    node = ToolsNode([fake_tool("spell", returns="abc", chunks=ByChar())])
    recorder = Recorder()

    rows = [row async for row in chain_of(node).stream(calls("spell"), callbacks=[recorder])]

    assert len(rows) == 3
    assert not recorder.readers[0].is_open


async def test_an_unread_copy_in_a_value_run_is_closed_with_the_call() -> None:
    async def stream(call: ToolInput, next: ToolNext) -> ToolOutput:
        return await next(call.replace(streaming=True))

    recorder = Recorder()
    node = ToolsNode([fake_tool("spell", returns="abc", chunks=ByChar())], middlewares=[stream])

    results = await chain_of(node).invoke(calls("spell", "spell"), callbacks=[recorder])

    assert [each.content for each in results] == ["abc", "abc"]
    assert [reader.is_open for reader in recorder.readers] == [False, False]


async def test_a_stream_that_cannot_start_is_an_error_for_handlers() -> None:
    node = ToolsNode([fake_tool("spell", returns=ValueError("broken"), chunks=ByChar())], on_error="return_to_model")
    recorder = Recorder()

    [row] = [row async for row in chain_of(node).stream(calls("spell"), callbacks=[recorder])]

    assert row[0].content == "Error: ValueError: broken"
    assert [event[0] for event in recorder.events] == ["start", "error"]


async def test_callbacks_are_inside_the_middlewares() -> None:
    async def twice(call: ToolInput, next: ToolNext) -> ToolOutput:
        await next(call.replace(arguments="1"))
        return await next(call.replace(arguments="2"))

    recorder = Recorder()
    node = ToolsNode([fake_tool("ask", returns=lambda arguments: str(arguments))], middlewares=[twice])

    await chain_of(node).invoke(calls("ask"), callbacks=[recorder])

    assert [event[0::3] for event in recorder.events] == [("start", "1"), ("end", "1"), ("start", "2"), ("end", "2")]


async def test_a_tool_that_fires_its_own_callbacks_gets_none() -> None:
    class Own:
        info = ToolInfo(name="own")
        self_instrumented = True

        async def run(self, arguments: str) -> str:
            with around("Tool", name="mine", input=arguments) as span:
                span.end("told")
            return "done"

    recorder = Recorder()

    await chain_of(ToolsNode([Own()])).invoke(calls("own"), callbacks=[recorder])

    assert recorder.events == [("start", "mine", "", "{}"), ("end", "mine", "", "told")]


async def test_what_a_tool_runs_is_its_child() -> None:
    inner = Chain[str, str]().append_lambda(str.upper).compile(name="inner")

    @tool
    async def ask(text: str = "x") -> str:
        """Ask."""
        return await inner.invoke(text)

    @tool
    async def tell(text: str = "x") -> AsyncIterator[str]:
        """Tell."""
        yield text
        yield await inner.invoke(text)

    for name in ("ask", "tell"):
        recorder = Recorder()
        node = ToolsNode([ask, tell])
        rows = [row async for row in chain_of(node).stream(calls(name), callbacks=[recorder])]

        assert concat(rows)[0].content == {"ask": "X", "tell": "xX"}[name]
        assert recorder.infos["inner"].parent_id == recorder.infos[name].run_id


@pytest.mark.parametrize("timing", ["on_start", "on_end", "on_end_stream_output"])
@pytest.mark.parametrize("place", ["in a run", "alone"])
async def test_a_broken_handler_fails_the_run_and_no_policy_answers_for_it(timing: str, place: str) -> None:
    def broken(info: RunInfo, payload: object) -> None:
        if info.component == "Tool":
            raise ValueError("broken handler")

    handler = handler_builder(**{timing: broken})  # type: ignore[arg-type]  # the names are those of the timings
    spell = fake_tool("spell", returns="ab", chunks=ByChar() if timing == "on_end_stream_output" else None)
    node = ToolsNode([spell, fake_tool("fine")], on_error="return_to_model")
    chain = chain_of(node)

    with pytest.raises(RunError, match=f"callback handler {timing} of Tool 'spell' raised ValueError: broken handler"):
        if place == "in a run":
            [row async for row in chain.stream(calls("spell", "fine"), callbacks=[handler])]
        else:
            with globally(handler):
                [row async for row in node.stream(calls("spell", "fine"))]
    if timing != "on_end_stream_output":
        with pytest.raises(RunError, match=f"callback handler {timing} of Tool 'spell' raised ValueError") as caught:
            await chain.invoke(calls("spell"), callbacks=[handler])
        assert caught.value.node_path == ("tools",)


class globally:  # noqa: N801 - used like a function
    """Lets a handler hear everything within the block."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __enter__(self) -> None:
        self._undo = add_global_handler(self._handler)

    def __exit__(self, *_: object) -> None:
        self._undo()


@pytest.fixture
def global_recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    with globally(recorder):
        yield recorder


async def test_outside_a_run_global_handlers_hear_the_calls(global_recorder: Recorder) -> None:
    node = ToolsNode([fake_tool("spell", returns="ab", chunks=ByChar()), fake_tool("whole")], sequential=True)

    await node.invoke(calls("whole", "spell"))
    assert [event[:2] for event in global_recorder.events] == [
        ("start", "whole"),
        ("end", "whole"),
        ("start", "spell"),
        ("end", "spell"),
    ]
    global_recorder.events.clear()

    rows = [row async for row in node.stream(calls("whole", "spell"))]
    assert concat(rows) == await node.invoke(calls("whole", "spell"))
    assert [event[:2] for event in global_recorder.events][:4] == [
        ("start", "whole"),
        ("end", "whole"),
        ("start", "spell"),
        ("stream", "spell"),
    ]
    assert not global_recorder.readers[0].is_open


async def test_a_tool_knows_its_place_and_its_call() -> None:
    @tool
    async def where(ctx: RunContext[None]) -> str:
        """Where am I?"""
        return f"{address_text(ctx.address)} {current_tool_call_id()}"

    @tool
    async def there() -> AsyncIterator[str]:
        """Where am I while I stream?"""
        for _ in range(2):
            yield f"{address_text(current_context().address)} {current_tool_call_id()} "

    chain = chain_of(ToolsNode([where, there], aliases={"where": ToolAliases(names=["here"])}))
    expected = [
        "runnable:root;node:tools;tool:here:c0 c0",
        "runnable:root;node:tools;tool:there:c1 c1 " * 2,
        "runnable:root;node:tools;tool:where:c2 c2",
    ]

    assert [each.content for each in await chain.invoke(calls("here", "there", "where"))] == expected
    rows = [row async for row in chain.stream(calls("here", "there", "where"))]
    assert [each.content for each in concat(rows)] == expected
    assert (await chain.invoke(calls("where")))[0].content == "runnable:root;node:tools;tool:where:c0 c0"
    assert concat([row async for row in chain.stream(calls("there"))])[0].content == (
        "runnable:root;node:tools;tool:there:c0 c0 " * 2
    )


async def test_the_caller_keeps_its_own_place() -> None:
    seen: list[str] = []

    async def look(call: ToolInput, next: ToolNext) -> ToolOutput:
        seen.append(address_text(current_context().address))
        return await next(call)

    node = ToolsNode([fake_tool("spell", returns="ab", chunks=ByChar())], middlewares=[look])

    async def caller(message: Message) -> str:
        before = address_text(current_context().address)
        await node.invoke(message)
        places = {address_text(current_context().address)}
        async for _ in node.stream(message):
            places.add(address_text(current_context().address))
        assert places == {before}
        assert current_tool_call_id() is None
        return before

    chain = Chain[Message, str]().append_lambda(caller, key="caller").compile()

    place = await chain.invoke(calls("spell"))
    assert seen == [f"{place};tool:spell:c0"] * 2


async def test_messages_beside_each_other_in_one_node_have_places_of_their_own() -> None:
    met: list[str] = []
    both = anyio.Event()

    @tool
    async def meet(ctx: RunContext[None]) -> str:
        """Where am I, when the other one is there as well?"""
        met.append(current_tool_call_id() or "")
        if len(met) == 2:
            both.set()
        await both.wait()
        return f"{address_text(ctx.address)} {current_tool_call_id()}"

    node = ToolsNode([meet])
    found: dict[str, str] = {}

    async def ask(call_id: str) -> None:
        [result] = await node.invoke(assistant_message("", [tool_call("meet", "{}", id=call_id)]))
        found[call_id] = str(result.content)

    async def caller(_: str) -> str:
        before = address_text(current_context().address)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "x")
            tasks.start_soon(ask, "y")
        assert address_text(current_context().address) == before
        return before

    place = await Chain[str, str]().append_lambda(caller, key="caller").compile().invoke("")

    assert found == {each: f"{place};tool:meet:{each} {each}" for each in ("x", "y")}


async def test_a_graph_inside_a_tool_knows_the_call() -> None:
    def node(text: str) -> str:
        return f"{current_tool_call_id()} {address_text(current_context().address)}"

    inner = Chain[str, str]().append_lambda(node, key="inner").compile(name="sub")

    @tool
    async def ask() -> str:
        """Ask."""
        return await inner.invoke("")

    [result] = await chain_of(ToolsNode([ask])).invoke(calls("ask"))

    assert result.content == "c0 runnable:root;node:tools;tool:ask:c0;runnable:sub;node:inner"


async def test_outside_a_run_there_is_no_call_to_know_of() -> None:
    @tool
    async def which() -> str:
        """Which call is this?"""
        return str(current_tool_call_id())

    assert current_tool_call_id() is None
    assert (await ToolsNode([which]).invoke(calls("which")))[0].content == "None"


async def test_a_tool_knows_which_try_of_its_node_it_is() -> None:
    attempts: list[int] = []

    @tool
    async def flaky(ctx: RunContext[None]) -> str:
        """Fail once."""
        attempts.append(ctx.attempt)
        if len(attempts) == 1:
            raise ConnectionError("reset")
        return "then"

    chain = chain_of(ToolsNode([flaky]), retry=RetryPolicy(max_attempts=2, base_s=0.0))

    assert (await chain.invoke(calls("flaky")))[0].content == "then"
    assert attempts == [1, 2]


async def test_an_error_in_a_tool_ends_its_place() -> None:
    node = ToolsNode([fake_tool("bad", returns=ValueError("broken"))])

    async def caller(message: Message) -> str:
        with pytest.raises(ToolError):
            await node.invoke(message)
        with pytest.raises(ToolError):
            [row async for row in node.stream(message)]
        return address_text(current_context().address)

    chain = Chain[Message, str]().append_lambda(caller, key="caller").compile(name="root")

    assert await chain.invoke(calls("bad")) == "runnable:root;node:caller"
