"""`tool_error_handler`: tools that answer with a text when they fail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Literal, TypeAlias

from eino.components._tool_wrapper import SIGNALS, ToolWrapper, check_tool, close
from eino.components.tools import StreamingTool, Tool
from eino.errors import BuildError
from eino.schema.tool_result import ToolResult

__all__ = ["tool_error_handler"]

_Answer: TypeAlias = Callable[[Exception], str | ToolResult]


def tool_error_handler(tool: Tool, handler: _Answer | Literal["raise", "return_to_model"]) -> Tool:
    """Return a tool like `tool` that answers with `handler(error)` when it fails, so that a model can go on.

    Interrupts and cancellation are no failures and pass. A streaming tool stays one; an error before its first piece
    is answered with one piece, a later one passes, because what was given cannot be taken back.

    Args:
        tool: Any tool.
        handler: Gives the answer, or raises; `"return_to_model"` answers with the error's text, `"raise"` with nothing:
            the tool is returned as it is.

    Raises:
        BuildError: If `tool` is no tool, or `handler` none of the three.
    """
    check_tool(tool, "tool_error_handler")
    if handler == "raise":
        return tool
    answer = _text if handler == "return_to_model" else handler
    if not callable(answer):
        raise BuildError(f"handler={handler!r}: give 'raise', 'return_to_model', or a function of the error")
    return _HandledStreamingTool(tool, answer) if isinstance(tool, StreamingTool) else _HandledTool(tool, answer)


def _text(error: Exception) -> str:
    return f"Error: {str(error) or type(error).__name__}"


class _HandledTool(ToolWrapper):
    """A tool with an answer for errors."""

    def __init__(self, tool: Tool, handler: _Answer) -> None:
        super().__init__(tool)
        self._handler = handler

    async def run(self, arguments: str) -> str | ToolResult:
        try:
            return await self._tool.run(arguments)  # type: ignore[no-any-return]  # a Tool's
        except SIGNALS:
            raise
        except Exception as error:
            return self._handler(error)

    def __repr__(self) -> str:
        return f"tool_error_handler({self._tool!r})"


class _HandledStreamingTool(_HandledTool):
    """A streaming tool with an answer for errors before the first piece."""

    def stream(self, arguments: str) -> AsyncIterator[str | ToolResult]:
        return self._pieces(arguments)

    async def _pieces(self, arguments: str) -> AsyncGenerator[str | ToolResult, None]:
        started = False
        source = self._tool.stream(arguments)
        try:
            async for piece in source:
                started = True
                yield piece
        except SIGNALS:
            raise
        except Exception as error:
            if started:
                raise
            yield self._handler(error)
        finally:
            await close(source)
