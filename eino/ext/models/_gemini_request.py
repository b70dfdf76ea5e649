"""Messages and options as the body of a generateContent request. Pure.

Source: https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from eino.components.model import ModelOptions
from eino.errors import InvalidRequestError
from eino.ext.models._gemini_parts import is_own_id, model_parts, user_parts
from eino.ext.models._tool_choice import allowed_names, choice_among
from eino.schema.message import Message
from eino.schema.tool import ToolInfo

__all__ = ["request_body"]

JSON: TypeAlias = dict[str, Any]

_SETTINGS: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
}
_MODES: Final[Mapping[str, str]] = {"allowed": "AUTO", "forced": "ANY", "forbidden": "NONE"}


def request_body(messages: Sequence[Message], options: ModelOptions) -> JSON:
    """Return the body of the request; the model's name stands in its path.

    Raises:
        InvalidRequestError: If a message or an option cannot be expressed.
    """
    given = options.wanted()
    body: JSON = {"contents": _contents(messages)}
    if not body["contents"]:
        raise InvalidRequestError("there is no message to answer: Gemini needs one that is no system message")
    system = [
        part
        for position, message in enumerate(messages)
        if message.role == "system"
        for part in user_parts(position, message)
    ]
    if system:
        body["systemInstruction"] = {"parts": system}
    settings: JSON = {theirs: given[ours] for ours, theirs in _SETTINGS.items() if ours in given}
    if given.get("stop"):
        settings["stopSequences"] = list(given["stop"])
    settings |= _format(given.get("response_format", {}))
    if settings:
        body["generationConfig"] = settings
    return _with_extra(body | _tools(options), given.get("extra_fields", {}))


def _format(wanted: Mapping[str, Any]) -> JSON:
    """Return the settings that make the answer JSON; OpenAI's envelopes are understood too."""
    if wanted.get("type") == "json_object":
        return {"responseMimeType": "application/json"}
    if wanted.get("type") == "json_schema" and isinstance(inner := wanted.get("json_schema"), Mapping):
        return {"responseMimeType": "application/json", "responseJsonSchema": inner.get("schema", {})}
    return dict(wanted)


def _with_extra(body: JSON, fields: Mapping[str, Any]) -> JSON:
    """Return the body with `extra_fields`: objects are merged, tools are added to those of the call."""
    if "contents" in fields:
        raise InvalidRequestError("extra_fields must not hold 'contents': it is set by the call itself")
    settings = fields.get("generationConfig")
    count = settings.get("candidateCount", 1) if isinstance(settings, Mapping) else 1
    if count != 1:
        raise InvalidRequestError(
            f"extra_fields asks for candidateCount={count!r}, but a chat model returns one answer"
        )
    merged = _merged(body, fields)
    if isinstance(fields.get("tools"), list | tuple):
        merged["tools"] = [*body.get("tools", ()), *fields["tools"]]
    return merged


def _merged(below: Mapping[str, Any], over: Mapping[str, Any]) -> JSON:
    merged = dict(below)
    for name, value in over.items():
        inner = merged.get(name)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(inner, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return merged


def _tools(options: ModelOptions) -> JSON:
    tools = options.offered_tools
    allowed = allowed_names(options, tools)
    choice = choice_among(options, tools)
    if not tools:
        return {}
    body: JSON = {"tools": [{"functionDeclarations": [_declaration(tool) for tool in tools]}]}
    if choice is not None or allowed:
        body["toolConfig"] = {"functionCallingConfig": _calling(choice or "allowed", allowed)}
    return body


def _calling(choice: str, allowed: list[str]) -> JSON:
    if not allowed or choice == "forbidden":
        return {"mode": _MODES[choice]}
    # AUTO takes no names; VALIDATED lets the model choose between a text and a call, and takes them.
    return {"mode": "ANY" if choice == "forced" else "VALIDATED", "allowedFunctionNames": allowed}


def _declaration(tool: ToolInfo) -> JSON:
    declaration: JSON = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    if tool.parameters is not None:  # a function without parameters is declared without a schema
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration


def _contents(messages: Sequence[Message]) -> list[JSON]:
    """Return the conversation, in which neighbours with the same role are one content."""
    contents: list[JSON] = []
    names: dict[str, str] = {}
    for position, message in enumerate(messages):
        match message.role:
            case "system":
                continue
            case "user":
                role, parts = "user", user_parts(position, message)
            case "assistant":
                role, parts = "model", model_parts(position, message)
                names |= {call.id: call.name for call in message.tool_calls}
            case "tool":
                role, parts = "user", [_result(position, message, names)]
            case _:
                raise InvalidRequestError(
                    f"message {position} has the role {message.role!r}; it must be 'system', 'user', 'assistant' or "
                    "'tool'"
                )
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:  # an answer without anything in it cannot be sent, and says nothing
            contents.append({"role": role, "parts": parts})
    return contents


def _result(position: int, message: Message, names: Mapping[str, str]) -> JSON:
    """Return what a tool said; media go as parts of the result."""
    name = message.tool_name or names.get(message.tool_call_id)
    if not name:
        raise InvalidRequestError(
            f"message {position} answers the call {message.tool_call_id!r}, which no message before it asks for, and "
            "has no tool_name; Gemini needs the name of the tool"
        )
    parts = user_parts(position, message)
    text = "".join(part["text"] for part in parts if "text" in part)
    media = [part for part in parts if "text" not in part]
    result: JSON = {"name": name, "response": _response(text)}
    if media:
        result["parts"] = media
    identity = message.tool_call_id
    return {"functionResponse": result if not identity or is_own_id(identity) else {"id": identity, **result}}


def _response(text: str) -> JSON:
    """Return the result as an object, which the service demands: the text itself if it is one, else under `output`."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = None
    return value if isinstance(value, dict) else {"output": text}
