"""What a model reads about a function: its docstring, taken apart."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docstring_parser import Docstring

__all__ = ["describe"]


def describe(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the description of `function`, and of each parameter that its docstring describes.

    Google style is tried first, then the other styles that `docstring-parser` knows. What a docstring says about
    results, errors and examples is for programmers and left out.
    """
    while isinstance(function, functools.partial):
        function = function.func
    text = inspect.getdoc(function)
    if not text:
        return "", {}
    found = _parsed(text)
    parameters = {each.arg_name.lstrip("*"): each.description for each in found.params if each.description}
    return (found.description or "").strip(), parameters


def _parsed(text: str) -> Docstring:
    from docstring_parser import DocstringStyle, ParseError, parse

    try:
        google = parse(text, DocstringStyle.GOOGLE)
    except ParseError:
        return parse(text, DocstringStyle.AUTO)
    return google if google.params else parse(text, DocstringStyle.AUTO)
