"""Go's `printf` for templates: the common verbs, with bounded width and precision."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from eino.errors import TemplateError
from eino.schema._templates.budget import Budget, check_width
from eino.schema._templates.text import GO_EXPONENT, float_text, short_repr, value_text

__all__ = ["printf", "quoted"]

_DIRECTIVE = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.?)", re.DOTALL)
_QUOTED = {
    "\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", '"': r"\"", "\\": r"\\",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Directive:
    """One `%...` of a format."""

    source: str
    flags: str
    width: int
    precision: int | None
    verb: str


def printf(template: str, values: Sequence[object], budget: Budget) -> str:
    """Return `template` with its directives replaced by `values` in order.

    Raises:
        TemplateError: If a verb is not supported or does not fit its value, or the counts differ. Go prints such
            mistakes into the text (`%!d(string=x)`); a prompt is better off with an error.
    """
    out: list[str] = []
    at = used = 0
    for match in _DIRECTIVE.finditer(template):
        out.append(template[at : match.start()])
        at = match.end()
        directive = _directive(match)
        if directive.verb == "%":
            out.append("%")
            continue
        if used == len(values):
            raise TemplateError(f"printf: {directive.source} has no value; {len(values)} were given")
        out.append(_formatted(directive, values[used], budget))
        used += 1
    if used < len(values):
        raise TemplateError(f"printf: {len(values)} values were given, but {template!r:.100} takes {used}")
    return "".join((*out, template[at:]))


def quoted(text: str) -> str:
    """Return `text` as a Go string literal in double quotes."""
    return f'"{"".join(_quoted(char) for char in text)}"'


def _quoted(char: str) -> str:
    if char in _QUOTED:
        return _QUOTED[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _directive(match: re.Match[str]) -> _Directive:
    source, precision = match.group(), match.group("precision")
    for digits in (match.group("width"), precision or ""):
        check_width(int(digits[:18] or 0), f"printf: {source[:50]}")
    return _Directive(
        source,
        match.group("flags"),
        int(match.group("width") or 0),
        None if precision is None else int(precision or 0),
        match.group("verb"),
    )


def _formatted(directive: _Directive, value: object, budget: Budget) -> str:
    match directive.verb:
        case "v" if "#" not in directive.flags:
            text = _default(directive, value, budget)
        case "s" if _has_text(value):
            text = value_text(value, budget, exponent_from=GO_EXPONENT)[: directive.precision]
        case "q" if isinstance(value, str):
            text = quoted(value[: directive.precision])
        case "t" if isinstance(value, bool):
            text = value_text(value)
        case "c" if _is_int(value):
            text = _char(value)
        case "d" | "b" | "o" | "x" | "X" if _is_int(value):
            text = _integer(directive, value)
        case "x" | "X" if isinstance(value, str | bytes):
            text = _hex(directive, value)
        case "e" | "E" | "f" | "F" | "g" | "G" if _is_number(value):
            text = _float(directive, value)
        case _:
            raise TemplateError(_misfit(directive, value))
    budget.spend(len(text))
    return _padded(directive, text, zeros="0" in directive.flags and directive.verb not in "cqst" and _is_number(value))


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[int | float]:
    return _is_int(value) or isinstance(value, float)


def _has_text(value: object) -> bool:
    return value is not None and not isinstance(value, bool) and not _is_number(value)


def _misfit(directive: _Directive, value: object) -> str:
    if "#" in directive.flags or directive.verb not in tuple("vsqtcdboxXeEfFgG"):
        return f"printf: {directive.source!r} is not supported; there are %v %s %q %t %c %d %b %o %x %X %e %f %g and %%"
    return f"printf: {directive.source} does not fit {short_repr(value)}, a {type(value).__name__}; %v fits any value"


def _default(directive: _Directive, value: object, budget: Budget) -> str:
    if _is_int(value):
        return _integer(directive, value)
    if isinstance(value, float):
        return _float(directive, value)
    return value_text(value, budget, exponent_from=GO_EXPONENT)[: directive.precision]


def _char(value: int) -> str:
    return chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"


def _integer(directive: _Directive, value: int) -> str:
    base = directive.verb.replace("v", "d")
    try:
        digits = format(abs(value), base).rjust(directive.precision or 0, "0")
    except ValueError as error:
        raise TemplateError(f"printf: {directive.source} does not fit {short_repr(value)}: {error}") from error
    prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(base, "") if "#" in directive.flags else ""
    return f"{_sign(directive, negative=value < 0)}{prefix}{digits}"


def _sign(directive: _Directive, *, negative: bool) -> str:
    return "-" if negative else "+" if "+" in directive.flags else " " if " " in directive.flags else ""


def _hex(directive: _Directive, value: str | bytes) -> str:
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return data.hex().upper() if directive.verb == "X" else data.hex()


def _float(directive: _Directive, value: float) -> str:
    verb = directive.verb.replace("v", "g")
    try:
        number = float(value)
    except OverflowError as error:
        raise TemplateError(f"printf: {directive.source} does not fit {short_repr(value)}: {error}") from error
    if not math.isfinite(number):
        return float_text(number, GO_EXPONENT)
    if directive.precision is None and verb in "gG":
        text = float_text(abs(number), GO_EXPONENT)
        text = text.upper() if verb == "G" else text
    else:
        text = format(abs(number), f".{6 if directive.precision is None else directive.precision}{verb}")
    return f"{_sign(directive, negative=math.copysign(1.0, number) < 0)}{text}"


def _padded(directive: _Directive, text: str, *, zeros: bool) -> str:
    if "-" in directive.flags:
        return text.ljust(directive.width)
    return text.zfill(directive.width) if zeros else text.rjust(directive.width)
