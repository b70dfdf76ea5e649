"""What went wrong at an OpenAI-compatible server, as errors of eino. Pure.

What does not depend on the protocol (`Place`, `Problem`, `problem_error`) serves the other providers too.

Source: https://platform.openai.com/docs/guides/error-codes and the error bodies of the servers named below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

from eino.errors import (
    AuthenticationError,
    ComponentError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)

__all__ = [
    "Place",
    "Problem",
    "answer_error",
    "problem_error",
    "scrub",
    "seconds_to_wait",
    "status_error",
    "unreadable",
]

SHOWN_CHARS: Final = 500
"""Characters of a server's own words that an error repeats."""

_SECRET: Final = re.compile(r"\b(?:sk|pk|rk|gsk|xai|key)[-_][A-Za-z0-9_-]{12,}|\bBearer\s+\S+", re.IGNORECASE)
_TOO_LONG: Final = re.compile(
    r"context[ _-]?(?:length|window|size)|maximum (?:context|prompt|input) length|prompt is too long|"
    r"reduce the length of the (?:messages|prompt)|input is too long|too many (?:input )?tokens",
    re.IGNORECASE,
)
_FILTER_CODES: Final = frozenset(
    {
        "content_filter",  # OpenAI, Azure
        "content_policy_violation",  # OpenAI
        "responsibleaipolicyviolation",  # Azure
        "data_inspection_failed",  # Qwen
        "datainspectionfailed",
        "moderation_error",
        "content_filtered",
    }
)
_FILTER_WORDS: Final = re.compile(r"blocked by (?:our |the )?content filter", re.IGNORECASE)
"""How Anthropic says it, under the type of any invalid request."""
_TOO_LONG_CODES: Final = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
_SPENT_CODES: Final = frozenset(
    {"insufficient_quota", "contract_spend_limit_reached", "enforced_spend_limit_reached"}  # the latter: Anthropic
)
"""Why a request is refused as one too many, although waiting will not help."""
_BY_CODE: Final[Mapping[str, int]] = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "invalid_request_error": 400,
    "bad_request": 400,
    "model_not_found": 404,
    "not_found_error": 404,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "ratelimitreached": 429,
    "insufficient_quota": 429,
    "too_many_requests": 429,
    "overloaded_error": 529,
    "overloaded": 529,
    "service_unavailable": 503,
    "timeout": 504,
    "timeout_error": 504,
    "billing_error": 402,
    "request_too_large": 413,
    "server_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "api_error": 500,
}
"""The status that a code or type in an error body stands for, where there is no status: in the middle of a stream."""


@dataclass(frozen=True)
class Place:
    """Who answers, for error texts, and what those texts must not contain."""

    model: str
    host: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    key_hint: str = "check api_key= or the environment variable OPENAI_API_KEY"
    """What to do about a key that is not accepted."""

    def __str__(self) -> str:
        return f"model {self.model!r} at {self.host}"


@dataclass(frozen=True)
class Problem:
    """An error body, taken apart."""

    text: str
    code: str = ""
    kind: str = ""
    status: int = 0
    """The HTTP status that the body itself names, or 0."""
    filtered: bool = False
    """Whether a content filter refused."""
    too_long: bool = False
    """Whether the prompt is too long for the model."""
    bad_key: bool = False
    """Whether the key is not accepted, whatever the status says."""
    retry_after_s: float | None = None
    """How long the body asks to wait, in seconds; the headers may ask for more."""


def status_error(status: int, headers: Mapping[str, str], body: object, place: Place) -> ComponentError:
    """Return the error for a response with an HTTP status of 400 or above."""
    return problem_error(status, _problem(body), place, headers)


def answer_error(error: object, place: Place) -> ComponentError:
    """Return the error that a successful response reports: its code or type says what an HTTP status would."""
    problem = _problem({"error": error})
    named = _BY_CODE.get(problem.code.lower()) or _BY_CODE.get(problem.kind.lower())
    return problem_error(problem.status or named or 500, problem, place, {})


def unreadable(place: Place, why: str, content_type: str, body: bytes) -> InvalidResponseError:
    """Return the error for a response that is no answer of a model."""
    shown = scrub(body[:SHOWN_CHARS].decode("utf-8", "replace").strip(), place.secrets)
    return InvalidResponseError(
        f"what came back for {place} is no answer: {why}, content type {content_type!r}, body {shown!r}; "
        "check base_url=, and proxies on the way"
    )


def scrub(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text` without `secrets` and without what looks like a key."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _SECRET.sub("***", text)


def problem_error(status: int, problem: Problem, place: Place, headers: Mapping[str, str]) -> ComponentError:
    """Return the error for what a service reports with an HTTP status, or with what stands for one."""
    text = _text(status, problem, place, headers)
    if problem.filtered:
        return ContentFilterError(f"{text}; change the prompt")
    if status in (400, 413, 422) and _too_long(problem):
        return ContextLengthError(f"{text}; shorten the messages or lower max_tokens")
    if status == 401 or problem.bad_key:
        return AuthenticationError(f"{text}; {place.key_hint}")
    waits = [wait for wait in (seconds_to_wait(headers), problem.retry_after_s) if wait is not None]
    retry_after_s = max(waits, default=None)
    if status == 429:
        return _rate_limit(text, problem, retry_after_s)
    if status in (498, 503, 529):
        return OverloadedError(f"{text}; wait and try again", retry_after_s=retry_after_s)
    make, remedy = _BY_STATUS.get(status, _OTHERWISE[status >= 500])
    return make(f"{text}; {remedy}")


_BY_STATUS: Final[Mapping[int, tuple[Callable[[str], ComponentError], str]]] = {
    402: (PermissionDeniedError, "the account has no balance left"),
    403: (PermissionDeniedError, "the key is valid but may not do this"),
    404: (InvalidRequestError, "check model= and base_url="),
    408: (RequestTimeoutError, "try again, or raise timeout_s="),
    504: (RequestTimeoutError, "try again: the server behind the address did not answer in time"),
}
_OTHERWISE: Final[tuple[tuple[Callable[[str], ComponentError], str], ...]] = (
    (InvalidRequestError, "change the request: sending it again will not help"),
    (ServerError, "try again"),
)


def _rate_limit(text: str, problem: Problem, retry_after_s: float | None) -> RateLimitError:
    if not _SPENT_CODES.isdisjoint((problem.code, problem.kind)):
        error = RateLimitError(f"{text}; the account's quota is used up: see its plan and billing")
        error.retryable = False
        return error
    wait = "wait" if retry_after_s is None else f"wait {retry_after_s:g} s"
    return RateLimitError(f"{text}; {wait} and try again", retry_after_s=retry_after_s)


def _text(status: int, problem: Problem, place: Place, headers: Mapping[str, str]) -> str:
    marks = [f"HTTP {status}"]
    if problem.code:
        marks.append(f"code {problem.code!r}")
    if problem.kind:
        marks.append(f"type {problem.kind!r}")
    if request_id := headers.get("x-request-id") or headers.get("request-id"):
        marks.append(f"request id {request_id!r}")
    said = scrub(problem.text[:SHOWN_CHARS].strip(), place.secrets) or "no message"
    return f"{place} answered with an error ({', '.join(marks)}): {said}"


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Return the longest wait that the headers ask for, in seconds; a date counts from the response's own date."""
    waits = [_number(headers.get("retry-after-ms"), 0.001), _number(headers.get("retry-after"), 1.0)]
    until = headers.get("retry-after", "")
    if waits[1] is None and until and (date := headers.get("date")):
        try:
            waits.append((parsedate_to_datetime(until) - parsedate_to_datetime(date)).total_seconds())
        except (TypeError, ValueError):
            waits.append(None)
    known = [wait for wait in waits if wait is not None and 0.0 <= wait < float("inf")]
    return max(known, default=None)


def _number(text: str | None, unit_s: float) -> float | None:
    try:
        return float(text) * unit_s if text is not None else None
    except ValueError:
        return None


def _too_long(problem: Problem) -> bool:
    if problem.too_long:
        return True
    return not _TOO_LONG_CODES.isdisjoint((problem.code, problem.kind)) or bool(_TOO_LONG.search(problem.text))


def _problem(body: object) -> Problem:
    """Take an error body apart.

    Servers wrap it in `error`, in a list (Gemini), in nothing, or send `detail` (FastAPI) or plain text. OpenRouter
    keeps the words of the server behind it in `metadata.raw`.
    """
    if isinstance(body, list) and body:
        return _problem(body[0])
    if not isinstance(body, dict):
        return Problem("" if body is None else str(body))
    error = body.get("error", body)
    if not isinstance(error, dict):
        return Problem(str(error), _word(body.get("code")), _word(body.get("type")))
    details = error.get("details")  # Anthropic
    code = error.get("code") or (details.get("error_code") if isinstance(details, dict) else None)
    text = error.get("message") or error.get("detail") or error.get("msg") or ""
    status = code if isinstance(code, int) and 400 <= code < 600 else 0
    kind = _word(error.get("type"))
    return Problem(f"{text}{_raw(error)}", _word(code), kind, status, _filtered(error))


def _filtered(error: Mapping[str, Any]) -> bool:
    """Return whether a content filter refused: Azure says so in `innererror` too, OpenRouter in `metadata`."""
    inner, metadata = error.get("innererror"), error.get("metadata")
    codes = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    named = any(isinstance(code, str) and code.lower() in _FILTER_CODES for code in codes)
    named = named or bool(_FILTER_WORDS.search(str(error.get("message"))))
    return named or (isinstance(metadata, dict) and "flagged_input" in metadata)


def _raw(error: Mapping[str, Any]) -> str:
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f" ({raw})" if raw else ""


def _word(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
