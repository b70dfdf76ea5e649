"""The readable dump of a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, assert_never

from eino.schema.parts import (
    AssistantPart,
    AudioPart,
    ChatMessagePart,
    FileMedia,
    FilePart,
    ImageMedia,
    ImagePart,
    Media,
    ReasoningPart,
    TextPart,
    ToolSearchResultPart,
    UserPart,
    VideoPart,
)
from eino.schema.tool import ToolCall
from eino.schema.usage import ResponseMeta, TokenUsage

if TYPE_CHECKING:
    from eino.schema.message import Message


def message_text(message: Message) -> str:
    """Return `role: content`, then a block for everything else that the message carries. Media are only described."""
    blocks = [f"{message.role}: {message.content}"]
    blocks += _numbered("user_input_multi_content", map(_part_text, message.user_parts))
    blocks += _numbered("assistant_gen_multi_content", map(_part_text, message.assistant_parts))
    blocks += _numbered("multi_content", map(_deprecated_part_text, message.multi_content))
    if message.reasoning_content:
        blocks.append(f"reasoning content:\n{message.reasoning_content}")
    if message.tool_calls:
        blocks.append("tool_calls:\n" + "\n".join(map(_call_text, message.tool_calls)))
    if message.tool_call_id:
        blocks.append(f"tool_call_id: {message.tool_call_id}")
    if message.tool_name:
        blocks.append(f"tool_call_name: {message.tool_name}")
    if message.response_meta is not None:
        blocks += _meta_lines(message.response_meta)
    return "\n".join(blocks)


def _numbered(header: str, texts: Iterable[str]) -> list[str]:
    lines = [f"  [{position}] {text}" for position, text in enumerate(texts)]
    return [f"{header}:", *lines] if lines else []


def _part_text(part: UserPart | AssistantPart) -> str:
    match part:
        case TextPart():
            return f"text: {part.text}"
        case ReasoningPart():
            return f"reasoning: {part.text}"
        case ToolSearchResultPart():
            return f"tool_search_result: {part.tool_search_result}"
        case ImagePart():
            return f"image: {_media_text(part.image)}"
        case AudioPart():
            return f"audio: {_media_text(part.audio)}"
        case VideoPart():
            return f"video: {_media_text(part.video)}"
        case FilePart():
            return f"file: {_media_text(part.file)}"
        case _:
            assert_never(part)


def _media_text(media: Media) -> str:
    described = []
    if media.url is not None:
        described.append(f"url={media.url}")
    if media.base64_data is not None:
        described.append(f"base64[{len(media.base64_data)} bytes]")
    if media.mime_type:
        described.append(f"mime={media.mime_type}")
    if isinstance(media, ImageMedia) and media.detail:
        described.append(f"detail={media.detail}")
    if isinstance(media, FileMedia) and media.name:
        described.append(f"name={media.name}")
    if media.extra:
        described.append(f"extra={media.extra}")
    return ", ".join(described) or "<empty>"


def _deprecated_part_text(part: ChatMessagePart) -> str:
    media = {
        "image_url": part.image_url,
        "audio_url": part.audio_url,
        "video_url": part.video_url,
        "file_url": part.file_url,
    }
    if part.type == "text":
        return f"text: {part.text}"
    if part.type not in media:
        return f"unknown type: {part.type}"
    found = media[part.type]
    return f"{part.type}: {'<nil>' if found is None else found.url}"


def _call_text(call: ToolCall) -> str:
    index = "" if call.index is None else f"index[{call.index}]:"
    extra = f" extra={call.extra}" if call.extra else ""
    return f"{index}{call.name}({call.arguments}) id={call.id} type={call.type}{extra}"


def _meta_lines(meta: ResponseMeta) -> list[str]:
    lines = [f"finish_reason: {meta.finish_reason}"]
    return lines if meta.usage is None else [*lines, f"usage: {_usage_text(meta.usage)}"]


def _usage_text(usage: TokenUsage) -> str:
    return (
        f"prompt={usage.prompt_tokens} (cached={usage.cached_tokens}) "
        f"completion={usage.completion_tokens} (reasoning={usage.reasoning_tokens}) total={usage.total_tokens}"
    )
