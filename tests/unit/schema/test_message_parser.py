"""Parsers that read typed values from messages."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from typing import Any

import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

from eino.errors import BuildError, MessageParseError
from eino.schema import (
    Document,
    JSONMessageParser,
    Message,
    MessageParser,
    assistant_message,
    tool_call,
    user_message,
)


class Model(pydantic.BaseModel):
    zz: int
    day: dt.date | None = None


@dataclasses.dataclass
class Data:
    zz: int


class Typed(TypedDict):
    zz: int


class Struct(msgspec.Struct):
    zz: int


@pytest.mark.parametrize(
    ("target", "value"),
    [(Model, Model(zz=3)), (Data, Data(3)), (Typed, {"zz": 3}), (Struct, Struct(3)), (dict[str, int], {"zz": 3})],
)
def test_reads_all_kinds_of_records(target: type[Any], value: object) -> None:
    assert JSONMessageParser(target).parse(assistant_message('{"zz": 3}')) == value


def test_reads_values_that_are_no_records() -> None:
    assert JSONMessageParser(int).parse(user_message("5")) == 5
    assert JSONMessageParser(list[Model]).parse(user_message('[{"zz": 1}]')) == [Model(zz=1)]


def test_reads_schema_types() -> None:
    parsed = JSONMessageParser(Document).parse(user_message('{"id": "1", "content": "x", "meta_data": {}}'))

    assert parsed == Document(id="1", content="x")


def test_reads_the_arguments_of_the_first_tool_call() -> None:
    message = assistant_message("", [tool_call("a", {"zz": 1}), tool_call("b", {"zz": 2})])

    assert JSONMessageParser(Model, source="tool_call").parse(message) == Model(zz=1)


@pytest.mark.parametrize("path", ["xx.yy", ("xx", "yy"), ["xx", "yy"]])
def test_follows_the_key_path(path: Any) -> None:
    message = user_message('{"id": 1, "xx": {"yy": {"zz": 3, "day": "2024-01-02"}}}')

    assert JSONMessageParser(Model, key_path=path).parse(message) == Model(zz=3, day=dt.date(2024, 1, 2))


def test_a_number_in_the_key_path_is_an_index_and_a_sequence_allows_dots() -> None:
    assert JSONMessageParser(int, key_path="a.1.b").parse(user_message('{"a": [0, {"b": 7}]}')) == 7
    assert JSONMessageParser(int, key_path=("a.b",)).parse(user_message('{"a.b": 7}')) == 7


def test_is_a_message_parser() -> None:
    parser: MessageParser[Model] = JSONMessageParser(Model)

    assert parser.parse(user_message('{"zz": 3}')).zz == 3


@pytest.mark.parametrize(
    ("settings", "message", "text"),
    [
        ({"source": "tool_call"}, assistant_message("{}"), "no tool call found in the message, a 'assistant' one"),
        ({}, user_message("{"), "failed to unmarshal content: Invalid JSON: EOF while parsing an object"),
        ({}, user_message(""), "failed to unmarshal content: Invalid JSON"),
        ({}, user_message('{"zz": "x"}'), "failed to unmarshal content: zz: Input should be a valid integer"),
        ({}, user_message("[" * 100_000), "failed to unmarshal content: Invalid JSON: recursion limit"),
        ({"key_path": "a"}, user_message("{"), "failed to get parse key path: 'a': the text is no JSON"),
        ({"key_path": "a"}, user_message("[" * 100_000), "failed to get parse key path: 'a': the text is no JSON"),
        ({"key_path": "a.b"}, user_message('{"a": {"c": 1}}'), "'a.b': there is no key 'b', only ['c']"),
        ({"key_path": "a.0"}, user_message('{"a": []}'), "'a.0': index 0 is beyond the list's length of 0"),
        ({"key_path": "a.x"}, user_message('{"a": [1]}'), "'a.x': [1] has no key 'x'"),
        ({"key_path": "a.x"}, user_message('{"a": "' + "t" * 300 + '"}'), "(302 characters) has no key 'x'"),
    ],
)
def test_says_what_the_message_lacks(settings: dict[str, Any], message: Message, text: str) -> None:
    with pytest.raises(MessageParseError, match=re.escape(text)):
        JSONMessageParser(Model, **settings).parse(message)


def test_says_what_does_not_fit_a_struct() -> None:
    parser = JSONMessageParser(Struct)

    with pytest.raises(MessageParseError, match="failed to unmarshal content: Expected `int`, got `str`"):
        parser.parse(user_message('{"zz": "x"}'))
    with pytest.raises(MessageParseError, match="failed to unmarshal content"):
        parser.parse(user_message("[" * 100_000))


def test_many_problems_are_cut() -> None:
    with pytest.raises(MessageParseError, match="and 5 more"):
        JSONMessageParser(list[int]).parse(user_message('["x"' + ', "x"' * 14 + "]"))


def test_what_cannot_be_read_is_found_when_the_parser_is_made() -> None:
    with pytest.raises(BuildError, match="invalid parse from type: 'header'; use one of content, tool_call"):
        JSONMessageParser(Model, source="header")  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="cannot be read from JSON"):
        JSONMessageParser(object.__init__)  # type: ignore[arg-type]
