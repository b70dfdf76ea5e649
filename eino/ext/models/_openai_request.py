"""Messages and options as the body of a chat completions request. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, assert_never

from eino.components.model import ModelOptions
from eino.errors import InvalidRequestError
from eino.ext.models._openai_answer import REFUSAL
from eino.ext.models._openai_reasoning import REASONING_DETAILS
from eino.ext.models._tool_choice import allowed_names, choice_among
from eino.schema.message import Message
from eino.schema.parts import (
    AssistantPart,
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
from eino.schema.tool import ToolCall, ToolInfo

__all__ = ["Dialect", "modern_part", "request_body"]

JSON: TypeAlias = dict[str, Any]

_PLAIN: Final = ("model", "temperature", "top_p")
"""Options that the request spells as `ModelOptions` does."""
_AUDIO_FORMATS: Final[Mapping[str, str]] = {"x-wav": "wav", "wave": "wav", "mpeg": "mp3", "mpga": "mp3"}
"""Names of formats by the second half of a media type, where they differ."""


@dataclass(frozen=True)
class Dialect:
    """In what servers that speak this protocol differ."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_completion_tokens"
    """What the limit of the answer is called."""
    reasoning_field: str | None = None
    """Under which name an assistant's reasoning is sent back; None: it is not. `"reasoning_details"`: its blocks."""
    include_usage: bool = True
    """Whether a stream is asked to end with the usage."""


def request_body(messages: Sequence[Message], options: ModelOptions, dialect: Dialect, *, stream: bool) -> JSON:
    """Return the body of the request.

    Raises:
        InvalidRequestError: If a message or an option cannot be expressed.
    """
    given = options.wanted()
    body: JSON = {name: given[name] for name in _PLAIN if name in given}
    body["messages"] = [_message(position, message, dialect) for position, message in enumerate(messages)]
    if "max_tokens" in given:
        body[dialect.max_tokens_field] = given["max_tokens"]
    if given.get("stop"):
        body["stop"] = list(given["stop"])
    if "response_format" in given:
        body["response_format"] = dict(given["response_format"])
    body |= _tools(options)
    if stream:
        body["stream"] = True
        if dialect.include_usage:
            body["stream_options"] = {"include_usage": True}
    return body | _extra_fields(given.get("extra_fields", {}))


def _extra_fields(fields: Mapping[str, Any]) -> JSON:
    if fields.get("n", 1) != 1:
        raise InvalidRequestError(f"extra_fields asks for n={fields['n']!r} answers, but a chat model returns one")
    for name in ("messages", "stream"):
        if name in fields:
            raise InvalidRequestError(f"extra_fields must not hold {name!r}: it is set by the call itself")
    return dict(fields)


def _tools(options: ModelOptions) -> JSON:
    tools = options.offered_tools
    allowed = allowed_names(options, tools)
    choice = choice_among(options, tools)
    if not tools:
        return {}
    body: JSON = {"tools": [_tool(tool) for tool in tools]}
    if choice is not None or allowed:
        body["tool_choice"] = _tool_choice(choice, allowed, tools)
    return body


def _tool_choice(choice: str | None, allowed: list[str], tools: Sequence[ToolInfo]) -> str | JSON:
    if choice == "forbidden":
        return "none"
    candidates = allowed or [tool.name for tool in tools]
    if choice == "forced" and len(candidates) == 1:
        return {"type": "function", "function": {"name": candidates[0]}}
    mode = "required" if choice == "forced" else "auto"
    if not allowed:
        return mode
    functions = [{"type": "function", "function": {"name": name}} for name in allowed]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": functions}}


def _tool(tool: ToolInfo) -> JSON:
    function: JSON = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if "strict" in tool.extra:
        function["strict"] = tool.extra["strict"]
    return {"type": "function", "function": function}


def _message(position: int, message: Message, dialect: Dialect) -> JSON:
    match message.role:
        case "system" | "user":
            body: JSON = {"role": message.role, "content": _content(position, message)}
        case "assistant":
            body = _assistant(position, message, dialect)
        case "tool":
            body = {"role": "tool", "content": _content(position, message), "tool_call_id": message.tool_call_id}
        case _:
            raise InvalidRequestError(
                f"message {position} has the role {message.role!r}; it must be 'system', 'user', 'assistant' or 'tool'"
            )
    if message.name and message.role != "tool":
        body["name"] = message.name
    return body


def _assistant(position: int, message: Message, dialect: Dialect) -> JSON:
    body: JSON = {"role": "assistant"}
    content = message.content or _said(position, message.assistant_parts) or _content(position, message)
    if message.tool_calls:
        body["content"] = content or None
        body["tool_calls"] = [_call(call) for call in message.tool_calls]
    else:
        body["content"] = content
    for part in message.assistant_parts:
        if isinstance(part, AudioPart) and (identity := part.extra.get("id")):
            body["audio"] = {"id": identity}
    if refusal := message.extra.get(REFUSAL):
        body["refusal"] = refusal
    return body | _reasoning(message, dialect)


def _reasoning(message: Message, dialect: Dialect) -> JSON:
    """Return the reasoning of an earlier answer, for servers that want it back."""
    if dialect.reasoning_field == "reasoning_details":  # OpenRouter: the blocks as they came, else their text
        if details := message.extra.get(REASONING_DETAILS):
            return {"reasoning_details": details}
        return {"reasoning": message.reasoning_content} if message.reasoning_content else {}
    # DeepSeek refuses a conversation whose tool calls come without the reasoning before them, empty as it may be.
    if dialect.reasoning_field and (message.reasoning_content or message.tool_calls):
        return {dialect.reasoning_field: message.reasoning_content}
    return {}


def _call(call: ToolCall) -> JSON:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    body: JSON = {"id": call.id, "type": call.type or "function", "function": function}
    if "extra_content" in call.extra:
        body["extra_content"] = call.extra["extra_content"]
    return body


def _said(position: int, parts: Iterable[AssistantPart]) -> str:
    """Return the text of an earlier answer; its reasoning and its audio are not sent as text."""
    texts = []
    for part in parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, ImagePart | VideoPart):
            raise _cannot_send(position, part, "an assistant message holds text and tool calls")
    return "".join(texts)


def _content(position: int, message: Message) -> str | list[JSON]:
    if message.user_parts:
        return [_part(position, part) for part in message.user_parts]
    if message.multi_content and not message.content:
        return [_part(position, modern_part(part)) for part in message.multi_content]
    return message.content


def _part(position: int, part: UserPart) -> JSON:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            image = {"url": _address(position, part, part.image, "image/png")}
            detail = {"detail": part.image.detail} if part.image.detail else {}
            return {"type": "image_url", "image_url": image | detail}
        case AudioPart():
            return {"type": "input_audio", "input_audio": _audio(position, part)}
        case VideoPart():
            return {"type": "video_url", "video_url": {"url": _address(position, part, part.video, "video/mp4")}}
        case FilePart():
            data = _address(position, part, part.file, "application/pdf")
            return {"type": "file", "file": {"filename": part.file.name or "file", "file_data": data}}
        case ToolSearchResultPart():
            raise _cannot_send(position, part, "this protocol has no tool search")
        case _:
            assert_never(part)


def _address(position: int, part: UserPart, media: Media, default_type: str) -> str:
    """Return the address of media: its own, or a data URL."""
    if media.base64_data is not None and not media.url:
        return f"data:{media.mime_type or default_type};base64,{media.base64_data}"
    if not media.url:
        raise _cannot_send(position, part, "it has neither url nor base64_data")
    return media.url


def _audio(position: int, part: AudioPart) -> JSON:
    if part.audio.base64_data is None:
        raise _cannot_send(position, part, "audio goes as base64_data, not by url")
    kind = part.audio.mime_type.rpartition("/")[2] or "wav"
    return {"data": part.audio.base64_data, "format": _AUDIO_FORMATS.get(kind, kind)}


def modern_part(part: ChatMessagePart) -> UserPart:
    """Return a part of the deprecated `multi_content` as one of today's."""
    if part.image_url is not None:
        detail, image = part.image_url.detail, part.image_url
        return ImagePart(image=ImageMedia(url=_url(image), mime_type=image.mime_type, detail=detail))
    if part.audio_url is not None:
        return AudioPart(audio=_media(part.audio_url))
    if part.video_url is not None:
        return VideoPart(video=_media(part.video_url))
    if part.file_url is not None:
        file = part.file_url
        return FilePart(file=FileMedia(url=file.url or file.uri, mime_type=file.mime_type, name=file.name))
    return TextPart(part.text)


def _media(media: ChatMessageMedia) -> Media:
    return Media(url=_url(media), mime_type=media.mime_type)


def _url(media: ChatMessageMedia) -> str:
    return media.url or media.uri


def _cannot_send(position: int, part: UserPart | ReasoningPart, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"message {position} has {part!r}, which cannot be sent: {why}")
