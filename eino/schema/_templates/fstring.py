"""f-string style templates: `{name}`, `{user.name}`, `{items[0]}`, `{price:.2f}`, `{{` and `}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal

from eino.errors import TemplateError
from eino.schema._templates.budget import MAX_FIELD_WIDTH, check_width
from eino.schema._templates.text import short_repr, value_text
from eino.schema._templates.walk import check_name, some_names, step

__all__ = ["FStringTemplate"]

_BRACE = re.compile(r"[{}]")
_SPEC = re.compile(
    r"(?:(?P<fill>.)?(?P<align>[<>=^]))?(?P<sign>[+\- ]?)(?P<alternate>#?)(?P<zero>0?)(?P<width>\d*)(?P<group>[,_]?)"
    r"(?:\.(?P<precision>\d+))?(?P<type>[bdoxXeEfFgGs%]?)",
    re.DOTALL,
)
_FLOAT_SPEC = re.compile(r"\.\d+.?$|[eEfFgG%]$")
_DATE_SPEC = re.compile(r"(?:[^%]|%-?[A-Za-z%])+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Field:
    """One `{...}` of a template."""

    source: str
    """The field as it stands in the template, for error texts."""
    name: str | None
    """The variable; None means all of them."""
    path: tuple[str, ...]
    """Names and indices from the variable to the value."""
    spec: str
    """What stands behind the colon; checked when the template was parsed."""

    def text(self, variables: Mapping[str, object]) -> str:
        value = self._value(variables)
        return _format(value, self.spec, self.source) if self.spec else value_text(value)

    def _value(self, variables: Mapping[str, object]) -> object:
        value: object = variables
        if self.name is None:
            pass
        elif self.name in variables:
            value = variables[self.name]
        else:
            raise TemplateError(
                f"could not find key: {self.name}, in {self.source}; the variables are {some_names(variables)};"
                " write '{{' and '}}' for braces that are no field"
            )
        for part in self.path:
            value = step(value, part, self.source)
        return value


class FStringTemplate:
    """A parsed template. Braces, indices and format specifications are checked when it is made."""

    __slots__ = ("_parts",)

    def __init__(self, source: str) -> None:
        """Parse `source`.

        Raises:
            TemplateError: If a brace is alone, a name is refused, or a format specification is not understood.
        """
        self._parts = tuple(_parse(source))

    def render(self, variables: Mapping[str, object]) -> str:
        """Return the template's text with each field replaced by its value.

        Raises:
            TemplateError: If a value is missing or does not fit its format specification.
        """
        return "".join([part if isinstance(part, str) else part.text(variables) for part in self._parts])


def _parse(source: str) -> list[str | _Field]:
    parts: list[str | _Field] = []
    at, unnamed = 0, 0
    while (brace := _BRACE.search(source, at)) is not None:
        start = brace.start()
        if start > at:
            parts.append(source[at:start])
        if source.startswith(brace.group() * 2, start):
            parts.append(brace.group())
            at = start + 2
            continue
        end = _field_end(source, start)
        field = _parse_field(source[start:end], unnamed)
        unnamed += source[start + 1] in "}:.["
        parts.append(field)
        at = end
    if at < len(source):
        parts.append(source[at:])
    return parts


def _field_end(source: str, start: int) -> int:
    """Return where the field that opens at `start` ends."""
    closing = _BRACE.search(source, start + 1) if source[start] == "{" else None
    if closing is None or closing.group() == "{":
        brace = source[start]
        raise TemplateError(
            f"Single '{brace}' encountered in format string, at position {start}:"
            f" {source[max(0, start - 20) : start + 20]!r}; write '{brace * 2}' for the brace itself"
        )
    return closing.end()


def _parse_field(source: str, unnamed: int) -> _Field:
    name, _, spec = source[1:-1].partition(":")
    first, *rest = _split_name(name, source)
    head = first or str(unnamed)
    if head.isascii() and head.isdecimal():
        if head.strip("0"):
            raise TemplateError(f"index out of bounds: {head[:20]}, in {source}; {{0}} is the mapping of all variables")
        head = ""
    tail = tuple(check_name(part, source) for part in rest)
    return _Field(source, head or None, tail, _check_spec(spec, source))


def _split_name(name: str, source: str) -> list[str]:
    """Return the parts of `a.b[c]`: a, b, c."""
    first = re.match(r"[^.\[\]]*", name)
    parts = [first.group() if first else ""]
    at = len(parts[0])
    while at < len(name):
        part = re.compile(r"\.([^.\[\]]+)|\[([^\[\]]+)\]").match(name, at)
        if part is None:
            raise TemplateError(f"{source} cannot be read at {name[at:]!r}; write {{a.b}} or {{a[b]}}")
        parts.append(part.group(1) or part.group(2))
        at = part.end()
    return parts


def _check_spec(spec: str, source: str) -> str:
    match = _SPEC.fullmatch(spec)
    if match is None:
        if "%" in spec and _DATE_SPEC.fullmatch(spec) and len(spec) <= MAX_FIELD_WIDTH:
            return spec
        raise TemplateError(f"{source} has the unknown format specification {spec!r}; write for example :>5 or :.2f")
    for part in ("width", "precision"):
        digits = match.group(part) or "0"
        if len(digits) > 18:
            raise TemplateError(f"{source} asks for a width or precision of {digits[:30]}")
        check_width(int(digits), source)
    return spec


def _format(value: object, spec: str, source: str) -> str:
    try:
        return _formatted(value, spec)
    except (ValueError, TypeError, OverflowError) as error:
        raise TemplateError(f"{source} does not fit the value {short_repr(value)}: {error}") from error


def _formatted(value: object, spec: str) -> str:
    kind = spec[-1]
    if isinstance(value, date | time) and _SPEC.fullmatch(spec) is None:
        return value.strftime(spec)
    if kind == "s" or isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return format(value_text(value), spec)
    if isinstance(value, Decimal):
        return _format_decimal(value, spec)
    if isinstance(value, float) and abs(value) < 1e21 and value.is_integer() and not _FLOAT_SPEC.search(spec):
        return format(int(value), spec)  # 2.0 prints as 2, padded or not
    return format(value, spec)


def _format_decimal(value: Decimal, spec: str) -> str:
    if value.is_finite() and abs(value.adjusted()) > MAX_FIELD_WIDTH:
        raise ValueError(f"a decimal with exponent {value.adjusted()} is beyond the limit of {MAX_FIELD_WIDTH}")
    return format(value, spec)
