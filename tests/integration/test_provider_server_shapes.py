"""Does the provider server speak the real thing? Everything that it sends also stands in recorded real traffic.

The recordings are third-party data and are read where they lie (`EINO_SHARED_CASSETTES`, else `../shared/cassettes`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from eino.schema import Message, ResponseMeta, token_usage, tool_call
from eino_fixtures import Answer, ByWord, Embeddings, ErrorAnswer, ProviderServer, load_cassette

ROOT = Path(__file__).resolve().parents[2]
HI = [{"role": "user", "content": "hi"}]
FULL = Message(
    role="assistant",
    content="It is sunny.",
    reasoning_content="I looked.",
    tool_calls=(tool_call("look", {"at": "Paris"}, id="c1"),),
    response_meta=ResponseMeta(
        finish_reason="tool_calls", usage=token_usage(92, 17, cached_tokens=64, reasoning_tokens=9)
    ),
)
PATHS: dict[str, tuple[str, Any, bool]] = {
    "anthropic": ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": HI}, True),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}, False),
    "gemini stream": ("/v1beta/models/m:streamGenerateContent", {"contents": [{"parts": [{"text": "hi"}]}]}, False),
    "ollama": ("/api/chat", {"model": "m", "messages": HI}, True),
    "openai": ("/v1/chat/completions", {"model": "m", "messages": HI, "stream_options": {"include_usage": True}}, True),
}
RECORDED = {
    "anthropic": ("anthropic", "/messages"),
    "gemini": ("gemini", ":generateContent"),
    "gemini stream": ("gemini", ":streamGenerateContent"),
    "ollama": ("ollama", "/api/chat"),
    "openai": ("*", "/chat/completions"),
}
NOT_RECORDED = {
    # All of these are in the references of the interfaces; nobody recorded thoughts in a stream of DeepSeek's or how many
    # tokens a whole answer of Anthropic's took for them, tools or
    # thoughts of Ollama's own protocol, nor calls with ids or tokens of a cache of Gemini's.
    "anthropic": {"message.usage.output_tokens_details.thinking_tokens"},
    "openai": {"choices[].delta.reasoning_content"},
    "ollama": {"message.thinking", "message.tool_calls[].function.arguments", "message.tool_calls[].function.name"},
    "gemini": {"candidates[].content.parts[].functionCall.id", "usageMetadata.cachedContentTokenCount"},
    "gemini stream": {
        "candidates[].content.parts[].functionCall.id",
        "candidates[].content.parts[].functionCall.name",
        "candidates[].content.parts[].functionCall.args",
        "candidates[].content.parts[].thoughtSignature",
        "usageMetadata.cachedContentTokenCount",
    },
}


def shared() -> Path:
    named = os.environ.get("EINO_SHARED_CASSETTES")
    return Path(named) if named else ROOT.parent / "shared" / "cassettes"


pytestmark = pytest.mark.skipif(
    not (shared() / "manifest.json").exists(), reason=f"no recordings at {str(shared())!r}: set EINO_SHARED_CASSETTES"
)


def payloads(text: str) -> Iterator[Any]:
    """Yield the JSON documents of a body: one, one a line, or one an event."""
    if text.lstrip().startswith(("{", "[")):
        try:
            found = json.loads(text)
            yield from found if isinstance(found, list) else [found]
        except ValueError:
            yield from (json.loads(line) for line in text.splitlines() if line.strip())
        return
    for line in text.splitlines():
        if line.startswith("data:") and "[DONE]" not in line:
            yield json.loads(line.removeprefix("data:"))


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of the values in nested JSON; those of arguments that a model chose are cut off."""
    if isinstance(value, dict) and value and not path.endswith((".args", ".input", ".arguments")):
        kind = value.get("type", "") if path == "" else ""
        for name, inner in value.items():
            yield from keys(inner, f"{path}.{name}" if path else f"{kind}.{name}" if kind else name)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from keys(inner, f"{path}[]")
    else:
        yield path


def recorded(name: str) -> set[str]:
    """Return the paths in all recorded answers of an endpoint."""
    folder, ending = RECORDED[name]
    found: set[str] = set()
    for file in sorted((shared() / "normalized" / "dev").glob(f"{folder}/*.yaml")):
        for call in load_cassette(file):
            if call.url.partition("?")[0].endswith(ending):
                for payload in payloads(call.body.decode("utf-8", "replace")):
                    found |= set(keys(payload))
    return found


def sent(name: str, *answers: Any) -> set[str]:
    """Return the paths in the server's answers, streamed and not."""
    path, body, streams = PATHS[name]
    found: set[str] = set()
    with ProviderServer(answers) as server, httpx2.Client(base_url=server.url) as client:
        for number in range(len(answers)):
            asked = body | {"stream": number % 2 == 0} if streams else body
            for payload in payloads(client.post(path, json=asked).text):
                found |= set(keys(payload))
    return found


@pytest.mark.parametrize("name", PATHS)
def test_what_the_server_sends_is_what_real_services_send(name: str) -> None:
    real = recorded(name)
    assert real, "nobody recorded this endpoint"

    invented = {
        key
        for key in sent(name, Answer(FULL, ByWord()), Answer(FULL))
        if key not in real and not any(other.startswith((f"{key}.", f"{key}[]")) for other in real)
    }

    assert invented <= NOT_RECORDED.get(name, set()), invented


@pytest.mark.parametrize("name", ["anthropic", "gemini", "openai"])
def test_errors_look_like_recorded_ones(name: str) -> None:
    invented = sent(name, ErrorAnswer(404, "no such model")) - recorded(name)

    assert invented <= NOT_RECORDED.get(name, set()), invented


def test_embeddings_look_like_recorded_ones() -> None:
    (call, *_) = [
        call
        for file in sorted((shared() / "normalized" / "dev").glob("openai/embeddings*.yaml"))
        for call in load_cassette(file)
    ]
    with ProviderServer([Embeddings()]) as server, httpx2.Client(base_url=server.url) as client:
        body = {"model": "e", "input": "x", "encoding_format": "base64"}
        ours = client.post("/v1/embeddings", json=body).json()

    assert set(keys(ours)) == set(keys(json.loads(call.body)))
