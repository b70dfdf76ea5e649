"""What Anthropic's Messages API answers, as messages. Pure, and lenient.

The content of an answer is a list of blocks. Texts become `content`, thoughts `reasoning_content` and parts with their
signatures, calls `tool_calls`. Blocks of any other type, and any order that these fields cannot express, are kept as
they came under `CONTENT`, so that an answer can be sent back without loss.

Source: https://docs.anthropic.com/en/api/messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from eino.ext.models._json_fields import count_of, object_of, text_of
from eino.ext.models._service_errors import Place, answer_error, unreadable
from eino.schema.message import Message
from eino.schema.parts import AssistantPart, Reasoning, ReasoningPart
from eino.schema.tool import FunctionCall, ToolCall
from eino.schema.usage import CompletionTokenDetails, PromptTokenDetails, ResponseMeta, TokenUsage

__all__ = [
    "CALL",
    "CONTENT",
    "RESPONSE",
    "THOUGHT",
    "THOUGHTS",
    "Block",
    "arguments_of",
    "block_type",
    "extras",
    "message_of",
    "notes",
    "read_answer",
    "read_usage",
    "reasoning_blocks",
    "reasoning_part",
]

Block: TypeAlias = dict[str, Any]

CONTENT: Final = "anthropic-content"
"""Key in `Message.extra`: the blocks of the answer as they came, where the fields of a message cannot express them.

Server tools (web search, code execution, MCP, ...) with their results, citations, compactions, or an unusual order."""
RESPONSE: Final = "anthropic-response"
"""Key in `Message.extra`: what the service says about the answer: `id`, `model`, `usage` in its own words,
`stop_sequence`, `stop_details` of a refusal, `container`, ..."""
CALL: Final = "anthropic-call"
"""Key in `ToolCall.extra`: what a call says beside id, name and input, such as who made it (`caller`)."""
THOUGHT: Final = "anthropic-thought"
"""Key in `ReasoningPart.extra`: the type of the block that it was, `thinking` or `redacted_thinking`.

It tells the service's own reasoning, which goes back to it, from that of others, which the service would refuse."""
THOUGHTS: Final = ("thinking", "redacted_thinking")
"""Types of blocks with reasoning."""

_FRAME: Final = ("type", "role", "content", "stop_reason")
"""Fields of an answer that the fields of a message express."""
_COUNTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class _RawBlock(msgspec.Struct):
    """A block whose input is kept as it was written: numbers, spaces and order included."""

    input: msgspec.Raw = msgspec.Raw()


class _RawAnswer(msgspec.Struct):
    content: list[_RawBlock] = []


_decode_raw: Final = msgspec.json.Decoder(_RawAnswer).decode


def read_answer(body: bytes, place: Place, content_type: str = "application/json") -> Message:
    """Return the message of a whole (not streamed) answer.

    Raises:
        InvalidResponseError: If `body` is no answer of a model.
        ComponentError: If the answer reports an error, although the response is a success.
    """
    payload = object_of(body, place, content_type)
    if payload.get("error"):
        raise answer_error(payload["error"], place)
    content = payload.get("content")
    if not isinstance(content, list):
        raise unreadable(place, "it has no content", content_type, body)
    return message_of(payload, [block for block in content if isinstance(block, dict)], _arguments(body, content))


def _arguments(body: bytes, content: Sequence[Any]) -> list[str]:
    """Return the arguments of each call as they were written; all are decoded and written anew if that is unclear."""
    if not any(block_type(block) == "tool_use" for block in content):
        return []
    try:
        inputs = [bytes(block.input).decode() for block in _decode_raw(body).content]
    except (msgspec.DecodeError, UnicodeDecodeError):  # some block is no object
        inputs = []
    if len(inputs) != len(content):
        return [arguments_of(block) for block in content if block_type(block) == "tool_use"]
    calls = [text for text, block in zip(inputs, content, strict=True) if block_type(block) == "tool_use"]
    return [text if text and text != "null" else "{}" for text in calls]


def block_type(block: object) -> str:
    """Return the type of a block; empty for what is none."""
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if isinstance(kind, str) else ""


def arguments_of(block: Mapping[str, Any]) -> str:
    """Return the input of a call as JSON text."""
    given = block.get("input")
    return given if isinstance(given, str) else msgspec.json.encode(given or {}).decode()


def message_of(payload: Mapping[str, Any], blocks: Sequence[Block], arguments: Sequence[str]) -> Message:
    """Return the message that consists of `blocks`; `arguments` are those of its calls, as JSON texts."""
    content = "".join([text_of(block, "text") for block in blocks if block_type(block) == "text"])
    parts = [reasoning_part(block) for block in blocks if block_type(block) in THOUGHTS]
    uses = [block for block in blocks if block_type(block) == "tool_use"]
    calls = [
        ToolCall(
            id=text_of(block, "id"),
            function=FunctionCall(name=text_of(block, "name"), arguments=text),
            extra=notes(block),
        )
        for block, text in zip(uses, arguments, strict=True)
    ]
    return Message(
        role="assistant",
        content=content,
        assistant_parts=tuple(parts),
        tool_calls=tuple(calls),
        reasoning_content="".join([part.text for part in parts]),
        response_meta=ResponseMeta(
            finish_reason=text_of(payload, "stop_reason"), usage=read_usage(payload.get("usage"))
        ),
        extra=extras(payload, blocks),
    )


def extras(payload: Mapping[str, Any], blocks: Sequence[Block]) -> dict[str, Any]:
    """Return what the fields of a message cannot hold: about the answer, and of its blocks."""
    about = {name: value for name, value in payload.items() if value is not None and name not in _FRAME}
    found: dict[str, Any] = {RESPONSE: about} if about else {}
    if not _is_canonical(blocks):
        found[CONTENT] = list(blocks)
    return found


def notes(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `extra` of a call."""
    named = ("type", "id", "name", "input")
    more = {name: value for name, value in block.items() if name not in named and value is not None}
    return {CALL: more} if more else {}


def reasoning_part(block: Mapping[str, Any], index: int | None = None) -> ReasoningPart:
    """Return a block with reasoning as a part; what is redacted is all signature."""
    kind = block_type(block)
    if kind == "redacted_thinking":
        reasoning = Reasoning(signature=text_of(block, "data"))
    else:
        reasoning = Reasoning(text=text_of(block, "thinking"), signature=text_of(block, "signature"))
    return ReasoningPart(reasoning=reasoning, extra={THOUGHT: kind}, index=index)


def reasoning_blocks(parts: Iterable[AssistantPart]) -> list[Block]:
    """Return the blocks of the reasoning in `parts`, of those that this service made and signed."""
    blocks: list[Block] = []
    for part in parts:
        if not isinstance(part, ReasoningPart) or not part.signature:
            continue
        if part.extra.get(THOUGHT) == "redacted_thinking":
            blocks.append({"type": "redacted_thinking", "data": part.signature})
        elif part.extra.get(THOUGHT) == "thinking":
            blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
    return blocks


_CANONICAL_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "text": frozenset({"type", "text"}),
}
_RANK: Final[Mapping[str, int]] = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}


def _is_canonical(blocks: Sequence[Block]) -> bool:
    """Tell whether the fields of a message express `blocks`: thoughts, then one text, then calls."""
    rank, texts = 0, 0
    for block in blocks:
        kind = block_type(block)
        if _RANK.get(kind, -1) < rank:
            return False
        rank = _RANK[kind]
        texts += kind == "text"
        if texts > 1 or not _is_plain(block, kind):
            return False
    return True


def _is_plain(block: Block, kind: str) -> bool:
    """Tell whether a block has no fields beside those that are expressed; what a call has more is in its `extra`."""
    if kind == "tool_use":
        return True
    return all(name in _CANONICAL_FIELDS[kind] or value is None for name, value in block.items())


def read_usage(usage: object) -> TokenUsage | None:
    """Return the token counts, or None when there are none.

    The service's `input_tokens` are those that were neither read from its cache nor written to it; here, prompt
    tokens are all three, as with other providers. What was written to the cache is in `extra[RESPONSE]["usage"]`.
    """
    if not isinstance(usage, dict) or not any(name in usage for name in _COUNTS):
        return None
    fresh, read, written, completion = [count_of(usage, name) for name in _COUNTS]
    prompt = fresh + read + written
    return TokenUsage(
        prompt_tokens=prompt,
        prompt_token_details=PromptTokenDetails(cached_tokens=read),
        completion_tokens=completion,
        total_tokens=prompt + completion,
        completion_token_details=CompletionTokenDetails(
            reasoning_tokens=count_of(usage.get("output_tokens_details"), "thinking_tokens")
        ),
    )
