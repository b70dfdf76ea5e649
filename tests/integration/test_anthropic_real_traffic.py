"""Real traffic of Anthropic's Messages API, recorded by others, through our model.

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
from urllib.parse import urlsplit

import httpx2
import msgspec
import pytest

from eino.errors import ComponentError, InvalidRequestError
from eino.ext.models.anthropic import CONTENT, RESPONSE, THOUGHT, AnthropicChatModel
from eino.schema import Message, ReasoningPart, concat_messages, user_message
from eino_fixtures import RandomBytes, ReplayTransport, WholeBody, load_cassette
from eino_fixtures.cassettes import ByteChunking, RecordedCall

ROOT = Path(__file__).resolve().parents[2]
CUTS = [
    pytest.param(WholeBody(), id="whole"),
    pytest.param(1, id="1-byte"),
    pytest.param(7, id="7-byte"),
    pytest.param(RandomBytes(2026), id="random"),
]
ERROR_CLASSES = {400: InvalidRequestError, 404: InvalidRequestError}
"""What each recorded status must become; a recording with another one needs its line here."""
ASKED = [user_message("What was asked does not count: another client recorded this.")]


def shared() -> Path:
    """Return the folder with the recordings, whether or not it is there."""
    named = os.environ.get("EINO_SHARED_CASSETTES")
    return Path(named) if named else ROOT.parent / "shared" / "cassettes"


def recordings(*, go_understands: bool = False) -> list[Any]:
    """Return the recordings of the Messages API as parameters; one that skips where there are none."""
    manifest = shared() / "manifest.json"
    if not manifest.exists():
        reason = f"no recordings at {str(shared())!r}: set EINO_SHARED_CASSETTES"
        return [pytest.param(None, id="no-recordings", marks=pytest.mark.skip(reason=reason))]
    entries = json.loads(manifest.read_text(encoding="utf-8"))["cassettes"]
    found = [entry for entry in entries if entry["provider"] == "anthropic" and entry["endpoints"] == ["messages"]]
    if go_understands:
        found = [entry for entry in found if entry["crosscheck"]["eino_ext"]["result"] == "match"]
    return [pytest.param(entry, id=entry["id"].removeprefix("anthropic/")) for entry in found]


@cache
def calls_of(path: str) -> list[RecordedCall]:
    """Return the calls of one recording."""
    return load_cassette(shared() / path)


@cache
def go_answers() -> dict[str, Any]:
    """Return what the Go original makes of the recordings."""
    text = (shared() / "eino_ext_messages.json").read_text(encoding="utf-8")
    return json.loads(text)["cassettes"]


def model_for(interaction: dict[str, Any], client: httpx2.AsyncClient) -> AnthropicChatModel:
    """Return a model that asks at the recorded address."""
    url = urlsplit(interaction["uri"])
    return AnthropicChatModel(
        model=interaction["request"]["model"],
        api_key="not-a-key",
        base_url=f"{url.scheme}://{url.netloc}",
        http_client=client,
    )


async def replayed(entry: dict[str, Any], chunking: ByteChunking | int) -> list[Message | ComponentError]:
    """Return what the model makes of each call of a recording."""
    transport = ReplayTransport(calls_of(entry["normalized"]), chunking=chunking)
    found: list[Message | ComponentError] = []
    async with httpx2.AsyncClient(transport=transport) as client:
        for interaction in entry["interactions"]:
            model = model_for(interaction, client)
            try:
                if interaction["stream"]:
                    found.append(concat_messages([chunk async for chunk in model.stream(ASKED)]))
                else:
                    found.append(await model.generate(ASKED))
            except ComponentError as error:
                found.append(error)
    transport.assert_all_played()
    return found


@pytest.mark.parametrize("chunking", CUTS)
@pytest.mark.parametrize("entry", recordings())
async def test_every_recording_gives_what_its_bytes_say(entry: dict[str, Any], chunking: ByteChunking | int) -> None:
    """Text, reasoning with signatures, calls, the service's own tools, finish reason, usage, errors: exactly."""
    for interaction, result in zip(entry["interactions"], await replayed(entry, chunking), strict=True):
        expected = interaction["expected"]
        if expected["kind"] == "error":
            assert type(result) is ERROR_CLASSES[expected["http_status"]]
            assert expected["message"] in str(result)
            assert result.retryable is expected["retryable"]
        else:
            check_message(result, expected)


def check_message(message: object, expected: dict[str, Any]) -> None:
    assert isinstance(message, Message)
    assert message.role == "assistant"
    about = message.extra[RESPONSE]
    assert (about["id"], about["model"]) == (expected["id"], expected["model"])
    check_text(message.content, expected["content"])
    check_text(message.reasoning_content, expected.get("thinking", {"len_chars": 0, "first80": ""}))
    calls = [(call.id, call.name, json.loads(call.arguments)) for call in message.tool_calls]
    assert calls == [(call["id"], call["name"], call["arguments"]) for call in expected.get("tool_calls", [])]
    assert message.response_meta is not None
    assert message.response_meta.finish_reason == expected["finish_reason"]
    check_usage(message, expected["usage"])
    check_blocks(message, expected)


def check_text(text: str, expected: dict[str, Any]) -> None:
    assert len(text) == expected["len_chars"]
    assert text.startswith(expected["first80"])
    if "sha256" in expected:
        assert hashlib.sha256(text.encode()).hexdigest() == expected["sha256"]


def check_usage(message: Message, expected: dict[str, int]) -> None:
    assert message.response_meta is not None
    usage = message.response_meta.usage
    assert usage is not None
    assert usage.prompt_tokens == expected["prompt_tokens_incl_cache"]
    assert usage.completion_tokens == expected["output_tokens"]
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.cached_tokens == expected["cache_read_input_tokens"]
    told = message.extra[RESPONSE]["usage"]
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        assert told.get(name, 0) == expected[name]


def check_blocks(message: Message, expected: dict[str, Any]) -> None:
    """Check what is in parts, or kept as it came."""
    reasoning = [part for part in message.assistant_parts if isinstance(part, ReasoningPart)]
    thoughts = [part for part in reasoning if part.extra[THOUGHT] == "thinking"]
    signatures = [hashlib.sha256(part.signature.encode()).hexdigest()[:16] for part in thoughts]
    assert signatures == expected.get("thinking_signatures_sha256_16", [])
    assert len(reasoning) - len(thoughts) == expected.get("redacted_thinking_blocks", 0)
    kept = message.extra.get(CONTENT, [])
    if kept:
        assert [block["type"] for block in kept] == expected["block_types"]
    uses = [block for block in kept if block["type"] == "server_tool_use"]
    assert [{"id": use["id"], "name": use["name"], "arguments": use["input"]} for use in uses] == expected.get(
        "server_tool_uses", []
    )
    assert sum(len(block.get("citations") or ()) for block in kept) == expected.get("citations", 0)


@pytest.mark.parametrize("entry", recordings())
async def test_every_answer_can_be_sent_back_as_it_came(entry: dict[str, Any]) -> None:
    """Block for block: reasoning, calls, server tools with their results, citations."""
    sent: list[dict[str, Any]] = []

    def echo(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        return httpx2.Response(200, json={"content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"})

    results = await replayed(entry, WholeBody())
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(echo)) as client:
        for interaction, result in zip(entry["interactions"], results, strict=True):
            if isinstance(result, Message):
                await model_for(interaction, client).generate([*ASKED, result, *ASKED])

    expected = [item["expected"] for item in entry["interactions"] if item["expected"]["kind"] != "error"]
    assert len(sent) == len(expected)
    for body, answer in zip(sent, expected, strict=True):
        assert [block["type"] for block in body["messages"][1]["content"]] == answer["block_types"]
    if not any(interaction["stream"] for interaction in entry["interactions"]):
        came = [json.loads(call.body)["content"] for call in calls_of(entry["normalized"]) if call.status == 200]
        assert [without_nothing(body["messages"][1]["content"]) for body in sent] == [*map(without_nothing, came)]


def without_nothing(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in block.items() if value is not None} for block in blocks]


@pytest.mark.parametrize("entry", recordings(go_understands=True))
async def test_every_recording_gives_what_the_go_original_returns(entry: dict[str, Any]) -> None:
    """The JSON of the message is the same, where the original understands the answer, but for what it leaves out."""
    answers = go_answers()[entry["id"]]["answers"]
    for answer, result in zip(answers, await replayed(entry, WholeBody()), strict=True):
        if "ok" not in answer:
            assert isinstance(result, ComponentError)
            continue
        ours = json.loads(msgspec.json.encode(result))
        theirs = json.loads(json.dumps(answer["ok"]))
        signature = theirs.pop("extra", {}).get("_eino_claude_thinking_signature", "")
        assert isinstance(result, Message)
        if signature:
            assert [part.signature for part in result.assistant_parts] == [signature]
        for name in ("extra", "assistant_output_multi_content"):
            ours.pop(name, None)
        ours["response_meta"]["usage"]["completion_token_details"] = {}  # the original does not tell reasoning tokens
        for call in [*theirs.get("tool_calls", []), *ours.get("tool_calls", [])]:
            call.pop("type", None)  # it leaves the type of a call out, and numbers the calls of a whole answer
            call.pop("index", None)
            call.pop("extra", None)
        assert ours == theirs
