"""f-string style templates: what they render, and what they refuse."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import re
from decimal import Decimal
from typing import NamedTuple

import msgspec
import pydantic
import pytest

from eino.errors import TemplateError
from eino.schema import Document, format_text, parse_template


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Account:
    owner: str
    _pin: str = "1234"

    @property
    def secret(self) -> str:
        raise AssertionError("a template must not run a property")

    def method(self) -> str:
        raise AssertionError("a template must not call a method")


class Struct(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    name: str


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


VALUES: dict[str, object] = {
    "name": "Ada",
    "m": {"b": 1, "2": "two", 3: "three", "_x": "plain data"},
    "l": ["a", "b"],
    "n": 42,
    "f": 0.256,
    "two": 2.0,
    "big": 1234567,
    "none": None,
    "yes": True,
    "doc": Document(content="the text", id="1"),
    "account": Account("Bob"),
    "struct": Struct("S"),
    "model": Model(name="M"),
    "point": Point(1, 2),
    "colour": Colour.RED,
    "level": Level.HIGH,
    "day": dt.date(2024, 1, 2),
    "price": Decimal("3.50"),
    "raw": b"\x01\x02",
    "tags": {"b", "a"},
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{name}", "Ada"),
        ("Hi {name}, {name}!", "Hi Ada, Ada!"),
        ("{{}}", "{}"),
        ("{{{name}}}", "{Ada}"),
        ('{{"k": {n}}}', '{"k": 42}'),
        ("{m.b} {m[b]}", "1 1"),
        ("{m.2} {m.3}", "two three"),
        ("{m._x}", "plain data"),
        ("{l[0]}{l.1}", "ab"),
        ("{n:>5}|{n:<5}|{n:*^7}|{n:05d}", "   42|42   |**42***|00042"),
        ("{f:.2f} {f:%} {f:.1%} {n:.1f}", "0.26 25.600000% 25.6% 42.0"),
        ("{two} {two:>4} {two:.1f} {two:d} {two:e}", "2    2 2.0 2 2.000000e+00"),
        ("{big:,} {big:_} {n:x} {n:#b} {n:+d}", "1,234,567 1_234_567 2a 0b101010 +42"),
        ("{name:>5}{name:.2s}", "  AdaAd"),
        ("{none} {yes} {none:>6} {yes:<5}|", "<nil> true  <nil> true |"),
        ("{doc}", "the text"),
        ("{doc.content} {account.owner} {struct.name} {model.name}", "the text Bob S M"),
        ("{point.x} {point[1]} {point}", "1 2 [1 2]"),
        ("{colour} {level}", "red 3"),
        ("{day} {day:%Y/%m/%d}", "2024-01-02 2024/01/02"),
        ("{price} {price:.1f}", "3.50 3.5"),
        ("{raw} {tags}", "[1 2] [a b]"),
        ("{l}", "[a b]"),
    ],
)
def test_renders_the_documented_outcomes(source: str, text: str) -> None:
    """X15: the table of core-semantics 1.4, and what Python users expect beside it."""
    assert format_text(source, VALUES) == text


@pytest.mark.parametrize("source", ["{}", "{0}", "{:s}"])
def test_no_name_means_all_variables(source: str) -> None:
    assert format_text(source, {"b": [None, 1.5], "a": {"k": True}}) == "map[a:map[k:true] b:[<nil> 1.5]]"


def test_parts_of_all_variables_can_be_named() -> None:
    assert format_text("{0.a} {0[a]} {[a]}", {"a": 1}) == "1 1 1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1e6, "1000000"),
        (123456.789, "123456.789"),
        (-1.5, "-1.5"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.25e22, "1.25e+22"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1.5e-7, "1.5e-07"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
        (5e-324, "5e-324"),
    ],
)
def test_floats_print_their_shortest_digits(value: float, text: str) -> None:
    assert format_text("{x}", {"x": value}) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{nope}", "could not find key: nope"),
        ("{ name }", "could not find key:  name "),
        ("{name!r}", "could not find key: name!r"),
        ('{"a": 1}', "write '{{' and '}}'"),
        ("{m.c}", "could not find key: c, in {m.c}; the keys are"),
        ("{l[7]}", "index out of bounds: 7, in {l[7]}; the length is 2"),
        ("{l[x]}", "could not parse index: x"),
        ("{l[-1]}", "could not parse index: -1"),
        ("{l[99999999999999999999]}", "index out of bounds"),
        ("{name.upper}", "could not find field: upper, in {name.upper} of a str"),
        ("{account.secret}", "could not find field: secret"),
        ("{account.method}", "could not find field: method"),
        ("{account._pin}", "could not find field: _pin"),
        ("{none.x}", "could not find field: x"),
        ("{name:d}", "does not fit the value 'Ada'"),
        ("{yes:d}", "does not fit the value True"),
        ("{n:s>5.2d}", "does not fit the value 42"),
    ],
)
def test_values_that_are_missing_or_do_not_fit_are_named(source: str, message: str) -> None:
    template = parse_template(source)

    with pytest.raises(TemplateError, match=re.escape(message)):
        template.render(VALUES)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{name", "Single '{' encountered in format string"),
        ("{", "Single '{' encountered in format string"),
        ("name}", "Single '}' encountered in format string"),
        ("}", "Single '}' encountered in format string"),
        ("{n:{width}}", "Single '{' encountered in format string"),
        ("{1}", "index out of bounds: 1"),
        ("{}{}", "index out of bounds: 1"),
        ("{m.}", "cannot be read at '.'"),
        ("{m[}", "cannot be read at '['"),
        ("{l[0]x}", "cannot be read at 'x'"),
        ("{n:zz}", "unknown format specification 'zz'"),
        ("{n:n}", "unknown format specification 'n'"),
        ("{x.__class__}", "access to '__class__' in {x.__class__} is refused"),
        ("{x[__class__]}", "access to '__class__' in {x[__class__]} is refused"),
        ("{m.b.__init__.__globals__}", "access to '__init__'"),
        ("{n:>999999999}", "width or precision of 999999999; the limit is 10000"),
        ("{n:.99999f}", "width or precision of 99999; the limit is 10000"),
        ("{n:>9999999999999999999999}", "width or precision of 9999999999999999999999"),
        ("{day:%9999Y}", "unknown format specification '%9999Y'"),
    ],
)
def test_what_is_wrong_in_the_text_is_found_when_it_is_parsed(source: str, message: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(message)):
        parse_template(source)


def test_the_highest_width_is_allowed() -> None:
    assert len(format_text("{n:>10000}", VALUES)) == 10_000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(10**5000, "bits is too long", id="long integer"),
        pytest.param(Broken(), "str() of a Broken failed: no text", id="str that raises"),
    ],
)
def test_values_without_a_text_are_refused(value: object, message: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(message)):
        format_text("{x}", {"x": value})


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        pytest.param(10**5000, "d", id="digits"),
        pytest.param(10**400, "f", id="float"),
        pytest.param(Decimal("1e99999"), "f", id="decimal"),
    ],
)
def test_numbers_too_long_for_their_format_are_refused(value: object, spec: str) -> None:
    with pytest.raises(TemplateError, match="does not fit the value"):
        format_text("{x:" + spec + "}", {"x": value})


def test_cyclic_and_shared_containers_are_bounded() -> None:
    """A list that contains itself, and one whose text grows exponentially, end with an error at once."""
    cyclic: list[object] = []
    cyclic.append(cyclic)
    shared: list[object] = ["x"]
    for _ in range(50):
        shared = [shared, shared]

    with pytest.raises(TemplateError, match="is it cyclic"):
        format_text("{x}", {"x": cyclic})
    with pytest.raises(TemplateError, match="produces too much"):
        format_text("{x}", {"x": shared})


def test_a_template_that_is_no_text_is_refused() -> None:
    with pytest.raises(TemplateError, match="a template must be a string, got 5"):
        parse_template(5)  # type: ignore[arg-type]


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(TemplateError, match="unknown format type: 'mustache'; use one of fstring, jinja2, go"):
        format_text("{x}", {}, "mustache")  # type: ignore[arg-type]


def test_the_variables_may_be_any_mapping() -> None:
    assert format_text("{a}", collections.ChainMap({"a": 1})) == "1"


def test_many_keys_are_cut_in_error_texts() -> None:
    with pytest.raises(TemplateError, match="and 30 more"):
        format_text("{x}", {f"k{number:02}": 0 for number in range(50)})


def test_attrs_style_classes_are_records_too() -> None:
    """The fields of an attrs class are found through its declaration, without importing attrs."""

    class Attribute:
        def __init__(self, name: str) -> None:
            self.name = name

    class Record:
        __attrs_attrs__ = (Attribute("city"),)
        city = "Oslo"

    assert format_text("{x.city}", {"x": Record()}) == "Oslo"
