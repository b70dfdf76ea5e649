"""Tool calls and tool descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from eino.errors import CodecError
from eino.schema import FunctionCall, ParameterInfo, ToolArgument, ToolCall, ToolInfo, from_json, to_json, tool_call


def test_call_is_easy_to_write_and_read() -> None:
    """Arguments given as a mapping become JSON; name and arguments are at hand."""
    call = tool_call("search", {"q": "café", "n": [1, None]}, id="c1", index=0, extra={"k": 1})

    assert call == ToolCall(
        index=0,
        id="c1",
        type="function",
        function=FunctionCall(name="search", arguments='{"q":"café","n":[1,null]}'),
        extra={"k": 1},
    )
    assert (call.name, call.arguments) == ("search", '{"q":"café","n":[1,null]}')
    assert tool_call("search", "{broken").arguments == "{broken"


def test_type_is_function_unless_said_otherwise() -> None:
    """As everywhere; and it is always part of the JSON form."""
    assert ToolCall(id="1").type == "function"
    assert from_json("{}", ToolCall) == ToolCall()
    assert to_json(ToolCall()) == b'{"id":"","type":"function","function":{}}'


def test_no_index_and_index_zero_differ() -> None:
    """0 places a piece of a streamed call, None says that the call is whole."""
    assert tool_call("f").index is None
    assert tool_call("f", index=0) != tool_call("f")


@pytest.mark.parametrize(
    ("build", "text"),
    [
        pytest.param(lambda: tool_call(5), "name of a tool call must be a string, got 5", id="name"),
        pytest.param(lambda: tool_call("f", index=True), "index of tool call 'f' must be .* got True", id="index"),
        pytest.param(lambda: tool_call("f", index="0"), "index of tool call 'f' must be .* got '0'", id="text index"),
        pytest.param(lambda: tool_call("f", [1]), r"must be JSON text or a mapping, got \[1\]", id="arguments"),
        pytest.param(lambda: tool_call("f", {"a": object()}), "have no JSON form.*pass JSON text", id="no JSON"),
    ],
)
def test_wrong_calls_are_refused(build: Any, text: str) -> None:
    """The error names the call."""
    with pytest.raises(TypeError, match=text):
        build()


def test_tool_without_input_has_no_parameters() -> None:
    """None is not an empty set of parameters."""
    assert ToolInfo(name="ping").parameters is None
    assert ToolInfo(name="ping", has_params_one_of=True).parameters == {
        "type": "object",
        "properties": {},
        "required": [],
    }


def test_named_parameters_become_a_sorted_schema() -> None:
    """Properties and required keys are sorted at every level; elements and members are described in turn."""
    info = ToolInfo(
        name="search",
        params={
            "q": ParameterInfo(type="string", desc="What", required=True),
            "filter": ParameterInfo(
                type="object",
                required=True,
                sub_params={
                    "b": ParameterInfo(type="integer"),
                    "a": ParameterInfo(type="string", enum=("x", "y"), required=True),
                },
            ),
            "tags": ParameterInfo(type="array", elem_info=ParameterInfo(type="string")),
        },
    )

    assert info.has_params_one_of
    assert info.parameters == {
        "type": "object",
        "properties": {
            "filter": {
                "type": "object",
                "properties": {"a": {"type": "string", "enum": ["x", "y"]}, "b": {"type": "integer"}},
                "required": ["a"],
            },
            "q": {"type": "string", "description": "What"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["filter", "q"],
    }
    assert list(info.parameters["properties"]) == ["filter", "q", "tags"]


def test_schema_is_given_back_as_it_is() -> None:
    """A JSON schema is not rewritten."""
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}

    info = ToolInfo(name="t", json_schema=schema)

    assert info.parameters is schema
    assert info.has_params_one_of


def test_both_forms_of_parameters_are_refused() -> None:
    """There must be one truth; also when read from JSON."""
    with pytest.raises(ValueError, match="tool 't' has both params and json_schema"):
        ToolInfo(name="t", params={"a": ParameterInfo(type="string")}, json_schema={})
    with pytest.raises(CodecError, match="has both params and json_schema"):
        from_json('{"name":"t","json_schema":{},"params":{"a":{"Type":"string"}}}', ToolInfo)


def test_unknown_parameter_type_is_refused_when_read() -> None:
    """The path leads to the parameter."""
    with pytest.raises(CodecError, match=r"Invalid enum value 'text' - at `\$.params\[...\].Type`"):
        from_json('{"name":"t","params":{"a":{"Type":"text"}}}', ToolInfo)


def test_argument_is_text() -> None:
    """A tool that wants the whole call gets it unparsed."""
    assert ToolArgument(text="{}").text == "{}"
