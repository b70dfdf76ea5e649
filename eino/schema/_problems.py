"""Says what is wrong with JSON input, in words that a model or a person can act on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, ValidationError

__all__ = ["cut", "place_text", "problem_text", "problems", "shown"]

_MAX_SHOWN = 200
_MAX_PROBLEMS = 10


def problems(error: Exception) -> list[ErrorDetails]:
    """Return the single errors of a pydantic `ValidationError`; none of any other error."""
    if not callable(getattr(error, "errors", None)):
        return []
    return cast("ValidationError", error).errors(include_url=False, include_context=False)


def problem_text(error: Exception) -> str:
    """Return one line that says what `error` found wrong, place by place."""
    found = problems(error)
    if not found:
        return str(error)
    lines = [_line(each) for each in found[:_MAX_PROBLEMS]]
    if len(found) > _MAX_PROBLEMS:
        lines.append(f"and {len(found) - _MAX_PROBLEMS} more")
    return "; ".join(lines)


def _line(problem: ErrorDetails) -> str:
    place = place_text(problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def place_text(location: Sequence[int | str]) -> str:
    """Return where a problem is, as `items[0].name`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any, most: int = _MAX_SHOWN) -> str:
    """Return `value` as JSON, cut after `most` characters."""
    return cut(json.dumps(value, ensure_ascii=False, default=repr), most)


def cut(text: str, most: int = _MAX_SHOWN) -> str:
    """Return `text`, cut after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"
