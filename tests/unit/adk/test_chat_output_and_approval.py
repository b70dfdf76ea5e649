"""Typed answers of a chat agent, and tools that a person must approve."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from eino import (
    BuildError,
    ContentFilterError,
    MemoryStore,
    MessageParseError,
    ModelOptions,
    assistant_message,
    tool,
    tool_call,
    user_message,
)
from eino.adk import (
    AgentEvent,
    Approval,
    ApprovalRequest,
    ChatModelAgent,
    Runner,
    approval,
    ensure_message_id,
    message_id,
)
from eino.errors import StreamClosedError
from eino.schema import ResponseMeta, pipe
from eino_fixtures import ScriptedChatModel, fake_tool

STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["values", "streams"])


class Weather(BaseModel):
    """The weather in a place."""

    city: str
    degrees: int


GOOD = {"city": "Paris", "degrees": 21}
TEXT = '{"city":"Paris","degrees":21}'


def weather(**settings: Any) -> ChatModelAgent[Weather]:
    return ChatModelAgent(name="w", output_type=Weather, **settings)


def call(arguments: Any, id: str = "1") -> Any:  # noqa: A002 - as in tool_call
    return [tool_call("Weather", arguments, id=id)]


async def events_of(agent: Any, *, streaming: bool = False) -> list[AgentEvent]:
    async with Runner(agent, streaming=streaming).run([user_message("Paris?")]) as events:
        return [event async for event in events]


async def texts(found: Sequence[AgentEvent]) -> list[str]:
    return [(await each.message.get()).content for each in found if each.message is not None]


def cause_of(found: Sequence[AgentEvent]) -> Any:
    error = found[-1].error
    assert error is not None
    return error.__cause__ or error


# Typed answers


@STREAMING
async def test_the_answer_is_a_value(streaming: bool) -> None:
    """The model answers with a tool, whose arguments are the answer and the last event."""
    model = ScriptedChatModel([[tool_call("look", {}, id="0")], call(GOOD)])
    agent = weather(model=model, tools=[fake_tool("look")], output_key="w")
    async with Runner(agent, streaming=streaming).query("Paris?") as events:
        answer = await events.answer()
        found = [event async for event in events]
    value: Weather = agent.output_of(answer)
    assert value == Weather(city="Paris", degrees=21)
    assert (await texts(found))[-1] == TEXT
    offered = {info.name: info for info in model.calls[0].options.offered_tools}
    assert set(offered) == {"look", "Weather"}
    assert offered["Weather"].description == "The weather in a place."


@STREAMING
async def test_a_wrong_answer_is_corrected(streaming: bool) -> None:
    """The model reads what is wrong, as the result of its call; an answer as text is accepted if it is of the type."""
    model = ScriptedChatModel([call({"city": "Paris"}), call(GOOD)])
    assert (await texts(await events_of(weather(model=model), streaming=streaming)))[-1] == TEXT
    told = model.calls[1].messages[-1]
    assert told.role == "tool"
    assert "degrees" in told.content

    text = ScriptedChatModel([TEXT])
    assert await texts(await events_of(weather(model=text), streaming=streaming)) == [TEXT]

    prose = ScriptedChatModel(["It is warm.", call(GOOD)])
    assert (await texts(await events_of(weather(model=prose), streaming=streaming)))[-1] == TEXT
    assert "with the tool Weather" in prose.calls[1].messages[-1].content


async def test_corrections_have_a_limit() -> None:
    """Then the run fails with what the model had said; both for calls and for texts."""
    found = await events_of(weather(model=ScriptedChatModel([call({}, "1"), call({}, "2")])))
    assert isinstance(cause_of(found), MessageParseError)
    assert "after 1 corrections" in str(found[-1].error)

    found = await events_of(weather(model=ScriptedChatModel(["no", "no", "never"]), output_repairs=2))
    assert isinstance(cause_of(found), MessageParseError)
    assert "'never'" in str(found[-1].error)

    model = ScriptedChatModel([call({}, "1"), [tool_call("t", {}, id="2")], call(GOOD, "3")])
    found = await events_of(weather(model=model, tools=[fake_tool("t")]))
    assert (await texts(found))[-1] == TEXT  # other calls in between cost nothing


@STREAMING
async def test_answers_as_json_text(streaming: bool) -> None:
    """With a format of the provider's: no tool, the text is read and corrected."""
    model = ScriptedChatModel(["{}", TEXT])
    agent = weather(model=model, output_format={"type": "json_object"}, model_options=ModelOptions(temperature=0.0))
    found = await events_of(agent, streaming=streaming)
    assert await texts(found) == ["{}", TEXT]
    assert model.calls[0].options.response_format == {"type": "json_object"}
    assert model.calls[0].options.temperature == 0.0
    assert model.calls[0].options.offered_tools == ()
    assert "That cannot be read" in model.calls[1].messages[-1].content


@pytest.mark.parametrize(
    ("reason", "kind", "text"),
    [("content_filter", ContentFilterError, "content filter"), ("length", MessageParseError, "raise max_tokens")],
    ids=["filtered", "cut off"],
)
async def test_answers_that_asking_again_does_not_help(reason: str, kind: type[Exception], text: str) -> None:
    """They fail at once."""
    cut = assistant_message('{"city":').replace(response_meta=ResponseMeta(finish_reason=reason))
    found = await events_of(weather(model=ScriptedChatModel([cut]), output_format={}))
    assert isinstance(cause_of(found), kind)
    assert text in str(found[-1].error)


async def test_types_that_are_no_objects() -> None:
    """They are wrapped towards the model; the value is not."""
    model = ScriptedChatModel([[tool_call("numbers", {"value": [1, 2]}, id="1")]])
    agent = ChatModelAgent(name="n", model=model, output_type=list[int], output_name="numbers")
    async with Runner(agent).query("?") as events:
        assert agent.output_of(await events.answer()) == [1, 2]


async def test_of_an_answer_and_other_calls_in_one_message() -> None:
    """All are made; the answer is the last event."""
    other = fake_tool("t", returns="other")
    model = ScriptedChatModel([[*call(GOOD), tool_call("t", {}, id="2")]])
    found = await texts(await events_of(weather(model=model, tools=[other])))
    assert found[1:] == ["other", TEXT]
    assert len(other.calls) == 1


def test_settings_of_answers_are_checked() -> None:
    """Where the agent is built."""
    model = ScriptedChatModel([])
    with pytest.raises(BuildError, match="output_repairs=-1"):
        weather(model=model, output_repairs=-1)
    with pytest.raises(BuildError, match="output_name"):
        weather(model=model, tools=[fake_tool("Weather")])
    with pytest.raises(BuildError, match="no output_type"):
        ChatModelAgent(name="x", model=model).output_of(user_message("x"))


# Approval


@tool
async def send(to: str) -> str:
    """Send a mail."""
    return f"sent to {to}"


@tool
async def spell(word: str) -> AsyncIterator[str]:
    """Spell a word."""
    for letter in word:
        yield letter


async def asked(agent: Any, answer: Any, *, streaming: bool = False) -> tuple[Any, list[AgentEvent]]:
    """Run to the question, answer it, and return it with the events from then on."""
    runner = Runner(agent, checkpoint_store=MemoryStore(), streaming=streaming)
    async with runner.query("hi", checkpoint_id="1") as events:
        first = [event async for event in events]
    assert first[-1].action is not None
    stop = first[-1].action.interrupted
    assert stop is not None
    async with runner.resume("1", {stop.contexts[0].id: answer}) as events:
        found = [event async for event in events]
    return stop.contexts[0].info, found


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        pytest.param(Approval(approved=True), "sent to ann", id="approved"),
        pytest.param(True, "sent to ann", id="true"),
        pytest.param({"approved": True}, "sent to ann", id="mapping"),
        pytest.param(Approval(approved=True, arguments='{"to":"bob"}'), "sent to bob", id="edited"),
        pytest.param({"approved": True, "arguments": {"to": "bob"}}, "sent to bob", id="edited mapping"),
        pytest.param({"approved": False, "reason": "too late"}, "was not approved: too late.", id="refused"),
        pytest.param(False, "was not approved. It was not made", id="false"),
    ],
)
async def test_a_person_decides(answer: Any, result: str) -> None:
    """The tool runs, runs with other arguments, or the model reads that it may not."""
    model = ScriptedChatModel([[tool_call("send", {"to": "ann"}, id="7")], "ok"])
    agent: ChatModelAgent[str] = ChatModelAgent(name="a", model=model, tools=[approval(send)])
    question, found = await asked(agent, answer)
    assert question == ApprovalRequest(tool_name="send", arguments='{"to":"ann"}', call_id="7")
    assert result in (await texts(found))[0]
    assert (await texts(found))[-1] == "ok"
    assert model.calls[0].options.offered_tools == (send.info,)


@pytest.mark.parametrize("answer", ["yes", None, {"approved": "yes"}, {"approved": True, "other": 1}], ids=repr)
async def test_an_answer_that_is_none(answer: Any) -> None:
    """The error says what to answer."""
    model = ScriptedChatModel([[tool_call("send", {"to": "ann"}, id="7")]])
    _, found = await asked(ChatModelAgent(name="a", model=model, tools=[approval(send)]), answer)
    assert "resume with Approval(approved=..." in str(found[-1].error)


@STREAMING
@pytest.mark.parametrize("approved", [True, False], ids=["approved", "refused"])
async def test_streaming_tools_ask_before_the_first_piece(streaming: bool, approved: bool) -> None:
    """And stay streaming tools."""
    model = ScriptedChatModel([[tool_call("spell", {"word": "abc"}, id="7")], "ok"])
    agent: ChatModelAgent[str] = ChatModelAgent(name="a", model=model, tools=[approval(spell)])
    _, found = await asked(agent, approved, streaming=streaming)
    said = (await texts(found))[0]
    assert said == "abc" if approved else "was not approved" in said
    assert found[0].message is not None
    assert found[0].message.is_streaming == streaming


async def test_some_calls_need_no_approval() -> None:
    """`when` looks at the arguments."""
    guarded = approval(send, when=lambda arguments: "boss" in arguments)
    model = ScriptedChatModel([[tool_call("send", {"to": "ann"}, id="1")], "ok"])
    assert await texts(await events_of(ChatModelAgent(name="a", model=model, tools=[guarded]))) == [
        "", "sent to ann", "ok",
    ]  # fmt: skip
    assert "approval(" in repr(guarded)
    with pytest.raises(BuildError, match="function of the arguments"):
        approval(send, when="always")  # type: ignore[arg-type]  # the point
    with pytest.raises(BuildError, match="approval"):
        approval(print)  # type: ignore[arg-type]  # the point


# Beside


def test_ids_are_given_once() -> None:
    """A message that has one keeps it; two never share one."""
    one = ensure_message_id(user_message("x", extra={"k": 1}))
    assert one.extra["k"] == 1
    assert ensure_message_id(one) is one
    assert message_id(one) != message_id(ensure_message_id(user_message("x")))
    assert message_id(user_message("x", extra={"_eino_msg_id": 3})) is None


async def test_writing_without_waiting() -> None:
    """A full pipe takes more; a closed one refuses, and one whose reader has gone says so."""
    reader, writer = pipe(1)
    assert writer.send_nowait(1)
    assert writer.send_nowait(2)
    assert writer.send_error_nowait(ValueError("x"))
    with pytest.raises(TypeError, match="exception instance"):
        writer.send_error_nowait("x")  # type: ignore[arg-type]  # the point
    assert [await reader.recv(), await reader.recv()] == [1, 2]
    with pytest.raises(ValueError, match="x"):
        await reader.recv()
    await reader.aclose()
    assert not writer.send_nowait(3)
    writer.close()
    with pytest.raises(StreamClosedError):
        writer.send_nowait(4)


def test_typed_agents_show_themselves() -> None:
    """`repr` names the agent and its tools."""

    @dataclasses.dataclass
    class Sum:
        total: int

    agent = ChatModelAgent(name="s", model=ScriptedChatModel([]), output_type=Sum)
    assert repr(agent) == "ChatModelAgent('s', tools=['Sum'])"
