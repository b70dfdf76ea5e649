"""What an enhanced tool returns: text, media, found tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from eino.schema._value import Value
from eino.schema.parts import (
    AudioPart,
    FileMedia,
    FilePart,
    ImageMedia,
    ImagePart,
    Media,
    TextPart,
    ToolAudioPart,
    ToolFilePart,
    ToolImagePart,
    ToolPart,
    ToolSearchResultPart,
    ToolVideoPart,
    UserPart,
    VideoPart,
)

__all__ = ["ToolResult", "tool_result"]


class ToolResult(Value, frozen=True, kw_only=True):
    """The output of a tool in parts. `tool_result` is the short way to write it."""

    parts: tuple[ToolPart, ...] = ()

    def __str__(self) -> str:
        return "".join([part.text for part in self.parts if isinstance(part, TextPart)])

    def to_user_parts(self) -> tuple[UserPart, ...]:
        """Return the parts as a tool message carries them (`user_parts`). Names of files are not part of results.

        Raises:
            TypeError: If a part is of a kind that a message cannot carry.
        """
        return tuple([_to_user_part(part) for part in self.parts])


def tool_result(*parts: str | ToolPart | ImagePart | AudioPart | VideoPart | FilePart) -> ToolResult:
    """Return a result of these parts; texts and the media parts of messages are converted.

    Raises:
        TypeError: If a part is of a kind that a tool cannot return.
    """
    return ToolResult(parts=tuple([_to_tool_part(position, part) for position, part in enumerate(parts)]))


def _to_tool_part(position: int, part: Any) -> ToolPart:
    match part:
        case str():
            return TextPart(part)
        case ImagePart():
            return ToolImagePart(image=_plain(part.image), extra=part.extra)
        case AudioPart():
            return ToolAudioPart(audio=_plain(part.audio), extra=part.extra)
        case VideoPart():
            return ToolVideoPart(video=_plain(part.video), extra=part.extra)
        case FilePart():
            return ToolFilePart(file=_plain(part.file), extra=part.extra)
    if not isinstance(part, get_args(ToolPart)):
        raise TypeError(f"part {position} of a tool result must be a string, a tool part or a media part, got {part!r}")
    return part  # type: ignore[no-any-return]  # checked in the line above


def _to_user_part(part: Any) -> UserPart:
    match part:
        case TextPart():
            return TextPart(part.text, extra=part.extra)
        case ToolSearchResultPart():
            return ToolSearchResultPart(tool_search_result=part.tool_search_result)
        case ToolImagePart():
            return ImagePart(image=ImageMedia(**_fields(part.image, part)), extra=part.extra)
        case ToolAudioPart():
            return AudioPart(audio=Media(**_fields(part.audio, part)), extra=part.extra)
        case ToolVideoPart():
            return VideoPart(video=Media(**_fields(part.video, part)), extra=part.extra)
        case ToolFilePart():
            return FilePart(file=FileMedia(**_fields(part.file, part)), extra=part.extra)
    raise TypeError(f"unknown tool part type: {type(part).__qualname__} ({part!r})")


def _plain(media: Media) -> Media:
    return Media(**_fields(media, media))


def _fields(media: Media, part: object) -> dict[str, Any]:
    if media is None:
        raise TypeError(f"the content of {part!r} is None; give the part its media")
    return {"url": media.url, "base64_data": media.base64_data, "mime_type": media.mime_type, "extra": media.extra}


def kinds_of(parts: Sequence[ToolPart]) -> list[str]:
    """Return the kind of each part as the JSON form names it."""
    return [str(type(part).__struct_config__.tag) for part in parts]
