"""Options of chat models: what is given, what is switched off, and how levels are merged."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from eino.components import UNSET, ChatModel, ModelOptions, Options, ToolCallingChatModel, tool_infos
from eino.schema.tool import ToolInfo

SEARCH = ToolInfo(name="search")
CLOCK = ToolInfo(name="clock")


def test_nothing_is_given_by_default() -> None:
    """Options without arguments leave every decision to the level below, and say so in their repr."""
    options = ModelOptions()

    assert options.temperature is UNSET
    assert options.given() == {}
    assert repr(options) == "ModelOptions()"


def test_none_is_given_and_switches_off() -> None:
    """None is a decision: it is given, but not wanted."""
    options = ModelOptions(temperature=None, max_tokens=5)

    assert options.given() == {"temperature": None, "max_tokens": 5}
    assert options.wanted() == {"max_tokens": 5}


@pytest.mark.parametrize(
    ("below", "over", "merged"),
    [
        pytest.param(ModelOptions(top_p=0.5), None, ModelOptions(top_p=0.5), id="nothing over it"),
        pytest.param(ModelOptions(top_p=0.5), ModelOptions(), ModelOptions(top_p=0.5), id="not given is inherited"),
        pytest.param(ModelOptions(top_p=0.5), ModelOptions(top_p=0.0), ModelOptions(top_p=0.0), id="zero is a value"),
        pytest.param(ModelOptions(top_p=0.5), ModelOptions(top_p=None), ModelOptions(top_p=None), id="None wins"),
        pytest.param(ModelOptions(tools=[SEARCH]), ModelOptions(tools=()), ModelOptions(tools=()), id="no tools"),
        pytest.param(
            ModelOptions(extra_fields={"seed": 1, "user": "a"}),
            ModelOptions(extra_fields={"seed": 2}),
            ModelOptions(extra_fields={"seed": 2, "user": "a"}),
            id="extra fields key by key",
        ),
        pytest.param(
            ModelOptions(extra_fields={"seed": 1}),
            ModelOptions(extra_fields=None),
            ModelOptions(extra_fields=None),
            id="extra fields switched off",
        ),
        pytest.param(
            ModelOptions(response_format={"type": "json_object", "x": 1}),
            ModelOptions(response_format={"type": "text"}),
            ModelOptions(response_format={"type": "text"}),
            id="the response format as a whole",
        ),
    ],
)
def test_what_is_given_above_wins(below: ModelOptions, over: ModelOptions | None, merged: ModelOptions) -> None:
    """Each field that the upper level gives replaces the lower one; the levels themselves do not change."""
    before = repr(below)

    assert below.merge(over) == merged
    assert repr(below) == before


def test_options_of_another_kind_are_refused() -> None:
    """Merging options of two component kinds names both."""

    class OtherOptions(Options, frozen=True, kw_only=True):
        top_k: int = 1

    with pytest.raises(TypeError, match="cannot merge OtherOptions into ModelOptions"):
        ModelOptions().merge(OtherOptions())  # type: ignore[arg-type]


def test_sequences_become_tuples_and_tools_become_descriptions() -> None:
    """Lists are copied into tuples, and what has an `info` is taken for that info."""
    stop = ["END"]
    options = ModelOptions(stop=stop, allowed_tools=["search"], tools=[SimpleNamespace(info=SEARCH), CLOCK])
    stop.append("later")

    assert options.stop == ("END",)
    assert options.allowed_tools == ("search",)
    assert options.offered_tools == (SEARCH, CLOCK)
    assert ModelOptions().offered_tools == ()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param({"stop": "END"}, "stop must be a sequence of strings, got 'END'", id="stop as a string"),
        pytest.param({"allowed_tools": [1]}, "allowed_tools must hold strings only, got 1", id="a number as name"),
        pytest.param({"tools": ["search"]}, "tool 0 must be a ToolInfo", id="a name instead of a tool"),
    ],
)
def test_wrong_types_are_named(fields: dict[str, object], text: str) -> None:
    """A wrong value is refused when the options are made, with the value in the text."""
    with pytest.raises(TypeError, match=text):
        ModelOptions(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tools", "text"),
    [
        pytest.param([SEARCH, CLOCK, SEARCH], "two tools are named 'search'", id="twice"),
        pytest.param([ToolInfo()], "tool 0 has no name", id="nameless"),
    ],
)
def test_tools_that_a_model_cannot_tell_apart_are_refused(tools: list[ToolInfo], text: str) -> None:
    """Names must be there and differ."""
    with pytest.raises(ValueError, match=text):
        tool_infos(tools)


def test_the_protocols_tell_models_from_other_things() -> None:
    """A graph can recognise a chat model, and whether it takes tools."""

    class Plain:
        async def generate(self, messages: object, options: object = None) -> None: ...

        def stream(self, messages: object, options: object = None) -> None: ...

    class WithTools(Plain):
        def with_tools(self, tools: object) -> WithTools:
            return self

    assert isinstance(Plain(), ChatModel)
    assert not isinstance(Plain(), ToolCallingChatModel)
    assert isinstance(WithTools(), ToolCallingChatModel)
    assert not isinstance(SEARCH, ChatModel)
