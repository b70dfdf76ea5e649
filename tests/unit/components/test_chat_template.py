"""The chat template component: parsed once, never changed, types that a graph can read."""

from __future__ import annotations

import typing

import pytest

from eino.components import ChatTemplate, type_name
from eino.errors import BuildError, TemplateError
from eino.schema import (
    ImageMedia,
    ImagePart,
    Message,
    assistant_message,
    messages_placeholder,
    system_message,
    user_message,
)


async def test_makes_messages_from_variables() -> None:
    template = ChatTemplate.from_messages(
        system_message("You are {role}."), messages_placeholder("history", optional=True), user_message("{question}")
    )
    history = [user_message("a"), assistant_message("b")]

    assert await template.format({"role": "a poet", "question": "Why?"}) == [
        system_message("You are a poet."),
        user_message("Why?"),
    ]
    assert await template.format({"role": "x", "question": "y", "history": history}) == [
        system_message("You are x."),
        *history,
        user_message("y"),
    ]


async def test_renderings_do_not_influence_each_other() -> None:
    """D6: a template with media renders each call afresh."""
    template = ChatTemplate.from_messages(user_message((ImagePart(image=ImageMedia(url="https://h/{name}.png")),)))

    made = [await template.format({"name": name}) for name in ("a", "b")]

    assert [typing.cast("ImagePart", each[0].user_parts[0]).image.url for each in made] == [
        "https://h/a.png",
        "https://h/b.png",
    ]


@pytest.mark.parametrize(
    ("syntax", "source"), [("fstring", "{x}"), ("jinja2", "{{ x }}"), ("go", "{{.x}}")], ids=["fstring", "jinja2", "go"]
)
async def test_all_formats(syntax: typing.Literal["fstring", "jinja2", "go"], source: str) -> None:
    template = ChatTemplate.from_messages(user_message(source), format=syntax)

    assert await template.format({"x": 1}) == template.render({"x": 1}) == [user_message("1")]


async def test_a_missing_variable_is_named() -> None:
    with pytest.raises(TemplateError, match="could not find key: question"):
        await ChatTemplate.from_messages(user_message("{question}")).format({})


def test_a_text_that_is_not_well_formed_is_found_when_the_template_is_made() -> None:
    with pytest.raises(TemplateError, match=r"Single '\{'"):
        ChatTemplate.from_messages(user_message("{question"))
    with pytest.raises(TemplateError, match="unknown format type: 'f'"):
        ChatTemplate.from_messages(user_message("x"), format="f")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["a text", None, 5, ("system", "text")])
def test_what_is_no_template_of_messages_is_refused(wrong: object) -> None:
    with pytest.raises(BuildError, match="template 1 must be a message, a placeholder or have a format method"):
        ChatTemplate.from_messages(user_message("x"), wrong)  # type: ignore[arg-type]


def test_types_are_readable_for_a_graph() -> None:
    hints = typing.get_type_hints(ChatTemplate.format)

    assert hints == {"variables": dict[str, object], "return": list[Message]}
    assert type_name(ChatTemplate.from_messages()) == "Default"
