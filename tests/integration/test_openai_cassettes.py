"""The project's own cassettes: the model replays them, they can be recorded again, and they hold no secrets."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import httpx2
import pytest

import eino_fixtures
from eino.components import ModelOptions
from eino.errors import RateLimitError
from eino.ext.models.openai import OpenAIChatModel
from eino.schema import Message, concat_messages, user_message
from eino_fixtures import RandomBytes, ReplayTransport, use_cassette
from eino_fixtures.cassettes import CASSETTE_MATCH, ByteChunking, find_secrets

ROOT = Path(__file__).resolve().parents[2]
CASSETTES = ROOT / "fixtures" / "cassettes" / "openai"
DEMO = Path(eino_fixtures.__file__).parent / "data" / "demo_openai.yaml"
EVERY = [*sorted(CASSETTES.glob("*.yaml")), DEMO]


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


def model(client: httpx2.AsyncClient | None = None) -> OpenAIChatModel:
    return OpenAIChatModel(model="gpt-4o-mini", api_key="sk-test", http_client=client)


@pytest.mark.parametrize("name", [path.stem for path in EVERY])
async def test_a_cassette_replays_through_vcrpy(script: ModuleType, name: str) -> None:
    """Request for request, bodies included."""
    (recording,) = [item for item in script.RECORDINGS if Path(item.path).stem == name]

    with use_cassette(ROOT / recording.path):
        async with recording.client(recording.service) as client:
            await recording.talk(client)


@pytest.mark.parametrize("chunking", [None, 1, 7, RandomBytes(4)], ids=["recorded", "1", "7", "random"])
@pytest.mark.parametrize("name", [path.stem for path in EVERY])
async def test_a_cassette_replays_in_any_pieces(
    script: ModuleType, name: str, chunking: ByteChunking | int | None
) -> None:
    """Without vcrpy, straight into the client."""
    (recording,) = [item for item in script.RECORDINGS if Path(item.path).stem == name]
    transport = ReplayTransport(ROOT / recording.path, chunking=chunking, match_on=CASSETTE_MATCH)

    async with httpx2.AsyncClient(transport=transport) as client, recording.client(recording.service, client) as asking:
        await recording.talk(asking)

    transport.assert_all_played()


async def test_what_the_demo_says(script: ModuleType) -> None:
    """Two calls at once, then an answer; both streamed in several chunks, at the recorded times."""
    transport = ReplayTransport(DEMO)
    async with httpx2.AsyncClient(transport=transport) as client:
        with_tools = model(client).with_tools([script.WEATHER])
        asked = [chunk async for chunk in with_tools.stream([script.SYSTEM, script.QUESTION])]
        answer = [chunk async for chunk in with_tools.stream([script.SYSTEM, script.QUESTION])]

    calls = concat_messages(asked).tool_calls
    assert [(call.id, call.name, call.arguments) for call in calls] == [
        ("call_paris", "get_weather", '{"city":"Paris"}'),
        ("call_tokyo", "get_weather", '{"city":"Tokyo"}'),
    ]
    assert concat_messages(answer).content == script.VERDICT
    assert min(len(asked), len(answer)) > 10


async def test_answers_are_what_was_scripted(script: ModuleType) -> None:
    """Text of several scripts, reasoning, usage with cached and reasoning tokens, a refusal for now."""
    assert (
        await ask("chat_stream", "Say hello in French, Japanese and Emoji.")
    ).content == "Bonjour ! こんにちは。 👋🏽 Ça va ?"
    options = ModelOptions(max_tokens=50)
    reasoned = await ask("chat_options", "ignored", options)
    assert reasoned.reasoning_content == "The picture is plain green."
    assert reasoned.response_meta == script.REASONED.response_meta
    with pytest.raises(RateLimitError) as caught:
        await ask("chat_error_429", "Are you there?")
    assert caught.value.retry_after_s == 7.0


async def ask(name: str, text: str, options: ModelOptions | None = None) -> Message:
    """Return the first answer of a cassette."""
    async with httpx2.AsyncClient(transport=ReplayTransport(CASSETTES / f"{name}.yaml")) as client:
        asked = model(client)
        if name.endswith("stream"):
            return concat_messages([chunk async for chunk in asked.stream([user_message(text)])])
        return await asked.generate([user_message(text)], options or ModelOptions())


def test_recording_again_gives_the_same_files(script: ModuleType) -> None:
    """So the cassettes of all providers are what the script says, byte for byte."""
    command = [sys.executable, "-W", "error", str(ROOT / "scripts" / "record_cassettes.py"), "--check"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" calls, ") == len(script.RECORDINGS)


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_no_cassette_holds_a_secret(path: Path) -> None:
    """Nor the address of the machine that recorded it."""
    text = path.read_text(encoding="utf-8")

    assert find_secrets(text) == []
    assert "authorization" not in text.lower()
    assert "127.0.0.1" not in text
