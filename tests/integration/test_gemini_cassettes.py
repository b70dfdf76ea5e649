"""The project's cassettes of Gemini's API: the model replays them, whole and in pieces, and they hold no secrets."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest

from eino.errors import RateLimitError
from eino.ext.models.gemini import DETAILS, PARTS, THOUGHT_SIGNATURE, GeminiChatModel
from eino.schema import AudioPart, Message, concat_messages, user_message
from eino_fixtures import RandomBytes, ReplayTransport, use_cassette
from eino_fixtures.cassettes import CASSETTE_MATCH, ByteChunking, find_secrets, load_cassette

ROOT = Path(__file__).resolve().parents[2]
CASSETTES = ROOT / "fixtures" / "cassettes" / "gemini"
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
    (found,) = [item for item in script.RECORDINGS if Path(item.path) == Path("fixtures/cassettes/gemini", name)]
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


async def answer(name: str, place: int = 0) -> Message:
    """Return one answer of a cassette, whatever is asked."""
    call = load_cassette(CASSETTES / f"{name}.yaml")[place]
    async with httpx2.AsyncClient(transport=ReplayTransport([call])) as client:
        model = GeminiChatModel(model="gemini-2.5-flash", api_key="not-a-key", http_client=client)
        if "stream" in call.url:
            return concat_messages([chunk async for chunk in model.stream([user_message("hi")])])
        return await model.generate([user_message("hi")])


async def test_answers_are_what_was_scripted(script: ModuleType) -> None:
    """Text of several scripts, thoughts, signed calls, usage with the cache, log probabilities, sources, media."""
    assert (await answer("stream_text")).content == "Bonjour ! こんにちは。 👋🏽 Ça va ?"
    asked = await answer("stream_tools_thoughts")
    assert (asked.reasoning_content, asked.content) == ("Two cities, two calls.", "I ask.")
    assert [call.arguments for call in asked.tool_calls] == ['{"city":"Paris"}', '{"city":"Tokyo"}']
    assert [call.extra.get(THOUGHT_SIGNATURE) for call in asked.tool_calls] == ["c2lnbmVk", None]
    grounded = await answer("generate_options")
    assert grounded.response_meta == script.GROUNDED.response_meta.replace(finish_reason="STOP")
    assert grounded.extra[DETAILS]["groundingMetadata"] == {"webSearchQueries": ["weather Paris"]}
    assert (await answer("media")).assistant_parts == (script.PICTURE,)
    (sound,) = (await answer("media", 1)).assistant_parts
    assert isinstance(sound, AudioPart)
    assert base64.b64decode(sound.audio.base64_data or "", validate=True) == b"Lalalalal"


@pytest.mark.parametrize("place", [0, 2], ids=["whole", "streamed"])
async def test_code_that_ran_is_kept_and_went_back_as_it_came(script: ModuleType, place: int) -> None:
    """With the signature of the text behind it."""
    found = await answer("code_execution", place)

    assert found.content == "I compute. It is 42."
    assert found.extra[PARTS] == script.CODE
    transport = ReplayTransport(CASSETTES / "code_execution.yaml", match_on=CASSETTE_MATCH)
    async with httpx2.AsyncClient(transport=transport) as client, script.gemini_model(script.GEMINI, client) as model:
        await script.gemini_code(model)
    assert json.loads(transport.requests[place + 1].body)["contents"][1] == {"role": "model", "parts": script.CODE}


async def test_the_wait_is_the_one_in_the_details() -> None:
    with pytest.raises(RateLimitError) as caught:
        await answer("stream_errors")

    assert caught.value.retry_after_s == 34.5


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_no_cassette_holds_a_secret(path: Path) -> None:
    """Nor the address of the machine that recorded it."""
    text = path.read_text(encoding="utf-8")

    assert find_secrets(text) == []
    assert "x-goog-api-key" not in text.lower()
    assert "127.0.0.1" not in text
