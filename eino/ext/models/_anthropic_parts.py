"""Parts of messages as content blocks of Anthropic's Messages API. Pure.

Source: https://docs.anthropic.com/en/api/messages, "messages.content".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from eino.errors import InvalidRequestError
from eino.ext.models._anthropic_answer import Block
from eino.ext.models._openai_request import modern_part
from eino.schema.message import Message
from eino.schema.parts import (
    AudioPart,
    FilePart,
    ImagePart,
    Media,
    TextPart,
    ToolSearchResultPart,
    UserPart,
    VideoPart,
)

__all__ = ["BLOCK", "cached", "content_blocks", "text_block"]

BLOCK: Final = "anthropic-block"
"""Key in the `extra` of a part: a content block to send in its place, as it is (`search_result`, ...)."""

_PASSED: Final = ("cache_control", "citations", "context", "title")
"""Entries in the `extra` of a part that become fields of its block."""
_PDF: Final = "application/pdf"


def content_blocks(position: int, message: Message, *, of_tool: bool = False) -> list[Block]:
    """Return the content of a message of a user, a tool or the system; empty texts are left out, as the API demands.

    Raises:
        InvalidRequestError: If a part cannot be expressed.
    """
    if message.user_parts:
        parts: Sequence[UserPart] = message.user_parts
    elif message.multi_content and not message.content:
        parts = [modern_part(part) for part in message.multi_content]
    else:
        return [text_block(message.content)] if message.content else []
    blocks: list[Block] = []
    for part in parts:
        if isinstance(part, ToolSearchResultPart) and of_tool:
            found = part.tool_search_result.tools
            blocks += [{"type": "tool_reference", "tool_name": tool.name} for tool in found]
        elif not isinstance(part, TextPart) or part.text or BLOCK in part.extra:
            blocks.append(_block(position, part))
    return blocks


def cached(blocks: list[Block], message: Message) -> list[Block]:
    """Return `blocks` with the cache mark of the message, if it has one, on the last."""
    mark = message.extra.get("cache_control")
    return [*blocks[:-1], {**blocks[-1], "cache_control": mark}] if mark and blocks else blocks


def text_block(text: str) -> Block:
    """Return a text as a block."""
    return {"type": "text", "text": text}


def _block(position: int, part: UserPart) -> Block:
    if isinstance(raw := part.extra.get(BLOCK), Mapping):
        return dict(raw)
    passed = {name: part.extra[name] for name in _PASSED if name in part.extra}
    match part:
        case TextPart():
            return text_block(part.text) | passed
        case ImagePart():
            return {"type": "image", "source": _source(position, part, part.image, "image/png")} | passed
        case FilePart():
            title = {"title": part.file.name} if part.file.name else {}
            return {"type": "document", "source": _document(position, part)} | title | passed
        case AudioPart() | VideoPart():
            raise _cannot_send(position, part, "this service takes text, images and documents")
        case ToolSearchResultPart():
            raise _cannot_send(position, part, "found tools go into the message of the tool that found them")
        case _:
            assert_never(part)


def _source(position: int, part: UserPart, media: Media, default_type: str) -> Block:
    """Return where media come from: the files of the service, the data itself, or an address."""
    if identity := media.extra.get("file_id"):
        return {"type": "file", "file_id": identity}
    kind, data = media.mime_type, media.base64_data
    if data is None and media.url and media.url.startswith("data:"):
        head, _, data = media.url.removeprefix("data:").partition(",")
        if not head.endswith(";base64"):
            raise _cannot_send(position, part, "a data URL must be in base64")
        kind = kind or head.removesuffix(";base64")
    if data is not None:
        return {"type": "base64", "media_type": kind or default_type, "data": data}
    if not media.url:
        raise _cannot_send(position, part, "it has neither url nor base64_data, nor the file_id of an uploaded file")
    return {"type": "url", "url": media.url}


def _document(position: int, part: FilePart) -> Block:
    source = _source(position, part, part.file, _PDF)
    kind = source.get("media_type", _PDF).partition(";")[0]
    if kind == _PDF:
        return source
    if not kind.startswith("text/") and kind != "application/json":
        raise _cannot_send(position, part, "documents are PDF or text")
    try:
        text = base64.b64decode(source["data"], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _cannot_send(position, part, f"its base64_data holds no UTF-8 text ({error})") from error
    return {"type": "text", "media_type": "text/plain", "data": text}


def _cannot_send(position: int, part: Any, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"message {position} has {part!r}, which cannot be sent: {why}")
