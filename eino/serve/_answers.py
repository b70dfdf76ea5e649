"""How errors of a run are answered over HTTP."""

from __future__ import annotations

from typing import Any

from eino.errors import (
    AuthenticationError,
    ContentFilterError,
    InvalidRequestError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    RunError,
    RunTimeoutError,
)

__all__ = ["error_body", "status_of"]

_STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (RateLimitError, 429),
    (OverloadedError, 503),
    (RunTimeoutError, 504),
    (RequestTimeoutError, 504),
    (ContentFilterError, 422),
    (InvalidRequestError, 502),
    (AuthenticationError, 502),
    (PermissionDeniedError, 502),
)
"""What the caller can do about it decides: wait (429, 503, 504), change the input (422), nothing (500, 502)."""


def status_of(error: BaseException) -> int:
    """Return the HTTP status for an error: that of the innermost cause that has one, else 500."""
    status = 500
    seen: BaseException | None = error
    while seen is not None:
        status = next((code for kind, code in _STATUS if isinstance(seen, kind)), status)
        seen = seen.__cause__
    return status


def error_body(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON: its type, its text, and the node path if it has one."""
    cause = error.__cause__ if isinstance(error, RunError) and error.__cause__ is not None else error
    body: dict[str, Any] = {"type": type(cause).__name__, "message": str(error)}
    if isinstance(error, RunError):
        body["node_path"] = list(error.node_path)
    return body
