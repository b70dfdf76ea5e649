"""Messages and options as requests to Anthropic's API, and whole answers as messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import Field

from eino.components import ModelOptions
from eino.errors import BuildError, InvalidRequestError, InvalidResponseError, OverloadedError
from eino.ext.models._anthropic_answer import read_answer
from eino.ext.models._anthropic_request import request_body
from eino.ext.models._service_errors import Place
from eino.ext.models.anthropic import BLOCK, CALL, CONTENT, RESPONSE, THOUGHT, response_format
from eino.schema import (
    AudioPart,
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
    token_usage,
    tool_call,
    tool_message,
    user_message,
)

PLACE = Place("m", "api.example.org")
HI = user_message("hi")
OK = assistant_message("ok")
HI_TURN = {"role": "user", "content": [{"type": "text", "text": "hi"}]}


def body_of(messages: Sequence[Message] = (HI,), *, in_place: bool = False, **options: Any) -> dict[str, Any]:
    """Return the body of a request."""
    asked = ModelOptions(**{"model": "m"} | options)
    return request_body(messages, asked, stream=False, system_in_place=in_place)


def turns(*messages: Message, in_place: bool = False) -> list[dict[str, Any]]:
    """Return the turns of a conversation that begins with a question."""
    first, *rest = body_of([HI, *messages], in_place=in_place)["messages"]
    assert first == HI_TURN
    return rest


def blocks_of(*parts: Any) -> list[dict[str, Any]]:
    """Return the content of a user's message with these parts."""
    found: list[dict[str, Any]] = body_of([user_message(list(parts))])["messages"][0]["content"]
    return found


def test_the_smallest_request() -> None:
    """The service demands a limit for the answer."""
    assert body_of() == {"model": "m", "max_tokens": 4096, "messages": [HI_TURN]}
    assert request_body([HI], ModelOptions(model="m"), stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"max_tokens": 7}, 7),
        ({"extra_fields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}}, 6096),
        ({"extra_fields": {"thinking": {"type": "adaptive"}}}, 4096),
        ({"max_tokens": 3000, "extra_fields": {"thinking": {"budget_tokens": 2000}}}, 3000),
        ({"extra_fields": {"max_tokens": 9}}, 9),
    ],
)
def test_the_limit_of_the_answer(options: dict[str, Any], limit: int) -> None:
    """What is to be thought comes on top, unless a limit is given."""
    assert body_of(**options)["max_tokens"] == limit


def test_system_messages_go_to_the_top() -> None:
    """In order, with their marks for the cache; those that come later too."""
    mark = {"cache_control": {"type": "ephemeral"}}
    messages = [system_message("one", extra=mark), HI, OK, system_message("two"), user_message("and?")]

    body = body_of(messages)

    assert body["system"] == [{"type": "text", "text": "one", **mark}, {"type": "text", "text": "two"}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


def test_later_system_messages_can_stay_where_they_are() -> None:
    """For models that take them."""
    body = body_of([system_message("one"), HI, system_message("two"), system_message(""), OK, HI], in_place=True)

    assert body["system"] == [{"type": "text", "text": "one"}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "assistant", "user"]


def test_neighbours_with_one_role_are_one_turn() -> None:
    """Results of tools come first in it, whatever was said before; empty answers leave no trace."""
    calls = [tool_call("f", {"a": 1}, id="c1"), tool_call("f", "", id="c2")]
    found = turns(
        assistant_message("let me see"),
        assistant_message("", calls),
        user_message("hurry"),
        tool_message("one", "c1"),
        tool_message("", "c2", extra={"is_error": True, "cache_control": {"type": "ephemeral"}}),
        assistant_message(""),
        HI,
    )

    assert [turn["role"] for turn in found] == ["assistant", "user"]
    assert found[0]["content"] == [
        {"type": "text", "text": "let me see"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "f", "input": {}},
    ]
    assert found[1]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "c2", "is_error": True, "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "hurry"},
        {"type": "text", "text": "hi"},
    ]


def test_results_of_tools_may_have_parts() -> None:
    """Texts, images, documents, and tools that a search found."""
    found = ToolSearchResultPart(tool_search_result=ToolSearchResult(tools=(ToolInfo(name="g"),)))
    image = ImagePart(image=ImageMedia(base64_data="AAAA", mime_type="image/jpeg"))

    (answered,) = turns(assistant_message("", [tool_call("f", id="c")]), tool_message(["see", "", image, found], "c"))[
        1:
    ]

    assert answered["content"][0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
        {"type": "tool_reference", "tool_name": "g"},
    ]


def test_media_of_users() -> None:
    """By address, as data, as a data URL, or by the id of an uploaded file."""
    text = base64.b64encode("Grün".encode()).decode()
    assert blocks_of(
        ImagePart(image=ImageMedia(url="https://example.org/a.png")),
        ImagePart(image=ImageMedia(base64_data="AAAA")),
        ImagePart(image=ImageMedia(url="data:image/webp;base64,BBBB")),
        FilePart(
            file=FileMedia(url="https://example.org/a.pdf"), extra={"context": "old", "citations": {"enabled": True}}
        ),
        FilePart(file=FileMedia(base64_data="CCCC", name="paper"), extra={"title": "The paper"}),
        FilePart(file=FileMedia(base64_data=text, mime_type="text/markdown; charset=utf-8")),
        FilePart(file=FileMedia(extra={"file_id": "file_1"})),
        TextPart("go", extra={"cache_control": {"type": "ephemeral"}, "other": 1}),
        TextPart("", extra={BLOCK: {"type": "search_result", "source": "s"}}),
    ) == [
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "BBBB"}},
        {
            "type": "document",
            "source": {"type": "url", "url": "https://example.org/a.pdf"},
            "context": "old",
            "citations": {"enabled": True},
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "CCCC"},
            "title": "The paper",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grün"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "text", "text": "go", "cache_control": {"type": "ephemeral"}},
        {"type": "search_result", "source": "s"},
    ]


def test_the_old_form_of_parts_is_sent() -> None:
    """Conversations that were stored long ago."""
    old = Message(
        role="user",
        content="",
        multi_content=(ChatMessagePart(type="image_url", image_url=ChatMessageMedia(url="https://example.org/a.png")),),
    )

    assert body_of([old])["messages"][0]["content"][0]["source"]["url"] == "https://example.org/a.png"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        pytest.param(user_message([AudioPart(audio=Media(url="x"))]), "takes text, images and documents", id="audio"),
        pytest.param(user_message([VideoPart(video=Media(url="x"))]), "takes text, images and documents", id="video"),
        pytest.param(user_message([ImagePart(image=ImageMedia())]), "neither url nor base64_data", id="no data"),
        pytest.param(user_message([ImagePart(image=ImageMedia(url="data:x,y"))]), "must be in base64", id="data URL"),
        pytest.param(
            user_message([FilePart(file=FileMedia(base64_data="AAAA", mime_type="audio/mp3"))]),
            "PDF or text",
            id="file",
        ),
        pytest.param(
            user_message([FilePart(file=FileMedia(base64_data="//8=", mime_type="text/plain"))]),
            "no UTF-8 text",
            id="no text",
        ),
        pytest.param(
            user_message([ToolSearchResultPart(tool_search_result=ToolSearchResult())]), "of the tool", id="tools"
        ),
        pytest.param(user_message(""), "message 1 of the user is empty", id="empty"),
        pytest.param(user_message([""]), "message 1 of the user is empty", id="empty part"),
        pytest.param(Message(role="", content="x"), "has the role ''", id="role"),
        pytest.param(
            assistant_message([ImagePart(image=ImageMedia(url="x"))]), "text, reasoning and calls", id="answered image"
        ),
    ],
)
def test_what_cannot_be_sent_is_refused(message: Message, text: str) -> None:
    """With the place of the message, and what to do."""
    with pytest.raises(InvalidRequestError, match=text):
        body_of([HI, message])


def test_nothing_to_answer_is_refused() -> None:
    """Also when there is a system prompt."""
    with pytest.raises(InvalidRequestError, match="nothing to answer"):
        body_of([system_message("be nice")])


THOUGHTS = (
    ReasoningPart(reasoning=Reasoning(text="hm", signature="c2ln"), extra={THOUGHT: "thinking"}),
    ReasoningPart(reasoning=Reasoning(signature="ZGF0YQ=="), extra={THOUGHT: "redacted_thinking"}),
)
THOUGHT_BLOCKS = [
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
]


def test_reasoning_goes_back_with_its_signature() -> None:
    """Before the text and the calls; that of other services, or without a signature, does not."""
    foreign = ReasoningPart(reasoning=Reasoning(text="x", signature="y"))
    unsigned = ReasoningPart(reasoning=Reasoning(text="x"), extra={THOUGHT: "thinking"})
    answer = Message(
        role="assistant",
        content="so",
        assistant_parts=(*THOUGHTS, foreign, unsigned),
        reasoning_content="hm",
        tool_calls=(tool_call("f", id="c", extra={CALL: {"caller": {"type": "direct"}}, "foreign": 1}),),
    )

    assert turns(answer)[0]["content"] == [
        *THOUGHT_BLOCKS,
        {"type": "text", "text": "so"},
        {"caller": {"type": "direct"}, "type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]


def test_text_in_parts_goes_back() -> None:
    """Unless there is content, which is the same text."""
    parts = (*THOUGHTS, TextPart("a"), TextPart("b"))

    assert turns(Message(role="assistant", content="", assistant_parts=parts), HI)[0]["content"] == [
        *THOUGHT_BLOCKS,
        {"type": "text", "text": "ab"},
    ]


def test_reasoning_that_the_go_original_stored_goes_back() -> None:
    """Its conversations move across."""
    extra = {"_eino_claude_thinking": "hm", "_eino_claude_thinking_signature": "c2ln"}

    assert turns(assistant_message("so", reasoning_content="hm", extra=extra))[0]["content"] == [
        THOUGHT_BLOCKS[0],
        {"type": "text", "text": "so"},
    ]


def test_arguments_that_are_no_object_go_back_as_text() -> None:
    """So that the model sees what it said, and the conversation goes on."""
    calls = [tool_call("f", text, id=str(place)) for place, text in enumerate(['{"a', "[1]", " ", '{"a": 1}'])]

    assert [block["input"] for block in turns(assistant_message("", calls))[0]["content"]] == [
        {"INVALID_JSON": '{"a'},
        {"INVALID_JSON": "[1]"},
        {},
        {"a": 1},
    ]


def test_the_text_to_go_on_with_has_no_space_at_its_end() -> None:
    """The service refuses it; in the middle of a conversation it stays."""
    assert turns(assistant_message("so: "))[0]["content"][0]["text"] == "so:"
    assert turns(assistant_message("so: "), HI)[0]["content"][0]["text"] == "so: "
    assert turns(assistant_message(" ")) == []


CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.org",
    "title": "Example",
    "cited_text": "x",
    "encrypted_index": "y",
}
SEARCHED: list[dict[str, Any]] = [
    *THOUGHT_BLOCKS,
    {"type": "text", "text": "I will "},
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
    {"type": "text", "text": "look.", "citations": [CITATION]},
    {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
]
ANSWER = read_answer(json.dumps({"content": SEARCHED, "stop_reason": "tool_use"}).encode(), PLACE)
RESULT = tool_message("x", "c1")


def test_what_no_field_expresses_goes_back_as_it_came() -> None:
    """Block for block."""
    assert ANSWER.content == "I will look."
    assert turns(ANSWER, RESULT)[0]["content"] == SEARCHED


def test_a_changed_answer_goes_back_changed() -> None:
    """New text in the place of the old, calls as they are now; the rest as it came."""
    kept = SEARCHED[:2] + SEARCHED[3:5]
    changed = ANSWER.replace(content="Hm.", tool_calls=(tool_call("g", id="c2"), tool_call("f", {"a": 2}, id="c1")))

    assert turns(changed, RESULT)[0]["content"] == [
        *SEARCHED[:2],
        {"type": "text", "text": "Hm."},
        *SEARCHED[3:5],
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 2}},
        {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
    ]
    assert turns(ANSWER.replace(content="", tool_calls=()))[0]["content"] == kept
    only = ANSWER.replace(extra={CONTENT: SEARCHED[3:5]}, tool_calls=())
    assert turns(only)[0]["content"] == [*SEARCHED[3:5], {"type": "text", "text": "I will look."}]


def test_kept_blocks_lose_what_cannot_be_sent() -> None:
    """Reasoning of a broken answer has no signature; empty texts are refused."""
    kept = [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": ""}, SEARCHED[3]]

    assert turns(assistant_message("", extra={CONTENT: kept}))[0]["content"] == [SEARCHED[3]]


LOOK = ToolInfo(name="look", description="Look.", json_schema={"type": "object", "properties": {"at": {}}})
CLOCK = ToolInfo(name="clock", extra={"cache_control": {"type": "ephemeral"}, "strict": True})
SEARCH = ToolInfo(name="web_search", extra={"type": "web_search_20250305", "max_uses": 2})


def test_tools() -> None:
    """With what else they say; the service's own as they are, from both places."""
    own = {"type": "code_execution_20250825", "name": "code_execution"}

    body = body_of(tools=[LOOK, CLOCK, SEARCH], extra_fields={"tools": [own]})

    assert body["tools"] == [
        {"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {"at": {}}}},
        {
            "name": "clock",
            "input_schema": {"type": "object", "properties": {}},
            "cache_control": {"type": "ephemeral"},
            "strict": True,
        },
        {"name": "web_search", "type": "web_search_20250305", "max_uses": 2},
        own,
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("options", "choice", "names"),
    [
        ({"tool_choice": "allowed"}, {"type": "auto"}, ["look", "clock"]),
        ({"tool_choice": "forbidden"}, {"type": "none"}, ["look", "clock"]),
        ({"tool_choice": "forced"}, {"type": "any"}, ["look", "clock"]),
        ({"tool_choice": "forced", "allowed_tools": ["clock"]}, {"type": "tool", "name": "clock"}, ["clock"]),
        ({"allowed_tools": ["look"]}, None, ["look"]),
        (
            {"extra_fields": {"disable_parallel_tool_use": True}},
            {"type": "auto", "disable_parallel_tool_use": True},
            ["look", "clock"],
        ),
        (
            {"tool_choice": "forbidden", "extra_fields": {"disable_parallel_tool_use": True}},
            {"type": "none"},
            ["look", "clock"],
        ),
    ],
)
def test_the_choice_of_tools(options: dict[str, Any], choice: Any, names: list[str]) -> None:
    """The service cannot restrict it, so only what is allowed is offered."""
    body = body_of(tools=[LOOK, CLOCK], **options)

    assert body.get("tool_choice") == choice
    assert [tool["name"] for tool in body["tools"]] == names


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"allowed_tools": ["x"], "tools": [LOOK]}, "allowed_tools names 'x'"),
        ({"tool_choice": "forced"}, "no tools are offered"),
        ({"max_tokens": None}, "demands a limit"),
        ({"extra_fields": {"messages": []}}, "must not hold 'messages'"),
        ({"extra_fields": {"system": "x"}}, "must not hold 'system'"),
        ({"response_format": {"type": "json_object"}}, r"takes a JSON schema; make one with .*response_format"),
    ],
)
def test_options_that_cannot_be_sent_are_refused(options: dict[str, Any], text: str) -> None:
    """With what to do."""
    with pytest.raises(InvalidRequestError, match=text):
        body_of(**options)


def test_all_other_options() -> None:
    """Under the service's names; what is switched off is not sent."""
    schema = {"type": "json_schema", "schema": {"type": "object"}}
    enveloped = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True}}
    effort = {"output_config": {"effort": "low"}}

    body = body_of(
        temperature=0.0, top_p=None, stop=["END"], response_format=schema, extra_fields=effort | {"top_k": 3}
    )

    assert body == {
        "model": "m",
        "temperature": 0.0,
        "max_tokens": 4096,
        "messages": [HI_TURN],
        "stop_sequences": ["END"],
        "output_config": {"effort": "low", "format": schema},
        "top_k": 3,
    }
    assert body_of(response_format=enveloped)["output_config"] == {"format": schema}
    assert body_of(extra_fields=effort)["output_config"] == {"effort": "low"}


@dataclass
class Trip:
    """A trip."""

    city: str
    days: Annotated[int, Field(ge=1)] = 2


def test_the_schema_of_a_type() -> None:
    """Strict; limits that the service does not know are told in words."""
    schema = response_format(list[Trip])["schema"]

    inner = schema["properties"]["value"]["items"]
    assert (schema["additionalProperties"], inner["additionalProperties"]) == (False, False)
    assert schema["required"] == ["value"]
    assert "minimum: 1" in inner["properties"]["days"]["description"]


@pytest.mark.parametrize("kind", [dict[str, int], list[dict[str, int]], tuple[dict[str, int] | int, ...], Any])
def test_types_that_the_service_does_not_take(kind: Any) -> None:
    """With the way round."""
    with pytest.raises(BuildError, match="use StructuredOutput"):
        response_format(kind)


def answer(content: Any, **fields: Any) -> Message:
    """Return the message of a whole answer."""
    return read_answer(json.dumps({"content": content, "stop_reason": "end_turn"} | fields).encode(), PLACE)


def test_a_whole_answer() -> None:
    """Text, calls with their arguments as they were written, usage with the cache and with reasoning."""
    raw = (
        b'{"id":"msg_1","type":"message","role":"assistant","model":"m-1","stop_reason":"tool_use","content":['
        b'{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"text","text":"so","citations":null},'
        b'{"type":"tool_use","id":"c1","name":"f","input":{"x": 1.10, "x2":12345678901234567890123}},'
        b'{"type":"tool_use","id":"c2","name":"f","input":null}],'
        b'"usage":{"input_tokens":3,"cache_read_input_tokens":4,"cache_creation_input_tokens":5,"output_tokens":9,'
        b'"output_tokens_details":{"thinking_tokens":6}}}'
    )

    message = read_answer(raw, PLACE)

    assert (message.content, message.reasoning_content) == ("so", "hm")
    assert message.assistant_parts == THOUGHTS[:1]
    assert [call.arguments for call in message.tool_calls] == ['{"x": 1.10, "x2":12345678901234567890123}', "{}"]
    assert message.response_meta is not None
    assert message.response_meta.finish_reason == "tool_use"
    assert message.response_meta.usage == token_usage(12, 9, cached_tokens=4, reasoning_tokens=6)
    assert message.extra[RESPONSE]["usage"]["cache_creation_input_tokens"] == 5
    assert set(message.extra) == {RESPONSE}


def test_wrong_types_count_as_absent() -> None:
    """A server that gets them wrong does no harm."""
    message = answer(
        [3, None, {"type": 7}, {"type": "text", "text": None}, {"type": "tool_use", "id": 1, "input": [1]}],
        usage={"input_tokens": "x"},
        stop_reason=3,
    )

    assert message.content == ""
    assert [(call.id, call.name, call.arguments) for call in message.tool_calls] == [("", "", "[1]")]
    assert message.response_meta is not None
    assert (message.response_meta.finish_reason, message.response_meta.usage) == ("", token_usage())
    assert answer([], usage={"other": 1}).response_meta.usage is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b", "signature": "c"}],
        [{"type": "tool_use", "id": "c", "name": "f", "input": {}}, {"type": "text", "text": "b"}],
        [{"type": "text", "text": "a", "citations": []}],
        [{"type": "container_upload", "file_id": "f"}],
    ],
)
def test_blocks_are_kept_where_the_fields_lose_something(blocks: list[dict[str, Any]]) -> None:
    """Order, citations, unknown types."""
    message = answer(blocks)

    assert message.extra[CONTENT] == blocks
    assert turns(message, HI if not message.tool_calls else tool_message("x", "c"))[0]["content"] == blocks


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html>moved</html>", "no JSON .*<html>moved"),
        (b"\xff", "no JSON"),
        (b"[]", "a JSON list instead of an object"),
        (b"{}", "it has no content"),
        (b'{"content": "x"}', "it has no content"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, text: str) -> None:
    """With the beginning of what came."""
    with pytest.raises(InvalidResponseError, match=text):
        read_answer(body, PLACE, "text/html")


def test_an_error_with_status_200_is_that_error() -> None:
    """Its type says which."""
    with pytest.raises(OverloadedError, match="busy"):
        read_answer(b'{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}', PLACE)
