"""Classes with named fields, whatever defines them: what can be read, what can be set, and how one is made."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from eino.compose.signature import class_hints, parameter_types, return_type

__all__ = ["Record", "record_of"]

_REMEMBERED = 512
"""Classes whose fields are remembered: reading annotations costs more than all else that compiling a mapping does."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a class with named fields."""

    fields: Mapping[str, Any]
    """What can be given when one is made, by name, with its annotation."""
    required: frozenset[str]
    """Those of `fields` that have no default."""
    make: Callable[[dict[str, Any]], Any]
    """Returns one with these fields."""
    readable: Mapping[str, Any]
    """What can be read, by name, with its annotation; `fields` and properties."""
    takes_more: bool = False
    """Whether fields that are not declared can be given."""
    has_more: bool = False
    """Whether attributes that are not declared may be there."""


def record_of(cls: Any) -> Record | None:
    """Return the fields of a class, or None if it is no class with named fields: a number, a text, a list, ..."""
    return _record(cls)


@functools.lru_cache(maxsize=_REMEMBERED)
def _record(cls: Any) -> Record | None:
    if msgspec.Struct in cls.__mro__:
        return _of_struct(cls)
    if dataclasses.is_dataclass(cls):
        return _of_dataclass(cls)
    if "__pydantic_complete__" in dir(cls) and hasattr(cls, "model_fields"):
        return _of_pydantic(cls)
    if hasattr(cls, "__attrs_attrs__"):
        return _of_attrs(cls)
    if issubclass(cls, tuple):
        return _of_named_tuple(cls) if hasattr(cls, "_fields") else None
    return _of_class(cls)


def _of_dataclass(cls: Any) -> Record:
    hints = class_hints(cls)
    fields = dataclasses.fields(cls)
    if not cls.__dataclass_params__.init:
        return _by_constructor(cls, {each.name: hints.get(each.name, Any) for each in fields})
    nothing = dataclasses.MISSING
    # `fields` leaves out what is given to `__post_init__` only.
    own = {each.name for each in fields}
    parameters = inspect.signature(cls.__init__).parameters
    extra = [each for name, each in cls.__dataclass_fields__.items() if name in parameters and name not in own]
    settable = [each for each in (*fields, *extra) if each.init]
    return Record(
        fields={each.name: _init_type(hints.get(each.name, Any)) for each in settable},
        required=frozenset(
            each.name for each in settable if each.default is nothing and each.default_factory is nothing
        ),
        make=lambda values: cls(**values),
        readable=_properties(cls) | {each.name: hints.get(each.name, Any) for each in fields},
    )


def _init_type(annotation: Any) -> Any:
    return annotation.type if isinstance(annotation, dataclasses.InitVar) else annotation


def _of_struct(cls: Any) -> Record:
    hints = class_hints(cls)
    names = cls.__struct_fields__
    defaults = dict(zip(names[len(names) - len(cls.__struct_defaults__) :], cls.__struct_defaults__, strict=True))
    annotated = {name: hints.get(name, Any) for name in names}
    return Record(
        fields=annotated,
        required=frozenset(name for name in names if defaults.get(name, msgspec.NODEFAULT) is msgspec.NODEFAULT),
        make=lambda values: cls(**values),
        readable=_properties(cls) | annotated,
    )


def _of_pydantic(cls: Any) -> Record:
    annotated = {name: field.annotation for name, field in cls.model_fields.items()}
    more = cls.model_config.get("extra") == "allow"
    # A validator that runs before the fields may fill in any of them.
    fills_in = any(each.info.mode != "after" for each in cls.__pydantic_decorators__.model_validators.values())
    return Record(
        fields=annotated,
        required=frozenset(name for name, field in cls.model_fields.items() if field.is_required() and not fills_in),
        make=functools.partial(cls.model_validate, by_name=True),
        readable=_properties(cls) | annotated,
        takes_more=more,
        has_more=more,
    )


def _of_attrs(cls: Any) -> Record:
    hints = class_hints(cls)
    nothing = sys.modules["attr"].NOTHING  # whoever defined the class has imported it
    attributes = [each for each in cls.__attrs_attrs__ if each.init]
    return Record(
        fields={each.alias: hints.get(each.name, Any) for each in attributes},
        required=frozenset(each.alias for each in attributes if each.default is nothing),
        make=lambda values: cls(**values),
        readable=_properties(cls) | {each.name: hints.get(each.name, Any) for each in cls.__attrs_attrs__},
    )


def _of_named_tuple(cls: Any) -> Record:
    hints = class_hints(cls)
    annotated = {name: hints.get(name, Any) for name in cls._fields}
    return Record(
        fields=annotated,
        required=frozenset(set(cls._fields) - set(cls._field_defaults)),
        make=lambda values: cls(**values),
        readable=_properties(cls) | annotated,
    )


def _of_class(cls: Any) -> Record | None:
    """Return what the constructor of a class written in Python takes, and what its annotations tell."""
    if not any("__dict__" in vars(base) or "__slots__" in vars(base) for base in cls.__mro__):
        return None
    return _by_constructor(cls, class_hints(cls))


def _by_constructor(cls: Any, readable: dict[str, Any]) -> Record:
    fields: dict[str, Any] = {}
    required: set[str] = set()
    takes_more = False
    if isinstance(cls.__init__, types.FunctionType):
        hints = parameter_types(cls.__init__)
        for each in list(inspect.signature(cls.__init__).parameters.values())[1:]:
            if each.kind is each.VAR_KEYWORD:
                takes_more = True
            elif each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
                fields[each.name] = hints.get(each.name, Any)
                if each.default is each.empty:
                    required.add(each.name)
    return Record(
        fields=fields,
        required=frozenset(required),
        make=lambda values: cls(**values),
        readable=_properties(cls) | readable,
        takes_more=takes_more,
        has_more=True,
    )


def _properties(cls: type) -> dict[str, Any]:
    """Return the properties of a class with the annotations of what they return."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ == "pydantic.main":  # what every model has says nothing about this one
            continue
        for name, value in vars(base).items():
            getter = value.fget if isinstance(value, property) else getattr(value, "func", None)
            if isinstance(value, (property, functools.cached_property)) and getter is not None:
                found[name] = return_type(getter)
    return found
