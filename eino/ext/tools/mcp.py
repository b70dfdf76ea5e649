"""Tools of MCP servers, through the official SDK.

async with MCPTools.stdio(sys.executable, ["server.py"]) as server:
node = ToolsNode(await server.tools())
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import msgspec

from eino._tasks import TaskHandle, join_all, shielded, spawn
from eino.errors import (
    BuildError,
    ConnectionFailedError,
    InvalidResponseError,
    MissingExtraError,
    RequestTimeoutError,
    ToolArgumentsError,
    ToolError,
)
from eino.schema.tool import ToolInfo
from eino.schema.tool_result import ToolResult

if TYPE_CHECKING:
    from mcp import Client

if importlib.util.find_spec("mcp") is None:
    raise MissingExtraError(
        "eino.ext.tools.mcp needs the library 'mcp', which is not installed; pip install \"eino[mcp]\"", name="mcp"
    )

import mcp_types
from mcp import MCPError

from eino.ext.tools._mcp_results import Limits, model_name, result_of, text_of

__all__ = ["MCPTool", "MCPTools"]

_MOST_PAGES: Final = 1_000
"""A server whose pages never end must not hang the program."""

_Connect = Callable[[], AbstractAsyncContextManager["Client"]]


class MCPTools:
    """The connection to one MCP server. Use it with `async with`, in the event loop that entered it.

    The connection lives in a task of its own, so it may be entered in one task and left in another. When it breaks, the
    next call connects again. A call that was under way is repeated only if the server calls its tool read-only or
    idempotent; else the error is retryable, and whoever knows better may repeat it (`tool_retry`).
    """

    def __init__(
        self,
        connect: _Connect,
        label: str,
        *,
        timeout_s: float,
        max_chars: int = Limits.max_chars,
        max_media_bytes: int = Limits.max_media_bytes,
    ) -> None:
        if not timeout_s > 0:
            raise BuildError(f"{label}: timeout_s={timeout_s!r} must be above 0")
        if max_chars < 1 or max_media_bytes < 0:
            raise BuildError(
                f"{label}: max_chars={max_chars!r} must be at least 1, max_media_bytes={max_media_bytes!r} at least 0"
            )
        self._limits = Limits(max_chars, max_media_bytes)
        self._connect = connect
        self._label = label
        self._timeout_s = timeout_s
        self._line: _Line | None = None
        self._open = False

    @classmethod
    def stdio(
        cls,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        timeout_s: float = 60.0,
        max_chars: int = Limits.max_chars,
        max_media_bytes: int = Limits.max_media_bytes,
    ) -> Self:
        """Return the connection to a server that is started as a process and spoken to over its standard streams.

        Args:
            command: What is run. Never let it come from a user or a model.
            args: Its arguments.
            env: Added to a small safe part of this process's environment.
            cwd: Where it is run.
            timeout_s: For each request, and for the start.
            max_chars: Of the texts of a result; what comes after is left out, and the result says so.
            max_media_bytes: Of its images, sounds and files, in Base64; what is beyond is left out, and it says so.
        """
        from mcp import StdioServerParameters

        server = StdioServerParameters(command=command, args=list(args), env=dict(env) if env else None, cwd=cwd)
        return cls(
            lambda: _over_stdio(server, timeout_s),
            f"MCP server {command!r}",
            timeout_s=timeout_s,
            max_chars=max_chars,
            max_media_bytes=max_media_bytes,
        )

    @classmethod
    def http(
        cls,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        max_chars: int = Limits.max_chars,
        max_media_bytes: int = Limits.max_media_bytes,
    ) -> Self:
        """Return the connection to a server that speaks streamable HTTP.

        Args:
            url: Of the server's endpoint, such as `https://example.org/mcp`.
            headers: Sent with each request, for instance `Authorization`.
            timeout_s: For each request, and for the start.
            max_chars: As for `stdio`, like `max_media_bytes`.
            max_media_bytes: As for `stdio`.

        Raises:
            BuildError: If `url` is no http or https URL.
        """
        if not url.startswith(("http://", "https://")):
            raise BuildError(f"MCPTools.http({url!r}): give an http or https URL")
        return cls(
            lambda: _over_http(url, headers or {}, timeout_s),
            f"MCP server at {url}",
            timeout_s=timeout_s,
            max_chars=max_chars,
            max_media_bytes=max_media_bytes,
        )

    def __repr__(self) -> str:
        return f"<{self._label}>"

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConnectionFailedError: If the server does not start, is not there, or does not speak MCP.
        """
        if self._open:
            raise BuildError(f"{self._label} is open already; make another MCPTools")
        self._open = True
        self._lock = anyio.Lock()
        try:
            await self._connected()
        except BaseException:
            self._open = False
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        line, self._line = self._line, None
        if line is not None:
            await line.aclose()

    async def tools(
        self, names: Collection[str] | Callable[[str], bool] | None = None, *, prefix: str = ""
    ) -> list[MCPTool]:
        """Return the server's tools, all pages of them.

        Args:
            names: The server's names of those that are wanted, or a function that says so; None for all.
            prefix: Put before each name that models see, to keep servers apart.

        Raises:
            BuildError: If a wanted name is not there.
            InvalidResponseError: If two tools have one name, or the pages never end.
            ConnectionFailedError: If the connection breaks.
        """
        listed = await self._listed()
        if names is not None and not callable(names):
            missing = [] if isinstance(names, str) else sorted(set(names) - {each.name for each in listed})
            if isinstance(names, str) or missing:
                known = ", ".join(each.name for each in listed) or "none"
                raise BuildError(
                    f"{self._label} has no tool {', '.join(missing) or repr(names)}; its tools are: {known}"
                )
        wanted = names if callable(names) else (lambda name: names is None or name in names)
        found: dict[str, MCPTool] = {}
        for each in listed:
            if not wanted(each.name):
                continue
            name = model_name(prefix + each.name)
            if name in found:
                raise InvalidResponseError(f"{self._label}: two tools are called {name!r}; choose one with names=")
            found[name] = MCPTool(self, each, name)
        return list(found.values())

    async def _listed(self) -> list[mcp_types.Tool]:
        line = await self._connected()
        found: list[mcp_types.Tool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            try:
                page = await line.client.list_tools(cursor=cursor, cache_mode="refresh")
            except Exception as error:
                raise self._failure(error) from error
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                return found
        raise InvalidResponseError(f"{self._label} lists its tools on more than {_MOST_PAGES} pages")

    async def _call(self, tool: mcp_types.Tool, arguments: dict[str, Any]) -> mcp_types.CallToolResult:
        hints = tool.annotations
        may_repeat = bool(hints and (hints.read_only_hint or hints.idempotent_hint))
        while True:
            line = await self._connected()
            try:
                return await line.client.call_tool(tool.name, arguments, read_timeout_seconds=self._timeout_s)
            except Exception as error:
                if not _is_broken(error):
                    raise
                line.broken = True
                if not may_repeat:
                    raise
                may_repeat = False

    async def _connected(self) -> _Line:
        if not self._open:
            raise ConnectionFailedError(f"{self._label} is not open; use its tools inside `async with`")
        async with self._lock:
            line = self._line
            if line is not None and not line.broken and not line.task.done:
                return line
            self._line = None
            if line is not None:
                await line.aclose()
            line = _Line(self._connect)
            with anyio.move_on_after(self._timeout_s) as scope:
                try:
                    await line.ready.wait()
                except BaseException:
                    await line.aclose()
                    raise
            if scope.cancelled_caught or line.error is not None:
                await line.aclose()
                why = f"no answer within {self._timeout_s:g} s" if line.error is None else _text(line.error)
                raise ConnectionFailedError(f"{self._label} cannot be reached: {why}") from line.error
            self._line = line
            return line

    def _told(self, answer: mcp_types.CallToolResult) -> str:
        """Return why a tool failed, in its own words."""
        return text_of(answer.content)[: self._limits.max_chars] or "the server does not say why"

    def _failure(self, error: Exception) -> Exception:
        if _is_broken(error):
            if self._line is not None:
                self._line.broken = True
            return ConnectionFailedError(f"{self._label}: the connection broke: {_text(error)}")
        if isinstance(error, TimeoutError) or _code(error) == mcp_types.REQUEST_TIMEOUT:
            return RequestTimeoutError(f"{self._label} did not answer within {self._timeout_s:g} s")
        return InvalidResponseError(f"{self._label}: {_text(error)}")


class MCPTool:
    """A tool of an MCP server. Works as long as its `MCPTools` is open."""

    def __init__(self, server: MCPTools, described: mcp_types.Tool, name: str) -> None:
        self._server = server
        self._described = described
        self._info = ToolInfo(
            name=name,
            description=described.description or described.title or "",
            json_schema=described.input_schema,
        )

    @property
    def info(self) -> ToolInfo:
        """What a model reads about the tool, as the server described it."""
        return self._info

    @property
    def server_name(self) -> str:
        """What the server calls the tool."""
        return self._described.name

    async def run(self, arguments: str) -> str | ToolResult:
        """Return the server's answer: a text, or parts if it holds images, audio or files.

        Raises:
            ToolArgumentsError: If the arguments are no JSON object, or the server says that they do not fit.
            ToolError: If the tool fails, or the server cannot be reached (then `retryable`).
        """
        values = self._arguments(arguments)
        name = self._info.name
        try:
            answer = await self._server._call(self._described, values)
            if not answer.is_error:
                return result_of(answer, self._server._limits)
        except Exception as error:
            if _code(error) == mcp_types.INVALID_PARAMS:
                raise ToolArgumentsError(f"tool {name!r}: {_text(error)}; correct the arguments") from error
            cause = error if isinstance(error, ConnectionFailedError) else self._server._failure(error)
            failure = ToolError(f"tool {name!r} failed: {cause}")
            failure.retryable = getattr(cause, "retryable", False)
            raise failure from error
        raise ToolError(f"tool {name!r} failed: {self._server._told(answer)}")

    def _arguments(self, arguments: str) -> dict[str, Any]:
        try:
            return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ToolArgumentsError(
                f"tool {self._info.name!r}: the arguments are no JSON object: {error}; got {arguments!r:.200};"
                " correct them and call the tool again"
            ) from error

    def __repr__(self) -> str:
        return f"MCPTool({self._info.name!r}, {self._server!r})"


class _Line:
    """One connection, held open by a task, because the SDK's scopes must be left in the task that entered them."""

    client: Client

    def __init__(self, connect: _Connect) -> None:
        self.ready = anyio.Event()
        self.error: BaseException | None = None
        self.broken = False
        self._stop = anyio.Event()
        self.task: TaskHandle = spawn(self._hold, connect, name="eino MCP connection")

    async def _hold(self, connect: _Connect) -> None:
        try:
            async with connect() as self.client:
                self.ready.set()
                await self._stop.wait()
        except Exception as error:  # also groups of errors; told by `ready` or by the next call
            self.error = error
        finally:
            self.broken = True
            self.ready.set()

    async def aclose(self) -> None:
        self._stop.set()
        if self.ready.is_set() and await shielded(self.task.wait_ended):
            return
        self.task.cancel()
        await join_all([self.task])


def _over_stdio(server: Any, timeout_s: float) -> Client:
    from mcp import Client
    from mcp.client.stdio import stdio_client

    # Not `sys.stderr`: in notebooks and tests that is no file, and a process needs one.
    transport = stdio_client(server) if sys.__stderr__ is None else stdio_client(server, errlog=sys.__stderr__)
    return Client(transport, read_timeout_seconds=timeout_s)


@asynccontextmanager
async def _over_http(url: str, headers: Mapping[str, str], timeout_s: float) -> AsyncIterator[Client]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with AsyncExitStack() as stack:
        timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, 10.0))
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=dict(headers), timeout=timeout))
        transport = streamable_http_client(url, http_client=http)
        yield await stack.enter_async_context(Client(transport, read_timeout_seconds=timeout_s))


def _code(error: BaseException) -> int | None:
    return error.code if isinstance(error, MCPError) else None


def _is_broken(error: Exception) -> bool:
    if _code(error) == mcp_types.CONNECTION_CLOSED:
        return True
    return isinstance(error, anyio.ClosedResourceError | anyio.BrokenResourceError | ConnectionError)


def _text(error: BaseException) -> str:
    """Return the text of the error; of a group, those of what is inside."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_text(each) for each in error.exceptions)
    return str(error) or type(error).__name__
