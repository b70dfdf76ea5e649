"""The bytes of a streamed answer as messages. Pure: fed by whoever reads the connection, in any pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from eino.errors import ComponentError, ConcatError, StreamBrokenError
from eino.ext.models._openai_answer import (
    ANNOTATIONS,
    REFUSAL,
    REQUEST_ID,
    JSONObject,
    answer_parts,
    choice_error,
    first_choice,
    read_answer,
    read_logprobs,
    text_of,
    texts_of,
    usage_of,
)
from eino.ext.models._openai_calls import StreamedCalls
from eino.ext.models._openai_errors import Place, answer_error, unreadable
from eino.ext.models._openai_reasoning import REASONING_DETAILS, StreamedDetails
from eino.ext.models._sse import EventTooLongError, ServerSentEvent, SSEParser, may_be_events
from eino.schema import Message, ResponseMeta, concat_messages

__all__ = ["StreamDecoder"]

_HEAD_BYTES: Final = 512
"""How much of a body is kept, to be shown when it turns out to be no answer."""

_decode: Final = msgspec.json.Decoder().decode


class StreamDecoder:
    """Turns the body of a streamed answer into chunks of a message, and tells a whole answer from a broken one.

    An answer is whole when the server says so (`[DONE]`) or the model does (a finish reason). Chunks that carry
    nothing are left out. A server that answers in one JSON document, although a stream was asked for, is understood.
    """

    def __init__(self, place: Place, content_type: str = "text/event-stream") -> None:
        self._place = place
        self._content_type = content_type
        self._document = bytearray() if "json" in content_type else None
        self._parser = SSEParser()
        self._calls = StreamedCalls()
        self._head = bytearray()
        self._chunks: list[Message] = []
        self._annotations: list[Any] = []
        self._details = StreamedDetails()
        self._identity: str | None = None
        self._audio_identity = ""
        self._events = 0
        self._finished = False
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
            yield from self._read(event)

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
        late: dict[str, Any] = {ANNOTATIONS: self._annotations, REASONING_DETAILS: self._details.blocks}
        if any(late.values()):
            yield Message(role="assistant", content="", extra={name: found for name, found in late.items() if found})

    def broken(self, why: str, cause: ComponentError | None = None) -> StreamBrokenError:
        """Return the error for a stream that ends here because of `why`; it can be retried if its cause can."""
        error = StreamBrokenError(f"the answer of {self._place} broke off: {why}", partial=self._partial())
        if cause is not None:
            error.retryable = cause.retryable
        return error

    @property
    def started(self) -> bool:
        """Whether a chunk was handed out, so that an error now comes in the middle of an answer."""
        return bool(self._chunks)

    def _last_event(self) -> Iterator[Message]:
        """Read an event that lacks the empty line behind it."""
        event = self._parser.flush()
        if event is None or self.done:
            return
        try:
            yield from self._read(event)
        except StreamBrokenError as error:
            if isinstance(error.__cause__, msgspec.DecodeError):
                raise self.broken("the connection ended in the middle of an event") from error.__cause__
            raise

    def _incomplete(self) -> ComponentError:
        if self._events:
            return self.broken("the connection ended before the model had finished, without [DONE]")
        if not may_be_events(bytes(self._head)):
            return unreadable(self._place, "no events", self._content_type, bytes(self._head))
        return self.broken("the connection ended before the first event")

    def _partial(self) -> Message | None:
        if not self._chunks:
            return None
        try:
            return concat_messages(self._chunks)
        except ConcatError:  # chunks that contradict each other must not hide why the stream broke
            return concat_messages([chunk.replace(extra={}, tool_calls=()) for chunk in self._chunks])

    def _read(self, event: ServerSentEvent) -> Iterator[Message]:
        data = event.data.strip()
        if data.startswith("[DONE]"):
            self.done = True
            return
        if not data:
            return
        try:
            payload = _decode(data)
        except msgspec.DecodeError as error:
            raise self.broken(f"an event is no JSON ({error}): {data[:100]!r}") from error
        self._events += 1
        if not isinstance(payload, dict):
            return
        choice = first_choice(payload)
        message = self._message(payload, choice)
        if message is not None:
            self._chunks.append(message)
            yield message
        problem = choice_error(payload, choice)
        if problem is None and event.event == "error":
            problem = payload
        if problem is not None:
            self._raise(problem)

    def _raise(self, problem: object) -> None:
        cause = answer_error(problem, self._place)
        if not self._chunks:
            raise cause
        raise self.broken(str(cause), cause) from cause

    def _message(self, payload: JSONObject, choice: JSONObject | None) -> Message | None:
        """Return the chunk that an event carries, or None if it carries nothing."""
        delta = _delta(choice)
        content, reasoning = texts_of(delta)
        calls = self._calls.read(delta)
        meta = self._meta(payload, choice)
        extra = self._extra(delta)
        parts = answer_parts(delta)
        if not (content or reasoning or calls or meta or extra or parts):
            return None
        if parts:
            parts = self._name_audio_once(parts)
        if self._identity is None and (identity := text_of(payload, "id")):
            self._identity = identity
            extra[REQUEST_ID] = identity
        return Message(
            role="assistant",
            content=content,
            assistant_parts=parts,
            tool_calls=calls,
            reasoning_content=reasoning,
            response_meta=meta,
            extra=extra,
        )

    def _meta(self, payload: JSONObject, choice: JSONObject | None) -> ResponseMeta | None:
        usage = usage_of(payload, choice)
        if choice is None:
            return ResponseMeta(usage=usage) if usage is not None else None
        reason = text_of(choice, "finish_reason")
        logprobs = read_logprobs(choice.get("logprobs"))
        if reason:
            self._finished = True
        elif usage is None and logprobs is None:
            return None
        return ResponseMeta(finish_reason=reason, usage=usage, logprobs=logprobs)

    def _extra(self, delta: JSONObject) -> dict[str, Any]:
        annotations = delta.get("annotations")
        if isinstance(annotations, list):
            self._annotations += annotations  # lists under one key cannot be joined: they are sent at the end
        self._details.read(delta)  # its pieces are sent at the end too, joined
        refusal = text_of(delta, "refusal")
        return {REFUSAL: refusal} if refusal else {}

    def _name_audio_once(self, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """Drop the audio's id from all pieces but the first; joining would string them together."""
        named = []
        for part in parts:
            identity = part.extra.get("id", "")
            if identity and identity == self._audio_identity:
                part = part.replace(extra={name: value for name, value in part.extra.items() if name != "id"})  # noqa: PLW2901
            self._audio_identity = identity or self._audio_identity
            named.append(part)
        return tuple(named)


def _delta(choice: JSONObject | None) -> JSONObject:
    """Return what a choice adds; some servers send a whole `message` where a delta belongs."""
    if choice is None:
        return {}
    delta = choice["delta"] if "delta" in choice else choice.get("message")
    return delta if isinstance(delta, dict) else {}
