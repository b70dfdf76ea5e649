"""What a type checker says of programs that use tools and templates. Checked by `mypy tests/typing`, never run.

An `ignore` marks a line that must be refused: mypy reports an ignore that it does not need.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, assert_type

from eino import ChatTemplate, Message, StreamingTool, Tool, as_tool, tool, tool_error_handler, user_message
from eino.components import FunctionTool
from eino.schema import JSONMessageParser, MessageParser, ToolInfo


@tool
async def weather(city: str) -> str:
    return city


@tool(name="add", threaded=True)
def add(a: int, b: int = 1) -> int:
    return a + b


@tool
async def count(n: int) -> AsyncIterator[str]:
    yield str(n)


@tool(name="count_plainly")
def count_plainly(n: int) -> Iterator[int]:
    yield n


class Clock:
    info = ToolInfo(name="clock")

    async def run(self, arguments: str) -> str:
        return arguments


@dataclass
class Answer:
    text: str


TOOLS: list[Tool] = [weather, add, count, count_plainly, Clock(), tool_error_handler(Clock(), str)]
STREAMING: list[StreamingTool] = [count, count_plainly]


async def tools_keep_the_types_of_their_functions() -> None:
    assert_type(await weather("Oslo"), str)
    assert_type(add(1, b=2), int)
    assert_type(weather.info, ToolInfo)
    add("1")  # type: ignore[arg-type]
    add(c=1)  # type: ignore[call-arg]
    tool(nme="x")  # type: ignore[call-overload]
    plain: StreamingTool = weather  # type: ignore[assignment]
    del plain


def wrapped() -> FunctionTool[[str], Coroutine[Any, Any, str]]:
    async def search(query: str, /) -> str:
        return query

    return as_tool(search, name="search")


async def templates_give_messages(template: ChatTemplate) -> None:
    assert_type(await template.format({"a": 1}), list[Message])
    ChatTemplate.from_messages(user_message("x"), format="mustache")  # type: ignore[arg-type]


def parsers_give_the_type() -> None:
    parser: MessageParser[Answer] = JSONMessageParser(Answer)
    assert_type(parser.parse(user_message("x")), Answer)
