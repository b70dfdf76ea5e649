"""Filters over the metadata of documents, in the query language that most vector stores share. Pure.

    {"lang": "en"}                                  the field equals the value
    {"year": {"$gte": 2020, "$lt": 2025}}           operators, all of which must hold
    {"$or": [{"lang": "en"}, {"$not": {"draft": True}}]}

Values are compared with values of their own kind only: `True` is not 1, `"3"` is not below 4, and what is missing is
neither above nor below anything.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from eino.errors import InvalidRequestError

__all__ = ["Predicate", "metadata_filter"]

Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]
"""Whether the metadata of a document passes."""

MAX_DEPTH: Final = 32
"""Levels of nesting of a filter; more is a mistake or an attack."""

_MISSING: Final = object()


def metadata_filter(dsl: Mapping[str, Any]) -> Predicate:
    """Return the predicate that a filter stands for; an empty one lets everything pass.

    Raises:
        InvalidRequestError: If it is no filter; the text names the part.
    """
    return _all_of(dsl, 0)


def _all_of(dsl: object, depth: int) -> Predicate:
    if not isinstance(dsl, Mapping):
        raise InvalidRequestError(f"a filter must be a mapping such as {{'lang': 'en'}}, got {dsl!r}")
    if depth > MAX_DEPTH:
        raise InvalidRequestError(f"the filter is nested more than {MAX_DEPTH} levels deep; write it flatter")
    parts = [_part(name, wanted, depth) for name, wanted in dsl.items()]
    if len(parts) == 1:
        return parts[0]
    return lambda metadata: all(part(metadata) for part in parts)


def _part(name: object, wanted: Any, depth: int) -> Predicate:
    if name in ("$and", "$or"):
        if not isinstance(wanted, Sequence) or isinstance(wanted, str) or not wanted:
            raise InvalidRequestError(f"{name} needs a list of filters, at least one, got {wanted!r}")
        inner = [_all_of(each, depth + 1) for each in wanted]
        some = all if name == "$and" else any
        return lambda metadata: some(each(metadata) for each in inner)
    if name == "$not":
        refused = _all_of(wanted, depth + 1)
        return lambda metadata: not refused(metadata)
    if not isinstance(name, str) or name.startswith("$"):
        raise InvalidRequestError(
            f"{name!r} is no field of a filter and no operator that joins filters; those are $and, $or and $not"
        )
    return _field(name, wanted)


def _field(name: str, wanted: Any) -> Predicate:
    if not isinstance(wanted, Mapping):
        return lambda metadata: _equal(_value(metadata, name), wanted)
    if not wanted:
        raise InvalidRequestError(f"the filter of the field {name!r} is empty; give an operator such as $eq")
    tests = [_test(name, word, argument) for word, argument in wanted.items()]
    return lambda metadata: all(test(_value(metadata, name)) for test in tests)


def _test(name: str, word: object, argument: Any) -> Callable[[Any], bool]:
    if word in _ORDER:
        compare = _ORDER[str(word)]
        if not _is_orderable(argument):
            raise InvalidRequestError(f"{word} of the field {name!r} needs a value with an order, got {argument!r}")
        return lambda value: _kind(value) == _kind(argument) and compare(value, argument)
    if word in ("$in", "$nin"):
        if not isinstance(argument, Sequence | set | frozenset) or isinstance(argument, str):
            raise InvalidRequestError(f"{word} of the field {name!r} needs a list of values, got {argument!r}")
        choices, inside = list(argument), word == "$in"
        return lambda value: any(_equal(value, choice) for choice in choices) is inside
    match word:
        case "$eq":
            return lambda value: _equal(value, argument)
        case "$ne":
            return lambda value: not _equal(value, argument)
        case "$exists":
            return lambda value: (value is not _MISSING) is bool(argument)
        case "$contains":
            return lambda value: _contains(value, argument)
    raise InvalidRequestError(
        f"the field {name!r} has the unknown operator {word!r}; use one of {', '.join(_OPERATORS)}"
    )


_ORDER: Final[Mapping[object, Callable[[Any, Any], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_OPERATORS: Final = ("$eq", "$ne", *map(str, _ORDER), "$in", "$nin", "$exists", "$contains")


def _value(metadata: Mapping[str, Any], name: str) -> Any:
    """Return what lies under `name`; `a.b` also reaches into the mapping `a`, unless there is a field of that name."""
    if name in metadata or "." not in name:
        return metadata.get(name, _MISSING)
    head, _, rest = name.partition(".")
    inner = metadata.get(head)
    return _value(inner, rest) if isinstance(inner, Mapping) else _MISSING


def _equal(value: Any, wanted: Any) -> bool:
    return _kind(value) == _kind(wanted) and bool(value == wanted)


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted in value
    return isinstance(value, list | tuple | set | frozenset) and any(_equal(each, wanted) for each in value)


def _kind(value: Any) -> object:
    """Return what values that can be compared have in common."""
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float) else type(value)


def _is_orderable(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and bool(value <= value)  # noqa: PLR0124 - false for NaN
    except TypeError:
        return False
