"""Parts of Gemini's messages: what eino's messages say as parts, and what parts hold that has no field there. Pure.

Source: https://ai.google.dev/api/caching#Part and https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

from eino.errors import InvalidRequestError
from eino.schema.message import Message
from eino.schema.parts import (
    AudioPart,
    ChatMessageMedia,
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

__all__ = [
    "PARTS",
    "PART_FIELDS",
    "THOUGHT_SIGNATURE",
    "call_id",
    "emptied",
    "is_media",
    "is_own_id",
    "model_parts",
    "skeleton",
    "user_parts",
]

JSON: TypeAlias = dict[str, Any]
MediaPart: TypeAlias = ImagePart | AudioPart | VideoPart | FilePart

PARTS: Final = "gemini-parts"
"""Key in `Message.extra`: the parts of the answer, in order, where the message's own fields do not say it all: with
signatures of texts and thoughts, code that ran and what it gave, and parts of kinds that are not known here. Data of
media and calls are left out, since the message has them. Goes back with the conversation."""
THOUGHT_SIGNATURE: Final = "gemini-thought-signature"
"""Key in `ToolCall.extra` and in the `extra` of media: the signature that goes back with it."""
PART_FIELDS: Final = "gemini-part-fields"
"""Key in the `extra` of a part that is sent: further fields of Gemini's part, such as `videoMetadata`."""

_OWN_ID: Final = "gemini-call-"
"""How the ids begin that are given here, to calls that come without one. The service never sees them."""
_DEFAULT_TYPES: Final[Mapping[type, str]] = {
    ImagePart: "image/png",
    AudioPart: "audio/wav",
    VideoPart: "video/mp4",
    FilePart: "application/pdf",
}


def call_id(answer_id: str, place: int) -> str:
    """Return the id of a call that came without one: the same for the same answer, another for each call."""
    return f"{_OWN_ID}{answer_id}-{place}" if answer_id else f"{_OWN_ID}{place}"


def is_own_id(identity: str) -> bool:
    """Return whether an id was given here."""
    return identity.startswith(_OWN_ID)


def user_parts(position: int, message: Message) -> list[JSON]:
    """Return what a user (or a tool) said as parts.

    Raises:
        InvalidRequestError: If a part cannot be sent.
    """
    if message.user_parts:
        return [_sent(position, part) for part in message.user_parts]
    if message.multi_content and not message.content:
        return [_sent(position, _modern(part)) for part in message.multi_content]
    return [{"text": message.content}]


def model_parts(position: int, message: Message) -> list[JSON]:
    """Return what the model said as parts: as they came if the message is still what they say, else from its fields.

    Raises:
        InvalidRequestError: If a part cannot be sent.
    """
    plain = _plain_parts(position, message)
    kept = message.extra.get(PARTS)
    if not isinstance(kept, list | tuple) or not all(isinstance(part, dict) for part in kept):
        return plain
    return _filled(kept, plain) or plain


def _plain_parts(position: int, message: Message) -> list[JSON]:
    """Return what the fields of an assistant message say: text, media, calls."""
    parts: list[JSON] = []
    if message.content:
        parts.append({"text": message.content})
    elif message.multi_content:
        parts += [_sent(position, _modern(part)) for part in message.multi_content]
    for part in message.assistant_parts:
        if isinstance(part, TextPart):
            if not message.content and part.text:
                parts.append({"text": part.text})
        elif not isinstance(part, ReasoningPart):  # thoughts go back only with a signature, see `PARTS`
            parts.append(_sent(position, part))
    return parts + [_call(position, call) for call in message.tool_calls]


def skeleton(parts: Sequence[JSON]) -> list[JSON]:
    """Return what goes under `PARTS` for an answer of `parts`: nothing if the fields of its message say it all.

    Thoughts without a signature are left out: they are in `reasoning_content`, and the service does not want them.
    """
    kept = _joined([emptied(part) for part in parts if not part.get("thought") or part.get("thoughtSignature")])
    return [] if _is_plain(kept) else kept


def _is_plain(kept: Sequence[JSON]) -> bool:
    """Return whether parts are one text, then media, then calls, and nothing else: what `_plain_parts` makes."""
    ranks = [_rank(part) for part in kept]
    return -1 not in ranks and ranks == sorted(ranks)


def _is_plain_text(part: JSON) -> bool:
    return part.keys() == {"text"} and isinstance(part["text"], str)


def _rank(part: JSON) -> int:
    if _is_plain_text(part):
        return 0
    if part.keys() - {"thoughtSignature"} == {"inlineData"}:
        return 1 if part["inlineData"] == {} else -1
    if part.keys() - {"thoughtSignature"} == {"functionCall"}:
        return 2 if part["functionCall"] == {} else -1
    return -1


def _joined(parts: Sequence[JSON]) -> list[JSON]:
    """Join neighbouring texts that carry nothing else; a signature belongs to the part that it came with."""
    joined: list[JSON] = []
    texts: list[str] = []
    for part in [*parts, None]:
        if part is not None and _is_plain_text(part):
            texts.append(part["text"])
            continue
        if any(texts):
            joined.append({"text": "".join(texts)})
        texts = []
        if part:
            joined.append(part)
    return joined


def emptied(part: JSON) -> JSON:
    """Return a part without what the message's own fields hold."""
    for name, fields in _ELSEWHERE.items():
        inner = part.get(name)
        if isinstance(inner, dict) and (name != "inlineData" or is_media(part)):
            return part | {name: {key: value for key, value in inner.items() if key not in fields}}
    return part


_ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "functionCall": ("id", "name", "args"),
    "inlineData": ("mimeType", "data"),
}
"""What of a part is in the message's own fields: its calls, and its media."""


def is_media(part: JSON) -> bool:
    """Return whether a part of an answer is an image, audio or a video, and none that the model only thought of."""
    inline = part.get("inlineData")
    kind = inline.get("mimeType") if isinstance(inline, dict) else None
    return isinstance(kind, str) and kind.partition("/")[0] in ("image", "audio", "video") and not part.get("thought")


def _filled(kept: Sequence[JSON], plain: Sequence[JSON]) -> list[JSON]:
    """Return the kept parts with the calls and media of the message; nothing if it is no longer what they say."""
    left = {name: [part for part in plain if name in part] for name in _ELSEWHERE}
    filled: list[JSON] = []
    for part in kept:
        name = next((name for name in _ELSEWHERE if isinstance(part.get(name), dict)), "")
        if not name or "data" in part[name]:
            filled.append(part)
        elif left[name]:
            own = left[name].pop(0)
            filled.append({**part, **own, name: {**part[name], **own[name]}})
        else:
            return []
    said = "".join(part["text"] for part in plain if "text" in part)
    kept_text = "".join(part["text"] for part in kept if isinstance(part.get("text"), str) and not part.get("thought"))
    return [] if any(left.values()) or kept_text != said else filled


def _call(position: int, call: ToolCall) -> JSON:
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except msgspec.DecodeError as error:
        raise InvalidRequestError(
            f"message {position} calls {call.name!r} with arguments that are no JSON: {call.arguments[:100]!r}; "
            "repair them or leave the message out"
        ) from error
    if not isinstance(arguments, dict):
        raise InvalidRequestError(
            f"message {position} calls {call.name!r} with arguments that are no JSON object: {call.arguments[:100]!r}"
        )
    identity = {} if not call.id or is_own_id(call.id) else {"id": call.id}
    part: JSON = {"functionCall": {**identity, "name": call.name, "args": arguments}}
    signature = call.extra.get(THOUGHT_SIGNATURE)
    return part | {"thoughtSignature": signature} if signature else part


def _sent(position: int, part: UserPart) -> JSON:
    fields = part.extra.get(PART_FIELDS, {})
    if isinstance(part, TextPart):
        return {"text": part.text, **fields}
    if isinstance(part, ToolSearchResultPart):
        raise _cannot_send(position, part, "this protocol has no tool search")
    signature = part.extra.get(THOUGHT_SIGNATURE)
    signed = {"thoughtSignature": signature} if signature else {}
    return {**_data(position, part, part.media), **signed, **fields}


def _data(position: int, part: MediaPart, media: Media) -> JSON:
    """Return media as inline data, or as the address of a file that the service fetches or holds."""
    if media.base64_data is not None and not media.url:
        return {"inlineData": {"mimeType": media.mime_type or _DEFAULT_TYPES[type(part)], "data": media.base64_data}}
    if not media.url:
        raise _cannot_send(position, part, "it has neither url nor base64_data")
    head, comma, data = media.url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        named = head[len("data:") : -len(";base64")]
        return {"inlineData": {"mimeType": media.mime_type or named or _DEFAULT_TYPES[type(part)], "data": data}}
    kind = media.mime_type or mimetypes.guess_type(urlsplit(media.url).path)[0]
    return {"fileData": {**({"mimeType": kind} if kind else {}), "fileUri": media.url}}


def _modern(part: ChatMessagePart) -> UserPart:
    """Return a part of the deprecated `multi_content` as one of today's."""
    if part.image_url is not None:
        return ImagePart(image=ImageMedia(url=_url(part.image_url), mime_type=part.image_url.mime_type))
    if part.audio_url is not None:
        return AudioPart(audio=Media(url=_url(part.audio_url), mime_type=part.audio_url.mime_type))
    if part.video_url is not None:
        return VideoPart(video=Media(url=_url(part.video_url), mime_type=part.video_url.mime_type))
    if part.file_url is not None:
        file = part.file_url
        return FilePart(file=FileMedia(url=file.url or file.uri, mime_type=file.mime_type, name=file.name))
    return TextPart(part.text)


def _url(media: ChatMessageMedia) -> str:
    return media.url or media.uri


def _cannot_send(position: int, part: UserPart, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"message {position} has {part!r}, which cannot be sent: {why}")
