"""Real traffic of Gemini, recorded by others against the live service, through our model.

The recordings are third-party data and stay where they are; see `test_real_traffic.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from eino.errors import AuthenticationError, ComponentError, InvalidRequestError
from eino.ext.models.gemini import MODEL_VERSION, PARTS, RESPONSE_ID, THOUGHT_SIGNATURE, GeminiChatModel
from eino.schema import Message, concat_messages, tool_message, user_message
from eino_fixtures import RandomBytes, ReplayTransport, WholeBody, load_cassette
from eino_fixtures.cassettes import ByteChunking, RecordedCall

ROOT = Path(__file__).resolve().parents[2]
CUTS = [
    pytest.param(WholeBody(), id="whole"),
    pytest.param(1, id="1-byte"),
    pytest.param(7, id="7-byte"),
    pytest.param(RandomBytes(2026), id="random"),
]


def shared() -> Path:
    """Return the folder with the recordings, whether or not it is there."""
    named = os.environ.get("EINO_SHARED_CASSETTES")
    return Path(named) if named else ROOT.parent / "shared" / "cassettes"


def recordings() -> list[Any]:
    """Return the recordings as parameters; one that skips where there are none."""
    manifest = shared() / "manifest.json"
    if not manifest.exists():
        reason = f"no recordings at {str(shared())!r}: set EINO_SHARED_CASSETTES"
        return [pytest.param(None, id="no-recordings", marks=pytest.mark.skip(reason=reason))]
    entries = json.loads(manifest.read_text(encoding="utf-8"))["cassettes"]
    return [pytest.param(entry, id=entry["id"]) for entry in entries if entry["provider"] == "gemini"]


@cache
def calls_of(path: str) -> list[RecordedCall]:
    """Return the calls of one recording."""
    return load_cassette(shared() / path)


def model_for(interaction: dict[str, Any], client: httpx2.AsyncClient) -> GeminiChatModel:
    """Return a model that asks at the recorded address."""
    url = urlsplit(interaction["uri"])
    return GeminiChatModel(
        model=interaction["request"]["model"],
        api_key="not-a-key",
        base_url=f"{url.scheme}://{url.netloc}{url.path.partition('/models/')[0]}",
        http_client=client,
    )


async def replayed(entry: dict[str, Any], chunking: ByteChunking | int) -> list[Message | ComponentError]:
    """Return what the model makes of each call of a recording."""
    transport = ReplayTransport(calls_of(entry["normalized"]), chunking=chunking)
    found: list[Message | ComponentError] = []
    async with httpx2.AsyncClient(transport=transport) as client:
        for interaction in entry["interactions"]:
            model = model_for(interaction, client)
            asked = [user_message("What was asked does not count: another client recorded this.")]
            try:
                if interaction["stream"]:
                    found.append(concat_messages([chunk async for chunk in model.stream(asked)]))
                else:
                    found.append(await model.generate(asked))
            except ComponentError as error:
                found.append(error)
    transport.assert_all_played()
    return found


@pytest.mark.parametrize("chunking", CUTS)
@pytest.mark.parametrize("entry", recordings())
async def test_every_recording_gives_what_its_bytes_say(entry: dict[str, Any], chunking: ByteChunking | int) -> None:
    """Text, thoughts, signatures, calls, code that ran, finish reason, usage, errors: exactly."""
    for interaction, result in zip(entry["interactions"], await replayed(entry, chunking), strict=True):
        expected = interaction["expected"]
        if expected["kind"] == "error":
            check_error(result, expected)
        else:
            check_message(result, expected)


def check_error(result: object, expected: dict[str, Any]) -> None:
    assert isinstance(result, ComponentError)
    bad_key = "API key" in expected["message"]
    assert type(result) is (AuthenticationError if bad_key else {404: InvalidRequestError}[expected["http_status"]])
    assert expected["message"][:500] in str(result)
    assert f"HTTP {expected['http_status']}" in str(result)
    assert result.retryable is expected["retryable"]


def check_message(message: object, expected: dict[str, Any]) -> None:
    assert isinstance(message, Message)
    assert message.role == "assistant"
    assert message.extra[RESPONSE_ID] == expected["id"]
    assert message.extra[MODEL_VERSION] == expected["model"]
    check_text(message.content, expected["content"])
    check_text(message.reasoning_content, expected.get("thoughts", {"len_chars": 0, "first80": ""}))
    calls = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in message.tool_calls]
    assert calls == expected.get("tool_calls", [])
    assert all(call.id for call in message.tool_calls)
    assert signatures(message) == expected.get("thought_signatures", 0)
    kept = [name for part in message.extra.get(PARTS, []) for name in part]
    code = {"code": "executableCode", "result": "codeExecutionResult"}
    assert [name for name in kept if name in code.values()] == [
        code[kind] for kind in expected.get("code_execution_parts", [])
    ]
    check_meta(message, expected)


def signatures(message: Message) -> int:
    """Return how many signatures would go back."""
    parts = [part for part in message.extra.get(PARTS, []) if "thoughtSignature" in part and "functionCall" not in part]
    return len(parts) + sum(THOUGHT_SIGNATURE in call.extra for call in message.tool_calls)


def check_meta(message: Message, expected: dict[str, Any]) -> None:
    assert message.response_meta is not None
    assert message.response_meta.finish_reason == expected["finish_reason"]
    usage = message.response_meta.usage
    counts = expected["usage"]
    assert usage is not None
    assert usage.prompt_tokens == counts["prompt_tokens"]
    assert usage.reasoning_tokens == counts.get("thoughts_tokens", 0)
    assert usage.completion_tokens == counts.get("candidates_tokens", 0) + usage.reasoning_tokens
    assert usage.cached_tokens == counts.get("cached_tokens", 0)
    assert usage.total_tokens == counts["total_tokens"]


def check_text(text: str, expected: dict[str, Any]) -> None:
    assert len(text) == expected["len_chars"]
    assert text.startswith(expected["first80"])
    if "sha256" in expected:
        assert hashlib.sha256(text.encode()).hexdigest() == expected["sha256"]


@pytest.mark.parametrize("entry", recordings())
async def test_what_was_recorded_goes_back_as_it_came(entry: dict[str, Any]) -> None:
    """Signatures, code and order of the parts: the next request has them as the answer had."""
    for place, (call, result) in enumerate(
        zip(calls_of(entry["normalized"]), await replayed(entry, WholeBody()), strict=True)
    ):
        if isinstance(result, ComponentError) or entry["interactions"][place]["stream"]:
            continue
        parts = json.loads(call.body)["candidates"][0]["content"]["parts"]
        assert await sent_back(result) == [
            part for part in parts if not part.get("thought") or "thoughtSignature" in part
        ]


async def sent_back(answer: Message) -> list[dict[str, Any]]:
    """Return the parts that stand for `answer` in the request after it."""
    seen: list[dict[str, Any]] = []

    def refuse(request: httpx2.Request) -> httpx2.Response:
        seen.append(json.loads(request.content))
        return httpx2.Response(400)

    results = [tool_message("done", call.id) for call in answer.tool_calls] or [user_message("Go on.")]
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(refuse)) as client:
        model = GeminiChatModel(model="gemini-test", api_key="not-a-key", http_client=client)
        with pytest.raises(InvalidRequestError):
            await model.generate([user_message("Hi."), answer, *results])
    parts: list[dict[str, Any]] = seen[0]["contents"][1]["parts"]
    return parts
