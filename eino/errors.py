"""The error tree: what is wrong with a program, with a run, or with a component.

`BuildError` says that the program must change; it is raised by the call that is wrong, before anything runs.
`RunError` says that one run failed; it carries the path of the node. `ComponentError` is what models, tools and
stores raise; inside a graph it becomes the `__cause__` of a `RunError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "AlreadyAnsweredError",
    "AnswerRejectedError",
    "AttemptsError",
    "AuthenticationError",
    "BuildError",
    "CheckpointError",
    "CheckpointTooLargeError",
    "CheckpointVersionError",
    "CodecError",
    "ComponentError",
    "ConcatError",
    "ConnectionFailedError",
    "ContentFilterError",
    "ContextLengthError",
    "ControlSignal",
    "CorruptCheckpointError",
    "EinoError",
    "EndOfStream",
    "FailedAttempt",
    "FailoverExhaustedError",
    "FencedError",
    "GraphChangedError",
    "InvalidRequestError",
    "InvalidResponseError",
    "MaxStepsError",
    "MergeError",
    "MessageParseError",
    "MissingExtraError",
    "OverloadedError",
    "PermissionDeniedError",
    "RateLimitError",
    "RefusalError",
    "RequestTimeoutError",
    "RetryExhaustedError",
    "RunActiveError",
    "RunCancelledError",
    "RunError",
    "RunErrorKind",
    "RunTimeoutError",
    "ServerError",
    "StoreUnavailableError",
    "StreamBrokenError",
    "StreamClosedError",
    "StreamInUseError",
    "TemplateError",
    "ToolArgumentsError",
    "ToolError",
    "UnknownRunError",
    "UnknownTargetError",
]


class EinoError(Exception):
    """Base of every error that eino raises on purpose."""


class ControlSignal(Exception):  # noqa: N818 - no error
    """Steers a run and is no failure: error policies, retries and fallbacks let it pass."""


class BuildError(EinoError):
    """The program is wrong: a graph, a chain, a tool or a setting cannot work as written."""


class MissingExtraError(BuildError, ImportError):
    """An optional library is not installed; the text names the extra that brings it."""


class TemplateError(EinoError, ValueError):
    """A template cannot be parsed, or a variable that it names is missing or refused."""


class MessageParseError(EinoError, ValueError):
    """A message does not hold the value that a parser was to read from it."""


class ConcatError(EinoError, ValueError):
    """The chunks of a stream do not fit together into one value."""


class MergeError(EinoError, ValueError):
    """The values that arrived at one node do not fit together."""


class CodecError(EinoError, ValueError):
    """A value cannot be stored, or stored data cannot be read back. `path` leads from the root (`$`) to the spot."""

    def __init__(self, message: str, *, path: str = "$") -> None:
        super().__init__(message)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        path = self.path if len(self.path) <= 200 else f"{self.path[:120]}...{self.path[-60:]}"
        return f"{self.message} - at `{path}`"


class EndOfStream(EinoError):  # noqa: N818 - a control signal, like StopAsyncIteration
    """`StreamReader.recv` was called and nothing more will come. Calling again raises it again."""


class StreamClosedError(EinoError):
    """A stream was used after it was closed."""


class StreamInUseError(EinoError):
    """Two tasks read one stream at once, or a stream is used that was handed on by `copy`, `map` or `merge`."""


RunErrorKind = Literal["node", "graph"]


class RunError(EinoError):
    """One run failed.

    The text says what was being done and why it failed, then the node path. The error that a node raised is the
    `__cause__`. A `RunError` passes outer graphs unchanged but for its path, which grows from the inside out.
    """

    node_path: tuple[str, ...]
    """Keys of the nodes from the outermost graph down to the one that failed; empty for the root graph itself."""
    kind: RunErrorKind
    """`"node"`: a node's own code failed. `"graph"`: the graph around it did (routing, merging, limits)."""

    def __init__(self, message: str, *, node_path: tuple[str, ...] = (), kind: RunErrorKind = "graph") -> None:
        super().__init__(message)
        self.message = message
        self.node_path = node_path
        self.kind = kind
        self._mark: object = None  # the graph run that put its node on the path last: it does so once

    def __str__(self) -> str:
        tag = "[NodeRunError]" if self.kind == "node" else "[GraphRunError]"
        path = f"\n------------------------\nnode path: [{', '.join(self.node_path)}]" if self.node_path else ""
        return f"{tag} {self.message}{path}"


class MaxStepsError(RunError):
    """A graph that may loop did not reach its end within the allowed number of steps."""


class RunTimeoutError(RunError, TimeoutError):
    """A run or a node did not finish within its `timeout_s`."""


class RunCancelledError(RunError):
    """A run was cancelled through its handle; the task that awaited it was not."""


class ComponentError(EinoError):
    """A component (model, tool, store) failed. `retryable` says whether the same call may succeed later."""

    retryable: bool = False


class AuthenticationError(ComponentError):
    """The service does not accept the credentials (HTTP 401)."""


class PermissionDeniedError(ComponentError):
    """The credentials are valid but may not do this (HTTP 403)."""


class InvalidRequestError(ComponentError):
    """The service refuses the request as it is (HTTP 400, 404, 422): sending it again will not help."""


class ContextLengthError(InvalidRequestError):
    """The prompt and the wanted answer do not fit into the model's context window."""


class ContentFilterError(ComponentError):
    """The service's content filter refused the prompt or the answer."""


class RefusalError(ComponentError):
    """The model itself refuses to answer; its own words are part of the text, the whole answer is in `message`."""

    def __init__(self, text: str, *, message: object = None) -> None:
        super().__init__(text)
        self.message = message


class RateLimitError(ComponentError):
    """The service's quota is used up for now (HTTP 429)."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """How long the service asks to wait, in seconds; None when it did not say."""


class OverloadedError(ComponentError):
    """The service is up but has no capacity for this request (HTTP 503, 529)."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """How long the service asks to wait, in seconds; None when it did not say."""


class ServerError(ComponentError):
    """The service failed on its own side (HTTP 5xx)."""

    retryable = True


class InvalidResponseError(ComponentError):
    """What came back is no answer: an HTML page, broken JSON, nothing at all. Often a wrong address or a proxy."""


class RequestTimeoutError(ComponentError, TimeoutError):
    """The service did not answer in time."""

    retryable = True


class ConnectionFailedError(ComponentError, ConnectionError):
    """The service could not be reached, or the connection broke before an answer began."""

    retryable = True


class StreamBrokenError(ComponentError, ConnectionError):
    """An answer broke off in the middle.

    `partial` holds what had arrived until then, in the component's own type (a `Message` for chat models), or None.
    """

    retryable = True

    def __init__(self, message: str, *, partial: object = None) -> None:
        super().__init__(message)
        self.partial = partial


class AnswerRejectedError(ComponentError):
    """A component answered, but a rule of the caller does not accept the answer, which is in `message`."""

    def __init__(self, text: str, *, message: object = None) -> None:
        super().__init__(text)
        self.message = message


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One call that failed, of several that were made in its place."""

    model: str
    """What was called."""
    error: Exception
    """Why it failed."""
    wait_s: float | None = None
    """Seconds that were waited before the next call; None when none followed."""
    reason: str = ""
    """What the rule said that judged the call; empty when none did."""

    def __str__(self) -> str:
        said = str(self.error).splitlines()[:1]
        text = f"{self.model}: {type(self.error).__name__}: {said[0] if said else ''}".rstrip(": ")
        why = f" ({self.reason})" if self.reason else ""
        return text + why + (f", then waited {self.wait_s:.3g} s" if self.wait_s is not None else "")


class AttemptsError(ComponentError):
    """Several calls were made, and all failed. The last one's error is the `__cause__`."""

    def __init__(self, message: str, *, attempts: tuple[FailedAttempt, ...]) -> None:
        super().__init__(message)
        self.attempts = attempts
        """The calls, first to last."""

    @property
    def last_error(self) -> Exception:
        """What the last call raised."""
        return self.attempts[-1].error

    @property
    def retry_after_s(self) -> float | None:
        """How long the last service asked to wait, in seconds; None when it did not say."""
        asked = getattr(self.last_error, "retry_after_s", None)
        return asked if isinstance(asked, int | float) else None


class RetryExhaustedError(AttemptsError):
    """A component was called again and again, and failed each time."""


class FailoverExhaustedError(AttemptsError):
    """A component and everything that could stand in for it failed."""


class ToolError(ComponentError):
    """A tool call failed: unknown tool, malformed arguments, or the tool itself raised."""


class ToolArgumentsError(ToolError):
    """The arguments of a tool call are no JSON or do not fit its parameters; the text says how to repair them."""


class CheckpointError(EinoError):
    """A stored run cannot be read, written or gone on with."""


class UnknownRunError(CheckpointError, LookupError):
    """No run is stored under the id."""


class RunActiveError(CheckpointError):
    """Another worker is running the run; `take_over=True` goes on with it all the same."""

    def __init__(self, message: str, *, owner: str = "") -> None:
        super().__init__(message)
        self.owner = owner
        """Who is running it."""


class FencedError(CheckpointError):
    """Another worker took the run over: this one must not go on."""


class AlreadyAnsweredError(CheckpointError):
    """An interrupt was answered before; the first answer counts."""


class UnknownTargetError(CheckpointError, LookupError):
    """`resume=` names a point at which the run does not wait, or one that is not unique."""


class CorruptCheckpointError(CheckpointError):
    """What is stored is not what was written."""


class CheckpointVersionError(CheckpointError):
    """What is stored was written by a version of eino that this one does not understand."""


class CheckpointTooLargeError(CheckpointError):
    """What is to be stored of a run, or was stored, is larger than the limit."""


class StoreUnavailableError(CheckpointError, ComponentError):
    """The store of runs cannot be reached now, or does not answer in time; what is stored stays as it was."""

    retryable = True


class GraphChangedError(CheckpointError):
    """A run was stored by another version of the graph; `change` says what is different."""

    def __init__(self, message: str, *, change: object = None) -> None:
        super().__init__(message)
        self.change = change
