"""The MCP server that `test_mcp_tools.py` starts as a process: pages, parts, failures, a way to die."""

from __future__ import annotations

import os
import sys
from typing import Any

import mcp_types as types
from mcp.server import Server

OBJECT: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}}
SAFE = types.ToolAnnotations(read_only_hint=True)
PAGES = [
    [types.Tool(name="echo", description="Say it again.", input_schema=OBJECT)],
    [
        types.Tool(name="parts", description="All kinds of parts.", input_schema=OBJECT),
        types.Tool(name="fail", input_schema=OBJECT),
        types.Tool(name="refuse", input_schema=OBJECT),
        types.Tool(name="data", input_schema=OBJECT),
    ],
    [
        types.Tool(name="die.now", input_schema=OBJECT),
        types.Tool(name="die_once", input_schema=OBJECT, annotations=SAFE),
        types.Tool(name="hang", input_schema=OBJECT),
    ],
]


async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
    page = int((params and params.cursor) or 0)
    following = str(page + 1) if page + 1 < len(PAGES) else None
    return types.ListToolsResult(tools=PAGES[page], next_cursor=following)


async def call_tool(context: Any, params: Any) -> types.CallToolResult:
    given = (params.arguments or {}).get("text", "")
    match params.name:
        case "echo":
            return types.CallToolResult(content=[types.TextContent(text=given)])
        case "fail":
            return types.CallToolResult(content=[types.TextContent(text="out of ink")], is_error=True)
        case "refuse":
            raise types_error(types.INVALID_PARAMS, "text must not be empty")
        case "data":
            return types.CallToolResult(content=[], structured_content={"n": 1})
        case "hang":
            import anyio

            await anyio.sleep_forever()
        case "die_once" if os.path.exists(given):  # noqa: ASYNC240 - about to die
            return types.CallToolResult(content=[types.TextContent(text="alive")])
        case "die_once":
            with open(given, "w"):  # noqa: ASYNC230 - about to die
                pass
            os._exit(3)
        case "die.now":
            os._exit(3)
    return types.CallToolResult(
        content=[
            types.TextContent(text="look"),
            types.ImageContent(data="aW1n", mime_type="image/png"),
            types.AudioContent(data="YXU=", mime_type="audio/wav"),
            types.ResourceLink(name="page", uri="https://example.org/"),
            types.EmbeddedResource(resource=types.TextResourceContents(uri="a://b", text="inside")),
            types.EmbeddedResource(resource=types.BlobResourceContents(uri="a://c", blob="YmxvYg==")),
        ]
    )


def types_error(code: int, text: str) -> Exception:
    from mcp import MCPError

    return MCPError(code, text)


server = Server("test", on_list_tools=list_tools, on_call_tool=call_tool)


async def over_stdio() -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    import anyio

    if len(sys.argv) > 1:
        import socket

        import uvicorn

        config = uvicorn.Config(server.streamable_http_app(), log_level="error")
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
    else:
        anyio.run(over_stdio)
