"""`tool_timeout`: a tool that may take only so long."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

import anyio

from eino._tasks import now
from eino.components._tool_wrapper import ToolWrapper, check_tool, close
from eino.components.tools import StreamingTool, Tool
from eino.errors import BuildError, ToolError
from eino.schema.tool_result import ToolResult

__all__ = ["tool_timeout"]

_END: Final[Any] = object()


def tool_timeout(tool: Tool, timeout_s: float) -> Tool:
    """Return a tool like `tool` whose calls are cancelled after `timeout_s` seconds, with a retryable `ToolError`.

    For a stream the time runs from the first pull to the last piece, and is checked at each pull. A plain function that
    blocks cannot be cancelled: make it `@tool(threaded=True)`, whose thread is left behind after a grace period.

    Raises:
        BuildError: If `tool` is no tool, or the time is not a number above 0.
    """
    check_tool(tool, "tool_timeout")
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s < math.inf:
        raise BuildError(f"tool_timeout(timeout_s={timeout_s!r}): give a number of seconds above 0")
    return _TimedStreamingTool(tool, timeout_s) if isinstance(tool, StreamingTool) else _TimedTool(tool, timeout_s)


class _TimedTool(ToolWrapper):
    """A tool with a time limit for each call."""

    def __init__(self, tool: Tool, timeout_s: float) -> None:
        super().__init__(tool)
        self._timeout_s = timeout_s

    async def run(self, arguments: str) -> str | ToolResult:
        with anyio.move_on_after(self._timeout_s):
            return await self._tool.run(arguments)  # type: ignore[no-any-return]  # a Tool's
        raise self._late()

    def _late(self) -> ToolError:
        error = ToolError(f"tool {self.info.name!r} did not finish within {self._timeout_s:g} s")
        error.retryable = True
        error.__cause__ = TimeoutError(f"{self._timeout_s:g} s")
        return error

    def __repr__(self) -> str:
        return f"tool_timeout({self._tool!r}, {self._timeout_s:g})"


class _TimedStreamingTool(_TimedTool):
    """A streaming tool with a time limit for the whole stream."""

    def stream(self, arguments: str) -> AsyncIterator[str | ToolResult]:
        return self._pieces(arguments)

    async def _pieces(self, arguments: str) -> AsyncGenerator[str | ToolResult, None]:
        deadline = now() + self._timeout_s
        source = aiter(self._tool.stream(arguments))
        try:
            while (piece := await self._next(source, deadline - now())) is not _END:
                yield piece
        finally:
            await close(source)

    async def _next(self, source: AsyncIterator[str | ToolResult], left_s: float) -> Any:
        with anyio.move_on_after(left_s):  # opened for each pull: a scope must not stay open across a yield
            return await anext(source, _END)
        raise self._late()
