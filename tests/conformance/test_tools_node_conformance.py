"""Rows of `core-scenarios.md` 3.8 about the tools node, and what core-semantics 1.14 and 2.13 say beside them."""

# ruff: noqa: A002 - `next` is the word of the documentation

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eino import (
    END,
    START,
    Graph,
    Message,
    RunError,
    StreamingTool,
    ToolAliases,
    ToolError,
    ToolInput,
    ToolNext,
    ToolsNode,
    ToolsOptions,
    as_tool,
    assistant_message,
    concat,
    tool,
    tool_call,
    tool_error_handler,
    user_message,
)
from eino.compose.tools_node import ToolOutput
from eino_fixtures import ScriptedChatModel, fake_tool


@tool
async def user_company(name: str, email: str) -> dict[str, str]:
    """Query a user's company."""
    return {"user_id": f"{name}@{email}", "gender": "male"}


@tool
async def user_salary(name: str, email: str) -> AsyncIterator[dict[str, int]]:
    """Query a user's salary, month by month."""
    for month in range(3):
        yield {"salary": 5000 + month}


ZHANG = {"name": "zhangsan", "email": "zhangsan@example.org"}
TWO_CALLS = assistant_message(
    "", [tool_call("user_company", ZHANG, id="call_company"), tool_call("user_salary", ZHANG, id="call_salary")]
)


def model_and_tools(node: ToolsNode) -> Any:
    """A graph of a model that emits two calls, and the tools."""
    graph = Graph[list[Message], list[Message]]()
    graph.add_chat_model_node("model", ScriptedChatModel([TWO_CALLS, TWO_CALLS]))
    graph.add_tools_node("tools", node)
    graph.add_edge(START, "model").add_edge("model", "tools").add_edge("tools", END)
    return graph.compile()


async def test_s98_invoke_gives_the_results_in_call_order() -> None:
    """S98: an invokable and a streamable tool; the streamed JSON objects are concatenated."""
    results = await model_and_tools(ToolsNode([user_salary, user_company])).invoke([user_message("hi")])

    assert [each.content for each in results] == [
        '{"user_id":"zhangsan@zhangsan@example.org","gender":"male"}',
        '{"salary":5000}{"salary":5001}{"salary":5002}',
    ]
    assert [(each.role, each.tool_call_id, each.tool_name) for each in results] == [
        ("tool", "call_company", "user_company"),
        ("tool", "call_salary", "user_salary"),
    ]


async def test_s98_stream_gives_one_cell_a_chunk() -> None:
    """S98: 4 chunks of length-2 lists with one non-None cell; their concatenation by column gives the same."""
    graph = model_and_tools(ToolsNode([user_company, user_salary]))

    chunks = [chunk async for chunk in graph.stream([user_message("hi")])]

    assert len(chunks) == 4
    assert all(len(chunk) == 2 and chunk.count(None) == 1 for chunk in chunks)
    assert concat(chunks) == await graph.invoke([user_message("hi")])


@pytest.mark.parametrize("mode", ["invoke", "stream"])
async def test_s101_a_middleware_tells_streaming_tools_from_others_in_both_modes(mode: str) -> None:
    """S101: the invokable tool gets "middleware1", the streamable one "middleware2", in Invoke and in Stream."""

    async def replace(call: ToolInput, next: ToolNext) -> ToolOutput:
        return "middleware2" if isinstance(call.tool, StreamingTool) else "middleware1"

    node = ToolsNode([user_company, user_salary], middlewares=[replace])

    if mode == "invoke":
        results = await node.invoke(TWO_CALLS)
    else:
        results = concat([row async for row in node.stream(TWO_CALLS)])

    assert [each.content for each in results] == ["middleware1", "middleware2"]


async def test_s103_the_arguments_handler_sees_canonical_names_before_the_tool() -> None:
    """S103: alias find for search, q for query; the handler sees "search" and the key query, before the tool."""
    seen: list[tuple[str, str]] = []

    async def handler(name: str, arguments: str) -> str:
        seen.append((name, arguments))
        return '{"query":"handled"}'

    search = fake_tool("search", returns=lambda arguments: arguments["query"])
    aliases = {"search": ToolAliases(names=["find"], arguments={"query": ["q"]})}
    node = ToolsNode([search], map_arguments=handler, aliases=aliases)

    [result] = await node.invoke(assistant_message("", [tool_call("find", {"q": "cats"}, id="1")]))

    assert seen == [("search", '{"query":"cats"}')]
    assert (result.content, result.tool_name) == ("handled", "find")


async def test_s103_aliases_of_tools_that_a_dynamic_list_leaves_out_are_gone() -> None:
    """S103: a per-call list without search: its alias is not found."""
    node = ToolsNode([fake_tool("search"), fake_tool("other")], aliases={"search": ToolAliases(names=["find"])})

    with pytest.raises(ToolError, match="tool 'find' not found in toolsNode indexes"):
        await node.invoke(
            assistant_message("", [tool_call("find", "{}", id="1")]), ToolsOptions(tools=[fake_tool("other")])
        )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param('{"q":"a","query":"b"}', '{"q":"a","query":"b"}', id="both keys are kept"),
        pytest.param('{"q":"a"}', '{"query":"a"}', id="remapped"),
        pytest.param("[1]", "[1]", id="no object"),
        pytest.param("{", "{", id="invalid"),
        pytest.param("", "", id="empty"),
    ],
)
async def test_s103_remapping(given: str, expected: str) -> None:
    """S103: the alias is renamed when the argument is absent; what is no object is left untouched."""

    class Raw:
        info = fake_tool("search").info

        async def run(self, arguments: str) -> str:
            return arguments

    node = ToolsNode([Raw()], aliases={"search": ToolAliases(arguments={"query": ["q"]})})

    [result] = await node.invoke(assistant_message("", [tool_call("search", given, id="1")]))

    assert result.content == expected


async def test_s104_a_tool_that_takes_text_and_one_that_answers_for_its_errors() -> None:
    """S104: `100` does not fit a text, `"10"` does; the wrapped tool answers "test error", in a stream as one chunk."""

    def echo(text: str) -> str:
        return text

    def fail() -> str:
        raise ValueError("test error")

    node = ToolsNode(
        [as_tool(echo, arguments=str), tool_error_handler(as_tool(fail), lambda error: str(error.__cause__))]
    )

    def message(name: str, arguments: str) -> Message:
        return assistant_message("", [tool_call(name, arguments, id="1")])

    with pytest.raises(ToolError, match=r"failed to invoke tool\[name:echo id:1\]: tool 'echo': the arguments do not"):
        await node.invoke(message("echo", "100"))
    assert (await node.invoke(message("echo", '"10"')))[0].content == "10"
    assert (await node.invoke(message("fail", "{}")))[0].content == "test error"
    assert [row[0].content async for row in node.stream(message("fail", "{}")) if row[0] is not None] == ["test error"]


async def test_1_14_input_checks_have_the_texts_of_the_original() -> None:
    """core-semantics 1.14: the role must be the assistant's, and there must be a call."""
    graph = Graph[Message, list[Message]]()
    graph.add_tools_node("tools", ToolsNode([user_company])).add_edge(START, "tools").add_edge("tools", END)
    tools = graph.compile()

    with pytest.raises(RunError, match="expected message role is Assistant, got user") as caught:
        await tools.invoke(user_message("hi"))
    assert caught.value.node_path == ("tools",)
    with pytest.raises(RunError, match="no tool call found in input message"):
        await tools.invoke(assistant_message("hi"))
