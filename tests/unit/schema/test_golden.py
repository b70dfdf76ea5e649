"""The JSON form of schema values is that of the Go original, to the order of the keys; see `golden/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eino.schema import (
    AudioPart,
    ChatMessageFile,
    ChatMessageMedia,
    ChatMessagePart,
    Document,
    FileMedia,
    FilePart,
    FunctionCall,
    ImageMedia,
    ImagePart,
    LogProb,
    LogProbs,
    Media,
    Message,
    ParameterInfo,
    Reasoning,
    ReasoningPart,
    ResponseMeta,
    TextPart,
    TokenUsage,
    ToolArgument,
    ToolAudioPart,
    ToolCall,
    ToolFilePart,
    ToolImagePart,
    ToolInfo,
    ToolResult,
    ToolSearchResult,
    ToolSearchResultPart,
    ToolVideoPart,
    TopLogProb,
    VideoPart,
    assistant_message,
    audio_part,
    file_part,
    from_json,
    image_part,
    to_json,
    token_usage,
    tool_call,
    tool_message,
    user_message,
    video_part,
)

GOLDEN = Path(__file__).parent / "golden"

VALUES: dict[str, Any] = {
    "message_minimal": user_message(""),
    "message_text_chunk": Message(role="", content="Hel"),
    "message_assistant_tool_calls": assistant_message(
        "",
        [
            tool_call("get_weather", {"city": "Paris"}, id="call_1", index=0),
            ToolCall(id="", type="", function=FunctionCall(), extra={"thought": "zażółć"}),
        ],
    ),
    "message_tool": tool_message("21 °C", "call_1", tool_name="get_weather"),
    "message_answer_meta": assistant_message(
        "Hi",
        name="helper",
        reasoning_content="greet back",
        response_meta=ResponseMeta(
            finish_reason="stop",
            usage=token_usage(30, 15, 45, cached_tokens=15, reasoning_tokens=8),
            logprobs=LogProbs(
                content=(
                    LogProb(
                        token="H",
                        logprob=-0.25,
                        bytes=(72,),
                        top_logprobs=(
                            TopLogProb(token="H", logprob=-0.25, bytes=(72,)),
                            TopLogProb(token="J", logprob=-9999),
                        ),
                    ),
                    LogProb(token="i", logprob=-0.5),
                )
            ),
        ),
        extra={"request_id": "req_1", "score": 0.5, "nested": {"a": [1, None, True]}},
    ),
    "message_usage_zero": assistant_message(response_meta=ResponseMeta(usage=TokenUsage())),
    "message_meta_empty": assistant_message(response_meta=ResponseMeta()),
    "message_user_parts": user_message(
        [
            TextPart("Look", extra={"k": "v"}),
            "",
            image_part("https://example.com/cat.png", mime_type="image/png", detail="high"),
            ImagePart(image=ImageMedia(url="", base64_data="")),
            AudioPart(audio=Media(base64_data="UklGRg==", mime_type="audio/wav", extra={"rate": 16000})),
            video_part("https://example.com/v.mp4"),
            file_part("https://example.com/a.pdf", name="a.pdf", mime_type="application/pdf"),
            ToolSearchResultPart(
                tool_search_result=ToolSearchResult(tools=(ToolInfo(name="search", description="Search."),))
            ),
        ]
    ),
    "message_assistant_parts": assistant_message(
        [
            ReasoningPart(reasoning=Reasoning(text="hm", signature="c2ln"), index=0),
            TextPart("Here", index=1),
            image_part(data=b"\x89PNG", mime_type="image/png"),
            audio_part(data="UklGRg=="),
            video_part("https://example.com/v.mp4", extra={"seconds": 3}),
        ]
    ),
    "message_multi_content": Message(
        role="user",
        content="",
        multi_content=(
            ChatMessagePart(type="text", text="old"),
            ChatMessagePart(
                type="image_url", image_url=ChatMessageMedia(url="https://example.com/a.png", detail="low")
            ),
            ChatMessagePart(
                type="file_url",
                file_url=ChatMessageFile(uri="file:a", mime_type="text/plain", name="a.txt", extra={"k": 1}),
            ),
        ),
    ),
    "tool_call": tool_call("f", "{}", id="call_2", index=1),
    "tool_info_without_input": ToolInfo(name="ping", description="Ping."),
    "tool_info_empty_params": ToolInfo(name="ping", has_params_one_of=True),
    "tool_info_params": ToolInfo(
        name="search",
        description="Search the docs.",
        extra={"hint": "keywords"},
        params={
            "filter": ParameterInfo(
                type="object",
                desc="how",
                sub_params={"status": ParameterInfo(type="string", enum=("ok", "fail"), required=True)},
            ),
            "tags": ParameterInfo(type="array", elem_info=ParameterInfo(type="string"), required=True),
        },
    ),
    "tool_info_json_schema": ToolInfo(
        name="create",
        description="Create.",
        json_schema={"properties": {"name": {"type": "string"}}, "type": "object", "required": ["name"]},
    ),
    "tool_result": ToolResult(
        parts=(
            TextPart("found"),
            ToolImagePart(image=Media(url="https://example.com/i.png")),
            ToolAudioPart(audio=Media(base64_data="UklGRg==")),
            ToolVideoPart(video=Media(url="v")),
            ToolFilePart(file=Media(url="f", mime_type="text/plain"), extra={"k": 1}),
            ToolSearchResultPart(tool_search_result=ToolSearchResult()),
        )
    ),
    "tool_result_empty": ToolResult(),
    "tool_argument": ToolArgument(text='{"q":1}'),
    "document": Document(
        id="d1",
        content="text",
        metadata={"_score": 0.5, "_sub_indexes": ["a"], "_dense_vector": [0.1, 0.2], "source": "web"},
    ),
    "document_empty": Document(content=""),
}

READ_ONLY: dict[str, Any] = {
    "nulls_document": Document(id="d1", content="text"),
    "nulls_logprobs": assistant_message(response_meta=ResponseMeta(logprobs=LogProbs())),
    "nulls_top_logprobs": assistant_message(
        response_meta=ResponseMeta(logprobs=LogProbs(content=(LogProb(token="a", logprob=-1),)))
    ),
    "nulls_tool_search_result": user_message([ToolSearchResultPart(tool_search_result=ToolSearchResult())]),
    "nulls_extra_is_kept": user_message("", extra={"a": None}),
}
"""What Go writes for nil slices and maps; the same values are written with empty ones."""


def golden(name: str) -> str:
    """Return the text of one golden file."""
    return (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


def ordered(text: str | bytes) -> Any:
    """Return JSON with its objects as pairs: the order of the keys counts."""
    return json.loads(text, object_pairs_hook=lambda pairs: [("object", *pairs)])


@pytest.mark.parametrize("name", VALUES)
def test_value_is_written_as_go_writes_it(name: str) -> None:
    """Names, order and omissions are those of Go's struct tags; the streaming index is left out."""
    assert ordered(to_json(VALUES[name])) == ordered(golden(name))


@pytest.mark.parametrize("name", VALUES)
def test_what_go_wrote_is_read(name: str) -> None:
    """Reading gives the value; its streaming index never existed on paper."""
    value = VALUES[name]

    read = from_json(golden(name), type(value))

    assert read == from_json(to_json(value), type(value))
    assert (isinstance(value, Message) and value.assistant_parts) or read == value


@pytest.mark.parametrize("name", READ_ONLY)
def test_null_is_read_as_empty(name: str) -> None:
    """Go writes null for a nil slice or map; free-form data keeps its nulls."""
    expected = READ_ONLY[name]

    assert from_json(golden(name), type(expected)) == expected


def test_every_golden_file_is_used() -> None:
    """A golden file without a value would test nothing."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == {*VALUES, *READ_ONLY}


def test_fields_that_are_not_written_have_a_reason() -> None:
    """Of all fields of a message only the streaming index of parts is missing in the JSON form."""
    part = FilePart(file=FileMedia(url="u", name="n"), index=7)

    assert b"index" not in to_json(user_message([part]))
    assert b"index" not in to_json(part)
    assert from_json(to_json(part), FilePart) == part.replace(index=None)
    assert VideoPart(video=Media(url="u")).media == Media(url="u")
