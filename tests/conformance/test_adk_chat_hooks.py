"""Middlewares of the chat agent (rows A31, A34, A35 of `agents-scenarios.md`): order, what they change, their values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from eino import ComponentError, MemoryStore, Message, ModelOptions, assistant_message, interrupt, tool, user_message
from eino.adk import (
    AgentAction,
    AgentEvent,
    AgentSetup,
    Middleware,
    MiddlewareError,
    ModelTurn,
    Runner,
    SendsModelEvents,
    SendsToolEvents,
    delete_run_value,
    message_event,
    run_value,
    send_event,
    send_tool_action,
    set_run_value,
)
from eino.components.model import NO_MODEL_OPTIONS, ChatModel
from eino.compose.tools_node import ToolAliases, ToolInput, ToolNext, ToolOutput
from eino.errors import CodecError
from eino_fixtures import ScriptedChatModel, fake_tool
from tests.conformance.adk_chat_agents import STREAMING, agent_of, call, cause_of, events_of, text_of, texts_of


class Log(Middleware):
    """Notes its hooks."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    async def before_agent(self, setup: AgentSetup) -> AgentSetup:
        self.log.append(f"{self.name} before_agent")
        return setup.replace(instruction=f"{setup.instruction}\n\nfrom {self.name}".strip())

    async def after_agent(self, messages: tuple[Message, ...]) -> None:
        self.log.append(f"{self.name} after_agent {len(messages)}")

    async def before_model(self, turn: ModelTurn) -> ModelTurn:
        self.log.append(f"{self.name} before_model {len(turn.messages)}")
        return turn

    async def after_model(self, turn: ModelTurn) -> ModelTurn:
        self.log.append(f"{self.name} after_model {len(turn.messages)}")
        return turn

    async def wrap_model(self, model: ChatModel) -> ChatModel:
        return _LoggedModel(model, self)

    async def wrap_tool(self, call: ToolInput, next: ToolNext) -> ToolOutput:  # noqa: A002 - the hook's word
        self.log.append(f"{self.name} tool in")
        result = await next(call)
        self.log.append(f"{self.name} tool out")
        return result


class _LoggedModel:
    def __init__(self, model: ChatModel, owner: Log) -> None:
        self.model, self.owner = model, owner

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        self.owner.log.append(f"{self.owner.name} model in")
        answer = await self.model.generate(messages, options)
        self.owner.log.append(f"{self.owner.name} model out")
        return answer.replace(content=f"{answer.content}<{self.owner.name}>")

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        self.owner.log.append(f"{self.owner.name} model in")
        async for chunk in self.model.stream(messages, options):
            yield chunk
        yield assistant_message(f"<{self.owner.name}>")


@STREAMING
async def test_a34_hooks_run_in_order_and_wrappers_nest(streaming: bool) -> None:
    """A34: the first registered is first, and outermost; instructions are joined in that order."""
    log: list[str] = []
    model = ScriptedChatModel([[call("t")], "bye"])
    agent = agent_of(
        model, instruction="I am.", tools=[fake_tool("t")], middlewares=[Log("a", log), Log("b", log)]
    )  # fmt: skip
    found = await texts_of(agent, streaming=streaming)

    assert model.calls[0].messages[0].content == "I am.\n\nfrom a\n\nfrom b"
    assert log[:2] == ["a before_agent", "b before_agent"]
    assert log[2:6] == ["a before_model 2", "b before_model 2", "a model in", "b model in"]
    assert log[log.index("a after_model 3") + 1] == "b after_model 3"
    tools = ["a tool in", "b tool in", "b tool out", "a tool out"]
    assert [each for each in log if "tool" in each] == tools
    assert log[-2:] == ["a after_agent 5", "b after_agent 5"]
    assert found[-1] == "assistant: bye<b><a>"  # the event shows what the wrappers gave


@STREAMING
async def test_the_place_of_the_event_among_the_middlewares(streaming: bool) -> None:
    """Innermost, the event is what the model said and what the tool gave; the run goes on with what the wrappers made."""
    log: list[str] = []

    class Shout(Middleware):
        async def wrap_tool(self, call: ToolInput, next: ToolNext) -> ToolOutput:  # noqa: A002 - the hook's word
            return f"{await next(call)}!"

    model = ScriptedChatModel([[call("t")], "bye"])
    middlewares = [Log("a", log), Shout(), SendsModelEvents(), SendsToolEvents()]
    async with Runner(agent_of(model, tools=[fake_tool("t")], middlewares=middlewares), streaming=streaming).query(
        "hi"
    ) as events:
        found = [await text_of(event) async for event in events]
    assert found == ["assistant:  t{}", "tool: ok", "assistant: bye"]
    assert model.calls[1].messages[-1].content == "ok!"
    assert model.calls[1].messages[-2].content == "<a>"


@STREAMING
async def test_a31_hooks_behind_the_model_do_not_change_the_event(streaming: bool) -> None:
    """A31: the hook sees system, user and assistant; what it makes of them is what is kept."""
    seen: list[int] = []

    class Rewrite(Middleware):
        async def after_model(self, turn: ModelTurn) -> ModelTurn:
            seen.append(len(turn.messages))
            return turn.replace(messages=(*turn.messages[:-1], turn.messages[-1].replace(content="changed")))

    agent = agent_of(
        ScriptedChatModel(["original content"]), instruction="sys", middlewares=[Rewrite()], output_key="out"
    )
    async with Runner(agent, streaming=streaming).query("hi") as events:
        found = [await text_of(event) async for event in events]
        assert events._pump.lane is not None
        assert events._pump.lane.values["out"][1] == "changed"
    assert found == ["assistant: original content"]
    assert seen == [3]


async def test_hooks_change_what_the_model_sees_and_may_call() -> None:
    """Messages and tools that `before_model` returns are kept; tools that `after_model` adds are offered from then on."""

    class Shorten(Middleware):
        async def before_model(self, turn: ModelTurn) -> ModelTurn:
            return turn.replace(messages=turn.messages[-2:], tools=tuple(t for t in turn.tools if t.name != "b"))

    model = ScriptedChatModel([[call("a")], "ok"])
    agent = agent_of(
        model, instruction="sys", tools=[fake_tool("a"), fake_tool("b")], middlewares=[Shorten()]
    )  # fmt: skip
    await events_of(agent)
    assert [each.role for each in model.calls[0].messages] == ["system", "user"]
    assert [each.role for each in model.calls[1].messages] == ["assistant", "tool"]
    assert [[info.name for info in each.options.offered_tools] for each in model.calls] == [["a"], ["a"]]


async def test_a_hook_may_drop_or_add_tool_calls_behind_the_event() -> None:
    """The last message that it leaves decides how the turn goes on."""

    class NoTools(Middleware):
        async def after_model(self, turn: ModelTurn) -> ModelTurn:
            return turn.replace(messages=(*turn.messages[:-1], turn.messages[-1].replace(tool_calls=())))

    search = fake_tool("t")
    found = await texts_of(agent_of(ScriptedChatModel([[call("t")]]), tools=[search], middlewares=[NoTools()]))
    assert found == ["assistant:  t{}"]
    assert search.calls == []

    class Forget(Middleware):
        async def after_model(self, turn: ModelTurn) -> ModelTurn:
            return turn.replace(messages=turn.messages[:-1])

    found = await texts_of(agent_of(ScriptedChatModel(["x"]), middlewares=[Forget()]))
    assert found[-1] == "error: MiddlewareError"


@STREAMING
async def test_a35_after_agent(streaming: bool) -> None:
    """A35: once for an answer and for a direct result; never for errors; the first that fails is the last."""
    log: list[str] = []

    class After(Middleware):
        async def after_agent(self, messages: tuple[Message, ...]) -> None:
            log.append(f"after {len(messages)}")

    class Fails(Middleware):
        async def after_agent(self, messages: tuple[Message, ...]) -> None:
            raise ValueError("no")

    tools = [fake_tool("t")]
    cases: list[tuple[Any, dict[str, Any], list[str]]] = [
        (["x"], {}, ["after 2"]),
        ([[call("t")], "x"], {"tools": tools}, ["after 4"]),
        ([[call("t")]], {"tools": tools, "return_directly": ["t"]}, ["after 3"]),
        ([ComponentError("down")], {}, []),
        ([[call("t")]], {"tools": tools, "max_iterations": 1}, []),
    ]
    for script, settings, expected in cases:
        log.clear()
        await events_of(agent_of(ScriptedChatModel(script), middlewares=[After()], **settings), streaming=streaming)
        assert log == expected

    log.clear()
    found = await events_of(agent_of(ScriptedChatModel(["x"]), middlewares=[Fails(), After()]), streaming=streaming)
    error = cause_of(found[-1].error or ValueError())
    assert isinstance(error, MiddlewareError)
    assert "middlewares[0] (Fails).after_agent failed: ValueError: no" in str(error)
    assert log == []


async def test_hooks_that_fail_or_return_nonsense() -> None:
    """The error names the middleware and the hook."""

    class Raises(Middleware):
        async def before_agent(self, setup: AgentSetup) -> AgentSetup:
            raise ValueError("no")

    class Nothing(Middleware):
        async def before_model(self, turn: ModelTurn) -> Any:
            return None

    class NoModel(Middleware):
        async def wrap_model(self, model: ChatModel) -> Any:
            return "model"

    for middleware, text in (
        (Raises(), "(Raises).before_agent failed"),
        (Nothing(), "must return its argument or another ModelTurn"),
        (NoModel(), "(NoModel).wrap_model returned 'model'"),
    ):
        found = await events_of(agent_of(ScriptedChatModel(["x"]), middlewares=[middleware]))
        assert isinstance(cause_of(found[-1].error or ValueError()), MiddlewareError)
        assert text in str(found[-1].error)


async def test_tools_that_a_middleware_brings() -> None:
    """They are offered and run, aliases of the agent's own stay, and they may return directly."""
    extra = fake_tool("extra", returns="from extra")

    class Brings(Middleware):
        async def before_agent(self, setup: AgentSetup) -> AgentSetup:
            return setup.replace(tools=(*setup.tools, extra), return_directly=setup.return_directly | {"extra"})

    model = ScriptedChatModel([[call("look", "1")], [call("extra", "2")]])
    agent = agent_of(
        model,
        tools=[fake_tool("own")],
        tool_aliases={"own": ToolAliases(names=["look"])},
        middlewares=[Brings()],
    )
    assert (await texts_of(agent))[1:] == ["tool: ok", "assistant:  extra{}", "tool: from extra"]
    assert [info.name for info in model.calls[0].options.offered_tools] == ["own", "extra"]


async def test_values_and_events_of_middlewares() -> None:
    """Values of a run are shared by hooks and tools, outlive an interrupt, and must be storable."""
    seen: list[Any] = []

    class Counts(Middleware):
        async def before_agent(self, setup: AgentSetup) -> AgentSetup:
            return setup.replace(values={"count": 10})

        async def before_model(self, turn: ModelTurn) -> ModelTurn:
            set_run_value("count", run_value("count") + 1)
            seen.append(run_value("count"))
            send_event(message_event(user_message("note")))
            return turn

    @tool
    async def ask() -> str:
        """Ask."""
        answer = interrupt("well?")
        count = run_value("count")
        with pytest.raises(CodecError, match="set_run_value"):
            set_run_value("bad", object())
        delete_run_value("count")
        return f"{answer} at {count}"

    model = ScriptedChatModel([[call("ask")], "bye"])
    runner = Runner(agent_of(model, tools=[ask], middlewares=[Counts()]), checkpoint_store=MemoryStore())
    async with runner.query("hi", checkpoint_id="1") as events:
        first = [event async for event in events]
    assert await text_of(first[0]) == "user: note"
    assert first[-1].action is not None
    stop = first[-1].action.interrupted
    assert stop is not None
    async with runner.resume("1", {stop.contexts[0].id: "yes"}) as events:
        found = [await text_of(event) async for event in events]
    assert found == ["tool: yes at 11", "user: note", "assistant: bye"]
    assert seen == [11, 11]


@pytest.mark.parametrize(
    "use",
    [
        lambda: run_value("x"),
        lambda: set_run_value("x", 1),
        lambda: delete_run_value("x"),
        lambda: send_event(AgentEvent()),
        lambda: send_tool_action(AgentAction()),
    ],
    ids=["run_value", "set_run_value", "delete_run_value", "send_event", "send_tool_action"],
)
def test_values_and_events_need_a_turn(use: Any) -> None:
    """Outside a chat agent they are errors that say where they belong."""
    with pytest.raises(RuntimeError, match=r"outside a (turn|tool)"):
        use()
