"""The parts of a multimodal message or tool result: text, image, audio, video, file, reasoning, found tools."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from eino.schema._value import Value, always_written
from eino.schema.tool import ToolInfo

__all__ = [
    "AssistantPart",
    "AudioPart",
    "ChatMessageFile",
    "ChatMessageMedia",
    "ChatMessagePart",
    "FileMedia",
    "FilePart",
    "ImageDetail",
    "ImageMedia",
    "ImagePart",
    "Media",
    "Reasoning",
    "ReasoningPart",
    "TextPart",
    "ToolAudioPart",
    "ToolFilePart",
    "ToolImagePart",
    "ToolPart",
    "ToolSearchResult",
    "ToolSearchResultPart",
    "ToolVideoPart",
    "UserPart",
    "VideoPart",
]

ImageDetail = Literal["high", "low", "auto"]
"""How closely a model looks at an image; more detail costs more tokens."""


class Media(Value, frozen=True, kw_only=True):
    """Audio, video or an image: either an address or the data itself."""

    url: str | None = None
    """Where the media lies. None and the empty string are different things."""
    base64_data: str | None = msgspec.field(default=None, name="base64data")
    """The media itself in Base64."""
    mime_type: str = ""
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class ImageMedia(Media, frozen=True, kw_only=True):
    """An image: either an address or the data itself."""

    detail: ImageDetail | Literal[""] = ""


class FileMedia(Media, frozen=True, kw_only=True):
    """A file: either an address or the data itself."""

    name: str = ""
    """The name that the model sees."""


class _Part(Value, frozen=True, kw_only=True, tag_field="type"):
    """One part. `index` places a streamed piece in the final answer; it is never part of the JSON form."""


class TextPart(_Part, frozen=True, tag="text"):
    """A text."""

    text: str = ""
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    index: int | None = msgspec.field(default=None, name="streaming_index")


class ImagePart(_Part, frozen=True, kw_only=True, tag="image_url"):
    """An image in a message."""

    image: ImageMedia
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    index: int | None = msgspec.field(default=None, name="streaming_index")

    @property
    def media(self) -> ImageMedia:
        """The image, under the name that all media parts share."""
        return self.image


class AudioPart(_Part, frozen=True, kw_only=True, tag="audio_url"):
    """Audio in a message."""

    audio: Media
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    index: int | None = msgspec.field(default=None, name="streaming_index")

    @property
    def media(self) -> Media:
        """The audio, under the name that all media parts share."""
        return self.audio


class VideoPart(_Part, frozen=True, kw_only=True, tag="video_url"):
    """A video in a message."""

    video: Media
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    index: int | None = msgspec.field(default=None, name="streaming_index")

    @property
    def media(self) -> Media:
        """The video, under the name that all media parts share."""
        return self.video


class FilePart(_Part, frozen=True, kw_only=True, tag="file_url"):
    """A file in a message."""

    file: FileMedia
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    index: int | None = msgspec.field(default=None, name="streaming_index")

    @property
    def media(self) -> FileMedia:
        """The file, under the name that all media parts share."""
        return self.file


class Reasoning(Value, frozen=True, kw_only=True):
    """What a reasoning model thought."""

    text: str = ""
    """The thoughts, or a summary of them."""
    signature: str = ""
    """Encrypted reasoning that some providers want back with the next request."""


class ReasoningPart(_Part, frozen=True, kw_only=True, tag="reasoning"):
    """Reasoning that came before, or between, the parts of an answer."""

    reasoning: Reasoning = msgspec.field(default_factory=Reasoning)
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    index: int | None = msgspec.field(default=None, name="streaming_index")

    @property
    def text(self) -> str:
        """The thoughts, or a summary of them."""
        return self.reasoning.text

    @property
    def signature(self) -> str:
        """Encrypted reasoning that some providers want back with the next request."""
        return self.reasoning.signature


class ToolSearchResult(Value, frozen=True, kw_only=True):
    """Tools that a search for tools found."""

    tools: tuple[ToolInfo, ...] = msgspec.field(default_factory=always_written, name="Tools")

    def __str__(self) -> str:
        return f"ToolSearchResult[{''.join(f'{tool.name},' for tool in self.tools)}]"


class ToolSearchResultPart(_Part, frozen=True, kw_only=True, tag="tool_search_result"):
    """The result of a search for tools."""

    tool_search_result: ToolSearchResult
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    index: int | None = msgspec.field(default=None, name="streaming_index")


class ToolImagePart(_Part, frozen=True, kw_only=True, tag="image"):
    """An image that a tool returned."""

    image: Media
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class ToolAudioPart(_Part, frozen=True, kw_only=True, tag="audio"):
    """Audio that a tool returned."""

    audio: Media
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class ToolVideoPart(_Part, frozen=True, kw_only=True, tag="video"):
    """A video that a tool returned."""

    video: Media
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class ToolFilePart(_Part, frozen=True, kw_only=True, tag="file"):
    """A file that a tool returned."""

    file: Media
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


UserPart: TypeAlias = TextPart | ImagePart | AudioPart | VideoPart | FilePart | ToolSearchResultPart
"""What a user message may consist of."""

AssistantPart: TypeAlias = TextPart | ImagePart | AudioPart | VideoPart | ReasoningPart
"""What an assistant message may consist of."""

ToolPart: TypeAlias = TextPart | ToolImagePart | ToolAudioPart | ToolVideoPart | ToolFilePart | ToolSearchResultPart
"""What a tool result may consist of."""


class ChatMessageMedia(Value, frozen=True, kw_only=True):
    """Media of the deprecated part model."""

    url: str = ""
    uri: str = ""
    detail: ImageDetail | Literal[""] = ""
    mime_type: str = ""
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class ChatMessageFile(Value, frozen=True, kw_only=True):
    """A file of the deprecated part model."""

    url: str = ""
    uri: str = ""
    mime_type: str = ""
    name: str = ""
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class ChatMessagePart(Value, frozen=True, kw_only=True):
    """A part of the deprecated `multi_content`, kept so that old conversations load. New code uses the parts above."""

    type: Literal["", "text", "image_url", "audio_url", "video_url", "file_url"] = ""
    text: str = ""
    image_url: ChatMessageMedia | None = None
    audio_url: ChatMessageMedia | None = None
    video_url: ChatMessageMedia | None = None
    file_url: ChatMessageFile | None = None
