"""The JSON form of schema values: the one that the Go original writes and reads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import msgspec

from eino.errors import CodecError
from eino.schema._value import Value
from eino.schema.message import Message

__all__ = ["from_json", "to_json"]

T = TypeVar("T")

FREE_FORM_KEYS: Final = frozenset({"extra", "meta_data", "json_schema"})
"""Keys of the JSON form whose values belong to the user: nothing below them is touched."""


def to_json(value: Value | Sequence[Value]) -> bytes:
    """Return the JSON form of a schema value, or of a list of them.

    Field names and omissions are the Go original's. The streaming index of parts is left out.

    Raises:
        CodecError: If free-form data holds something that JSON cannot; the path leads to it.
    """
    try:
        return msgspec.json.encode(without_index(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _encode_error(value, error) from error


def from_json(data: bytes | str, cls: type[T]) -> T:
    """Return the schema value, or the list of them (`list[Message]`), whose JSON form is `data`.

    Unknown fields are ignored; a field that is null counts as missing, as in Go.

    Raises:
        CodecError: If `data` is not JSON, or not the JSON form of `cls`; the path leads to the spot.
    """
    try:
        return cast("T", _decoder(cast("Hashable", cls)).decode(data))
    except msgspec.ValidationError as error:
        return _from_json_with_nulls(data, cls, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(f"cannot read {_name(cls)}: {_reason(error)}") from error


def from_builtins(value: object, cls: type[T]) -> T:
    """Return the schema value whose JSON form, read into dictionaries and lists, is `value`.

    Raises:
        CodecError: If `value` is not the form of `cls`; the path leads to the spot.
    """
    try:
        return msgspec.convert(value, cls)
    except msgspec.ValidationError as error:
        raise decode_error(cls, error) from error
    except RecursionError as error:
        raise CodecError(f"cannot read {_name(cls)}: {_reason(error)}") from error


def without_index(value: Any) -> Any:
    """Return `value` with the streaming index of all message parts taken away; the same object if there is none."""
    if isinstance(value, Message):
        return _plain_message(value)
    if isinstance(value, list | tuple):
        return [without_index(item) for item in value]
    return value.replace(index=None) if getattr(value, "index", None) is not None and _is_part(value) else value


def decode_error(cls: Any, error: msgspec.ValidationError) -> CodecError:
    """Return the error for data that does not fit `cls`, with the path that msgspec found."""
    reason, _, path = str(error).partition(" - at `")
    return CodecError(f"cannot read {_name(cls)}: {reason}", path=path.rstrip("`") or "$")


def without_nulls(tree: Any) -> Any:
    """Return JSON data without the keys whose value is null, except inside free-form data."""
    if isinstance(tree, list):
        return [without_nulls(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: item if key in FREE_FORM_KEYS else without_nulls(item) for key, item in tree.items() if item is not None
    }


@lru_cache(maxsize=64)
def _decoder(cls: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast("type[Any]", cls))


def _from_json_with_nulls(data: bytes | str, cls: type[T], error: msgspec.ValidationError) -> T:
    """Read data in which Go wrote null for an empty list or map; rare, so the usual reading does not look for it."""
    if (b"null" if isinstance(data, bytes) else "null") not in data:  # type: ignore[operator]  # same kind on both sides
        raise decode_error(cls, error) from error
    try:
        return from_builtins(without_nulls(msgspec.json.decode(data)), cls)
    except RecursionError as deep:
        raise CodecError(f"cannot read {_name(cls)}: {_reason(deep)}") from deep


def _plain_message(message: Message) -> Message:
    changes: dict[str, Any] = {}
    if any(part.index is not None for part in message.assistant_parts):
        changes["assistant_parts"] = tuple([part.replace(index=None) for part in message.assistant_parts])
    if any(part.index is not None for part in message.user_parts):
        changes["user_parts"] = tuple([part.replace(index=None) for part in message.user_parts])
    return message.replace(**changes) if changes else message


def _is_part(value: object) -> bool:
    return isinstance(value, msgspec.Struct) and value.__struct_config__.tag_field == "type"


def _encode_error(value: object, error: Exception) -> CodecError:
    path, culprit = find_unencodable(value)
    return CodecError(f"{type(culprit).__qualname__} value has no JSON form: {_reason(error)}", path=path)


def find_unencodable(value: Any, path: str = "$") -> tuple[str, Any]:
    """Return where the innermost value lies that JSON cannot hold, and that value."""
    for segment, child in _children(value):
        try:
            msgspec.json.encode(child)
        except (TypeError, ValueError, OverflowError):
            return find_unencodable(child, path + segment)
        except RecursionError:
            return path + segment, child
    return path, value


def _children(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, msgspec.Struct):
        return [(f".{field.encode_name}", getattr(value, field.name)) for field in msgspec.structs.fields(value)]
    if isinstance(value, dict):
        return [(f".{key}", item) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [(f"[{position}]", item) for position, item in enumerate(value)]
    return []


def _name(cls: Any) -> str:
    return str(getattr(cls, "__qualname__", cls)) if not hasattr(cls, "__args__") else str(cls)


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
