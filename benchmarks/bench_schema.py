"""What joining the chunks of a stream, and storing conversations, costs beside hand-written code."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from pydantic import BaseModel, TypeAdapter

from eino.schema import (
    Codec,
    FunctionCall,
    Message,
    ResponseMeta,
    ToolCall,
    assistant_message,
    concat,
    from_json,
    to_json,
    token_usage,
    tool_call,
    tool_message,
    user_message,
)
from eino_harness import AsyncBenchmark

CHUNKS = 1000


def text_chunks() -> list[Message]:
    """A streamed answer: a role and a piece of text in every chunk, the usage in the last."""
    meta = ResponseMeta(finish_reason="stop", usage=token_usage(20, CHUNKS))
    chunks = [Message(role="assistant", content=f"token{i} ") for i in range(CHUNKS - 1)]
    return [*chunks, Message(role="assistant", content="", response_meta=meta)]


def call_chunks() -> list[Message]:
    """A streamed tool call: id and name in the first chunk, a piece of the arguments in every chunk."""

    def piece(position: int) -> ToolCall:
        function = FunctionCall(name="" if position else "search", arguments=f"piece{position} ")
        head = ("", "") if position else ("call_1", "function")
        return ToolCall(index=0, id=head[0], type=head[1], function=function)

    return [Message(role="assistant", content="", tool_calls=(piece(i),)) for i in range(CHUNKS)]


def join_texts_by_hand(chunks: list[Message]) -> Message:
    """The least that gives the same message when it is known what the chunks carry."""
    content = "".join([chunk.content for chunk in chunks])
    return Message(role=chunks[0].role, content=content, response_meta=chunks[-1].response_meta)


def join_calls_by_hand(chunks: list[Message]) -> Message:
    """Group the pieces by index, as any client has to; id, type and name are taken from the first piece."""
    groups: dict[int | None, list[ToolCall]] = {}
    for chunk in chunks:
        for call in chunk.tool_calls:
            groups.setdefault(call.index, []).append(call)
    calls = [
        ToolCall(
            index=index,
            id=group[0].id,
            type=group[0].type,
            function=FunctionCall(name=group[0].name, arguments="".join([piece.function.arguments for piece in group])),
        )
        for index, group in groups.items()
    ]
    content = "".join([chunk.content for chunk in chunks])
    return Message(role=chunks[0].role, content=content, tool_calls=tuple(calls))


@pytest.mark.workload("W7", "join 1000 text chunks", variant="text", goal_us=110, gate_ratio=12)
def test_w7_concat_1000_text_chunks(abenchmark: AsyncBenchmark) -> None:
    """What does it cost to join a long streamed answer, with all checks?

    Timed: joining 1000 chunks. Not timed: making them. Expected: a small multiple of the floor, which checks nothing.
    """
    chunks = text_chunks()

    done = abenchmark.compare(subject=lambda: concat(chunks), floor=lambda: join_texts_by_hand(chunks))

    assert done.subject == done.floor


@pytest.mark.instructions(calls=20)
@pytest.mark.workload("W7", "join 1000 tool-call chunks", variant="tool call", goal_us=200, gate_ratio=8)
def test_w7_concat_1000_tool_call_chunks(abenchmark: AsyncBenchmark) -> None:
    """What does it cost to join a long streamed tool call, with all checks?

    Timed: joining 1000 chunks. Not timed: making them. Expected: a small multiple of the floor, which groups the
    pieces and checks nothing.
    """
    chunks = call_chunks()

    done = abenchmark.compare(subject=lambda: concat(chunks), floor=lambda: join_calls_by_hand(chunks))

    assert done.subject == done.floor


def conversation() -> list[Message]:
    """50 messages: questions, tool calls with their results, answers with usage."""
    turn = [
        user_message("What is the weather in Paris, and what should I wear? " * 2),
        assistant_message("", [tool_call("get_weather", {"city": "Paris", "unit": "C"}, id="call_1")]),
        tool_message('{"temperature": 21, "sky": "clear"}' * 3, "call_1", tool_name="get_weather"),
        user_message("And tomorrow?"),
        assistant_message("Light clothes will do. " * 10, extra={"request_id": "req_0123456789"}).replace(
            response_meta=ResponseMeta(finish_reason="stop", usage=token_usage(320, 64, cached_tokens=128))
        ),
    ]
    return turn * 10


class FunctionModel(BaseModel):
    """`FunctionCall` as a pydantic model."""

    name: str = ""
    arguments: str = ""


class ToolCallModel(BaseModel):
    """`ToolCall` as a pydantic model."""

    index: int | None = None
    id: str = ""
    type: str = "function"
    function: FunctionModel
    extra: dict[str, Any] = {}


class PromptDetailsModel(BaseModel):
    """`PromptTokenDetails` as a pydantic model."""

    cached_tokens: int = 0


class CompletionDetailsModel(BaseModel):
    """`CompletionTokenDetails` as a pydantic model."""

    reasoning_tokens: int = 0


class UsageModel(BaseModel):
    """`TokenUsage` as a pydantic model."""

    prompt_tokens: int = 0
    prompt_token_details: PromptDetailsModel = PromptDetailsModel()
    completion_tokens: int = 0
    total_tokens: int = 0
    completion_token_details: CompletionDetailsModel = CompletionDetailsModel()


class MetaModel(BaseModel):
    """`ResponseMeta` as a pydantic model."""

    finish_reason: str = ""
    usage: UsageModel | None = None


class MessageModel(BaseModel):
    """`Message` as a pydantic model, without the multimodal fields: the floor does less."""

    role: Literal["assistant", "user", "system", "tool", ""]
    content: str
    name: str = ""
    tool_calls: list[ToolCallModel] = []
    tool_call_id: str = ""
    tool_name: str = ""
    response_meta: MetaModel | None = None
    reasoning_content: str = ""
    extra: dict[str, Any] = {}


def with_eino(data: bytes) -> bytes:
    """Decode and encode with schema values."""
    return to_json(from_json(data, list[Message]))


_models = TypeAdapter(list[MessageModel])


def with_pydantic(data: bytes) -> bytes:
    """Decode and encode with pydantic models."""
    return _models.dump_json(_models.validate_json(data), exclude_defaults=True)


@pytest.mark.workload(
    "codec", "read and write 50 messages as JSON; floor: pydantic models", goal_ratio=0.33, gate_ratio=0.6
)
def test_conversation_json(abenchmark: AsyncBenchmark) -> None:
    """How much faster is a stored conversation read and written than with pydantic models?

    Timed: decode and encode of 50 messages. Expected: at least 3 times faster.
    """
    data = to_json(conversation())

    done = abenchmark.compare(subject=lambda: with_eino(data), floor=lambda: with_pydantic(data))

    assert len(msgspec.json.decode(done.subject)) == len(msgspec.json.decode(done.floor)) == 50


@pytest.mark.workload("codec", "store and read a state with 50 messages", unit="us/message", per=50)
@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_conversation_codec(abenchmark: AsyncBenchmark, form: Literal["json", "msgpack"]) -> None:
    """What does a checkpoint of a conversation cost?

    Timed: `Codec` both ways for a state with 50 messages. Expected: a few microseconds a message.
    """
    codec = Codec(form)
    state = {"messages": conversation(), "round": 3}

    result = abenchmark(lambda: codec.decode(codec.encode(state)))

    assert result == state
