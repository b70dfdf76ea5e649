"""Schema values in stored data: their JSON form, with free-form data kept exactly."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from eino.schema._codec_shapes import Shape
from eino.schema._value import Value
from eino.schema.message import Message


def schema_shape(cls: type[Value]) -> Shape:
    """Return the shape of a schema type: stored as its JSON form, checked when it is read back."""
    return Shape(
        take=_take,
        build=lambda stored: msgspec.convert(stored, cls),
        plain=_plain_message if cls is Message else None,
    )


def _plain_message(message: Message) -> Any:
    """Return the stored form of a message without free-form data and parts, which are most; of others None."""
    if message.extra or message.user_parts or message.assistant_parts or message.multi_content:
        return None
    if message.tool_calls and any(call.extra for call in message.tool_calls):
        return None
    return msgspec.to_builtins(message)


class _Field(NamedTuple):
    name: str
    key: str
    default: Any
    is_free_form: bool


@lru_cache(maxsize=64)
def _plan(cls: type[Value]) -> tuple[dict[str, str], tuple[_Field, ...]]:
    config = cls.__struct_config__
    tag = {} if config.tag is None else {str(config.tag_field): str(config.tag)}
    fields = [
        _Field(field.name, field.encode_name, field.default, field.type in _FREE_FORM)
        for field in msgspec.structs.fields(cls)
        if field.encode_name != "streaming_index"
    ]
    return tag, tuple(fields)


_FREE_FORM = (dict[str, Any], dict[str, Any] | None)


def _take(value: Value) -> dict[str, Any]:
    tag, fields = _plan(type(value))
    stored: dict[str, Any] = dict(tag)
    for name, key, default, is_free_form in fields:
        item = getattr(value, name)
        if item is not default and not (item == {} and key == "extra"):
            stored[key] = item if is_free_form else _structure(item)
    return stored


def _structure(item: Any) -> Any:
    if isinstance(item, Value):
        return _take(item)
    if isinstance(item, tuple):
        return [_structure(element) for element in item]
    if isinstance(item, dict):
        return {key: _structure(element) for key, element in item.items()}
    return item
