"""Registering a type together with the types that its fields are annotated with."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

from eino.errors import BuildError
from eino.schema._codec_shapes import is_model, shape_of
from eino.schema._codec_types import TypeRegistry, qualified_name

STORABLE: Final[frozenset[type]] = frozenset(
    {
        bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple, types.NoneType,
        dt.date, dt.datetime, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID,
    }
)  # fmt: skip
"""Built-in types that are stored as they are."""


def register_with_fields(cls: type, registry: TypeRegistry) -> None:
    """Register `cls` and every class in the annotations of its fields under their qualified names.

    Classes that are registered already keep their names. Annotations that cannot be resolved are left to the moment
    when a value is stored.

    Raises:
        BuildError: If `cls`, or a field whose type is known, can never be stored; the text names the field.
    """
    _Discovery(registry).add(cls, qualified_name(cls))


class _Discovery:
    def __init__(self, registry: TypeRegistry) -> None:
        self._registry = registry
        self._seen: set[type] = set()

    def add(self, cls: type, place: str) -> None:
        if cls in self._seen or cls in STORABLE or self._is_registered(cls):
            return
        self._seen.add(cls)
        if not typing.is_typeddict(cls):
            self._register(cls, place)
        for name, annotation in _hints(cls).items():
            self._visit(annotation, f"{place}.{name}")

    def _is_registered(self, cls: type) -> bool:
        found = self._registry.find_class(cls)
        return found is not None and not found.automatic

    def _register(self, cls: type, place: str) -> None:
        try:
            self._registry.add_automatic(cls)
        except BuildError as error:
            raise BuildError(f"{place} cannot be stored: {error}") from error

    def _visit(self, annotation: Any, place: str) -> None:
        origin = typing.get_origin(annotation)
        if origin in (typing.Union, types.UnionType):
            self._visit_union(typing.get_args(annotation), place)
        elif origin is Callable:
            raise BuildError(f"{place} cannot be stored: functions have no stored form; register what it stands for")
        elif origin is typing.Literal:
            return
        elif origin is not None:
            for argument in _arguments(annotation, origin):
                self._visit(argument, place)
        elif isinstance(annotation, type) and not _is_open(annotation):
            self.add(annotation, place)

    def _visit_union(self, members: tuple[Any, ...], place: str) -> None:
        """A union can be stored if one member can: which one it holds is seen when a value is stored."""
        errors: list[BuildError] = []
        for member in members:
            try:
                self._visit(member, place)
            except BuildError as error:
                errors.append(error)
        if len(errors) == len(members):
            raise errors[0]


def _arguments(annotation: Any, origin: Any) -> Iterator[Any]:
    if origin is typing.Annotated:
        yield typing.get_args(annotation)[0]
        return
    if isinstance(origin, type) and shape_of(origin) is not None:
        yield origin
    yield from (argument for argument in typing.get_args(annotation) if argument is not Ellipsis)


def _hints(cls: type) -> dict[str, Any]:
    """Return the annotations of the fields of `cls`; none where they cannot be resolved."""
    if is_model(cls):
        return {name: field.annotation for name, field in typing.cast("Any", cls).model_fields.items()}
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
    stored = getattr(cls, "__dataclass_fields__", hints)
    return {} if issubclass(cls, enum.Enum) else {name: hint for name, hint in hints.items() if name in stored}


def _is_open(cls: type) -> bool:
    """Tell whether a value annotated with `cls` is an instance of some other class, so that nothing is known yet."""
    if cls is object or cls is Any or inspect.isabstract(cls) or getattr(cls, "_is_protocol", False):
        return True
    return cls.__module__ in {"collections.abc", "numbers"}
