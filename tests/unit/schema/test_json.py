"""The JSON form: what cannot be read or written is an error with the path to the spot."""

from __future__ import annotations

import math
from typing import Any

import pytest

from eino.errors import CodecError
from eino.schema import (
    Document,
    Message,
    TextPart,
    ToolInfo,
    assistant_message,
    from_json,
    to_json,
    tool_call,
    user_message,
)


@pytest.mark.parametrize(
    ("data", "path", "text"),
    [
        pytest.param(b'{"role":"robot","content":""}', "$.role", "Invalid enum value 'robot'", id="unknown role"),
        pytest.param(b'{"role":"user"}', "$", "missing required field `content`", id="no content"),
        pytest.param('{"role":"user","content":5}', "$.content", "Expected `str`, got `int`", id="wrong type"),
        pytest.param(
            b'{"role":"user","content":"","user_input_multi_content":[{"type":"smell"}]}',
            "$.user_input_multi_content[0].type",
            "Invalid value 'smell'",
            id="unknown part",
        ),
        pytest.param(
            b'{"role":"user","content":"","name":null,"tool_calls":[{"function":{"name":3}}]}',
            "$.tool_calls[0].function.name",
            "Expected `str`, got `int`",
            id="wrong type beside a null",
        ),
        pytest.param(b"{", "$", "truncated", id="half of it"),
        pytest.param(b"\xff", "$", "malformed", id="no text"),
        pytest.param(b"[]", "$", "Expected `object`, got `array`", id="a list"),
        pytest.param(b"null", "$", "Expected `object`, got `null`", id="null"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes | str, path: str, text: str) -> None:
    """The error says what, where, and what was being read."""
    with pytest.raises(CodecError, match="cannot read Message") as caught:
        from_json(data, Message)

    assert caught.value.path == path
    assert text in str(caught.value)
    assert str(caught.value).endswith(f"at `{path}`")


def nested(depth: int) -> bytes:
    """Return objects inside each other."""
    return b'{"a":' * depth + b"null" + b"}" * depth


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b'"extra":{"a":' + nested(100_000) + b"}", id="in free-form data"),
        pytest.param(b'"unknown":' + nested(100_000), id="in a field that is ignored"),
        pytest.param(b'"name":null,"unknown":' + nested(9_000), id="beside a null"),
    ],
)
def test_huge_nesting_is_a_clear_error(fields: bytes) -> None:
    """Not a crash, and not a `RecursionError`."""
    with pytest.raises(CodecError, match="nested too deeply"):
        from_json(b'{"role":"user","content":"",' + fields + b"}", Message)


def test_lists_of_values_are_read_and_written() -> None:
    """A conversation is one call; the path names the message."""
    conversation = [user_message("a"), assistant_message("b")]

    assert from_json(to_json(conversation), list[Message]) == conversation
    assert from_json(to_json(tuple(conversation)), tuple[Message, ...]) == tuple(conversation)
    with pytest.raises(CodecError, match=r"cannot read list\[.*Message\]") as caught:
        from_json(b'[{"role":"user","content":""},{"role":"user","content":1}]', list[Message])
    assert caught.value.path == "$[1].content"


def test_unknown_fields_are_ignored_and_null_is_missing() -> None:
    """As in Go: newer programs may write more."""
    data = b'{"role":"user","content":"a","mood":"fine","tool_calls":null,"extra":{"x":null}}'

    assert from_json(data, Message) == user_message("a", extra={"x": None})
    assert from_json('{"id":null,"content":"a","meta_data":{"x":null}}', Document).metadata == {"x": None}
    assert from_json(b'[{"role":"user","content":"a","name":null}]', list[Message]) == [user_message("a")]


class Opaque:
    """Something that has no JSON form."""


@pytest.mark.parametrize(
    ("value", "path", "text"),
    [
        pytest.param(user_message("", extra={"a": [1, Opaque()]}), "$.extra.a[1]", "Opaque value", id="object"),
        pytest.param(user_message("\ud800"), "$.content", "str value.*surrogates", id="lone surrogate"),
        pytest.param(
            assistant_message("", [tool_call("f"), tool_call("g", extra={"k": {1: Opaque()}})]),
            "$.tool_calls[1].extra.k.1",
            "Opaque value",
            id="inside a call",
        ),
        pytest.param([user_message(""), user_message("", extra={"s": {Opaque()}})], "$[1].extra.s", "set", id="list"),
    ],
)
def test_what_has_no_json_form_is_refused(value: Any, path: str, text: str) -> None:
    """The path leads to the innermost value."""
    with pytest.raises(CodecError, match=text) as caught:
        to_json(value)

    assert caught.value.path == path


def test_a_value_that_contains_itself_is_refused() -> None:
    """Free-form data may be anything."""
    loop: dict[str, Any] = {}
    loop["again"] = loop

    with pytest.raises(CodecError, match="nested too deeply"):
        to_json(user_message("", extra=loop))


def test_streaming_index_is_left_out_everywhere() -> None:
    """In messages, in lists of them and in single parts; the value keeps it."""
    message = assistant_message([TextPart("a", index=0), TextPart("b")])

    for written in (to_json(message), to_json([message]), to_json(message.assistant_parts[0])):
        assert b"index" not in written
    assert message.assistant_parts[0].index == 0
    assert to_json(user_message([TextPart("a", index=1)])) == to_json(user_message(["a"]))


def test_numbers_keep_their_value() -> None:
    """Whole numbers of any size; a number that JSON lacks becomes null, as JSON writers do."""
    message = user_message("", extra={"big": 2**80, "small": 1e-300, "nan": math.nan})

    read = from_json(to_json(message), Message)

    assert read.extra == {"big": 2**80, "small": 1e-300, "nan": None}


def test_error_of_reading_names_a_plain_type() -> None:
    """Not its module."""
    with pytest.raises(CodecError, match=r"^cannot read ToolInfo: "):
        from_json(b"1", ToolInfo)
