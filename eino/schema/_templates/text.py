"""What a value looks like in f-string style and Go templates: the text that Go's `%v` prints."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from eino.errors import TemplateError
from eino.schema._templates.budget import STEP_UNITS, Budget

__all__ = ["GO_EXPONENT", "PLAIN_EXPONENT", "float_text", "short_repr", "value_text"]

PLAIN_EXPONENT = 21
"""Floats from 1e21 on are written with an exponent, as in JSON."""
GO_EXPONENT = 6
"""Go's own rule: floats whose shortest digits need an exponent of 6 or more are written with one, 1e+06."""
_MAX_DEPTH = 64
"""Containers nested deeper than this are refused: they are cyclic or no prompt material."""

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel = 2
_BRIEF.maxstring = _BRIEF.maxother = 100


def value_text(value: object, budget: Budget | None = None, *, exponent_from: int = PLAIN_EXPONENT) -> str:
    """Return the text of `value`: None is `<nil>`, True is `true`, 2.0 is `2`, a list `[a b]`, a mapping `map[k:v]`.

    Other objects print as `str()` does.

    Raises:
        TemplateError: If the value is nested too deeply, its text is too long, or its `__str__` fails.
    """
    if isinstance(value, str):
        return str.__str__(value)  # a member of a string enum prints as its value
    return _text(value, budget or Budget(), exponent_from, 0)


def short_repr(value: object) -> str:
    """Return about 100 characters that show `value` in an error text; never raises, and never walks it all."""
    try:
        return _BRIEF.repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _text(value: object, budget: Budget, exponent_from: int, depth: int) -> str:
    text = _scalar_text(value, exponent_from)
    if text is None:
        if depth > _MAX_DEPTH:
            raise TemplateError(f"a value nested deeper than {_MAX_DEPTH} levels cannot be rendered; is it cyclic?")
        return _container_text(value, budget, exponent_from, depth + 1)
    budget.spend(len(text) + STEP_UNITS)
    return text


def _scalar_text(value: object, exponent_from: int) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _int_text(value)
    if isinstance(value, float):
        return float_text(value, exponent_from)
    return None


def _int_text(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError as error:
        raise TemplateError(f"an integer of {value.bit_length()} bits is too long to be rendered") from error


def float_text(value: float, exponent_from: int) -> str:
    """Return the shortest text that reads back as `value`, with an exponent below 1e-4 and from `exponent_from` on."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    digits, exponent = _shortest_digits(value)
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if exponent < -4 or exponent >= exponent_from:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{exponent:+03d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _shortest_digits(value: float) -> tuple[str, int]:
    """Return the digits of the shortest text of `value` and the power of ten of the first one."""
    mantissa, _, power = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).rstrip("0")
    leading = len(digits) - len(digits.lstrip("0"))
    if leading == len(digits):
        return "0", 0
    return digits[leading:], len(whole) - 1 - leading + int(power or 0)


def _container_text(value: object, budget: Budget, exponent_from: int, depth: int) -> str:
    if isinstance(value, Mapping):
        pairs = [":".join(_texts(pair, budget, exponent_from, depth)) for pair in value.items()]
        return f"map[{' '.join(sorted(pairs))}]"
    if isinstance(value, AbstractSet):
        return f"[{' '.join(sorted(_texts(value, budget, exponent_from, depth)))}]"
    if isinstance(value, Sequence):
        return f"[{' '.join(_texts(value, budget, exponent_from, depth))}]"
    try:
        text = str(value)
    except Exception as error:
        raise TemplateError(f"str() of a {type(value).__name__} failed: {error}") from error
    budget.spend(len(text))
    return text


def _texts(values: Iterable[object], budget: Budget, exponent_from: int, depth: int) -> list[str]:
    return [_text(value, budget, exponent_from, depth) for value in values]
