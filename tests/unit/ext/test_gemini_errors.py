"""Error responses of Gemini as errors of eino."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eino.errors import (
    AuthenticationError,
    ComponentError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from eino.ext.models._gemini_errors import answer_error, blocked, status_error
from eino.ext.models._service_errors import Place

PLACE = Place("gemini-pro", "api.example.org", ("very-secret-key",), "check api_key= or GEMINI_API_KEY")


def body(code: int, status: str, message: str = "sorry", *details: dict[str, Any]) -> dict[str, Any]:
    """Return an error as Google's APIs write it."""
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def error(status: int, payload: Any, **headers: str) -> ComponentError:
    """Return the error for a response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return status_error(status, named, raw, PLACE)


STATUSES = [
    (400, "INVALID_ARGUMENT", InvalidRequestError, False),
    (400, "FAILED_PRECONDITION", InvalidRequestError, False),
    (401, "UNAUTHENTICATED", AuthenticationError, False),
    (403, "PERMISSION_DENIED", PermissionDeniedError, False),
    (404, "NOT_FOUND", InvalidRequestError, False),
    (429, "RESOURCE_EXHAUSTED", RateLimitError, True),
    (500, "INTERNAL", ServerError, True),
    (503, "UNAVAILABLE", OverloadedError, True),
    (504, "DEADLINE_EXCEEDED", RequestTimeoutError, True),
]


@pytest.mark.parametrize(("status", "name", "kind", "retryable"), STATUSES)
def test_every_status_has_its_class(status: int, name: str, kind: type[ComponentError], retryable: bool) -> None:
    """Also in the middle of a stream, where the body names the status, or only its name."""
    payload = body(status, name)
    found = [
        error(status, payload),
        error(status, [payload]),
        answer_error(payload["error"], PLACE),
        answer_error({"status": name, "message": "sorry"}, PLACE),
    ]

    assert {type(each) for each in found} == {kind}
    assert {each.retryable for each in found} == {retryable}
    text = f"model 'gemini-pro' at api.example.org answered with an error (HTTP {status}, type {name!r}): sorry; "
    assert all(text in str(each) for each in found)


@pytest.mark.parametrize(
    "payload",
    [
        body(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        body(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
        body(400, "INVALID_ARGUMENT", "no", {"@type": "x/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}),
        body(403, "PERMISSION_DENIED", "Your API key was reported as leaked."),
    ],
    ids=["not valid", "expired", "by its reason", "leaked"],
)
def test_a_bad_key_is_no_bad_request(payload: dict[str, Any]) -> None:
    """The service says 400; the remedy is another key."""
    found = error(payload["error"]["code"], payload)

    assert type(found) is AuthenticationError
    assert f"HTTP {payload['error']['code']}" in str(found)
    assert str(found).endswith("check api_key= or GEMINI_API_KEY")


@pytest.mark.parametrize(
    "text",
    [
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575).",
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
        "The input token count is 40000 but model only supports 32768, it exceeds the maximum number of input tokens",
    ],
)
def test_too_long_a_prompt(text: str) -> None:
    assert type(error(400, body(400, "INVALID_ARGUMENT", text))) is ContextLengthError


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("message", "details", "headers", "seconds"),
    [
        ("", [RETRY_INFO], {}, 34.5),
        ("", [{"@type": "x"}, RETRY_INFO], {"retry_after": "60"}, 60.0),
        ("", [RETRY_INFO], {"retry_after": "2"}, 34.5),
        ("Quota exceeded. Please retry in 12.25s.", [], {}, 12.25),
        ("Please retry in 250ms.", [], {}, 0.25),
        ("Please retry in 1.2.3s.", [], {}, None),
        ("", [RETRY_INFO | {"retryDelay": "soon"}], {}, None),
        ("", [], {}, None),
    ],
    ids=["RetryInfo", "longer header", "shorter header", "text", "ms", "no number", "no delay", "nothing"],
)
def test_how_long_to_wait(
    status: int, message: str, details: list[Any], headers: dict[str, str], seconds: float | None
) -> None:
    """The longest of what the header and the body ask for."""
    found = error(status, body(status, "RESOURCE_EXHAUSTED", message, *details), **headers)

    assert isinstance(found, RateLimitError | OverloadedError)
    assert found.retry_after_s == seconds


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"<html>no</html>", "<html>no</html>"),
        (b"", "no message"),
        (b'{"error": {"message": "\xff!"}}', "\ufffd!"),
        ({"error": "odd"}, "odd"),
        ({"error": None}, "no message"),
        ([], "[]"),
        ({"error": {"message": 7, "details": "x", "status": 3}}, "no message"),
        ({"error": {"details": True}}, "no message"),
    ],
    ids=["page", "empty", "no UTF-8", "text", "null", "list", "wrong types", "no list"],
)
def test_bodies_of_any_form(payload: Any, text: str) -> None:
    """A proxy may answer in place of the service."""
    found = error(502, payload)

    assert type(found) is ServerError
    assert f": {text}" in str(found)


def test_an_error_of_no_known_form_is_the_servers() -> None:
    assert type(answer_error("oops", PLACE)) is ServerError
    assert type(answer_error({"code": 7}, PLACE)) is ServerError


def test_keys_are_not_repeated() -> None:
    """Not even when the service does."""
    assert "very-secret-key" not in str(error(400, body(400, "INVALID_ARGUMENT", "bad very-secret-key")))


def test_a_blocked_prompt_says_why() -> None:
    feedback = {
        "blockReason": "SAFETY",
        "blockReasonMessage": "no",
        "safetyRatings": [
            {"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH"},
            {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "LOW"},
            "odd",
        ],
    }

    assert isinstance(blocked(feedback, PLACE), ContentFilterError)
    assert "blocked the prompt with 'SAFETY' (HARM_CATEGORY_HARASSMENT): no; change the prompt" in str(
        blocked(feedback, PLACE)
    )
    assert "with 'OTHER'; change the prompt" in str(blocked({"blockReason": "OTHER"}, PLACE))
