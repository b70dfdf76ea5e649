"""What went wrong at Gemini, as errors of eino. Pure.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting and google/rpc/error_details.proto.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from eino.errors import ComponentError, ContentFilterError
from eino.ext.models._service_errors import Place, Problem, problem_error, scrub

__all__ = ["answer_error", "blocked", "status_error"]

_STATUSES: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 400,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "ABORTED": 500,
    "CANCELLED": 500,
    "DATA_LOSS": 500,
    "INTERNAL": 500,
    "UNKNOWN": 500,
}
"""The HTTP status that a status of Google's APIs stands for. `CANCELLED` by the server can be tried again.

Source: google/rpc/code.proto."""
_BAD_KEY: Final = re.compile(r"API[ _]key (?:not valid|expired|not found|was reported)", re.IGNORECASE)
_BAD_KEY_REASONS: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED"})
_TOO_LONG: Final = re.compile(
    r"token count .{0,40}exceeds|exceeds the maximum number of (?:input )?tokens|input context is too long",
    re.IGNORECASE,
)
_RETRY_IN: Final = re.compile(r"retry in ([0-9.]+) ?(ms|s)\b", re.IGNORECASE)


def status_error(status: int, headers: Mapping[str, str], body: bytes, place: Place) -> ComponentError:
    """Return the error for a response with an HTTP status of 400 or above."""
    text = body.decode("utf-8", "replace")
    try:
        error = _error_of(msgspec.json.decode(text))
    except msgspec.DecodeError:
        error = {"message": text}
    return _named(status, error, place, headers)


def answer_error(error: object, place: Place) -> ComponentError:
    """Return the error that a successful response reports: it names the HTTP status that it would have had."""
    found = _error_of({"error": error})
    code = found.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else _STATUSES.get(str(found.get("status")), 500)
    return _named(status, found, place, {})


def blocked(feedback: Mapping[str, Any], place: Place) -> ContentFilterError:
    """Return the error for a prompt that the service does not answer."""
    ratings = feedback.get("safetyRatings")
    high = [
        str(rating.get("category"))
        for rating in (ratings if isinstance(ratings, list) else ())
        if isinstance(rating, dict) and (rating.get("blocked") or rating.get("probability") in ("HIGH", "MEDIUM"))
    ]
    said = feedback.get("blockReasonMessage")
    because = f" ({', '.join(high)})" if high else ""
    words = f": {scrub(said, place.secrets)}" if isinstance(said, str) and said else ""
    return ContentFilterError(
        f"{place} blocked the prompt with {feedback.get('blockReason')!r}{because}{words}; change the prompt, or the "
        "safetySettings in extra_fields"
    )


def _named(status: int, error: Mapping[str, Any], place: Place, headers: Mapping[str, str]) -> ComponentError:
    text = error.get("message")
    text = text if isinstance(text, str) else ""
    details = error.get("details")
    details = [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
    reasons = [str(detail["reason"]) for detail in details if "reason" in detail]
    name = error.get("status")
    problem = Problem(
        text,
        code=", ".join(reasons),
        kind=name if isinstance(name, str) else "",
        too_long=bool(_TOO_LONG.search(text)),
        # The service says "bad request" to a bad key.
        bad_key=status in (400, 403) and (not _BAD_KEY_REASONS.isdisjoint(reasons) or bool(_BAD_KEY.search(text))),
        retry_after_s=_retry_after_s(details, text),
    )
    return problem_error(status, problem, place, headers)


def _error_of(body: object) -> Mapping[str, Any]:
    """Return the error in a body; where a stream was asked for, it comes in a list."""
    if isinstance(body, list) and body:
        return _error_of(body[0])
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        return error
    return {"message": "" if error is None else str(error)}


def _retry_after_s(details: Iterable[Mapping[str, Any]], text: str) -> float | None:
    """Return the wait that a `RetryInfo` asks for, or the text where there is none."""
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and (match := re.fullmatch(r"([0-9]+(?:\.[0-9]*)?)s", delay)):
            return float(match[1])
    if match := _RETRY_IN.search(text):
        try:
            return float(match[1].rstrip(".")) * (0.001 if match[2].lower() == "ms" else 1.0)
        except ValueError:
            return None
    return None
