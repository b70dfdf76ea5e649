"""Storing values as tagged JSON or msgpack: only registered types, by name, never by import path. No pickle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec

from eino.errors import CodecError
from eino.schema import document, message, parts, tool, tool_result, usage
from eino.schema._codec_decode import Decoder
from eino.schema._codec_discovery import register_with_fields
from eino.schema._codec_encode import Encoder, TextChecker
from eino.schema._codec_types import TypeRegistry, Upgrade
from eino.schema._codec_values import schema_shape
from eino.schema._value import Value

__all__ = [
    "TYPES",
    "Codec",
    "CodecFormat",
    "TypeRegistry",
    "Upgrade",
    "register",
    "register_with_fields",
]

T = TypeVar("T")

CodecFormat = Literal["json", "msgpack"]
"""JSON can be read by people; msgpack is smaller, above all for bytes."""

DEFAULT_MAX_DEPTH: Final = 100
"""Levels of nesting: far more than real state has, and well below Python's recursion limit."""
DEFAULT_MAX_BYTES: Final = 64 * 2**20
"""Bytes of one stored value: a conversation with many images stays below."""


def _schema_types() -> TypeRegistry:
    registry = TypeRegistry()
    for module in (document, message, parts, tool, tool_result, usage):
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Value) and cls.__module__ == module.__name__:
                registry.add_schema_type(cls, schema_shape(cls))
    return registry


TYPES: Final = TypeRegistry(_schema_types())
"""The global registry. Schema types are in it as `eino.Message` and so on."""


def register(
    name: str,
    *,
    version: int = 1,
    aliases: Sequence[str] = (),
    upgrade: Upgrade | None = None,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Make a class storable under `name`, in all graphs: `@register("shop.Order")` above a dataclass, pydantic model,
    msgspec struct, named tuple or enum.

    The name is what is stored, so the class may be moved and renamed. Private attributes of pydantic models are not
    stored. What is stored but is no field any more is ignored when it is read back.

    Args:
        name: Unique, and never changed once values are stored.
        version: Raise it when fields change in a way that old data does not fit.
        aliases: Names that the type was stored under before.
        upgrade: Called with the stored fields and their version if that is older; returns fields of this version.
        encode: For other classes: returns what to store for a value.
        decode: For other classes: returns the value for what `encode` returned.

    Raises:
        BuildError: If a name or the class is taken, or the class cannot be taken apart.
    """

    def decorate(cls: type[T]) -> type[T]:
        TYPES.add(cls, name, version=version, aliases=aliases, upgrade=upgrade, encode=encode, decode=decode)
        return cls

    return decorate


class Codec:
    """Turns values into bytes and back.

    Storable are None, bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict (keys of any storable
    type), datetime, date, time, timedelta, Decimal, UUID, all schema values and every registered type, nested in any
    way. Types are exact: a tuple comes back as a tuple. A time zone other than a `ZoneInfo` comes back as a fixed
    offset, and the streaming index of message parts is not stored. Safe to share between threads.
    """

    def __init__(
        self,
        format: CodecFormat = "json",  # noqa: A002 - the usual word
        *,
        types: TypeRegistry = TYPES,
        max_depth: int = DEFAULT_MAX_DEPTH,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        if format not in ("json", "msgpack"):
            raise ValueError(f"format must be 'json' or 'msgpack', got {format!r}")
        if max_depth < 1 or max_bytes < 1:
            raise ValueError(f"max_depth and max_bytes must be at least 1, got {max_depth!r} and {max_bytes!r}")
        self.format = format
        self.max_bytes = max_bytes
        self._encoder = Encoder(types, max_depth=max_depth, native_bytes=format == "msgpack")
        self._checker = TextChecker(types, max_depth=max_depth, native_bytes=False)
        self._decoder = Decoder(types, max_depth=max_depth)

    def encode(self, value: Any) -> bytes:
        """Return `value` as bytes; equal values give equal bytes (dictionaries with the same order of keys).

        Raises:
            CodecError: If a type in it is not registered, it is nested too deeply or too large; the path leads there.
        """
        try:
            tree = self._encoder.encode(value)
            data = msgspec.json.encode(tree) if self.format == "json" else msgspec.msgpack.encode(tree)
        except RecursionError as error:
            raise CodecError("the value is nested too deeply; lower max_depth to learn where") from error
        except UnicodeEncodeError as error:
            self._checker.encode(value)  # raises the error with the path
            raise CodecError(f"the value holds a text that is no valid Unicode: {error.reason}") from error
        if len(data) > self.max_bytes:
            raise CodecError(f"the value takes {len(data)} bytes, max_bytes={self.max_bytes} are allowed")
        return data

    def decode(self, data: bytes) -> Any:
        """Return the value that `encode` made `data` of.

        Raises:
            CodecError: If `data` is malformed, too large or nested too deeply, or names an unknown type; the path
                leads to the spot.
        """
        if len(data) > self.max_bytes:
            raise CodecError(f"the data has {len(data)} bytes, max_bytes={self.max_bytes} are allowed")
        try:
            return self._decoder.decode(self._parse(data))
        except RecursionError as error:
            raise CodecError("the data is nested too deeply") from error

    def _parse(self, data: bytes) -> Any:
        try:
            return msgspec.json.decode(data) if self.format == "json" else msgspec.msgpack.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:  # odd keys were a TypeError before 0.22
            raise CodecError(f"the data is no valid {self.format}: {error}") from error
