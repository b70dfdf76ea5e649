"""Jinja2 templates: what prompts use works, what reaches beyond the variables is refused, all is bounded."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Iterator

import pytest

from eino.errors import TemplateError
from eino.schema import Document, format_text, parse_template


@dataclasses.dataclass
class Record:
    name: str = "R"

    def danger(self) -> None:
        raise AssertionError("a template must not call a method")

    @property
    def prop(self) -> None:
        raise AssertionError("a template must not run a property")


class Opaque:
    attribute = 1

    def __call__(self) -> None:
        raise AssertionError("a template must not call a variable")

    def __getitem__(self, key: object) -> None:
        raise AssertionError("a template must not index an object that is no container")


VALUES: dict[str, object] = {
    "q": "hi",
    "m": {"a": 1, "items_": 2, 3: "three"},
    "l": ["a", "b"],
    "nested": [[1], [2]],
    "people": [{"name": "Ann", "age": 3}, {"name": "Bob", "age": 5}],
    "tree": [{"n": 1, "c": [{"n": 2, "c": []}]}],
    "record": Record(),
    "records": [Record("x"), Record("y")],
    "opaque": Opaque(),
    "function": lambda: 1,
    "yes": True,
    "none": None,
    "now": dt.datetime(2024, 1, 2, 3, 4, 5),
    "doc": Document(content="the text", id="1"),
}


def render(source: str) -> str:
    return format_text(source, VALUES, "jinja2")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("no action", "no action"),
        ("{{q}} {{ q }}{# note #}", "hi hi"),
        ("[{{ missing }}][{{ m.missing }}][{{ l[9] }}][{{ none.x }}][{{ q.x }}]", "[][][][][]"),
        ("{{ yes }} {{ none }} {{ 1.5 }} {{ l }}", "True None 1.5 ['a', 'b']"),
        ("{{ m.a }} {{ m['a'] }} {{ m[3] }} {{ l[0] }} {{ l[-1] }} {{ l[0:1] }} {{ q[0] }}", "1 1 three a b ['a'] h"),
        ("{{ m.items()|list|length }} {{ m.keys()|first }} {{ m.get('zz', 5) }}", "3 a 5"),
        ("{{ record.name }} {{ records|map(attribute='name')|join(',') }} {{ doc }} {{ doc.content }}", "R x,y the text the text"),
        ("{% for k, v in m.items() %}{{ loop.index }}{{ k }}{% if not loop.last %},{% endif %}{% endfor %}", "1a,2items_,33"),
        ("{% for x in missing %}x{% else %}none{% endfor %}", "none"),
        ("{% for x in l if x != 'a' %}{{ x }}{% endfor %}", "b"),
        ("{% for x in l %}{{ loop.cycle('o', 'e') }}{{ loop.previtem }}{{ loop.changed(x) }}{% endfor %}", "oTrueeaTrue"),
        ("{% for x in l|map('upper') %}{{ loop.length }}{{ x }}{% endfor %}", "2A2B"),
        ("{% for i in tree recursive %}{{ i.n }}{% if i.c %}({{ loop(i.c) }}){% endif %}{% endfor %}", "1(2)"),
        ("{% if yes and not none %}A{% elif q %}B{% else %}C{% endif %}", "A"),
        ("{% set x = 3 %}{{ x + 1 }} {{ x * 2 }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 8 }} {{ 7 % 4 }} {{ -x }}", "4 6 3 3.5 256 3 -3"),
        ("{{ 'a' ~ 1 ~ none }} {{ 'a' + 'b' }} {{ 'a' * 3 }} {{ 2 * [1] }} {{ [1] + [2] }} {{ 1.5 * 2 }}", "a1None ab aaa [1, 1] [1, 2] 3.0"),
        ("{{ '%s-%05.1f' % ('a', 2) }} {{ '%s'|format('b') }} {{ '%(x)s'|format(x='c') }}", "a-002.0 b c"),
        ("{{ 'a-b'.split('-') }} {{ 'aXb'.replace('X', '-') }} {{ ','.join(l) }} {{ q.upper() }} {{ ' x '.strip() }}", "['a', 'b'] a-b a,b HI x"),
        ("{{ 'aXb'|replace('X', '-') }} {{ 'aaa'|replace('a', 'b', 2) }} {{ l|join(', ') }} {{ l|join }}", "a-b bba a, b ab"),
        ("{{ q|upper }} {{ q|capitalize }} {{ 'a b'|title }} {{ q|length }} {{ ' x '|trim }} {{ q|first }}", "HI Hi A B 2 x h"),
        ("{{ m|tojson }} {{ {'ä': '<'}|tojson }} {{ [1]|tojson(indent=1) }}", '{"a": 1, "items_": 2, "3": "three"} {"ä": "<"} [\n 1\n]'),
        ("{{ 'a\nb'|indent(2) }}|{{ 'a\nb'|indent('> ', true) }}|{{ 'x'|center(5) }}|", "a\n  b|> a\n> b|  x  |"),
        ("{{ [1, 2]|sum }} {{ people|sum('age') }} {{ nested|sum(start=[]) }} {{ people|map(attribute='age')|max }}", "3 8 [1, 2] 5"),
        ("{{ 2.567|round(1) }} {{ [3, 1]|sort }} {{ [1, 2, 3]|batch(2)|list }} {{ [1, 2, 3]|slice(2)|list }}", "2.6 [1, 3] [[1, 2], [3]] [[1, 2], [3]]"),
        ("{{ people|selectattr('age', 'gt', 4)|map(attribute='name')|list }} {{ l|string }}", "['Bob'] ['a', 'b']"),
        ("{{ missing|default('d') }} {{ missing is defined }} {{ q is string }} {{ 3 is odd }} {{ 'a' in l }}", "d False True True True"),
        ("{% macro greet(a, b='z') %}{{ a }}{{ b }}{% endmacro %}{{ greet('1') }}{{ greet('1', b=2) }}", "1z12"),
        ("{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}x{% endcall %}", "[x]"),
        ("{% filter upper %}a{{ q }}{% endfilter %}{% set x %}b{{ q }}{% endset %}{{ x }}", "AHIbhi"),
        ("{% block a %}hi{% endblock %}{{ self.a() }}", "hihi"),
        ("{% with x = 1 %}{{ x }}{% endwith %}{% raw %}{{ q }}{% endraw %}", "1{{ q }}"),
        ("{% set ns = namespace(n=0) %}{% for x in l %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{% set j = joiner('-') %}{{ j() }}x{{ j() }}", "abx-"),
        ("{{ dict(a=1).a }} {{ range(3)|list }} {{ range(3, 0, -1)|list }} {{ range(0)|list }}", "1 [0, 1, 2] [3, 2, 1] []"),
        ("{{ now.strftime('%Y-%m-%d') }} {{ now.year }} {{ now.isoformat() }} {{ now.date() }}", "2024-01-02 2024 2024-01-02T03:04:05 2024-01-02"),
        ("  {%- if yes %} a {%- endif %}\n", " a\n"),
    ],
)  # fmt: skip
def test_what_prompts_use_works(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize("keyword", ["include", "import", "extends", "from"])
def test_statements_that_reach_for_other_templates_are_disabled(keyword: str) -> None:
    statement = {
        "include": "{% include 'x' %}",
        "import": "{% import 'x' as y %}",
        "extends": "{% extends 'x' %}",
        "from": "{% if yes %}{% from 'x' import y %}{% endif %}",
    }[keyword]

    with pytest.raises(TemplateError, match=re.escape(f"keyword[{keyword}] has been disabled")):
        parse_template(statement, "jinja2")


@pytest.mark.parametrize("name", ["file", "fileset"])
def test_filters_that_read_files_are_disabled(name: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(f"keyword[{name}] has been disabled")):
        parse_template("{{ q|" + name + " }}", "jinja2")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ ''.__class__ }}", "access to '__class__' in line 1 of a jinja2 template is refused"),
        ("{{ [].__class__.__base__.__subclasses__() }}", "is refused"),
        ("{% for x in l %}{{ loop.__class__ }}{% endfor %}", "access to '__class__'"),
        ("{{ q|attr('__class__') }}", "No filter named 'attr'"),
        ("{{ q|nope }}", "No filter named 'nope'"),
        ("{{ q is nope }}", "No test named 'nope'"),
        ("{{ unclosed", "jinja2 template, line 1: unexpected end of template"),
        ("\n{% if %}", "jinja2 template, line 2: Expected an expression"),
        ("{% do 1 %}", "unknown tag 'do'"),
        ("{{ " + "9" * 5000 + " }}", "cannot be compiled"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "cannot be compiled"),
        ("{% for a in l %}" * 30 + "{% endfor %}" * 30, "cannot be compiled"),
    ],
)
def test_what_is_wrong_in_the_text_is_found_when_it_is_parsed(source: str, message: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(message)):
        parse_template(source, "jinja2")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''['__class__'] }}",
        "{{ l|map(attribute='__class__')|list }}",
        "{{ record['__class__'] }}",
        "{{ (record|string)['__class__'] }}",
        "{{ l|sort(attribute='__len__') }}",
        "{{ record.danger }}",
        "{{ record.danger() }}",
        "{{ record.prop }}",
        "{{ opaque.attribute }}",
        "{{ opaque[0] }}",
        "{{ opaque['attribute'] }}",
        "{{ q.format(1) }}",
        "{{ q.encode() }}",
        "{{ 'x'.ljust(10) }}",
        "{{ l.append(1) }}",
        "{{ (5).real }}",
        "{{ self._TemplateReference__context }}",
        "{{ self['__class__'] }}",
        "{{ cycler['__init__'] }}",
        "{{ range['__doc__'] }}",
        "{% macro f() %}{% endmacro %}{{ f['__call__'] }}{{ f.name }}",
    ],
)
def test_attributes_are_refused(source: str) -> None:
    with pytest.raises(TemplateError, match=r"access to '.*' of a .* is refused|access to '__"):
        render(source)


@pytest.mark.parametrize("source", ["{{ function() }}", "{{ opaque() }}", "{{ q() }}", "{{ l|map('function')|list }}"])
def test_variables_are_never_called(source: str) -> None:
    with pytest.raises(TemplateError, match=r"is refused: templates read variables|No filter named 'function'"):
        render(source)


@pytest.mark.parametrize("source", ["{{ range }}", "{{ cycler }}", "{{ [dict] }}", "{{ q.upper }}", "{{ function }}"])
def test_functions_and_classes_are_not_printed(source: str) -> None:
    with pytest.raises(TemplateError, match="cannot be rendered"):
        render(source)


def test_a_bound_method_among_the_variables_is_not_called() -> None:
    with pytest.raises(TemplateError, match="calls a method, which is refused"):
        format_text("{{ f() }}", {"f": Record().danger}, "jinja2")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ missing.a }}", "'missing' is undefined"),
        ("{{ missing() }}", "'missing' is undefined"),
        ("{{ m.update({}) }}", "has no attribute 'update'"),
        ("{{ debug() }} ", "'debug' is undefined"),
        ("{{ lipsum(5) }}", "'lipsum' is undefined"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 1 + 'a' }}", "unsupported operand"),
        ("{{ opaque|tojson }}", "not JSON serializable"),
        ("{{ missing|tojson }}", "tojson: the value is not defined"),
        ("{{ '%s'|format(1, x=2) }}", "format takes positional or named values"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "cannot be rendered"),
    ],
)
def test_what_fails_while_rendering_is_one_error(source: str, message: str) -> None:
    template = parse_template(source, "jinja2")

    with pytest.raises(TemplateError, match=re.escape(message)):
        template.render(VALUES)


DOUBLING = "{% set ns = namespace(s=START) %}{% for i in range(60) %}{% set ns.s = STEP %}{% endfor %}{{ ns.s|length }}"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ 'x' * 10**9 }}", id="repeated text"),
        pytest.param("{{ [1] * 10**9 }}", id="repeated list"),
        pytest.param("{{ 10**9 * 'x' }}", id="repeated text, other way round"),
        pytest.param("{{ 10**(10**10) }}", id="power"),
        pytest.param("{% set ns = namespace(n=3) %}{% for i in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}", id="squares"),
        pytest.param("{{ (2**60000) * (2**60000) }}", id="product"),
        pytest.param("{% set ns = namespace(n=2**32000 * 2**32000) %}{% for i in range(2000) %}{% set ns.n = ns.n + ns.n %}{% endfor %}", id="sums"),
        pytest.param("{{ 'x'|center(10**9) }}", id="center"),
        pytest.param("{{ 'x'|indent(10**9) }}", id="indent"),
        pytest.param("{{ ('\n' * 10**5)|indent('x' * 10**5) }}", id="indent with a long text"),
        pytest.param("{{ '%999999999d'|format(1) }}", id="format filter"),
        pytest.param("{{ '%.999999999f'|format(1) }}", id="format precision"),
        pytest.param("{{ '%999999999d' % 1 }}", id="percent"),
        pytest.param("{{ '%*d' % (999999999, 1) }}", id="percent with star"),
        pytest.param("{{ ('x' * 10**4)|replace('x', 'x' * 10**4) }}", id="replace filter"),
        pytest.param("{{ ('x' * 10**4).replace('x', 'x' * 10**4) }}", id="replace method"),
        pytest.param("{{ range(10**4)|join('x' * 10**4) }}", id="join filter"),
        pytest.param("{{ ('x' * 10**4).join(['y'] * 10**4) }}", id="join method"),
        pytest.param("{{ [1]|batch(10**9, 'x')|list }}", id="batch"),
        pytest.param("{{ [1]|slice(10**9)|list }}", id="slice"),
        pytest.param("{{ 1|round(10**9, 'ceil') }}", id="round"),
        pytest.param("{{ [1]|tojson(indent=10**9) }}", id="tojson"),
        pytest.param("{{ now.strftime('%999999999Y') }}", id="strftime"),
        pytest.param("{% for i in range(10**9) %}x{% endfor %}", id="long range"),
        pytest.param("{% for i in range(10**30) %}x{% endfor %}", id="endless range"),
        pytest.param("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}", id="nested loops"),
        pytest.param("{% for i in l|map('upper') %}{% for j in range(99999)|map('string') %}{% for k in range(9) %}x{% endfor %}{% endfor %}{% endfor %}", id="lazy loops"),
        pytest.param("{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}", id="recursive loop"),
        pytest.param("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}", id="branching macro"),
        pytest.param(DOUBLING.replace("START", "'x'").replace("STEP", "ns.s ~ ns.s"), id="doubling by joining"),
        pytest.param(DOUBLING.replace("START", "'x'").replace("STEP", "ns.s + ns.s"), id="doubling by adding"),
        pytest.param(DOUBLING.replace("START", "['x']").replace("STEP", "ns.s + ns.s"), id="doubling of lists"),
        pytest.param(DOUBLING.replace("START", "'x'").replace("STEP", "'%s%s' % (ns.s, ns.s)"), id="doubling by format"),
        pytest.param(DOUBLING.replace("START", "['x']").replace("STEP", "[ns.s, ns.s]").replace("|length", ""), id="shared lists"),
        pytest.param(DOUBLING.replace("START", "['x']").replace("STEP", "[ns.s, ns.s]").replace("|length", "|string"), id="shared lists as text"),
        pytest.param(DOUBLING.replace("START", "['x']").replace("STEP", "[ns.s, ns.s]").replace("|length", "|tojson"), id="shared lists as JSON"),
        pytest.param(DOUBLING.replace("START", "['x']").replace("STEP", "{'a': ns.s, 'b': ns.s}").replace("|length", ""), id="shared mappings"),
    ],
)  # fmt: skip
def test_work_and_output_are_bounded(source: str) -> None:
    """A small template cannot fill the memory or run for ever: each of these would, in plain Jinja2."""
    with pytest.raises(TemplateError):
        render(source)


def test_a_cyclic_variable_is_refused() -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)

    with pytest.raises(TemplateError, match="is it cyclic"):
        format_text("{{ x }}", {"x": cyclic}, "jinja2")


def test_loops_go_through_any_iterable() -> None:
    def numbers() -> Iterator[int]:
        yield from (1, 2)

    assert format_text("{% for x in it %}{{ x }}{% endfor %}", {"it": numbers()}, "jinja2") == "12"


def test_the_last_newline_stays() -> None:
    """All three formats keep the text around the fields as it is."""
    assert [format_text(f"{field}\n", {"x": 1}, syntax) for field, syntax in FIELDS] == ["1\n", "1\n", "1\n"]


FIELDS = [("{x}", "fstring"), ("{{ x }}", "jinja2"), ("{{.x}}", "go")]
