"""Repair of tool arguments that a model wrote as broken JSON: a middleware for `ToolsNode`."""

from __future__ import annotations

import importlib.util
from typing import Final

import msgspec

from eino.compose import ToolInput, ToolNext, ToolOutput
from eino.errors import MissingExtraError

if importlib.util.find_spec("json_repair") is None:
    raise MissingExtraError(
        "eino.ext.tools.repair needs the library 'json_repair', which is not installed; pip install \"eino[repair]\"",
        name="json_repair",
    )

import json_repair

__all__ = ["repair_arguments", "repaired"]

MAX_CHARS: Final = 100_000
"""Longer texts are left alone: the parser's time can grow faster than the text."""

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def repair_arguments(call: ToolInput, next: ToolNext) -> ToolOutput:  # noqa: A002 - the middleware's signature
    """Repair arguments that are no JSON object: `ToolsNode(tools, middlewares=[repair_arguments])`."""
    text = repaired(call.arguments)
    return await next(call if text is call.arguments else call.replace(arguments=text))


def repaired(arguments: str) -> str:
    """Return `arguments` if they are a JSON object, else the object that was probably meant.

    Missing or wrong quotes and brackets, trailing commas, comments, Python's literals and text around the object are
    repaired. Where no object can be found, and above `MAX_CHARS`, the text is returned as it is: the tool's own error
    tells the model what is wrong.
    """
    if not arguments.strip() or len(arguments) > MAX_CHARS or _is_object(arguments):
        return arguments
    try:
        value = json_repair.loads(arguments, skip_json_loads=True)
        return msgspec.json.encode(value).decode() if isinstance(value, dict) and value else arguments
    except (ValueError, TypeError, RecursionError):
        return arguments


def _is_object(text: str) -> bool:
    try:
        _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True
