"""MCP tools against a real server in a process of its own, over stdio and streamable HTTP."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client

from eino import ToolsNode, assistant_message, tool_call
from eino.errors import BuildError, ConnectionFailedError, ToolArgumentsError, ToolError
from eino.ext.tools._mcp_results import model_name
from eino.ext.tools.mcp import MCPTools
from eino.schema import ImagePart, TextPart, ToolResult
from eino_fixtures import VirtualClock

SERVER = str(Path(__file__).with_name("mcp_test_server.py"))
NAMES = ["echo", "parts", "fail", "refuse", "data", "die_now", "die_once", "hang"]


def stdio(**settings: Any) -> MCPTools:
    return MCPTools.stdio(sys.executable, [SERVER], **settings)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server in a process. The socket listens before it starts, so nobody has to wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, handle = listening.getsockname()[1], listening.fileno()
        process = subprocess.Popen([sys.executable, SERVER, str(handle)], pass_fds=[handle])
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def in_memory() -> Callable[..., MCPTools]:
    """Makes connections to the same server in this process, for what needs no process and real time."""
    spec = importlib.util.spec_from_file_location("mcp_test_server", SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda **settings: MCPTools(
        lambda: Client(module.server), "MCP server in memory", **{"timeout_s": 60.0} | settings
    )


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


async def test_over_stdio(tmp_path: Path) -> None:
    """Whatever it can do; then it dies in two calls, and is started again each time for the next.

    A call of a read-only tool is repeated, any other is an error that can be retried.
    """
    async with stdio() as server:
        await check(server)
        echo, die_now, die_once = await server.tools(["echo", "die.now", "die_once"])
        assert await die_once.run('{"text": "%s"}' % (tmp_path / "died")) == "alive"
        with pytest.raises(ToolError, match="the connection broke") as caught:
            await die_now.run("{}")
        assert caught.value.retryable
        assert await echo.run('{"text": "back"}') == "back"


async def test_over_http(url: str) -> None:
    async with MCPTools.http(url, headers={"X-Key": "secret"}) as server:
        await check(server)
        assert "secret" not in repr(server)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_call_that_hangs_is_given_up(in_memory: Callable[..., MCPTools], backend: Literal["asyncio", "trio"]) -> None:
    """After the time that was given, to the second."""

    async def main() -> float:
        async with in_memory(timeout_s=90.0) as server:
            [tool] = await server.tools(lambda name: name == "hang")
            began = anyio.current_time()
            with pytest.raises(ToolError, match=r"did not answer within 90 s") as caught:
                await tool.run("{}")
            assert caught.value.retryable
            return anyio.current_time() - began

    assert VirtualClock().run(main, backend=backend) == 90.0


async def test_results_have_limits(in_memory: Callable[..., MCPTools]) -> None:
    """A server may send what it wants; a model's context is small. What was left out is said."""
    async with in_memory(max_chars=9, max_media_bytes=5) as server:
        echo, parts, fail, data = await server.tools(["echo", "data", "parts", "fail"])
        assert await echo.run('{"text": "123456789"}') == "123456789"
        assert await echo.run('{"text": "1234567890"}') == "123456789\n(cut after 9 characters)"
        assert await data.run("{}") == '{"n":1}'
        seen = await parts.run("{}")
        with pytest.raises(ToolError, match=r"failed: out of in$"):
            await fail.run("{}")

    assert isinstance(seen, ToolResult)
    image, *rest = seen.to_user_parts()[1:]
    assert isinstance(image, ImagePart)
    assert [part.text for part in rest if isinstance(part, TextPart)] == ["(audi\n(cut after 9 characters)"]
    assert len(rest) == 1


async def test_in_a_tools_node_with_a_prefix(in_memory: Callable[..., MCPTools]) -> None:
    async with in_memory() as server:
        node = ToolsNode(await server.tools(["echo", "fail"], prefix="s-"), on_error="return_to_model")
        calls = [tool_call("s-echo", {"text": str(n)}, id=f"c{n}") for n in range(5)]
        calls.append(tool_call("s-fail", {}, id="f"))
        results = await node.invoke(assistant_message("", calls))

    assert [each.content for each in results[:5]] == ["0", "1", "2", "3", "4"]
    assert "out of ink" in results[5].content


async def test_unknown_names_are_refused(in_memory: Callable[..., MCPTools]) -> None:
    async with in_memory() as server:
        with pytest.raises(BuildError, match="has no tool nope; its tools are: echo, parts"):
            await server.tools(["echo", "nope"])
        with pytest.raises(BuildError, match="has no tool"):
            await server.tools("echo")


async def test_a_tool_of_a_closed_server_says_so(in_memory: Callable[..., MCPTools]) -> None:
    async with in_memory() as server:
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
    with pytest.raises(BuildError, match="max_chars=0"):
        stdio(max_chars=0)
    with pytest.raises(BuildError, match="max_media_bytes=-1"):
        MCPTools.http("http://127.0.0.1/mcp", max_media_bytes=-1)


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("eino.ext.tools.mcp", "mcp", "mcp"),
        ("eino.ext.tools.http", "httpx2", "http"),
        ("eino.ext.tools.repair", "json_repair", "repair"),
    ],
)
def test_without_its_library_the_extra_is_named(module: str, library: str, extra: str) -> None:
    """The import fails with the command to run."""
    program = (
        "import importlib.util as u; find = u.find_spec\n"
        f"u.find_spec = lambda name, *rest: None if name == {library!r} else find(name, *rest)\n"
        f"import {module}"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"MissingExtraError: {module} needs the library {library!r}" in done.stderr
    assert f'pip install "eino[{extra}]"' in done.stderr


@pytest.mark.parametrize(("name", "model"), [("a.b/c", "a_b_c"), ("", "_"), ("x" * 64, "x" * 64)])
def test_names_that_models_accept(name: str, model: str) -> None:
    assert model_name(name) == model


def test_long_names_stay_apart() -> None:
    first, second = model_name("x" * 80), model_name("x" * 81)

    assert first != second
    assert len(first) == len(second) == 64
