"""Laws of templates: they render or raise `TemplateError`, and never evaluate anything beyond their variables."""

from __future__ import annotations

import contextlib
import dataclasses
import string
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eino.errors import TemplateError
from eino.schema import format_text, parse_template

Syntax = Literal["fstring", "jinja2", "go"]
SYNTAXES: list[Syntax] = ["fstring", "jinja2", "go"]
SECRET = "s3cr3t-0xC0FFEE"


@dataclasses.dataclass
class Trap:
    """A record with one field; everything else about it is a trap."""

    field: str = "value"

    @property
    def prop(self) -> str:
        raise AssertionError("a property was run")

    def method(self, *args: object) -> str:
        raise AssertionError("a method was called")

    def __call__(self, *args: object) -> str:
        raise AssertionError("a variable was called")

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return "trap"


Trap.__globals_secret__ = SECRET  # type: ignore[attr-defined]  # what must never show

plain_text = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]))
names = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(lambda name: not name.startswith("_"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)

EXPRESSIONS: dict[Syntax, list[str]] = {
    "fstring": ["{", "}", "{{", "}}", "{x}", "{t", ".", "[", "]", ":", "!", "0", "__class__", "field", "prop", "method",
                "__init__", "__globals__", ">", "9" * 9, "%", "d", "f", "s"],
    "jinja2": ["{{", "}}", "{%", "%}", "{#", "#}", " x ", " t ", ".", "|", "()", "(", ")", "['", "']", "__class__", "field",
               "prop", "method", "for i in x", "endfor", "if t", "endif", "range(9**9)", "'a'", "*", "**", "9" * 9, "~",
               "attr('__class__')", "format", "map", "join", "tojson", "include 'x'", "import 'x' as y", "set a = x", "self",
               "loop", "cycler", "namespace", "__init__", "__globals__", "string", "center", "(", ",", "\n", "-"],
    "go": ["{{", "}}", "{{-", "-}}", ".x", ".t", ".field", ".prop", ".method", ".__class__", " ", "|", "(", ")", "if", "range",
           "with", "end", "else", "$v", ":=", "=", "printf", '"%d"', '"%999999999d"', "len", "index", "call", "template",
           "9" * 9, "'a'", '"', "`", "/*", "*/", "and", "or", "eq", "print", "break", "$", ",", "nil", "\n"],
}  # fmt: skip


def sources(syntax: Syntax) -> st.SearchStrategy[str]:
    pieces = st.sampled_from(EXPRESSIONS[syntax]) | plain_text.map(lambda text: text[:5])
    loose = st.lists(pieces, max_size=14).map("".join)
    if syntax == "fstring":
        return loose
    inner = [piece for piece in EXPRESSIONS[syntax] if not piece.startswith(("{", "}", "-}", "%}", "#}"))]
    closed = st.lists(st.sampled_from(inner), min_size=1, max_size=5).map(lambda parts: "{{" + "".join(parts) + "}}")
    return loose | st.lists(closed, max_size=3).map("".join)


@given(data=st.data())
@pytest.mark.parametrize("syntax", SYNTAXES)
@settings(max_examples=300)
def test_any_text_renders_or_raises_a_template_error(syntax: Syntax, data: st.DataObject) -> None:
    """No other exception, no call, no property, no attribute but declared fields, and nothing of the interpreter."""
    source = data.draw(sources(syntax))
    variables: dict[str, object] = {"x": [1, {"y": "z"}], "t": Trap()}

    with contextlib.suppress(TemplateError):
        text = format_text(source, variables, syntax)
        assert SECRET not in text
        assert "<class" not in text
        assert "<bound method" not in text
    assert variables["x"] == [1, {"y": "z"}]


@given(text=plain_text)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_text_without_braces_stays_as_it_is(syntax: Syntax, text: str) -> None:
    assert format_text(text, {}, syntax) == text


@given(value=st.text(), before=plain_text, after=plain_text, name=names)
@example(value="{{ x }}{x}{{.x}}{% for %}", before="", after="", name="x")
def test_a_value_is_inserted_and_never_read_as_a_template(value: str, before: str, after: str, name: str) -> None:
    """Prompt injection stays data: braces in a value are braces in the result, whatever the format."""
    expected = before + value + after
    if name not in KEYWORDS:
        assert format_text(f"{before}{{{name}}}{after}", {name: value}) == expected
        assert format_text(f"{before}{{{{.{name}}}}}{after}", {name: value}, "go") == expected
        if "\r" not in before + after:  # Jinja2 turns each kind of line end of the template into "\n"
            assert format_text(f"{before}{{{{ {name} }}}}{after}", {name: value}, "jinja2") == expected


KEYWORDS = {"and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None", "loop", "self",
            "range", "dict", "cycler", "joiner", "namespace", "recursive", "caller", "varargs", "kwargs"}  # fmt: skip


@given(value=values)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_rendering_is_repeatable_and_leaves_values_alone(syntax: Syntax, value: Any) -> None:
    source = {"fstring": "{x}|{x}", "jinja2": "{{ x }}|{{ x }}", "go": "{{.x}}|{{.x}}"}[syntax]
    template = parse_template(source, syntax)
    before = repr(value)

    first = template.render({"x": value})

    assert template.render({"x": value}) == first
    assert first[: len(first) // 2] == first[len(first) // 2 + 1 :]
    assert repr(value) == before


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back(value: float) -> None:
    """The text of a float names exactly this float, in both notations."""
    assert float(format_text("{x}", {"x": value})) == value
    assert float(format_text("{{.x}}", {"x": value}, "go")) == value


@given(
    value=st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    align=st.sampled_from(["", "<", ">", "^", "*^"]),
    width=st.integers(0, 30),
    precision=st.integers(0, 10),
)
def test_number_formats_are_those_of_python(value: float, align: str, width: int, precision: int) -> None:
    spec = f"{align}{width or ''}.{precision}f"

    assert format_text("{x:" + spec + "}", {"x": value}) == format(value, spec)


@given(value=st.integers(-(2**70), 2**70), flags=st.sampled_from(["", "-", "+", "0", " "]), width=st.integers(0, 20))
def test_integer_directives_of_go_are_those_of_c(value: int, flags: str, width: int) -> None:
    """For `%d` with one flag, C, Go and Python's `%` operator agree."""
    directive = f"%{flags}{width or ''}d"

    assert format_text('{{printf "' + directive + '" .x}}', {"x": value}, "go") == directive % value


@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    verb=st.sampled_from("feE"),
    width=st.integers(0, 20),
    precision=st.integers(0, 10),
)
def test_float_directives_of_go_are_those_of_c(value: float, verb: str, width: int, precision: int) -> None:
    directive = f"%{width or ''}.{precision}{verb}"

    assert format_text('{{printf "' + directive + '" .x}}', {"x": value}, "go") == directive % value
