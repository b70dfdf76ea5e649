"""Go templates: the supported subset, and clear errors for the rest."""

from __future__ import annotations

import dataclasses
import re

import pytest

from eino.errors import TemplateError
from eino.schema import format_text, parse_template


@dataclasses.dataclass
class User:
    name: str

    def danger(self) -> None:
        raise AssertionError("a template must not call a method")


VALUES: dict[str, object] = {
    "q": "hi",
    "m": {"b": 1, "a": 2},
    "keys": {2: "two", 10: "ten", 1: "one"},
    "l": ["x", "y"],
    "users": [{"name": "Ann"}, {"name": "Bob"}],
    "user": User("Eve"),
    "n": 42,
    "neg": -42,
    "f": 0.256,
    "big": 1e6,
    "none": None,
    "yes": True,
    "no": False,
    "empty": [],
    "tags": {"b", "a"},
    "inf": float("inf"),
    "huge": 10**5000,
    "object": object(),
}


def render(source: str) -> str:
    return format_text(source, VALUES, "go")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("no action", "no action"),
        ("{{.q}}", "hi"),
        ("{{ .q }}{{.m.b}}", "hi1"),
        ("{{.user.name}}", "Eve"),
        ("{{.none}}", "<no value>"),
        ("{{.yes}} {{.f}} {{.big}}", "true 0.256 1e+06"),
        ("{{.m}} {{.l}} {{.tags}}", "map[a:2 b:1] [x y] [a b]"),
        ("{{$.q}} {{with .m}}{{$.q}}{{end}}", "hi hi"),
        ("a {{- .q -}} b", "ahib"),
        ("a {{- /* note */ -}} b{{/* other */}}c", "abc"),
        ("{{/* multi\nline */ -}}  x", "x"),
        (" x {{- 3 -}} y ", " x3y "),
        ("{{-3}}", "-3"),
        ('{{"a\\n\\u00e9\\x41\\101\\"\\U0001F600"}}', "a\né" + 'AA"\U0001f600'),
        ("{{`raw \\n`}}", "raw \\n"),
        (
            "{{'a'}} {{'\\n'}} {{0x10}} {{0b11}} {{0o17}} {{017}} {{1_000}} {{1.5e3}} {{.5}}",
            "97 10 16 3 15 15 1000 1500 0.5",
        ),
        ("{{true}} {{false}}", "true false"),
    ],
)
def test_values_print(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{if .yes}}T{{else}}F{{end}}", "T"),
        ("{{if .none}}T{{else}}F{{end}}", "F"),
        ("{{if .empty}}T{{end}}", ""),
        ("{{if .object}}T{{end}}", "T"),
        ("{{if .no}}A{{else if .none}}B{{else if .n}}C{{else}}D{{end}}!", "C!"),
        ("{{if eq .n 1 42}}yes{{end}}", "yes"),
        ("{{if $x := .n}}{{$x}}{{else}}{{$x}}{{end}}", "42"),
        ("{{with .m}}{{.b}}{{else}}none{{end}}", "1"),
        ("{{with .none}}x{{else with .q}}{{.}}{{end}}", "hi"),
        ("{{with $x := .q}}{{$x}}{{.}}{{end}}", "hihi"),
        ("{{range .l}}{{.}},{{end}}", "x,y,"),
        ("{{range $i, $e := .l}}{{$i}}{{$e}} {{end}}", "0x 1y "),
        ("{{range $e := .l}}{{$e}}{{end}}", "xy"),
        ("{{range $k, $v := .m}}{{$k}}{{$v}} {{end}}", "a2 b1 "),
        ("{{range .keys}}{{.}} {{end}}", "one two ten "),
        ("{{range .users}}{{.name}} {{end}}", "Ann Bob "),
        ("{{range .empty}}x{{else}}nothing{{end}}", "nothing"),
        ("{{range .none}}x{{else}}nothing{{end}}", "nothing"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ('{{range .l}}{{if eq . "y"}}{{break}}{{end}}{{.}}{{end}}', "x"),
        ('{{range .l}}{{if eq . "x"}}{{continue}}{{end}}{{.}}{{end}}', "y"),
        ("{{range .l}}{{range $.l}}{{break}}{{end}}{{.}}{{end}}", "xy"),
        ("{{$x := 1}}{{range .l}}{{$x = .}}{{end}}{{$x}}", "y"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{range $i, $e := .l}}{{$i = 7}}{{$i}}{{end}}", "77"),
    ],
)
def test_blocks_and_variables(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{len .l}} {{len .m}} {{len .q}} {{len .tags}}", "2 2 2 2"),
        ('{{index .l 1}} {{index .m "b"}} {{index .users 0 "name"}} {{index .q 0}}', "y 1 Ann 104"),
        ("{{(index .users 1).name}}", "Bob"),
        ('{{slice .q 1}} {{slice .l 0 1}} {{slice "abc" 1 2}}', "i [x] b"),
        ("{{and .yes .n}} {{and .no .missing}} {{or .none .n}} {{or .yes .missing}}", "42 false 42 true"),
        ("{{.n | and .yes}} {{.n | or .no}} {{and .yes}} {{not .yes}}", "42 42 true false"),
        (
            '{{eq .q "hi"}} {{ne .n 1}} {{lt 1 2}} {{le 2 2}} {{gt 1.5 2}} {{ge "b" "a"}}',
            "true true true true false true",
        ),
        ("{{eq .none nil}} {{ne .n nil}} {{eq .yes true}} {{eq .none .m}}", "true true true false"),
        ('{{print 1 2 "a" 3 .none}} {{println .q 1}}', "1 2a3 <nil> hi 1\n"),
        ('{{.q | printf "%s-%s" "a" | len}}', "4"),
        ("{{if and .yes (eq .n 42) (not .no)}}ok{{end}}", "ok"),
        ('{{printf (print "%" "d") 5}}', "5"),
        ("{{len (print)}} {{len print}}", "0 0"),
        ("{{(print)}}x", "x"),
    ],
)
def test_functions(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('"%d|%5d|%-5d|%05d|%+d|% d" .n .n .n .n .n .n', "42|   42|42   |00042|+42| 42"),
        ('"%d|%05d|%.4d" .neg .neg .n', "-42|-0042|0042"),
        ('"%b %o %x %X %#x %#o" .n .n .n .n .n .n', "101010 52 2a 2A 0x2a 052"),
        ('"%x %X" .q .q', "6869 6869"),
        (
            '"%f|%.2f|%8.3f|%08.2f|%e|%g|%G" .f .f .f .f .f .f 1e-7',
            "0.256000|0.26|   0.256|00000.26|2.560000e-01|0.256|1E-07",
        ),
        ('"%.0f %.f %+.1f %5.1f" 2.5 2.5 2.5 .n', "2 2 +2.5  42.0"),
        ('"%s|%5s|%-5s|%.1s" .q .q .q .q', "hi|   hi|hi   |h"),
        ('"%s %v %v" .l .l .m', "[x y] [x y] map[a:2 b:1]"),
        ('"%v %v %v %v %+v" .q .n .f .none .n', "hi 42 0.256 <nil> +42"),
        ('"%q %q" .q "a\\"\\n\\u0001\\u2028"', '"hi" "a\\"\\n\\x01\\u2028"'),
        ('"%t %t" .yes .no', "true false"),
        ('"%c%c" 65 0x110000', "A\ufffd"),
        ('"100%% %v" .n', "100% 42"),
        ('"%f %v" .inf .inf', "+Inf +Inf"),
        ('"%q" "\\U0001F600\\U000E0001"', '"\U0001f600\\U000e0001"'),
    ],
)
def test_printf(arguments: str, text: str) -> None:
    assert render("{{printf " + arguments + "}}") == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{.nope}}", "go template, line 1, column 3, executing '.nope': map has no entry for key \"nope\""),
        ("\n {{.m.c}}", "line 2, column 4, executing '.m.c': map has no entry for key \"c\""),
        ("{{if .nope}}x{{end}}", 'map has no entry for key "nope"'),
        ("{{.none.x}}", "nil has no field 'x'"),
        ("{{.user.danger}}", "could not find field: danger"),
        ("{{.q.x}}", "could not find field: x"),
        ("{{.l.x}}", "could not parse index: x"),
        ("{{index .l 9}}", "index: 9 is out of range; the highest is 1"),
        ("{{index .l .q}}", "index: 'hi' is not a whole number"),
        ("{{index .l true}}", "index: True is not a whole number"),
        ('{{index .m "zz"}}', "index: map has no entry for key 'zz'"),
        ("{{index .n 0}}", "index of a int: 42 has no elements"),
        ("{{slice .n}}", "slice of a int"),
        ("{{slice .q 2 1}}", "slice: 2 is out of range"),
        ("{{len .n}}", "len of a int: 42 has no length"),
        ("{{len}}", "wrong number of arguments for len: want 1, got 0"),
        ("{{not 1 2}}", "wrong number of arguments for not: want 1, got 2"),
        ("{{slice .q 1 2 3 4}}", "wrong number of arguments for slice: want 1 to 3, got 5"),
        ("{{eq 1}}", "wrong number of arguments for eq: want at least 2, got 1"),
        ("{{and}}", "wrong number of arguments for and: want at least 1, got 0"),
        ("{{eq .m .m}}", "a dict cannot be compared"),
        ("{{eq .q 1}}", "incompatible types for comparison: 'hi' and 1"),
        ("{{lt .yes .no}}", "lt: True has no order"),
        ("{{range .q}}x{{end}}", "range can't iterate over 'hi', a str"),
        ("{{range .yes}}x{{end}}", "range can't iterate over True, a bool"),
        ("{{printf .n}}", "printf: the format must be a string, not 42"),
        ('{{printf "%d" .q}}', "printf: %d does not fit 'hi', a str; %v fits any value"),
        ('{{printf "%s" .n}}', "printf: %s does not fit 42"),
        ('{{printf "%t" .n}}', "printf: %t does not fit 42"),
        ('{{printf "%d %d" .n}}', "printf: %d has no value; 1 were given"),
        ('{{printf "x" .n}}', "printf: 1 values were given, but 'x' takes 0"),
        ('{{printf "%*d" 5 .n}}', "printf: '%*' is not supported"),
        ('{{printf "%[1]d" .n}}', "printf: '%[' is not supported"),
        ('{{printf "%#v" .n}}', "printf: '%#v' is not supported"),
        ('{{printf "%d" .huge}}', "printf: %d does not fit"),
        ('{{printf "%f" .huge}}', "printf: %f does not fit"),
        ('{{printf "%T" .n}}', "printf: '%T' is not supported"),
        (
            '{{printf "%999999999d" .n}}',
            "printf: %999999999d asks for a width or precision of 999999999; the limit is 10000",
        ),
        ('{{printf "%.99999999999999999999f" .f}}', "the limit is 10000"),
    ],
)
def test_what_fails_while_rendering_names_action_and_place(source: str, message: str) -> None:
    template = parse_template(source, "go")

    with pytest.raises(TemplateError, match=re.escape(message)):
        template.render(VALUES)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{.q", "the action at line 1, column 1 of the go template has no end"),
        ("{{.q}} {{/* no end }}", "the comment at line 1, column 8 of the go template has no end"),
        ("{{/* a */ .q}}", "of the go template must stand alone"),
        ("{{.q ; }}", "unexpected '; }}' at line 1, column 6"),
        ("{{}}", "unexpected '}}'"),
        ("{{if}}{{end}}", "unexpected '}}'"),
        ("{{if .q}}", "line 1, column 3: 'if' has no {{end}}"),
        ("{{range .q}}{{else}}", "'range' has no {{end}} behind its {{else}}"),
        ("{{if .q}}{{else}}{{else}}{{end}}", "'if' has no {{end}} behind its {{else}}"),
        ("{{end}}", "unexpected {{end}}: no block is open"),
        ("{{else}}", "unexpected {{else}}: no block is open"),
        ("{{if .q}}{{end .q}}", "unexpected '.q'"),
        ("{{with .q}}{{else if .n}}{{end}}", "unexpected 'if'"),
        ('{{template "x"}}', "'template' is not supported: templates stand alone"),
        ('{{define "x"}}{{end}}', "'define' is not supported"),
        ('{{block "x" .}}{{end}}', "'block' is not supported"),
        ("{{call .f}}", "function 'call' is not supported; there are and, eq"),
        ("{{html .q}}", "function 'html' is not supported"),
        ("{{$z}}", "undefined variable '$z'"),
        ("{{$z = 1}}", "undefined variable '$z'"),
        ("{{if $x := 1}}{{end}}{{$x}}", "undefined variable '$x'"),
        ("{{$a, $b := .l}}", "too many variables before ':=': $a, $b"),
        ("{{range $a, $b, $c := .l}}{{end}}", "too many variables"),
        ("{{range $a, .l}}{{end}}", "undefined variable '$a'"),
        ("{{$x := 1}}{{range $x, .l}}{{end}}", "unexpected ','"),
        ("{{break}}", "'break' stands outside of 'range'"),
        ("{{range .l}}{{end}}{{continue}}", "'continue' stands outside of 'range'"),
        ("{{.q .n}}", "'.q .n' gives arguments to a value; only functions take arguments"),
        ("{{.q | .n}}", "only a function can stand behind '|', not '.n'"),
        ("{{nil}}", "nil is not a command"),
        ("{{(.q}}", "'(' has no ')'"),
        ("{{)}}", "unexpected ')'"),
        ('{{print "a""b"}}', "operands are separated by spaces"),
        ("{{.q.__class__}}", "access to '__class__' in .__class__, line 1, column 5 is refused"),
        ("{{'ab'}}", "'ab' is not one character"),
        ('{{"\\z"}}', "unknown escape '\\\\z'"),
        ('{{"\\UFFFFFFFF"}}', "unknown escape"),
        ("{{0b12}}", "unexpected '0b12}}'"),
        ("{{089}}", "'089' at line 1, column 3 is not a number"),
        ("{{1e999}}", "'1e999' is too large"),
        ("{{" + "9" * 5000 + "}}", "is not a number"),
        ("{{" + "(" * 101 + ".q" + ")" * 101 + "}}", "nested deeper than 100 levels"),
        ("{{if .q}}" * 101 + "{{end}}" * 101, "nested deeper than 100 levels"),
    ],
)
def test_what_is_wrong_or_not_supported_is_found_when_it_is_parsed(source: str, message: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(message)):
        parse_template(source, "go")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{range 1000000000}}x{{end}}", id="long loop"),
        pytest.param("{{range 1000}}{{range 1000}}x{{end}}{{end}}", id="nested loops"),
        pytest.param('{{$x := "ab"}}{{range 60}}{{$x = print $x $x}}{{end}}', id="doubling with print"),
        pytest.param('{{$x := "ab"}}{{range 60}}{{$x = printf "%s%s" $x $x}}{{end}}', id="doubling with printf"),
        pytest.param('{{range 7000}}{{printf "%10000d" 1}}{{end}}', id="many wide fields"),
    ],
)
def test_work_and_output_are_bounded(source: str) -> None:
    with pytest.raises(TemplateError, match="produces too much"):
        render(source)


def test_error_texts_are_bounded_too() -> None:
    """What an error shows of a value is short, even if its whole text would never end."""
    shared: list[object] = ["x"]
    for _ in range(60):
        shared = [shared, shared]

    with pytest.raises(TemplateError, match=r"a list cannot be compared: \[\["):
        format_text("{{eq .x .x}}", {"x": shared}, "go")


def test_an_iterator_is_not_consumed() -> None:
    """A template reads its variables and leaves them as they are."""
    source = iter([1, 2])

    with pytest.raises(TemplateError, match="range can't iterate over"):
        format_text("{{range .x}}{{.}}{{end}}", {"x": source}, "go")
    assert list(source) == [1, 2]
