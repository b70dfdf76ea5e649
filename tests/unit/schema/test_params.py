"""JSON schemas of tool parameters, from every source."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired

import msgspec
import pydantic
import pytest
from pydantic import Field
from typing_extensions import TypedDict

from eino.errors import BuildError
from eino.schema import (
    Message,
    ParameterInfo,
    ToolInfo,
    params_from_dict,
    params_from_model,
    params_from_signature,
    params_schema,
)
from eino.schema._json_schema import plain_schema


class Address(pydantic.BaseModel):
    """Where somebody lives."""

    street: str = Field(description="Street and number.")
    zip_code: str | None = None


class Person(pydantic.BaseModel):
    name: str
    home: Address
    work: Address = Field(description="Office.")
    born: dt.date | None = None
    tags: list[str] = []
    scores: dict[str, int] = {}


class Node(pydantic.BaseModel):
    value: int
    children: list[Node] = []


class Left(pydantic.BaseModel):
    right: Right | None = None


class Right(pydantic.BaseModel):
    left: Left | None = None


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Data:
    x: int
    y: float = 1.0


class Typed(TypedDict):
    a: int
    b: NotRequired[str]


class Struct(msgspec.Struct):
    a: int
    b: list[str] = []


class Handle:
    pass


class HandleStruct(msgspec.Struct):
    handle: Handle


class Open(pydantic.BaseModel, extra="allow"):
    a: int


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": list(required)} if required else {})


ADDRESS = closed(
    {
        "street": {"type": "string", "description": "Street and number."},
        "zip_code": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    },
    "street",
)


def test_references_of_a_model_are_inlined_titles_dropped_and_objects_closed() -> None:
    schema = params_from_model(Person)

    assert schema == closed(
        {
            "name": {"type": "string"},
            "home": {**ADDRESS, "description": "Where somebody lives."},
            "work": {**ADDRESS, "description": "Office."},
            "born": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
            "tags": {"type": "array", "items": {"type": "string"}, "default": []},
            "scores": {"type": "object", "additionalProperties": {"type": "integer"}, "default": {}},
        },
        "name",
        "home",
        "work",
    )
    assert "$ref" not in json.dumps(schema)


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (Data, closed({"x": {"type": "integer"}, "y": {"type": "number", "default": 1.0}}, "x")),
        (Typed, closed({"a": {"type": "integer"}, "b": {"type": "string"}}, "a")),
        (
            Struct,
            closed({"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}, "default": []}}, "a"),
        ),
        (Open, {**closed({"a": {"type": "integer"}}, "a"), "additionalProperties": True}),
    ],
)
def test_all_kinds_of_records_are_models(model: type, schema: dict[str, Any]) -> None:
    assert params_from_model(model) == schema


def test_a_type_that_contains_itself_keeps_the_one_reference() -> None:
    node = closed(
        {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}, "default": []},
        },
        "value",
    )

    assert params_from_model(Node) == {**node, "$defs": {"Node": node}}


def test_types_that_contain_each_other_keep_what_is_needed() -> None:
    schema = params_from_model(Left)

    assert sorted(schema["$defs"]) == ["Left"]
    assert schema["properties"]["right"]["anyOf"][0]["properties"]["left"]["anyOf"][0] == {"$ref": "#/$defs/Left"}


def test_alternatives_lose_their_discriminator() -> None:
    def feed(animal: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

    animal = params_from_signature(feed)["properties"]["animal"]

    assert "discriminator" not in animal
    assert [each["properties"]["kind"]["const"] for each in animal["oneOf"]] == ["cat", "dog"]


@pytest.mark.parametrize("model", [str, list[int], Colour])
def test_what_is_no_object_is_no_model_of_parameters(model: type) -> None:
    with pytest.raises(BuildError, match="the parameters of a tool are an object, but"):
        params_from_model(model)


def test_a_type_without_a_schema_is_named() -> None:
    with pytest.raises(BuildError, match=r"Handle.* cannot be read from JSON"):
        params_from_model(Handle)
    with pytest.raises(BuildError, match=r"Struct.* has no JSON schema"):
        params_from_model(HandleStruct)


def test_a_signature_gives_one_property_for_each_parameter() -> None:
    def search(
        *,
        query: str,
        limit: Annotated[int, Field(ge=1, description="Most results.")] = 10,
        colour: Colour = Colour.RED,
        unit: Literal["C", "F"] = "C",
        anything=None,  # type: ignore[no-untyped-def]
        schema: bytes = b"",
        _hidden: float = Field(default=0.5, description="Kept."),
    ) -> None: ...

    assert params_from_signature(search) == closed(
        {
            "query": {"type": "string"},
            "limit": {"type": "integer", "minimum": 1, "description": "Most results.", "default": 10},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
            "anything": {"default": None},
            "schema": {"type": "string", "format": "binary", "default": ""},
            "_hidden": {"type": "number", "description": "Kept.", "default": 0.5},
        },
        "query",
    )


def test_excluded_parameters_are_not_described() -> None:
    def search(query: str, client: object) -> None: ...

    assert params_from_signature(search, exclude=["client"]) == closed({"query": {"type": "string"}}, "query")


def test_a_default_that_json_cannot_express_is_left_out() -> None:
    def wait(until: Any = functools.partial) -> None: ...

    assert params_from_signature(wait) == closed({"until": {}})


def test_keywords_make_an_open_object() -> None:
    def call(a: int, **more: Any) -> None: ...

    assert params_from_signature(call)["additionalProperties"] is True


def test_what_cannot_be_described_is_named() -> None:
    def positional(*names: str) -> None: ...

    def unresolved(x: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def handle(x: Handle) -> None: ...

    with pytest.raises(BuildError, match=r"\*names of .* cannot be described"):
        params_from_signature(positional)
    with pytest.raises(BuildError, match="cannot be resolved: name 'NoSuchName' is not defined"):
        params_from_signature(unresolved)
    with pytest.raises(BuildError, match=r"the parameters of .*handle.* cannot be read from JSON"):
        params_from_signature(handle)
    with pytest.raises(BuildError, match="does not say what it takes"):
        params_from_signature(dict)


def test_types_without_a_json_schema_are_named() -> None:
    def callback(function: Callable[[], int]) -> None: ...

    with pytest.raises(BuildError, match=r"the parameters of .*callback.* have no JSON schema"):
        params_from_signature(callback)


def test_named_parameters_are_sorted() -> None:
    """core-semantics 1.5: property keys sorted, the required ones in that order, recursion into both kinds."""
    params = {
        "b": ParameterInfo(type="string", desc="B", enum=("x", "y"), required=True),
        "a": ParameterInfo(
            type="object",
            required=True,
            sub_params={"d": ParameterInfo(type="integer"), "c": ParameterInfo(type="number", required=True)},
        ),
        "e": ParameterInfo(type="array", elem_info=ParameterInfo(type="boolean")),
    }

    schema = params_from_dict(params)

    assert list(schema["properties"]) == ["a", "b", "e"]
    assert schema["required"] == ["a", "b"]
    assert schema["properties"]["b"] == {"type": "string", "description": "B", "enum": ["x", "y"]}
    assert list(schema["properties"]["a"]["properties"]) == ["c", "d"]
    assert schema["properties"]["a"]["required"] == ["c"]
    assert schema["properties"]["e"]["items"] == {"type": "boolean"}
    assert schema == ToolInfo(name="t", params=params).parameters


def test_no_named_parameters_are_an_empty_object() -> None:
    assert params_from_dict({}) == {"type": "object", "properties": {}, "required": []}


def test_a_named_parameter_must_be_described() -> None:
    with pytest.raises(BuildError, match="parameter 'a' must be a ParameterInfo, got 'string'"):
        params_from_dict({"a": "string"})  # type: ignore[dict-item]


def test_parameters_come_in_three_forms() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}

    assert params_schema(Data) == params_from_model(Data)
    assert params_schema({"a": ParameterInfo(type="string")}) == params_from_dict({"a": ParameterInfo(type="string")})
    assert params_schema({}) == params_from_dict({})
    assert params_schema(schema) == schema
    with pytest.raises(BuildError, match="parameters must be a type, named ParameterInfo or a JSON schema, got 5"):
        params_schema(5)  # type: ignore[arg-type]


def test_schema_types_are_parameters_too() -> None:
    def keep(message: Message) -> None: ...

    message = params_from_signature(keep)["properties"]["message"]

    assert {"role", "content"} <= set(message["properties"])


def test_the_schema_that_is_made_plain_is_not_changed() -> None:
    schema = {
        "$defs": {"A": {"title": "A", "type": "object", "properties": {}}},
        "properties": {"a": {"$ref": "#/$defs/A"}},
    }
    before = json.dumps(schema)

    plain = plain_schema({**schema, "$schema": "x", "items": True, "allOf": [{"$ref": "#/elsewhere/B"}]})

    assert json.dumps(schema) == before
    assert plain["items"] is True
    assert plain["allOf"] == [{"$ref": "#/elsewhere/B"}]
    assert "$schema" not in plain
