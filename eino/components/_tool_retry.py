"""`tool_retry`: a tool that is called again when it fails for now."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from random import Random

from eino._run.retry import RetryPolicy
from eino._tasks import sleep
from eino.components._tool_wrapper import SIGNALS, ToolWrapper, cause_of_failure, check_tool, close
from eino.components.tools import StreamingTool, Tool
from eino.errors import BuildError
from eino.schema.tool_result import ToolResult

__all__ = ["tool_retry"]


def tool_retry(tool: Tool, policy: RetryPolicy | None = None) -> Tool:
    """Return a tool like `tool` that is called again after errors that may pass; the last error says how often.

    The policy judges what made the tool fail: the `__cause__` of a `ToolError` that is not retryable itself.
    Arguments that do not fit, interrupts and cancellation are never tried again. A stream is tried again only while
    it has given nothing. Only for tools that may run twice: what failed may have done half of its work.

    Args:
        tool: Any tool.
        policy: How often, how long between, after which errors; None for `RetryPolicy()`.

    Raises:
        BuildError: If `tool` is no tool, or `policy` no policy.
    """
    check_tool(tool, "tool_retry")
    policy = RetryPolicy() if policy is None else policy
    if not isinstance(policy, RetryPolicy):
        raise BuildError(f"tool_retry(policy={policy!r}): give a RetryPolicy")
    return _RetriedStreamingTool(tool, policy) if isinstance(tool, StreamingTool) else _RetriedTool(tool, policy)


class _RetriedTool(ToolWrapper):
    """A tool that is called again."""

    def __init__(self, tool: Tool, policy: RetryPolicy) -> None:
        super().__init__(tool)
        self._policy = policy

    async def run(self, arguments: str) -> str | ToolResult:
        rng = Random(self._policy.seed)  # noqa: S311 - jitter, no secret
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._tool.run(arguments)  # type: ignore[no-any-return]  # a Tool's
            except SIGNALS:
                raise
            except Exception as error:
                wait_s = self._wait_s(attempt, error, rng)
                if wait_s is None:
                    raise
            await sleep(wait_s)

    def _wait_s(self, attempt: int, error: Exception, rng: Random) -> float | None:
        wait_s = self._policy.wait_s(attempt, cause_of_failure(error), rng)
        if wait_s is None and attempt > 1:
            error.add_note(f"try {attempt} of at most {self._policy.max_attempts}")
        return wait_s

    def __repr__(self) -> str:
        return f"tool_retry({self._tool!r})"


class _RetriedStreamingTool(_RetriedTool):
    """A streaming tool that is called again while it has given nothing."""

    def stream(self, arguments: str) -> AsyncIterator[str | ToolResult]:
        return self._pieces(arguments)

    async def _pieces(self, arguments: str) -> AsyncGenerator[str | ToolResult, None]:
        rng = Random(self._policy.seed)  # noqa: S311 - jitter, no secret
        attempt, started = 0, False
        while True:
            attempt += 1
            source = self._tool.stream(arguments)
            try:
                async for piece in source:
                    started = True
                    yield piece
                return
            except SIGNALS:
                raise
            except Exception as error:
                wait_s = None if started else self._wait_s(attempt, error, rng)
                if wait_s is None:
                    raise
            finally:
                await close(source)
            await sleep(wait_s)
