"""Joining chunks: messages, results, the generic rule and its registries."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from eino.errors import ConcatError
from eino.schema import (
    CONCAT,
    AudioPart,
    ConcatRegistry,
    FunctionCall,
    ImagePart,
    LogProb,
    LogProbs,
    Media,
    Message,
    Reasoning,
    ReasoningPart,
    ResponseMeta,
    TextPart,
    ToolCall,
    ToolResult,
    assistant_message,
    concat,
    concat_messages,
    concat_tool_results,
    image_part,
    register_concat,
    token_usage,
    tool_call,
    tool_message,
    tool_result,
    user_message,
)


@dataclass
class Point:
    """A type without a concat function."""

    x: int = 0
    y: int = 0


class Base:
    """A class that others derive from."""

    def __init__(self, text: str) -> None:
        self.text = text


class Derived(Base):
    """A class without a function of its own."""


class Level(enum.StrEnum):
    """A text that is not to be joined."""

    NONE = ""
    LOW = "low"
    HIGH = "high"


def join_texts(items: Sequence[Base]) -> Base:
    """Join, and tell that this function was called."""
    return Base("+".join(item.text for item in items))


class TestGenericRule:
    """Any type: none, one, or several chunks."""

    def test_no_chunks_are_an_error(self) -> None:
        """There is nothing to return; the text is the one that the Go original's users know."""
        with pytest.raises(ConcatError, match="stream reader is empty, concat fail"):
            concat([])

    def test_a_single_chunk_is_returned_as_it_is(self) -> None:
        """No function is called: the value may be one that could not be joined."""
        value = object()

        assert concat([value]) is value
        assert concat([[None]]) == [None]

    @pytest.mark.parametrize(
        ("items", "joined"),
        [
            pytest.param(["a", "", "b"], "ab", id="texts are joined"),
            pytest.param([b"a", b"b"], b"ab", id="bytes are joined"),
            pytest.param([1, 2, 0], 0, id="last whole number"),
            pytest.param([1.5, 2.5], 2.5, id="last float"),
            pytest.param([1, 2.5], 2.5, id="numbers of both kinds"),
            pytest.param([2.5, 1], 1, id="numbers of both kinds, other order"),
            pytest.param([True, False], False, id="last truth value"),
            pytest.param([decimal.Decimal(1), decimal.Decimal(2)], decimal.Decimal(2), id="last decimal"),
            pytest.param([dt.date(2024, 1, 1), dt.date(2023, 1, 1)], dt.date(2023, 1, 1), id="last date"),
            pytest.param([dt.timedelta(1), dt.timedelta(2)], dt.timedelta(2), id="last duration"),
            pytest.param([None, None], None, id="only None"),
            pytest.param([[], [1], []], [1], id="only list that is not empty"),
            pytest.param([(), ()], (), id="only empty tuples"),
            pytest.param([Point(), Point(1)], Point(1), id="only point that is set"),
            pytest.param([Level.NONE, Level.HIGH], Level.HIGH, id="only enum member that is set"),
        ],
    )
    def test_several_chunks(self, items: list[Any], joined: Any) -> None:
        """Texts are joined, of numbers and times the last wins, of other values the only one that is set."""
        result = concat(items)

        assert result == joined
        assert type(result) is type(joined)

    @pytest.mark.parametrize(
        ("items", "text"),
        [
            pytest.param(
                [Point(1), Point(2)], r"non-zero value of type Point: 2 of 2 .*register_concat\(Point\)", id="points"
            ),
            pytest.param([[1], [2]], "non-zero value of type list", id="lists"),
            pytest.param([Level.LOW, Level.HIGH], "non-zero value of type Level", id="members of a text enum"),
            pytest.param([object(), object()], "non-zero value of type object", id="objects"),
            pytest.param(["a", 1], "different types. Got int, expected str", id="text and number"),
            pytest.param([True, 1], "different types. Got int, expected bool", id="truth value and number"),
            pytest.param([None, "a"], "different types. Got str, expected NoneType", id="None first"),
            pytest.param(["a", None], "different types. Got NoneType, expected str", id="None later"),
            pytest.param([{"a": 1}, "b"], "different types. Got str, expected dict", id="mapping and text"),
        ],
    )
    def test_chunks_that_do_not_fit(self, items: list[Any], text: str) -> None:
        """The error names the types and the remedy."""
        with pytest.raises(ConcatError, match=text):
            concat(items)

    def test_zero_values_of_every_kind_of_structure(self) -> None:
        """A field that has its default, or is empty, carries nothing."""

        class Struct(msgspec.Struct):
            a: int = 5
            b: list[int] = msgspec.field(default_factory=list)

        class Model(BaseModel):
            a: str = "x"
            b: list[int] = []

        assert concat([Struct(), Struct(b=[1])]) == Struct(b=[1])
        assert concat([Model(), Model(a="y"), Model()]) == Model(a="y")
        with pytest.raises(ConcatError, match=r"non-zero value of type .*Model"):
            concat([Model(a="y"), Model(a="y")])


class TestMappings:
    """Mappings are joined key by key."""

    def test_keys_are_joined_each_by_its_type(self) -> None:
        """Nested mappings are joined in turn; a key of one chunk only keeps its value, None too."""
        chunks = [
            {"text": "a", "n": 1, "in": {"x": "1", "only": None}, "list": []},
            {"text": "b", "n": 2, "in": {"x": "2"}, "list": [1], "new": [2]},
        ]

        assert concat(chunks) == {
            "text": "ab",
            "n": 2,
            "in": {"x": "12", "only": None},
            "list": [1],
            "new": [2],
        }

    def test_any_kind_of_mapping_will_do(self) -> None:
        """The result is a plain dictionary, the chunks are not changed."""
        first: dict[str, str] = OrderedDict(a="1")
        second = MappingProxyType({"a": "2"})

        assert concat([first, second]) == {"a": "12"}  # type: ignore[list-item]  # two kinds of mappings
        assert first == {"a": "1"}

    @pytest.mark.parametrize("values", [(None, "a"), ("a", None)], ids=["None first", "None later"])
    def test_none_and_another_value_under_one_key(self, values: tuple[Any, Any]) -> None:
        """Both orders give the same clear error."""
        with pytest.raises(ConcatError, match=r"different types under key 'a.b'. Got \w+, expected \w+"):
            concat([{"a": {"b": value}} for value in values])

    def test_errors_name_the_key(self) -> None:
        """Also errors of a function for the type of the values."""
        with pytest.raises(ConcatError, match="non-zero value of type list under key 'a'"):
            concat([{"a": [1]}, {"a": [2]}])
        with pytest.raises(ConcatError, match=r"different roles: 'user' 'assistant'.* under key 'a.m'"):
            concat([{"a": {"m": user_message("")}}, {"a": {"m": assistant_message("")}}])

    def test_huge_nesting_is_a_clear_error(self) -> None:
        """Not a crash of the interpreter's stack."""
        deep: dict[str, Any] = {}
        for _ in range(300):
            deep = {"k": deep}

        with pytest.raises(ConcatError, match="nested deeper than 200 levels"):
            concat([deep, deep])


class TestRegistry:
    """Functions by type."""

    def test_registered_function_joins_the_type_and_what_derives_from_it(self) -> None:
        """The exact type first, then its bases; undoing brings back the rule from before."""
        undo = register_concat(Base, join_texts)
        try:
            assert concat([Base("a"), Base("b")]).text == "a+b"
            assert concat([Derived("a"), Derived("b")]).text == "a+b"
            assert concat([Base("a"), Derived("b")]).text == "a+b"
            assert concat([Derived("a"), Base("b")]).text == "a+b"
            with_own = register_concat(Derived, lambda items: items[0])
            assert concat([Derived("a"), Derived("b")]).text == "a"
            with_own()
        finally:
            undo()
        with pytest.raises(ConcatError, match="non-zero value of type Base"):
            concat([Base("a"), Base("b")])

    def test_decorator_registers_and_returns_the_function(self) -> None:
        """The usual way, in the module of the type."""
        registry = ConcatRegistry(CONCAT)

        decorated = registry.register(Base)(join_texts)

        assert decorated is join_texts
        assert registry.concat([Base("a"), Base("b")]).text == "a+b"

    def test_global_decorator(self) -> None:
        """`@register_concat(T)` is for all graphs."""

        class Own:
            pass

        @register_concat(Own)
        def first(items: Sequence[Own]) -> Own:
            return items[0]

        items = [Own(), Own()]
        assert concat(items) is first(items)

    def test_child_overrides_its_parent_and_built_in_rules(self) -> None:
        """A graph joins texts its own way, also inside the `extra` of messages; others are not touched."""
        registry = ConcatRegistry(CONCAT, {str: "|".join})

        assert registry.concat(["a", "b"]) == "a|b"
        assert registry.concat([{"k": "a"}, {"k": "b"}]) == {"k": "a|b"}
        chunks = [user_message("a", extra={"k": "x"}), user_message("b", extra={"k": "y"})]
        assert registry.concat(chunks) == user_message("ab", extra={"k": "x|y"})
        assert registry.concat_messages(chunks).extra == {"k": "x|y"}
        result = registry.concat_tool_results(
            [ToolResult(parts=(TextPart("a", extra={"k": "x"}),)), ToolResult(parts=(TextPart("b", extra={"k": "y"}),))]
        )
        assert result.parts == (TextPart("ab", extra={"k": "x|y"}),)
        assert concat(["a", "b"]) == "ab"

    def test_most_specific_type_wins_over_the_nearest_registry(self) -> None:
        """A parent's function for the exact type is better than the child's for a base class."""
        parent = ConcatRegistry(CONCAT, {Derived: lambda items: Base("exact")})
        child = ConcatRegistry(parent, {Base: join_texts})

        assert child.concat([Derived("a"), Derived("b")]).text == "exact"

    def test_a_function_for_messages_replaces_the_built_in_one(self) -> None:
        """It gets the chunks as they are."""
        registry = ConcatRegistry(CONCAT, {Message: lambda chunks: chunks[-1]})

        assert registry.concat([user_message("a"), user_message("b")]) == user_message("b")

    def test_a_function_for_mappings_replaces_joining_by_key(self) -> None:
        """Only where it is registered."""
        registry = ConcatRegistry(CONCAT, {dict: lambda chunks: chunks[0]})

        assert registry.concat([{"a": "1"}, {"a": "2"}]) == {"a": "1"}

    def test_undo_leaves_a_later_registration_alone(self) -> None:
        """Undoing out of order must not bring back what was replaced."""
        registry = ConcatRegistry()
        first = registry.register(Base, lambda items: Base("first"))
        second = registry.register(Base, lambda items: Base("second"))

        first()
        assert registry.concat([Base("a"), Base("b")]).text == "second"
        second()
        assert registry.concat([Base("a"), Base("b")]).text == "first"

    @pytest.mark.parametrize(
        ("cls", "function", "text"),
        [
            pytest.param("Point", join_texts, "registered for a class, got 'Point'", id="name of a class"),
            pytest.param(Point, 5, "registered for Point must be callable, got 5", id="no function"),
        ],
    )
    def test_wrong_registrations_are_refused(self, cls: Any, function: Any, text: str) -> None:
        """At once, not when a stream ends."""
        with pytest.raises(TypeError, match=text):
            register_concat(cls, function)


class TestMessages:
    """Chunks of messages."""

    def test_no_chunks_make_an_empty_message(self) -> None:
        """The one place where nothing is a value."""
        assert concat_messages([]) == Message(role="", content="")

    @pytest.mark.parametrize(
        ("chunks", "text"),
        [
            pytest.param(
                [user_message("a"), assistant_message("b")], "different roles: 'user' 'assistant'", id="roles"
            ),
            pytest.param(
                [user_message("", name="a"), user_message("", name="b")], "different names: 'a' 'b'", id="names"
            ),
            pytest.param(
                [tool_message("", "1"), tool_message("", "2")], "different toolCallIDs: '1' '2'", id="call ids"
            ),
            pytest.param(
                [tool_message("", "1", tool_name="f"), tool_message("", "1", tool_name="g")],
                "different toolNames: 'f' 'g'",
                id="tool names, not call ids as upstream prints",
            ),
            pytest.param([user_message("a"), "b"], r"index: 1: 'b' is not a Message", id="no message"),
            pytest.param(
                [user_message("a"), Message(role="user", content=5)],  # type: ignore[arg-type]  # the mistake under test
                "content of chunk 1 must be a string, got 5",
                id="content",
            ),
            pytest.param([user_message("a"), None], "nil chunk in message stream, index: 1", id="None"),
        ],
    )
    def test_contradicting_chunks_are_refused(self, chunks: Any, text: str) -> None:
        """Both values are named."""
        with pytest.raises(ConcatError, match=text):
            concat_messages(chunks)

    def test_none_among_chunks_of_any_join(self) -> None:
        """`concat` gives the same error as `concat_messages`, wherever the None is."""
        for chunks in ([None, user_message("a")], [user_message("a"), None]):
            with pytest.raises(ConcatError, match="nil chunk in message stream"):
                concat(chunks)

    @pytest.mark.parametrize(
        ("first", "second", "text"),
        [
            pytest.param({"id": "1"}, {"id": "2"}, "different tool id: '1' '2'", id="id"),
            pytest.param(
                {"type": "function"}, {"type": "custom"}, "different tool type: 'function' 'custom'", id="type"
            ),
            pytest.param({"name": "f"}, {"name": "g"}, "different tool name: 'f' 'g'", id="name"),
        ],
    )
    def test_contradicting_pieces_of_a_call_are_refused(
        self, first: dict[str, str], second: dict[str, str], text: str
    ) -> None:
        """Two calls under one index would be mixed up."""

        def chunk(id: str = "", type: str = "", name: str = "") -> Message:  # noqa: A002
            call = ToolCall(index=0, id=id, type=type, function=FunctionCall(name=name, arguments="x"))
            return assistant_message("", [call])

        with pytest.raises(ConcatError, match=text):
            concat_messages([chunk(**first), chunk(**second)])

    def test_extra_of_a_call_comes_from_its_first_piece(self) -> None:
        """Pieces of two calls may alternate."""
        chunks = [
            assistant_message("", [tool_call("f", "1", index=1, extra={"k": 1}), tool_call("g", "a", index=0)]),
            assistant_message("", [tool_call("f", "2", index=1, extra={"k": 2})]),
            assistant_message("", [tool_call("g", "b", index=0)]),
        ]

        assert concat_messages(chunks).tool_calls == (
            tool_call("g", "ab", index=0),
            tool_call("f", "12", index=1, extra={"k": 1}),
        )

    def test_interleaved_indexes_of_parts_stay_apart(self) -> None:
        """Only neighbours merge: 0, 1, 0 are three parts."""
        parts = [TextPart("a", index=0), TextPart("b", index=1), TextPart("c", index=0)]

        assert concat_messages([assistant_message([part]) for part in parts]).assistant_parts == tuple(parts)

    def test_reasoning_keeps_the_last_signature(self) -> None:
        """Texts are joined, `extra` too."""
        chunks = [
            assistant_message([ReasoningPart(reasoning=Reasoning(text="a", signature="1"), extra={"k": "x"})]),
            assistant_message([ReasoningPart(reasoning=Reasoning(text="b", signature="2"), extra={"k": "y"})]),
            assistant_message([ReasoningPart(reasoning=Reasoning(text="c"))]),
        ]

        joined = concat_messages(chunks).assistant_parts

        assert joined == (ReasoningPart(reasoning=Reasoning(text="abc", signature="2"), extra={"k": "xy"}),)

    def test_inline_audio_is_joined_and_other_media_are_not(self) -> None:
        """Audio by address stays apart, images always."""

        def audio(data: str | None, url: str | None = None, mime_type: str = "", **extra: str) -> AudioPart:
            media = Media(base64_data=data, url=url, mime_type=mime_type, extra={"m": "x"} if extra else {})
            return AudioPart(audio=media, extra=extra)

        chunks = [
            assistant_message([audio("UklG", k="a")]),
            assistant_message([audio("RgAA", mime_type="audio/wav", k="b")]),
            assistant_message([audio("AAAA", mime_type="audio/mp3")]),
            assistant_message([audio("BBBB", url="u")]),
            assistant_message([audio(None, url="v")]),
            assistant_message([image_part("i")]),
            assistant_message([image_part("i")]),
        ]

        parts = concat_messages(chunks).assistant_parts

        merged = AudioPart(
            audio=Media(base64_data="UklGRgAAAAAA", mime_type="audio/wav", extra={"m": "xx"}), extra={"k": "ab"}
        )
        assert parts == (merged, audio("BBBB", url="u"), audio(None, url="v"), image_part("i"), image_part("i"))

    def test_texts_of_users_are_joined_without_their_extra(self) -> None:
        """A text that stays alone keeps it."""
        chunks = [
            user_message([TextPart("a", extra={"k": 1})]),
            user_message([TextPart("b"), image_part("i"), TextPart("c", extra={"k": 2})]),
        ]

        joined = concat_messages(chunks).user_parts

        assert joined == (TextPart("ab"), image_part("i"), TextPart("c", extra={"k": 2}))

    def test_log_probabilities_are_appended(self) -> None:
        """In the order of the chunks; empty ones do not count."""
        first, second = LogProb(token="a", logprob=-1.0), LogProb(token="b", logprob=-2.0)
        chunks = [
            assistant_message(response_meta=ResponseMeta(logprobs=LogProbs(content=(first,)))),
            assistant_message(response_meta=ResponseMeta()),
            assistant_message(response_meta=ResponseMeta(logprobs=LogProbs(content=(second,)))),
        ]

        assert concat_messages(chunks).response_meta == ResponseMeta(logprobs=LogProbs(content=(first, second)))

    def test_extra_is_a_new_dictionary(self) -> None:
        """Changing the result must not reach a chunk."""
        chunk = assistant_message("a", extra={"k": 1})

        joined = concat_messages([chunk, assistant_message("b")])
        joined.extra["k"] = 2

        assert chunk.extra == {"k": 1}

    @pytest.mark.parametrize("position", [0, 3, 4, 50, 95, 96, 99])
    @pytest.mark.parametrize(
        "odd",
        [
            pytest.param(assistant_message("x", name="n"), id="name"),
            pytest.param(Message(role="", content="x"), id="no role"),
            pytest.param(assistant_message("x", extra={"k": object()}), id="extra without a JSON form"),
            pytest.param(assistant_message("\ud800"), id="text that is no valid Unicode"),
            pytest.param(assistant_message('"\\\n\x00é\U0001f600'), id="text that JSON escapes"),
            pytest.param(assistant_message("x", [tool_call("f")]), id="tool call"),
        ],
    )
    def test_an_odd_chunk_in_a_long_stream_is_not_lost(self, position: int, odd: Message) -> None:
        """Long streams take a short cut, which must see every chunk that carries more than a text."""
        chunks = [assistant_message(f"{i} ") for i in range(99)]
        chunks.insert(position, odd)

        joined = concat_messages(chunks)

        assert joined.content == "".join(chunk.content for chunk in chunks)
        assert (joined.role, joined.name, joined.tool_calls) == ("assistant", odd.name, odd.tool_calls)
        assert joined.extra == odd.extra

    def test_a_long_stream_with_the_role_in_its_first_chunk_only(self) -> None:
        """The way OpenAI streams."""
        chunks = [assistant_message(""), *[Message(role="", content="x") for _ in range(100)]]

        assert concat_messages(chunks) == assistant_message("x" * 100)

    def test_a_long_stream_with_two_roles_is_refused(self) -> None:
        """The short cut compares roles too; `user` and `tool` are equally long."""
        chunks = [*[user_message("x") for _ in range(100)], tool_message("y", "1").replace(tool_call_id="")]
        chunks.insert(30, chunks.pop())

        with pytest.raises(ConcatError, match="different roles: 'tool' 'user'"):
            concat_messages(chunks)


class TestRowsOfMessages:
    """Lists of messages are joined position by position."""

    def test_columns_are_joined(self) -> None:
        """None is left out; a column without a message stays None; a single message is the same object."""
        only = user_message("b")
        rows: list[list[Message | None]] = [
            [user_message("a"), None, None],
            [user_message("A"), only, None],
        ]

        joined = concat(rows)

        assert joined == [user_message("aA"), only, None]
        assert joined[1] is only

    def test_tuples_stay_tuples(self) -> None:
        """The kind of the rows is the kind of the result."""
        assert concat([(user_message("a"),), (user_message("b"),)]) == (user_message("ab"),)

    def test_rows_of_different_length_are_refused(self) -> None:
        """Positions would not fit together."""
        with pytest.raises(ConcatError, match=r"unexpected array length\. Got 1, expected 2"):
            concat([[user_message("a"), user_message("b")], [user_message("c")]])

    def test_other_lists_are_not_joined(self) -> None:
        """A list of something else, or with something else in it, follows the generic rule."""
        with pytest.raises(ConcatError, match="non-zero value of type list"):
            concat([[user_message("a"), "x"], [user_message("b"), "y"]])
        with pytest.raises(ConcatError, match="non-zero value of type list"):
            concat([[None], [None]])


class TestToolResults:
    """Chunks of results."""

    def test_texts_are_joined_over_the_border_of_chunks(self) -> None:
        """None and empty chunks do not part them; `extra` is joined; different kinds of media may come together."""
        picture = tool_result(image_part("i")).parts[0]
        sound = tool_result(AudioPart(audio=Media(url="a"))).parts[0]
        chunks = [
            ToolResult(parts=(TextPart("a", extra={"k": "1"}),)),
            None,
            ToolResult(),
            ToolResult(parts=(TextPart("b", extra={"k": "2"}), picture, TextPart("c"))),
            ToolResult(parts=(TextPart("d"), sound)),
        ]

        joined = concat_tool_results(chunks)

        assert joined.parts == (TextPart("ab", extra={"k": "12"}), picture, TextPart("cd"), sound)
        assert concat_tool_results([]) == ToolResult()
        assert concat([chunk for chunk in chunks if chunk is not None]) == joined

    def test_two_images_in_one_chunk_conflict_too(self) -> None:
        """A kind of media may come once overall."""
        with pytest.raises(ConcatError, match="conflicting image parts found in chunk 0 and chunk 0"):
            concat_tool_results([tool_result(image_part("a"), image_part("b"))])


def test_image_parts_are_values() -> None:
    """Equal parts are equal, so that tests of joining compare contents."""
    assert image_part("i") == ImagePart(image=image_part("i").image)


@dataclass
class Nested:
    """A structure with a default that is not empty."""

    items: list[int] = field(default_factory=list)
    limit: int = 3


def test_defaults_carry_nothing() -> None:
    """A structure whose fields have their defaults is empty, even if a default is not."""
    assert concat([Nested(), Nested(items=[1]), Nested()]) == Nested(items=[1])


def test_usage_is_the_highest_count_of_each_kind() -> None:
    """Providers report running totals, some of them in several chunks: to add them up would count twice."""
    totals = [
        token_usage(10, 1, 11, cached_tokens=4),
        token_usage(10, 3, 13, reasoning_tokens=2),
        token_usage(0, 5, 15, reasoning_tokens=1),
    ]
    chunks = [
        Message(role="assistant", content="", response_meta=ResponseMeta(finish_reason=reason, usage=usage))
        for reason, usage in zip(["", "length", "stop"], totals, strict=True)
    ]

    meta = concat_messages(chunks).response_meta

    assert meta == ResponseMeta(finish_reason="stop", usage=token_usage(10, 5, 15, cached_tokens=4, reasoning_tokens=2))
