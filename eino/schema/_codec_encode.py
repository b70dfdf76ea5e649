"""From values to tagged data that JSON and msgpack can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from eino.errors import CodecError
from eino.schema._codec_scalars import WRITE
from eino.schema._codec_types import TypeRegistry, qualified_name
from eino.schema._show import show_text

TYPE_KEY: Final = "$type"
"""The key that tells tagged data from a plain dictionary; a dictionary that has it itself is tagged too."""
VALUE_KEY: Final = "value"
PLAIN_KEY: Final = "plain"
"""Stands in place of `VALUE_KEY` for data without names of types inside."""
VERSION_KEY: Final = "version"

_SMALLEST_INT: Final = -(2**63)
_LARGEST_INT: Final = 2**64 - 1
"""What msgpack holds; JSON readers in other languages hold no more either."""


def tagged(name: str, value: Any) -> dict[str, Any]:
    """Return data with the name of its type."""
    return {TYPE_KEY: name, VALUE_KEY: value}


class Encoder:
    """Turns one value into tagged data."""

    _may_be_plain = True

    def __init__(self, types: TypeRegistry, *, max_depth: int, native_bytes: bool) -> None:
        self._types = types
        self._max_depth = max_depth
        self._native_bytes = native_bytes

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return `value` as tagged data.

        Raises:
            CodecError: If a value in it has a type that is not registered, or it is nested too deeply.
        """
        cls = type(value)
        if cls is str or cls is bool or value is None:
            return value
        encode = _BUILTIN.get(cls)
        if encode is not None:
            return encode(self, value, depth)
        return self._registered(value, depth)

    def _int(self, value: int, _depth: int) -> Any:
        return value if _SMALLEST_INT <= value <= _LARGEST_INT else self._scalar(value, 0)

    def _float(self, value: float, _depth: int) -> Any:
        return value if math.isfinite(value) else self._scalar(value, 0)

    def _bytes(self, value: bytes, _depth: int) -> Any:
        return value if self._native_bytes else self._scalar(value, 0)

    def _scalar(self, value: Any, _depth: int) -> Any:
        name, write = WRITE[type(value)]
        return tagged(name, write(value))

    def _list(self, value: Any, depth: int) -> list[Any]:
        self._check_depth(depth)
        encoded: list[Any] = []
        try:
            for item in value:
                encoded.append(self.encode(item, depth + 1))  # noqa: PERF401 - its length says where an error was
        except CodecError as error:
            raise under(f"[{len(encoded)}]", error) from error.__cause__
        return encoded

    def _tuple(self, value: tuple[Any, ...], depth: int) -> Any:
        return tagged("tuple", self._list(value, depth))

    def _set(self, value: set[Any] | frozenset[Any], depth: int) -> Any:
        # Sorted, so that equal values have equal stored forms although sets have no order.
        items = sorted(self._list(value, depth), key=msgspec.json.encode)
        return tagged(type(value).__name__, items)

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        self._check_depth(depth)
        if TYPE_KEY in value or not all(type(key) is str for key in value):
            return tagged("dict", self._pairs(value, depth))
        encoded: dict[str, Any] = {}
        for key, item in value.items():
            try:
                encoded[key] = self.encode(item, depth + 1)
            except CodecError as error:
                raise under(segment(key), error) from error.__cause__
        return encoded

    def _pairs(self, value: dict[Any, Any], depth: int) -> list[Any]:
        pairs = []
        for key, item in value.items():
            try:
                pairs.append([self.encode(key, depth + 1), self.encode(item, depth + 1)])
            except CodecError as error:
                raise under(segment(key), error) from error.__cause__
        return pairs

    def _registered(self, value: Any, depth: int) -> Any:
        self._check_depth(depth)
        cls = type(value)
        entry = self._types.find_class(cls)
        if entry is None:
            name = qualified_name(cls)
            raise CodecError(
                f"values of type {name} cannot be stored: the type is not registered; put @register(name) above its "
                "class, or store something else"
            )
        plain = entry.shape.plain(value) if entry.shape.plain is not None and self._may_be_plain else None
        if plain is not None:
            return {TYPE_KEY: entry.name, PLAIN_KEY: plain}
        try:
            stored = entry.shape.take(value)
        except Exception as error:
            raise CodecError(f"cannot take a value of type {qualified_name(cls)} apart: {reason(error)}") from error
        data = tagged(entry.name, self.encode(stored, depth))
        return data if entry.version == 1 else {**data, VERSION_KEY: entry.version}

    def _check_depth(self, depth: int) -> None:
        if depth >= self._max_depth:
            raise CodecError(
                f"nested deeper than max_depth={self._max_depth}: raise it, unless the value contains itself"
            )


_BUILTIN: Final[Mapping[type, Callable[[Encoder, Any, int], Any]]] = {
    **dict.fromkeys(WRITE, Encoder._scalar),
    int: Encoder._int,
    float: Encoder._float,
    bytes: Encoder._bytes,
    list: Encoder._list,
    tuple: Encoder._tuple,
    set: Encoder._set,
    frozenset: Encoder._set,
    dict: Encoder._dict,
}


class TextChecker(Encoder):
    """Finds the text that is no valid Unicode; too slow for every value, used after one could not be written."""

    _may_be_plain = False  # looks at every field

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return `value` as tagged data.

        Raises:
            CodecError: At the first text with a lone surrogate.
        """
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise CodecError(f"{show_text(value)} is no valid text: {error.reason}") from error
        return super().encode(value, depth)


def reason(error: Exception) -> str:
    """Return the text of an error of user code; of pydantic's without the input, which may hold secrets."""
    errors = getattr(error, "errors", None)
    if type(error).__module__.startswith("pydantic") and callable(errors):
        found = errors(include_input=False, include_url=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
    return f"{type(error).__name__}: {error}"


def segment(key: object) -> str:
    """Return the piece of a path that stands for a key of a dictionary or the name of a field."""
    if isinstance(key, str) and key.isidentifier():
        return f".{key}"
    text = repr(key)
    return f"[{text if len(text) <= 60 else text[:57] + '...'}]"


def under(piece: str, error: CodecError) -> CodecError:
    """Return the error with one more piece in front of its path."""
    return CodecError(error.message, path=f"${piece}{error.path[1:]}")
