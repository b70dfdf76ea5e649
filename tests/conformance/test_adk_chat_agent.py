"""The chat agent: the rows of `agents-scenarios.md` for it, from the loop itself to hooks, retries and stand-ins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from eino import (
    BuildError,
    ComponentError,
    Handler,
    MemoryStore,
    Message,
    ModelOptions,
    RetryPolicy,
    RunError,
    RunInfo,
    assistant_message,
    current_context,
    interrupt,
    tool,
    tool_call,
    user_message,
)
from eino.adk import (
    AgentAction,
    AgentEvent,
    AgentSetup,
    ChatAgentOptions,
    ChatModelAgent,
    MaxIterationsError,
    Middleware,
    MiddlewareError,
    ModelFailover,
    ModelRetry,
    ModelTurn,
    Runner,
    SendsModelEvents,
    SendsToolEvents,
    WillRetryError,
    delete_run_value,
    message_event,
    message_id,
    run_value,
    send_event,
    send_tool_action,
    session_value,
    set_run_value,
)
from eino.components.failover_model import FailoverContext
from eino.components.model import NO_MODEL_OPTIONS, ChatModel
from eino.components.retry_model import RetryContext, RetryDecision
from eino.compose.tools_node import ToolAliases, ToolInput, ToolNext, ToolOutput, ToolsOptions
from eino.errors import (
    AnswerRejectedError,
    CodecError,
    FailoverExhaustedError,
    InvalidResponseError,
    OverloadedError,
    RetryExhaustedError,
    ToolError,
)
from eino.schema import concat_messages
from eino_fixtures import FunctionChatModel, ScriptedChatModel, fake_tool

STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["values", "streams"])
NOW = RetryPolicy(max_attempts=4, base_s=0.0, seed=0)


def call(name: str, id: str = "1", **arguments: Any) -> Any:  # noqa: A002 - as in tool_call
    return tool_call(name, arguments, id=id)


def agent_of(model: ChatModel, **settings: Any) -> ChatModelAgent[Any]:
    return ChatModelAgent(name="helper", model=model, **settings)


async def events_of(agent: Any, *, streaming: bool = False, **options: Any) -> list[AgentEvent]:
    """Run the agent on "hi", read every event, and settle its stream."""
    async with Runner(agent, streaming=streaming).run([user_message("hi")], **options) as events:
        found = [event async for event in events]
    for event in found:
        if event.message is not None:
            await event.message.settle()
    return found


async def texts_of(agent: Any, *, streaming: bool = False) -> list[str]:
    return [await text_of(event) for event in await events_of(agent, streaming=streaming)]


async def text_of(event: AgentEvent) -> str:
    """Return role and text of an event, or its error."""
    if event.error is not None:
        return f"error: {type(cause_of(event.error)).__name__}"
    assert event.message is not None
    if event.message.error is not None:
        return f"{event.message.role}: broke off: {type(event.message.error).__name__}"
    message = await event.message.get()
    calls = "".join(f" {each.name}{each.arguments}" for each in message.tool_calls)
    return f"{event.message.role}: {message.content}{calls}"


def cause_of(error: BaseException) -> BaseException:
    return error.__cause__ if type(error) is RunError and error.__cause__ is not None else error


class FailsAt:
    """A model whose streams break off behind the first chunk, or at once, until its tries are used up."""

    def __init__(self, *replies: str | Exception, at: int = 1) -> None:
        self.replies = list(replies)
        self.at = at
        self.asked: list[tuple[list[Message], ModelOptions]] = []

    def with_tools(self, tools: Any) -> FailsAt:
        return self

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        return concat_messages([chunk async for chunk in self.stream(messages, options)])

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        self.asked.append((list(messages), options))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            for _ in range(self.at):
                yield assistant_message("half ")
            raise reply
        for word in reply.split(" "):
            yield assistant_message(word)


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


# The loop


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


# What a run may set


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


# Middlewares


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


# Retries and stand-ins


@pytest.mark.parametrize("with_tools", [False, True], ids=["bare", "with tools"])
async def test_a37_streams_that_break_off_are_tried_again(with_tools: bool) -> None:
    """A37: two streams break off behind their first chunk, the third is whole: three events, two end in the mark."""
    model = FailsAt(OverloadedError("busy"), OverloadedError("busy"), "all good")
    agent = agent_of(model, retry=NOW, tools=[fake_tool("t")] if with_tools else [])

    found = await events_of(agent, streaming=True)
    assert [await text_of(event) for event in found] == [
        "assistant: broke off: WillRetryError",
        "assistant: broke off: WillRetryError",
        "assistant: allgood",
    ]
    assert len(model.asked) == 3
    ended = [event.message.error for event in found[:2] if event.message is not None]
    assert [error.attempt for error in ended if isinstance(error, WillRetryError)] == [1, 2]
    assert "busy" in str(ended[0])


async def test_a_stream_that_cannot_begin_is_no_event() -> None:
    """There is nothing to read of it."""
    model = FailsAt(OverloadedError("busy"), "fine", at=0)
    assert await texts_of(agent_of(model, retry=NOW), streaming=True) == ["assistant: fine"]


@STREAMING
async def test_a38_tries_are_used_up(streaming: bool) -> None:
    """A38: four calls, then an error that lists them; the last failure is its cause. Not retryable: raised as it is."""
    model = FailsAt(*[OverloadedError(f"busy {n}") for n in range(4)])
    found = await events_of(agent_of(model, retry=NOW), streaming=streaming)

    error = cause_of(found[-1].error or ValueError())
    assert isinstance(error, RetryExhaustedError)
    assert str(error.last_error) == "busy 3"
    assert len(model.asked) == 4
    assert len(found) == (5 if streaming else 1)
    if streaming:
        assert found[3].message is not None
        assert isinstance(found[3].message.error, RetryExhaustedError)

    raw = await events_of(agent_of(FailsAt(ValueError("bug")), retry=NOW), streaming=streaming)
    assert isinstance(cause_of(raw[-1].error or OSError()), ValueError)


@STREAMING
async def test_a40_answers_are_judged(streaming: bool) -> None:
    """A40: the rule sees each try; without streams only the accepted answer is an event."""
    seen: list[RetryContext] = []

    def judge(context: RetryContext) -> RetryDecision | None:
        seen.append(context)
        bad = context.message is not None and context.message.content == "bad"
        return RetryDecision(retry=True, wait_s=0.0, reason="it is bad") if bad else None

    agent = agent_of(
        ScriptedChatModel(["bad", "good"]),
        instruction="sys",
        tools=[fake_tool("t")],
        retry=ModelRetry(policy=NOW, should_retry=judge),
    )
    found = await texts_of(agent, streaming=streaming)

    assert found == (["assistant: broke off: WillRetryError"] if streaming else []) + ["assistant: good"]
    assert [each.attempt for each in seen] == [1, 2]
    assert len(seen[0].messages) == 2
    assert seen[0].options.offered_tools
    assert seen[0].error is None
    assert [each.message.content for each in seen if each.message is not None] == ["bad", "good"]


async def test_the_rule_sees_partial_and_empty_streams() -> None:
    """Both an error and a message: a stream that broke off. Neither: a stream without a chunk."""
    seen: list[tuple[str | None, str | None]] = []

    def judge(context: RetryContext) -> RetryDecision | None:
        said = context.message.content if context.message is not None else None
        seen.append((said, str(context.error) if context.error is not None else None))
        return None if said == "fine" else RetryDecision(retry=True, wait_s=0.0)

    class Odd(FailsAt):
        async def stream(
            self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
        ) -> AsyncIterator[Message]:
            if self.replies[0] == "":
                self.replies.pop(0)
                return
            async for chunk in super().stream(messages, options):
                yield chunk

    model = Odd(OverloadedError("busy"), "", "fine")
    agent = agent_of(model, retry=ModelRetry(policy=NOW, should_retry=judge))
    found = await texts_of(agent, streaming=True)
    assert found[-1] == "assistant: fine"
    assert seen == [("half ", "busy"), (None, None), ("fine", None)]


@STREAMING
async def test_a_rejected_answer_uses_up_tries_too(streaming: bool) -> None:
    """The error says that the answer was rejected."""
    rule = ModelRetry(
        policy=RetryPolicy(max_attempts=1), should_retry=lambda context: RetryDecision(retry=True, reason="never good")
    )
    found = await events_of(agent_of(ScriptedChatModel(["x"]), retry=rule), streaming=streaming)
    error = cause_of(found[-1].error or ValueError())
    assert isinstance(error, RetryExhaustedError)
    assert isinstance(error.last_error, AnswerRejectedError)
    assert "never good" in str(error)


@STREAMING
async def test_a41_a_rule_may_change_what_is_asked(streaming: bool) -> None:
    """A41: the next try sees exactly the replacement and one option more; persisted, the conversation goes on from it."""
    shorter = (user_message("short"), user_message("question"))

    def judge(context: RetryContext) -> RetryDecision | None:
        if context.message is None or not context.message.content.startswith("too long"):
            return None
        return RetryDecision(
            retry=True, wait_s=0.0, messages=shorter, persist=True, options=ModelOptions(max_tokens=10)
        )  # fmt: skip

    model = ScriptedChatModel(["too long, sorry", [call("t")], "good response"])
    agent = agent_of(model, tools=[fake_tool("t")], retry=ModelRetry(policy=NOW, should_retry=judge))
    found = await texts_of(agent, streaming=streaming)

    assert tuple(model.calls[1].messages) == shorter
    assert model.calls[1].options == model.calls[0].options.merge(ModelOptions(max_tokens=10))
    assert [each.role for each in model.calls[2].messages] == ["user", "user", "assistant", "tool"]
    assert model.calls[2].options == model.calls[0].options
    assert found[-1] == "assistant: good response"


@STREAMING
async def test_a43_retries_first_then_stand_ins(streaming: bool) -> None:
    """A43: a stand-in is asked when the tries of the model are used up, or its error is not worth one."""
    asked: list[FailoverContext] = []

    def settings(second: ChatModel, **more: Any) -> dict[str, Any]:
        def choose(context: FailoverContext) -> ChatModel:
            asked.append(context)
            return second

        three = RetryPolicy(max_attempts=3, base_s=0.0)
        return {"retry": three, "failover": ModelFailover(fallbacks=choose, max_fallbacks=1, **more)}

    def busy(count: int) -> list[Exception]:
        return [OverloadedError("busy")] * count

    first, second = FailsAt(*busy(3)), FailsAt("from two")
    found = await texts_of(agent_of(first, **settings(second)), streaming=streaming)
    assert found[-1] == "assistant: fromtwo"
    assert found[:-1] == ["assistant: broke off: WillRetryError"] * (3 if streaming else 0)
    assert (len(first.asked), len(second.asked)) == (3, 1)
    assert isinstance(asked[0].last_error, RetryExhaustedError)

    asked.clear()
    assert (await texts_of(agent_of(FailsAt(*busy(2), "ok"), **settings(second)), streaming=streaming))[-1] == (
        "assistant: ok"
    )
    assert asked == []

    first, second = FailsAt(ComponentError("never")), FailsAt("two")
    assert (await texts_of(agent_of(first, **settings(second)), streaming=streaming))[-1] == "assistant: two"
    assert (len(first.asked), len(second.asked)) == (1, 1)

    first, second = FailsAt(*busy(3)), FailsAt(*busy(3))
    failed = await events_of(agent_of(first, **settings(second)), streaming=streaming)
    error = cause_of(failed[-1].error or ValueError())
    assert isinstance(error, FailoverExhaustedError)
    assert isinstance(error.last_error, RetryExhaustedError)
    assert (len(first.asked), len(second.asked)) == (3, 3)


@STREAMING
async def test_a44_when_no_stand_in_is_asked(streaming: bool) -> None:
    """A44: what the choice raises ends the run, none chosen ends it, and an error that is no reason is raised as it is."""

    def raises(context: FailoverContext) -> ChatModel:
        raise LookupError("no model left")

    def down() -> FailsAt:
        return FailsAt(OverloadedError("down"))

    found = await events_of(agent_of(down(), failover=ModelFailover(fallbacks=raises)), streaming=streaming)
    assert isinstance(cause_of(found[-1].error or ValueError()), LookupError)

    found = await events_of(agent_of(down(), failover=ModelFailover(fallbacks=lambda c: None)), streaming=streaming)
    assert isinstance(cause_of(found[-1].error or ValueError()), FailoverExhaustedError)

    judged: list[Exception] = []

    def never(error: Exception) -> bool:
        judged.append(error)
        return False

    second = FailsAt("x")
    failover = ModelFailover(fallbacks=[second], failover_on=never)
    found = await events_of(agent_of(down(), failover=failover), streaming=streaming)
    assert isinstance(cause_of(found[-1].error or ValueError()), OverloadedError)
    assert len(judged) == 1
    assert second.asked == []


async def test_the_stand_in_that_answered_is_asked_first_within_the_turn() -> None:
    """And not in the next one."""
    broken = FunctionChatModel(lambda messages, options: OverloadedError("down"))
    second = ScriptedChatModel([[call("t")], "bye", "again"])
    told: list[str] = []
    agent = agent_of(
        broken,
        tools=[fake_tool("t")],
        failover=ModelFailover(fallbacks=[second], on_failover=lambda failed: told.append(str(failed.error))),
    )
    await events_of(agent)
    assert len(broken.calls) == 1
    assert len(second.calls) == 2
    assert [info.name for info in second.calls[0].options.offered_tools] == ["t"]
    await events_of(agent)
    assert len(broken.calls) == 2
    assert told == ["down", "down"]


@STREAMING
async def test_a_wrapper_that_calls_the_model_twice(streaming: bool) -> None:
    """Only what it returns counts: the stream of the first call ends in the mark, in values there is one event."""

    class Twice(Middleware):
        async def wrap_model(self, model: ChatModel) -> ChatModel:
            return _Twice(model)

    class _Twice:
        def __init__(self, model: ChatModel) -> None:
            self.model = model

        async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
            await self.model.generate(messages, options)
            return concat_messages([chunk async for chunk in self.model.stream(messages, options)])

        async def stream(
            self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
        ) -> AsyncIterator[Message]:
            async for _ in self.model.stream(messages, options):
                pass
            async for chunk in self.model.stream(messages, options):
                yield chunk

    agent = agent_of(ScriptedChatModel(["one", "two two"]), middlewares=[Twice(), SendsModelEvents()])
    found = await texts_of(agent, streaming=streaming)
    assert found == (["assistant: broke off: WillRetryError"] if streaming else []) + ["assistant: two two"]


@STREAMING
async def test_a_wrapper_outside_the_event_may_change_the_answer(streaming: bool) -> None:
    """The event is out; the message that is kept is another one, and has the id of the event."""

    class Anew(Middleware):
        async def wrap_model(self, model: ChatModel) -> ChatModel:
            return _Anew(model)

    class _Anew:
        def __init__(self, model: ChatModel) -> None:
            self.model = model

        async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
            answer = await self.model.generate(messages, options)
            return assistant_message(f"<{answer.content}>", answer.tool_calls)

        async def stream(
            self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
        ) -> AsyncIterator[Message]:
            yield await self.generate(messages, options)

    model = ScriptedChatModel([[call("t")], "bye"])
    agent = agent_of(model, tools=[fake_tool("t")], middlewares=[Anew(), SendsModelEvents()])
    found = await events_of(agent, streaming=streaming)
    assert found[0].message is not None
    said = await found[0].message.get()
    kept = model.calls[1].messages[1]
    assert (said.content, kept.content) == ("", "<>")
    assert message_id(said) == message_id(kept) is not None


@STREAMING
async def test_a_wrapper_may_answer_itself(streaming: bool) -> None:
    """Such as from a cache: the answer is an event with an id, and the model is not asked."""

    class Cached(Middleware):
        async def wrap_model(self, model: ChatModel) -> ChatModel:
            return FunctionChatModel(lambda messages, options: "from the cache")

    model = ScriptedChatModel([])
    found = await events_of(agent_of(model, middlewares=[Cached()]), streaming=streaming)
    assert [await text_of(event) for event in found] == ["assistant: from the cache"]
    assert found[0].message is not None
    assert message_id(await found[0].message.get())
    assert model.calls == []


# Interrupts


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
