"""The filters and functions of Jinja2 templates, each bounded by the budget of the rendering it works for."""

from __future__ import annotations

import inspect
import itertools
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar, cast

import jinja2
from jinja2 import filters
from jinja2.runtime import Undefined
from markupsafe import soft_str

from eino.errors import TemplateError
from eino.schema._templates.budget import MAX_UNITS, STEP_UNITS, Budget, check_width
from eino.schema._templates.text import short_repr

__all__ = [
    "FILTERS",
    "add",
    "bounded_range",
    "check_date_format",
    "counted",
    "multiply",
    "percent",
    "power",
    "rendering",
    "sized",
    "steps",
    "string_method",
    "text",
]

T = TypeVar("T")

_budget: ContextVar[Budget] = ContextVar("eino_jinja_budget")
_MAX_BITS = 65_536
"""Longest integer that a template may calculate, in bits."""
_MAX_DEPTH = 64
_WIDE = re.compile(r"%(?:\([^)]*\))?[-+# 0]*(\d*)(?:\.(\d*))?(\*?)")


@contextmanager
def rendering(budget: Budget) -> Iterator[None]:
    """Charge `budget` for what the block renders."""
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


def sized(value: T) -> T:
    """Return `value` after paying for its size.

    Raises:
        TemplateError: If the budget is used up, or an integer is too long.
    """
    if isinstance(value, str | bytes | list | tuple | dict | set):
        _budget.get().spend(len(value))
    elif isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise TemplateError(f"a template may calculate with integers of {_MAX_BITS} bits, not {value.bit_length()}")
    return value


def text(value: object) -> str:
    """Return `str(value)` after paying for its length; shared and cyclic parts are paid each time they print.

    Raises:
        TemplateError: If the budget is used up, or the value is nested too deeply.
    """
    _measure(value, _budget.get(), 0)
    return soft_str(value)  # keeps text that was marked as safe


def _measure(value: object, budget: Budget, depth: int) -> None:
    if isinstance(value, str):
        budget.spend(len(value) + STEP_UNITS * (depth > 0))
    elif isinstance(value, Mapping | Sequence | AbstractSet) and not isinstance(value, bytes | range):
        if depth > _MAX_DEPTH:
            raise TemplateError(f"a value nested deeper than {_MAX_DEPTH} levels cannot be rendered; is it cyclic?")
        budget.spend(STEP_UNITS)
        parts = itertools.chain.from_iterable(value.items()) if isinstance(value, Mapping) else value
        for part in parts:
            _measure(part, budget, depth + 1)
    elif isinstance(value, type) or inspect.isroutine(value):
        raise TemplateError(f"a {type(value).__name__} cannot be rendered: {short_repr(value)}; call it, or pass data")
    else:
        sized(value)
        budget.spend(STEP_UNITS)


def counted(values: Any) -> Any:
    """Return what a loop goes through: each turn is paid for, before it if the length is known."""
    if isinstance(values, Sized):
        _budget.get().spend(len(values) * STEP_UNITS)
        return values
    return _counting(values)


def _counting(values: Iterable[T]) -> Generator[T, None, None]:
    for value in values:
        _budget.get().step()
        yield value


def bounded_range(*bounds: int) -> range:
    """Return the range, if a template could go through it."""
    numbers = range(*bounds)
    most = MAX_UNITS // STEP_UNITS
    if numbers and abs(numbers[-1] - numbers[0]) // abs(numbers.step) >= most:  # len() overflows
        raise TemplateError(f"range{bounds} is too long for a template; the limit is {most} numbers")
    return numbers


def steps(count: int) -> None:
    """Pay for work that is worth `count` turns of a loop."""
    _budget.get().spend(count * STEP_UNITS)


def check_date_format(template: object) -> None:
    """Refuse a date format that asks for a width, which some platforms honour without bound.

    Raises:
        TemplateError: If a digit stands behind a `%`.
    """
    if isinstance(template, str) and re.search(r"%[^%A-Za-z]*\d", template):
        raise TemplateError(f"the date format {template!r:.100} asks for a width; write for example %Y-%m-%d")


def string_method(receiver: str, name: str) -> Callable[..., str]:
    """Return the bounded form of `receiver.join` or `receiver.replace`."""

    def join(values: Iterable[Any]) -> str:
        return _joined(receiver, values)

    def replace(old: str, new: str, count: int = -1) -> str:
        return _replace(receiver, old, new, count)

    return join if name == "join" else replace


# Operators


def add(left: Any, right: Any) -> Any:
    """Return `left + right`."""
    return sized(left + right)


def multiply(left: Any, right: Any) -> Any:
    """Return `left * right`, after paying for a repeated text or list."""
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | bytes | Sequence) and isinstance(times, int):
            _budget.get().spend(len(value) * max(times, 0))
            return left * right
        if isinstance(value, int) and isinstance(times, int) and value.bit_length() + times.bit_length() > _MAX_BITS:
            raise TemplateError(f"a template may calculate with integers of {_MAX_BITS} bits")
    return left * right


def power(base: Any, exponent: Any) -> Any:
    """Return `base ** exponent`."""
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > _MAX_BITS:
        raise TemplateError(f"{short_repr(base)} ** {short_repr(exponent)} is too large for a template")
    return base**exponent


def percent(left: Any, right: Any) -> Any:
    """Return `left % right`: the rest of a division, or a formatted text."""
    return _format(left, right) if isinstance(left, str | bytes) else left % right


# Filters


def _format(template: Any, values: Any) -> str:
    source = soft_str(template)
    for width, precision, star in _WIDE.findall(source):
        if star or "*" in source:
            raise TemplateError(f"{source!r:.100} takes a width from a value; write the number")
        for digits in (width, precision):
            check_width(int(digits[:18] or 0), f"{source!r:.100}")
    _measure(values, _budget.get(), 0)
    return cast("str", sized(source % values))


def _format_filter(value: Any, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise TemplateError("format takes positional or named values, not both")
    return _format(value, kwargs or args)


def _center(value: Any, width: int = 80) -> str:
    return sized(filters.do_center(text(value), check_width(width, "center")))


def _indent(value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    source = text(value)
    each = len(width) if isinstance(width, str) else check_width(width, "indent")
    _budget.get().spend((source.count("\n") + 2) * each)
    return filters.do_indent(source, width, first, blank)


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    source, before, after = text(value), text(old), text(new)
    times = source.count(before) if count is None or count < 0 else min(count, source.count(before))
    _budget.get().spend(len(source) + times * len(after))
    return source.replace(before, after, -1 if count is None else count)


@jinja2.pass_environment
def _join(environment: jinja2.Environment, value: Iterable[Any], d: str = "", attribute: Any = None) -> str:
    items = map(filters.make_attrgetter(environment, attribute), value) if attribute is not None else value
    return _joined(text(d), items)


def _joined(separator: str, values: Iterable[Any]) -> str:
    parts = []
    for value in values:
        _budget.get().spend(len(separator))
        parts.append(text(value))
    return separator.join(parts)


@jinja2.pass_environment
def _sum(environment: jinja2.Environment, value: Iterable[Any], attribute: Any = None, start: Any = 0) -> Any:
    total = start
    for item in map(filters.make_attrgetter(environment, attribute), value) if attribute is not None else value:
        total = add(total, item)
    return total


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > 100:
        raise TemplateError(f"round: a precision of {precision} is beyond the limit of 100")
    return filters.do_round(value, precision, method)


def _tojson(value: Any, indent: int | None = None) -> str:
    """Plain JSON, not escaped for HTML: prompts are read by models."""
    _measure(value, _budget.get(), 0)
    if isinstance(value, Undefined):
        raise TemplateError("tojson: the value is not defined")
    wide = None if indent is None else min(check_width(indent, "tojson"), 64)
    return sized(json.dumps(value, ensure_ascii=False, indent=wide))


def _batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Iterator[list[Any]]:
    return filters.do_batch(value, check_width(linecount, "batch"), fill_with)


def _slice(value: Any, slices: int, fill_with: Any = None) -> Iterator[list[Any]]:
    return filters.sync_do_slice(value, check_width(slices, "slice"), fill_with)


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        return sized(function(*args, **kwargs))

    return bounded


_HARMLESS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "filesizeformat", "first", "float",
    "forceescape", "groupby", "int", "items", "last", "length", "list", "lower", "map", "max", "min", "reject",
    "rejectattr", "reverse", "safe", "select", "selectattr", "sort", "striptags", "title", "trim", "truncate",
    "unique", "upper", "urlencode", "wordcount",
)  # fmt: skip

FILTERS: dict[str, Callable[..., Any]] = {
    **{name: _bounded(filters.FILTERS[name]) for name in _HARMLESS},
    "_counted": counted,
    "batch": _batch,
    "center": _center,
    "format": _format_filter,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "slice": _slice,
    "string": text,
    "sum": _sum,
    "tojson": _tojson,
}
"""All filters there are. Left out: `attr`, which reaches attributes, `random`, and those that are for HTML pages."""
