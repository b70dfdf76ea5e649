"""Tools of the chat agent (row A29 of `agents-scenarios.md`, and beside it): actions, failures, calls that name none."""

from __future__ import annotations

from collections.abc import AsyncIterator

from eino import tool, tool_call
from eino.adk import AgentAction, send_tool_action
from eino.compose.tools_node import ToolAliases
from eino.errors import ToolError
from eino_fixtures import ScriptedChatModel, fake_tool
from tests.conformance.adk_chat_agents import STREAMING, agent_of, call, cause_of, events_of, text_of, texts_of


async def test_a29_actions_go_with_their_own_call() -> None:
    """A29: two calls of one tool in one message, each event with its own action."""

    @tool
    async def mark(text: str) -> str:
        """Mark the event."""
        send_tool_action(AgentAction(custom=text))
        return f"marked {text}"

    model = ScriptedChatModel([[call("mark", "1", text="A"), call("mark", "2", text="B")], "ok"])
    found = await events_of(agent_of(model, tools=[mark]))

    actions = {await text_of(event): event.action.custom for event in found if event.action is not None}
    assert actions == {"tool: marked A": "A", "tool: marked B": "B"}


async def test_an_action_of_a_streaming_tool_is_an_event_of_its_own() -> None:
    """Its message was out before the tool had ended."""

    @tool
    async def spell(word: str) -> AsyncIterator[str]:
        """Spell."""
        for letter in word:
            yield letter
        send_tool_action(AgentAction(custom="spelled"))

    model = ScriptedChatModel([[call("spell", word="abc")], "ok"])
    found = await events_of(agent_of(model, tools=[spell]), streaming=True)

    assert found[1].message is not None
    assert found[1].message.is_streaming
    assert [chunk.content for chunk in found[1].message.partial] == ["a", "b", "c"]
    assert found[1].message.tool_name == "spell"
    assert found[2].action is not None
    assert found[2].action.custom == "spelled"
    assert model.calls[1].messages[-1].content == "abc"


@STREAMING
async def test_tools_that_fail(streaming: bool) -> None:
    """The run fails; or the model is told, and so is the reader, at once and in the order of the calls."""
    tools = [fake_tool("bad", returns=ValueError("no luck")), fake_tool("good")]
    calls = [call("bad", "1"), call("good", "2")]

    failed = await texts_of(agent_of(ScriptedChatModel([calls]), tools=tools), streaming=streaming)
    assert failed[-1] == "error: ToolError"

    model = ScriptedChatModel([calls, "ok"])
    agent = agent_of(model, tools=tools, tool_error_policy="return_to_model")
    told = await texts_of(agent, streaming=streaming)
    assert sorted(told[1:3]) == ["tool: Error: ValueError: no luck", "tool: ok"]
    assert [each.content for each in model.calls[1].messages[-2:]] == ["Error: ValueError: no luck", "ok"]

    model = ScriptedChatModel([calls, "ok"])
    agent = agent_of(model, tools=tools, tool_error_policy=lambda call, error: f"{call.name}: {error}")
    assert "tool: bad: no luck" in await texts_of(agent, streaming=streaming)


async def test_a_stream_of_a_tool_that_breaks_off_and_is_answered() -> None:
    """The stream's event does not count, the answer in its place is an event."""

    @tool
    async def breaks(word: str) -> AsyncIterator[str]:
        """Break."""
        yield word
        raise ValueError("broken")

    model = ScriptedChatModel([[call("breaks", word="a")], "ok"])
    found = await texts_of(agent_of(model, tools=[breaks], tool_error_policy="return_to_model"), streaming=True)
    assert found[1:] == [
        "tool: broke off: WillRetryError",
        "tool: Error: tool 'breaks' failed: broken",
        "assistant: ok",
    ]
    assert model.calls[1].messages[-1].content == "Error: tool 'breaks' failed: broken"

    raised = await texts_of(agent_of(ScriptedChatModel([[call("breaks", word="a")]]), tools=[breaks]), streaming=True)
    assert raised[-1] == "error: ToolError"


@STREAMING
async def test_unknown_tools(streaming: bool) -> None:
    """An error that names the tools; told to the model; or answered by a function."""
    tools = [fake_tool("known")]
    found = await events_of(agent_of(ScriptedChatModel([[call("made_up")]]), tools=tools), streaming=streaming)
    assert isinstance(cause_of(found[-1].error or ValueError()), ToolError)
    assert "made_up" in str(found[-1].error)
    assert "known" in str(found[-1].error)

    agent = agent_of(ScriptedChatModel([[call("made_up")], "ok"]), tools=tools, tool_error_policy="return_to_model")
    assert "made_up" in (await texts_of(agent, streaming=streaming))[1]

    agent = agent_of(
        ScriptedChatModel([[call("made_up", "1"), call("known", "2")], "ok"]),
        tools=tools,
        on_unknown_tool=lambda name, arguments: f"there is no {name}",
    )
    assert sorted((await texts_of(agent, streaming=streaming))[1:3]) == ["tool: ok", "tool: there is no made_up"]


async def test_malformed_arguments_go_back_to_the_model() -> None:
    """With the policy; the text says how to repair them."""

    @tool
    async def add(a: int) -> int:
        """Add."""
        return a + 1

    model = ScriptedChatModel([[tool_call("add", '{"a": "x"', id="1")], [call("add", a=1)], "2"])
    found = await texts_of(agent_of(model, tools=[add], tool_error_policy="return_to_model"))
    assert "JSON" in found[1]
    assert found[-1] == "assistant: 2"


async def test_calls_without_ids_are_told_apart_by_place() -> None:
    """Some models give no ids."""
    tools = [fake_tool("a", returns="A"), fake_tool("b", returns="B")]
    model = ScriptedChatModel([[call("a", ""), call("b", "")], "ok"])
    assert sorted((await texts_of(agent_of(model, tools=tools)))[1:3]) == ["tool: A", "tool: B"]


async def test_aliases_return_directly_too() -> None:
    """A tool that is called by its alias is the same tool."""
    agent = agent_of(
        ScriptedChatModel([[call("look")]]),
        tools=[fake_tool("search", returns="found")],
        tool_aliases={"search": ToolAliases(names=["look"])},
        return_directly=["search"],
    )
    assert (await texts_of(agent))[-1] == "tool: found"
