"""Error responses as errors of eino."""

from __future__ import annotations

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
from eino.ext.models._service_errors import Place, scrub, status_error

PLACE = Place("gpt-4o", "api.example.org", ("very-secret-key",))


def error(status: int, body: Any = None, **headers: str) -> ComponentError:
    """Return the error for a response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status_error(status, named, body, PLACE)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, InvalidRequestError, False),
        (401, AuthenticationError, False),
        (402, PermissionDeniedError, False),
        (403, PermissionDeniedError, False),
        (404, InvalidRequestError, False),
        (408, RequestTimeoutError, True),
        (409, InvalidRequestError, False),
        (413, InvalidRequestError, False),
        (422, InvalidRequestError, False),
        (429, RateLimitError, True),
        (498, OverloadedError, True),
        (500, ServerError, True),
        (502, ServerError, True),
        (503, OverloadedError, True),
        (504, RequestTimeoutError, True),
        (529, OverloadedError, True),
    ],
)
def test_every_status_has_its_class(status: int, kind: type[ComponentError], retryable: bool) -> None:
    """The class says what to do; the text names the model, the host and the status."""
    found = error(status, {"error": {"message": "sorry"}})

    assert type(found) is kind
    assert found.retryable is retryable
    assert f"model 'gpt-4o' at api.example.org answered with an error (HTTP {status}): sorry; " in str(found)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"error": {"message": "?", "code": "context_length_exceeded"}}, id="OpenAI"),
        pytest.param({"error": {"message": "the request exceeds the available context size"}}, id="llama.cpp"),
        pytest.param({"error": {"message": "?", "type": "exceed_context_size_error"}}, id="llama.cpp by type"),
        pytest.param({"message": "This model's maximum context length is 4096 tokens."}, id="vLLM"),
        pytest.param({"error": {"message": "Please reduce the length of the messages or completion."}}, id="Groq"),
        pytest.param([{"error": {"message": "prompt is too long: 3 > 2"}}], id="in a list"),
    ],
)
def test_a_prompt_that_is_too_long(body: Any) -> None:
    """Known by code, type or words."""
    found = error(400, body)

    assert type(found) is ContextLengthError
    assert "shorten the messages" in str(found)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(400, {"error": {"code": "content_filter", "message": "m"}}, id="Azure"),
        pytest.param(
            400, {"error": {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, id="Azure, inside"
        ),
        pytest.param(400, {"error": {"code": "data_inspection_failed"}}, id="Qwen"),
        pytest.param(403, {"error": {"code": 403, "metadata": {"flagged_input": "bad words"}}}, id="OpenRouter"),
    ],
)
def test_a_content_filter(status: int, body: Any) -> None:
    """Whatever the status is."""
    assert type(error(status, body)) is ContentFilterError


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"retry_after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry_after": "0.25"}, 0.25, id="fractions"),
        pytest.param({"retry_after_ms": "1500"}, 1.5, id="milliseconds"),
        pytest.param({"retry_after_ms": "0", "retry_after": "1"}, 1.0, id="the longer one"),
        pytest.param(
            {"retry_after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0, id="date"
        ),
        pytest.param({"retry_after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None, id="date without the server's own"),
        pytest.param({"retry_after": "soon", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, id="words"),
        pytest.param({"retry_after": "-3"}, None, id="the past"),
        pytest.param({"retry_after": "inf"}, None, id="for ever"),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    """For rate limits and overload; what makes no sense is left out."""
    limited, overloaded = error(429, None, **headers), error(503, None, **headers)

    assert isinstance(limited, RateLimitError)
    assert isinstance(overloaded, OverloadedError)
    assert limited.retry_after_s == overloaded.retry_after_s == wait_s
    assert (f"wait {wait_s:g} s and" if wait_s is not None else "wait and") in str(limited)


def test_an_empty_account_is_no_rate_limit_that_passes() -> None:
    """The status is the same, but waiting does not help."""
    found = error(429, {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}})

    assert type(found) is RateLimitError
    assert not found.retryable
    assert "plan and billing" in str(found)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(
            {"error": {"message": "m", "code": "c", "type": "t"}}, "(HTTP 400, code 'c', type 't'): m;", id="full"
        ),
        pytest.param({"error": "plain"}, "(HTTP 400): plain;", id="text in error"),
        pytest.param({"error": "plain", "code": "c"}, "(HTTP 400, code 'c'): plain;", id="code beside"),
        pytest.param({"message": "m", "code": True}, "(HTTP 400): m;", id="no wrapping"),
        pytest.param({"detail": "d"}, "(HTTP 400): d;", id="FastAPI"),
        pytest.param("<html>Bad</html>", "(HTTP 400): <html>Bad</html>;", id="HTML"),
        pytest.param(None, "(HTTP 400): no message;", id="nothing"),
        pytest.param({}, "(HTTP 400): no message;", id="empty"),
        pytest.param(
            {"error": {"type": [], "code": {}, "innererror": {"code": []}}}, "(HTTP 400): no message;", id="types"
        ),
        pytest.param(
            {"error": {"message": "Provider error", "metadata": {"raw": "the real reason"}}},
            "Provider error (the real reason);",
            id="OpenRouter's provider",
        ),
        pytest.param({"error": {"message": "x" * 2000}}, "x" * 500 + ";", id="long"),
    ],
)
def test_the_words_of_the_server(body: Any, text: str) -> None:
    """However they are wrapped; long ones are cut."""
    assert text in str(error(400, body))


def test_the_id_of_the_request_is_named() -> None:
    """The provider's support asks for it."""
    assert "request id 'req_7'" in str(error(500, None, x_request_id="req_7"))


@pytest.mark.parametrize(
    "text",
    [
        "key very-secret-key is wrong",
        "key sk-proj-abcdefghijklmnop is wrong",
        "Authorization: Bearer abc.def is wrong",
        "gsk_abcdefghijklmnop",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    """The model's own key, and what looks like one."""
    assert "***" in scrub(text, PLACE.secrets)
    assert "***" in str(error(401, {"error": {"message": text}}))
    assert "abcdefghijklmnop" not in scrub(text, PLACE.secrets)
    assert "very-secret-key" not in repr(PLACE)
