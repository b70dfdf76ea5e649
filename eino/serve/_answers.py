"""How errors of a run, and its questions, are answered over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec

from eino._run.causes import causes
from eino.compose import GraphInterrupt, InterruptContext, InterruptInfo
from eino.errors import (
    AuthenticationError,
    CodecError,
    ContentFilterError,
    InvalidRequestError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    RunError,
    RunTimeoutError,
)
from eino.serve._json import INFO, json_of

__all__ = ["error_body", "interrupt_body", "sendable", "status_of"]

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
    for each in causes(error):
        status = next((code for kind, code in _STATUS if isinstance(each, kind)), status)
    return status


def error_body(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON: its type, its text, and the node path if it has one."""
    cause = error.__cause__ if isinstance(error, RunError) and error.__cause__ is not None else error
    body: dict[str, Any] = {"type": type(cause).__name__, "message": sendable(str(error))}
    if isinstance(error, RunError):
        body["node_path"] = [sendable(key) for key in error.node_path]
    return body


def interrupt_body(stop: GraphInterrupt) -> dict[str, Any]:
    """Return as JSON where a run stopped to ask, and what: its contexts, and the nodes that it stopped before or after.

    The state of a graph is not in it: it was not made for who asks from outside.
    """
    return {"contexts": [_context(each) for each in stop.contexts], **_nodes(stop.info)}


def _context(context: InterruptContext) -> dict[str, Any]:
    body: dict[str, Any] = {"id": context.id, "address": sendable(context.address_text)}
    if not context.is_static:
        try:
            body["info"] = msgspec.Raw(json_of(context.info, INFO))
        except CodecError as error:
            body["info_error"] = error_body(error)
    return body


def _nodes(info: InterruptInfo) -> dict[str, Any]:
    return {
        "before_nodes": [sendable(key) for key in info.before_nodes],
        "after_nodes": [sendable(key) for key in info.after_nodes],
        "sub_graphs": {sendable(key): _nodes(inner) for key, inner in info.sub_graphs.items()},
    }


def sendable(text: str) -> str:
    """Return `text` with lone surrogates written as escapes: they have no UTF-8 form, so no answer could hold them."""
    return text.encode(errors="backslashreplace").decode()
