"""Rows of `core-scenarios.md` about templates, message parsing, tool parameters and tools."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest

from eino.components import ChatTemplate, StreamingTool, as_tool, camel_case, tool, tool_error_handler
from eino.errors import TemplateError, ToolArgumentsError
from eino.schema import (
    ImageMedia,
    ImagePart,
    JSONMessageParser,
    Message,
    ParameterInfo,
    ToolInfo,
    assistant_message,
    format_messages,
    format_text,
    messages_placeholder,
    params_from_dict,
    params_from_signature,
    system_message,
    tool_call,
    user_message,
)

SYNTAXES = [
    pytest.param("input: {question}", "fstring", id="fstring"),
    pytest.param("input: {{question}}", "jinja2", id="jinja2"),
    pytest.param("input: {{.question}}", "go", id="go"),
]


@pytest.mark.parametrize(("source", "syntax"), SYNTAXES)
async def test_s13_all_formats_give_the_same_messages(source: str, syntax: Literal["fstring", "jinja2", "go"]) -> None:
    """S13: the three formats render alike, and the placeholder returns the two messages it is given."""
    history = [user_message("how are you?"), assistant_message("I'm fine, and you?")]
    template = ChatTemplate.from_messages(messages_placeholder("chat_history"), user_message(source), format=syntax)

    made = await template.format({"question": "what's the weather today", "chat_history": history})

    assert made == [*history, user_message("input: what's the weather today")]


async def test_s13_what_a_placeholder_refuses() -> None:
    """S13 and core-semantics 1.4: a placeholder's variable is missing, or holds something else than messages."""
    template = ChatTemplate.from_messages(messages_placeholder("chat_history"))

    with pytest.raises(TemplateError, match=r"^message placeholder format: chat_history not found"):
        await template.format({})
    with pytest.raises(
        TemplateError,
        match=r"^only messages can be used to format message placeholder, key: chat_history, actual type: str",
    ):
        await template.format({"chat_history": "hello"})
    assert await ChatTemplate.from_messages(messages_placeholder("chat_history", optional=True)).format({}) == []


@pytest.mark.parametrize(("_source", "syntax"), SYNTAXES)
def test_s14_set_but_empty_stays_set_but_empty(_source: str, syntax: Literal["fstring", "jinja2", "go"]) -> None:
    """S14: an image part whose URL and Base64 data are empty texts keeps both; None stays None."""
    message = user_message((ImagePart(image=ImageMedia(url="", base64_data="")), ImagePart(image=ImageMedia())))

    made = format_messages([message], {}, syntax)[0]

    images = [part.image for part in made.user_parts if isinstance(part, ImagePart)]
    assert [(image.url, image.base64_data) for image in images] == [("", ""), (None, None)]


async def test_d6_a_template_with_media_is_not_changed_by_formatting() -> None:
    """D6: in the original the first formatting overwrites the template."""
    message = user_message((ImagePart(image=ImageMedia(url="https://h/{id}", base64_data="{data}")),))
    before = msgspec.json.encode(message)
    template = ChatTemplate.from_messages(message)

    made = [await template.format({"id": number, "data": "QUJD"}) for number in (1, 2)]

    assert [part.image.url for (each,) in made for part in each.user_parts if isinstance(part, ImagePart)] == [
        "https://h/1",
        "https://h/2",
    ]
    assert msgspec.json.encode(message) == before


@dataclasses.dataclass
class Deep:
    zz: int


def test_s16_the_parser_follows_the_key_path() -> None:
    """S16: from a tool call, key path "xx.yy", two levels down."""
    arguments = '{"id":1,"name":"test","xx":{"yy":{"zz":3}}}'
    message = assistant_message("", [tool_call("get", arguments)])

    assert JSONMessageParser(Deep, source="tool_call", key_path="xx.yy").parse(message) == Deep(zz=3)


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(ToolInfo(name="t", params={"a": ParameterInfo(type="string", required=True)}), id="params"),
        pytest.param(
            ToolInfo(name="t", json_schema=params_from_dict({"a": ParameterInfo(type="integer")})), id="schema"
        ),
        pytest.param(ToolInfo(name="t", params={}, has_params_one_of=True), id="empty params"),
        pytest.param(ToolInfo(name="t"), id="no parameters"),
    ],
)
def test_s17_a_description_survives_a_round_trip(info: ToolInfo) -> None:
    """S17: equal after JSON; an empty map of parameters stays present but empty."""
    restored = msgspec.json.decode(msgspec.json.encode(info), type=ToolInfo)

    assert restored == info
    assert restored.parameters == info.parameters
    assert (restored.parameters is None) == (not info.has_params_one_of)


async def test_s104_arguments_that_are_one_text() -> None:
    """S104: a tool that takes one text refuses the number `100`, and takes `"100"`."""
    first_two = as_tool(lambda text: text[:2], name="first_two", arguments=str)

    with pytest.raises(ToolArgumentsError, match="first_two"):
        await first_two.run("100")
    assert await first_two.run('"100"') == "10"


async def test_s104_an_error_becomes_the_answer() -> None:
    """S104: a failing tool that is wrapped answers with the text, as a stream in one piece."""

    @tool
    async def fail() -> str:
        raise ValueError("test error")

    @tool
    async def stream() -> AsyncIterator[str]:
        raise ValueError("test error")
        yield ""

    def answer(error: Exception) -> str:
        return str(error.__cause__)

    handled = tool_error_handler(stream, answer)
    assert isinstance(handled, StreamingTool)
    assert await tool_error_handler(fail, answer).run("{}") == "test error"
    assert [piece async for piece in handled.stream("{}")] == ["test error"]


@pytest.mark.parametrize(("name", "camel"), [("google_search_3", "GoogleSearch3"), ("_HTTP_HOST_", "HttpHost")])
def test_s104_the_type_name_is_camel_case(name: str, camel: str) -> None:
    """S104: snakeToCamel."""
    assert camel_case(name) == camel
    assert as_tool(lambda: "", name=name).type_name == camel


X15_VALUES: dict[str, object] = {
    "name": "Ada",
    "m": {"b": 1},
    "l": ["x"],
    "n": 42,
    "f": 0.25,
    "none": None,
    "yes": True,
    "two": 2.0,
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{name}", "Ada"),
        ("{{{name}}}", "{Ada}"),
        ("{m.b}{m[b]}{l[0]}", "11x"),
        ("{n:>5}", "   42"),
        ("{n:05d}", "00042"),
        ("{f:.2f}", "0.25"),
        ("{f:.0%}", "25%"),
        ("{n:*^7}", "**42***"),
        ("{none}", "<nil>"),
        ("{yes}", "true"),
        ("{two}", "2"),
    ],
)
def test_x15_outcomes_of_the_fstring_format(source: str, text: str) -> None:
    """X15: the table of core-semantics 1.4."""
    assert format_text(source, X15_VALUES) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{missing}", "could not find key: missing"),
        ("{ name }", "could not find key:  name "),
        ("{name!r}", "could not find key: name!r"),
        ("{name!s}", "could not find key: name!s"),
        ("{name", "Single '{' encountered in format string"),
        ("name}", "Single '}' encountered in format string"),
    ],
)
def test_x15_errors_of_the_fstring_format(source: str, message: str) -> None:
    """X15: the errors of core-semantics 1.4."""
    with pytest.raises(TemplateError) as caught:
        format_text(source, X15_VALUES)
    assert message in str(caught.value)


def test_x15_the_whole_mapping() -> None:
    """X15: `{}` and `{0}` print all variables."""
    assert format_text("{} {0}", {"a": 1}) == "map[a:1] map[a:1]"


@pytest.mark.parametrize(
    ("source", "syntax"),
    [("{x.__class__}", "fstring"), ("{{ ''.__class__ }}", "jinja2"), ("{{.x.__class__}}", "go")],
)
async def test_a26_attributes_of_objects_are_refused(source: str, syntax: Literal["fstring", "jinja2", "go"]) -> None:
    """A26 and the bad input of issue 3."""
    with pytest.raises(TemplateError, match=r"access to '__class__' .*refused"):
        await ChatTemplate.from_messages(user_message(source), format=syntax).format({"x": "text"})


def test_a26_jinja2_includes_nothing() -> None:
    """A26: no loader, and include, import, from and extends are disabled by name."""
    for keyword in ("include", "import", "extends", "from"):
        with pytest.raises(TemplateError, match=rf"keyword\[{keyword}\] has been disabled"):
            format_text("{% " + keyword + " 'x' %}", {}, "jinja2")


async def test_a24_a_signature_describes_the_tool() -> None:
    """A24: required are the parameters without default; references are inlined, objects closed."""

    @tool
    async def get_weather(city: str, unit: Literal["C", "F"] = "C") -> str:
        """Current weather.

        Args:
            city: City name.
            unit: Temperature unit.
        """
        return f"{city} {unit}"

    assert get_weather.info.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "City name."},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C", "description": "Temperature unit."},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert await get_weather.run('{"city": "Oslo"}') == "Oslo C"
    with pytest.raises(ToolArgumentsError, match=r"get_weather(.|\n)*unit: Input should be 'C' or 'F'"):
        await get_weather.run('{"city": "Oslo", "unit": "K"}')


def test_a24_named_parameters_are_sorted() -> None:
    """core-semantics 1.5: keys sorted, the required ones in sorted order; a nested object has its own list."""
    schema = params_from_dict(
        {
            "z": ParameterInfo(type="string", required=True),
            "a": ParameterInfo(
                type="object", required=True, sub_params={"k": ParameterInfo(type="null", required=True)}
            ),
            "m": ParameterInfo(type="array", elem_info=ParameterInfo(type="number")),
        }
    )

    assert list(schema["properties"]) == ["a", "m", "z"]
    assert schema["required"] == ["a", "z"]
    assert schema["properties"]["a"]["required"] == ["k"]
    assert schema["properties"]["m"]["items"]["type"] == "number"


def test_a24_a_signature_with_message_types() -> None:
    """Schema types may be parameters of tools: the JSON is the same as everywhere."""

    def forward(message: Message, note: dict[str, Any] | None = None) -> None: ...

    assert params_from_signature(forward)["required"] == ["message"]


def test_a27_messages_are_rendered_in_order() -> None:
    """core-semantics 1.7: the default template formats each template in order and appends."""
    made = format_messages(
        [system_message("{a}"), messages_placeholder("b"), user_message("{c}")], {"a": 1, "b": [], "c": 2}
    )

    assert made == [system_message("1"), user_message("2")]
