"""Laws of storing: what goes in comes out, and what comes from outside never breaks more than the reading of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from eino.errors import CodecError
from eino.schema import Codec, Message, from_json, to_json
from eino_fixtures import strategies

FORMATS: list[Literal["json", "msgpack"]] = ["json", "msgpack"]

tagged_trees = st.recursive(
    strategies.json_values(),
    lambda inner: st.fixed_dictionaries(
        {"$type": st.sampled_from(["tuple", "set", "dict", "datetime", "int", "bytes", "eino.Message", "x"])},
        optional={"value": inner, "plain": inner, "version": inner},
    ),
    max_leaves=6,
)


def types_of(value: Any) -> Any:
    """Return the exact types in a value: 1, True and 1.0 are equal, but not the same."""
    if isinstance(value, dict):
        return [(types_of(key), types_of(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [types_of(item) for item in value]
    return type(value)


def refusal(read: Callable[[bytes], object], data: bytes) -> str:
    """Return the path of the error that reading raised, `$` if it raised none."""
    try:
        read(data)
    except CodecError as error:
        return error.path
    return "$"


@pytest.mark.parametrize("form", FORMATS)
@given(value=strategies.codec_values())
def test_stored_values_come_back_with_value_and_type(form: Literal["json", "msgpack"], value: Any) -> None:
    """No value that is accepted changes on the way."""
    codec = Codec(form)

    read = codec.decode(codec.encode(value))

    assert read == value
    assert types_of(read) == types_of(value)


@pytest.mark.parametrize("form", FORMATS)
@given(value=strategies.codec_values())
def test_storing_again_gives_the_same_bytes(form: Literal["json", "msgpack"], value: Any) -> None:
    """Stored forms can be compared and signed."""
    codec = Codec(form)
    data = codec.encode(value)

    assert codec.encode(codec.decode(data)) == data


@given(strategies.schema_values())
def test_json_form_comes_back(value: Any) -> None:
    """The JSON form of a schema value holds all of it."""
    assert from_json(to_json(value), type(value)) == value


@given(strategies.messages())
def test_pydantic_fields_come_back(message: Message) -> None:
    """A message in a pydantic model has the same JSON form, both ways."""
    adapter = TypeAdapter(Message)

    data = adapter.dump_json(message)

    assert adapter.validate_json(data) == message
    assert msgspec.json.decode(data) == msgspec.json.decode(to_json(message))


@pytest.mark.parametrize("form", FORMATS)
@given(data=st.binary(max_size=60))
@example(data=b"\x81\xd4\x00\x00\x00")  # a map whose key is an extension
def test_any_bytes_are_read_or_refused(form: Literal["json", "msgpack"], data: bytes) -> None:
    """Nothing but a `CodecError` comes out of reading foreign data."""
    assert refusal(Codec(form).decode, data).startswith("$")
    assert refusal(lambda given: from_json(given, Message), data).startswith("$")


@given(tagged_trees)
def test_any_tagged_data_is_read_or_refused(tree: Any) -> None:
    """Data that looks like ours but is not raises `CodecError`, whatever its tags say."""
    assert refusal(Codec().decode, msgspec.json.encode(tree)).startswith("$")
