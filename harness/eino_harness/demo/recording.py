"""Reads a cassette of chat calls as a conversation: what was asked, which tools there were, what they answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eino_fixtures
from eino import Message, TextPart, ToolInfo, assistant_message, image_part, system_message, tool_message, user_message
from eino.schema import UserPart
from eino_fixtures.cassettes import RecordedCall, load_cassette

__all__ = ["DemoError", "Recording", "read_recording"]

OWN_RECORDING = Path(eino_fixtures.__file__).parent / "data" / "demo_openai.yaml"


class DemoError(RuntimeError):
    """The demo cannot go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded conversation."""

    name: str
    calls: tuple[RecordedCall, ...]
    model: str
    messages: tuple[Message, ...]
    """What the first call asked."""
    tools: tuple[ToolInfo, ...]
    tool_results: Mapping[str, str]
    """What each tool call got as its result, by its id."""
    streamed: tuple[bool, ...]
    """For each call, whether its answer was a stream."""

    @property
    def base_url(self) -> str:
        """Where the calls went, without the path of the chat endpoint."""
        return self.calls[0].url.split("/chat/completions")[0]


def read_recording(cassette: Path | None = None) -> Recording:
    """Return the conversation of a cassette; the demo's own by default.

    Raises:
        CassetteError: If the file cannot be read.
        DemoError: If it holds no OpenAI-compatible chat calls.
    """
    path = cassette or OWN_RECORDING
    calls = tuple(call for call in load_cassette(path) if "/chat/completions" in call.url)
    if not calls:
        raise DemoError(
            f"{path} has no call of an OpenAI-compatible chat endpoint (/chat/completions): give another --cassette"
        )
    requests = [_request(path, call) for call in calls]
    first = requests[0]
    results = {
        str(message.get("tool_call_id")): _text(message.get("content"))
        for request in requests
        for message in request["messages"]
        if message.get("role") == "tool"
    }
    return Recording(
        name=path.stem if cassette is None else str(path),
        calls=calls,
        model=str(first.get("model", "recorded")),
        messages=tuple(_message(message) for message in first["messages"]),
        tools=tuple(_tool(tool["function"]) for tool in first.get("tools") or () if tool.get("type") == "function"),
        tool_results=results,
        streamed=tuple(_is_stream(call) for call in calls),
    )


def _is_stream(call: RecordedCall) -> bool:
    return any(name.lower() == "content-type" and "event-stream" in value for name, value in call.headers)


def _request(path: Path, call: RecordedCall) -> dict[str, Any]:
    try:
        request = json.loads(call.request_body)
    except ValueError as error:
        raise DemoError(f"{path}: the request to {call.url} is no JSON, so the demo cannot ask it again") from error
    if not isinstance(request, dict) or not isinstance(request.get("messages"), list):
        raise DemoError(f"{path}: the request to {call.url} has no messages")
    return request


def _message(recorded: Mapping[str, Any]) -> Message:
    role, content = recorded.get("role"), recorded.get("content")
    if role in ("system", "developer"):
        return system_message(_text(content))
    if role == "tool":
        return tool_message(_text(content), str(recorded.get("tool_call_id")))
    if role == "assistant":
        return assistant_message(_text(content))
    if isinstance(content, list):
        return user_message(_parts(content))
    return user_message(_text(content))


def _parts(content: Sequence[Mapping[str, Any]]) -> list[UserPart]:
    parts: list[UserPart] = []
    for part in content:
        if part.get("type") == "image_url":
            parts.append(image_part(url=part["image_url"]["url"]))
        else:
            parts.append(TextPart(text=str(part.get("text", ""))))
    return parts


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return content if isinstance(content, str) else ""


def _tool(function: Mapping[str, Any]) -> ToolInfo:
    return ToolInfo(
        name=function["name"], description=function.get("description", ""), json_schema=function.get("parameters")
    )
