"""What a tool call is on its way to its tool: the value that middlewares see and change, and their types."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Protocol, Self, TypeAlias, cast

import msgspec

from eino.components.tools import Tool
from eino.schema.stream import StreamReader
from eino.schema.tool import ToolCall
from eino.schema.tool_result import ToolResult

__all__ = ["ToolInput", "ToolMiddleware", "ToolNext", "ToolOutput", "awaited"]

ToolOutput: TypeAlias = str | ToolResult | StreamReader[str | ToolResult]
"""The result of a call: whole, or a stream of its pieces when `ToolInput.streaming` asked for one."""


class ToolInput(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call on its way through the middlewares to its tool; `replace` gives a changed copy."""

    name: str
    """Name of the tool itself, whatever alias the model used."""
    arguments: str
    """JSON text, with argument aliases resolved and `map_arguments` applied."""
    streaming: bool
    """Whether the result is wanted piece by piece: in stream runs, from tools that can. A middleware that needs it
    whole passes `call.replace(streaming=False)` on."""
    tool: Tool
    """What will be run."""
    tool_call: ToolCall
    """The call as the model wrote it."""

    @property
    def called_name(self) -> str:
        """The name that the model used: the tool's own, or an alias."""
        return self.tool_call.name

    @property
    def call_id(self) -> str:
        """The id of the call; empty where the provider gives none."""
        return self.tool_call.id

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the fields in `changes` set to new values.

        Raises:
            TypeError: If a name is not a field.
        """
        return msgspec.structs.replace(self, **changes)


class ToolNext(Protocol):
    """The rest of the way: the middlewares further in, then the tool."""

    async def __call__(self, call: ToolInput, /) -> ToolOutput:
        """Return the result; a stream only if `call.streaming` and the tool can.

        A stream has its first piece by then, so that a tool that cannot start raises here.

        Raises:
            Exception: What the tool or a middleware further in raised.
        """
        ...


ToolMiddleware: TypeAlias = Callable[[ToolInput, ToolNext], Awaitable[ToolOutput | AsyncIterable[str | ToolResult]]]
"""`async def middleware(call, next)`: returns `await next(call)`, or something else in its place. It may call `next`
with a changed call, several times, or not at all; what it does not return of a stream, it closes."""


async def awaited(value: Any) -> Any:
    """Return what a function of the program returned, which may be async or plain."""
    return await cast("Awaitable[Any]", value) if hasattr(type(value), "__await__") else value
