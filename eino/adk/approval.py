"""`approval`: a tool that asks a person before it runs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from eino._run.interrupt import interrupt
from eino.components._tool_wrapper import ToolWrapper, check_tool, close
from eino.components.tools import StreamingTool, Tool
from eino.compose.tools_node import current_tool_call_id
from eino.errors import BuildError, ToolError
from eino.schema.codec import register
from eino.schema.tool_result import ToolResult

__all__ = ["Approval", "ApprovalRequest", "NeedsApproval", "approval"]

NeedsApproval: TypeAlias = Callable[[str], bool]
"""`when(arguments)`: whether a call with these arguments, JSON text, must be approved."""


@register("eino.adk.ApprovalRequest")
class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the person is asked: `info` of the interrupt."""

    tool_name: str
    arguments: str
    """The arguments as JSON text, as the model wrote them."""
    call_id: str = ""


@register("eino.adk.Approval")
class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What the person answers: the data of the resume. A mapping with these keys, True and False will do."""

    approved: bool
    reason: str = ""
    """For the model, if the call is refused."""
    arguments: str | None = None
    """JSON text to run the tool with, if not as the model wrote it."""


def approval(tool: Tool, *, when: NeedsApproval | None = None) -> Tool:
    """Return a tool like `tool` whose calls stop the run and ask a person first.

    The run stops with an `ApprovalRequest`. Resume it with an `Approval`: the tool runs, runs with other arguments, or
    does not run and the model reads that the call was refused, and why.

    Args:
        tool: Any tool; a streaming one stays one.
        when: Says which calls must be approved; all of them unless given.

    Raises:
        BuildError: If `tool` is no tool, or `when` no function.
    """
    check_tool(tool, "approval")
    if when is not None and not callable(when):
        raise BuildError(f"approval(when={when!r}): give a function of the arguments, a JSON text")
    return _ApprovedStreamingTool(tool, when) if isinstance(tool, StreamingTool) else _ApprovedTool(tool, when)


class _ApprovedTool(ToolWrapper):
    def __init__(self, tool: Tool, when: NeedsApproval | None) -> None:
        super().__init__(tool)
        self._when = when

    async def run(self, arguments: str) -> str | ToolResult:
        """Return the result of the tool, or that the call was refused.

        Raises:
            ToolError: If the answer of the person cannot be understood, or the tool fails.
        """
        answer = self._asked(arguments)
        if not answer.approved:
            return self._refused(answer)
        return await self._tool.run(_arguments(answer, arguments))  # type: ignore[no-any-return]  # a Tool's

    def __repr__(self) -> str:
        return f"approval({self._tool!r})"

    def _asked(self, arguments: str) -> Approval:
        if self._when is not None and not self._when(arguments):
            return Approval(approved=True)
        name = self.info.name
        request = ApprovalRequest(tool_name=name, arguments=arguments, call_id=current_tool_call_id() or "")
        return _answer(interrupt(request), name)

    def _refused(self, answer: Approval) -> str:
        why = f": {answer.reason}" if answer.reason else ""
        return f"The call of {self.info.name} was not approved{why}. It was not made; do not repeat it unchanged."


class _ApprovedStreamingTool(_ApprovedTool):
    def stream(self, arguments: str) -> AsyncIterator[str | ToolResult]:
        """Return the pieces of the result; asks at the first pull."""
        return self._pieces(arguments)

    async def _pieces(self, arguments: str) -> AsyncGenerator[str | ToolResult, None]:
        answer = self._asked(arguments)
        if not answer.approved:
            yield self._refused(answer)
            return
        source = self._tool.stream(_arguments(answer, arguments))
        try:
            async for piece in source:
                yield piece
        finally:
            await close(source)


def _arguments(answer: Approval, arguments: str) -> str:
    return arguments if answer.arguments is None else answer.arguments


def _answer(data: Any, tool: str) -> Approval:
    if isinstance(data, Approval):
        return data
    if isinstance(data, bool):
        return Approval(approved=data)
    if isinstance(data, Mapping) and isinstance(data.get("approved"), bool) and set(data) <= _FIELDS:
        arguments = data.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        return Approval(approved=data["approved"], reason=str(data.get("reason") or ""), arguments=arguments)
    raise ToolError(
        f"the answer to the approval of {tool!r} is {data!r:.200}: resume with Approval(approved=..., reason=..., "
        "arguments=...), a mapping with these keys, True or False"
    )


_FIELDS = frozenset(Approval.__struct_fields__)
