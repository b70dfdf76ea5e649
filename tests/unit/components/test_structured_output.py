"""Values of a type from a chat model: by tool, by response format, with repairs, refusals and cut answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from eino import (
    BuildError,
    Chain,
    ContentFilterError,
    Message,
    MessageParseError,
    ModelOptions,
    RefusalError,
    ResponseMeta,
    StructuredOutput,
    assistant_message,
    tool_call,
    user_message,
)
from eino.components import object_schema
from eino_fixtures import ScriptedChatModel

HI = [user_message("How is the weather in Paris?")]


class Weather(pydantic.BaseModel):
    """The weather in a city."""

    city: str
    celsius: int


@dataclass
class Point:
    x: int


PARIS = Weather(city="Paris", celsius=21)
FORMAT = {"type": "json_object"}


def answered(arguments: dict[str, Any], name: str = "Weather") -> Message:
    return assistant_message("", [tool_call(name, arguments, id="1")])


async def test_a_model_is_made_to_call_a_tool_with_the_value() -> None:
    model = ScriptedChatModel([answered({"city": "Paris", "celsius": 21})])

    assert await StructuredOutput(model, Weather).invoke(HI, ModelOptions(temperature=0.0)) == PARIS

    (call,) = model.calls
    (tool,) = call.options.offered_tools
    assert (tool.name, tool.description) == ("Weather", "The weather in a city.")
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["city", "celsius"]
    assert (call.options.tool_choice, call.options.allowed_tools) == ("forced", ("Weather",))
    assert call.options.temperature == 0.0


async def test_a_model_that_answers_in_json_is_asked_to() -> None:
    model = ScriptedChatModel(['{"city": "Paris", "celsius": 21}'])

    assert await StructuredOutput(model, Weather, response_format=FORMAT).invoke(HI) == PARIS
    assert model.calls[0].options == ModelOptions(response_format=FORMAT)


@pytest.mark.parametrize(
    ("target", "text", "value"),
    [
        (Point, '{"x": 3}', Point(3)),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (int, '{"value": 7}', 7),
        (dict[str, int], '{"value": {"a": 1}}', {"a": 1}),
    ],
)
async def test_any_type_that_json_knows_will_do(target: Any, text: str, value: object) -> None:
    model = ScriptedChatModel([text])

    assert await StructuredOutput(model, target, response_format=FORMAT).invoke(HI) == value


def test_recursive_types_keep_their_definitions() -> None:
    schema, key = object_schema(list[Tree])

    assert key == "value"
    assert "Tree" in schema["$defs"]


class Tree(pydantic.BaseModel):
    kids: list[Tree] = []


async def test_what_does_not_validate_goes_back_to_the_model() -> None:
    model = ScriptedChatModel([answered({"city": "Paris"}), answered({"city": "Paris", "celsius": 21})])

    assert await StructuredOutput(model, Weather).invoke(HI) == PARIS

    first, wrong, complaint = model.calls[1].messages
    assert first == HI[0]
    assert wrong.tool_calls[0].id == complaint.tool_call_id == "1"
    assert "celsius" in complaint.content


async def test_a_text_that_is_no_json_is_corrected_in_words() -> None:
    model = ScriptedChatModel(["It is 21 degrees.", '{"city": "Paris", "celsius": 21}'])

    assert await StructuredOutput(model, Weather, response_format=FORMAT).invoke(HI) == PARIS
    assert [message.role for message in model.calls[1].messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize("repairs", [0, 2])
async def test_after_all_repairs_the_error_has_the_answer(repairs: int) -> None:
    model = ScriptedChatModel([answered({"city": "Paris"})] * (repairs + 1))

    with pytest.raises(MessageParseError, match="celsius") as caught:
        await StructuredOutput(model, Weather, repairs=repairs).invoke(HI)

    assert '"Paris"' in caught.value.__notes__[0]
    model.assert_complete()


async def test_an_answer_that_was_cut_off_is_not_repaired() -> None:
    cut = Message(role="assistant", content='{"city": "Par', response_meta=ResponseMeta(finish_reason="length"))

    with pytest.raises(MessageParseError) as caught:
        await StructuredOutput(ScriptedChatModel([cut]), Weather, response_format=FORMAT).invoke(HI)
    assert "it was cut off: raise max_tokens" in caught.value.__notes__[0]


async def test_a_refusal_is_an_error_of_its_own() -> None:
    answer = Message(role="assistant", content="", extra={"why": "I will not."})
    structured = StructuredOutput(
        ScriptedChatModel([answer]), Weather, refusal_of=lambda message: message.extra.get("why")
    )

    with pytest.raises(RefusalError, match="the model refuses to answer: I will not") as caught:
        await structured.invoke(HI)
    assert caught.value.message == answer


async def test_an_answer_cut_by_a_filter_is_an_error_of_its_own() -> None:
    cut = Message(role="assistant", content='{"city', response_meta=ResponseMeta(finish_reason="content_filter"))

    with pytest.raises(ContentFilterError):
        await StructuredOutput(ScriptedChatModel([cut]), Weather).invoke(HI)


async def test_it_is_a_node_of_a_graph() -> None:
    structured = StructuredOutput(ScriptedChatModel([answered({"city": "Paris", "celsius": 21})]), Weather)
    chain = Chain[list[Message], Weather]().append_lambda(structured.invoke)

    assert await chain.compile().invoke(HI) == PARIS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StructuredOutput(ScriptedChatModel([]), Weather, repairs=-1), "repairs=-1"),
        (lambda: StructuredOutput(ScriptedChatModel([]), ScriptedChatModel), "ScriptedChatModel"),
    ],
)
def test_what_cannot_work_is_refused_when_built(make: Any, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        make()
