"""Templates of messages: what is rendered, what is left alone, and that the template never changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from eino.errors import TemplateError
from eino.schema import (
    AudioPart,
    ChatMessageFile,
    ChatMessageMedia,
    ChatMessagePart,
    FileMedia,
    FilePart,
    ImageMedia,
    ImagePart,
    Media,
    Message,
    MessagesPlaceholder,
    MessagesTemplate,
    MessageTemplate,
    TextPart,
    ToolInfo,
    ToolSearchResult,
    ToolSearchResultPart,
    VideoPart,
    assistant_message,
    format_messages,
    messages_placeholder,
    system_message,
    tool_call,
    user_message,
)

VARIABLES: dict[str, object] = {"name": "Ada", "url": "https://x/y.png", "data": "QUJD"}


def test_contents_are_rendered_in_order() -> None:
    made = format_messages([system_message("You are {name}."), user_message("Hi {name}")], VARIABLES)

    assert made == [system_message("You are Ada."), user_message("Hi Ada")]


def test_texts_urls_and_base64_data_of_user_parts_are_rendered() -> None:
    parts = (
        TextPart(text="see {name}", extra={"k": "{name}"}),
        ImagePart(image=ImageMedia(url="{url}", mime_type="{name}", detail="high")),
        AudioPart(audio=Media(base64_data="{data}")),
        VideoPart(video=Media(url="{url}", base64_data="{data}")),
        FilePart(file=FileMedia(url="{url}", name="{name}")),
        ToolSearchResultPart(tool_search_result=ToolSearchResult(tools=(ToolInfo(name="{name}"),))),
    )

    made = format_messages([user_message(parts)], VARIABLES)

    assert made[0].user_parts == (
        TextPart(text="see Ada", extra={"k": "{name}"}),
        ImagePart(image=ImageMedia(url="https://x/y.png", mime_type="{name}", detail="high")),
        AudioPart(audio=Media(base64_data="QUJD")),
        VideoPart(video=Media(url="https://x/y.png", base64_data="QUJD")),
        FilePart(file=FileMedia(url="https://x/y.png", name="{name}")),
        parts[5],
    )


def test_texts_and_urls_of_the_deprecated_parts_are_rendered() -> None:
    parts = (
        ChatMessagePart(type="text", text="{name}"),
        ChatMessagePart(type="image_url", image_url=ChatMessageMedia(url="{url}", uri="{name}")),
        ChatMessagePart(type="audio_url", audio_url=ChatMessageMedia(url="{url}")),
        ChatMessagePart(type="video_url", video_url=ChatMessageMedia(url="{url}")),
        ChatMessagePart(type="file_url", file_url=ChatMessageFile(url="{url}", name="{name}")),
    )

    made = format_messages([Message(role="user", content="", multi_content=parts)], VARIABLES)

    assert made[0].multi_content == (
        ChatMessagePart(type="text", text="Ada"),
        ChatMessagePart(type="image_url", image_url=ChatMessageMedia(url="https://x/y.png", uri="{name}")),
        ChatMessagePart(type="audio_url", audio_url=ChatMessageMedia(url="https://x/y.png")),
        ChatMessagePart(type="video_url", video_url=ChatMessageMedia(url="https://x/y.png")),
        ChatMessagePart(type="file_url", file_url=ChatMessageFile(url="https://x/y.png", name="{name}")),
    )


def test_everything_else_of_a_message_stays() -> None:
    message = assistant_message(
        (TextPart(text="{name}"),),
        [tool_call("{name}", "{name}", id="{name}")],
        name="{name}",
        reasoning_content="{name}",
        extra={"k": "{name}"},
    )

    assert format_messages([message], VARIABLES) == [message]


def test_each_rendering_is_a_new_message_and_the_template_stays() -> None:
    """D6: the original writes the first rendering into the template's media."""
    message = user_message((ImagePart(image=ImageMedia(url="{url}")),))
    template = MessageTemplate(message)

    first = template.format({"url": "one"})
    second = template.format({"url": "two"})

    assert [made[0].user_parts[0].image.url for made in (first, second)] == ["one", "two"]  # type: ignore[union-attr]
    assert message == user_message((ImagePart(image=ImageMedia(url="{url}")),))
    plain = system_message("no field")
    assert format_messages([plain], {})[0] is not plain


@pytest.mark.parametrize(("syntax", "source"), [("fstring", "{name"), ("jinja2", "{% if %}"), ("go", "{{if}}")])
def test_a_text_that_is_not_well_formed_is_found_when_the_template_is_made(syntax: str, source: str) -> None:
    with pytest.raises(TemplateError):
        MessageTemplate(user_message([source]), syntax)  # type: ignore[arg-type]


def test_a_placeholder_gives_a_new_list_of_the_same_messages() -> None:
    history = [user_message("{not a field}"), assistant_message("b")]

    made = messages_placeholder("history").format({"history": history})

    assert made == history
    assert made is not history
    assert messages_placeholder("history").format({"history": tuple(history)}) == history


def test_an_optional_placeholder_may_be_missing_or_empty() -> None:
    assert messages_placeholder("history", optional=True).format({}) == []
    assert messages_placeholder("history").format({"history": []}) == []


def test_a_missing_placeholder_is_named() -> None:
    with pytest.raises(TemplateError, match="message placeholder format: history not found; the variables are"):
        messages_placeholder("history").format({"other": 1})


@pytest.mark.parametrize(
    ("value", "actual"),
    [
        ("text", "str"),
        (None, "NoneType"),
        (user_message("alone"), "Message"),
        ([user_message("a"), "b"], r"list\[Message, str\]"),
        ([None], r"list\[NoneType\]"),
        ({"a": 1}, "dict"),
    ],
)
def test_a_placeholder_takes_messages_only(value: object, actual: str) -> None:
    message = f"only messages can be used to format message placeholder, key: history, actual type: {actual};"

    with pytest.raises(TemplateError, match=message):
        messages_placeholder("history", optional=True).format({"history": value})


def test_own_classes_stand_beside_messages_and_learn_the_format() -> None:
    class Shout:
        def format(self, variables: Mapping[str, object], syntax: str, /) -> list[Message]:
            return [user_message(f"{syntax}: {str(variables['name']).upper()}")]

    assert isinstance(Shout(), MessagesTemplate)
    assert isinstance(MessagesPlaceholder("x"), MessagesTemplate)
    made = format_messages([system_message("{{.name}}"), Shout()], VARIABLES, "go")
    assert made == [system_message("Ada"), user_message("go: ADA")]
