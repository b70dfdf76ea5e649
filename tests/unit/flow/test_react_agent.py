"""The ReAct agent of `eino.flow`: the loop, what the model sees, results that are the answer, messages as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    BuildError,
    Graph,
    Message,
    ModelOptions,
    RateLimitError,
    RunError,
    StateError,
    ToolsNode,
    assistant_message,
    concat_messages,
    system_message,
    tool,
    tool_call,
    tool_message,
    user_message,
)
from eino.errors import MaxStepsError
from eino.flow import MessageFuture, ReactAgent, first_chunk, return_directly
from eino.schema import tool_result
from eino_fixtures import ScriptedChatModel, fake_tool

HI = user_message("hi")
CALL = tool_call("add", {"a": 1, "b": 2}, id="1")


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
async def spell(word: str) -> AsyncIterator[str]:
    """Spell a word."""
    for letter in word:
        yield letter


async def chunks_of(opening: Any) -> list[Message]:
    async with opening as reader:
        return [chunk async for chunk in reader]


async def test_the_model_is_asked_until_it_calls_no_tool() -> None:
    """Each call of the model sees all that was said before."""
    model = ScriptedChatModel([[CALL], [tool_call("add", {"a": 3, "b": 3}, id="2")], "six"])
    agent = ReactAgent(model=model, tools=[add])

    answer = await agent.generate([HI])

    assert answer.content == "six"
    assert [message.role for message in model.calls[2].messages] == ["user", "assistant", "tool", "assistant", "tool"]
    assert [message.content for message in model.calls[2].messages] == ["hi", "", "3", "", "6"]
    assert [info.name for info in model.calls[0].tools] == ["add"]
    assert repr(agent) == "ReactAgent('react', tools=['add'])"


async def test_the_answer_streams() -> None:
    """The last answer arrives in the model's own chunks, and concatenates to what generate gives."""
    agent = ReactAgent(model=ScriptedChatModel([[CALL], "three it is"]), tools=[add])

    chunks = await chunks_of(agent.stream([HI]))

    assert len(chunks) > 1
    assert concat_messages(chunks).content == "three it is"


async def test_text_in_front_of_tool_calls_does_not_end_the_run() -> None:
    """Some models say what they are about to do; upstream's default takes that for the answer."""
    talk = assistant_message("let me compute", [CALL])

    for on_stream in (False, True):
        agent = ReactAgent(model=ScriptedChatModel([talk, "three"]), tools=[add])
        answer = concat_messages(await chunks_of(agent.stream([HI]))) if on_stream else await agent.generate([HI])
        assert answer.content == "three"


async def test_first_chunk_decides_where_the_caller_says_so() -> None:
    """Then tokens arrive while the model writes, and text in front of tool calls is the answer."""
    talk = assistant_message("let me compute", [CALL])
    agent = ReactAgent(model=ScriptedChatModel([talk]), tools=[add], has_tool_calls=first_chunk)
    assert concat_messages(await chunks_of(agent.stream([HI]))).content == "let me compute"

    agent = ReactAgent(model=ScriptedChatModel([[CALL], "three"]), tools=[add], has_tool_calls=first_chunk)
    assert concat_messages(await chunks_of(agent.stream([HI]))).content == "three"

    async def nothing() -> AsyncIterator[Message]:
        yield assistant_message("")

    assert not await first_chunk(nothing())


async def test_first_chunk_lets_the_answer_through_while_the_model_writes() -> None:
    """The first token is there before the last one is made."""
    made: list[str] = []

    class Slow:
        async def generate(self, messages: Any, options: Any = None) -> Message:
            raise AssertionError

        async def stream(self, messages: Any, options: Any = None) -> AsyncIterator[Message]:
            for word in ("one ", "two ", "three"):
                made.append(word)
                yield assistant_message(word)

    agent = ReactAgent(model=Slow(), has_tool_calls=first_chunk)
    async with agent.stream([HI]) as reader:
        first = await reader.recv()
        assert (first.content, made) == ("one ", ["one "])


async def test_a_modifier_changes_what_the_model_sees_and_nothing_else() -> None:
    """The stored conversation has no system message, however often the model is asked."""
    model = ScriptedChatModel([[CALL], "three"])
    agent = ReactAgent(model=model, tools=[add], message_modifier="Be brief.")

    await agent.generate([HI])

    assert [[message.role for message in call.messages] for call in model.calls] == [
        ["system", "user"],
        ["system", "user", "assistant", "tool"],
    ]


async def test_a_rewriter_changes_the_stored_conversation() -> None:
    """It runs before the modifier, sync or async, and what it leaves out stays out."""
    model = ScriptedChatModel([[CALL], [CALL], "three"])
    seen: list[int] = []

    async def keep_last_two(messages: list[Message]) -> list[Message]:
        seen.append(len(messages))
        return messages[-2:]

    def shout(messages: list[Message]) -> list[Message]:
        return [system_message("!"), *messages]

    agent = ReactAgent(model=model, tools=[add], message_rewriter=keep_last_two, message_modifier=shout)
    await agent.generate([user_message("a"), user_message("b"), HI])

    assert seen == [3, 4, 4]
    assert [call.messages[0].role for call in model.calls] == ["system"] * 3
    assert [len(call.messages) for call in model.calls] == [3, 3, 3]


@pytest.mark.parametrize("on_stream", [False, True])
async def test_the_result_of_a_tool_can_be_the_answer(on_stream: bool) -> None:
    """The first of the named tools counts, in the order of the calls; the model is not asked again."""
    calls = [CALL, tool_call("spell", {"word": "no"}, id="2"), tool_call("spell", {"word": "later"}, id="3")]
    agent = ReactAgent(model=ScriptedChatModel([calls]), tools=[add, spell], return_directly={"spell"})

    if on_stream:
        chunks = await chunks_of(agent.stream([HI]))
        assert [chunk.content for chunk in chunks] == ["n", "o"]
        answer = concat_messages(chunks)
    else:
        answer = await agent.generate([HI])

    assert answer == tool_message("no", "2", tool_name="spell")


@pytest.mark.parametrize("on_stream", [False, True])
@pytest.mark.parametrize("named", [(), ("spell",)])
async def test_a_tool_can_make_its_result_the_answer_while_it_runs(on_stream: bool, named: tuple[str, ...]) -> None:
    """`return_directly()` wins over the names given to the agent, unless those have no call in this round."""

    @tool
    async def stop(word: str) -> str:
        """Stop."""
        if word == "now":
            return_directly()
        return word

    rounds = [[tool_call("stop", {"word": "not yet"}, id="1")], [CALL, tool_call("stop", {"word": "now"}, id="2")]]
    agent = ReactAgent(model=ScriptedChatModel(rounds), tools=[add, stop, spell], return_directly=named)

    answer = concat_messages(await chunks_of(agent.stream([HI]))) if on_stream else await agent.generate([HI])

    assert answer == tool_message("now", "2", tool_name="stop")


async def test_return_directly_is_for_tools_of_an_agent() -> None:
    """Elsewhere the call says what is wrong."""
    with pytest.raises(RuntimeError, match="no run here"):
        return_directly()
    graph = Graph[str, str]().add_lambda_node("a", lambda value: return_directly() or value)
    runnable = graph.add_edge(START, "a").add_edge("a", END).compile()

    with pytest.raises(RunError, match="outside a tool") as failure:
        await runnable.invoke("x")
    assert isinstance(failure.value.__cause__, StateError)


async def test_tools_and_options_of_one_run() -> None:
    """The model is offered the tools of the run, and the tools node calls them."""
    model = ScriptedChatModel([[tool_call("search", {"q": "x"}, id="1")], "found"])
    agent = ReactAgent(model=model, tools=[add])

    answer = await agent.generate(
        [HI], tools=[fake_tool("search", returns="y")], model_options=ModelOptions(temperature=0.5)
    )

    assert answer.content == "found"
    assert [info.name for info in model.calls[0].options.offered_tools] == ["search"]
    assert model.calls[0].options.temperature == 0.5
    assert model.calls[1].messages[-1].content == "y"


async def test_a_tools_node_says_how_tools_are_called() -> None:
    """Such as what becomes of errors."""
    model = ScriptedChatModel([[tool_call("nope", {}, id="1")], "sorry"])
    agent = ReactAgent(model=model, tools=ToolsNode([add], on_error="return_to_model"))

    assert (await agent.generate([HI])).content == "sorry"
    assert "nope" in model.calls[1].messages[-1].content


async def test_errors_carry_the_path_and_loops_end() -> None:
    """A tool that fails, a model that fails, and a model that never stops."""
    with pytest.raises(RunError, match="integer") as failure:
        await ReactAgent(
            model=ScriptedChatModel([[tool_call("add", '{"a": "x"}', id="1")]]), tools=[add], name="helper"
        ).generate([HI])
    assert failure.value.node_path == ("tools",)

    with pytest.raises(RunError) as failure:
        await ReactAgent(model=ScriptedChatModel([RateLimitError("slow down")])).generate([HI])
    assert isinstance(failure.value.__cause__, RateLimitError)

    endless = [[tool_call("add", {"a": 1, "b": 1}, id=str(number))] for number in range(2)]
    with pytest.raises(MaxStepsError, match="3 steps of graph 'react'"):
        await ReactAgent(model=ScriptedChatModel(endless[:2]), tools=[add], max_steps=3).generate([HI])


def test_what_cannot_be_an_agent_is_refused() -> None:
    """Names that are no tool's, and models that cannot call tools."""
    model = ScriptedChatModel([])
    with pytest.raises(BuildError, match=r"return_directly={'sub'}.*'add'"):
        ReactAgent(model=model, tools=[add], return_directly={"sub"})
    with pytest.raises(BuildError, match="give a set"):
        ReactAgent(model=model, tools=[add], return_directly="add")

    class Plain:
        async def generate(self, messages: Any, options: Any = None) -> Message:
            return HI

        async def stream(self, messages: Any, options: Any = None) -> AsyncIterator[Message]:
            yield HI

    with pytest.raises(BuildError, match="with_tools"):
        ReactAgent(model=Plain(), tools=[add])


def whole_run() -> ReactAgent:
    calls = [CALL, tool_call("spell", {"word": "ab"}, id="2")]
    return ReactAgent(model=ScriptedChatModel([calls, "three and ab"]), tools=[add, spell])


@pytest.mark.parametrize("on_stream", [False, True])
async def test_a_future_has_every_message(on_stream: bool) -> None:
    """While the run goes on, in another task."""
    agent = whole_run()

    async with (
        MessageFuture() as future,
        agent.runnable.start([HI], stream=on_stream, callbacks=[future]) as handle,
    ):
        messages = [message async for message in future]
        if not on_stream:
            assert await handle.result() == messages[-1]

    assert messages[0].tool_calls[0].function == CALL.function
    results = {message.tool_call_id: message.content for message in messages[1:3]}
    assert results == {"1": "3", "2": "ab"}
    assert messages[3].content == "three and ab"
    assert len(messages) == 4


async def test_a_future_can_be_read_afterwards_in_streams() -> None:
    """Nothing is lost when nobody reads while the run goes on."""
    future = MessageFuture()
    await chunks_of(whole_run().stream([HI], callbacks=[future]))

    pieces: list[list[str]] = []
    async for reader in future.streams():
        async with reader:
            pieces.append([chunk.content async for chunk in reader])

    assert pieces[-1] == ["three", " and", " ab"]
    assert ["a", "b"] in pieces


async def test_a_future_ends_with_the_error_of_the_run() -> None:
    """Behind the messages that there were."""
    agent = ReactAgent(model=ScriptedChatModel([[CALL], RateLimitError("slow down")]), tools=[add])
    seen: list[str] = []

    async with MessageFuture() as future:
        with pytest.raises(RunError):
            await agent.generate([HI], callbacks=[future])
        with pytest.raises(RunError, match="slow down"):
            async for message in future:
                seen.append(message.role)  # noqa: PERF401 - what came before the error counts

    assert seen == ["assistant", "tool"]


async def test_what_a_future_does_not_give_away_is_closed() -> None:
    """Leaving the block closes streams that nobody read; what comes later is not kept."""
    async with MessageFuture() as future:
        async with whole_run().stream([HI], callbacks=[future]) as reader:
            await future.aclose()
            assert concat_messages([chunk async for chunk in reader]).content == "three and ab"
        assert [message async for message in future] == []
    async with MessageFuture() as future:
        await chunks_of(whole_run().stream([HI], callbacks=[future]))


async def test_a_future_hears_one_agent_of_several() -> None:
    """By the name of the agent's node; tools may be agents of their own."""
    inner = ReactAgent(model=ScriptedChatModel([[CALL], "inner"]), tools=[add], name="inner")

    @tool
    async def ask(question: str) -> str:
        """Ask another agent."""
        return (await inner.generate([user_message(question)])).content

    outer = ReactAgent(model=ScriptedChatModel([[tool_call("ask", {"question": "?"}, id="9")], "outer"]), tools=[ask])
    graph = Graph[list[Message], Message]().add_graph_node("agent", outer.runnable)
    runnable = graph.add_edge(START, "agent").add_edge("agent", END).compile()
    all_of_it = {name: MessageFuture(name) for name in ("agent", "inner", "nobody")}

    await runnable.invoke([HI], callbacks=list(all_of_it.values()))

    async with all_of_it["agent"] as future:
        assert [message.content async for message in future] == ["", "inner", "outer"]
    async with all_of_it["inner"] as future:
        assert [message.content async for message in future] == ["", "3", "inner"]
    with anyio.move_on_after(0):
        async for _ in all_of_it["nobody"]:
            raise AssertionError


async def test_one_task_reads_a_future() -> None:
    """A second one is told, instead of both waiting for ever."""
    future = MessageFuture()
    async with anyio.create_task_group() as group:

        async def read() -> None:
            async for _ in future:
                raise AssertionError

        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Exception, match="another task"):
            await read()
        group.cancel_scope.cancel()


async def test_multimodal_results_reach_a_future() -> None:
    """As the parts that the model gets."""

    @tool
    async def draw() -> Any:
        """Draw."""
        return tool_result("a drawing")

    future = MessageFuture()
    agent = ReactAgent(model=ScriptedChatModel([[tool_call("draw", {}, id="1")], "nice"]), tools=[draw])
    await agent.generate([HI], callbacks=[future])

    messages = [message async for message in future]
    assert messages[1].user_parts[0].text == "a drawing"  # type: ignore[union-attr]
