"""MCP tools against a real server in a process of its own, over stdio and streamable HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eino import ToolsNode, assistant_message, tool_call
from eino.errors import BuildError, ConnectionFailedError, ToolArgumentsError, ToolError
from eino.ext.tools._mcp_results import model_name
from eino.ext.tools.mcp import MCPTools
from eino.schema import ToolResult

SERVER = str(Path(__file__).with_name("mcp_test_server.py"))
NAMES = ["echo", "parts", "fail", "refuse", "data", "die_now", "die_once", "hang"]


def stdio(**settings: Any) -> MCPTools:
    return MCPTools.stdio(sys.executable, [SERVER], **settings)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, SERVER, str(port)])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


async def check(server: MCPTools) -> None:
    """What holds over both transports."""
    tools = {each.info.name: each for each in await server.tools()}
    assert list(tools) == NAMES
    assert tools["echo"].info.description == "Say it again."
    assert tools["die_now"].server_name == "die.now"
    assert await tools["echo"].run('{"text": "hé"}') == "hé"
    assert await tools["data"].run("") == '{"n":1}'
    result = await tools["parts"].run("{}")
    assert isinstance(result, ToolResult)
    kinds = [type(part).__name__ for part in result.to_user_parts()]
    assert kinds == ["TextPart", "ImagePart", "AudioPart", "TextPart", "TextPart", "FilePart"]
    assert str(result) == "lookpage: https://example.org/inside"
    with pytest.raises(ToolError, match="tool 'fail' failed: out of ink") as failed:
        await tools["fail"].run("{}")
    assert not failed.value.retryable
    with pytest.raises(ToolArgumentsError, match="text must not be empty"):
        await tools["refuse"].run("{}")
    with pytest.raises(ToolArgumentsError, match="no JSON object"):
        await tools["echo"].run("[1]")


async def test_over_stdio() -> None:
    async with stdio() as server:
        await check(server)


async def test_over_http(url: str) -> None:
    async with MCPTools.http(url, headers={"X-Key": "secret"}) as server:
        await check(server)
        assert "secret" not in repr(server)


async def test_a_server_that_died_is_started_again_for_the_next_call() -> None:
    async with stdio() as server:
        die, echo = await server.tools(["echo", "die.now"]), None
        echo, die_now = die
        with pytest.raises(ToolError, match="the connection broke") as caught:
            await die_now.run("{}")
        assert caught.value.retryable
        assert await echo.run('{"text": "back"}') == "back"


async def test_a_call_of_a_read_only_tool_is_repeated(tmp_path: Path) -> None:
    async with stdio() as server:
        [tool] = await server.tools(["die_once"])
        assert await tool.run('{"text": "%s"}' % (tmp_path / "died")) == "alive"


async def test_a_call_that_hangs_is_given_up() -> None:
    async with stdio(timeout_s=1.5) as server:
        [tool] = await server.tools(lambda name: name == "hang")
        with pytest.raises(ToolError, match=r"did not answer within 1.5 s") as caught:
            await tool.run("{}")
        assert caught.value.retryable


async def test_in_a_tools_node_with_a_prefix() -> None:
    async with stdio() as server:
        node = ToolsNode(await server.tools(["echo", "fail"], prefix="s-"), on_error="return_to_model")
        calls = [tool_call("s-echo", {"text": str(n)}, id=f"c{n}") for n in range(5)]
        calls.append(tool_call("s-fail", {}, id="f"))
        results = await node.invoke(assistant_message("", calls))

    assert [each.content for each in results[:5]] == ["0", "1", "2", "3", "4"]
    assert "out of ink" in results[5].content


async def test_unknown_names_are_refused() -> None:
    async with stdio() as server:
        with pytest.raises(BuildError, match="has no tool nope; its tools are: echo, parts"):
            await server.tools(["echo", "nope"])
        with pytest.raises(BuildError, match="has no tool"):
            await server.tools("echo")


async def test_a_tool_of_a_closed_server_says_so() -> None:
    async with stdio() as server:
        [tool] = await server.tools(["echo"])
        with pytest.raises(BuildError, match="is open already"):
            await server.__aenter__()
    with pytest.raises(ToolError, match="is not open; use its tools inside `async with`"):
        await tool.run("{}")


@pytest.mark.parametrize(
    "make",
    [
        lambda: MCPTools.stdio("/no/such/program"),
        lambda: MCPTools.stdio(sys.executable, ["-c", "print('no MCP')"], timeout_s=3),
        lambda: MCPTools.http("http://127.0.0.1:1/mcp", timeout_s=3),
    ],
)
async def test_a_server_that_is_not_there(make: Any) -> None:
    with pytest.raises(ConnectionFailedError, match="cannot be reached"):
        async with make():
            pass


def test_wrong_settings() -> None:
    with pytest.raises(BuildError, match="give an http or https URL"):
        MCPTools.http("example.org")
    with pytest.raises(BuildError, match="timeout_s=0"):
        stdio(timeout_s=0)


@pytest.mark.parametrize(("name", "model"), [("a.b/c", "a_b_c"), ("", "_"), ("x" * 64, "x" * 64)])
def test_names_that_models_accept(name: str, model: str) -> None:
    assert model_name(name) == model


def test_long_names_stay_apart() -> None:
    first, second = model_name("x" * 80), model_name("x" * 81)

    assert first != second
    assert len(first) == len(second) == 64
