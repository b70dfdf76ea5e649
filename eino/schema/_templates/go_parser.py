"""Parses a Go template. What is not part of the supported subset is refused here, with its name and place."""

from __future__ import annotations

import math
import re
from typing import NoReturn

from eino.errors import TemplateError
from eino.schema._templates.go_functions import FUNCTIONS, LAZY_FUNCTIONS
from eino.schema._templates.go_lexer import Token, TokenKind, place_of, tokens
from eino.schema._templates.go_nodes import (
    Action,
    Break,
    Chain,
    Command,
    Continue,
    Dot,
    If,
    Literal,
    Name,
    Node,
    Operand,
    Pipeline,
    Range,
    Text,
    Variable,
    With,
)
from eino.schema._templates.walk import check_name

__all__ = ["parse"]

_MAX_DEPTH = 100
"""Blocks and parentheses nested deeper than this are refused, long before Python's own stack ends."""
_CLOSING = ("else", "end")
_UNSUPPORTED = ("define", "template", "block")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "nil": None}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))", re.DOTALL
)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}


def parse(source: str) -> tuple[Node, ...]:
    """Return the nodes of the Go template `source`.

    Raises:
        TemplateError: If it is not well formed, or uses what is not supported; the text names construct and place.
    """
    return _Parser(source).template()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(tokens(source))
        self._next = 0
        self._depth = 0
        self._ranges = 0
        self._declared = ["$"]

    # Blocks

    def template(self) -> tuple[Node, ...]:
        nodes, closing = self._nodes()
        if closing is not None:
            self._fail(closing, f"unexpected {{{{{closing.text}}}}}: no block is open")
        return nodes

    def _nodes(self) -> tuple[tuple[Node, ...], Token | None]:
        """Return the nodes up to an `else` or `end`, and that token; None at the end of the template."""
        nodes: list[Node] = []
        while self._next < len(self._tokens):
            token = self._take()
            if token.kind == "text":
                nodes.append(Text(token.text))
                continue
            first = self._peek()
            if first.kind == "name" and first.text in _CLOSING:
                return tuple(nodes), self._take()
            nodes.append(self._node(first))
        return tuple(nodes), None

    def _node(self, first: Token) -> Node:
        keyword = first.text if first.kind == "name" else ""
        if keyword in _UNSUPPORTED:
            self._fail(first, f"{keyword!r} is not supported: templates stand alone")
        if keyword in ("if", "with", "range"):
            self._take()
            return self._block(keyword, first)
        if keyword in ("break", "continue"):
            self._take()
            self._expect("close")
            if not self._ranges:
                self._fail(first, f"{keyword!r} stands outside of 'range'")
            return Break() if keyword == "break" else Continue()
        pipeline = self._pipeline(most_declared=1)
        self._expect("close")
        return Action(pipeline)

    def _block(self, keyword: str, opened: Token) -> If | With | Range:
        self._enter(opened)
        scope = len(self._declared)
        pipeline = self._pipeline(most_declared=2 if keyword == "range" else 1)
        self._expect("close")
        self._ranges += keyword == "range"
        body, closing = self._nodes()
        self._ranges -= keyword == "range"
        otherwise = self._otherwise(keyword, opened, closing)
        del self._declared[scope:]
        self._depth -= 1
        if keyword == "range":
            return Range(pipeline, body, otherwise, self._place(opened))
        return If(pipeline, body, otherwise) if keyword == "if" else With(pipeline, body, otherwise)

    def _otherwise(self, keyword: str, opened: Token, closing: Token | None) -> tuple[Node, ...]:
        if closing is None:
            self._fail(opened, f"{keyword!r} has no {{{{end}}}}")
        if closing.text == "end":
            self._expect("close")
            return ()
        again = self._peek()
        if again.kind == "name" and again.text in ("if", "with") and again.text == keyword:
            self._take()
            return (self._block(keyword, again),)  # one end closes both
        self._expect("close")
        nodes, last = self._nodes()
        if last is None or last.text != "end":
            self._fail(last or opened, f"{keyword!r} has no {{{{end}}}} behind its {{{{else}}}}")
        self._expect("close")
        return nodes

    # Pipelines

    def _pipeline(self, *, most_declared: int) -> Pipeline:
        start = self._next
        declared, assigns = self._declarations(most_declared)
        commands = [self._command(first=True)]
        while self._peek().text == "|":
            self._take()
            commands.append(self._command(first=False))
        if declared and not assigns:
            self._declared += declared
        for name in declared if assigns else ():
            self._known_variable(name, self._tokens[start])
        return Pipeline(tuple(commands), declared, assigns)

    def _declarations(self, most: int) -> tuple[tuple[str, ...], bool]:
        """Return the variables of `$a, $b :=`, and whether it is `=`; nothing is taken if there is no such thing."""
        names: list[str] = []
        at = self._next
        while at + 1 < len(self._tokens) and self._tokens[at].kind == "variable":
            names.append(self._tokens[at].text)
            sign = self._tokens[at + 1]
            if sign.text in (":=", "="):
                if len(names) > most:
                    self._fail(sign, f"too many variables before {sign.text!r}: {', '.join(names)}")
                self._next = at + 2
                return tuple(names), sign.text == "="
            if sign.text != ",":
                break
            at += 2
        return (), False

    def _command(self, *, first: bool) -> Command:
        start = self._peek()
        operands = [self._operand()]
        while self._peek().kind not in ("close", "sign") or self._peek().text == "(":
            if not self._peek().spaced:
                self._fail(self._peek(), f"unexpected {self._peek().text!r}: operands are separated by spaces")
            operands.append(self._operand())
        end = self._peek().at if self._next < len(self._tokens) else len(self._source)
        command = Command(tuple(operands), self._source[start.at : end].strip(), self._place(start))
        self._check_command(command, start, first=first)
        return command

    def _check_command(self, command: Command, start: Token, *, first: bool) -> None:
        head, *arguments = command.operands
        if isinstance(head, Name):
            return
        if not first:
            self._fail(start, f"only a function can stand behind '|', not {command.source!r}")
        if arguments:
            self._fail(start, f"{command.source!r} gives arguments to a value; only functions take arguments")
        if head == Literal(None):
            self._fail(start, "nil is not a command")

    def _operand(self) -> Operand:
        token = self._take()
        match token.kind:
            case "field":
                return self._chain(Dot(), token)
            case "dot":
                return Dot()
            case "variable":
                self._known_variable(token.text, token)
                return self._chain(Variable(token.text), None)
            case "name":
                return self._name(token)
            case "string":
                return Literal(self._string(token))
            case "char":
                return Literal(self._char(token))
            case "number":
                return Literal(self._number(token))
        if token.text != "(":
            self._fail(token, f"unexpected {token.text!r}")
        return self._parenthesis(token)

    def _parenthesis(self, opened: Token) -> Chain | Pipeline:
        self._enter(opened)
        pipeline = self._pipeline(most_declared=0)
        self._depth -= 1
        if self._peek().text != ")":
            self._fail(opened, "'(' has no ')'")
        self._take()
        chain = self._chain(pipeline, None)
        return chain if isinstance(chain, Chain) else pipeline

    def _chain(self, start: Dot | Variable | Pipeline, field: Token | None) -> Dot | Variable | Pipeline | Chain:
        """Return `start` with the fields that follow it without a space."""
        fields = [] if field is None else [field]
        while self._peek().kind == "field" and not self._peek().spaced:
            fields.append(self._take())
        names = tuple(check_name(token.text[1:], f"{token.text}, {self._place(token)}") for token in fields)
        return Chain(start, names) if names else start

    def _name(self, token: Token) -> Literal | Name:
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[token.text])
        if token.text not in FUNCTIONS and token.text not in LAZY_FUNCTIONS:
            known = ", ".join(sorted((*FUNCTIONS, *LAZY_FUNCTIONS)))
            self._fail(token, f"function {token.text!r} is not supported; there are {known}")
        return Name(token.text)

    # Literals

    def _string(self, token: Token) -> str:
        inside = token.text[1:-1]
        if token.text[0] == "`":
            return inside.replace("\r", "")
        return _ESCAPE.sub(lambda match: self._unescape(match, token), inside)

    def _unescape(self, match: re.Match[str], token: Token) -> str:
        short, *numbers, octal, unknown = match.groups()
        if short is not None:
            return _ESCAPED[short]
        code = int(octal, 8) if octal is not None else next((int(digits, 16) for digits in numbers if digits), -1)
        if unknown is not None or code > 0x10FFFF or 0xD800 <= code < 0xE000:
            self._fail(token, f"unknown escape {match.group()!r} in {token.text}")
        return chr(code)

    def _char(self, token: Token) -> int:
        text = self._string(token)
        if len(text) != 1:
            self._fail(token, f'{token.text} is not one character; write "..." for a string')
        return ord(text)

    def _number(self, token: Token) -> int | float:
        text = token.text.replace("_", "")
        try:
            if re.fullmatch(r"[+-]?0[0-7]+", text):
                return int(text, 8)  # Go reads a leading zero as octal
            value = int(text, 0) if re.fullmatch(r"[+-]?(?:0[xXoObB].*|\d+)", text) else float(text)
        except ValueError as error:
            raise TemplateError(f"{token.text[:50]!r} at {self._place(token)} is not a number: {error}") from error
        if isinstance(value, float) and not math.isfinite(value):
            self._fail(token, f"{token.text[:50]!r} is too large")
        return value

    # Tokens

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _expect(self, kind: TokenKind) -> None:
        token = self._take()
        if token.kind != kind:
            self._fail(token, f"unexpected {token.text!r}")

    def _enter(self, token: Token) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(token, f"{token.text!r} is nested deeper than {_MAX_DEPTH} levels")

    def _known_variable(self, name: str, token: Token) -> None:
        if name not in self._declared:
            self._fail(token, f"undefined variable {name!r}; set it with {{{{{name} := ...}}}} in this block")

    def _place(self, token: Token) -> str:
        return place_of(self._source, token.at)

    def _fail(self, token: Token, problem: str) -> NoReturn:
        raise TemplateError(f"go template, {self._place(token)}: {problem}")
