"""How a template gets from a value to a part of it: by key, by index, or by a field that the value's class declares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from eino.errors import TemplateError

__all__ = ["check_name", "declared_fields", "is_dunder", "some_names", "step"]


def is_dunder(name: str) -> bool:
    """Tell whether `name` is one of Python's own, such as `__class__`."""
    return name.startswith("__") and name.endswith("__") and len(name) > 4


def check_name(name: str, where: str) -> str:
    """Return `name` if a template may go through it.

    Raises:
        TemplateError: If it is one of Python's own names.
    """
    if is_dunder(name):
        raise TemplateError(
            f"access to {name!r} in {where} is refused: templates read data; remove it from the template"
        )
    return name


def declared_fields(value: object) -> Collection[str]:
    """Return the public fields that the class of `value` declares as data; empty for all other objects.

    Dataclasses, msgspec structs, pydantic models, attrs classes and named tuples declare fields. Properties and
    methods are not fields, so a template cannot run code through them.
    """
    cls = type(value)
    for attribute in ("__struct_fields__", "__dataclass_fields__", "__pydantic_fields__", "__attrs_attrs__", "_fields"):
        fields = getattr(cls, attribute, None)
        if fields:
            names = (getattr(field, "name", field) for field in cast("Collection[object]", fields))
            return [name for name in names if isinstance(name, str) and not name.startswith("_")]
    return ()


def step(value: object, name: str, where: str) -> object:
    """Return the part of `value` that `name` names: a mapping's key, a sequence's index, or a declared field.

    Raises:
        TemplateError: If there is no such part; the text names `where` in the template it was asked for.
    """
    if isinstance(value, Mapping):
        return _key(value, name, where)
    if name in declared_fields(value):
        return cast("object", getattr(value, name))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return _index(value, name, where)
    raise TemplateError(
        f"could not find field: {name}, in {where} of a {type(value).__name__}; templates read mappings, sequences and"
        " the declared fields of dataclasses, msgspec structs, pydantic models and named tuples"
    )


def _key(value: Mapping[object, object], name: str, where: str) -> object:
    if name in value:
        return value[name]
    if name.isdecimal() and len(name) < 20 and int(name) in value:
        return value[int(name)]
    raise TemplateError(f"could not find key: {name}, in {where}; the keys are {some_names(value)}")


def _index(value: Sequence[object], name: str, where: str) -> object:
    if not (name.isascii() and name.isdecimal()):
        raise TemplateError(f"could not parse index: {name}, in {where}; a {type(value).__name__} takes numbers from 0")
    if len(name) > 18 or int(name) >= len(value):
        raise TemplateError(f"index out of bounds: {name}, in {where}; the length is {len(value)}")
    return value[int(name)]


def some_names(keys: Collection[object], most: int = 20) -> str:
    """Return the first names of `keys` in order, for error texts."""
    names = sorted(str(key) for key in keys)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{names[:most]!r}{more}"
