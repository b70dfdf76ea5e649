"""The project's cassettes of Anthropic's API: the model replays them, whole and in pieces, and they hold no secrets."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest

from eino.components import ModelOptions
from eino.ext.models.anthropic import CONTENT, RESPONSE, AnthropicChatModel
from eino.schema import Message, concat_messages, user_message
from eino_fixtures import RandomBytes, ReplayTransport, use_cassette
from eino_fixtures.cassettes import CASSETTE_MATCH, ByteChunking, find_secrets

ROOT = Path(__file__).resolve().parents[2]
CASSETTES = ROOT / "fixtures" / "cassettes" / "anthropic"
EVERY = sorted(CASSETTES.glob("*.yaml"))


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


def recording_of(script: ModuleType, name: str) -> Any:
    """Return how a cassette was recorded."""
    (found,) = [item for item in script.RECORDINGS if Path(item.path) == Path("fixtures/cassettes/anthropic", name)]
    return found


@pytest.mark.parametrize("name", [path.name for path in EVERY])
async def test_a_cassette_replays_through_vcrpy(script: ModuleType, name: str) -> None:
    """Request for request, bodies included."""
    recording = recording_of(script, name)

    with use_cassette(CASSETTES / name):
        async with recording.client(recording.service) as client:
            await recording.talk(client)


@pytest.mark.parametrize("chunking", [1, 7, RandomBytes(4)], ids=["1", "7", "random"])
@pytest.mark.parametrize("name", [path.name for path in EVERY])
async def test_a_cassette_replays_in_any_pieces(script: ModuleType, name: str, chunking: ByteChunking | int) -> None:
    """Without vcrpy, straight into the client."""
    recording = recording_of(script, name)
    transport = ReplayTransport(CASSETTES / name, chunking=chunking, match_on=CASSETTE_MATCH)

    async with httpx2.AsyncClient(transport=transport) as client, recording.client(recording.service, client) as asking:
        await recording.talk(asking)

    transport.assert_all_played()


async def first_answer(name: str) -> Message:
    """Return the first answer of a cassette, whatever is asked."""
    async with httpx2.AsyncClient(transport=ReplayTransport(CASSETTES / f"{name}.yaml")) as client:
        model = AnthropicChatModel(model="claude-sonnet-4-5", api_key="sk-test", http_client=client)
        if name.endswith("stream"):
            return concat_messages([chunk async for chunk in model.stream([user_message("hi")])])
        return await model.generate([user_message("hi")], ModelOptions())


async def test_answers_are_what_was_scripted(script: ModuleType) -> None:
    """Text of several scripts, signed and redacted thoughts, usage with the cache, a refusal with its reason."""
    assert (await first_answer("messages_stream")).content == "Bonjour ! こんにちは。 👋🏽 Ça va ?"
    thought = await first_answer("messages_thoughts_stream")
    assert thought.reasoning_content == "Paris first."
    assert [part.replace(index=None) for part in thought.assistant_parts] == list(script.THOUGHT.assistant_parts)
    cached = await first_answer("messages_options")
    assert cached.response_meta is not None
    assert cached.response_meta.usage == script.CACHED
    assert cached.extra[RESPONSE]["usage"]["cache_creation_input_tokens"] == 32
    refused = await first_answer("messages_refusal_stream")
    assert refused.response_meta is not None
    assert refused.response_meta.finish_reason == "refusal"
    assert refused.extra[RESPONSE]["stop_details"]["explanation"] == "Not a lock of yours."


async def test_a_paused_search_is_kept_and_went_back_as_it_came(script: ModuleType) -> None:
    """The second request holds the blocks of the first answer."""
    paused = await first_answer("messages_web_search_stream")

    assert paused.response_meta is not None
    assert paused.response_meta.finish_reason == "pause_turn"
    assert paused.content == "I will search."
    assert paused.extra[CONTENT] == script.SEARCH
    transport = ReplayTransport(CASSETTES / "messages_web_search_stream.yaml", match_on=CASSETTE_MATCH)
    async with (
        httpx2.AsyncClient(transport=transport) as client,
        script.anthropic_model("https://api.anthropic.com", client) as model,
    ):
        await script.anthropic_search(model)
    assert json.loads(transport.requests[1].body)["messages"][1] == {"role": "assistant", "content": script.SEARCH}


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_no_cassette_holds_a_secret(path: Path) -> None:
    """Nor the address of the machine that recorded it."""
    text = path.read_text(encoding="utf-8")

    assert find_secrets(text) == []
    assert "authorization" not in text.lower()
    assert "127.0.0.1" not in text
