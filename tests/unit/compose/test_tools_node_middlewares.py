"""Middlewares of tool calls."""

# ruff: noqa: A002 - `next` is the word of the documentation, `input` that of handlers

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eino.compose.tools_node import ToolAliases, ToolInput, ToolNext, ToolOutput, ToolsNode
from eino.errors import BuildError, ToolError
from eino.schema import Message, StreamReader, assistant_message, concat, tool_call, tool_result
from eino_fixtures import ByChar, fake_tool


def call(name: str, arguments: Any = "") -> Message:
    return assistant_message("", [tool_call(name, arguments, id="c0")])


async def content(node: ToolsNode, message: Message, mode: str) -> str:
    if mode == "invoke":
        [result] = await node.invoke(message)
        return result.content
    [cell] = concat([row async for row in node.stream(message)])
    assert cell is not None
    return cell.content


MODES = pytest.mark.parametrize("mode", ["invoke", "stream"])


@MODES
async def test_the_first_is_the_outermost_and_all_see_the_call_before_the_tool(mode: str) -> None:
    seen: list[str] = []

    def naming(name: str) -> Any:
        async def middleware(call: ToolInput, next: ToolNext) -> ToolOutput:
            seen.append(f"{name} {call.name} {call.called_name} {call.call_id} {call.arguments}")
            result = await next(call)
            seen.append(f"{name} {result}")
            return result

        return middleware

    node = ToolsNode(
        [fake_tool("search", returns="found")],
        aliases={"search": ToolAliases(names=["find"], arguments={"query": ["q"]})},
        map_arguments=lambda name, arguments: arguments.replace("1", "2"),
        middlewares=[naming("outer"), naming("inner")],
    )

    assert await content(node, call("find", '{"q":1}'), mode) == "found"
    assert seen == [
        'outer search find c0 {"query":2}',
        'inner search find c0 {"query":2}',
        "inner found",
        "outer found",
    ]


@MODES
async def test_a_middleware_may_change_the_call_the_result_or_answer_itself(mode: str) -> None:
    async def change(call: ToolInput, next: ToolNext) -> ToolOutput:
        if call.arguments == "{}":
            return "from the cache"
        result = await next(call.replace(arguments='{"n":2}'))
        assert isinstance(result, str)
        return result * 2

    tool = fake_tool("echo", returns=lambda arguments: str(arguments["n"]))
    node = ToolsNode([tool], middlewares=[change])

    assert await content(node, call("echo", {"n": 1}), mode) == "22"
    assert await content(node, call("echo", "{}"), mode) == "from the cache"
    assert [run.arguments for run in tool.calls] == ['{"n":2}']


@MODES
async def test_a_middleware_may_call_again(mode: str) -> None:
    async def again(call: ToolInput, next: ToolNext) -> ToolOutput:
        try:
            return await next(call)
        except ValueError:
            return await next(call)

    tool = fake_tool("flaky", script=[ValueError("once"), "then"], chunks=ByChar())

    assert await content(ToolsNode([tool], middlewares=[again]), call("flaky"), mode) == "then"
    assert len(tool.calls) == 2


async def test_streaming_says_whether_the_result_is_a_stream() -> None:
    seen: list[tuple[str, bool, bool]] = []

    async def look(call: ToolInput, next: ToolNext) -> ToolOutput:
        result = await next(call)
        seen.append((call.name, call.streaming, isinstance(result, StreamReader)))
        return result

    node = ToolsNode(
        [fake_tool("whole"), fake_tool("spell", returns="ab", chunks=ByChar())], middlewares=[look], sequential=True
    )
    message = assistant_message("", [tool_call("whole", id="a"), tool_call("spell", id="b")])

    await node.invoke(message)
    assert seen == [("whole", False, False), ("spell", False, False)]
    seen.clear()
    [row async for row in node.stream(message)]
    assert seen == [("whole", False, False), ("spell", True, True)]


async def test_a_middleware_may_map_the_stream_replace_it_or_ask_for_the_whole() -> None:
    async def upper(call: ToolInput, next: ToolNext) -> ToolOutput:
        result = await next(call)
        assert isinstance(result, StreamReader)
        return result.map(lambda piece: str(piece).upper())

    async def own(call: ToolInput, next: ToolNext) -> AsyncIterator[str]:
        async def pieces() -> AsyncIterator[str]:
            yield "o"
            yield "wn"

        return pieces()

    async def whole(call: ToolInput, next: ToolNext) -> ToolOutput:
        return await next(call.replace(streaming=False))

    async def rows(middleware: Any) -> list[str]:
        node = ToolsNode([fake_tool("spell", returns="ab", chunks=ByChar())], middlewares=[middleware])
        return [row[0].content async for row in node.stream(call("spell")) if row[0] is not None]

    assert await rows(upper) == ["A", "B"]
    assert await rows(own) == ["o", "wn"]
    assert await rows(whole) == ["ab"]


async def test_a_stream_in_a_value_run_is_joined() -> None:
    async def stream(call: ToolInput, next: ToolNext) -> ToolOutput:
        return await next(call.replace(streaming=True))

    async def parts(call: ToolInput, next: ToolNext) -> AsyncIterator[Any]:
        async def pieces() -> AsyncIterator[Any]:
            yield "a"
            yield tool_result("b")

        return pieces()

    async def wrong(call: ToolInput, next: ToolNext) -> AsyncIterator[Any]:
        async def pieces() -> AsyncIterator[Any]:
            yield 1

        return pieces()

    spell = fake_tool("spell", returns="ab", chunks=ByChar())

    assert await content(ToolsNode([spell], middlewares=[stream]), call("spell"), "invoke") == "ab"
    assert spell.calls[0].streamed
    assert await content(ToolsNode([fake_tool("x")], middlewares=[stream]), call("x"), "invoke") == "ok"
    [result] = await ToolsNode([spell], middlewares=[parts]).invoke(call("spell"))
    assert result.user_parts == tool_result("ab").to_user_parts()
    with pytest.raises(ToolError, match="the result of tool 'spell' is 1, a int"):
        await ToolsNode([spell], middlewares=[wrong]).invoke(call("spell"))


@MODES
async def test_what_a_middleware_raises_is_the_error_of_the_call(mode: str) -> None:
    async def refuse(call: ToolInput, next: ToolNext) -> ToolOutput:
        raise PermissionError("not allowed")

    node = ToolsNode([fake_tool("ask")], middlewares=[refuse])
    with pytest.raises(ToolError, match=r"c0.*: PermissionError: not allowed"):
        await content(node, call("ask"), mode)

    node = ToolsNode([fake_tool("ask")], middlewares=[refuse], on_error="return_to_model")
    assert await content(node, call("ask"), mode) == "Error: PermissionError: not allowed"


@MODES
async def test_what_a_middleware_returns_is_checked(mode: str) -> None:
    async def forget(call: ToolInput, next: ToolNext) -> Any:
        await next(call)

    with pytest.raises(ToolError, match="the result of tool 'ask' is None, a NoneType: tools and middlewares return"):
        await content(ToolsNode([fake_tool("ask")], middlewares=[forget]), call("ask"), mode)


async def test_unknown_tools_bypass_the_middlewares() -> None:
    async def refuse(call: ToolInput, next: ToolNext) -> ToolOutput:
        raise AssertionError("never called")

    node = ToolsNode([], middlewares=[refuse], on_unknown_tool=lambda name, arguments: "unknown")

    assert await content(node, call("made_up"), "invoke") == "unknown"


async def test_a_middleware_may_be_an_object() -> None:
    class Exclaim:
        async def __call__(self, call: ToolInput, next: ToolNext) -> ToolOutput:
            return f"{await next(call)}!"

    assert await content(ToolsNode([fake_tool("ask")], middlewares=[Exclaim()]), call("ask"), "invoke") == "ok!"


def plain(call: ToolInput, next: ToolNext) -> str:
    return ""


@pytest.mark.parametrize(
    ("middlewares", "text"),
    [
        pytest.param([plain], r"<function plain at .* is no tool middleware: make it `async def", id="plain"),
        pytest.param([None], r"None is no tool middleware", id="none"),
        pytest.param(plain, r"middlewares=<function plain at .*: give a list of them", id="no list"),
    ],
)
def test_a_middleware_that_cannot_work_is_refused_when_the_node_is_made(middlewares: Any, text: str) -> None:
    with pytest.raises(BuildError, match=text):
        ToolsNode([], middlewares=middlewares)


def test_an_input_is_replaced_by_field_names_only() -> None:
    made = ToolInput(name="a", arguments="", streaming=False, tool=fake_tool("a"), tool_call=tool_call("b", id="c"))

    assert made.replace(arguments="{}").arguments == "{}"
    assert (made.called_name, made.call_id) == ("b", "c")
    with pytest.raises(TypeError, match="nothing"):
        made.replace(nothing=1)
