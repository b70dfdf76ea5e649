"""What becomes of a tool call that fails: the run fails, or the model reads why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias

from eino._run.retry import is_retryable
from eino.components._tool_wrapper import cause_of_failure
from eino.compose._tool_input import ToolInput
from eino.compose.failures import error_text
from eino.errors import BuildError, ControlSignal, RunCancelledError, RunError, ToolError
from eino.schema.tool_result import ToolResult

__all__ = ["SIGNALS", "OnError", "ToolErrorPolicy", "call_failure", "error_policy"]

SIGNALS: Final = (ControlSignal, RunCancelledError)
"""Steer the run: no answer takes their place, and they say where they come from by themselves."""

ToolErrorPolicy: TypeAlias = Callable[[ToolInput, Exception], str | ToolResult | Awaitable[str | ToolResult]]
"""`on_error(call, error)`: the answer that the model gets instead of a result; may be async, may raise."""

OnError: TypeAlias = Literal["raise", "return_to_model"] | ToolErrorPolicy


def error_policy(on_error: OnError) -> ToolErrorPolicy | None:
    """Return the function that answers for calls that fail; None if they fail the run.

    Raises:
        BuildError: If it is none of the forms.
    """
    if on_error == "raise":
        return None
    if on_error == "return_to_model":
        return _tell_the_model
    if callable(on_error):
        return on_error
    raise BuildError(f"on_error={on_error!r}: give 'raise', 'return_to_model', or a function of the call and its error")


def _tell_the_model(_: ToolInput, error: Exception) -> str:
    """Say what went wrong; where in the graph it did is not for the model."""
    return f"Error: {error.message if isinstance(error, RunError) else error_text(error)}"


def call_failure(call: ToolInput, error: Exception, *, on_stream: bool) -> ToolError | RunError:
    """Return the error of a call, which names the tool and the call, ready to be raised from its cause.

    What a graph inside the tool raised stays what it is, since its path goes on growing; it gets the names in front.
    """
    doing = (
        f"failed to stream tool call {call.call_id}"
        if on_stream
        else f"failed to invoke tool[name:{call.called_name} id:{call.call_id}]"
    )
    if isinstance(error, RunError):
        if not error.message.startswith(doing):
            error.message = f"{doing}: {error.message}"
        return error
    failure = ToolError(f"{doing}: {error_text(error)}")
    failure.retryable = is_retryable(cause_of_failure(error))
    failure.__cause__ = error
    return failure
