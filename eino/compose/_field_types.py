"""Follows field paths through types: what lies there, and what must be made on the way to it."""

from __future__ import annotations

import collections
import collections.abc
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, is_typeddict

from eino.compose._records import Record, record_of
from eino.compose.checks import Fit, assignable, is_interface, members_of, normalise, type_text
from eino.compose.field_mapping import FieldPath
from eino.compose.signature import class_hints

__all__ = ["Container", "PathError", "container_of", "type_at"]


_REMEMBERED = 1024
"""Types and paths whose answer is remembered: programs map the same fields of few types, and build graphs often."""


class PathError(Exception):
    """A path does not fit a type."""


@dataclass(frozen=True, slots=True)
class Container:
    """A type whose values are made of named parts."""

    shown: str
    """The type, for messages."""
    part: Callable[[str], Any]
    """Returns the annotation of a part, or raises `PathError`."""
    make: Callable[[dict[str, Any]], Any] | None = None
    """Makes one of its parts; None where the dict of them is one."""
    required: frozenset[str] = frozenset()
    """Parts that must be there."""
    cls: type = dict
    """What is made."""


def type_at(annotation: Any, path: FieldPath) -> Any:
    """Return what is known of the value at `path` inside a value of a type; `Any` where only a run can tell.

    Raises:
        PathError: If no value of the type has such a path.
    """
    try:
        return _type_at(annotation, path)
    except TypeError:  # an annotation that cannot be hashed
        return _type_at.__wrapped__(annotation, path)


@functools.lru_cache(maxsize=_REMEMBERED)
def _type_at(annotation: Any, path: FieldPath) -> Any:
    for depth, name in enumerate(path):
        annotation = _part_type(normalise(annotation), name, depth)
    return normalise(annotation)


def _part_type(annotation: Any, name: str, depth: int) -> Any:
    """Return what reading one name gives."""
    if annotation in (Any, object):
        return Any
    members = [each for each in members_of(annotation) if each is not type(None)]
    if len(members) > 1:
        return _of_members(members, name, depth)
    annotation = normalise(members[0]) if members else annotation
    if is_typeddict(annotation):
        return _declared(annotation, _typed_keys(annotation), name)
    cls = get_origin(annotation) or annotation
    if not isinstance(cls, type):
        raise PathError(_no_parts(annotation, depth, "predecessor output"))
    if issubclass(cls, Mapping):
        return _item_type(annotation)
    record = record_of(cls)
    if record is None:
        raise PathError(_no_parts(annotation, depth, "predecessor output"))
    _check_public(annotation, name)
    if name in record.readable:
        return record.readable[name]
    if record.has_more or is_interface(cls):
        return Any
    return _declared(annotation, record.readable, name)


def _of_members(members: list[Any], name: str, depth: int) -> Any:
    """Return what a union gives: one of its members must have the part; which one it is, a run shows."""
    found: list[Any] = []
    refusal: PathError | None = None
    for member in members:
        try:
            found.append(normalise(_part_type(normalise(member), name, depth)))
        except PathError as error:
            refusal = refusal or error
    if not found and refusal is not None:
        raise refusal
    return found[0] if all(each == found[0] for each in found) else Any


def container_of(annotation: Any, depth: int) -> Container:
    """Return how a value of a type is made of parts; `Any` becomes a dict.

    Args:
        annotation: The type.
        depth: How many names lead to it.

    Raises:
        PathError: If it has no parts, or it is not clear which class to make.
    """
    try:
        return _container_of(annotation, depth)
    except TypeError:  # an annotation that cannot be hashed
        return _container_of.__wrapped__(annotation, depth)


@functools.lru_cache(maxsize=_REMEMBERED)
def _container_of(annotation: Any, depth: int) -> Container:
    annotation = normalise(annotation)
    if annotation in (Any, object):
        return Container("dict", _anything)
    members = [each for each in members_of(annotation) if each is not type(None)]
    if len(members) > 1:
        return _only_container(annotation, members, depth)
    annotation = normalise(members[0]) if members else annotation
    shown = type_text(annotation)
    if is_typeddict(annotation):
        return Container(shown, functools.partial(_declared, annotation, _typed_keys(annotation)))
    cls = get_origin(annotation) or annotation
    if not isinstance(cls, type):
        raise PathError(_no_parts(annotation, depth, "successor input"))
    if issubclass(cls, Mapping):
        return _mapping_container(annotation, cls)
    if is_interface(cls):
        raise PathError(
            f"the successor has intermediate interface type {shown}: nobody can tell which class to make; annotate "
            "the class itself"
        )
    record = record_of(cls)
    if record is None:
        raise PathError(_no_parts(annotation, depth, "successor input"))
    return Container(shown, functools.partial(_settable, annotation, record), record.make, record.required, cls)


def _only_container(annotation: Any, members: list[Any], depth: int) -> Container:
    found: list[Container] = []
    refusal: PathError | None = None
    for member in members:
        try:
            found.append(container_of(member, depth))
        except PathError as error:
            refusal = refusal or error
    if len(found) == 1:
        return found[0]
    if refusal is not None and not found:
        raise refusal
    raise PathError(
        f"the successor has intermediate interface type {type_text(annotation)}: several of its members could be "
        "made; map to the whole value, or annotate one class"
    )


def _mapping_container(annotation: Any, cls: type) -> Container:
    item = _item_type(annotation)
    plain = cls in (dict, collections.abc.Mapping, collections.abc.MutableMapping)
    if not plain and is_interface(cls):
        raise PathError(f"the successor has intermediate interface type {type_text(annotation)}: annotate a class")
    make: Callable[[dict[str, Any]], Any] | None = None if plain else cls
    if cls is collections.defaultdict:
        make = functools.partial(collections.defaultdict, None)
    return Container(type_text(annotation), functools.partial(_item, item), make)


def _item_type(annotation: Any) -> Any:
    """Return the type of a mapping's values; its keys must be texts."""
    arguments = get_args(annotation)
    if len(arguments) != 2:
        return Any
    key, item = arguments
    if assignable(str, key) is Fit.NEVER and assignable(key, str) is Fit.NEVER:
        raise PathError(f"type[{type_text(annotation)}] is not a map with string or string alias key")
    return item


def _item(annotation: Any, _: str) -> Any:
    return annotation


def _anything(_: str) -> Any:
    return Any


def _typed_keys(annotation: Any) -> Mapping[str, Any]:
    return class_hints(get_origin(annotation) or annotation)


def _declared(annotation: Any, declared: Mapping[str, Any], name: str) -> Any:
    if name not in declared:
        raise PathError(_no_field(annotation, declared, name))
    return declared[name]


def _settable(annotation: Any, record: Record, name: str) -> Any:
    if name in record.fields:
        return record.fields[name]
    _check_public(annotation, name)
    if record.takes_more:
        return Any
    if name in record.readable:
        raise PathError(
            f"type[{type_text(annotation)}] has field[{name}], but none is made with it: it is computed, or set later; "
            f"those that can be given are {_names(record.fields)}"
        )
    raise PathError(_no_field(annotation, record.fields, name))


def _check_public(annotation: Any, name: str) -> None:
    if name.startswith("_"):
        raise PathError(
            f"type[{type_text(annotation)}] has an unexported field[{name}]: names with a leading underscore belong "
            "to the class alone"
        )


def _no_field(annotation: Any, declared: Mapping[str, Any], name: str) -> str:
    hint = f"; for a path give a tuple: {tuple(name.split('.'))!r}" if "." in name else ""
    return f"type[{type_text(annotation)}] has no field[{name}]: its fields are {_names(declared)}{hint}"


def _names(declared: Mapping[str, Any]) -> str:
    return ", ".join(name for name in declared if not name.startswith("_")) or "none"


def _no_parts(annotation: Any, depth: int, side: str) -> str:
    shown = type_text(annotation)
    if depth:
        return f"intermediate type[{shown}] is not valid: only mappings and classes with fields have parts"
    return f"static check fail: {side} type should be struct or map, actual: {shown}"
