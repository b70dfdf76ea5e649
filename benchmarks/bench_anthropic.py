"""What does the Anthropic model cost beside the official SDK that it is built on?

Both sides send the same request through the same HTTP client, whose transport answers from memory: the project's own
recordings, one piece an event. So the difference is ours: making the request's body, reading the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx2
import pytest
from anthropic import AsyncAnthropic

from eino.ext.models.anthropic import AnthropicChatModel
from eino.schema import user_message
from eino_fixtures import load_cassette
from eino_fixtures.cassettes import RecordedCall

CASSETTES = Path(__file__).resolve().parent.parent / "fixtures" / "cassettes" / "anthropic"
KEY = "sk-bench"
MODEL = "claude-opus-4-8"
"""One that the SDK does not warn of."""
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


def both(call: RecordedCall) -> tuple[AnthropicChatModel, AsyncAnthropic]:
    """Return our model and the bare SDK."""
    client = httpx2.AsyncClient(transport=Answering(call))
    ours = AnthropicChatModel(model=MODEL, api_key=KEY, http_client=client)
    return ours, AsyncAnthropic(api_key=KEY, http_client=client, max_retries=0)


@pytest.mark.workload(
    "A1", "stream an answer of 40 words (Anthropic)", goal_ratio=1.3, gate_ratio=1.6, unit="us/stream"
)
def test_stream(abenchmark) -> None:
    """What does one streamed answer cost beside the SDK's own iteration?

    Timed: the whole request, from the call to the last chunk. Not timed: imports, the making of clients.
    Expected: below the SDK, which builds a typed object for each event.
    """
    ours, sdk = both(load_cassette(CASSETTES / "messages_tools_stream.yaml")[1])

    async def through_ours() -> str:
        return "".join([chunk.content async for chunk in ours.stream(HI)])

    async def through_sdk() -> str:
        stream = await sdk.messages.create(
            model=MODEL, max_tokens=4096, messages=[{"role": "user", "content": TEXT}], stream=True
        )
        return "".join(
            [
                event.delta.text
                async for event in stream
                if event.type == "content_block_delta" and event.delta.type == "text_delta"
            ]
        )

    done = abenchmark.compare(subject=through_ours, floor=through_sdk)
    assert done.subject == done.floor
    assert done.subject.startswith("Paris looks better")


@pytest.mark.workload("A2", "a whole answer with usage (Anthropic)", goal_ratio=1.2, gate_ratio=1.5, unit="us/call")
def test_generate(abenchmark) -> None:
    """What does one whole answer cost beside the SDK's own call?

    Timed: the whole request. Not timed: imports, the making of clients.
    Expected: about the SDK's time, which goes into making the request.
    """
    ours, sdk = both(load_cassette(CASSETTES / "messages_text.yaml")[0])

    async def through_ours() -> str:
        return (await ours.generate(HI)).content

    async def through_sdk() -> str:
        message = await sdk.messages.create(model=MODEL, max_tokens=4096, messages=[{"role": "user", "content": TEXT}])
        return "".join([block.text for block in message.content if block.type == "text"])

    done = abenchmark.compare(subject=through_ours, floor=through_sdk)
    assert done.subject == done.floor == "Bonjour !"
