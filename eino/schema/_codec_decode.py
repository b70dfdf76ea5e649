"""From tagged data back to values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from eino.errors import CodecError
from eino.schema._codec_encode import (
    PLAIN_KEY,
    TYPE_KEY,
    VALUE_KEY,
    VERSION_KEY,
    reason,
    segment,
    under,
)
from eino.schema._codec_scalars import READ
from eino.schema._codec_types import RegisteredType, TypeRegistry
from eino.schema._show import show_text


class Decoder:
    """Turns tagged data back into one value. Names are looked up in the registry; nothing is ever imported."""

    def __init__(self, types: TypeRegistry, *, max_depth: int) -> None:
        self._types = types
        self._max_depth = max_depth

    def decode(self, data: Any, depth: int = 0) -> Any:
        """Return the value that `data` stands for.

        Raises:
            CodecError: If a type is unknown, data does not fit its type, or it is nested too deeply.
        """
        if isinstance(data, dict):
            self._check_depth(depth)
            return self._tagged(data, depth) if TYPE_KEY in data else self._fields(data, depth)
        if isinstance(data, list):
            self._check_depth(depth)
            return self._items(data, depth)
        return data

    def _items(self, data: list[Any], depth: int) -> list[Any]:
        decoded: list[Any] = []
        try:
            for item in data:
                decoded.append(self.decode(item, depth + 1))  # noqa: PERF401 - its length says where an error was
        except CodecError as error:
            raise under(f"[{len(decoded)}]", error) from error.__cause__
        return decoded

    def _fields(self, data: dict[str, Any], depth: int) -> dict[str, Any]:
        decoded = {}
        for key, item in data.items():
            try:
                decoded[key] = self.decode(item, depth + 1)
            except CodecError as error:
                raise under(segment(key), error) from error.__cause__
        return decoded

    def _tagged(self, data: dict[str, Any], depth: int) -> Any:
        name = data[TYPE_KEY]
        if not isinstance(name, str) or (VALUE_KEY not in data and PLAIN_KEY not in data):
            raise CodecError(
                f"malformed data: {TYPE_KEY} must be a name with a {VALUE_KEY!r} beside it, got {show_text(repr(name))}"
            )
        try:
            return self._builtin(name, data, depth)
        except CodecError:
            raise
        except Exception as error:
            shown = show_text(repr(data.get(VALUE_KEY)))
            raise CodecError(f"{shown} is no stored {name}: {reason(error)}") from error

    def _builtin(self, name: str, data: dict[str, Any], depth: int) -> Any:
        read = READ.get(name)
        if read is not None:
            return read(data[VALUE_KEY])
        collect = _COLLECTIONS.get(name)
        if collect is not None:
            return collect(self._items(data[VALUE_KEY], depth))
        return self._pairs(data, depth) if name == "dict" else self._registered(name, data, depth)

    def _registered(self, name: str, data: dict[str, Any], depth: int) -> Any:
        entry = self._types.find_name(name)
        if entry is None:
            raise CodecError(
                f"unknown type {name!r}: import the module that registers it, or give this name as an alias of the "
                "type that it is called now"
            )
        stored = data[PLAIN_KEY] if PLAIN_KEY in data else self.decode(data[VALUE_KEY], depth)
        stored = self._upgraded(entry, stored, data.get(VERSION_KEY, 1))
        try:
            return entry.shape.build(stored)
        except msgspec.ValidationError as error:
            text, _, path = str(error).partition(" - at `$")
            raise CodecError(f"stored {name!r} does not fit: {text}", path=f"${path.rstrip('`')}") from error
        except Exception as error:
            raise CodecError(f"cannot build a value of type {name!r} from what is stored: {reason(error)}") from error

    def _upgraded(self, entry: RegisteredType, stored: Any, version: Any) -> Any:
        if version == entry.version:
            return stored
        if not isinstance(version, int) or version > entry.version:
            raise CodecError(
                f"{entry.name!r} is stored in version {version!r}, this program knows version {entry.version}: "
                "it was written by a newer program"
            )
        if entry.upgrade is None:
            raise CodecError(
                f"{entry.name!r} is stored in version {version}, this program has version {entry.version} and no "
                "upgrade; give upgrade= when registering the type"
            )
        try:
            return entry.upgrade(stored, version)
        except Exception as error:
            raise CodecError(f"the upgrade of {entry.name!r} from version {version} failed: {reason(error)}") from error

    def _pairs(self, data: dict[str, Any], depth: int) -> dict[Any, Any]:
        decoded = {}
        for stored, item in data[VALUE_KEY]:
            key = self.decode(stored, depth + 1)
            try:
                decoded[key] = self.decode(item, depth + 1)
            except CodecError as error:
                raise under(segment(key), error) from error.__cause__
        return decoded

    def _check_depth(self, depth: int) -> None:
        # One level of a value takes up to three levels of data: the tag, the container in it, a pair in that.
        if depth >= 3 * self._max_depth:
            raise CodecError(f"data is nested deeper than max_depth={self._max_depth} allows")


_COLLECTIONS: Final[Mapping[str, Callable[[list[Any]], Any]]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
