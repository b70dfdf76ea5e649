"""What counts as an empty value when chunks without a concat function of their own are joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Sized

import msgspec


def is_zero(value: object) -> bool:
    """Tell whether `value` carries nothing: None, a zero number, an empty collection, a structure of such fields.

    A field that still has its default counts as empty. Anything else (objects with behaviour) is not zero.
    """
    if value is None or value is False:
        return True
    if isinstance(value, int | float | complex):
        return value == 0
    if isinstance(value, Sized):
        return len(value) == 0
    if isinstance(value, msgspec.Struct):
        return all(_is_unset(getattr(value, f.name), f.default) for f in msgspec.structs.fields(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(_is_unset(getattr(value, f.name), f.default) for f in dataclasses.fields(value))
    return _is_zero_model(value)


def _is_unset(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default)) or is_zero(value)


def _is_zero_model(value: object) -> bool:
    fields = getattr(type(value), "model_fields", None)  # a pydantic model, without importing pydantic
    if not isinstance(fields, dict):
        return False
    return all(_is_unset(getattr(value, name), field.default) for name, field in fields.items())
