"""Parsers that read a value of a Python type from a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args

import msgspec

from eino.errors import BuildError, MessageParseError
from eino.schema._adapters import type_adapter
from eino.schema._problems import cut, problem_text, shown
from eino.schema._value import Value
from eino.schema.message import Message

__all__ = ["JSONMessageParser", "MessageParser", "ParseSource"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

ParseSource = Literal["content", "tool_call"]
"""Where the JSON stands: in the content of the message, or in the arguments of its first tool call."""


class MessageParser(Protocol[T_co]):
    """Reads a value from a message."""

    def parse(self, message: Message) -> T_co:
        """Return what the message says.

        Raises:
            MessageParseError: If the message does not hold such a value.
        """
        ...


class JSONMessageParser(Generic[T]):
    """Reads JSON from a message into a pydantic model, a dataclass, a TypedDict, a msgspec struct or any such type.

    parser = JSONMessageParser(Weather)
    weather = parser.parse(message)
    """

    __slots__ = ("_decode", "_key_path", "_source")

    def __init__(self, target: type[T], *, source: ParseSource = "content", key_path: str | Sequence[str] = "") -> None:
        """Prepare to read `target`.

        Args:
            target: The type to read.
            source: Where the JSON stands.
            key_path: Keys from the outermost value to the wanted one: `"a.b"`, or a sequence if a key holds a dot.
                A number is the index into a list. Empty: the outermost value.

        Raises:
            BuildError: If the type cannot be read from JSON, or the source is unknown.
        """
        if source not in get_args(ParseSource):
            raise BuildError(f"invalid parse from type: {source!r}; use one of {', '.join(get_args(ParseSource))}")
        self._source = source
        self._key_path = tuple(key_path.split(".") if isinstance(key_path, str) and key_path else key_path)
        self._decode = _decoder(target)

    def parse(self, message: Message) -> T:
        """Return the value that the message holds.

        Raises:
            MessageParseError: If there is no tool call, no such key, no JSON, or JSON of another shape.
        """
        text = self._text(message)
        if self._key_path:
            text = json.dumps(self._walk(text))
        try:
            value: T = self._decode(text)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:  # pydantic's is a ValueError
            raise MessageParseError(
                f"failed to unmarshal content: {problem_text(error)}; the text is {cut(text)}"
            ) from error
        return value

    def _text(self, message: Message) -> str:
        if self._source == "content":
            return message.content
        if not message.tool_calls:
            raise MessageParseError(f"no tool call found in the message, a {message.role!r} one: {message!r}")
        return message.tool_calls[0].arguments

    def _walk(self, text: str) -> object:
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._no_path(f"the text is no JSON: {error}; it is {cut(text)}") from error
        for key in self._key_path:
            value = self._step(value, key)
        return value

    def _step(self, value: object, key: str) -> object:
        if isinstance(value, dict):
            if key in value:
                return value[key]
            raise self._no_path(f"there is no key {key!r}, only {sorted(value)!r}")
        if isinstance(value, list) and key.isascii() and key.isdecimal() and len(key) < 10:
            if int(key) < len(value):
                return value[int(key)]
            raise self._no_path(f"index {key} is beyond the list's length of {len(value)}")
        raise self._no_path(f"{shown(value)} has no key {key!r}")

    def _no_path(self, reason: str) -> MessageParseError:
        return MessageParseError(f"failed to get parse key path: {'.'.join(self._key_path)!r}: {reason}")


def _decoder(target: Any) -> Callable[[str], Any]:
    if isinstance(target, type) and issubclass(target, msgspec.Struct) and not issubclass(target, Value):
        return msgspec.json.Decoder(target).decode
    return type_adapter(target).validate_json
