"""What Gemini answers, as messages. Pure, and lenient.

A documented field of the wrong type counts as absent. What has no field in a message is not dropped: parts of kinds
that are not known here are kept under `PARTS`, all else that the answer says under `DETAILS`.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from eino.errors import ContentFilterError
from eino.ext.models._gemini_errors import answer_error, blocked
from eino.ext.models._gemini_parts import PARTS, THOUGHT_SIGNATURE, call_id, is_media, skeleton
from eino.ext.models._json_fields import JSONObject, count_of, object_of, text_of
from eino.ext.models._service_errors import Place, unreadable
from eino.schema.message import Message
from eino.schema.parts import AssistantPart, AudioPart, ImageMedia, ImagePart, Media, VideoPart
from eino.schema.tool import FunctionCall, ToolCall
from eino.schema.usage import (
    VERY_UNLIKELY_LOGPROB,
    CompletionTokenDetails,
    LogProb,
    LogProbs,
    PromptTokenDetails,
    ResponseMeta,
    TokenUsage,
    TopLogProb,
)

__all__ = [
    "DETAILS",
    "MODEL_VERSION",
    "RESPONSE_ID",
    "Said",
    "block_error",
    "details_of",
    "first_candidate",
    "identity_of",
    "parts_of",
    "read_answer",
    "read_call",
    "read_logprobs",
    "read_parts",
    "read_usage",
]

JSON: TypeAlias = dict[str, Any]

RESPONSE_ID: Final = "gemini-response-id"
"""Key in `Message.extra`: the id that the service gave the answer."""
MODEL_VERSION: Final = "gemini-model-version"
"""Key in `Message.extra`: the model that answered, with its version."""
DETAILS: Final = "gemini-details"
"""Key in `Message.extra`: what else the answer says, under the service's names: `groundingMetadata`,
`citationMetadata`, `urlContextMetadata`, `safetyRatings`, `finishMessage`, `usageMetadata`, ..."""

_READ_OF_ANSWER: Final = frozenset({"candidates", "responseId", "modelVersion", "error"})
_READ_OF_CANDIDATE: Final = frozenset({"content", "finishReason", "index", "logprobsResult"})


@dataclass(slots=True)
class Said:
    """What the parts of one piece of an answer say."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    media: list[AssistantPart] = field(default_factory=list)
    calls: list[JSON] = field(default_factory=list)
    """The parts with calls."""


def first_candidate(payload: JSONObject) -> JSONObject | None:
    """Return the candidate that counts, the one with index 0, or None; more than one is never asked for."""
    candidates = payload.get("candidates")
    for candidate in candidates if isinstance(candidates, list) else ():
        if isinstance(candidate, dict) and not candidate.get("index"):
            return candidate
    return None


def read_answer(body: bytes, place: Place, content_type: str = "application/json") -> Message:
    """Return the message of a whole (not streamed) answer.

    Raises:
        InvalidResponseError: If `body` is no answer of a model.
        ContentFilterError: If the prompt was blocked.
        ComponentError: If the answer reports an error, although the response is a success.
    """
    payload = object_of(body, place, content_type)
    if problem := payload.get("error"):
        raise answer_error(problem, place)
    candidate = first_candidate(payload)
    if candidate is None:
        raise block_error(payload, place) or unreadable(place, "no candidates", content_type, body)
    return _message(payload, candidate)


def block_error(payload: JSONObject, place: Place) -> ContentFilterError | None:
    """Return the error that says why a prompt was not answered, if the service says so."""
    feedback = payload.get("promptFeedback")
    return blocked(feedback, place) if isinstance(feedback, dict) and feedback.get("blockReason") else None


def _message(payload: JSONObject, candidate: JSONObject) -> Message:
    parts = parts_of(candidate)
    said = read_parts(parts)
    identity = identity_of(payload)
    found = {
        RESPONSE_ID: identity,
        MODEL_VERSION: text_of(payload, "modelVersion"),
        PARTS: skeleton(parts),
        DETAILS: details_of(payload, candidate),
    }
    return Message(
        role="assistant",
        content="".join(said.content),
        assistant_parts=tuple(said.media),
        tool_calls=tuple(read_call(part, call_id(identity, place)) for place, part in enumerate(said.calls)),
        reasoning_content="".join(said.reasoning),
        response_meta=ResponseMeta(
            finish_reason=text_of(candidate, "finishReason"),
            usage=read_usage(payload.get("usageMetadata")),
            logprobs=read_logprobs(candidate.get("logprobsResult")),
        ),
        extra={name: value for name, value in found.items() if value},
    )


def identity_of(payload: JSONObject) -> str:
    """Return the id of the answer; empty when it has none."""
    return text_of(payload, "responseId")


def parts_of(candidate: JSONObject | None) -> list[JSON]:
    """Return the parts of a candidate."""
    content = candidate.get("content") if candidate is not None else None
    parts = content.get("parts") if isinstance(content, dict) else None
    return [_whole(part) for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _whole(part: JSON) -> JSON:
    """Return a part in the form in which it is sent: a call has arguments, empty as they may be."""
    call = part.get("functionCall")
    if isinstance(call, dict) and not isinstance(call.get("args"), dict):
        return part | {"functionCall": {**call, "args": {}}}
    return part


def read_parts(parts: Sequence[JSON]) -> Said:
    """Return what parts say in the terms of a message."""
    said = Said()
    for part in parts:
        text = part.get("text")
        if isinstance(text, str):
            (said.reasoning if part.get("thought") else said.content).append(text)
        elif isinstance(part.get("functionCall"), dict):
            said.calls.append(part)
        elif is_media(part):
            said.media.append(_media(part))
    return said


def _media(part: JSON) -> AssistantPart:
    inline = part["inlineData"]
    kind, data = str(inline["mimeType"]), text_of(inline, "data")
    signature = text_of(part, "thoughtSignature")
    extra = {THOUGHT_SIGNATURE: signature} if signature else {}
    match kind.partition("/")[0]:
        case "image":
            return ImagePart(image=ImageMedia(base64_data=data, mime_type=kind), extra=extra)
        case "audio":
            return AudioPart(audio=Media(base64_data=data, mime_type=kind), extra=extra)
        case _:
            return VideoPart(video=Media(base64_data=data, mime_type=kind), extra=extra)


def read_call(part: JSON, identity: str, index: int | None = None) -> ToolCall:
    """Return a whole call; `identity` is its id unless it brings one."""
    call = part["functionCall"]
    signature = text_of(part, "thoughtSignature")
    return ToolCall(
        index=index,
        id=text_of(call, "id") or identity,
        function=FunctionCall(name=text_of(call, "name"), arguments=msgspec.json.encode(call["args"]).decode()),
        extra={THOUGHT_SIGNATURE: signature} if signature else {},
    )


def details_of(payload: JSONObject, candidate: JSONObject | None) -> JSON:
    """Return what an answer says besides its message: of the candidate, and of the whole."""
    details = {name: value for name, value in payload.items() if name not in _READ_OF_ANSWER}
    if candidate is not None:
        details |= {name: value for name, value in candidate.items() if name not in _READ_OF_CANDIDATE}
    return details


def read_usage(usage: object) -> TokenUsage | None:
    """Return the token counts, or None when there are none.

    Thoughts are part of the completion, as everywhere in eino; the service counts them beside it. Tokens that tools of
    the service added to the prompt are in the total only (and in `DETAILS`).
    """
    if not isinstance(usage, dict) or not usage:
        return None
    prompt, thoughts = count_of(usage, "promptTokenCount"), count_of(usage, "thoughtsTokenCount")
    # Vertex AI called the answer's tokens `responseTokenCount` for a while.
    completion = (count_of(usage, "candidatesTokenCount") or count_of(usage, "responseTokenCount")) + thoughts
    return TokenUsage(
        prompt_tokens=prompt,
        prompt_token_details=PromptTokenDetails(cached_tokens=count_of(usage, "cachedContentTokenCount")),
        completion_tokens=completion,
        total_tokens=count_of(usage, "totalTokenCount") or prompt + completion,
        completion_token_details=CompletionTokenDetails(reasoning_tokens=thoughts),
    )


def read_logprobs(result: object) -> LogProbs | None:
    """Return the log probabilities of the answer, or None when there are none."""
    chosen = result.get("chosenCandidates") if isinstance(result, dict) else None
    if not isinstance(chosen, list) or not chosen:
        return None
    tops = result.get("topCandidates") if isinstance(result, dict) else None
    tops = tops if isinstance(tops, list) else []
    return LogProbs(
        content=tuple(
            LogProb(
                token=text_of(entry, "token"),
                logprob=_log(entry),
                top_logprobs=_top(tops[place] if place < len(tops) else None),
            )
            for place, entry in enumerate(chosen)
            if isinstance(entry, dict)
        )
    )


def _top(likely: object) -> tuple[TopLogProb, ...]:
    entries = likely.get("candidates") if isinstance(likely, dict) else None
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return tuple(TopLogProb(token=text_of(entry, "token"), logprob=_log(entry)) for entry in found)


def _log(entry: JSONObject) -> float:
    value = entry.get("logProbability")
    return float(value) if isinstance(value, int | float) else VERY_UNLIKELY_LOGPROB
