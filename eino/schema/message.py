"""Messages: what users, models and tools say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from eino.schema._value import Value
from eino.schema.parts import AssistantPart, ChatMessagePart, TextPart, UserPart
from eino.schema.tool import ToolCall
from eino.schema.usage import ResponseMeta

__all__ = [
    "Message",
    "MessageRole",
    "Role",
    "assistant_message",
    "system_message",
    "tool_message",
    "user_message",
]

Role = Literal["assistant", "user", "system", "tool"]
"""Who says a message."""

MessageRole: TypeAlias = Role | Literal[""]
"""A role, or nothing in a chunk of a stream whose first chunk named it."""

ROLES: Final[tuple[str, ...]] = get_args(Role)


class Message(Value, frozen=True, kw_only=True):
    """One message of a conversation, or one chunk of a message that streams in.

    The JSON form is the Go original's: `role` and `content` always, everything else when not empty. `str()` gives a
    readable dump, `repr` a short one without long texts and free-form data. Chunks are joined by `concat_messages`.
    """

    role: MessageRole
    content: str
    multi_content: tuple[ChatMessagePart, ...] = ()
    """Deprecated; kept so that old conversations load. Use `user_parts` and `assistant_parts`."""
    user_parts: tuple[UserPart, ...] = msgspec.field(default=(), name="user_input_multi_content")
    """Multimodal input; models read it instead of `content` when it is not empty."""
    assistant_parts: tuple[AssistantPart, ...] = msgspec.field(default=(), name="assistant_output_multi_content")
    """Multimodal output, in order."""
    name: str = ""
    """Tells speakers with the same role apart."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The calls that an assistant asks for."""
    tool_call_id: str = ""
    """The call that a tool message answers."""
    tool_name: str = ""
    """The tool that a tool message comes from."""
    response_meta: ResponseMeta | None = None
    reasoning_content: str = ""
    """What the model thought before it answered."""
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    """Provider-specific entries."""

    def __str__(self) -> str:
        from eino.schema._message_text import message_text

        return message_text(self)


def system_message(content: str, *, name: str = "", extra: Mapping[str, Any] | None = None) -> Message:
    """Return a message with the role `system`.

    Raises:
        TypeError: If the content is not a string.
    """
    return Message(role="system", content=_text("system", content), name=name, extra=_extra(extra))


def user_message(
    content: str | Sequence[str | UserPart] = "", *, name: str = "", extra: Mapping[str, Any] | None = None
) -> Message:
    """Return a message with the role `user`; a sequence of texts and parts makes it multimodal.

    Raises:
        TypeError: If the content is neither a string nor a sequence of strings and user parts.
    """
    if isinstance(content, str):
        return Message(role="user", content=content, name=name, extra=_extra(extra))
    parts = _parts("user", content, get_args(UserPart))
    return Message(role="user", content="", user_parts=parts, name=name, extra=_extra(extra))


def assistant_message(
    content: str | Sequence[str | AssistantPart] = "",
    tool_calls: Sequence[ToolCall] = (),
    *,
    name: str = "",
    reasoning_content: str = "",
    response_meta: ResponseMeta | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Message:
    """Return a message with the role `assistant`; a sequence of texts and parts makes it multimodal.

    Raises:
        TypeError: If the content is neither a string nor a sequence of strings and assistant parts, or a tool call
            is not a `ToolCall`.
    """
    text = content if isinstance(content, str) else ""
    parts = () if isinstance(content, str) else _parts("assistant", content, get_args(AssistantPart))
    calls = tuple(tool_calls)
    for position, call in enumerate(calls):
        if not isinstance(call, ToolCall):
            raise TypeError(f"tool call {position} must be a ToolCall (see tool_call()), got {call!r}")
    return Message(
        role="assistant",
        content=text,
        assistant_parts=parts,
        name=name,
        tool_calls=calls,
        reasoning_content=reasoning_content,
        response_meta=response_meta,
        extra=_extra(extra),
    )


def tool_message(
    content: str | Sequence[str | UserPart],
    tool_call_id: str,
    *,
    tool_name: str = "",
    extra: Mapping[str, Any] | None = None,
) -> Message:
    """Return a message with the role `tool` that answers the call `tool_call_id`; parts make it multimodal.

    Raises:
        TypeError: If the content is neither a string nor a sequence of strings and user parts, or the id no string.
    """
    if not isinstance(tool_call_id, str):
        raise TypeError(f"tool_call_id must be a string, got {tool_call_id!r}")
    text = content if isinstance(content, str) else ""
    parts = () if isinstance(content, str) else _parts("tool", content, get_args(UserPart))
    return Message(
        role="tool", content=text, user_parts=parts, tool_call_id=tool_call_id, tool_name=tool_name, extra=_extra(extra)
    )


def _text(role: str, content: object) -> str:
    if not isinstance(content, str):
        raise TypeError(f"the content of a {role} message must be a string, got {content!r}")
    return content


def _extra(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    if extra is None:
        return {}
    if not isinstance(extra, Mapping):
        raise TypeError(f"extra must be a mapping, got {extra!r}")
    return dict(extra)


def _parts(role: str, content: object, allowed: tuple[type, ...]) -> tuple[Any, ...]:
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        raise TypeError(f"the content of a {role} message must be a string or a sequence of parts, got {content!r}")
    parts = tuple(TextPart(part) if isinstance(part, str) else part for part in content)
    for position, part in enumerate(parts):
        if not isinstance(part, allowed):
            names = ", ".join(kind.__name__ for kind in allowed)
            raise TypeError(f"part {position} of the {role} message must be a string or one of {names}; got {part!r}")
    return parts
