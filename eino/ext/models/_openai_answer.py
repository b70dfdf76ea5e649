"""What OpenAI-compatible servers answer, as messages. Pure, and lenient: servers differ in everything but the outline.

Fields that nobody documents are ignored; a documented field of the wrong type counts as absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from eino.ext.models._json_fields import JSONObject, count_of, object_of, text_of
from eino.ext.models._openai_reasoning import REASONING_DETAILS, whole_details
from eino.ext.models._service_errors import Place, answer_error, unreadable
from eino.schema.message import Message
from eino.schema.parts import AssistantPart, AudioPart, ImageMedia, ImagePart, Media
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
    "ANNOTATIONS",
    "REFUSAL",
    "REQUEST_ID",
    "answer_parts",
    "arguments_text",
    "call_extra",
    "choice_error",
    "first_choice",
    "read_answer",
    "read_logprobs",
    "read_usage",
    "texts_of",
    "usage_of",
]

REQUEST_ID: Final = "openai-request-id"
"""Key in `Message.extra`: the id that the server gave the answer. The Go original uses the same key."""
REFUSAL: Final = "openai-refusal"
"""Key in `Message.extra`: why the model refuses, in its own words; it then has no content."""
ANNOTATIONS: Final = "openai-annotations"
"""Key in `Message.extra`: sources that the server attached to the text, as it sent them."""


def first_choice(payload: JSONObject) -> JSONObject | None:
    """Return the choice that counts, the one with index 0, or None.

    `n` above 1 is never asked for, so others only come from servers that send them unasked.
    """
    choices = payload.get("choices")
    if not isinstance(choices, list):
        return None
    for choice in choices:
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return None


def choice_error(payload: JSONObject, choice: JSONObject | None) -> object | None:
    """Return the error that an answer reports inside a successful response, or None."""
    error = payload.get("error")
    if not error and choice is not None:
        error = choice.get("error")
    return error or None


def read_answer(body: bytes, place: Place, content_type: str = "application/json") -> Message:
    """Return the message of a whole (not streamed) answer.

    Raises:
        InvalidResponseError: If `body` is no answer of a model.
        ComponentError: If the answer reports an error, although the response is a success.
    """
    payload = object_of(body, place, content_type)
    choice = first_choice(payload)
    problem = choice_error(payload, choice)
    if problem is not None:
        raise answer_error(problem, place)
    if choice is None:
        raise unreadable(place, "no choices", content_type, body)
    return _message(payload, choice)


def _message(payload: JSONObject, choice: JSONObject) -> Message:
    said = choice.get("message")
    said = said if isinstance(said, dict) else {}
    content, reasoning = texts_of(said)
    extra: dict[str, Any] = {REQUEST_ID: identity} if (identity := text_of(payload, "id")) else {}
    if refusal := text_of(said, "refusal"):
        extra[REFUSAL] = refusal
    if annotations := said.get("annotations"):
        extra[ANNOTATIONS] = annotations
    if details := whole_details(said):
        extra[REASONING_DETAILS] = details
    return Message(
        role="assistant",
        content=content,
        assistant_parts=answer_parts(said),
        tool_calls=_whole_calls(said),
        reasoning_content=reasoning,
        response_meta=ResponseMeta(
            finish_reason=text_of(choice, "finish_reason"),
            usage=usage_of(payload, choice),
            logprobs=read_logprobs(choice.get("logprobs")),
        ),
        extra=extra,
    )


def texts_of(said: JSONObject) -> tuple[str, str]:
    """Return the content and the reasoning of a message or a delta.

    Reasoning is `reasoning_content` (DeepSeek, Qwen, xAI, vLLM), `reasoning` (OpenRouter, Groq, Ollama), the text of
    `reasoning_details` (OpenRouter), or a part of the content of type `thinking` (Mistral).
    """
    content = said.get("content")
    reasoning = said.get("reasoning_content") or said.get("reasoning") or ""
    if not isinstance(reasoning, str):
        reasoning = ""
    if not reasoning and (details := said.get("reasoning_details")):
        reasoning = _joined(details, ("text", "summary"))
    if isinstance(content, str):
        return content, reasoning
    if isinstance(content, list):
        thoughts = [part for part in content if isinstance(part, dict) and part.get("type") == "thinking"]
        others = [part for part in content if not (isinstance(part, dict) and part.get("type") == "thinking")]
        return _joined(others, ("text",)), reasoning or _joined(thoughts, ("thinking", "text"))
    return "", reasoning


def answer_parts(said: JSONObject) -> tuple[AssistantPart, ...]:
    """Return the audio and the images of a message or a delta; the audio's format is the one that was asked for."""
    parts: list[AssistantPart] = []
    audio = said.get("audio")
    if isinstance(audio, dict):
        notes = {name: audio[name] for name in ("id", "transcript") if isinstance(audio.get(name), str)}
        parts.append(AudioPart(audio=Media(base64_data=text_of(audio, "data")), extra=notes))
    images = said.get("images")
    for image in images if isinstance(images, list) else ():
        address = image.get("image_url") if isinstance(image, dict) else None
        if isinstance(address, dict) and (url := text_of(address, "url")):
            parts.append(ImagePart(image=_image(url)))
    return tuple(parts)


def arguments_text(function: JSONObject) -> str:
    """Return the arguments of a call as JSON text; some servers send the object itself."""
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


def usage_of(payload: JSONObject, choice: JSONObject | None) -> TokenUsage | None:
    """Return the usage, wherever the server puts it: Groq also under `x_groq`, Moonshot also in the choice."""
    usage = read_usage(payload.get("usage"))
    if usage is None and choice is not None:
        usage = read_usage(choice.get("usage"))
    if usage is None and isinstance(groq := payload.get("x_groq"), dict):
        usage = read_usage(groq.get("usage"))
    return usage


def read_usage(usage: object) -> TokenUsage | None:
    """Return the token counts, or None when there are none.

    Cached tokens are `prompt_tokens_details.cached_tokens`, `prompt_cache_hit_tokens` (DeepSeek) or `cached_tokens`
    (Moonshot); reasoning tokens `completion_tokens_details.reasoning_tokens` or `reasoning_tokens` (Perplexity).
    """
    if not isinstance(usage, dict) or not usage:
        return None
    prompt = count_of(usage, "prompt_tokens")
    completion = count_of(usage, "completion_tokens")
    details = usage.get("prompt_tokens_details")
    cached = count_of(details, "cached_tokens") or count_of(usage, "prompt_cache_hit_tokens")
    spent = usage.get("completion_tokens_details")
    return TokenUsage(
        prompt_tokens=prompt,
        prompt_token_details=PromptTokenDetails(cached_tokens=cached or count_of(usage, "cached_tokens")),
        completion_tokens=completion,
        total_tokens=count_of(usage, "total_tokens") or prompt + completion,
        completion_token_details=CompletionTokenDetails(
            reasoning_tokens=count_of(spent, "reasoning_tokens") or count_of(usage, "reasoning_tokens")
        ),
    )


def read_logprobs(logprobs: object) -> LogProbs | None:
    """Return the log probabilities of the content, or None when there are none."""
    entries = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(entries, list) or not entries:
        return None
    return LogProbs(content=tuple(_logprob(entry) for entry in entries if isinstance(entry, dict)))


def _logprob(entry: JSONObject) -> LogProb:
    top = entry.get("top_logprobs")
    likely = [item for item in top if isinstance(item, dict)] if isinstance(top, list) else []
    return LogProb(
        token=text_of(entry, "token"),
        logprob=_log(entry),
        bytes=_bytes(entry),
        top_logprobs=tuple(
            TopLogProb(token=text_of(item, "token"), logprob=_log(item), bytes=_bytes(item)) for item in likely
        ),
    )


def _log(entry: JSONObject) -> float:
    value = entry.get("logprob")
    return float(value) if isinstance(value, int | float) else VERY_UNLIKELY_LOGPROB


def _bytes(entry: JSONObject) -> tuple[int, ...]:
    value = entry.get("bytes")
    return tuple(item for item in value if isinstance(item, int)) if isinstance(value, list) else ()


def _joined(parts: object, names: Sequence[str]) -> str:
    """Return the texts of nested parts: strings, and what stands under `names`."""
    if isinstance(parts, str):
        return parts
    if isinstance(parts, list):
        return "".join(_joined(part, names) for part in parts)
    if isinstance(parts, dict):
        return "".join(_joined(parts.get(name), ("text",)) for name in names)
    return ""


def _image(url: str) -> ImageMedia:
    """Return the image at `url`; a data URL is taken apart."""
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return ImageMedia(base64_data=data, mime_type=head[len("data:") : -len(";base64")])
    return ImageMedia(url=url)


def _whole_calls(said: JSONObject) -> tuple[ToolCall, ...]:
    calls = said.get("tool_calls")
    found = [_whole_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    legacy = said.get("function_call")  # what servers sent before there were parallel calls
    if not found and isinstance(legacy, dict):
        found = [_whole_call({"function": legacy})]
    return tuple(found)


def _whole_call(call: JSONObject) -> ToolCall:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    return ToolCall(
        id=text_of(call, "id"),
        type=text_of(call, "type") or "function",
        function=FunctionCall(name=text_of(function, "name"), arguments=arguments_text(function)),
        extra=call_extra(call),
    )


def call_extra(call: JSONObject) -> dict[str, Any]:
    """Return what must be sent back with the call: Gemini keeps its thought signature under `extra_content`."""
    content = call.get("extra_content")
    return {"extra_content": content} if content else {}
