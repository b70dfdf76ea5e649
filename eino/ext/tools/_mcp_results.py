"""What an MCP server sends, as eino's values. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import mcp_types as types
import msgspec

from eino.schema.parts import AudioPart, FileMedia, FilePart, ImageMedia, ImagePart, Media
from eino.schema.tool_result import ToolResult, tool_result

__all__ = ["model_name", "result_of", "text_of"]

_LONGEST: Final = 64
"""What all providers accept. Source: OpenAI API reference, chat completions, `tools[].function.name`."""


def model_name(name: str) -> str:
    """Return a name that models accept: other characters become `_`, a long name ends in a digest of the whole."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    if len(plain) <= _LONGEST:
        return plain or "_"
    return f"{plain[: _LONGEST - 9]}_{sha256(name.encode()).hexdigest()[:8]}"


def result_of(answer: types.CallToolResult) -> str | ToolResult:
    """Return the answer as a text, or as parts if it holds more than texts.

    Structured content is used only where there is no other: servers send the same as a text.
    """
    if not answer.content and answer.structured_content is not None:
        return msgspec.json.encode(answer.structured_content).decode()
    parts = [_part(block) for block in answer.content]
    if all(isinstance(part, str) for part in parts):
        return "\n".join(parts)
    return tool_result(*parts)


def text_of(blocks: Sequence[types.ContentBlock]) -> str:
    """Return the texts among the blocks, for an error."""
    return "\n".join(block.text for block in blocks if isinstance(block, types.TextContent))


def _part(block: types.ContentBlock) -> Any:
    match block:
        case types.TextContent():
            return block.text
        case types.ImageContent():
            return ImagePart(image=ImageMedia(base64_data=block.data, mime_type=block.mime_type))
        case types.AudioContent():
            return AudioPart(audio=Media(base64_data=block.data, mime_type=block.mime_type))
        case types.ResourceLink():
            return f"{block.name}: {block.uri}"
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return resource.text
        case types.EmbeddedResource(resource=types.BlobResourceContents() as resource):
            kind = resource.mime_type or "application/octet-stream"
            return FilePart(file=FileMedia(base64_data=resource.blob, mime_type=kind))
    raise TypeError(f"content of an unknown kind: {type(block).__name__}")
