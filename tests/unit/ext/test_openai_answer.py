"""Whole answers of OpenAI-compatible servers as messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eino.errors import (
    ComponentError,
    ContentFilterError,
    InvalidRequestError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from eino.ext.models._openai_answer import read_answer
from eino.ext.models._service_errors import Place
from eino.ext.models.openai import ANNOTATIONS, REFUSAL, REQUEST_ID
from eino.schema import (
    VERY_UNLIKELY_LOGPROB,
    AudioPart,
    ImageMedia,
    ImagePart,
    LogProb,
    Media,
    Message,
    TokenUsage,
    TopLogProb,
    token_usage,
    tool_call,
)

PLACE = Place("m", "api.example.org", ("very-secret-key",))


def answer(said: dict[str, Any] | None = None, choice: dict[str, Any] | None = None, **payload: Any) -> Message:
    """Return the message for an answer with one choice."""
    one = {"index": 0, "message": {"role": "assistant", "content": None} | (said or {})} | (choice or {})
    return read_answer(json.dumps({"choices": [one]} | payload).encode(), PLACE)


def test_a_plain_answer() -> None:
    """Text, finish reason, usage and the server's id."""
    message = answer(
        {"content": "hi"},
        {"finish_reason": "stop"},
        id="chatcmpl-1",
        usage={"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    )

    assert message.role == "assistant"
    assert message.content == "hi"
    assert message.extra == {REQUEST_ID: "chatcmpl-1"}
    assert message.response_meta is not None
    assert message.response_meta.finish_reason == "stop"
    assert message.response_meta.usage == token_usage(3, 1)
    assert message.response_meta.logprobs is None


@pytest.mark.parametrize(
    ("said", "content", "reasoning"),
    [
        pytest.param({"content": "a", "reasoning_content": "r"}, "a", "r", id="reasoning_content"),
        pytest.param({"content": "a", "reasoning": "r"}, "a", "r", id="reasoning"),
        pytest.param({"reasoning_content": "r", "reasoning": "r"}, "", "r", id="both names, once"),
        pytest.param({"reasoning": {"effort": "high"}}, "", "", id="reasoning that is no text"),
        pytest.param(
            {"reasoning_details": [{"type": "reasoning.text", "text": "r1"}, {"summary": "r2"}, {"data": "x"}]},
            "",
            "r1r2",
            id="reasoning details",
        ),
        pytest.param(
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "r"}]},
                    {"type": "text", "text": "a"},
                    "b",
                    7,
                ]
            },
            "ab",
            "r",
            id="parts of the content",
        ),
        pytest.param({"content": 7}, "", "", id="content that is no text"),
    ],
)
def test_text_and_reasoning_by_every_name(said: dict[str, Any], content: str, reasoning: str) -> None:
    """Servers disagree about where reasoning is."""
    message = answer(said)

    assert (message.content, message.reasoning_content) == (content, reasoning)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param({"prompt_tokens": 3, "completion_tokens": 4}, token_usage(3, 4), id="without a total"),
        pytest.param(
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 13,
                "prompt_tokens_details": {"cached_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            token_usage(9, 4, cached_tokens=5, reasoning_tokens=2),
            id="details",
        ),
        pytest.param(
            {"prompt_tokens": 9, "prompt_cache_hit_tokens": 5}, token_usage(9, cached_tokens=5), id="DeepSeek"
        ),
        pytest.param({"prompt_tokens": 9, "cached_tokens": 5}, token_usage(9, cached_tokens=5), id="Moonshot"),
        pytest.param({"completion_tokens": 9, "reasoning_tokens": 5}, token_usage(0, 9, reasoning_tokens=5), id="top"),
        pytest.param(
            {"prompt_tokens": 3.0, "completion_tokens": None, "prompt_tokens_details": None},
            token_usage(3),
            id="odd types",
        ),
        pytest.param({}, None, id="empty"),
        pytest.param("many", None, id="no object"),
    ],
)
def test_usage_by_every_name(usage: Any, expected: TokenUsage | None) -> None:
    """Cached and reasoning tokens stand in different places."""
    meta = answer(usage=usage).response_meta

    assert meta is not None
    assert meta.usage == expected


def test_usage_in_other_places() -> None:
    """In the choice (Moonshot), or beside the answer (Groq)."""
    counts = {"prompt_tokens": 1, "completion_tokens": 2}

    for message in (answer(choice={"usage": counts}), answer(x_groq={"usage": counts})):
        assert message.response_meta is not None
        assert message.response_meta.usage == token_usage(1, 2)


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        pytest.param(
            {"tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
            (tool_call("f", '{"a": 1}', id="c1"),),
            id="usual",
        ),
        pytest.param({"tool_calls": [{"function": {"name": "f"}}]}, (tool_call("f"),), id="no id, type, arguments"),
        pytest.param(
            {"tool_calls": [{"id": None, "function": {"name": "f", "arguments": {"a": [1]}}}]},
            (tool_call("f", '{"a":[1]}'),),
            id="arguments as an object",
        ),
        pytest.param({"tool_calls": [{"id": "c"}, None, 3]}, (tool_call("", id="c"),), id="no function, no call"),
        pytest.param({"tool_calls": {"id": "c"}}, (), id="no list"),
        pytest.param({"function_call": {"name": "f", "arguments": "{}"}}, (tool_call("f", "{}"),), id="before tools"),
        pytest.param(
            {"tool_calls": [{"id": "c", "function": {"name": "f"}, "extra_content": {"google": {"sig": "s"}}}]},
            (tool_call("f", id="c", extra={"extra_content": {"google": {"sig": "s"}}}),),
            id="what must be sent back",
        ),
    ],
)
def test_tool_calls(said: dict[str, Any], calls: tuple[Any, ...]) -> None:
    """Whole answers have no index; a missing id stays empty."""
    assert answer(said).tool_calls == calls


def test_refusals_and_sources_are_kept() -> None:
    """Under named keys of `extra`."""
    message = answer({"refusal": "I will not.", "annotations": [{"type": "url_citation"}]})

    assert message.extra == {REFUSAL: "I will not.", ANNOTATIONS: [{"type": "url_citation"}]}


def test_media_in_an_answer() -> None:
    """Audio with its transcript, images by address or as data."""
    message = answer(
        {
            "audio": {"id": "audio_1", "data": "QQ==", "transcript": "hi", "expires_at": 7},
            "images": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUI="}},
                {"image_url": {"url": "https://x/a.png"}},
                {"image_url": {}},
                "none",
            ],
        }
    )

    assert message.assistant_parts == (
        AudioPart(audio=Media(base64_data="QQ=="), extra={"id": "audio_1", "transcript": "hi"}),
        ImagePart(image=ImageMedia(base64_data="QUI=", mime_type="image/png")),
        ImagePart(image=ImageMedia(url="https://x/a.png")),
    )


def test_log_probabilities() -> None:
    """One entry a token, with the likeliest others; gaps are filled with what they mean."""
    logprobs = {
        "content": [
            {
                "token": "a",
                "logprob": -0.5,
                "bytes": [97],
                "top_logprobs": [{"token": "b", "logprob": -1, "bytes": None}, 3],
            },
            {"token": "c", "logprob": None},
        ]
    }
    meta = answer(choice={"logprobs": logprobs}).response_meta

    assert meta is not None
    assert meta.logprobs is not None
    assert meta.logprobs.content == (
        LogProb(token="a", logprob=-0.5, bytes=(97,), top_logprobs=(TopLogProb(token="b", logprob=-1.0),)),
        LogProb(token="c", logprob=VERY_UNLIKELY_LOGPROB),
    )


def test_the_first_choice_counts() -> None:
    """Others come only from servers that send them unasked, in any order."""
    choices = [{"index": 1, "message": {"content": "no"}}, {"index": 0, "message": {"content": "yes"}}]

    assert read_answer(json.dumps({"choices": choices}).encode(), PLACE).content == "yes"
    assert read_answer(b'{"choices": [3, {"message": {"content": "only"}}]}', PLACE).content == "only"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b"<html>down</html>", r"no JSON .*body '<html>down</html>'", id="HTML"),
        pytest.param(b'{"choices": [', "no JSON", id="cut off"),
        pytest.param(b"\xff\xfe", "no JSON", id="binary"),
        pytest.param(b"", "no JSON .* body ''", id="empty"),
        pytest.param(b"[]", "a JSON list instead of an object", id="list"),
        pytest.param(b"null", "a JSON NoneType instead of an object", id="null"),
        pytest.param(b"{}", "no choices", id="no choices"),
        pytest.param(b'{"choices": []}', "no choices", id="empty choices"),
        pytest.param(b'{"choices": null, "success": true, "data": {}}', "no choices", id="wrapped"),
        pytest.param(b'{"choices": "very-secret-key"}', r"body '\{\"choices\": \"\*\*\*\"\}'", id="a secret in it"),
    ],
)
def test_what_is_no_answer_is_shown(body: bytes, text: str) -> None:
    """With its beginning and the remedy, and without the key."""
    with pytest.raises(InvalidResponseError, match=text) as caught:
        read_answer(body, PLACE, "text/plain")

    assert "content type 'text/plain'" in str(caught.value)
    assert "check base_url=" in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        pytest.param({"error": {"code": 429, "message": "slow"}}, RateLimitError, id="status as code"),
        pytest.param({"error": {"code": "rate_limit_exceeded"}}, RateLimitError, id="code"),
        pytest.param({"error": {"type": "invalid_request_error"}}, InvalidRequestError, id="type"),
        pytest.param({"error": "broken"}, ServerError, id="text"),
        pytest.param({"error": {"code": "content_filter"}}, ContentFilterError, id="filter"),
        pytest.param(
            {"choices": [{"error": {"code": 502, "message": "up"}, "finish_reason": "error"}]}, ServerError, id="choice"
        ),
    ],
)
def test_errors_inside_a_success_are_raised(payload: dict[str, Any], kind: type[ComponentError]) -> None:
    """Some servers answer 200 with an error inside."""
    with pytest.raises(kind):
        read_answer(json.dumps(payload).encode(), PLACE)
