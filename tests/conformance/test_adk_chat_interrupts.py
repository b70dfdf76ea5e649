"""Interrupts of the chat agent (rows A16, A19, A20 of `agents-scenarios.md`): tools and hooks that ask."""

from __future__ import annotations

from typing import Any

from eino import MemoryStore, Message, current_context, interrupt, tool, user_message
from eino.adk import AgentSetup, ChatAgentOptions, Middleware, ModelTurn, Runner
from eino_fixtures import ScriptedChatModel, fake_tool
from tests.conformance.adk_chat_agents import NOW, STREAMING, agent_of, call, text_of


@STREAMING
async def test_a16_a_tool_asks_and_the_turn_goes_on(streaming: bool) -> None:
    """A16: the address names agent and tool; resumed, the tool's event and the answer follow, with the same history."""

    @tool
    async def tool1() -> str:
        """Ask."""
        return str(interrupt("what now?"))

    model = ScriptedChatModel([[call("tool1")], "completed"])
    runner = Runner(
        agent_of(model, tools=[tool1], instruction="sys"), checkpoint_store=MemoryStore(), streaming=streaming
    )
    async with runner.query("hi", checkpoint_id="1") as events:
        first = [event async for event in events]
    assert [each.action is not None for each in first] == [False, True]
    assert first[-1].action is not None
    stop = first[-1].action.interrupted
    assert stop is not None
    assert [each.address_text for each in stop.contexts] == ["agent:helper;tool:tool1:1"]

    async with runner.resume("1", {stop.contexts[0].id: "tool resume result"}) as events:
        assert [await text_of(event) async for event in events] == [
            "tool: tool resume result",
            "assistant: completed",
        ]
        assert (await events.answer()).content == "completed"
    assert [each.role for each in model.calls[1].messages] == ["system", "user", "assistant", "tool"]


async def test_a16_the_history_may_be_edited_when_a_turn_goes_on() -> None:
    """A16: the model's second call sees the changed message; other runs do not."""

    @tool
    async def tool1() -> str:
        """Ask."""
        return str(interrupt("what now?"))

    def edit(messages: list[Message]) -> list[Message]:
        return [*messages[:2], messages[2].replace(content="new user message"), *messages[3:]]

    model = ScriptedChatModel([[call("tool1")], "completed"])
    runner = Runner(agent_of(model, tools=[tool1], instruction="sys"), checkpoint_store=MemoryStore())
    async with runner.query("hi", checkpoint_id="1") as events:
        last = [event async for event in events][-1]
    assert last.action is not None
    assert last.action.interrupted is not None
    targets = {last.action.interrupted.contexts[0].id: "result"}
    options = {"helper": ChatAgentOptions(edit_history=edit)}
    async with runner.resume("1", targets, agent_options=options) as events:
        assert (await events.answer()).content == "completed"
    asked = model.calls[1].messages
    assert len(asked) == 4
    assert asked[2].content == "new user message"
    assert asked[2].tool_calls


async def test_a19_two_tools_ask_at_once() -> None:
    """A19: one is answered, its result is kept, the other asks again; then both are there and the model is asked."""

    def asking(name: str) -> Any:
        @tool(name=name)
        async def ask() -> str:
            """Ask."""
            count = current_context().interrupt_state or 0
            return f"{name}: {interrupt(f'interrupt from {name}', state=count + 1)}"

        return ask

    calls = [call("toolA", "1"), call("toolB", "2")]
    model = ScriptedChatModel([calls, calls, "all done"])
    runner = Runner(agent_of(model, tools=[asking("toolA"), asking("toolB")]), checkpoint_store=MemoryStore())

    async def told(opened: Any) -> tuple[list[str], dict[str, str]]:
        async with opened as events:
            found = [event async for event in events]
        stops = [event.action.interrupted for event in found if event.action is not None and event.action.interrupted]
        said = [await text_of(event) for event in found if event.message is not None]
        return said, {context.info: context.id for stop in stops for context in stop.contexts}

    said, asked = await told(runner.query("hi", checkpoint_id="1"))
    assert len(said) == 1
    assert sorted(asked) == ["interrupt from toolA", "interrupt from toolB"]

    said, again = await told(runner.resume("1", {asked["interrupt from toolA"]: "yes"}))
    assert said == ["tool: toolA: yes"]
    assert list(again) == ["interrupt from toolB"]

    said, fresh = await told(runner.resume("1", {again["interrupt from toolB"]: "no"}))
    assert said[0] == "tool: toolB: no"
    assert len(said) == 2
    assert sorted(fresh) == ["interrupt from toolA", "interrupt from toolB"]
    assert [each.content for each in model.calls[1].messages[-2:]] == ["toolA: yes", "toolB: no"]
    assert set(fresh.values()).isdisjoint(asked.values())


async def test_a20_a_direct_result_waits_for_the_interrupt_of_another_tool() -> None:
    """A20: its event comes when the turn goes on; the tools that a middleware brought are there before and after."""

    @tool
    async def ask() -> str:
        """Ask."""
        return str(interrupt("?"))

    class Brings(Middleware):
        async def before_agent(self, setup: AgentSetup) -> AgentSetup:
            return setup.replace(tools=(*setup.tools, fake_tool("dynamic")))

    direct = fake_tool("direct", returns="the answer")
    model = ScriptedChatModel([[call("direct", "1"), call("ask", "2"), call("dynamic", "3")]])
    agent = agent_of(model, tools=[direct, ask], return_directly=["direct"], middlewares=[Brings()])
    runner = Runner(agent, checkpoint_store=MemoryStore())
    async with runner.query("hi", checkpoint_id="1") as events:
        first = [event async for event in events]
    assert [await text_of(event) for event in first[:-1]][1:] == ["tool: ok"]
    assert first[-1].action is not None
    assert first[-1].action.interrupted is not None
    async with runner.resume("1", {first[-1].action.interrupted.contexts[0].id: "yes"}) as events:
        assert [await text_of(event) async for event in events] == ["tool: yes", "tool: the answer"]
    assert len(direct.calls) == 1
    assert "dynamic" in [info.name for info in model.calls[0].options.offered_tools]


async def test_an_interrupt_in_the_model_is_no_failure() -> None:
    """A hook may ask: no retry and no stand-in answers it, and the model is asked once more when it goes on."""

    class Asks(Middleware):
        async def before_model(self, turn: ModelTurn) -> ModelTurn:
            return turn.replace(messages=(*turn.messages, user_message(interrupt("go on?"))))

    model = ScriptedChatModel(["fine"])
    agent = agent_of(model, retry=NOW, failover=[ScriptedChatModel([])], middlewares=[Asks()])
    runner = Runner(agent, checkpoint_store=MemoryStore(), streaming=True)
    async with runner.query("hi", checkpoint_id="1") as events:
        stop = [event async for event in events][-1]
    assert stop.action is not None
    assert stop.action.interrupted is not None
    async with runner.resume("1", {stop.action.interrupted.contexts[0].id: "sure"}) as events:
        assert [await text_of(event) async for event in events] == ["assistant: fine"]
    assert [each.content for each in model.calls[0].messages] == ["hi", "sure"]
