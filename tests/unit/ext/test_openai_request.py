"""Messages and options as the body of a chat completions request."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from eino.components import ModelOptions
from eino.errors import InvalidRequestError
from eino.ext.models._openai_request import Dialect, request_body
from eino.ext.models.openai import REFUSAL
from eino.schema import (
    AudioPart,
    ChatMessageFile,
    ChatMessageMedia,
    ChatMessagePart,
    FileMedia,
    FilePart,
    ImageMedia,
    ImagePart,
    Media,
    Message,
    ParameterInfo,
    Reasoning,
    ReasoningPart,
    TextPart,
    ToolInfo,
    ToolSearchResult,
    ToolSearchResultPart,
    VideoPart,
    assistant_message,
    system_message,
    tool_call,
    tool_message,
    user_message,
)

HI = [user_message("hi")]
SEARCH = ToolInfo(name="search", description="Finds.", params={"q": ParameterInfo(type="string", required=True)})
CLOCK = ToolInfo(name="clock", extra={"strict": True})
SEARCH_JSON = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Finds.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    },
}
CLOCK_JSON = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}, "strict": True},
}


def body(
    messages: list[Message] = HI,
    options: ModelOptions | None = None,
    dialect: Dialect | None = None,
    *,
    stream: bool = False,
) -> dict[str, Any]:
    """Return the body for a request to the model `m`."""
    merged = ModelOptions(model="m").merge(options)
    return request_body(messages, merged, dialect or Dialect(), stream=stream)


def as_sent(message: Message, dialect: Dialect | None = None) -> dict[str, Any]:
    """Return one message as it is sent."""
    (sent,) = body([message], dialect=dialect)["messages"]
    return dict(sent)


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        pytest.param(system_message("be brief"), {"role": "system", "content": "be brief"}, id="system"),
        pytest.param(user_message("hi", name="ann"), {"role": "user", "content": "hi", "name": "ann"}, id="name"),
        pytest.param(
            tool_message("42", "c1", tool_name="calc"),
            {"role": "tool", "content": "42", "tool_call_id": "c1"},
            id="tool result",
        ),
        pytest.param(assistant_message("yes"), {"role": "assistant", "content": "yes"}, id="answer"),
        pytest.param(assistant_message(""), {"role": "assistant", "content": ""}, id="empty answer"),
        pytest.param(
            assistant_message("", [tool_call("f", {"a": 1}, id="c1"), tool_call("g", "", id="c2", index=1)]),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            id="tool calls, without arguments as an empty object",
        ),
        pytest.param(
            assistant_message("so", [tool_call("f", "{}", id="c", extra={"extra_content": {"sig": "x"}, "own": 1})]),
            {
                "role": "assistant",
                "content": "so",
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                        "extra_content": {"sig": "x"},
                    }
                ],
            },
            id="what a server wants back with a call",
        ),
        pytest.param(
            assistant_message(["a", TextPart("b"), ReasoningPart(reasoning=Reasoning(text="hm"))]),
            {"role": "assistant", "content": "ab"},
            id="text parts of an answer",
        ),
        pytest.param(
            assistant_message([AudioPart(audio=Media(base64_data="AA"), extra={"id": "audio_1"})]),
            {"role": "assistant", "content": "", "audio": {"id": "audio_1"}},
            id="earlier audio by its id",
        ),
        pytest.param(
            assistant_message("", extra={REFUSAL: "no"}),
            {"role": "assistant", "content": "", "refusal": "no"},
            id="earlier refusal",
        ),
    ],
)
def test_a_message_as_it_is_sent(message: Message, sent: dict[str, Any]) -> None:
    """Each role has its own form; what the protocol does not know is left out."""
    assert as_sent(message) == sent


def test_reasoning_is_sent_back_where_the_server_wants_it() -> None:
    """Not by default, and under the server's own name otherwise."""
    message = assistant_message("42", reasoning_content="6 * 7")

    assert "reasoning_content" not in as_sent(message)
    assert as_sent(message, Dialect(reasoning_field="reasoning_content"))["reasoning_content"] == "6 * 7"
    assert "reasoning" not in as_sent(assistant_message("42"), Dialect(reasoning_field="reasoning"))


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        pytest.param(TextPart("hi"), {"type": "text", "text": "hi"}, id="text"),
        pytest.param(
            ImagePart(image=ImageMedia(url="https://x/a.png", detail="low")),
            {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
            id="image by address",
        ),
        pytest.param(
            ImagePart(image=ImageMedia(base64_data="QQ==", mime_type="image/jpeg")),
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QQ=="}},
            id="image itself",
        ),
        pytest.param(
            ImagePart(image=ImageMedia(base64_data="QQ==")),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
            id="image of unknown type",
        ),
        pytest.param(
            AudioPart(audio=Media(base64_data="QQ==", mime_type="audio/mpeg")),
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
            id="audio",
        ),
        pytest.param(
            AudioPart(audio=Media(base64_data="QQ==")),
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
            id="audio of unknown type",
        ),
        pytest.param(
            VideoPart(video=Media(url="https://x/a.mp4")),
            {"type": "video_url", "video_url": {"url": "https://x/a.mp4"}},
            id="video",
        ),
        pytest.param(
            FilePart(file=FileMedia(base64_data="QQ==", name="a.pdf")),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
            id="file",
        ),
    ],
)
def test_a_part_as_it_is_sent(part: Any, sent: dict[str, Any]) -> None:
    """Media travel by address or as data URL."""
    assert as_sent(user_message([part]))["content"] == [sent]
    assert as_sent(tool_message([part], "c"))["content"] == [sent]


def test_the_deprecated_parts_are_understood() -> None:
    """Old conversations can be continued."""
    media = ChatMessageMedia(url="https://x/a", detail="high")
    parts = (
        ChatMessagePart(type="text", text="look"),
        ChatMessagePart(type="image_url", image_url=media),
        ChatMessagePart(type="video_url", video_url=ChatMessageMedia(uri="https://x/b")),
        ChatMessagePart(type="file_url", file_url=ChatMessageFile(url="https://x/c", name="c.pdf")),
    )
    message = Message(role="user", content="", multi_content=parts)

    assert as_sent(message)["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://x/a", "detail": "high"}},
        {"type": "video_url", "video_url": {"url": "https://x/b"}},
        {"type": "file", "file": {"filename": "c.pdf", "file_data": "https://x/c"}},
    ]
    assert as_sent(message.replace(content="text"))["content"] == "text"


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        pytest.param([Message(role="", content="x")], "message 0 has the role ''", id="no role"),
        pytest.param(
            [*HI, user_message([ImagePart(image=ImageMedia())])],
            "message 1 has .* it has neither url nor base64_data",
            id="empty image",
        ),
        pytest.param(
            [user_message([AudioPart(audio=Media(url="https://x"))])],
            "audio goes as base64_data",
            id="audio by address",
        ),
        pytest.param(
            [user_message([ToolSearchResultPart(tool_search_result=ToolSearchResult())])],
            "this protocol has no tool search",
            id="tool search",
        ),
        pytest.param(
            [Message(role="user", content="", multi_content=(ChatMessagePart(audio_url=ChatMessageMedia(url="u")),))],
            "audio goes as base64_data",
            id="deprecated audio",
        ),
        pytest.param(
            [assistant_message([ImagePart(image=ImageMedia(url="https://x"))])],
            "an assistant message holds text and tool calls",
            id="image in an answer",
        ),
    ],
)
def test_what_cannot_be_sent_is_named(messages: list[Message], text: str) -> None:
    """The place of the message, the part and the reason are in the text; nothing is left out silently."""
    with pytest.raises(InvalidRequestError, match=text):
        body(messages)


def test_options_as_they_are_sent() -> None:
    """Every option has its field; what is switched off or not given has none."""
    options = ModelOptions(
        temperature=0.0,
        top_p=0.5,
        max_tokens=9,
        stop=["END"],
        response_format={"type": "json_object"},
        extra_fields={"seed": 7, "temperature": 1.0},
    )

    sent = body(options=options)

    assert sent == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 1.0,
        "top_p": 0.5,
        "max_completion_tokens": 9,
        "stop": ["END"],
        "response_format": {"type": "json_object"},
        "seed": 7,
    }
    assert body(options=ModelOptions(temperature=None, stop=(), extra_fields=None)) == body()
    assert body(options=options, dialect=Dialect(max_tokens_field="max_tokens"))["max_tokens"] == 9


def test_a_stream_is_asked_for_with_its_usage() -> None:
    """Old servers refuse the second field, so it can be left out."""
    assert body(stream=True) == body() | {"stream": True, "stream_options": {"include_usage": True}}
    assert body(stream=True, dialect=Dialect(include_usage=False)) == body() | {"stream": True}


@pytest.mark.parametrize(
    ("options", "choice"),
    [
        pytest.param(ModelOptions(), None, id="not given"),
        pytest.param(ModelOptions(tool_choice="allowed"), "auto", id="may"),
        pytest.param(ModelOptions(tool_choice="forbidden"), "none", id="must not"),
        pytest.param(ModelOptions(tool_choice="forced"), "required", id="must"),
        pytest.param(
            ModelOptions(tool_choice="forced", allowed_tools=["clock"]),
            {"type": "function", "function": {"name": "clock"}},
            id="must call this one",
        ),
        pytest.param(
            ModelOptions(tool_choice="forced", tools=[SEARCH]),
            {"type": "function", "function": {"name": "search"}},
            id="must call the only one",
        ),
        pytest.param(
            ModelOptions(tool_choice="forced", allowed_tools=["clock", "search"]),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "clock"}},
                        {"type": "function", "function": {"name": "search"}},
                    ],
                },
            },
            id="must call one of these",
        ),
        pytest.param(
            ModelOptions(allowed_tools=["clock"]),
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "clock"}}]},
            },
            id="may call this one",
        ),
    ],
)
def test_the_choice_of_tools(options: ModelOptions, choice: Any) -> None:
    """Whether the model may, must or must not call tools, and which of them."""
    sent = body(options=ModelOptions(tools=[SEARCH, CLOCK]).merge(options))

    assert sent.get("tool_choice") == choice


def test_tools_as_they_are_sent() -> None:
    """A tool without parameters takes an empty object; no tools are no field."""
    assert body(options=ModelOptions(tools=[SEARCH, CLOCK]))["tools"] == [SEARCH_JSON, CLOCK_JSON]
    assert "tools" not in body(options=ModelOptions(tools=()))
    assert "tool_choice" not in body(options=ModelOptions(tools=(), tool_choice="allowed"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param(
            ModelOptions(tool_choice="forced"), "'forced', but no tools are offered", id="forced without tools"
        ),
        pytest.param(
            ModelOptions(tools=[SEARCH], allowed_tools=["clock"]),
            r"allowed_tools names 'clock'.* offered are \['search'\]",
            id="unknown tool allowed",
        ),
        pytest.param(ModelOptions(extra_fields={"n": 2}), "asks for n=2 answers", id="several answers"),
        pytest.param(ModelOptions(extra_fields={"stream": True}), "must not hold 'stream'", id="stream by hand"),
        pytest.param(ModelOptions(extra_fields={"messages": []}), "must not hold 'messages'", id="messages by hand"),
    ],
)
def test_options_that_contradict_are_named(options: ModelOptions, text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match=text):
        body(options=options)


def test_requests_have_the_types_of_the_official_sdk() -> None:
    """What we send is what OpenAI's own typed dictionaries allow."""
    options = ModelOptions(
        temperature=0.1,
        max_tokens=5,
        stop=["END"],
        tools=[SEARCH, CLOCK],
        tool_choice="forced",
        allowed_tools=["search", "clock"],
        response_format={"type": "json_object"},
        extra_fields={"seed": 7},
    )
    conversation = [
        system_message("s"),
        user_message(["look", ImagePart(image=ImageMedia(url="https://x/a.png"))]),
        assistant_message("", [tool_call("search", {"q": "x"}, id="c1")]),
        tool_message("found", "c1"),
        assistant_message("so"),
    ]

    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(body(conversation, options))
    TypeAdapter(CompletionCreateParamsStreaming).validate_python(body(conversation, options, stream=True))
