"""The tools that eino brings, and its wrappers around tools, pass the suite that we give to others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.server import Server

from eino import RetryPolicy, tool
from eino.components import tool_error_handler, tool_retry, tool_timeout
from eino.ext.tools.http import HTTPTool
from eino.ext.tools.mcp import MCPTool, MCPTools
from eino_fixtures import ProviderServer
from eino_harness.conformance import ToolConformance

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
WHOLE = {"streaming": "it gives its result whole"}


async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool(name="say.it", description="Says it.", input_schema=SCHEMA)])


async def call_tool(context: Any, params: Any) -> types.CallToolResult:
    text = (params.arguments or {}).get("text")
    if not isinstance(text, str):
        raise MCPError(types.INVALID_PARAMS, f"text must be a string, got {text!r}")
    return types.CallToolResult(content=[types.TextContent(text=text)])


@asynccontextmanager
async def mcp_tool() -> AsyncIterator[MCPTool]:
    server: Server[Any] = Server("test", on_list_tools=list_tools, on_call_tool=call_tool)
    async with MCPTools(lambda: Client(server), "MCP server in memory", timeout_s=60.0) as connection:
        [found] = await connection.tools()
        yield found


class TestMCPTool(ToolConformance):
    arguments: ClassVar[dict[str, Any]] = {"text": "hello"}
    wrong_arguments: ClassVar[dict[str, Any]] = {"text": 7}
    without: ClassVar[dict[str, str]] = WHOLE

    def make(self) -> Any:
        return mcp_tool()


class ToServer:
    """A tool for requests, whose arguments are of the suite's choice but for the address."""

    def __init__(self, inner: HTTPTool, url: str) -> None:
        self._inner, self._url = inner, url

    @property
    def info(self) -> Any:
        return self._inner.info

    async def run(self, arguments: str) -> Any:
        return await self._inner.run(arguments.replace("http://server", self._url))


@asynccontextmanager
async def http_tool() -> AsyncIterator[ToServer]:
    with ProviderServer() as server:
        yield ToServer(HTTPTool(allowed_networks=["127.0.0.0/8"]), server.url)


class TestHTTPTool(ToolConformance):
    arguments: ClassVar[dict[str, Any]] = {"url": "http://server/nothing"}
    wrong_arguments: ClassVar[dict[str, Any]] = {"url": 7}
    without: ClassVar[dict[str, str]] = WHOLE

    def make(self) -> Any:
        return http_tool()


@tool
async def count(upto: int) -> AsyncIterator[str]:
    """Counts.

    Args:
        upto: The last number.
    """
    for number in range(upto):
        await anyio.lowlevel.checkpoint()
        yield json.dumps(number)


COUNT = {"upto": 3}
WRONG = {"upto": "many"}


class TestTimeout(ToolConformance):
    arguments: ClassVar[dict[str, Any]] = COUNT
    wrong_arguments: ClassVar[dict[str, Any]] = WRONG

    def make(self) -> Any:
        return tool_timeout(count, 60)


class TestRetry(ToolConformance):
    arguments: ClassVar[dict[str, Any]] = COUNT
    wrong_arguments: ClassVar[dict[str, Any]] = WRONG

    def make(self) -> Any:
        return tool_retry(count, RetryPolicy(max_attempts=2, base_s=0.0))


class TestErrorHandler(ToolConformance):
    arguments: ClassVar[dict[str, Any]] = COUNT
    wrong_arguments: ClassVar[dict[str, Any]] = WRONG

    def make(self) -> Any:
        return tool_error_handler(count, "raise")
