"""What does the Ollama model cost beside the official library that it is built on?

Both sides send the same request through the same transport, which answers from memory, one line a piece. So the
difference is ours: making the request's body, reading the answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from ollama import AsyncClient

from eino.ext.models.ollama import OllamaChatModel
from eino.schema import user_message

WORDS = ["Paris ", "is ", "clear ", "and ", "warm ", "today. "] * 6
TEXT = "Where is the weather better?"
HI = [user_message(TEXT)]
MESSAGES = [{"role": "user", "content": TEXT}]
COUNTS = {"done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 36}


def line(content: str, **fields: object) -> bytes:
    """Return one line of an answer."""
    message = {"role": "assistant", "content": content}
    return json.dumps({"model": "m", "message": message, "done": False} | fields).encode() + b"\n"


class Body(httpx.AsyncByteStream):
    """A body in pieces that are there already."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def both(pieces: Sequence[bytes]) -> tuple[OllamaChatModel, AsyncClient]:
    """Return our model and the bare library."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Body(pieces)))
    ours = OllamaChatModel(model="m", base_url="http://ollama.test", transport=transport)
    return ours, AsyncClient(host="http://ollama.test", transport=transport)


@pytest.mark.workload("OL1", "stream an answer of 36 words", goal_ratio=1.3, gate_ratio=1.6, unit="us/stream")
def test_stream(abenchmark) -> None:
    """What does one streamed answer cost beside the library's own iteration?

    Timed: the whole request, from the call to the last chunk. Not timed: imports, the making of clients.
    Expected: below the library, which builds a typed object for each line.
    """
    ours, library = both([*(line(word) for word in WORDS), line("", **COUNTS)])

    async def through_ours() -> str:
        return "".join([chunk.content async for chunk in ours.stream(HI)])

    async def through_library() -> str:
        stream = await library.chat(model="m", messages=MESSAGES, stream=True)
        return "".join([chunk.message.content or "" async for chunk in stream])

    done = abenchmark.compare(subject=through_ours, floor=through_library)
    assert done.subject == done.floor == "".join(WORDS)


@pytest.mark.workload("OL2", "a whole answer with usage", goal_ratio=1.2, gate_ratio=1.5, unit="us/call")
def test_generate(abenchmark) -> None:
    """What does one whole answer cost beside the library's own call?

    Timed: the whole request. Not timed: imports, the making of clients.
    Expected: about the library's time, which goes into making the request.
    """
    ours, library = both([line("Bonjour !", **COUNTS)])

    async def through_ours() -> str:
        return (await ours.generate(HI)).content

    async def through_library() -> str | None:
        return (await library.chat(model="m", messages=MESSAGES)).message.content

    done = abenchmark.compare(subject=through_ours, floor=through_library)
    assert done.subject == done.floor == "Bonjour !"
