"""How a value of a registered type is taken apart into plain data and put together again."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

import msgspec

Fields = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """Two functions that are each other's inverse."""

    take: Callable[[Any], Any]
    """Returns what is stored for a value; it may hold further values of registered types."""
    build: Callable[[Any], Any]
    """Returns the value for what was stored; raises an ordinary exception where it does not fit."""
    plain: Callable[[Any], Any] | None = None
    """Returns what is stored if nothing in it needs the name of a type, else None. Saves a look at every field."""


def shape_of(cls: type) -> Shape | None:
    """Return the shape of `cls`, or None if it has none by itself."""
    if issubclass(cls, enum.Enum):
        return _flag_shape(cls) if issubclass(cls, enum.Flag) else _enum_shape(cls)
    if issubclass(cls, msgspec.Struct):
        return _struct_shape(cls)
    if dataclasses.is_dataclass(cls) and "__dataclass_fields__" in vars(cls):
        return _dataclass_shape(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return Shape(take=lambda value: value._asdict(), build=lambda fields: cls(**fields))
    return _model_shape(cls) if is_model(cls) else None


def is_model(cls: type) -> bool:
    """Tell whether `cls` is a pydantic model, without importing pydantic."""
    return any(base.__module__ == "pydantic.main" and base.__name__ == "BaseModel" for base in cls.__mro__)


def _enum_shape(cls: type[enum.Enum]) -> Shape:
    def build(name: Any) -> enum.Enum:
        try:
            return cls[name]
        except KeyError:
            raise ValueError(
                f"{cls.__qualname__} has no member {name!r}; it has {', '.join(cls.__members__)}"
            ) from None

    return Shape(take=lambda member: member.name, build=build)


def _flag_shape(cls: type[enum.Flag]) -> Shape:
    return Shape(take=lambda member: member.value, build=cls)


def _struct_shape(cls: type[msgspec.Struct]) -> Shape:
    names = cls.__struct_fields__
    return Shape(
        take=lambda value: {name: getattr(value, name) for name in names},
        build=lambda fields: cls(**{name: fields[name] for name in names if name in fields}),
    )


def _dataclass_shape(cls: type) -> Shape:
    fields = dataclasses.fields(cls)
    given = [field.name for field in fields if field.init]
    later = [field.name for field in fields if not field.init]

    def build(stored: Fields) -> Any:
        value = cls(**{name: stored[name] for name in given if name in stored})
        for name in later:
            if name in stored:
                object.__setattr__(value, name, stored[name])  # also reaches frozen dataclasses
        return value

    return Shape(take=lambda value: {field.name: getattr(value, field.name) for field in fields}, build=build)


def _model_shape(cls: Any) -> Shape:
    def take(value: Any) -> Fields:
        return {**{name: getattr(value, name) for name in cls.model_fields}, **(value.__pydantic_extra__ or {})}

    def build(stored: Fields) -> Any:
        if cls.__pydantic_root_model__:
            return cls.model_validate(stored["root"])
        extra = cls.model_config.get("extra") == "allow"
        known = {name: item for name, item in stored.items() if extra or name in cls.model_fields}
        return cls.model_validate(known, by_name=True, by_alias=False)

    return Shape(take=take, build=build)
