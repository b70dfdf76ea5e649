"""Tools: what a model can call. `@tool` makes one of a function; any class with these methods is one too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from eino.schema.tool import ToolInfo
from eino.schema.tool_result import ToolResult

__all__ = ["StreamingTool", "Tool"]


@runtime_checkable
class Tool(Protocol):
    """Something that a model can call by name, with arguments as JSON text.

    Implementations allow concurrent calls and let cancellation through.
    """

    @property
    def info(self) -> ToolInfo:
        """What a model reads about the tool; the same at every call."""
        ...

    async def run(self, arguments: str) -> str | ToolResult:
        """Return the result of one call: a text, or parts such as images.

        Args:
            arguments: The arguments as JSON text, as the model wrote them.

        Raises:
            ToolArgumentsError: If the arguments are no JSON or do not fit; the text says how to repair them.
            ToolError: If the tool fails.
        """
        ...


@runtime_checkable
class StreamingTool(Tool, Protocol):
    """A tool that can also give its result piece by piece. `run` gives the pieces as one."""

    def stream(self, arguments: str) -> AsyncIterator[str | ToolResult]:
        """Return the pieces of the result; nothing happens before the first pull.

        Raises:
            ToolArgumentsError: At the first pull, if the arguments are no JSON or do not fit.
            ToolError: While iterating, if the tool fails.
        """
        ...
