"""The JSON form of what graphs give and ask, and the error for what has none."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import msgspec

from eino.errors import CodecError

__all__ = ["INFO", "OUTPUT", "Origin", "json_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from, for the error that tells what to do."""

    name: str
    """What the value is."""
    giving: str
    """How it was given, before what to give instead."""


OUTPUT: Final = Origin("the output", "let the graph return")
INFO: Final = Origin("the info of an interrupt", "give interrupt()")

_OTHER_VALUES: Final = "numbers, texts, lists, dictionaries, dataclasses, messages or pydantic models"
_OTHER_KEYS: Final = "use texts as keys"


def json_of(value: Any, origin: Origin = OUTPUT) -> bytes:
    """Return the JSON form of an output, of a chunk of one, or of what `origin` says.

    Raises:
        CodecError: If a value or a key in it has none; the text names its type and what to return instead, the path
            leads to it.
    """
    try:
        return _encoded(value)
    except Exception as error:  # a value dumps itself with code of its own, which may raise anything
        raise _error_of(value, error, origin) from error


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=_dumped)


def _dumped(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)  # pydantic models are common outputs
    if callable(dump):
        return dump(mode="json")
    raise _UnknownTypeError


class _UnknownTypeError(Exception):
    """A value of a type that JSON does not know."""


def _error_of(value: Any, error: Exception, origin: Origin) -> CodecError:
    """Return the error for the innermost value or key that cannot be encoded."""
    path = "$"
    while not isinstance(error, RecursionError):  # what is too deep has no innermost value that could be told
        keys = [(key, {key: None}) for key in value] if isinstance(value, dict) else []
        bad_key = _first_failure(keys)
        if bad_key is not None:
            return _told(f"{origin.name} has a key", bad_key[0], bad_key[2], path, _OTHER_KEYS)
        inner = _first_failure(_parts(value))
        if inner is None:
            break
        path, value, error = path + inner[0], inner[1], inner[2]
    return _told(f"{origin.name} has a value", value, error, path, f"{origin.giving} {_OTHER_VALUES}")


def _first_failure(candidates: list[tuple[Any, Any]]) -> tuple[Any, Any, Exception] | None:
    """Return the first of some named values that cannot be encoded, with its name and the reason."""
    for name, value in candidates:
        try:
            _encoded(value)
        except Exception as error:  # as above
            return name, value, error
    return None


def _parts(value: Any) -> list[tuple[str, Any]]:
    """Return what `value` is made of, each with the step of the path that leads to it."""
    if isinstance(value, dict):
        return [(f".{key}", item) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{position}]", item) for position, item in enumerate(value)]
    if isinstance(value, msgspec.Struct):
        return [(f".{field.encode_name}", getattr(value, field.name)) for field in msgspec.structs.fields(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f".{field.name}", getattr(value, field.name, None)) for field in dataclasses.fields(value)]
    return []


def _told(which: str, culprit: Any, error: Exception, path: str, remedy: str) -> CodecError:
    kind = type(culprit).__qualname__
    return CodecError(f"{which} of type {kind}, which has no JSON form{_why(error)}; {remedy}", path=path)


def _why(error: Exception) -> str:
    if isinstance(error, _UnknownTypeError):
        return ""
    return f" ({'it is nested too deeply' if isinstance(error, RecursionError) else error})"
