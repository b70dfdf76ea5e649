"""The bytes of a streamed answer as messages. Pure: fed by whoever reads the connection, in any pieces.

Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from eino.ext.models._answer_decoder import EventDecoder
from eino.ext.models._anthropic_answer import (
    THOUGHTS,
    extras,
    message_of,
    read_answer,
    read_usage,
    reasoning_part,
)
from eino.ext.models._anthropic_blocks import StreamedBlock, StreamedBlocks
from eino.ext.models._json_fields import text_of
from eino.ext.models._service_errors import Place, answer_error
from eino.ext.models._sse import ServerSentEvent
from eino.schema.message import Message
from eino.schema.tool import FunctionCall, ToolCall
from eino.schema.usage import ResponseMeta

__all__ = ["StreamDecoder"]


class StreamDecoder(EventDecoder):
    """Turns the body of a streamed answer into chunks of a message, and tells a whole answer from a broken one.

    An answer is whole when the service says so (`message_stop`) or the model does (a stop reason). Events that carry
    nothing make no chunk. A server that answers in one JSON document, although a stream was asked for, is understood.
    """

    _END: ClassVar = "message_stop"

    def __init__(self, place: Place, content_type: str = "text/event-stream") -> None:
        super().__init__(place, content_type, read_answer)
        self._blocks = StreamedBlocks()
        self._about: dict[str, Any] = {}

    def _partial(self) -> Message:
        """Return what had arrived: blocks that are not finished have what there is of them."""
        blocks = self._blocks.all
        arguments = ["".join(block.json) for block in blocks if block.call is not None]
        return message_of(self._about, [block.whole() for block in blocks], arguments)

    def _rest(self) -> Iterator[Message]:
        for block in self._blocks.all:
            yield from self._close(block)
        late = extras(self._about, [block.whole() for block in self._blocks.all])
        if late or not self.started:
            yield Message(role="assistant", content="", extra=late)

    def _read(self, event: ServerSentEvent) -> Iterator[Message]:
        payload = self._payload(event.data)
        if not isinstance(payload, dict):
            return
        kind = payload.get("type") or event.event
        if kind == "content_block_delta":
            chunk = self._delta(payload)
            if chunk is not None:
                yield chunk
        elif kind == "error" or payload.get("error"):
            raise self._failed(answer_error(payload.get("error") or payload, self._place))
        else:
            yield from self._other(kind, payload)

    def _other(self, kind: str, payload: Mapping[str, Any]) -> Iterator[Message]:
        """Read an event that comes once, or once a block. What is of no known type is left out, as the API demands."""
        match kind:
            case "content_block_start":
                yield from self._open(payload)
            case "content_block_stop":
                block = self._blocks.find(payload.get("index"))
                if block is not None:
                    yield from self._close(block)
            case "message_start":
                yield from self._begin(payload.get("message"))
            case "message_delta":
                yield from self._message_delta(payload)
            case "message_stop":
                self.done = True

    def _begin(self, message: object) -> Iterator[Message]:
        """Read how the answer begins: as a rule, without content."""
        if not isinstance(message, dict):
            return
        self._merge(message)
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            yield from self._open({"content_block": block})

    def _delta(self, payload: Mapping[str, Any]) -> Message | None:
        delta = payload.get("delta")
        if not isinstance(delta, dict):
            return None
        block = self._blocks.find(payload.get("index"))
        opened = None
        if block is None:
            block = self._blocks.open_for(payload.get("index"), delta)
            opened = block.opening() if block.call is not None else None
        block.add(delta)
        if block.kind == "text" and (text := text_of(delta, "text")):
            return Message(role="assistant", content=text)
        if block.kind == "thinking" and (text := text_of(delta, "thinking")):
            return Message(role="assistant", content="", reasoning_content=text)
        if block.call is None:
            return None
        piece = text_of(delta, "partial_json")
        call = ToolCall(index=block.call, type="", function=FunctionCall(arguments=piece))
        if opened is not None:
            call = opened.replace(function=call.function)
        return Message(role="assistant", content="", tool_calls=(call,)) if piece or opened else None

    def _open(self, payload: Mapping[str, Any]) -> Iterator[Message]:
        start = payload.get("content_block")
        if not isinstance(start, dict):
            return
        before = self._blocks.find(payload.get("index")) if isinstance(payload.get("index"), int) else None
        if before is not None:
            yield from self._close(before)
        block = self._blocks.open(payload.get("index"), start)
        if block.call is not None:
            yield Message(role="assistant", content="", tool_calls=(block.opening(),))
        elif block.kind == "text" and (text := text_of(start, "text")):
            yield Message(role="assistant", content=text)
        elif block.kind == "thinking" and (text := text_of(start, "thinking")):
            yield Message(role="assistant", content="", reasoning_content=text)

    def _close(self, block: StreamedBlock) -> Iterator[Message]:
        """Yield what is known of a block only when it is whole; once."""
        if block.closed:
            return
        block.closed = True
        if block.kind in THOUGHTS:
            part = reasoning_part(block.whole(), block.index)
            yield Message(role="assistant", content="", assistant_parts=(part,))
        elif block.call is not None and not "".join(block.json):  # a call without arguments, or with all at once
            call = ToolCall(index=block.call, type="", function=FunctionCall(arguments=block.arguments))
            yield Message(role="assistant", content="", tool_calls=(call,))

    def _message_delta(self, payload: Mapping[str, Any]) -> Iterator[Message]:
        delta = payload.get("delta")
        self._merge({**payload, **(delta if isinstance(delta, dict) else {})})
        reason = text_of(delta, "stop_reason") if isinstance(delta, dict) else ""
        self._finished = self._finished or bool(reason)
        usage = read_usage(self._about.get("usage"))
        if reason or usage is not None:
            yield Message(role="assistant", content="", response_meta=ResponseMeta(finish_reason=reason, usage=usage))

    def _merge(self, fields: Mapping[str, Any]) -> None:
        """Take what is said about the answer as a whole: later values count, of token counts the highest."""
        for name, value in fields.items():
            if name in ("type", "delta", "content") or value is None:
                continue
            before = self._about.get(name)
            if name == "usage" and isinstance(before, dict) and isinstance(value, dict):
                self._about[name] = _highest(before, value)
            else:
                self._about[name] = value


def _highest(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Join two reports of the usage: its counts are running totals, so the highest is the last."""
    joined = dict(before)
    for name, value in after.items():
        known = joined.get(name)
        if isinstance(value, int) and isinstance(known, int):
            joined[name] = max(value, known)
        elif value is not None:
            joined[name] = value
    return joined
