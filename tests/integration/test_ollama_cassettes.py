"""The project's cassettes of Ollama's own protocol, and all that others recorded of it, through our model."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from eino.errors import ComponentError, StreamBrokenError
from eino.ext.models.ollama import OllamaChatModel
from eino.schema import Message, concat_messages, user_message
from eino_fixtures import RandomBytes, VirtualClock, WholeBody, load_cassette, use_cassette
from eino_fixtures.cassettes import AsRecorded, ByBytes, ByteChunking, RecordedCall

ROOT = Path(__file__).resolve().parents[2]
CASSETTES = ROOT / "fixtures" / "cassettes" / "ollama"
EVERY = sorted(path.name for path in CASSETTES.glob("*.yaml"))
CUTS = [
    pytest.param(WholeBody(), id="whole"),
    pytest.param(ByBytes(1), id="1-byte"),
    pytest.param(ByBytes(7), id="7-byte"),
    pytest.param(RandomBytes(2026), id="random"),
]
ASKED = [user_message("What was asked does not count.")]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that records them; its conversations are what is replayed here."""
    spec = importlib.util.spec_from_file_location("record_cassettes", ROOT / "scripts" / "record_cassettes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("chunking", [pytest.param(AsRecorded(), id="recorded"), *CUTS])
@pytest.mark.parametrize("name", EVERY)
async def test_a_cassette_replays_request_for_request(script: ModuleType, name: str, chunking: ByteChunking) -> None:
    """Bodies included, through vcrpy and the library's own HTTP client, in any pieces."""
    (recording,) = [item for item in script.RECORDINGS if Path(item.path) == Path("fixtures/cassettes/ollama", name)]

    with use_cassette(CASSETTES / name, chunking=chunking):
        async with recording.client(recording.service) as client:
            await recording.talk(client)


async def answer(call: RecordedCall, chunking: ByteChunking, *, stream: bool = True) -> Message:
    """Return what the model makes of a recorded call, whatever is asked."""

    def respond(request: httpx.Request) -> httpx.Response:
        pieces = chunking.cut(call.body, [size for size, _ in call.chunks])
        return httpx.Response(call.status, headers=list(call.headers), stream=Pieces(pieces))

    async with OllamaChatModel(model="m", transport=httpx.MockTransport(respond)) as model:
        if not stream:
            return await model.generate(ASKED)
        return concat_messages([chunk async for chunk in model.stream(ASKED)])


class Pieces(httpx.AsyncByteStream):
    """A body in pieces that are there already."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> Any:
        for piece in self._pieces:
            yield piece


def call_of(name: str, place: int = 0) -> RecordedCall:
    """Return one call of one of our cassettes."""
    return load_cassette(CASSETTES / f"{name}.yaml")[place]


@pytest.mark.parametrize("chunking", CUTS)
async def test_answers_are_what_was_scripted(script: ModuleType, chunking: ByteChunking) -> None:
    """Text of several scripts, thoughts, two calls, usage, and an error that keeps what had come."""
    assert (await answer(call_of("native_stream"), chunking)).content == "Bonjour ! こんにちは。 👋🏽 Ça va ?"
    asked = await answer(call_of("native_tools_thoughts_stream"), chunking)
    assert (asked.reasoning_content, asked.content) == ("Two cities, two calls.", "I ask.")
    assert [(call.index, call.name, call.arguments) for call in asked.tool_calls] == [
        (0, "get_weather", '{"city":"Paris"}'),
        (1, "get_weather", '{"city":"Tokyo"}'),
    ]
    assert (await answer(call_of("native_tools_thoughts_stream", 1), chunking)).content == script.VERDICT
    seen = await answer(call_of("native_options"), chunking, stream=False)
    assert seen.response_meta is not None
    assert seen.response_meta.usage is not None
    assert (seen.response_meta.usage.prompt_tokens, seen.response_meta.usage.completion_tokens) == (92, 17)
    assert seen.response_meta.finish_reason == "stop"
    with pytest.raises(StreamBrokenError, match="out of memory") as caught:
        await answer(call_of("native_stream_errors", 2), chunking)
    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.content == "I am"


@pytest.mark.parametrize("fault", ["drop_after", "stall_after"])
async def test_a_recorded_stream_may_break_off_or_fall_silent(
    script: ModuleType, virtual_clock: VirtualClock, fault: str
) -> None:
    """Lines of JSON are streams as events are: they come in their pieces, and what came is kept."""
    name = "native_stream"
    faults: dict[str, Any] = {fault: 400}
    assert len(call_of(name).chunks) > 5

    with use_cassette(CASSETTES / f"{name}.yaml", **faults), pytest.raises(StreamBrokenError) as caught:
        async with OllamaChatModel(model="llama3.2", base_url=script.OLLAMA, timeout_s=30.0) as model:
            await script.stream(model)

    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.content == "Bonjour "
    assert caught.value.retryable
    assert virtual_clock.now() == (30.0 if fault == "stall_after" else 0.0)


def shared() -> Path:
    """Return the folder with the recordings of others, whether or not it is there."""
    named = os.environ.get("EINO_SHARED_CASSETTES")
    return Path(named) if named else ROOT.parent / "shared" / "cassettes"


def recordings() -> list[Any]:
    """Return their recordings of the protocol as parameters; one that skips where there are none."""
    manifest = shared() / "manifest.json"
    if not manifest.exists():
        reason = f"no recordings at {str(shared())!r}: set EINO_SHARED_CASSETTES"
        return [pytest.param(None, id="no-recordings", marks=pytest.mark.skip(reason=reason))]
    entries = json.loads(manifest.read_text(encoding="utf-8"))["cassettes"]
    found = [entry for entry in entries if entry["endpoints"] == ["ollama.chat"]]
    return [pytest.param(entry, id=entry["id"].removeprefix("ollama/")) for entry in found]


@pytest.mark.parametrize("chunking", CUTS)
@pytest.mark.parametrize("entry", recordings())
async def test_every_recording_of_others_gives_what_its_bytes_say(
    entry: dict[str, Any], chunking: ByteChunking
) -> None:
    """Text, thoughts, calls, finish reason, usage, errors: exactly."""
    calls = load_cassette(shared() / entry["normalized"])
    for call, interaction in zip(calls, entry["interactions"], strict=True):
        expected = interaction["expected"]
        if expected["kind"] == "error":
            with pytest.raises(ComponentError) as caught:
                await answer(call, chunking, stream=interaction["stream"])
            assert expected["message"] in str(caught.value)
            assert caught.value.retryable is expected["retryable"]
            continue
        check(await answer(call, chunking, stream=interaction["stream"]), expected)


def check(message: Message, expected: dict[str, Any]) -> None:
    for text, said in (
        (message.content, expected["content"]),
        (message.reasoning_content, expected.get("thinking", {"len_chars": 0})),
    ):
        assert len(text) == said["len_chars"]
        if "sha256" in said:
            assert hashlib.sha256(text.encode()).hexdigest() == said["sha256"]
    calls = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in message.tool_calls]
    assert calls == [{name: call[name] for name in ("name", "arguments")} for call in expected.get("tool_calls", [])]
    assert message.response_meta is not None
    assert message.response_meta.finish_reason == expected["finish_reason"]
    usage, counts = message.response_meta.usage, expected["usage"]
    assert usage is not None
    assert usage.prompt_tokens == counts["prompt_tokens"]
    assert usage.completion_tokens == counts["completion_tokens"]
    assert usage.total_tokens == counts["prompt_tokens"] + counts["completion_tokens"]
