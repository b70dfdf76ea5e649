"""Requests to Anthropic's API beside the types of the official SDK, which are made from the service's description."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import BaseModel, Field

from eino.components import ModelOptions
from eino.ext.models._anthropic_request import request_body
from eino.ext.models.anthropic import CALL, CONTENT, THOUGHT, response_format
from eino.schema import (
    FileMedia,
    FilePart,
    ImageMedia,
    ImagePart,
    Message,
    Reasoning,
    ReasoningPart,
    ToolInfo,
    ToolSearchResult,
    ToolSearchResultPart,
    assistant_message,
    system_message,
    tool_call,
    tool_message,
    user_message,
)


def problems(value: Any, kind: Any, path: str = "$") -> list[str]:
    """Return where `value` is not of the type, keys that a TypedDict does not know included.

    pydantic reads the elements of an `Iterable` late and drops unknown keys, so it cannot tell.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Required, NotRequired, Annotated):
        return problems(value, parts[0], path)
    if origin in (Union, types.UnionType):
        return min((problems(value, part, path) for part in parts), key=len)
    if origin is Literal:
        return [] if value in parts else [f"{path}: {value!r} is none of {parts}"]
    if hasattr(kind, "__required_keys__"):
        return _of_typed_dict(value, kind, path)
    if origin is Iterable or "Sequence" in getattr(origin or kind, "__name__", ""):
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        return [each for place, item in enumerate(value) for each in problems(item, parts[0], f"{path}[{place}]")]
    plain = origin or kind
    if plain in (object, Any):
        return []
    return [] if isinstance(value, plain) else [f"{path}: {value!r} is no {plain}"]


def _of_typed_dict(value: Any, kind: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no {kind.__name__}"]
    fields = get_type_hints(kind, include_extras=True)
    required = [name for name in fields if get_origin(fields[name]) is Required]
    return [
        *(f"{path}: {kind.__name__} has no {name!r}" for name in value if name not in fields),
        *(f"{path}: {name!r} of {kind.__name__} is missing" for name in required if name not in value),
        *(each for name in value if name in fields for each in problems(value[name], fields[name], f"{path}.{name}")),
    ]


class Trip(BaseModel):
    """A trip to a city."""

    city: str
    days: int = Field(ge=1)


LOOK = ToolInfo(name="look", description="Look.", json_schema={"type": "object", "properties": {"at": {}}})
CLOCK = ToolInfo(name="clock", extra={"cache_control": {"type": "ephemeral"}, "strict": True})
SEARCH = ToolInfo(name="web_search", extra={"type": "web_search_20250305", "max_uses": 2})
MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
IMAGE = ImagePart(image=ImageMedia(url="https://example.org/a.png"), extra=MARK)
PAPER = FilePart(file=FileMedia(base64_data="CCCC", name="x"), extra={"citations": {"enabled": True}})
NOTES = FilePart(file=FileMedia(base64_data="aGk=", mime_type="text/plain"), extra={"context": "old"})
THOUGHTS = (
    ReasoningPart(reasoning=Reasoning(text="hm", signature="c2ln"), extra={THOUGHT: "thinking"}),
    ReasoningPart(reasoning=Reasoning(signature="ZGF0YQ=="), extra={THOUGHT: "redacted_thinking"}),
)
CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.org",
    "title": "Example",
    "cited_text": "x",
    "encrypted_index": "y",
}
SEARCHED: list[dict[str, Any]] = [
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
    {"type": "text", "text": "So.", "citations": [CITATION]},
]
CALL_WITH_MORE = tool_call("f", "{", id="c2", extra={CALL: {"caller": {"type": "direct"}}})
CONVERSATION = [
    system_message("one", extra=MARK),
    user_message([IMAGE, ImagePart(image=ImageMedia(base64_data="AAAA")), PAPER, NOTES, "go"]),
    assistant_message("So.", [tool_call("f", {"a": 1}, id="c1")], extra={CONTENT: SEARCHED}),
    tool_message("x", "c1", extra=MARK),
    Message(role="assistant", content="so", assistant_parts=THOUGHTS, tool_calls=(CALL_WITH_MORE,)),
    tool_message(
        ["x", IMAGE, PAPER, ToolSearchResultPart(tool_search_result=ToolSearchResult(tools=(LOOK,)))],
        "c2",
        extra={"is_error": True},
    ),
    system_message("two"),
]


def test_a_request_with_everything_is_of_the_declared_type() -> None:
    """Every block, every option, no key too many."""
    options = ModelOptions(
        model="m",
        tools=[LOOK, CLOCK, SEARCH],
        tool_choice="forced",
        stop=["END"],
        response_format=response_format(Trip),
        extra_fields={"thinking": {"type": "enabled", "budget_tokens": 2000}, "disable_parallel_tool_use": True},
    )

    body = request_body(CONVERSATION, options, stream=False, system_in_place=True)

    assert problems(body, MessageCreateParamsNonStreaming) == []


def test_the_check_can_fail() -> None:
    """An unknown key, a wrong type, a missing field, a list that is none."""
    body = request_body([user_message("hi")], ModelOptions(model="m"), stream=False)
    wrong = {"max_tokens": "x", "colour": 1, "stop_sequences": 3}

    found = problems({**body, **wrong, "messages": [{"role": "bot"}]}, MessageCreateParamsNonStreaming)

    assert len(found) == 5
    assert problems({}, MessageCreateParamsNonStreaming)
