"""What an MCP server sends, as eino's values, up to a limit. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import mcp_types as types
import msgspec

from eino.schema.parts import AudioPart, FileMedia, FilePart, ImageMedia, ImagePart, Media
from eino.schema.tool_result import ToolResult, tool_result

__all__ = ["Limits", "model_name", "result_of", "text_of"]

_LONGEST: Final = 64
"""What all providers accept. Source: OpenAI API reference, chat completions, `tools[].function.name`."""


@dataclass(frozen=True)
class Limits:
    """How much of a result is kept: a server that sends more must not fill the model's context, nor the memory."""

    max_chars: int = 200_000
    """Of all its texts together."""
    max_media_bytes: int = 20_000_000
    """Of the data of all its images, sounds and files together, in Base64."""


def model_name(name: str) -> str:
    """Return a name that models accept: other characters become `_`, a long name ends in a digest of the whole."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    if len(plain) <= _LONGEST:
        return plain or "_"
    return f"{plain[: _LONGEST - 9]}_{sha256(name.encode()).hexdigest()[:8]}"


def result_of(answer: types.CallToolResult, limits: Limits) -> str | ToolResult:
    """Return the answer as a text, or as parts if it holds more than texts.

    Structured content is used only where there is no other: servers send the same as a text. Texts beyond the limit are
    cut, media beyond it left out, and the result says so.
    """
    if not answer.content and answer.structured_content is not None:
        return _cut(msgspec.json.encode(answer.structured_content).decode(), limits.max_chars, limits)
    chars, media_bytes = limits.max_chars, limits.max_media_bytes
    parts: list[Any] = []
    for block in answer.content:
        part = _part(block)
        size = 0 if isinstance(part, str) else len(part.media.base64_data or "")
        if size > media_bytes:
            part = f"({part.media.mime_type} of {size} bytes in Base64; it is left out)"
        else:
            media_bytes -= size
        if isinstance(part, str):
            part = _cut(part, chars, limits)
            chars = max(chars - len(part), 0)
        if part != "":
            parts.append(part)
    if all(isinstance(part, str) for part in parts):
        return "\n".join(parts)
    return tool_result(*parts)


def _cut(text: str, left: int, limits: Limits) -> str:
    """Return what there is room for; the note about it comes once, where the room ends."""
    if len(text) <= left:
        return text
    return f"{text[:left]}\n(cut after {limits.max_chars} characters)" if left else ""


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
