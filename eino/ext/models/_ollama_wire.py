"""Ollama's native chat protocol: messages to request bodies, lines of JSON to messages. Pure.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md, "Generate a chat completion".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from eino.components.model import ModelOptions
from eino.errors import InvalidRequestError
from eino.ext.models._answer_decoder import AnswerDecoder
from eino.ext.models._json_fields import text_of
from eino.ext.models._openai_answer import read_logprobs
from eino.ext.models._service_errors import Place, answer_error, unreadable
from eino.ext.models._tool_choice import allowed_names
from eino.schema import Message, ResponseMeta, concat_messages
from eino.schema.parts import ImagePart, ReasoningPart, TextPart
from eino.schema.tool import FunctionCall, ToolCall
from eino.schema.usage import TokenUsage

__all__ = ["LineDecoder", "read_whole", "request_body"]

JSON: TypeAlias = dict[str, Any]

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_decode: Final = msgspec.json.Decoder().decode


def request_body(messages: Sequence[Message], options: ModelOptions, *, stream: bool) -> JSON:
    """Return the body of the request.

    Raises:
        InvalidRequestError: If a message or an option cannot be expressed.
    """
    given = options.wanted()
    extra = dict(given.get("extra_fields", {}))
    for name in ("messages", "stream"):
        if name in extra:
            raise InvalidRequestError(f"extra_fields must not hold {name!r}: it is set by the call itself")
    settings: JSON = {name: given[name] for name in ("temperature", "top_p") if name in given}
    if "max_tokens" in given:
        settings["num_predict"] = given["max_tokens"]
    if given.get("stop"):
        settings["stop"] = list(given["stop"])
    settings |= extra.pop("options", {})
    body: JSON = {
        "model": given["model"],
        "messages": [_message(position, message) for position, message in enumerate(messages)],
        "stream": stream,
    }
    if settings:
        body["options"] = settings
    if "response_format" in given:
        body["format"] = _format(given["response_format"])
    return body | _tools(options) | extra


def _format(wanted: Mapping[str, Any]) -> Any:
    """Return the server's `format`: `"json"`, or a JSON schema; OpenAI's envelopes are taken off."""
    if wanted.get("type") == "json_object":
        return "json"
    if wanted.get("type") == "json_schema" and isinstance(inner := wanted.get("json_schema"), Mapping):
        return inner.get("schema", {})
    return dict(wanted)


def _tools(options: ModelOptions) -> JSON:
    """Return the tools. The protocol has no tool choice: what it cannot promise is refused, not ignored."""
    tools = options.offered_tools
    if options.tool_choice == "forced":
        raise InvalidRequestError(
            "tool_choice is 'forced', but Ollama cannot force a call; leave it out or use 'allowed'"
        )
    if not tools or options.tool_choice == "forbidden":
        return {}
    allowed = allowed_names(options, tools)
    offered = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            },
        }
        for tool in tools
        if not allowed or tool.name in allowed
    ]
    return {"tools": offered}


def _message(position: int, message: Message) -> JSON:
    if message.role not in ("system", "user", "assistant", "tool"):
        raise InvalidRequestError(
            f"message {position} has the role {message.role!r}; it must be 'system', 'user', 'assistant' or 'tool'"
        )
    body: JSON = {"role": message.role, "content": message.content}
    if message.multi_content and not message.content and not message.user_parts:
        raise InvalidRequestError(f"message {position} has the deprecated multi_content; use user_parts")
    parts = message.user_parts or (() if message.content else message.assistant_parts)
    texts, images = [message.content] if message.content and not message.user_parts else [], []
    for part in parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, ImagePart) and part.image.base64_data:
            images.append(part.image.base64_data)
        elif not isinstance(part, ReasoningPart):
            raise InvalidRequestError(
                f"message {position} has {part!r}, which cannot be sent: Ollama takes text, and images as base64_data"
            )
    body["content"] = "".join(texts)
    if images:
        body["images"] = images
    if message.role == "assistant" and message.reasoning_content:
        body["thinking"] = message.reasoning_content
    if message.tool_calls:
        body["tool_calls"] = [_call(position, call) for call in message.tool_calls]
    if message.role == "tool":
        body |= {
            name: value
            for name, value in (("tool_name", message.tool_name), ("tool_call_id", message.tool_call_id))
            if value
        }
    return body


def _call(position: int, call: ToolCall) -> JSON:
    try:
        arguments = _decode(call.arguments or "{}")
    except msgspec.DecodeError as error:
        raise InvalidRequestError(
            f"message {position} calls {call.name!r} with arguments that are no JSON: {call.arguments[:100]!r}"
        ) from error
    body: JSON = {"function": {"name": call.name, "arguments": arguments}}
    return body | ({"id": call.id} if call.id else {})


def read_whole(body: bytes, place: Place, content_type: str = "") -> Message:
    """Return the answer in a body that is one JSON document.

    Raises:
        InvalidResponseError: If it is none.
        ComponentError: If it reports an error.
    """
    try:
        payload = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unreadable(place, str(error), content_type, body) from error
    if isinstance(payload, dict) and payload.get("error"):
        raise answer_error(payload["error"], place)
    if not isinstance(payload, dict) or not isinstance(payload.get("message"), dict):
        raise unreadable(place, "it has no message", content_type, body)
    return _read(payload, None)


class LineDecoder(AnswerDecoder):
    """Turns lines of JSON into chunks of a message; only a line with `done` makes the answer whole.

    The library's own reader splits at every Unicode line end, so that a text with U+0085 breaks it, and takes an
    answer that stops without `done` for a whole one. Hence this one, on bytes.
    """

    def __init__(self, place: Place, content_type: str = "application/x-ndjson") -> None:
        super().__init__(place, content_type)
        self._pieces: list[bytes] = []
        self._size = 0
        self._calls = 0
        self._chunks: list[Message] = []

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Yield the chunks that `piece` completes.

        Raises:
            ComponentError: If the server reports an error, or sends what is no JSON, before the first chunk.
            StreamBrokenError: If it does so later; `partial` holds what came before.
        """
        *lines, rest = piece.split(b"\n")
        for line in lines:
            whole = b"".join((*self._pieces, line))
            self._pieces, self._size = [], 0
            yield from self._line(whole)
        self._pieces.append(rest)
        self._size += len(rest)
        if self._size > MAX_LINE_BYTES:
            raise self.broken(f"a line is longer than {MAX_LINE_BYTES} bytes")

    def end(self) -> Iterator[Message]:
        """Yield what is left when the connection has ended in the regular way.

        Raises:
            StreamBrokenError: If no line with `done` came; `partial` holds what there is.
        """
        rest, self._pieces = b"".join(self._pieces), []
        yield from self._line(rest)
        if not self.done:
            raise self.broken("the connection ended before a line with done")

    def _partial(self) -> Message:
        return concat_messages(self._chunks)

    def _line(self, line: bytes) -> Iterator[Message]:
        if self.done or not line.strip():
            return
        try:
            payload = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if not self.started:
                raise unreadable(self._place, f"a line is no JSON ({error})", self._content_type, line) from error
            raise self.broken(f"a line is no JSON ({error}): {line[:100]!r}") from error
        if not isinstance(payload, dict):
            return
        if payload.get("error"):
            raise self._failed(answer_error(payload["error"], self._place))
        message = _read(payload, self._calls)
        self._calls += len(message.tool_calls)
        self.done = payload.get("done") is True
        if message.content or message.reasoning_content or message.tool_calls or message.response_meta:
            self._chunks.append(message)
            self.started = True
            yield message


def _read(payload: JSON, calls_before: int | None) -> Message:
    """Return what a line says; its calls are numbered on from `calls_before`, those of a whole answer not at all."""
    said = payload.get("message")
    said = said if isinstance(said, dict) else {}
    calls = said.get("tool_calls")
    found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return Message(
        role="assistant",
        content=text_of(said, "content"),
        reasoning_content=text_of(said, "thinking"),
        tool_calls=tuple(
            _tool_call(call, None if calls_before is None else calls_before + position)
            for position, call in enumerate(found)
        ),
        response_meta=_meta(payload),
    )


def _tool_call(call: JSON, index: int | None) -> ToolCall:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
    return ToolCall(
        index=index, id=text_of(call, "id"), function=FunctionCall(name=text_of(function, "name"), arguments=text)
    )


def _meta(payload: JSON) -> ResponseMeta | None:
    logprobs = read_logprobs({"content": payload.get("logprobs")})  # entries as OpenAI's, in the line of their text
    if payload.get("done") is not True:
        return None if logprobs is None else ResponseMeta(logprobs=logprobs)
    prompt, completion = _count(payload, "prompt_eval_count"), _count(payload, "eval_count")
    usage = TokenUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
    return ResponseMeta(finish_reason=text_of(payload, "done_reason"), usage=usage, logprobs=logprobs)


def _count(fields: JSON, name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) and value > 0 else 0
