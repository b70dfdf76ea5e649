"""Which tool call a streamed piece belongs to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from eino.ext.models._json_fields import JSONObject, text_of
from eino.ext.models._openai_answer import arguments_text, call_extra
from eino.schema.tool import FunctionCall, ToolCall

__all__ = ["StreamedCalls"]


@dataclass(slots=True)
class _OpenCall:
    index: int
    identity: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class StreamedCalls:
    """Gives each piece of a tool call the index of its call.

    Servers agree on the outline only: the index may be missing, or the same for all calls; id and name come with the
    first piece, with every piece, or as empty texts. So a piece begins a new call when its index is new, or when it
    does not fit what is known of the call under its index: another id, another name, or the name again and more
    arguments although those so far are complete. A piece without index continues the last call, unless it brings a
    name or another id.
    """

    def __init__(self) -> None:
        self._by_index: dict[int, _OpenCall] = {}
        self._used: set[int] = set()
        self._last: _OpenCall | None = None

    def read(self, delta: JSONObject) -> tuple[ToolCall, ...]:
        """Return the pieces of tool calls in `delta`, in order."""
        pieces = delta.get("tool_calls")
        found = [self._piece(piece) for piece in pieces if isinstance(piece, dict)] if isinstance(pieces, list) else []
        legacy = delta.get("function_call")
        if not found and isinstance(legacy, dict):
            found = [self._piece({"index": 0, "function": legacy})]
        return tuple(found)

    def _piece(self, piece: JSONObject) -> ToolCall:
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        identity, name = text_of(piece, "id"), text_of(function, "name")
        index = piece.get("index")
        if isinstance(index, int) and index >= 0:
            call = self._by_index.get(index)
        else:
            index, call = None, self._last
        arguments = arguments_text(function)
        anonymous = index is None and name and not identity
        if call is None or anonymous or not _fits(call, identity, name, arguments):
            call = self._open(index)
        call.identity = identity or call.identity
        call.name = name or call.name
        call.arguments.append(arguments)
        self._last = call
        return ToolCall(
            index=call.index,
            id=identity,
            type=text_of(piece, "type") or "function",
            function=FunctionCall(name=name, arguments=arguments),
            extra=call_extra(piece),
        )

    def _open(self, index: int | None) -> _OpenCall:
        free = max(self._used, default=-1) + 1 if index is None or index in self._used else index
        call = _OpenCall(free)
        self._used.add(free)
        self._by_index[free if index is None else index] = call
        return call


def _fits(call: _OpenCall, identity: str, name: str, arguments: str) -> bool:
    if identity and call.identity:
        return identity == call.identity
    if name and call.name:
        return name == call.name and not (arguments and _complete(call))
    return True


def _complete(call: _OpenCall) -> bool:
    try:
        msgspec.json.decode("".join(call.arguments))
    except msgspec.DecodeError:
        return False
    return True
