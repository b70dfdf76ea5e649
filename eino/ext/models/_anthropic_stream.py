"""The bytes of a streamed answer as messages. Pure: fed by whoever reads the connection, in any pieces.

Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from eino.errors import ComponentError, StreamBrokenError
from eino.ext.models._anthropic_answer import (
    THOUGHTS,
    extras,
    message_of,
    read_answer,
    read_usage,
    reasoning_part,
    text_of,
)
from eino.ext.models._anthropic_blocks import StreamedBlock, StreamedBlocks
from eino.ext.models._openai_errors import Place, answer_error, unreadable
from eino.ext.models._sse import EventTooLongError, ServerSentEvent, SSEParser, may_be_events
from eino.schema.message import Message
from eino.schema.tool import FunctionCall, ToolCall
from eino.schema.usage import ResponseMeta

__all__ = ["StreamDecoder"]

_HEAD_BYTES: Final = 512
"""How much of a body is kept, to be shown when it turns out to be no answer."""

_decode: Final = msgspec.json.Decoder().decode


class StreamDecoder:
    """Turns the body of a streamed answer into chunks of a message, and tells a whole answer from a broken one.

    An answer is whole when the service says so (`message_stop`) or the model does (a stop reason). Events that carry
    nothing make no chunk. A server that answers in one JSON document, although a stream was asked for, is understood.
    """

    def __init__(self, place: Place, content_type: str = "text/event-stream") -> None:
        self._place = place
        self._content_type = content_type
        self._document = bytearray() if "json" in content_type else None
        self._parser = SSEParser()
        self._head = bytearray()
        self._blocks = StreamedBlocks()
        self._about: dict[str, Any] = {}
        self._events = 0
        self._finished = False
        self.started = False
        """Whether a chunk was handed out, so that an error now comes in the middle of an answer."""
        self.done = False
        """Whether the server said that nothing more will come."""

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Yield the chunks that `piece` completes.

        Raises:
            ComponentError: If the server reports an error before the first chunk; the class says which.
            StreamBrokenError: If it does so later, or sends what is no JSON; `partial` holds what came before.
        """
        if self._document is not None:
            self._document += piece
            return
        if not self._events and len(self._head) < _HEAD_BYTES:
            self._head += piece[:_HEAD_BYTES]
        try:
            events = self._parser.feed(piece)
        except EventTooLongError as error:
            raise self.broken(str(error)) from error
        for event in events:
            if self.done:
                return
            yield from self._handed_out(self._read(event))

    def end(self) -> Iterator[Message]:
        """Yield what is left when the connection has ended in the regular way.

        Raises:
            InvalidResponseError: If what came is no answer of a model.
            StreamBrokenError: If the answer is not whole; `partial` holds what there is.
        """
        if self._document is not None:
            yield read_answer(bytes(self._document), self._place)
            return
        yield from self._last_event()
        if not self.done and not self._finished:
            raise self._incomplete()
        for block in self._blocks.all:
            yield from self._close(block)
        late = extras(self._about, [block.whole() for block in self._blocks.all])
        if late or not self.started:
            yield Message(role="assistant", content="", extra=late)

    def broken(self, why: str, cause: ComponentError | None = None) -> StreamBrokenError:
        """Return the error for a stream that ends here because of `why`; it can be retried if its cause can."""
        error = StreamBrokenError(f"the answer of {self._place} broke off: {why}", partial=self._partial())
        if cause is not None:
            error.retryable = cause.retryable
        return error

    def _handed_out(self, chunks: Iterator[Message]) -> Iterator[Message]:
        for chunk in chunks:
            self.started = True
            yield chunk

    def _partial(self) -> Message | None:
        """Return what had arrived: blocks that are not finished have what there is of them."""
        if not self.started:
            return None
        blocks = self._blocks.all
        arguments = ["".join(block.json) for block in blocks if block.call is not None]
        return message_of(self._about, [block.whole() for block in blocks], arguments)

    def _last_event(self) -> Iterator[Message]:
        """Read an event that lacks the empty line behind it."""
        event = self._parser.flush()
        if event is None or self.done:
            return
        try:
            yield from self._handed_out(self._read(event))
        except StreamBrokenError as error:
            if isinstance(error.__cause__, msgspec.DecodeError):
                raise self.broken("the connection ended in the middle of an event") from error.__cause__
            raise

    def _incomplete(self) -> ComponentError:
        if self._events:
            return self.broken("the connection ended before the model had finished, without message_stop")
        if not may_be_events(bytes(self._head)):
            return unreadable(self._place, "no events", self._content_type, bytes(self._head))
        return self.broken("the connection ended before the first event")

    def _read(self, event: ServerSentEvent) -> Iterator[Message]:
        data = event.data
        if not data or data.isspace():
            return
        try:
            payload = _decode(data)
        except msgspec.DecodeError as error:
            raise self.broken(f"an event is no JSON ({error}): {data.strip()[:100]!r}") from error
        self._events += 1
        if not isinstance(payload, dict):
            return
        kind = payload.get("type") or event.event
        if kind == "content_block_delta":
            chunk = self._delta(payload)
            if chunk is not None:
                yield chunk
        elif kind == "error" or payload.get("error"):
            self._raise(payload.get("error") or payload)
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

    def _raise(self, problem: object) -> None:
        cause = answer_error(problem, self._place)
        if not self.started:
            raise cause
        raise self.broken(str(cause), cause) from cause


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
