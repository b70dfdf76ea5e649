"""The functions that Go templates may call. None of them reaches beyond its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from eino.errors import TemplateError
from eino.schema._templates.budget import Budget
from eino.schema._templates.go_printf import printf
from eino.schema._templates.text import GO_EXPONENT, short_repr, value_text

__all__ = ["FUNCTIONS", "LAZY_FUNCTIONS", "GoFunction", "is_true"]

GoFunction: TypeAlias = Callable[[Sequence[object], Budget], object]

LAZY_FUNCTIONS = frozenset({"and", "or"})
"""Functions whose arguments are evaluated one by one, only as far as needed."""


def is_true(value: object) -> bool:
    """Return what `if` makes of a value: false, 0, nil and empty strings and containers are false.

    All other objects are true: neither `__bool__` nor `__len__` of a class that is no container is called.
    """
    if value is None or isinstance(value, bool | int | float):
        return bool(value)
    if isinstance(value, str | bytes | Mapping | Sequence | AbstractSet):
        return len(value) > 0
    return True


def _counted(name: str, arguments: Sequence[object], least: int, most: int | None = None) -> None:
    if len(arguments) < least or (most is not None and len(arguments) > most):
        wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        raise TemplateError(f"wrong number of arguments for {name}: want {wanted}, got {len(arguments)}")


def _not(arguments: Sequence[object], _: Budget) -> bool:
    _counted("not", arguments, 1, 1)
    return not is_true(arguments[0])


def _len(arguments: Sequence[object], _: Budget) -> int:
    _counted("len", arguments, 1, 1)
    value = arguments[0]
    if isinstance(value, str | bytes | Mapping | Sequence | AbstractSet):
        return len(value)
    raise TemplateError(f"len of a {type(value).__name__}: {short_repr(value)} has no length")


def _index(arguments: Sequence[object], _: Budget) -> object:
    _counted("index", arguments, 1)
    value, *keys = arguments
    for key in keys:
        value = _item(value, key)
    return value


def _item(value: object, key: object) -> object:
    if isinstance(value, Mapping):
        if isinstance(key, str | int | float) and key in value:
            return value[key]
        raise TemplateError(f"index: map has no entry for key {short_repr(key)}")
    if not isinstance(value, Sequence):
        raise TemplateError(f"index of a {type(value).__name__}: {short_repr(value)} has no elements")
    element = value[_checked_index("index", key, len(value) - 1)]
    return ord(element) if isinstance(element, str) and isinstance(value, str) else element  # a number, as in Go


def _checked_index(function: str, index: object, last: int) -> int:
    if isinstance(index, bool) or not isinstance(index, int):
        raise TemplateError(f"{function}: {short_repr(index)} is not a whole number")
    if not 0 <= index <= last:
        raise TemplateError(f"{function}: {index} is out of range; the highest is {last}")
    return index


def _slice(arguments: Sequence[object], _: Budget) -> object:
    _counted("slice", arguments, 1, 3)
    value, *bounds = arguments
    if isinstance(value, Mapping) or not isinstance(value, Sequence):
        raise TemplateError(f"slice of a {type(value).__name__}: {short_repr(value)} cannot be cut")
    start = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(value)
    last = _checked_index("slice", end, len(value))
    return value[_checked_index("slice", start, last) : last]


def _print(arguments: Sequence[object], budget: Budget) -> str:
    """As Go's Sprint: a space only between values of which neither is a string."""
    parts: list[str] = []
    for at, value in enumerate(arguments):
        if at and not isinstance(value, str) and not isinstance(arguments[at - 1], str):
            parts.append(" ")
        parts.append(_text(value, budget))
    return "".join(parts)


def _println(arguments: Sequence[object], budget: Budget) -> str:
    return " ".join(_text(value, budget) for value in arguments) + "\n"


def _text(value: object, budget: Budget) -> str:
    text = value_text(value, budget, exponent_from=GO_EXPONENT)
    if isinstance(value, str):
        budget.spend(len(text))
    return text


def _printf(arguments: Sequence[object], budget: Budget) -> str:
    _counted("printf", arguments, 1)
    template, *values = arguments
    if not isinstance(template, str):
        raise TemplateError(f"printf: the format must be a string, not {short_repr(template)}")
    budget.spend(len(template))
    return printf(template, values, budget)


def _kind(value: object) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    raise TemplateError(f"a {type(value).__name__} cannot be compared: {short_repr(value)}")


def _same_kind(left: object, right: object) -> str:
    kind = _kind(left)
    if kind != _kind(right):
        raise TemplateError(f"incompatible types for comparison: {short_repr(left)} and {short_repr(right)}")
    return kind


def _equal(left: object, right: object) -> bool:
    if left is None or right is None:
        return left is right
    _same_kind(left, right)
    return left == right


def _eq(arguments: Sequence[object], _: Budget) -> bool:
    _counted("eq", arguments, 2)
    first, *others = arguments
    return any(_equal(first, other) for other in others)


def _ne(arguments: Sequence[object], _: Budget) -> bool:
    _counted("ne", arguments, 2, 2)
    return not _equal(arguments[0], arguments[1])


def _ordering(name: str, accepted: frozenset[int]) -> GoFunction:
    def compare(arguments: Sequence[object], _: Budget) -> bool:
        _counted(name, arguments, 2, 2)
        return _order(name, arguments[0], arguments[1]) in accepted

    return compare


def _order(name: str, left: object, right: object) -> int:
    """Return -1, 0 or 1: whether `left` is less than, equal to or greater than `right`; 2 if neither (NaN)."""
    if _same_kind(left, right) not in ("number", "string"):
        raise TemplateError(f"{name}: {short_repr(left)} has no order; numbers and strings do")
    if left < right:  # type: ignore[operator]  # both are numbers or both strings: checked above
        return -1
    return 1 if left > right else 0 if left == right else 2  # type: ignore[operator]  # as above


FUNCTIONS: dict[str, GoFunction] = {
    "eq": _eq,
    "ge": _ordering("ge", frozenset({0, 1})),
    "gt": _ordering("gt", frozenset({1})),
    "index": _index,
    "le": _ordering("le", frozenset({-1, 0})),
    "len": _len,
    "lt": _ordering("lt", frozenset({-1})),
    "ne": _ne,
    "not": _not,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "slice": _slice,
}
