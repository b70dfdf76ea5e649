"""`ToolsNode`: runs the tool calls that an assistant's message asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from eino.components.tools import Tool
from eino.compose._tool_arguments import with_canonical_keys
from eino.compose._tool_calls import Caller, Outcome, current_tool_call_id, unless_failed
from eino.compose._tool_endpoint import UnknownTool, behind
from eino.compose._tool_input import ToolInput, ToolMiddleware, ToolNext, ToolOutput, awaited
from eino.compose._tool_messages import calls_in
from eino.compose._tool_options import NO_TOOLS_OPTIONS, ToolAliases, ToolsOptions
from eino.compose._tool_policy import SIGNALS, OnError, ToolErrorPolicy, call_failure, error_policy
from eino.compose._tool_table import ToolTable
from eino.errors import BuildError, ToolError
from eino.schema.message import Message
from eino.schema.tool import ToolCall
from eino.schema.tool_result import ToolResult

__all__ = [
    "NO_TOOLS_OPTIONS",
    "MapArguments",
    "OnError",
    "OnUnknownTool",
    "ToolAliases",
    "ToolErrorPolicy",
    "ToolInput",
    "ToolMiddleware",
    "ToolNext",
    "ToolOutput",
    "ToolsNode",
    "ToolsOptions",
    "current_tool_call_id",
]

OnUnknownTool: TypeAlias = Callable[[str, str], str | ToolResult | Awaitable[str | ToolResult]]
"""`on_unknown_tool(name, arguments)`: the answer to a call of a tool that there is not."""

MapArguments: TypeAlias = Callable[[str, str], str | Awaitable[str]]
"""`map_arguments(name, arguments)`: the arguments that the tool gets instead."""


class ToolsNode:
    """Runs the tool calls of an assistant's message and gives one tool message for each, in the order of the calls.

    Every call runs to its end even if another one fails. On its way to the tool a call passes, in this order:
    argument aliases, `map_arguments`, the middlewares, the callbacks. The node does not change; runs may share it.
    """

    component = "ToolsNode"

    def __init__(
        self,
        tools: Iterable[Tool],
        *,
        sequential: bool = False,
        on_unknown_tool: OnUnknownTool | None = None,
        map_arguments: MapArguments | None = None,
        aliases: Mapping[str, ToolAliases] | None = None,
        middlewares: Sequence[ToolMiddleware] = (),
        on_error: OnError = "raise",
    ) -> None:
        """Make a node of `tools`.

        Args:
            tools: What models may call; a call may bring others (`ToolsOptions`).
            sequential: Whether the calls of a message run one after another, not beside each other.
            on_unknown_tool: Answers for tools that there are not; without it such a call fails before any tool runs.
            map_arguments: Called with the tool's name and the arguments of each call before any tool runs. What it
                raises fails the node.
            aliases: Other names of tools and arguments, by name of the tool; those of tools not here do nothing.
            middlewares: Wrappers of each call, the first outermost.
            on_error: What becomes of a call that fails: `"raise"` fails the node, `"return_to_model"` answers with
                the error's text, a function of the call and the error gives the answer. Interrupts, cancellation
                and errors of callback handlers are no failures of a call. A stream that breaks off goes on with the
                answer.

        Raises:
            BuildError: If one is no tool, two have one name, or another argument cannot be used.
        """
        if aliases is not None and not isinstance(aliases, Mapping):
            raise BuildError(f"aliases={aliases!r}: give a mapping of the tool's name to ToolAliases")
        for name, function in (("on_unknown_tool", on_unknown_tool), ("map_arguments", map_arguments)):
            if function is not None and not callable(function):
                raise BuildError(f"{name}={function!r} must be a function of the tool's name and its arguments")
        self._table = ToolTable(tools, dict(aliases or {}))
        self._on_unknown_tool = on_unknown_tool
        self._map_arguments = map_arguments
        self._caller = Caller(behind(middlewares), error_policy(on_error), sequential)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools of the node, such as for `model.with_tools(node.tools)`."""
        return self._table.tools

    def __repr__(self) -> str:
        return f"ToolsNode({self._table.names!r})"

    async def invoke(self, message: Message, options: ToolsOptions = NO_TOOLS_OPTIONS) -> list[Message]:
        """Return the results of the message's tool calls, as tool messages in the order of the calls.

        Raises:
            ToolError: If the message asks for no calls, for an unknown tool, or for two calls with one id; else the
                first error of a tool in the order of the calls, when all calls have come to their end.
            RunError: If a graph inside a tool fails.
            BuildError: If the options do not fit together.
        """
        inputs = self._inputs(message, options, on_stream=False)
        if self._map_arguments is not None:
            inputs = await self._all_mapped(inputs, on_stream=False)
        return await self._caller.invoke(inputs)

    def invoked(self, message: Message, options: ToolsOptions = NO_TOOLS_OPTIONS) -> Awaitable[list[Message]]:
        """Return what `invoke` does, to be awaited at once, for a node that does nothing else meanwhile."""
        inputs = self._inputs(message, options, on_stream=False)
        if self._map_arguments is not None:
            return self._invoke_mapped(inputs)
        return self._caller.invoke_as_node(inputs)

    async def _invoke_mapped(self, inputs: list[ToolInput]) -> list[Message]:
        return await self._caller.invoke_as_node(await self._all_mapped(inputs, on_stream=False))

    async def stream(
        self, message: Message, options: ToolsOptions = NO_TOOLS_OPTIONS
    ) -> AsyncIterator[list[Message | None]]:
        """Yield the results piece by piece as they come, each in a list as long as there are calls.

        All cells of a list are None but the one of the call that the piece belongs to; joined cell by cell, as
        `concat` does, they give what `invoke` returns. A tool that does not stream gives one piece. Closing the
        iterator early ends the calls.

        Raises:
            ToolError: As for `invoke`; an error of a tool comes behind the pieces of all others.
            RunError: If a graph inside a tool fails.
            BuildError: If the options do not fit together.
        """
        inputs = self._inputs(message, options, on_stream=True)
        if self._map_arguments is not None:
            inputs = await self._all_mapped(inputs, on_stream=True)
        width = len(inputs)
        failed: dict[int, Outcome] = {}
        async with aclosing(self._caller.cells(inputs)) as cells:
            async for index, outcome in cells:
                if isinstance(outcome, Message):
                    row: list[Message | None] = [None] * width
                    row[index] = outcome
                    yield row
                else:
                    failed[index] = outcome
        unless_failed([failed[index] for index in sorted(failed)])

    def _inputs(self, message: Message, options: ToolsOptions, *, on_stream: bool) -> list[ToolInput]:
        """Return the calls as they go to the middlewares: all that can be refused is refused before a tool runs."""
        table = self._table if options is NO_TOOLS_OPTIONS else self._table_for(options)
        return [self._input(call, table, on_stream=on_stream) for call in calls_in(message)]

    def _table_for(self, options: object) -> ToolTable:
        if not isinstance(options, ToolsOptions):
            raise BuildError(f"the options of a ToolsNode are ToolsOptions(...), got {options!r:.200}")
        given = options.given()
        table = self._table
        if "tools" in given or "aliases" in given:
            tools, aliases = given.get("tools", table.tools), given.get("aliases", table.aliases)
            table = ToolTable(tools or (), aliases or {})
        return table.with_options(given["tool_options"]) if given.get("tool_options") else table

    def _input(self, call: ToolCall, table: ToolTable, *, on_stream: bool) -> ToolInput:
        entry = table.find(call.name)
        if entry is None:
            tool = UnknownTool(call.name, self._answer_for_unknown(call, table))
            return ToolInput(name=call.name, arguments=call.arguments, streaming=False, tool=tool, tool_call=call)
        return ToolInput(
            name=entry.name,
            arguments=with_canonical_keys(call.arguments, entry.arguments),
            streaming=on_stream and entry.streams,
            tool=entry.tool,
            tool_call=call,
        )

    def _answer_for_unknown(self, call: ToolCall, table: ToolTable) -> Callable[[str, str], Any]:
        if self._on_unknown_tool is not None:
            return self._on_unknown_tool
        text = f"tool {call.name!r} not found in toolsNode indexes; the tools are {table.names}"
        if self._caller.policy is None:
            raise ToolError(f"{text} (tool call {call.id!r}): add the tool or an alias, or answer with on_unknown_tool")

        def refuse(*_: str) -> str:
            raise ToolError(text)

        return refuse

    async def _all_mapped(self, inputs: list[ToolInput], *, on_stream: bool) -> list[ToolInput]:
        function = cast("MapArguments", self._map_arguments)
        return [await self._mapped(call, function, on_stream=on_stream) for call in inputs]

    async def _mapped(self, call: ToolInput, map_arguments: MapArguments, *, on_stream: bool) -> ToolInput:
        if isinstance(call.tool, UnknownTool):
            return call
        try:
            arguments = await awaited(map_arguments(call.name, call.arguments))
            if not isinstance(arguments, str):
                raise ToolError(f"map_arguments must return JSON text, got {arguments!r:.200}")
        except SIGNALS:
            raise
        except Exception as error:
            failure = call_failure(call, error, on_stream=on_stream)
            raise failure from failure.__cause__
        return call.replace(arguments=arguments)
