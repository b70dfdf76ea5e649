"""What a chat agent is built with, and what one run of it may set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eino import BuildError, Message, ModelOptions, assistant_message, user_message
from eino.adk import ChatAgentOptions, ChatModelAgent, Middleware, SendsModelEvents
from eino.compose.tools_node import ToolsOptions
from eino_fixtures import ScriptedChatModel, fake_tool
from tests.conformance.adk_chat_agents import agent_of, call, events_of, text_of


async def test_options_of_one_run() -> None:
    """Options of the model and of the tools, and a hook behind each round of tools."""
    heard: list[list[str]] = []

    async def after_tools(messages: list[Message]) -> None:
        heard.append([message.role for message in messages])

    model = ScriptedChatModel([[call("t")], "ok"])
    options = ChatAgentOptions(
        model=ModelOptions(temperature=0.5), tools=ToolsOptions(tools=[fake_tool("t", returns="other")]),
        after_tools=after_tools,
    )  # fmt: skip
    agent = agent_of(model, tools=[fake_tool("t")], model_options=ModelOptions(top_p=0.1))
    found = await events_of(agent, agent_options={"helper": options})

    assert await text_of(found[1]) == "tool: other"
    assert model.calls[0].options.temperature == 0.5
    assert model.calls[0].options.top_p == 0.1
    assert [info.name for info in model.calls[0].options.offered_tools] == ["t"]
    assert heard == [["user", "assistant", "tool"]]

    def fails(messages: list[Message]) -> None:
        raise ValueError("enough")

    agent = agent_of(ScriptedChatModel([[call("t")]]), tools=[fake_tool("t")])
    found = await events_of(agent, agent_options={"helper": ChatAgentOptions(after_tools=fails)})
    assert await text_of(found[-1]) == "error: ValueError"

    wrong = await events_of(agent_of(ScriptedChatModel([])), agent_options={"helper": {"temperature": 1}})
    assert "ChatAgentOptions" in str(wrong[-1].error)


async def test_instructions() -> None:
    """Templates are filled with session values, plain instructions may have braces; a function may make the input."""
    model = ScriptedChatModel(["1", "2", "3"])
    await events_of(agent_of(model, instruction="{city}", template=True), session_values={"city": "Rome"})
    await events_of(agent_of(model, instruction="as {json}"), session_values={"city": "Rome"})
    assert [each.messages[0].content for each in model.calls] == ["Rome", "as {json}"]

    async def generate_input(instruction: str, given: Any) -> list[Message]:
        return [user_message(f"{instruction}: {given.messages[0].content}")]

    await events_of(agent_of(model, instruction="say", generate_input=generate_input))
    assert [each.content for each in model.calls[2].messages] == ["say: hi"]

    found = await events_of(agent_of(model, instruction="{town}", template=True), session_values={"city": "Rome"})
    assert "'city'" in str(found[-1].error)
    assert "braces" in str(found[-1].error)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_iterations": 0}, "1 or more"),
        ({"output_name": "x"}, "output_type"),
        ({"return_directly": ["nope"]}, "names of tools"),
        ({"return_directly": "t"}, "names of tools"),
        ({"middlewares": [1]}, "derive it from"),
        ({"middlewares": Middleware()}, "give a list"),
        ({"middlewares": [SendsModelEvents(), SendsModelEvents()]}, "at one place"),
        ({"failover": 3}, "list of chat models"),
        ({"failover": [3]}, "chat model"),
        ({"name": "a/b"}, "without '/'"),
        ({"tool_error_policy": "maybe"}, "on_error"),
        ({"model": 3}, "no chat model"),
        ({"tools": [3]}, "no tool"),
    ],
    ids=lambda value: str(next(iter(value.items())))[:40] if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_told_when_it_is_built(settings: dict[str, Any], message: str) -> None:
    """Before anything runs."""
    given = {"name": "helper", "model": ScriptedChatModel([]), **settings}
    with pytest.raises(BuildError, match=message):
        ChatModelAgent(**given)


def test_a_model_without_tools_cannot_have_any() -> None:
    """Said when the agent is built."""

    class NoTools:
        async def generate(self, messages: Any, options: Any = None) -> Message:
            return assistant_message("x")

        async def stream(self, messages: Any, options: Any = None) -> AsyncIterator[Message]:
            yield assistant_message("x")

    with pytest.raises(BuildError, match="cannot call tools"):
        agent_of(NoTools(), tools=[fake_tool("t")])
