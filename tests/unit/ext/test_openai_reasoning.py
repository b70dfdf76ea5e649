"""Structured reasoning: its blocks come whole or in pieces, and go back as they came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eino.ext.models import openai_services
from eino.ext.models._openai_reasoning import StreamedDetails, whole_details
from eino.ext.models.openai import REASONING_DETAILS
from eino.schema import Message, concat_messages, tool_message, user_message
from eino_fixtures import ProviderServer, RawAnswer

HI = [user_message("hi")]
TEXT = {"type": "reasoning.text", "text": "I must look.", "signature": "sig", "format": "anthropic", "index": 0}
SECRET = {"type": "reasoning.encrypted", "data": "abc", "index": 1}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
PIECES = [
    {"reasoning": "I must ", "reasoning_details": [TEXT | {"text": "I must ", "signature": None}]},
    {"reasoning": "look.", "reasoning_details": [TEXT | {"text": "look.", "signature": None, "format": None}]},
    {"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "index": 0}, SECRET]},
    {"tool_calls": [CALL | {"index": 0}]},
]


def streamed() -> RawAnswer:
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in PIECES]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return RawAnswer(body.encode(), content_type="text/event-stream")


def whole() -> RawAnswer:
    said = {"role": "assistant", "reasoning": "I must look.", "reasoning_details": [TEXT, SECRET], "tool_calls": [CALL]}
    return RawAnswer(json.dumps({"choices": [{"index": 0, "message": said}]}).encode())


@pytest.mark.parametrize("stream", [True, False])
async def test_blocks_go_back_as_they_came(stream: bool) -> None:
    with ProviderServer([streamed() if stream else whole(), "done"]) as server:
        async with openai_services.openrouter("m", api_key="k", base_url=server.openai_url) as model:
            if stream:
                answer = concat_messages([chunk async for chunk in model.stream(HI)])
            else:
                answer = await model.generate(HI)
            calls = [call.replace(index=None) for call in answer.tool_calls]
            await model.generate([*HI, answer.replace(tool_calls=tuple(calls)), tool_message("seen", "c1")])

    assert answer.reasoning_content == "I must look."
    assert answer.extra[REASONING_DETAILS] == [TEXT, SECRET]
    sent = server.requests[1].json["messages"][1]
    assert sent["reasoning_details"] == [TEXT, SECRET]
    assert "reasoning" not in sent


async def test_other_services_do_not_get_the_blocks() -> None:
    """They would refuse the request."""
    answer = Message(role="assistant", content="x", extra={REASONING_DETAILS: [TEXT]})
    with ProviderServer(["done"]) as server:
        async with openai_services.groq("m", api_key="k", base_url=server.openai_url) as model:
            await model.generate([*HI, answer, *HI])

    assert set(server.requests[0].json["messages"][1]) == {"role", "content"}


@pytest.mark.parametrize("details", [None, "text", [1, None], {}])
def test_what_is_no_list_of_blocks_is_none(details: Any) -> None:
    assert whole_details({"reasoning_details": details}) == []


def test_pieces_without_an_index_go_on_the_last_block() -> None:
    joined = StreamedDetails()
    for piece in ({"type": "a", "text": "x"}, {"type": "a", "text": "y"}, {"type": "b", "data": "1"}, {"type": "a"}):
        joined.read({"reasoning_details": [piece]})

    assert joined.blocks == [{"type": "a", "text": "xy"}, {"type": "b", "data": "1"}, {"type": "a"}]
