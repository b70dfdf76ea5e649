"""Writing media parts: either an address, or data as bytes or Base64 text, checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, get_args

from eino.schema.parts import (
    AudioPart,
    FileMedia,
    FilePart,
    ImageDetail,
    ImageMedia,
    ImagePart,
    Media,
    VideoPart,
)

__all__ = ["audio_part", "file_part", "image_part", "media_bytes", "video_part"]


def image_part(
    url: str | None = None,
    *,
    data: bytes | str | None = None,
    mime_type: str = "",
    detail: ImageDetail | None = None,
    extra: Mapping[str, Any] | None = None,
) -> ImagePart:
    """Return an image from its address, or from `data`: bytes, or Base64 text.

    Raises:
        ValueError: If not exactly one of `url` and `data` is given, the Base64 text is invalid, or `detail` unknown.
        TypeError: If an argument has the wrong type.
    """
    if detail is not None and detail not in get_args(ImageDetail):
        raise ValueError(f"detail must be one of {', '.join(get_args(ImageDetail))}; got {detail!r}")
    fields = _fields("image", url, data, mime_type)
    return ImagePart(image=ImageMedia(**fields, detail=detail or ""), extra=dict(extra or {}))


def audio_part(
    url: str | None = None,
    *,
    data: bytes | str | None = None,
    mime_type: str = "",
    extra: Mapping[str, Any] | None = None,
) -> AudioPart:
    """Return audio from its address, or from `data`: bytes, or Base64 text.

    Raises:
        ValueError: If not exactly one of `url` and `data` is given, or the Base64 text is invalid.
        TypeError: If an argument has the wrong type.
    """
    return AudioPart(audio=Media(**_fields("audio", url, data, mime_type)), extra=dict(extra or {}))


def video_part(
    url: str | None = None,
    *,
    data: bytes | str | None = None,
    mime_type: str = "",
    extra: Mapping[str, Any] | None = None,
) -> VideoPart:
    """Return a video from its address, or from `data`: bytes, or Base64 text.

    Raises:
        ValueError: If not exactly one of `url` and `data` is given, or the Base64 text is invalid.
        TypeError: If an argument has the wrong type.
    """
    return VideoPart(video=Media(**_fields("video", url, data, mime_type)), extra=dict(extra or {}))


def file_part(
    url: str | None = None,
    *,
    data: bytes | str | None = None,
    name: str = "",
    mime_type: str = "",
    extra: Mapping[str, Any] | None = None,
) -> FilePart:
    """Return a file from its address, or from `data`: bytes, or Base64 text. `name` is what the model sees.

    Raises:
        ValueError: If not exactly one of `url` and `data` is given, or the Base64 text is invalid.
        TypeError: If an argument has the wrong type.
    """
    fields = _fields("file", url, data, mime_type)
    return FilePart(file=FileMedia(**fields, name=name), extra=dict(extra or {}))


def media_bytes(media: Media) -> bytes | None:
    """Return the data of `media`, or None if it has an address only.

    Raises:
        ValueError: If its Base64 text is invalid.
    """
    return None if media.base64_data is None else _decoded(media.base64_data)


def _fields(kind: str, url: str | None, data: bytes | str | None, mime_type: str) -> dict[str, Any]:
    if (url is None) == (data is None):
        raise ValueError(f"{'an' if kind[0] in 'ai' else 'a'} {kind} part needs either url= or data=, not both")
    if url is not None and not isinstance(url, str):
        raise TypeError(f"the url of a part must be a string, got {url!r}")
    if not isinstance(mime_type, str):
        raise TypeError(f"mime_type must be a string such as 'image/png', got {mime_type!r}")
    return {"url": url, "base64_data": _encoded(data), "mime_type": mime_type}


def _encoded(data: bytes | str | None) -> str | None:
    if data is None:
        return None
    if isinstance(data, bytes | bytearray | memoryview):
        return base64.b64encode(data).decode()
    if not isinstance(data, str):
        raise TypeError(f"the data of a part must be bytes or Base64 text, got {type(data).__qualname__}")
    _decoded(data)
    return data


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"{text[:16]!r}... ({len(text)} chars) is no valid Base64: {error}; pass bytes to have them encoded"
        ) from error
