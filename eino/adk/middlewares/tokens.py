"""How long a conversation is, in tokens: what models reported, and an estimate of the rest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from eino.schema.message import Message
from eino.schema.tool import ToolInfo

__all__ = ["CountTokens", "estimate_tokens", "text_tokens"]

CountTokens: TypeAlias = Callable[[Sequence[Message], Sequence[ToolInfo]], int]
"""`count(messages, tools)`: how many tokens a model reads."""

BYTES_PER_TOKEN: Final = 4
"""A rule of thumb for English text and JSON. Source: OpenAI, "What are tokens and how to count them?"."""

MEDIA_TOKENS: Final = 2_000
"""For an image, a sound, a file: the order of magnitude that providers count. Source: the Go original."""


def estimate_tokens(messages: Sequence[Message], tools: Sequence[ToolInfo] = ()) -> int:
    """Return how many tokens the messages and tools take, about.

    Up to the last answer whose model said what it had read, that number counts; it includes the tools then.
    """
    total = 0
    for message in reversed(messages):
        usage = message.response_meta.usage if message.response_meta is not None else None
        if message.role == "assistant" and usage is not None and usage.total_tokens:
            return total + usage.total_tokens
        total += message_tokens(message)
    return total + sum(text_tokens(f"{tool.name}{tool.description}") + _json_tokens(tool.parameters) for tool in tools)


def message_tokens(message: Message) -> int:
    """Return how many tokens a message takes, about."""
    total = text_tokens(message.content) + text_tokens(message.reasoning_content)
    for part in (*message.user_parts, *message.assistant_parts):
        text: object = getattr(part, "text", None)
        total += text_tokens(text) if isinstance(text, str) else MEDIA_TOKENS
    return total + sum(text_tokens(f"{call.name}{call.arguments}") for call in message.tool_calls)


def text_tokens(text: str) -> int:
    """Return how many tokens a text takes, about; an empty one takes none."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def _json_tokens(schema: object) -> int:
    return -(-len(msgspec.json.encode(schema)) // BYTES_PER_TOKEN) if schema else 0
