"""Messages: constructors, copies, texts for people, pydantic fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from eino.schema import (
    ChatMessageFile,
    ChatMessageMedia,
    ChatMessagePart,
    Document,
    ImageMedia,
    ImagePart,
    Message,
    Reasoning,
    ReasoningPart,
    ResponseMeta,
    TextPart,
    ToolCall,
    ToolInfo,
    ToolSearchResult,
    ToolSearchResultPart,
    assistant_message,
    audio_part,
    file_part,
    image_part,
    system_message,
    token_usage,
    tool_call,
    tool_message,
    user_message,
    video_part,
)

SECRET = "sk-live-0123456789"


def test_constructors_set_the_role_and_convert_to_tuples() -> None:
    """Each constructor gives a message of its role; lists become tuples, so that values can be shared."""
    assert system_message("s", name="n", extra={"a": 1}) == Message(
        role="system", content="s", name="n", extra={"a": 1}
    )
    assert user_message("u").role == "user"
    assert tool_message("t", "id", tool_name="f") == Message(role="tool", content="t", tool_call_id="id", tool_name="f")
    call = tool_call("f")
    message = assistant_message("a", [call], reasoning_content="r", response_meta=ResponseMeta())
    assert message.tool_calls == (call,)
    assert (message.role, message.reasoning_content, message.response_meta) == ("assistant", "r", ResponseMeta())


def test_parts_may_be_given_as_content() -> None:
    """A sequence makes a multimodal message; plain texts in it become text parts."""
    picture = image_part("https://example.com/a.png")

    assert user_message(["Look:", picture]).user_parts == (TextPart("Look:"), picture)
    assert assistant_message([TextPart("x")]).assistant_parts == (TextPart("x"),)
    assert tool_message([picture], "id").user_parts == (picture,)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        pytest.param(lambda: system_message(5), "content of a system message must be a string, got 5", id="number"),
        pytest.param(lambda: user_message(5), "must be a string or a sequence of parts, got 5", id="no sequence"),
        pytest.param(lambda: user_message(b"x"), "must be a string or a sequence of parts, got b'x'", id="bytes"),
        pytest.param(lambda: user_message([1]), "part 0 of the user message must be .* got 1", id="foreign part"),
        pytest.param(
            lambda: user_message([ReasoningPart()]),
            "part 0 of the user message must be",
            id="assistant's part of a user",
        ),
        pytest.param(
            lambda: assistant_message([file_part("f")]), "part 0 of the assistant message", id="file of a model"
        ),
        pytest.param(lambda: assistant_message("", ["f"]), r"tool call 0 must be a ToolCall .* got 'f'", id="call"),
        pytest.param(lambda: tool_message("x", 7), "tool_call_id must be a string, got 7", id="call id"),
        pytest.param(lambda: user_message("x", extra=[1]), r"extra must be a mapping, got \[1\]", id="extra"),
    ],
)
def test_constructors_refuse_wrong_types(build: Any, text: str) -> None:
    """A message is wrong where it is written, not where a provider reads it."""
    with pytest.raises(TypeError, match=text):
        build()


def test_role_and_content_are_required() -> None:
    """There is no default for what is always part of the JSON form."""
    with pytest.raises(TypeError, match="content"):
        Message(role="user")  # type: ignore[call-arg]  # the mistake under test


def test_messages_are_immutable_and_replace_gives_a_copy() -> None:
    """Values are shared between readers of a stream: only copies change."""
    message = user_message("a")

    changed = message.replace(content="b")

    assert (message.content, changed.content) == ("a", "b")
    with pytest.raises(AttributeError):
        message.content = "c"  # type: ignore[misc]  # the mistake under test
    with pytest.raises(TypeError, match="colour"):
        message.replace(colour="red")


def test_str_shows_everything_that_a_message_carries() -> None:
    """`str()` is a dump for people: a line or block for each field that is set, media only described."""
    message = Message(
        role="assistant",
        content="Hi",
        multi_content=(
            ChatMessagePart(type="text", text="old"),
            ChatMessagePart(type="image_url", image_url=ChatMessageMedia(url="u")),
            ChatMessagePart(type="file_url"),
            ChatMessagePart(type="audio_url", file_url=ChatMessageFile(url="f")),
            ChatMessagePart(),
        ),
        user_parts=(
            TextPart("Look"),
            image_part("https://example.com/a.png", mime_type="image/png", detail="low"),
            file_part(data=b"abc", name="a.txt"),
            ImagePart(image=ImageMedia(extra={"k": 1})),
            ImagePart(image=ImageMedia()),
            ToolSearchResultPart(tool_search_result=ToolSearchResult(tools=(ToolInfo(name="a"), ToolInfo(name="b")))),
        ),
        assistant_parts=(
            ReasoningPart(reasoning=Reasoning(text="hm")),
            audio_part(data="UklGRg=="),
            video_part("https://example.com/v.mp4"),
        ),
        tool_calls=(tool_call("f", {"a": 1}, id="c1", index=0), tool_call("g", extra={"x": 1})),
        tool_call_id="c0",
        tool_name="h",
        response_meta=ResponseMeta(finish_reason="stop", usage=token_usage(3, 4, cached_tokens=1, reasoning_tokens=2)),
        reasoning_content="thinking",
    )

    assert str(message).splitlines() == [
        "assistant: Hi",
        "user_input_multi_content:",
        "  [0] text: Look",
        "  [1] image: url=https://example.com/a.png, mime=image/png, detail=low",
        "  [2] file: base64[4 bytes], name=a.txt",
        "  [3] image: extra={'k': 1}",
        "  [4] image: <empty>",
        "  [5] tool_search_result: ToolSearchResult[a,b,]",
        "assistant_gen_multi_content:",
        "  [0] reasoning: hm",
        "  [1] audio: base64[8 bytes]",
        "  [2] video: url=https://example.com/v.mp4",
        "multi_content:",
        "  [0] text: old",
        "  [1] image_url: u",
        "  [2] file_url: <nil>",
        "  [3] audio_url: <nil>",
        "  [4] unknown type: ",
        "reasoning content:",
        "thinking",
        "tool_calls:",
        'index[0]:f({"a":1}) id=c1 type=function',
        "g() id= type=function extra={'x': 1}",
        "tool_call_id: c0",
        "tool_call_name: h",
        "finish_reason: stop",
        "usage: prompt=3 (cached=1) completion=4 (reasoning=2) total=7",
    ]


def test_str_shows_the_finish_reason_whenever_there_is_metadata() -> None:
    """An empty line for it tells that the model reported, but gave no reason."""
    assert str(user_message("a")) == "user: a"
    assert str(assistant_message("a", response_meta=ResponseMeta())) == "assistant: a\nfinish_reason: "


def test_repr_is_short_and_free_of_secrets() -> None:
    """`repr` ends up in logs and errors: long texts are cut, data and free-form entries are counted."""
    message = user_message(
        [
            "x" * 1000,
            image_part(f"https://user:{SECRET}@example.com/a.png?token={SECRET}#{SECRET}"),
            image_part(f"data:image/png;base64,{SECRET}"),
            image_part(data=SECRET.encode() * 100),
            image_part(f"http://[{SECRET}"),
        ],
        extra={"api_key": SECRET},
    ).replace(assistant_parts=(ReasoningPart(reasoning=Reasoning(text="t", signature=SECRET)),))

    text = repr(message)

    assert SECRET not in text
    assert "sk-live" not in text
    assert SECRET not in repr(list(message.__rich_repr__()))  # what rich prints in tracebacks
    assert len(text) < 900
    assert "https://example.com/a.png?..." in text
    assert "<data address, 40 chars>" in text
    assert "<unreadable address, 26 chars>" in text
    assert "(1000 chars)" in text
    assert "extra=<1 key>" in text


def test_repr_shows_what_differs_from_the_defaults() -> None:
    """Short values are readable as they were written."""
    assert repr(user_message("a")) == "Message(role='user', content='a')"
    assert repr(ToolCall(id="1", type="function").function) == "FunctionCall()"
    assert repr(assistant_message("", [tool_call("f")] * 8)).endswith("... 8 in all))")
    assert repr(user_message("", extra={"a": 1, "b": 2})).endswith("extra=<2 keys>)")
    info = ToolInfo(name="t", json_schema={str(i): i for i in range(8)})
    assert "json_schema={'0': ..., '1': ..." in repr(info)
    assert "8 in all" in repr(info)


class Conversation(BaseModel):
    """A user's model with schema values as fields."""

    messages: list[Message]
    tools: list[ToolInfo] = []
    documents: dict[str, Document] = {}
    last: Message | None = None


def test_schema_values_work_as_pydantic_fields() -> None:
    """Instances pass, mappings are read by the rules of the JSON form, and writing gives that form."""
    message = assistant_message([TextPart("a", index=3)], extra={"k": [1]})

    model = Conversation(messages=[message, {"role": "user", "content": "b", "name": None}])  # type: ignore[list-item]  # mappings are read too

    assert model.messages == [message, user_message("b")]
    assert Conversation.model_validate(model).messages[0] is message
    dumped = model.model_dump_json()
    assert "index" not in dumped
    assert Conversation.model_validate_json(dumped).messages[1] == user_message("b")
    assert model.model_dump()["messages"][1] == {"role": "user", "content": "b"}


def test_pydantic_says_where_a_message_is_wrong() -> None:
    """The error carries the path inside the message."""
    with pytest.raises(ValidationError, match=r"messages.0\n.*Invalid enum value 'robot' - at `\$.role`"):
        Conversation.model_validate({"messages": [{"role": "robot", "content": ""}]})


def test_pydantic_json_schema_names_fields_and_shares_definitions() -> None:
    """The JSON schema is complete: keys as written, required ones, nested values by reference, no streaming index."""
    schema = Conversation.model_json_schema()
    text = json.dumps(schema)
    definitions = schema["$defs"]

    assert "streaming_index" not in text
    assert {"ToolCall", "TextPart", "ParameterInfo", "TokenUsage"} <= set(definitions)
    assert definitions["TextPart"]["properties"]["type"] == {"const": "text", "title": "Type", "type": "string"}
    assert definitions["ParameterInfo"]["properties"]["ElemInfo"]["anyOf"][0] == {"$ref": "#/$defs/ParameterInfo"}
    references = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert references <= set(definitions)


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_pydantic_json_schema_of_a_single_message(mode: Any) -> None:
    """A message alone has role and content as required keys, in both modes."""
    schema = TypeAdapter(Message).json_schema(mode=mode)
    message = schema if "properties" in schema else schema["$defs"]["Message"]

    assert message["required"] == ["role", "content"]
    assert "user_input_multi_content" in message["properties"]
