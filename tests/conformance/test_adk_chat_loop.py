"""The loop of the chat agent (rows A28 and A32 of `agents-scenarios.md`, and beside them): events, answer, limits, end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eino import ComponentError, Handler, Message, RunInfo, assistant_message, user_message
from eino.adk import AgentEvent, MaxIterationsError, Middleware, Runner, message_id, session_value
from eino.errors import InvalidResponseError
from eino_fixtures import ScriptedChatModel, fake_tool
from tests.conformance.adk_chat_agents import STREAMING, agent_of, call, cause_of, events_of, text_of, texts_of


@STREAMING
async def test_each_message_is_an_event(streaming: bool) -> None:
    """The model's messages and the tools' results, in order; the last is the answer, kept under the output key."""
    model = ScriptedChatModel([[call("add", a=1)], "it is three"])
    agent = agent_of(model, tools=[fake_tool("add", returns="3")], instruction="Be brief.")

    assert await texts_of(agent, streaming=streaming) == [
        'assistant:  add{"a":1}',
        "tool: 3",
        "assistant: it is three",
    ]
    asked = model.calls[1].messages
    assert [each.role for each in asked] == ["system", "user", "assistant", "tool"]
    assert [info.name for info in model.calls[1].options.offered_tools] == ["add"]


@STREAMING
async def test_the_output_key_gets_the_answer(streaming: bool) -> None:
    """Also when a tool gave it; nothing without an answer."""
    seen: list[Any] = []

    class Look(Middleware):
        async def after_agent(self, messages: tuple[Message, ...]) -> None:
            seen.append(session_value("out"))

    agent = agent_of(ScriptedChatModel(["hello you"]), output_key="out", middlewares=[Look()])
    async with Runner(agent, streaming=streaming).query("hi") as events:
        assert (await events.answer()).content == "hello you"
        lane = events._pump.lane
    assert lane is not None
    assert lane.values["out"][1] == "hello you"
    assert seen == [None]

    direct = agent_of(
        ScriptedChatModel([[call("t")]]),
        tools=[fake_tool("t", returns="done")],
        return_directly=["t"],
        output_key="out",
    )
    async with Runner(direct, streaming=streaming).query("hi") as events:
        assert (await events.answer()).content == "done"
        assert events._pump.lane is not None
        assert events._pump.lane.values["out"][1] == "done"


async def test_a28_the_result_that_is_the_answer_is_the_last_event() -> None:
    """A28: three tools of one message, the first returns directly and is the fastest: its event still comes last."""
    tools = [fake_tool(f"tool{n}", returns=f"result {n}", delay_s=d) for n, d in ((1, 0.001), (2, 0.01), (3, 0.1))]
    model = ScriptedChatModel([[call("tool1", "a"), call("tool2", "b"), call("tool3", "c")]])

    found = await texts_of(agent_of(model, tools=tools, return_directly=["tool1"]))

    assert found[1:] == ["tool: result 2", "tool: result 3", "tool: result 1"]
    assert len(found) == 4


async def test_of_several_direct_results_the_last_in_order_is_the_answer() -> None:
    """The others are events all the same."""
    tools = [fake_tool("a", returns="A"), fake_tool("b", returns="B")]
    model = ScriptedChatModel([[call("b", "1"), call("a", "2")]])
    agent = agent_of(model, tools=tools, return_directly={"a", "b"})
    assert (await texts_of(agent))[1:] == ["tool: B", "tool: A"]


async def test_a32_iterations_are_limited() -> None:
    """A32: five calls of a tool and an answer need six answers of the model; with five it is an error."""

    def model() -> ScriptedChatModel:
        return ScriptedChatModel([*([call("t", str(n))] for n in range(5)), "bye"])

    tools = [fake_tool("t")]
    assert (await texts_of(agent_of(model(), tools=tools, max_iterations=6)))[-1] == "assistant: bye"

    found = await events_of(agent_of(model(), tools=tools, max_iterations=5))
    assert isinstance(found[-1].error, MaxIterationsError)
    assert "exceeds max iterations" in str(found[-1].error)
    assert "run path: helper" in str(found[-1].error)
    assert len(found) == 11


@STREAMING
async def test_message_ids(streaming: bool) -> None:
    """Every message that the agent makes has an id; event and stored message share it. Nothing that is shared changes."""
    answer = assistant_message("", [call("t", "1"), call("u", "2")])
    model = ScriptedChatModel([answer, "bye now"])
    found = await events_of(agent_of(model, tools=[fake_tool("t"), fake_tool("u")]), streaming=streaming)

    ids = [message_id(await event.message.get()) for event in found if event.message is not None]
    stored = [message_id(message) for message in model.calls[1].messages]
    assert stored[0] is None  # the user's
    assert sorted(map(str, stored[1:])) == sorted(map(str, ids[:3]))
    assert len({*ids}) == 4
    assert all(each is not None and len(each) == 32 for each in ids)
    assert message_id(answer) is None


@STREAMING
async def test_a_model_that_fails_or_says_nothing(streaming: bool) -> None:
    """A clear error event; events before it stay."""
    failed = await events_of(agent_of(ScriptedChatModel([ComponentError("down")])), streaming=streaming)
    assert isinstance(cause_of(failed[-1].error or ValueError()), ComponentError)

    class Mute:
        async def generate(self, messages: Any, options: Any = None) -> Any:
            return None

        async def stream(self, messages: Any, options: Any = None) -> Any:
            for nothing in list[Message]():
                yield nothing

    mute: Any = Mute()
    found = await events_of(agent_of(mute), streaming=streaming)
    assert len(found) == 1
    assert isinstance(cause_of(found[0].error or ValueError()), InvalidResponseError)


async def test_callbacks_hear_the_agent_its_model_and_its_tools() -> None:
    """Once a turn, a call and a tool; in stream runs the model's stream."""
    heard: list[str] = []

    class Hears(Handler):
        def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - the handler's word
            heard.append(f"{info.component}:{info.type}:{info.name}")

        def on_end_stream_output(self, info: RunInfo, reader: Any) -> None:
            heard.append(f"stream of {info.component}")
            reader.close()

    def model() -> ScriptedChatModel:
        return ScriptedChatModel([[call("t")], "bye"])

    await events_of(agent_of(model(), tools=[fake_tool("t")]), callbacks=[Hears()])
    assert heard.count("Agent:ChatModel:helper") == 1
    assert heard.count("ChatModel:ScriptedChatModel:model") == 2
    assert heard.count("Tool:FakeTool:t") == 1
    assert heard.count("ToolsNode:ToolsStage:tools") == 1

    heard.clear()
    await events_of(agent_of(model(), tools=[fake_tool("t")]), streaming=True, callbacks=[Hears()])
    assert heard.count("stream of ChatModel") == 2


async def test_closing_the_events_cancels_the_model() -> None:
    """Nothing is left of a stream in the middle; what had come can be read, and its end says why it is short."""
    model = ScriptedChatModel(["a b c d e f"], delay_s=1.0)
    async with Runner(agent_of(model), streaming=True).query("hi") as events:
        event = await anext(aiter(events))
        assert event.message is not None
        reader = event.message.stream()
        assert (await reader.recv()).content == "a"
    rest: list[str] = []
    with pytest.raises(Exception, match=r"cancelled|stopped|closed"):
        while True:
            rest.append((await reader.recv()).content)
    await reader.aclose()
    assert model.calls[0].chunks < 6


async def test_an_agent_runs_inside_a_custom_agent_and_alone() -> None:
    """`run()` yields the same events."""
    from eino.adk import AgentInput, agent

    inner = agent_of(ScriptedChatModel(["inner says hi", "alone", ComponentError("down")]))

    @agent(description="Forwards.")
    async def outer(given: AgentInput) -> AsyncIterator[AgentEvent]:
        async for event in inner.run(given):
            yield event

    assert (await texts_of(outer))[0] == "assistant: inner says hi"
    given = AgentInput(messages=(user_message("hi"),))
    assert [await text_of(event) async for event in inner.run(given)] == ["assistant: alone"]
    assert [await text_of(event) async for event in inner.run(given)] == ["error: ComponentError"]
