"""The bytes of a streamed answer as messages. Pure: fed by whoever reads the connection, in any pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from eino.errors import ConcatError
from eino.ext.models._answer_decoder import EventDecoder
from eino.ext.models._json_fields import JSONObject, text_of
from eino.ext.models._openai_answer import (
    ANNOTATIONS,
    REFUSAL,
    REQUEST_ID,
    answer_parts,
    choice_error,
    first_choice,
    read_answer,
    read_logprobs,
    texts_of,
    usage_of,
)
from eino.ext.models._openai_calls import StreamedCalls
from eino.ext.models._openai_reasoning import REASONING_DETAILS, StreamedDetails
from eino.ext.models._service_errors import Place, answer_error
from eino.ext.models._sse import ServerSentEvent
from eino.schema import Message, ResponseMeta, concat_messages

__all__ = ["StreamDecoder"]


class StreamDecoder(EventDecoder):
    """Turns the body of a streamed answer into chunks of a message, and tells a whole answer from a broken one.

    An answer is whole when the server says so (`[DONE]`) or the model does (a finish reason). Chunks that carry
    nothing are left out. A server that answers in one JSON document, although a stream was asked for, is understood.
    """

    _END: ClassVar = "[DONE]"

    def __init__(self, place: Place, content_type: str = "text/event-stream") -> None:
        super().__init__(place, content_type, read_answer)
        self._calls = StreamedCalls()
        self._chunks: list[Message] = []
        self._annotations: list[Any] = []
        self._details = StreamedDetails()
        self._identity: str | None = None
        self._audio_identity = ""

    def _partial(self) -> Message:
        try:
            return concat_messages(self._chunks)
        except ConcatError:  # chunks that contradict each other must not hide why the stream broke
            return concat_messages([chunk.replace(extra={}, tool_calls=()) for chunk in self._chunks])

    def _rest(self) -> Iterator[Message]:
        late: dict[str, Any] = {ANNOTATIONS: self._annotations, REASONING_DETAILS: self._details.blocks}
        if any(late.values()):
            yield Message(role="assistant", content="", extra={name: found for name, found in late.items() if found})

    def _read(self, event: ServerSentEvent) -> Iterator[Message]:
        data = event.data.strip()
        if data.startswith("[DONE]"):
            self.done = True
            return
        payload = self._payload(data)
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
            raise self._failed(answer_error(problem, self._place))

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
