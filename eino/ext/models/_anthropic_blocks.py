"""The blocks of a streamed answer, put together from their pieces, whatever their type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from eino.ext.models._anthropic_answer import Block, arguments_of, block_type, notes
from eino.ext.models._json_fields import text_of
from eino.schema.tool import FunctionCall, ToolCall

__all__ = ["StreamedBlock", "StreamedBlocks"]

_KINDS: Final[Mapping[str, str]] = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}
"""What a piece belongs to whose block was never opened."""


class StreamedBlock:
    """One block: as it was opened, and the pieces that came after."""

    __slots__ = ("call", "closed", "index", "json", "kind", "start", "texts")

    def __init__(self, index: int, start: Mapping[str, Any], call: int | None) -> None:
        self.index = index
        """Its place in the answer."""
        self.start: Block = dict(start)
        self.kind = block_type(start)
        self.call = call
        """Which call of the message it is; None for any other block."""
        self.texts: dict[str, list[str]] = {}
        """Pieces of text, by the field that they belong to."""
        self.json: list[str] = []
        """Pieces of the input, as JSON text."""
        self.closed = False

    def add(self, delta: Mapping[str, Any]) -> None:
        """Take a piece: texts are strung together, citations collected, of all else the last one counts."""
        for name, value in delta.items():
            if name == "type":
                continue
            if name == "partial_json":
                self.json.append(value if isinstance(value, str) else "")
            elif name == "citation":
                self.start["citations"] = [*(self.start.get("citations") or ()), value]
            elif isinstance(value, str):
                self.texts.setdefault(name, []).append(value)
            elif value is not None:
                self.start[name] = value

    @property
    def arguments(self) -> str:
        """The input as JSON text: the pieces of it, or what the block was opened with."""
        return "".join(self.json) or arguments_of(self.start)

    def whole(self) -> Block:
        """Return the block as a whole answer would have it."""
        block = dict(self.start)
        for name, pieces in self.texts.items():
            block[name] = text_of(block, name) + "".join(pieces)
        if self.json:
            text = self.arguments
            try:
                block["input"] = msgspec.json.decode(text)
            except msgspec.DecodeError:
                block["input"] = text
        return block

    def opening(self) -> ToolCall:
        """Return the first piece of the call."""
        return ToolCall(
            index=self.call,
            id=text_of(self.start, "id"),
            function=FunctionCall(name=text_of(self.start, "name")),
            extra=notes(self.start),
        )


class StreamedBlocks:
    """All blocks of an answer, in the order in which they were opened; pieces find theirs by its index."""

    def __init__(self) -> None:
        self.all: list[StreamedBlock] = []
        self._open: dict[int, StreamedBlock] = {}
        self._calls = 0

    def open(self, index: object, start: Mapping[str, Any]) -> StreamedBlock:
        """Begin a block; another one with the same index is left as it is."""
        place = len(self.all)
        call = None
        if block_type(start) == "tool_use":
            call, self._calls = self._calls, self._calls + 1
        block = StreamedBlock(place, start, call)
        self._open[index if isinstance(index, int) else place] = block
        self.all.append(block)
        return block

    def find(self, index: object) -> StreamedBlock | None:
        """Return the block with an index; without one, it is the last."""
        if isinstance(index, int):
            return self._open.get(index)
        return self.all[-1] if self.all else None

    def open_for(self, index: object, delta: Mapping[str, Any]) -> StreamedBlock:
        """Begin the block of a piece that comes without one."""
        kind = _KINDS.get(text_of(delta, "type"), text_of(delta, "type") or "text")
        return self.open(index, {"type": kind, "input": {}} if kind == "tool_use" else {"type": kind})
