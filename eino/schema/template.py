"""Templates of messages: texts with fields that are filled from variables, in f-string style, Jinja2 or Go.

Templates read data and do nothing else: no attribute of an object is reached unless its class declares it as a field,
nothing that a variable holds is called, no file or other template is included, and what one rendering may produce is
bounded. A template from a source that is not trusted can therefore print what is in its variables, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, assert_never, get_args, runtime_checkable

import msgspec

from eino.errors import TemplateError
from eino.schema.message import Message
from eino.schema.parts import ChatMessagePart, TextPart, ToolSearchResultPart, UserPart

__all__ = [
    "MessageTemplate",
    "MessagesPlaceholder",
    "MessagesTemplate",
    "TemplateFormat",
    "TextTemplate",
    "format_messages",
    "format_text",
    "messages_placeholder",
    "parse_template",
]

TemplateFormat = Literal["fstring", "jinja2", "go"]
"""How a template is written: `{name}`, `{{ name }}` or `{{.name}}`."""

_MAX_SHOWN = 100


class TextTemplate(Protocol):
    """A text whose fields are known, ready to be rendered again and again; safe to share."""

    def render(self, variables: Mapping[str, object]) -> str:
        """Return the text with each field replaced by its value.

        Raises:
            TemplateError: If a variable is missing, refused or does not fit.
        """
        ...


@runtime_checkable
class MessagesTemplate(Protocol):
    """Makes messages from variables. Messages, placeholders and user-defined classes stand side by side in a prompt."""

    def format(self, variables: Mapping[str, object], syntax: TemplateFormat, /) -> list[Message]:
        """Return new messages; `variables` is not changed. `syntax` is how the texts of the prompt are written.

        Raises:
            TemplateError: If a variable is missing or does not fit.
        """
        ...


def parse_template(source: str, format: TemplateFormat = "fstring") -> TextTemplate:  # noqa: A002 - the term
    """Return the template that `source` spells.

    Raises:
        TemplateError: If it is not well formed, or uses what is disabled or not supported in its format.
    """
    if not isinstance(source, str):
        raise TemplateError(f"a template must be a string, got {source!r:.{_MAX_SHOWN}}")
    if not any(mark in source for mark in _marks(format)):
        return _Constant(source)
    match format:
        case "fstring":
            from eino.schema._templates.fstring import FStringTemplate

            return FStringTemplate(source)
        case "jinja2":
            from eino.schema._templates.jinja import JinjaTemplate

            return JinjaTemplate(source)
        case "go":
            from eino.schema._templates.go import GoTemplate

            return GoTemplate(source)
        case _:
            assert_never(format)


def format_text(source: str, variables: Mapping[str, object], format: TemplateFormat = "fstring") -> str:  # noqa: A002 - the term
    """Return `source` with its fields filled from `variables`.

    Raises:
        TemplateError: If the template is not well formed, or a variable is missing, refused or does not fit.
    """
    return parse_template(source, format).render(variables)


def format_messages(
    templates: Sequence[Message | MessagesTemplate],
    variables: Mapping[str, object],
    format: TemplateFormat = "fstring",  # noqa: A002 - the term
) -> list[Message]:
    """Return the messages that `templates` make from `variables`, in order. The templates are not changed.

    Parses each template; `eino.components.ChatTemplate` does that once.

    Raises:
        TemplateError: If a template is not well formed, or a variable is missing, refused or does not fit.
    """
    messages: list[Message] = []
    for template in templates:
        made = MessageTemplate(template, format) if isinstance(template, Message) else template
        messages += made.format(variables, format)
    return messages


class MessageTemplate:
    """A message whose content and user parts are templates; it is parsed when it is made, and never changed.

    Rendered are `content`, the text and addresses of `multi_content`, and of `user_parts` the text, the URL and the
    Base64 data. Role, name, tool calls, assistant parts, file names and `extra` stay as they are.
    """

    __slots__ = ("_changes", "_message")

    def __init__(self, message: Message, syntax: TemplateFormat = "fstring") -> None:
        """Parse the texts of `message`.

        Raises:
            TemplateError: If one of them is not well formed.
        """
        self._message = message
        changes = {
            "content": _text(message.content, syntax),
            "multi_content": _each(message.multi_content, syntax, _legacy_part),
            "user_parts": _each(message.user_parts, syntax, _user_part),
        }
        self._changes = {name: change for name, change in changes.items() if change is not None}

    def format(self, variables: Mapping[str, object], _: TemplateFormat | None = None) -> list[Message]:
        """Return a list with the rendered message, always a new one.

        Raises:
            TemplateError: If a variable is missing, refused or does not fit.
        """
        return [_changed(self._message, self._changes, variables)]


class MessagesPlaceholder(msgspec.Struct, frozen=True):
    """Stands for messages that come with the variables, such as the conversation so far."""

    key: str
    """Name of the variable: a sequence of messages."""
    optional: bool = False
    """Whether the variable may be missing; then there are no messages."""

    def format(self, variables: Mapping[str, object], _: TemplateFormat | None = None) -> list[Message]:
        """Return the messages of the variable, as a new list of the same messages.

        Raises:
            TemplateError: If the variable is missing and not optional, or holds something else than messages.
        """
        if self.key not in variables:
            if self.optional:
                return []
            raise TemplateError(
                f"message placeholder format: {self.key} not found; the variables are {sorted(variables)!r};"
                " pass it, or make the placeholder optional"
            )
        return _messages(self.key, variables[self.key])


def messages_placeholder(key: str, optional: bool = False) -> MessagesPlaceholder:
    """Return a placeholder for the messages in the variable `key`; if `optional`, they may be missing."""
    return MessagesPlaceholder(key, optional)


def _messages(key: str, value: object) -> list[Message]:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        messages = [item for item in value if isinstance(item, Message)]
        if len(messages) == len(value):
            return messages
    raise TemplateError(
        f"only messages can be used to format message placeholder, key: {key}, actual type: {_type_text(value)};"
        " pass a list of Message"
    )


def _type_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}[{', '.join(sorted({type(item).__name__ for item in value}))}]"
    return type(value).__name__


class _Constant(msgspec.Struct, frozen=True):
    """A text without fields."""

    text: str

    def render(self, variables: Mapping[str, object]) -> str:
        return self.text


def _marks(syntax: TemplateFormat) -> tuple[str, ...]:
    """Return what a text must contain to be more than a constant."""
    match syntax:
        case "fstring":
            return ("{", "}")
        case "jinja2":
            return ("{{", "{%", "{#")
        case "go":
            return ("{{",)
        case _:
            raise TemplateError(f"unknown format type: {syntax!r}; use one of {', '.join(get_args(TemplateFormat))}")


# A change says how one field is rendered; None means that the field stays as it is.

V = TypeVar("V")
_Change = Callable[[Mapping[str, object]], object]


def _changed(value: V, changes: Mapping[str, _Change], variables: Mapping[str, object]) -> V:
    replace: Callable[..., V] = value.replace  # type: ignore[attr-defined]  # messages, parts and media have it
    return replace(**{name: change(variables) for name, change in changes.items()})


def _text(source: str | None, syntax: TemplateFormat) -> _Change | None:
    """None and the empty string stay what they are: set, but empty, is not the same as not set."""
    if not source:
        return None
    template = parse_template(source, syntax)
    return None if isinstance(template, _Constant) else template.render


def _fields(value: Any, syntax: TemplateFormat, *names: str) -> _Change | None:
    """Return the change of the named text fields of a nested value."""
    if value is None:
        return None
    found = {name: _text(getattr(value, name), syntax) for name in names}
    changes = {name: change for name, change in found.items() if change is not None}
    return (lambda variables: _changed(value, changes, variables)) if changes else None


def _each(
    parts: Sequence[V],
    syntax: TemplateFormat,
    part_changes: Callable[[V, TemplateFormat], Mapping[str, _Change | None]],
) -> _Change | None:
    changes = [
        {name: change for name, change in part_changes(part, syntax).items() if change is not None} for part in parts
    ]
    if not any(changes):
        return None
    return lambda variables: tuple(
        _changed(part, change, variables) for part, change in zip(parts, changes, strict=True)
    )


def _user_part(part: UserPart, syntax: TemplateFormat) -> dict[str, _Change | None]:
    if isinstance(part, TextPart):
        return {"text": _text(part.text, syntax)}
    if isinstance(part, ToolSearchResultPart):
        return {}
    name = next(field for field in ("image", "audio", "video", "file") if hasattr(part, field))
    return {name: _fields(part.media, syntax, "url", "base64_data")}


def _legacy_part(part: ChatMessagePart, syntax: TemplateFormat) -> dict[str, _Change | None]:
    media = ("image_url", "audio_url", "video_url", "file_url")
    return {
        "text": _text(part.text, syntax),
        **{name: _fields(getattr(part, name), syntax, "url") for name in media},
    }
