"""Chat templates: what makes the messages for a model from variables."""

from __future__ import annotations

from typing import Self

from eino.errors import BuildError
from eino.schema.message import Message
from eino.schema.template import MessagesTemplate, MessageTemplate, TemplateFormat

__all__ = ["ChatTemplate"]


class ChatTemplate:
    """Makes messages from variables. It is parsed once, never changed, and safe to share.

    template = ChatTemplate.from_messages(
        system_message("You are {role}."), messages_placeholder("history", optional=True), user_message("{question}")
    )
    messages = await template.format({"role": "a poet", "question": "Why is the sky blue?"})

    Of a message the content and the texts, URLs and Base64 data of its user parts are templates. See
    `eino.schema.template` for what templates may do.
    """

    type_name = "Default"
    """What callbacks show as the type."""

    __slots__ = ("_format", "_templates")

    def __init__(self, templates: tuple[MessagesTemplate, ...], format: TemplateFormat) -> None:  # noqa: A002 - the term
        """Take what is parsed already; `from_messages` is the usual way."""
        self._templates = templates
        self._format = format

    @classmethod
    def from_messages(
        cls,
        *templates: Message | MessagesTemplate,
        format: TemplateFormat = "fstring",  # noqa: A002 - the term
    ) -> Self:
        """Return a template of these messages, placeholders and other templates of messages, in order.

        Args:
            templates: What makes the messages.
            format: How the texts are written: `{x}` (`"fstring"`), `{{ x }}` (`"jinja2"`) or `{{.x}}` (`"go"`).

        Raises:
            BuildError: If one is no template of messages.
            TemplateError: If a text is not well formed, or uses what is disabled or not supported in its format.
        """
        return cls(tuple(_parsed(position, each, format) for position, each in enumerate(templates)), format)

    async def format(self, variables: dict[str, object]) -> list[Message]:
        """Return new messages with `variables` filled in; see `render` for code that does not await.

        Raises:
            TemplateError: If a variable is missing, refused or does not fit.
        """
        return self.render(variables)

    def render(self, variables: dict[str, object]) -> list[Message]:
        """Return what `format` does, without a coroutine.

        Raises:
            TemplateError: If a variable is missing, refused or does not fit.
        """
        return [message for each in self._templates for message in each.format(variables, self._format)]


def _parsed(position: int, template: object, syntax: TemplateFormat) -> MessagesTemplate:
    if isinstance(template, Message):
        return MessageTemplate(template, syntax)
    if isinstance(template, str) or not isinstance(template, MessagesTemplate):
        raise BuildError(
            f"template {position} must be a message, a placeholder or have a format method, got {template!r:.100};"
            " make a message with user_message(...) or system_message(...)"
        )
    return template
