"""Rows of the scenario table for messages, tools, joining and merging (`core-scenarios.md` 3.1 and 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from eino.errors import ConcatError, MergeError
from eino.schema import (
    FunctionCall,
    Media,
    MergeRegistry,
    Message,
    ParameterInfo,
    Reasoning,
    ReasoningPart,
    ResponseMeta,
    TextPart,
    ToolAudioPart,
    ToolCall,
    ToolInfo,
    ToolResult,
    concat,
    concat_messages,
    concat_tool_results,
    from_json,
    merge_values,
    to_json,
    token_usage,
    user_message,
)


def piece(index: int | None = None, id: str = "", type: str = "", name: str = "", arguments: str = "") -> ToolCall:  # noqa: A002
    """Return a piece of a tool call with only what is given."""
    return ToolCall(index=index, id=id, type=type, function=FunctionCall(name=name, arguments=arguments))


def chunk(*calls: ToolCall, role: str = "") -> Message:
    """Return a chunk with these pieces of calls."""
    return Message(role=role, content="", tool_calls=calls)  # type: ignore[arg-type]  # a role of the tests below


def answer(finish_reason: str = "", **usage: int) -> Message:
    """Return an assistant chunk with response metadata."""
    return Message(
        role="assistant",
        content="",
        response_meta=ResponseMeta(finish_reason=finish_reason, usage=token_usage(**usage) if usage else None),
    )


def test_s01_pieces_of_one_call_are_appended() -> None:
    """S01: an empty piece, one with the identity, one with the arguments make the call."""
    chunks = [
        chunk(piece(0)),
        chunk(piece(0, "ID", "function", "N"), role="assistant"),
        chunk(piece(0, arguments="{}")),
    ]

    joined = concat_messages(chunks)

    assert joined == chunk(piece(0, "ID", "function", "N", "{}"), role="assistant")


def test_s02_calls_are_grouped_by_index_behind_those_without() -> None:
    """S02: calls without an index come first and unmerged; equal indexes merge, in ascending order."""
    pieces = [
        *[piece(0, "t"), piece(0, type="function", arguments="call me please"), piece(0, "t")],
        *[piece(1, "t"), piece(1, type="function", arguments="call me please"), piece(1, "t")],
        *[piece(None, "22"), piece(None, "44")],
    ]

    joined = concat_messages([chunk(*pieces)])

    assert joined.tool_calls == (
        piece(None, "22"),
        piece(None, "44"),
        piece(0, "t", "function", "", "call me please"),
        piece(1, "t", "function", "", "call me please"),
    )


def test_s04_usage_is_the_highest_and_the_finish_reason_the_last() -> None:
    """S04: usage is the maximum of each count, an empty finish reason does not erase one, a later one replaces it."""
    chunks = [
        Message(role="assistant", content=""),
        answer(prompt_tokens=20, cached_tokens=10, completion_tokens=10, reasoning_tokens=5, total_tokens=30),
        answer("stop"),
        answer(prompt_tokens=30, cached_tokens=15, completion_tokens=15, reasoning_tokens=8, total_tokens=45),
    ]
    usage = token_usage(30, 15, 45, cached_tokens=15, reasoning_tokens=8)

    assert concat_messages(chunks).response_meta == ResponseMeta(finish_reason="stop", usage=usage)
    chunks.append(answer("tool_calls"))
    assert concat_messages(chunks).response_meta == ResponseMeta(finish_reason="tool_calls", usage=usage)


def test_s05_none_among_chunks_is_refused() -> None:
    """S05: a None chunk is an error that names its position."""
    chunks: list[Message] = [None, user_message("a")]  # type: ignore[list-item]  # the mistake under test

    with pytest.raises(ConcatError, match="unexpected nil chunk in message stream, index: 0"):
        concat_messages(chunks)


def test_s07_inputs_keep_their_metadata() -> None:
    """S07: the result has the metadata of the last chunk; the first chunk still has none."""
    first = Message(role="assistant", content="")
    last = answer("stop", prompt_tokens=7, completion_tokens=3, total_tokens=10)

    joined = concat_messages([first, answer(), last])

    assert joined.response_meta == last.response_meta
    assert first.response_meta is None


def test_s08_parts_are_grouped_by_streaming_index() -> None:
    """S08: neighbouring thoughts at 0 and texts at 1 become one part each, and keep their index."""
    parts = [
        ReasoningPart(reasoning=Reasoning(text="Think "), index=0),
        ReasoningPart(reasoning=Reasoning(text="more."), index=0),
        TextPart("Hello ", index=1),
        TextPart("world!", index=1),
    ]

    joined = concat_messages([Message(role="assistant", content="", assistant_parts=(part,)) for part in parts])

    assert joined.assistant_parts == (
        ReasoningPart(reasoning=Reasoning(text="Think more."), index=0),
        TextPart("Hello world!", index=1),
    )


def test_s10_parts_with_and_without_index_stay_apart() -> None:
    """S10: a text without a streaming index and one at 0 are two parts."""
    parts = (TextPart("a"), TextPart("b", index=0))

    joined = concat_messages([Message(role="assistant", content="", assistant_parts=(part,)) for part in parts])

    assert joined.assistant_parts == parts


def test_s11_media_of_one_kind_may_come_once() -> None:
    """S11: audio by address and audio by data in two chunks conflict."""
    chunks = [
        ToolResult(parts=(ToolAudioPart(audio=Media(url="https://example.com/a.wav")),)),
        ToolResult(parts=(ToolAudioPart(audio=Media(base64_data="UklGRg==")),)),
    ]

    with pytest.raises(ConcatError, match="conflicting audio parts found in chunk 0 and chunk 1"):
        concat_tool_results(chunks)


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(ToolInfo(name="t", params={"q": ParameterInfo(type="string", required=True)}), id="params"),
        pytest.param(ToolInfo(name="t", json_schema={"type": "object", "properties": {}}), id="json schema"),
        pytest.param(ToolInfo(name="t", has_params_one_of=True), id="empty params"),
        pytest.param(ToolInfo(name="t"), id="no input"),
    ],
)
def test_s17_tool_info_survives_json(info: ToolInfo) -> None:
    """S17: each form of parameters comes back as it was; an empty set of parameters stays present."""
    read = from_json(to_json(info), ToolInfo)

    assert read == info
    assert read.parameters == info.parameters
    assert (info.parameters is None) == (not info.has_params_one_of)


def test_s29_extra_is_joined_key_by_key() -> None:
    """S29: contents are joined, texts under the same key of `extra` too."""
    chunks = [user_message(str(i), extra={"key_1": str(i), str(i): str(i)} if i % 4 == 0 else None) for i in range(10)]

    joined = concat(chunks)

    assert joined.content == "0123456789"
    assert joined.extra == {"key_1": "048", "0": "0", "4": "4", "8": "8"}


def test_s31_mixed_types_under_one_key_are_refused() -> None:
    """S31: a text and a number under one key do not join; the error names the key."""
    with pytest.raises(ConcatError, match=r"different types under key 'x'. Got int, expected str"):
        concat([{"str": "a", "x": "s"}, {"str": "b", "x": 123}])


@dataclass
class Sparse:
    """A type without a concat function."""

    a: str = ""


def test_s32_the_only_value_that_is_not_empty_wins() -> None:
    """S32: of unregistered values, empty ones are left out; all empty gives an empty one."""
    assert concat([Sparse(), Sparse(a="123"), Sparse()]) == Sparse(a="123")
    assert concat([Sparse(), Sparse(), Sparse()]) == Sparse()


@dataclass
class Tally:
    """A type with a merge function in the test below."""

    a: int = 0
    b: list[str] = field(default_factory=list)


def merge_tallies(tallies: Sequence[Tally]) -> Tally:
    """Sum and join."""
    return Tally(sum(tally.a for tally in tallies), sorted(name for tally in tallies for name in tally.b))


def test_s34_values_merge_by_registered_function_only() -> None:
    """S34: a registered function merges its type; another type among them, or no function, is an error."""
    registry = MergeRegistry(None, {Tally: merge_tallies})

    merged = registry.merge([Tally(1, ["c"]), Tally(2, ["a"]), Tally(3, ["b"])])

    assert merged == Tally(6, ["a", "b", "c"])
    with pytest.raises(MergeError, match="type mismatch"):
        registry.merge([Tally(1), "x"])
    with pytest.raises(MergeError, match="unsupported type: Tally"):
        merge_values([Tally(1), Tally(2)])
