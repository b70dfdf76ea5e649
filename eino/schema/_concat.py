"""Joining the chunks of a stream into one value, by rules that can be extended for any type."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, overload

from eino.errors import ConcatError
from eino.schema._concat_messages import join_messages
from eino.schema._concat_rule import Joiner, UsesMaps
from eino.schema._concat_tool_results import join_tool_results
from eino.schema._registry import Combine, TypeTable
from eino.schema.message import Message
from eino.schema.tool_result import ToolResult

__all__ = [
    "CONCAT",
    "ConcatRegistry",
    "concat",
    "concat_messages",
    "concat_tool_results",
    "register_concat",
]

T = TypeVar("T")
F = TypeVar("F", bound=Combine)


class ConcatRegistry:
    """Functions that join chunks, by type. What is not found here is looked for in the parent.

    A graph's own registry has the global one as its parent: `ConcatRegistry(CONCAT, {MyType: join})`.
    """

    def __init__(self, parent: ConcatRegistry | None = None, functions: Mapping[type, Combine] | None = None) -> None:
        self._table: TypeTable = TypeTable(parent._table if parent is not None else None, functions)
        self._joiner = Joiner(self._table)

    @overload
    def register(self, cls: type[T]) -> Callable[[F], F]: ...
    @overload
    def register(self, cls: type[T], function: Callable[[Sequence[T]], T]) -> Callable[[], None]: ...
    def register(self, cls: type[Any], function: Combine | None = None) -> Any:
        """Use `function` to join two or more chunks of `cls`, and of classes derived from it that have none.

        A later registration for the same class replaces an earlier one, built-in ones included. Without `function`
        this is a decorator, which returns the decorated function.

        Returns:
            A function that undoes the registration.

        Raises:
            TypeError: If `cls` is not a class or `function` cannot be called.
        """
        if function is not None:
            return self._table.put(cls, function)

        def decorate(decorated: F) -> F:
            self._table.put(cls, decorated)
            return decorated

        return decorate

    def joins(self, cls: type) -> bool:
        """Tell whether a function is registered that joins chunks of `cls`."""
        return self._table.find(cls) is not None

    def concat(self, items: Sequence[T]) -> T:
        """Join the chunks of a stream into one value.

        One chunk is returned as it is. Of several: the function registered for their type joins them; else mappings
        are joined key by key; else at most one chunk may carry something (not None, zero or empty), and is the
        result. Texts and bytes are joined; of numbers, dates and times the last one wins.

        Raises:
            ConcatError: If there are no chunks, or they do not fit together; the text names the key of the value.
        """
        if not items:
            raise ConcatError("stream reader is empty, concat fail: the stream ended without a chunk")
        if len(items) == 1:
            return items[0]
        return self._joiner.join(items)  # type: ignore[no-any-return]  # registered functions come untyped

    def concat_messages(self, messages: Sequence[Message]) -> Message:
        """Join the chunks of one message; see the function of the same name."""
        return join_messages(messages, self._joiner.join_maps)

    def concat_tool_results(self, chunks: Sequence[ToolResult | None]) -> ToolResult:
        """Join the chunks of one tool result; see the function of the same name."""
        return join_tool_results(chunks, self._joiner.join_maps)


def _last(items: Sequence[Any]) -> Any:
    return items[-1]


_LAST_WINS: Final = (
    bool,
    int,
    float,
    complex,
    decimal.Decimal,
    dt.date,
    dt.datetime,
    dt.time,
    dt.timedelta,
)

CONCAT: Final = ConcatRegistry(
    None,
    {
        str: "".join,
        bytes: b"".join,
        **dict.fromkeys(_LAST_WINS, _last),
        Message: UsesMaps(join_messages),
        ToolResult: UsesMaps(join_tool_results),
    },
)
"""The global registry."""


def concat(items: Sequence[T]) -> T:
    """Join the chunks of a stream into one value, with the global registry; see `ConcatRegistry.concat`.

    Raises:
        ConcatError: If there are no chunks, or they do not fit together.
    """
    return CONCAT.concat(items)


@overload
def register_concat(cls: type[T]) -> Callable[[F], F]: ...
@overload
def register_concat(cls: type[T], function: Callable[[Sequence[T]], T]) -> Callable[[], None]: ...
def register_concat(cls: type[Any], function: Combine | None = None) -> Any:
    """Register a function that joins chunks of `cls`, for all graphs; also a decorator: `@register_concat(MyType)`.

    Returns:
        A function that undoes the registration; as a decorator, the decorated function.

    Raises:
        TypeError: If `cls` is not a class or `function` cannot be called.
    """
    return CONCAT.register(cls) if function is None else CONCAT.register(cls, function)


def concat_messages(messages: Sequence[Message]) -> Message:
    """Return the message that `messages` are the chunks of; no chunks make an empty message. Nothing is changed.

    Role, name, tool call id and tool name must agree where they are not empty. Texts are joined. Tool calls without
    an index come first, unmerged; pieces with the same index become one call. Neighbouring parts with the same kind
    and index become one. Usage is the highest count of each kind, the finish reason the last one, log probabilities
    are appended, `extra` is joined key by key.

    Raises:
        ConcatError: If a chunk is None or no message, or chunks contradict each other.
    """
    return CONCAT.concat_messages(messages)


def concat_tool_results(chunks: Sequence[ToolResult | None]) -> ToolResult:
    """Return the result that `chunks` are the pieces of; None and empty chunks are left out.

    Texts side by side become one, also over the border of chunks; each kind of media may come once only.

    Raises:
        ConcatError: If a kind of media comes twice.
    """
    return CONCAT.concat_tool_results(chunks)
