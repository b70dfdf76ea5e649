"""Structured output of the OpenAI model: the schema that is sent, refusals, audio and log probabilities that come."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any, Literal

import pydantic
import pytest

from eino.errors import BuildError, RefusalError
from eino.ext.models.openai import REFUSAL, OpenAIChatModel, response_format
from eino.schema import AudioPart, Message, concat_messages, user_message
from eino_fixtures import ProviderServer, RawAnswer

HI = [user_message("hi")]


class Colour(enum.Enum):
    RED = "red"


class Inner(pydantic.BaseModel):
    n: int = pydantic.Field(default=3, ge=1)


class Everything(pydantic.BaseModel):
    """All that strict schemas can say."""

    name: str
    inner: Inner | None = None
    items: list[Inner] = []
    colour: Colour
    kind: Literal["a", "b"] = "a"


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Owner(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


class Tree(pydantic.BaseModel):
    kids: list[Tree] = []


class Free(pydantic.BaseModel):
    tags: dict[str, int] = {}


class Loose(pydantic.BaseModel):
    thing: Any


def objects(schema: Any) -> list[dict[str, Any]]:
    """Return every object schema inside `schema`."""
    if isinstance(schema, list):
        return [found for part in schema for found in objects(part)]
    if not isinstance(schema, dict):
        return []
    inner = [found for part in schema.values() for found in objects(part)]
    return ([schema] if schema.get("type") == "object" else []) + inner


@pytest.mark.parametrize("of", [Everything, Owner, Tree, list[Inner], int])
def test_strict_schemas_require_every_field_and_allow_no_other(of: Any) -> None:
    made = response_format(of)

    assert made["type"] == "json_schema"
    assert made["json_schema"]["strict"] is True
    schema = made["json_schema"]["schema"]
    for each in objects(schema):
        assert each["required"] == list(each["properties"])
        assert each["additionalProperties"] is False
    text = json.dumps(schema)
    assert '"default"' not in text
    assert "oneOf" not in text
    assert "discriminator" not in text


def test_the_schema_is_named_and_described_by_the_type() -> None:
    made = response_format(Everything)["json_schema"]

    assert (made["name"], made["description"]) == ("Everything", "All that strict schemas can say.")
    assert response_format(list[int], name="numbers")["json_schema"]["name"] == "numbers"


@pytest.mark.parametrize(("of", "why"), [(Free, "free keys"), (Loose, "anything is allowed at")])
def test_a_type_that_cannot_be_strict_is_not_unless_it_must(of: Any, why: str) -> None:
    assert response_format(of)["json_schema"]["strict"] is False
    assert response_format(of, strict=False)["json_schema"]["strict"] is False
    with pytest.raises(BuildError, match=f"has no strict JSON schema: .*{why}.*give strict=False"):
        response_format(of, strict=True)


async def test_a_model_gives_values_of_a_type() -> None:
    with ProviderServer(['{"n": "three"}', '{"n": 3}']) as server:
        async with OpenAIChatModel(model="m", api_key="k", base_url=server.openai_url) as model:
            assert await model.with_structured_output(Inner).invoke(HI) == Inner(n=3)

    asked = [request.json for request in server.requests]
    assert asked[0]["response_format"] == response_format(Inner)
    assert len(asked[1]["messages"]) == 3


async def test_a_refusal_is_raised() -> None:
    refusal = Message(role="assistant", content="", extra={REFUSAL: "I will not say that."})
    with ProviderServer([refusal]) as server:
        async with OpenAIChatModel(model="m", api_key="k", base_url=server.openai_url) as model:
            with pytest.raises(RefusalError, match="I will not say that"):
                await model.with_structured_output(Inner).invoke(HI)


def event(**choice: Any) -> bytes:
    return b"data: " + json.dumps({"id": "c", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


async def test_streamed_audio_is_joined_with_its_transcript() -> None:
    body = b"".join(
        [
            event(delta={"role": "assistant", "audio": {"id": "audio_1", "transcript": "Hel"}}),
            event(delta={"audio": {"id": "audio_1", "data": "QUJD"}}),
            event(delta={"audio": {"id": "audio_1", "transcript": "lo"}}),
            event(delta={"audio": {"id": "audio_1", "data": "REVG"}}),
            event(delta={}, finish_reason="stop"),
            b"data: [DONE]\n\n",
        ]
    )
    with ProviderServer([RawAnswer(body, content_type="text/event-stream")]) as server:
        model = OpenAIChatModel(
            model="gpt-4o-audio-preview",
            api_key="k",
            base_url=server.openai_url,
            extra_fields={"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}},
        )
        async with model:
            answer = concat_messages([chunk async for chunk in model.stream(HI)])

    assert server.requests[0].json["modalities"] == ["text", "audio"]
    (part,) = answer.assistant_parts
    assert isinstance(part, AudioPart)
    assert part.audio.base64_data == "QUJDREVG"
    assert part.extra == {"id": "audio_1", "transcript": "Hello"}
