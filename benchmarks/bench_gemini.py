"""What does the Gemini model cost beside the official SDK that it is built on?

Both sides send the same request through the same HTTP client, whose transport answers from memory: the project's own
recordings, one piece an event. So the difference is ours: making the request, reading the answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google.genai import Client
from google.genai.types import HttpOptions

from eino.ext.models.gemini import GeminiChatModel
from eino.schema import user_message
from eino_fixtures import load_cassette
from eino_fixtures.cassettes import RecordedCall

CASSETTES = Path(__file__).resolve().parent.parent / "fixtures" / "cassettes" / "gemini"
KEY = "AIza-bench"
MODEL = "gemini-2.5-flash"
TEXT = "Where is the weather better?"
HI = [user_message(TEXT)]


class Body(httpx2.AsyncByteStream):
    """A body in pieces that are there already."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Answering(httpx2.AsyncBaseTransport):
    """Gives the same answer to every request."""

    def __init__(self, call: RecordedCall) -> None:
        self._headers = list(call.headers)
        sizes = [size for size, _ in call.chunks] or [len(call.body)]
        ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
        self.pieces = [call.body[end - size : end] for end, size in zip(ends, sizes, strict=True)]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=self._headers, stream=Body(self.pieces))


def both(call: RecordedCall) -> tuple[GeminiChatModel, Any]:
    """Return our model and the bare SDK."""
    client = httpx2.AsyncClient(transport=Answering(call))
    ours = GeminiChatModel(model=MODEL, api_key=KEY, http_client=client)
    options = HttpOptions(httpx_async_client=client, api_version="v1beta")
    return ours, Client(api_key=KEY, http_options=options).aio.models


@pytest.mark.workload("GM1", "stream an answer of 40 words", goal_ratio=1.3, gate_ratio=1.6, unit="us/stream")
def test_stream(abenchmark) -> None:
    """What does one streamed answer cost beside the SDK's own iteration?

    Timed: the whole request, from the call to the last chunk. Not timed: imports, the making of clients.
    Expected: below the SDK, which builds a typed object for each event.
    """
    ours, sdk = both(load_cassette(CASSETTES / "stream_tools_thoughts.yaml")[1])

    async def through_ours() -> str:
        return "".join([chunk.content async for chunk in ours.stream(HI)])

    async def through_sdk() -> str:
        stream = await sdk.generate_content_stream(model=MODEL, contents=TEXT)
        return "".join([chunk.text or "" async for chunk in stream])

    done = abenchmark.compare(subject=through_ours, floor=through_sdk)
    assert done.subject == done.floor
    assert done.subject.startswith("Paris looks better")


@pytest.mark.workload("GM2", "a whole answer with usage", goal_ratio=1.2, gate_ratio=1.5, unit="us/call")
def test_generate(abenchmark) -> None:
    """What does one whole answer cost beside the SDK's own call?

    Timed: the whole request. Not timed: imports, the making of clients.
    Expected: below the SDK, which turns settings and answer into typed objects.
    """
    ours, sdk = both(load_cassette(CASSETTES / "generate_text.yaml")[0])

    async def through_ours() -> str:
        return (await ours.generate(HI)).content

    async def through_sdk() -> str:
        return (await sdk.generate_content(model=MODEL, contents=TEXT)).text

    done = abenchmark.compare(subject=through_ours, floor=through_sdk)
    assert done.subject == done.floor == "Bonjour !"


@pytest.mark.workload("GM3", "a whole answer of two calls", goal_ratio=1.2, gate_ratio=1.5, unit="us/call")
def test_calls(abenchmark) -> None:
    """What do calls with signatures cost beside the SDK's own?

    Timed: the whole request. Not timed: imports, the making of clients.
    Expected: below the SDK.
    """
    ours, sdk = both(load_cassette(CASSETTES / "generate_tools.yaml")[0])

    async def through_ours() -> list[Any]:
        return [json.loads(call.arguments) for call in (await ours.generate(HI)).tool_calls]

    async def through_sdk() -> list[Any]:
        return [call.args for call in (await sdk.generate_content(model=MODEL, contents=TEXT)).function_calls]

    done = abenchmark.compare(subject=through_ours, floor=through_sdk)
    assert done.subject == done.floor == [{"city": "Paris"}, {"city": "Tokyo"}]
