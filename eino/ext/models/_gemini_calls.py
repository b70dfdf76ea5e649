"""Streamed calls: most come whole, in one part; some services send their arguments in pieces. Pure.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling, "Streaming function call
arguments".
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

__all__ = ["StreamedCalls"]

JSON: TypeAlias = dict[str, Any]

_STEP: Final = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
"""One step of a JSON path: a name, a position, or a quoted name."""
_LONGEST_LIST: Final = 100_000
"""A position beyond is no position in a list of arguments: it would only eat memory."""
_MISSING: Final = object()


class StreamedCalls:
    """Puts calls together whose arguments come in pieces; a call is given out once it is whole.

    A piece with `willContinue` has more behind it; pieces belong to the call with their id, or to the last one.
    """

    def __init__(self) -> None:
        self._open: dict[str, JSON] = {}
        self._more: dict[str, str | None] = {}
        self._last = ""

    @property
    def unfinished(self) -> list[str]:
        """The names of the calls whose end has not come."""
        return [str(part["functionCall"].get("name", "")) for part in self._open.values()]

    def whole(self, part: JSON) -> JSON | None:
        """Return the part with a whole call that `part` is or completes; None if more of it must come."""
        call: JSON = part["functionCall"]
        identity = call.get("id") if isinstance(call.get("id"), str) else None
        key = identity or (self._last if self._continues(call) else f" {len(self._open)}")
        pieces = call.get("partialArgs")
        if key not in self._open and not call.get("willContinue") and not isinstance(pieces, list):
            return part
        opened = self._open.setdefault(key, {"functionCall": {"args": {}}})
        self._last = key
        self._add(key, opened, part)
        if call.get("willContinue"):
            return None
        self._more.pop(key, None)
        return self._open.pop(key)

    def _continues(self, call: JSON) -> bool:
        """Return whether a piece without an id goes on with the last call, and is not another one by its name."""
        opened = self._open.get(self._last)
        name = call.get("name")
        return opened is not None and (not name or opened["functionCall"].get("name", name) == name)

    def _add(self, key: str, opened: JSON, part: JSON) -> None:
        call = part["functionCall"]
        opened |= {name: value for name, value in part.items() if name != "functionCall"}
        known = opened["functionCall"]
        known |= {name: value for name, value in call.items() if name not in ("args", "partialArgs", "willContinue")}
        known["args"] |= call.get("args") or {}
        pieces = call.get("partialArgs")
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                self._more[key] = _put(known["args"], piece, self._more.get(key))


def _put(arguments: JSON, piece: JSON, continued: str | None) -> str | None:
    """Put a piece at its place; return its path if the text at it goes on with the next piece."""
    path = str(piece.get("jsonPath", "$"))
    value = _value(piece)
    if value is not _MISSING:
        steps = _steps(path)
        before = _get(arguments, steps) if path == continued else None
        _set(arguments, steps, before + value if isinstance(before, str) and isinstance(value, str) else value)
    return path if piece.get("willContinue") else None


def _value(piece: JSON) -> object:
    for name in ("stringValue", "numberValue", "boolValue"):
        if name in piece:
            return piece[name]
    return None if "nullValue" in piece else _MISSING


def _steps(path: str) -> list[str | int]:
    """Return the steps of a JSON path; one that cannot be read is a name, so that its value is not lost."""
    steps: list[str | int] = []
    place = 1 if path.startswith("$") else 0
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None or (match[2] and int(match[2]) > _LONGEST_LIST):
            return [path]
        quoted = match[3] if match[3] is not None else match[4]
        steps.append(int(match[2]) if match[2] else match[1] or re.sub(r"\\(.)", r"\1", quoted))
        place = match.end()
    return steps if steps and isinstance(steps[0], str) else [path]


def _get(value: Any, steps: list[str | int]) -> Any:
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _set(holder: Any, steps: list[str | int], value: object) -> None:
    """Set the value at the end of `steps`; what lies on the way is made, as a list where the next step is a number."""
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        _make_room(holder, step)
        if following is None:
            holder[step] = value
        elif not isinstance(holder[step], list if isinstance(following, int) else dict):
            holder[step] = [] if isinstance(following, int) else {}
        holder = holder[step]


def _make_room(holder: Any, step: str | int) -> None:
    if isinstance(holder, list) and isinstance(step, int):
        holder += [None] * (step + 1 - len(holder))
    elif isinstance(holder, dict):
        holder.setdefault(step, None)
