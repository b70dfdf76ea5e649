"""Real provider traffic, recorded by others against the live services, through our OpenAI model.

The recordings are third-party data and stay where they are: in the folder that `EINO_SHARED_CASSETTES` names, else in
`../shared/cassettes` beside the repository. What a correct client extracts was computed from the bytes (`manifest.json`),
and what the Go original returns for them is there too (`eino_ext_messages.json`).
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import msgspec
import pytest

from eino.errors import AuthenticationError, ComponentError, InvalidRequestError, RateLimitError, StreamBrokenError
from eino.ext.models._sse import SSEParser
from eino.ext.models.openai import REASONING_DETAILS, REFUSAL, REQUEST_ID, OpenAIChatModel
from eino.schema import Message, concat_messages, user_message
from eino_fixtures import RandomBytes, ReplayTransport, WholeBody, load_cassette
from eino_fixtures.cassettes import ByteChunking, RecordedCall

ROOT = Path(__file__).resolve().parents[2]
CUTS = [
    pytest.param(WholeBody(), id="whole"),
    pytest.param(1, id="1-byte"),
    pytest.param(7, id="7-byte"),
    pytest.param(RandomBytes(2026), id="random"),
]
ERROR_CLASSES = {401: AuthenticationError, 429: RateLimitError, 400: InvalidRequestError}
"""What each recorded status must become; a recording with another one needs its line here."""


def shared() -> Path:
    """Return the folder with the recordings, whether or not it is there."""
    named = os.environ.get("EINO_SHARED_CASSETTES")
    return Path(named) if named else ROOT.parent / "shared" / "cassettes"


def chats() -> list[Any]:
    """Return the recordings of chat completions as parameters; one that skips where there are none."""
    manifest = shared() / "manifest.json"
    if not manifest.exists():
        reason = f"no recordings at {str(shared())!r}: set EINO_SHARED_CASSETTES"
        return [pytest.param(None, id="no-recordings", marks=pytest.mark.skip(reason=reason))]
    entries = json.loads(manifest.read_text(encoding="utf-8"))["cassettes"]
    found = [entry for entry in entries if set(entry["endpoints"]) == {"chat.completions"}]
    return [pytest.param(entry, id=entry["id"]) for entry in found]


@cache
def calls_of(path: str) -> list[RecordedCall]:
    """Return the calls of one recording."""
    return load_cassette(shared() / path)


@cache
def go_answers() -> dict[str, Any]:
    """Return what the Go original makes of the recordings."""
    text = (shared() / "eino_ext_messages.json").read_text(encoding="utf-8")
    return {name: entry["answers"] for name, entry in json.loads(text)["cassettes"].items()}


def model_for(interaction: dict[str, Any], client: httpx2.AsyncClient) -> OpenAIChatModel:
    """Return a model that asks at the recorded address."""
    url = urlsplit(interaction["uri"])
    return OpenAIChatModel(
        model=interaction["request"]["model"],
        api_key="not-a-key",
        base_url=f"{url.scheme}://{url.netloc}{url.path.removesuffix('/chat/completions')}",
        default_query=dict(parse_qsl(url.query)),
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
                if "stream_options" in interaction["request"]["body_keys"] or interaction["stream"]:
                    found.append(concat_messages([chunk async for chunk in model.stream(asked)]))
                else:
                    found.append(await model.generate(asked))
            except ComponentError as error:
                found.append(error)
    transport.assert_all_played()
    return found


@pytest.mark.parametrize("chunking", CUTS)
@pytest.mark.parametrize("entry", chats())
async def test_every_chat_recording_gives_what_its_bytes_say(
    entry: dict[str, Any], chunking: ByteChunking | int
) -> None:
    """Text, reasoning, tool calls, finish reason, usage, refusal, log probabilities, errors: exactly."""
    for interaction, result in zip(entry["interactions"], await replayed(entry, chunking), strict=True):
        expected = interaction["expected"]
        if expected["kind"] == "error":
            check_error(result, expected)
        elif expected.get("midstream_errors"):
            assert isinstance(result, StreamBrokenError)
            assert expected["midstream_errors"][0]["message"] in str(result)
            assert isinstance(result.__cause__, ERROR_CLASSES[expected["midstream_errors"][0]["code"]])
            check_message(result.partial, expected)
        else:
            check_message(result, expected)


@pytest.mark.parametrize("entry", chats())
async def test_every_chat_recording_gives_what_the_go_original_returns(entry: dict[str, Any]) -> None:
    """The JSON of the message is the same, but for what the original leaves out or says twice."""
    answers = go_answers()[entry["id"]]
    for answer, result in zip(answers, await replayed(entry, WholeBody()), strict=True):
        if "ok" not in answer:
            assert isinstance(result, ComponentError)
            assert answer["api_error"]["message"] in str(result)
            continue
        message = result.partial if isinstance(result, StreamBrokenError) else result
        ours = json.loads(msgspec.json.encode(message))
        theirs = json.loads(json.dumps(answer["ok"]))
        theirs["extra"].pop("reasoning-content", None)  # it is in reasoning_content as well
        ours["extra"].pop(REFUSAL, None)  # the original drops refusals, and the blocks of reasoning
        ours["extra"].pop(REASONING_DETAILS, None)
        assert ours == theirs


def check_error(result: object, expected: dict[str, Any]) -> None:
    assert type(result) is ERROR_CLASSES[expected["http_status"]]
    assert isinstance(result, ComponentError)
    assert expected["message"] in str(result)
    assert result.retryable is expected["retryable"]
    if "retry-after" in expected:
        assert isinstance(result, RateLimitError)
        assert result.retry_after_s == float(expected["retry-after"])


def check_message(message: object, expected: dict[str, Any]) -> None:
    (choice,) = [choice for choice in expected["choices"] if choice["index"] == 0]
    assert isinstance(message, Message)
    assert message.role == "assistant"
    assert message.extra[REQUEST_ID] == expected["id"]
    check_text(message.content, choice["content"])
    check_text(message.reasoning_content, choice.get("reasoning", {"len_chars": 0, "first80": ""}))
    assert message.extra.get(REFUSAL) == choice.get("refusal")
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    assert calls == [(call["id"], call["name"], call["arguments_raw"]) for call in choice.get("tool_calls", [])]
    assert message.response_meta is not None
    assert message.response_meta.finish_reason == choice["finish_reason"]
    logprobs = message.response_meta.logprobs
    assert (0 if logprobs is None else len(logprobs.content)) == choice.get("logprobs_tokens", 0)
    check_usage(message, expected.get("usage"))


def check_text(text: str, expected: dict[str, Any]) -> None:
    assert len(text) == expected["len_chars"]
    assert text.startswith(expected["first80"])
    if "sha256" in expected:
        assert hashlib.sha256(text.encode()).hexdigest() == expected["sha256"]


def check_usage(message: Message, expected: dict[str, int] | None) -> None:
    assert message.response_meta is not None
    usage = message.response_meta.usage
    if expected is None:
        assert usage is None
        return
    assert usage is not None
    assert usage.prompt_tokens == expected["prompt_tokens"]
    assert usage.completion_tokens == expected["completion_tokens"]
    assert usage.total_tokens == expected["total_tokens"]
    assert usage.cached_tokens == expected.get("cached_tokens", 0)
    assert usage.reasoning_tokens == expected.get("reasoning_tokens", 0)


def vectors() -> list[Any]:
    """Return the official test vectors for event streams as parameters; one that skips where there are none."""
    path = shared() / "suites" / "sse_vectors.json"
    if not path.exists():
        return [pytest.param(None, id="no-vectors", marks=pytest.mark.skip(reason=f"no vectors at {str(path)!r}"))]
    return [pytest.param(item, id=item["id"]) for item in json.loads(path.read_text(encoding="utf-8"))["vectors"]]


@pytest.mark.parametrize("chunking", CUTS)
@pytest.mark.parametrize("vector", vectors())
def test_event_streams_as_the_standard_demands(vector: dict[str, Any], chunking: Any) -> None:
    """The vectors of the web platform tests and of the HTML standard, cut in every way."""
    body = vector["input"].encode()
    size = chunking if isinstance(chunking, int) else 0
    pieces = [body[place : place + size] for place in range(0, len(body), size)] if size else chunking.cut(body, [])
    parser = SSEParser()

    events = [event for piece in pieces for event in parser.feed(piece)]

    assert [event.data for event in events] == vector["data"]
    if "events" in vector:
        assert [event.event or "message" for event in events] == vector["events"]
