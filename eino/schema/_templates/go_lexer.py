"""Cuts a Go template into text and the tokens of its actions."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal, cast

from eino.errors import TemplateError

__all__ = ["Token", "TokenKind", "place_of", "tokens"]

TokenKind = Literal["text", "open", "close", "name", "field", "dot", "variable", "string", "char", "number", "sign"]

_SPACE = " \t\r\n"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
            |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)(?!\w))
      | (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
      | (?P<char>'(?:[^'\\\n]|\\.)*')
      | (?P<field>\.[^\W\d]\w*)
      | (?P<dot>\.)
      | (?P<variable>\$\w*)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign>:=|[=|(),])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a template."""

    kind: TokenKind
    text: str
    at: int
    """Position of the first character in the template."""
    spaced: bool = False
    """Whether white space stands before it: `.a.b` is one operand, `.a .b` are two."""


def place_of(source: str, at: int) -> str:
    """Return line and column of a position, counted from 1, as they stand in error texts."""
    line = source.count("\n", 0, at) + 1
    column = at - source.rfind("\n", 0, at)
    return f"line {line}, column {column}"


def tokens(source: str) -> Iterator[Token]:
    """Yield the tokens of `source`; each action's stand between an `open` and a `close`. Comments are left out.

    Raises:
        TemplateError: If an action or comment has no end, or holds a character that Go templates do not know.
    """
    at, trim = 0, False
    while (start := source.find("{{", at)) >= 0:
        inside, trim_before = _after_open(source, start)
        yield from _text(source, at, start, trim_left=trim, trim_right=trim_before)
        comment = _COMMENT.match(source, inside)
        if source.startswith("/*", inside) and comment is None:
            raise TemplateError(f"the comment at {place_of(source, start)} of the go template has no end '*/'")
        if comment is not None:
            at, trim = _comment_end(source, comment.end())
            continue
        yield Token("open", "{{", start)
        at, trim = yield from _action(source, start, inside)
    yield from _text(source, at, len(source), trim_left=trim, trim_right=False)


def _text(source: str, start: int, end: int, *, trim_left: bool, trim_right: bool) -> Iterator[Token]:
    text = source[start:end]
    text = text.lstrip(_SPACE) if trim_left else text
    text = text.rstrip(_SPACE) if trim_right else text
    if text:
        yield Token("text", text, start)


def _after_open(source: str, start: int) -> tuple[int, bool]:
    """Return where the inside of an action begins, and whether the text before it is trimmed."""
    inside = start + 2
    if source.startswith("-", inside) and source[inside + 1 : inside + 2] in (*_SPACE,):
        return inside + 2, True
    return inside, False


def _close(source: str, at: int) -> tuple[int, bool] | None:
    """Return the end of a closing delimiter at `at` and whether it trims; None if there is none."""
    if source.startswith("}}", at):
        return at + 2, False
    if source.startswith("-}}", at) and source[at - 1] in _SPACE:
        return at + 3, True
    return None


def _comment_end(source: str, at: int) -> tuple[int, bool]:
    closing = _close(source, at) or (_close(source, at + 1) if source[at : at + 1] in (*_SPACE,) else None)
    if closing is None:
        raise TemplateError(
            f"the comment that ends at {place_of(source, at)} of the go template must stand alone: {{{{/* text */}}}}"
        )
    return closing


def _action(source: str, start: int, at: int) -> Generator[Token, None, tuple[int, bool]]:
    """Yield the tokens up to the closing delimiter; return where that ends and whether it trims the text behind."""
    spaced = True
    while True:
        closing = _close(source, at)
        if closing is not None:
            yield Token("close", source[at : closing[0]], at)
            return closing
        match = _TOKEN.match(source, at)
        if match is None:
            raise TemplateError(_unknown(source, start, at))
        if match.lastgroup != "space":
            yield Token(cast("TokenKind", match.lastgroup), match.group(), at, spaced)
        spaced = match.lastgroup == "space"
        at = match.end()


def _unknown(source: str, start: int, at: int) -> str:
    if at >= len(source):
        return f"the action at {place_of(source, start)} of the go template has no end '}}}}'"
    return f"unexpected {source[at : at + 10]!r} at {place_of(source, at)} of the go template"
