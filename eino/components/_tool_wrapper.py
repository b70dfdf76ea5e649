"""What wrappers of tools share: they describe themselves as the tool inside, and close its streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import copy
from typing import Any, Final, Self

from eino._run.causes import causes
from eino.components.naming import type_name
from eino.components.tools import Tool
from eino.errors import BuildError, ControlSignal, RunCancelledError, ToolError
from eino.schema.tool import ToolInfo
from eino.schema.tool_result import ToolResult

__all__ = ["SIGNALS", "ToolWrapper", "cause_of_failure", "check_tool", "close"]

SIGNALS: Final = (ControlSignal, RunCancelledError)
"""Steer the run and are no failures: no policy of a tool may eat them."""


class ToolWrapper:
    """A tool around a tool. Looks like it to models, callbacks and `tool_options`."""

    def __init__(self, tool: Tool) -> None:
        self._tool: Any = tool

    @property
    def info(self) -> ToolInfo:
        """What a model reads about the tool inside."""
        return self._tool.info  # type: ignore[no-any-return]  # a Tool's

    @property
    def type_name(self) -> str:
        """The type that callbacks show: the one of the tool inside."""
        return type_name(self._tool)

    @property
    def self_instrumented(self) -> bool:
        """Whether the tool inside tells the callbacks itself."""
        return bool(getattr(self._tool, "self_instrumented", False))

    def with_options(self, **options: object) -> Self:
        """Return the same wrapper around the tool inside with these options.

        Raises:
            BuildError: If the tool inside takes no options, or not these.
        """
        change = getattr(self._tool, "with_options", None)
        if change is None:
            raise BuildError(f"{self._tool!r} takes no options, got {', '.join(sorted(options))}")
        changed = copy(self)
        changed._tool = change(**options)
        return changed


def check_tool(tool: object, wrapper: str) -> None:
    """Refuse what is no tool.

    Raises:
        BuildError: If it has no `info` and `run`.
    """
    if not isinstance(tool, Tool):
        raise BuildError(f"{wrapper}({tool!r:.100}): give a tool, an object with `info` and `run`; @tool makes one")


async def close(source: AsyncIterator[str | ToolResult]) -> None:
    """Close a stream of pieces, if it can be closed."""
    closing = getattr(source, "aclose", None)
    if closing is not None:
        await closing()


def cause_of_failure(error: Exception) -> BaseException:
    """Return what made a tool fail; a `ToolError` that marks nothing only says that one did."""
    found: BaseException = error
    for found in causes(error):
        if not isinstance(found, ToolError) or found.retryable:
            break
    return found
