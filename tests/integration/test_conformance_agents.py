"""The agents that eino brings, and the fake one, pass the suite that we give to others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from eino import Message, assistant_message, current_context, interrupt, tool, tool_call
from eino.adk import (
    Agent,
    AgentEvent,
    AgentInput,
    ChatModelAgent,
    LoopAgent,
    ParallelAgent,
    SequentialAgent,
    agent,
    approval,
    message_event,
    supervisor,
)
from eino.adk.prebuilt import executor_agent, plan_execute, planner_agent, replanner_agent
from eino_fixtures import Asks, ByToken, FunctionChatModel, ScriptedAgent
from eino_harness.conformance import AgentConformance


@tool
async def order(item: str) -> str:
    """Order something."""
    return f"ordered {item}"


def plain(messages: Sequence[Message], _: Any) -> Any:
    """Call a tool where the user asks for it; say what the conversation ends with."""
    last = messages[-1]
    if "broken" in last.content:
        raise ValueError("the model is broken")
    if any("order tea" in each.content for each in messages) and all(each.role != "tool" for each in messages):
        return tool_call("order", {"item": "tea"}, id="1")
    return f"I hear: {last.content}"


def chat_agent(name: str = "clerk", reply: Any = plain) -> ChatModelAgent[str]:
    return ChatModelAgent(
        name=name,
        description="Takes orders.",
        model=FunctionChatModel(reply, chunks=ByToken()),
        tools=[approval(order)],
    )


def broken(messages: Sequence[Message], _: Any) -> Any:
    raise ValueError("the model is broken")


class OfChatAgents(AgentConformance):
    """Our agents of chat agents: all of them ask where a user orders something."""

    question: ClassVar[str] = "order tea"
    answer: ClassVar[Any] = True


class TestChatModelAgent(OfChatAgents):
    def make(self) -> Agent:
        return chat_agent()

    def make_failing(self) -> Agent:
        return chat_agent(reply=broken)


class TestSequential(OfChatAgents):
    def make(self) -> Agent:
        return SequentialAgent(name="line", description="Two clerks.", agents=[chat_agent("a"), chat_agent("b")])

    def make_failing(self) -> Agent:
        return SequentialAgent(name="line", description="One clerk.", agents=[chat_agent("a", broken)])


class TestLoop(OfChatAgents):
    def make(self) -> Agent:
        return LoopAgent(name="loop", description="Over and over.", agents=[chat_agent("a")], max_iterations=2)

    def make_failing(self) -> Agent:
        return LoopAgent(name="loop", description="Over and over.", agents=[chat_agent("a", broken)])


class TestParallel(OfChatAgents):
    def make(self) -> Agent:
        return ParallelAgent(name="beside", description="Two clerks.", agents=[chat_agent("a"), chat_agent("b")])

    def make_failing(self) -> Agent:
        return ParallelAgent(name="beside", description="Two.", agents=[chat_agent("a"), chat_agent("b", broken)])


def boss(messages: Sequence[Message], _: Any) -> Any:
    """Hand over once, and then say what came of it."""
    if any(each.role == "tool" for each in messages):
        return f"The clerk said: {messages[-3].content}"
    return tool_call("transfer_to_agent", {"agent_name": "clerk"}, id="t")


class TestSupervisor(OfChatAgents):
    def make(self) -> Agent:
        head = ChatModelAgent(name="boss", description="Hands out work.", model=FunctionChatModel(boss))
        return supervisor(head, [chat_agent()])

    def make_failing(self) -> Agent:
        head = ChatModelAgent(name="boss", description="Hands out work.", model=FunctionChatModel(boss))
        return supervisor(head, [chat_agent(reply=broken)])


def planned(messages: Sequence[Message], _: Any) -> Any:
    return tool_call("plan", {"steps": [messages[-1].content]}, id="p")


def answered(messages: Sequence[Message], _: Any) -> Any:
    return tool_call("respond", {"response": messages[-1].content[:200]}, id="r")


class TestPlanExecute(OfChatAgents):
    without: ClassVar[dict[str, str]] = {"tool": "its answer holds the request as it was asked"}

    def make(self) -> Agent:
        return self.agents(plain)

    def make_failing(self) -> Agent:
        return self.agents(broken)

    def agents(self, worker: Any) -> Agent:
        return plan_execute(
            planner=planner_agent(FunctionChatModel(planned)),
            executor=executor_agent(FunctionChatModel(worker), tools=[approval(order)]),
            replanner=replanner_agent(FunctionChatModel(answered)),
        )


@agent(description="Repeats what it hears, and asks where there is a question mark.")
async def parrot(given: AgentInput) -> AsyncIterator[AgentEvent]:
    text = given.messages[-1].content
    if not current_context().was_interrupted:
        yield message_event(chunks(text.split()) if given.streaming else assistant_message(text))
    if "?" in text:
        answer = interrupt("What?")
        yield message_event(assistant_message(f"I hear {answer}."))


async def chunks(words: list[str]) -> AsyncIterator[Message]:
    for word in words:
        yield assistant_message(word + " ")


class TestFunctionAgent(AgentConformance):
    question: ClassVar[str] = "Who is it?"
    without: ClassVar[dict[str, str]] = {"errors": "it never fails", "waiting": "it never waits"}

    def make(self) -> Agent:
        return parrot


class TestScriptedAgent(AgentConformance):
    query: ClassVar[str] = "hello"
    without: ClassVar[dict[str, str]] = {"questions": "this script has none"}

    def make(self) -> Agent:
        return ScriptedAgent("script", [["One ", "two."], "Three."])

    def make_failing(self) -> Agent:
        return ScriptedAgent("script", ["One.", ValueError("no more")])


class TestScriptedAgentThatAsks(AgentConformance):
    without: ClassVar[dict[str, str]] = dict.fromkeys(
        ("streaming", "repeatable", "waiting", "errors", "tool"), "another suite shows it"
    ) | dict.fromkeys(
        ("test_its_events_are_well_formed", "test_what_it_says_is_on_record", "test_it_works_in_workflows"),
        "it always asks",
    )

    def make(self) -> Agent:
        return ScriptedAgent("script", ["One.", Asks("two?"), "Three.", Asks("four?"), "Five."])
