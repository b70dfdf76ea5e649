"""What is sent to Gemini: turns, parts, tools, settings; and answers that go back as they came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from eino.components import ModelOptions
from eino.errors import InvalidRequestError, InvalidResponseError
from eino.ext.models._gemini_answer import DETAILS, read_answer
from eino.ext.models._gemini_parts import PART_FIELDS, PARTS, THOUGHT_SIGNATURE
from eino.ext.models._gemini_request import request_body
from eino.ext.models._service_errors import Place
from eino.ext.models.gemini import response_format
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

JSON = dict[str, Any]
PLACE = Place("gemini-pro", "api.example.org")
HI = user_message("hi")
TOOLS = [
    ToolInfo(name="f", description="Does f.", json_schema={"type": "object", "properties": {}}),
    ToolInfo(name="g"),
]


def body(*messages: Message, **options: Any) -> JSON:
    return request_body(messages or [HI], ModelOptions(**options))


def turns(*messages: Message) -> list[tuple[str, list[JSON]]]:
    return [(content["role"], content["parts"]) for content in body(*messages)["contents"]]


def test_neighbours_with_the_same_role_are_one_turn() -> None:
    """System messages, wherever they stand, are the system instruction; names are not sent."""
    request = body(
        system_message("Be brief."),
        user_message("a", name="Ann"),
        user_message("b"),
        system_message("Be kind."),
        assistant_message("c"),
        assistant_message("d"),
        HI,
    )

    assert request["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert request["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
        {"role": "user", "parts": [{"text": "hi"}]},
    ]


def test_an_empty_answer_is_left_out() -> None:
    """A content needs parts, and it said nothing."""
    assert turns(HI, assistant_message(""), user_message("b")) == [("user", [{"text": "hi"}, {"text": "b"}])]


def test_calls_and_results() -> None:
    """Results of parallel calls are one turn; their names are those of the calls; ids of other services go along."""
    asked = assistant_message(
        "",
        [tool_call("f", {"a": 1}, id="call_1"), tool_call("g", id="gemini-call-r-1", extra={THOUGHT_SIGNATURE: "s"})],
    )
    image = ImagePart(image=ImageMedia(base64_data="aW1n", mime_type="image/png"))

    assert turns(
        HI,
        asked,
        tool_message('{"temperature": 21}', "call_1"),
        tool_message(["seen", image], "gemini-call-r-1", tool_name="renamed"),
    )[1:] == [
        (
            "model",
            [
                {"functionCall": {"id": "call_1", "name": "f", "args": {"a": 1}}},
                {"functionCall": {"name": "g", "args": {}}, "thoughtSignature": "s"},
            ],
        ),
        (
            "user",
            [
                {"functionResponse": {"id": "call_1", "name": "f", "response": {"temperature": 21}}},
                {
                    "functionResponse": {
                        "name": "renamed",
                        "response": {"output": "seen"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "aW1n"}}],
                    }
                },
            ],
        ),
    ]


@pytest.mark.parametrize("text", ["21", "[1]", "null", "plain", '"a"', ""])
def test_a_result_that_is_no_object_becomes_one(text: str) -> None:
    """The service takes objects only; the text itself is not changed."""
    (part,) = turns(HI, tool_message(text, "", tool_name="f"))[0][1][1:]

    assert part == {"functionResponse": {"name": "f", "response": {"output": text}}}


def base64(kind: str) -> JSON:
    return {"inlineData": {"mimeType": kind, "data": "ZGF0YQ=="}}


DATA = "ZGF0YQ=="


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (TextPart("a"), {"text": "a"}),
        (ImagePart(image=ImageMedia(base64_data=DATA)), base64("image/png")),
        (ImagePart(image=ImageMedia(base64_data=DATA, mime_type="image/webp")), base64("image/webp")),
        (ImagePart(image=ImageMedia(url=f"data:image/gif;base64,{DATA}")), base64("image/gif")),
        (ImagePart(image=ImageMedia(url=f"data:;base64,{DATA}")), base64("image/png")),
        (
            ImagePart(image=ImageMedia(url="https://x.test/a.jpg?b=c")),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.test/a.jpg?b=c"}},
        ),
        (AudioPart(audio=Media(base64_data=DATA)), base64("audio/wav")),
        (
            VideoPart(
                video=Media(url="https://youtu.be/abc"), extra={PART_FIELDS: {"videoMetadata": {"startOffset": "5s"}}}
            ),
            {"fileData": {"fileUri": "https://youtu.be/abc"}, "videoMetadata": {"startOffset": "5s"}},
        ),
        (VideoPart(video=Media(base64_data=DATA)), base64("video/mp4")),
        (FilePart(file=FileMedia(base64_data=DATA, name="a.pdf")), base64("application/pdf")),
        (
            FilePart(file=FileMedia(url="gs://bucket/a", mime_type="text/csv")),
            {"fileData": {"mimeType": "text/csv", "fileUri": "gs://bucket/a"}},
        ),
    ],
)
def test_parts_of_every_kind(part: Any, sent: JSON) -> None:
    assert turns(user_message(["x", part])) == [("user", [{"text": "x"}, sent])]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (ChatMessagePart(type="text", text="a"), {"text": "a"}),
        (
            ChatMessagePart(type="image_url", image_url=ChatMessageMedia(url=f"data:image/gif;base64,{DATA}")),
            base64("image/gif"),
        ),
        (
            ChatMessagePart(type="audio_url", audio_url=ChatMessageMedia(uri=f"data:audio/mp3;base64,{DATA}")),
            base64("audio/mp3"),
        ),
        (
            ChatMessagePart(type="video_url", video_url=ChatMessageMedia(url=f"data:;base64,{DATA}")),
            base64("video/mp4"),
        ),
        (
            ChatMessagePart(type="file_url", file_url=ChatMessageFile(uri=f"data:text/csv;base64,{DATA}")),
            base64("text/csv"),
        ),
    ],
)
@pytest.mark.parametrize(("role", "turn"), [("user", "user"), ("assistant", "model")])
def test_old_conversations_are_understood(part: ChatMessagePart, sent: JSON, role: Any, turn: str) -> None:
    """Their parts are in the deprecated `multi_content`."""
    assert turns(HI, Message(role=role, content="", multi_content=(part,)))[-1][1][-1] == sent


BAD = [
    ([], "there is no message to answer"),
    ([system_message("a")], "there is no message to answer"),
    ([Message(role="", content="a")], "message 0 has the role ''"),
    ([HI, tool_message("a", "x")], "message 1 answers the call 'x'"),
    ([assistant_message("", [tool_call("f", "{")])], "message 0 calls 'f' with arguments that are no JSON: '{'"),
    ([assistant_message("", [tool_call("f", "[1]")])], r"no JSON object: '\[1\]'"),
    ([user_message([ImagePart(image=ImageMedia())])], "neither url nor base64_data"),
    ([user_message([ToolSearchResultPart(tool_search_result=ToolSearchResult())])], "no tool search"),
]


@pytest.mark.parametrize(("messages", "words"), BAD, ids=[words for _, words in BAD])
def test_what_cannot_be_sent_is_refused(messages: list[Message], words: str) -> None:
    """With the number of the message, and what is wrong with it."""
    with pytest.raises(InvalidRequestError, match=words):
        request_body(messages, ModelOptions())


@pytest.mark.parametrize(
    ("options", "calling"),
    [
        ({}, None),
        ({"tool_choice": "allowed"}, {"mode": "AUTO"}),
        ({"tool_choice": "forced"}, {"mode": "ANY"}),
        ({"tool_choice": "forbidden"}, {"mode": "NONE"}),
        ({"tool_choice": "forbidden", "allowed_tools": ["g"]}, {"mode": "NONE"}),
        ({"tool_choice": "forced", "allowed_tools": ["g"]}, {"mode": "ANY", "allowedFunctionNames": ["g"]}),
        ({"allowed_tools": ["g"]}, {"mode": "VALIDATED", "allowedFunctionNames": ["g"]}),
    ],
)
def test_tools_and_their_choice(options: JSON, calling: JSON | None) -> None:
    request = body(tools=TOOLS, **options)

    assert request["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "Does f.", "parametersJsonSchema": {"type": "object", "properties": {}}},
                {"name": "g"},
            ]
        }
    ]
    assert request.get("toolConfig") == (None if calling is None else {"functionCallingConfig": calling})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tool_choice": "forced"}, "no tools are offered"),
        ({"tools": TOOLS, "allowed_tools": ["h"]}, "allowed_tools names 'h'"),
        ({"extra_fields": {"contents": []}}, "must not hold 'contents'"),
        ({"extra_fields": {"generationConfig": {"candidateCount": 2}}}, "candidateCount=2"),
    ],
)
def test_options_that_cannot_be_met_are_refused(options: JSON, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        body(**options)


def test_extra_fields_are_merged_into_the_request() -> None:
    """Settings are added to ours, tools of the service to those of the call; lists replace lists otherwise."""
    request = body(
        system_message("a"),
        HI,
        temperature=0.5,
        tools=TOOLS[1:],
        tool_choice="forced",
        extra_fields={
            "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
            "tools": [{"googleSearch": {}}],
            "toolConfig": {"retrievalConfig": {"languageCode": "fr"}},
            "cachedContent": "cachedContents/1",
        },
    )

    assert request["generationConfig"] == {"temperature": 0.5, "thinkingConfig": {"includeThoughts": True}}
    assert request["tools"] == [{"functionDeclarations": [{"name": "g"}]}, {"googleSearch": {}}]
    assert request["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY"},
        "retrievalConfig": {"languageCode": "fr"},
    }
    assert request["cachedContent"] == "cachedContents/1"


class City(BaseModel):
    name: str


def test_the_form_of_the_answer() -> None:
    """In the service's own words, or in those of OpenAI."""
    schema = {"type": "object"}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    json_type = "application/json"

    settings = [
        body(response_format=each)["generationConfig"]
        for each in ({"type": "json_object"}, wanted, {"responseMimeType": "text/x.enum"}, response_format(City))
    ]

    assert settings[:3] == [
        {"responseMimeType": json_type},
        {"responseMimeType": json_type, "responseJsonSchema": schema},
        {"responseMimeType": "text/x.enum"},
    ]
    assert settings[3]["responseJsonSchema"]["properties"]["name"]["type"] == "string"
    assert response_format(list[int])["responseJsonSchema"]["required"] == ["value"]


CODE = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
RESULT = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}
IMAGE = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
CSV = {"inlineData": {"mimeType": "text/csv", "data": "YQ=="}}
SIGNED = {"thoughtSignature": "c2ln"}
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}

ANSWERS = [
    pytest.param([{"text": "a"}], False, id="text"),
    pytest.param([{"text": "a"}, IMAGE, CALL | SIGNED, CALL], False, id="text, image, calls"),
    pytest.param([IMAGE | SIGNED], False, id="signed image"),
    pytest.param([CALL, {"text": "a"}], True, id="call before text"),
    pytest.param([IMAGE, {"text": "a"}, IMAGE], True, id="text between images"),
    pytest.param([{"text": "a"} | SIGNED, CALL], True, id="signed text"),
    pytest.param([{"text": ""} | SIGNED], True, id="nothing but a signature"),
    pytest.param([{"text": "hm", "thought": True} | SIGNED, {"text": "a"}], True, id="signed thought"),
    pytest.param([{"text": "a"}, CODE, RESULT, {"text": "b"}], True, id="code"),
    pytest.param([CSV, {"text": "a"}], True, id="file"),
    pytest.param([IMAGE | {"thought": True} | SIGNED, IMAGE], True, id="image in thoughts"),
    pytest.param([{"unheardOf": {"x": [1]}}, {"text": "a", "partMetadata": {"k": 1}}], True, id="unknown"),
    pytest.param([{"functionCall": {**CALL["functionCall"], "unheardOf": 1}}], True, id="unknown field of a call"),
    pytest.param([{"functionCall": {**CALL["functionCall"], "id": "own"}}], False, id="own id"),
    pytest.param([{"fileData": {"fileUri": "gs://x"}}], True, id="address"),
    pytest.param([{"text": 7}, {"functionCall": [1]}], True, id="wrong types"),
]


def answer(parts: list[JSON]) -> Message:
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    return read_answer(json.dumps({"candidates": [candidate], "responseId": "r"}).encode(), PLACE)


@pytest.mark.parametrize(("parts", "kept"), ANSWERS)
def test_answers_go_back_as_they_came(parts: list[JSON], kept: bool) -> None:
    """Also after the message was stored; parts are kept only where the fields do not say it all."""
    message = answer(parts)

    assert (PARTS in message.extra) is kept
    assert turns(HI, message)[1] == ("model", parts)


def test_data_is_kept_once() -> None:
    """What the message has in its fields is not in its extra again."""
    message = answer([IMAGE, {"text": "a"}, CALL])

    assert message.extra[PARTS] == [{"inlineData": {}}, {"text": "a"}, {"functionCall": {}}]


def test_thoughts_without_a_signature_stay_here() -> None:
    """They can be read, and the service does not want them."""
    message = answer([{"text": "hm", "thought": True}, {"text": "a"}])

    assert (message.reasoning_content, message.content) == ("hm", "a")
    assert turns(HI, message)[1] == ("model", [{"text": "a"}])


@pytest.mark.parametrize(
    "changes",
    [
        {"content": "edited"},
        {"tool_calls": ()},
        {"tool_calls": (tool_call("f"), tool_call("f"))},
        {"assistant_parts": ()},
    ],
    ids=["text", "no call", "another call", "no image"],
)
def test_an_answer_that_was_edited_goes_back_as_it_is_now(changes: JSON) -> None:
    """What was kept no longer holds."""
    message = answer([IMAGE, {"text": "a"} | SIGNED, CALL]).replace(**changes)

    assert turns(HI, message)[1] == turns(HI, message.replace(extra={}))[1]


@pytest.mark.parametrize("kept", ["odd", [1], None])
def test_what_is_kept_may_be_anything(kept: Any) -> None:
    """Stored conversations come from outside."""
    assert turns(HI, assistant_message("a", extra={PARTS: kept}))[1] == ("model", [{"text": "a"}])


def test_answers_of_other_models_can_be_sent() -> None:
    """Their text, media and calls; their reasoning is not for this service."""
    parts: list[Any] = [
        ReasoningPart(reasoning=Reasoning(text="hm", signature="theirs")),
        TextPart("a"),
        ImagePart(image=ImageMedia(base64_data="aW1n", mime_type="image/png")),
    ]
    message = assistant_message(parts, [tool_call("f", {"a": 1})], reasoning_content="hm")

    assert turns(HI, message)[1] == ("model", [{"text": "a"}, IMAGE, CALL])
    assert turns(HI, message.replace(content="b"))[1] == ("model", [{"text": "b"}, IMAGE, CALL])


def test_a_whole_answer() -> None:
    """Log probabilities, tokens of tools, and all that has no field of its own."""
    candidate = {
        "content": {"parts": [{"text": "a"}, {"functionCall": {"name": "f"}}], "role": "model"},
        "finishReason": "STOP",
        "logprobsResult": {"chosenCandidates": [{"token": "a"}, "odd"]},
        "groundingMetadata": {"webSearchQueries": ["q"]},
        "avgLogprobs": -0.5,
    }
    usage = {
        "promptTokenCount": 75,
        "responseTokenCount": 4,
        "thoughtsTokenCount": 1,
        "toolUsePromptTokenCount": 20,
        "totalTokenCount": 100,
    }

    message = read_answer(json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode(), PLACE)

    assert message.response_meta is not None
    assert message.response_meta.logprobs is not None
    assert [entry.logprob for entry in message.response_meta.logprobs.content] == [-9999.0]
    assert message.response_meta.usage is not None
    assert message.response_meta.usage.completion_tokens == 5
    assert message.response_meta.usage.total_tokens == 100
    assert message.extra[DETAILS] == {
        "groundingMetadata": {"webSearchQueries": ["q"]},
        "avgLogprobs": -0.5,
        "usageMetadata": usage,
    }
    assert [(call.id, call.arguments) for call in message.tool_calls] == [("gemini-call-0", "{}")]


@pytest.mark.parametrize(
    "raw",
    [b"<html>", b"", b"[]", b'{"candidates": {}}', b'{"candidates": ["odd"]}', b'{"promptFeedback": {}}', b"\xff"],
)
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="is no answer"):
        read_answer(raw, PLACE)
