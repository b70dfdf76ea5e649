"""Runs of agents: events and streams, errors, session values, what is stored and how a run goes on."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from eino import (
    END,
    START,
    Graph,
    GraphInterrupt,
    MemoryStore,
    RunError,
    current_context,
    handler_builder,
    interrupt,
    user_message,
)
from eino._run.context import NoRunError
from eino.adk import (
    AgentEvent,
    AgentInput,
    AgentOutput,
    EventStream,
    FunctionAgent,
    HopLimitError,
    LoopAgent,
    MessageVariant,
    ParallelAgent,
    Runner,
    SequentialAgent,
    TransferError,
    agent,
    agent_tool,
    current_agent_run,
    exit_action,
    message_event,
    session_value,
    session_values,
    set_session_value,
    set_session_values,
    transfer_action,
    with_sub_agents,
)
from eino.errors import (
    BuildError,
    ConcatError,
    RunCancelledError,
    StreamInUseError,
    ToolArgumentsError,
    ToolError,
    UnknownRunError,
)
from eino.ext.stores.sqlite import SQLiteStore
from eino.schema import assistant_message
from eino.schema.message import Message
from eino.schema.stream import StreamReader
from eino_fixtures import Asks, ScriptedAgent


async def drained(events: EventStream) -> list[AgentEvent]:
    async with events:
        return [event async for event in events]


async def said(events: list[AgentEvent]) -> list[str]:
    return [(await event.message.get()).content for event in events if event.message is not None]


def streaming(name: str, *chunks: str, fails: Exception | None = None, asks: Any = None) -> FunctionAgent:
    """Return an agent that streams a message, which may break off, and then may ask."""

    @agent(name=name, description="Streams.")
    async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
        async def pieces() -> AsyncIterator[Message]:
            for chunk in chunks:
                yield assistant_message(chunk)
            if fails is not None:
                raise fails

        if not current_context().was_interrupted:
            yield message_event(pieces())
        if asks is not None:
            yield message_event(assistant_message(str(interrupt(asks))))

    return run


def setting(name: str, **values: Any) -> FunctionAgent:
    @agent(name=name, description="Sets values.")
    async def run(_: AgentInput) -> AsyncIterator[AgentEvent]:
        set_session_values(values)
        yield message_event(assistant_message(f"{name} set"))

    return run


# Messages of events


async def test_a_streamed_message_can_be_read_by_anybody_as_often_as_they_like() -> None:
    """Each reader gets all chunks; the whole message is there when the run has ended."""
    [event] = await drained(Runner(streaming("a", "one ", "two")).query("x"))

    assert event.message is not None
    assert event.message.is_streaming
    for _ in range(2):
        async with event.message.stream() as reader:
            assert [chunk.content async for chunk in reader] == ["one ", "two"]
        assert (await event.message.get()).content == "one two"


async def test_chunks_arrive_while_the_agent_still_makes_them() -> None:
    """The reader gets the first chunk before the second one is made."""
    go_on = anyio.Event()

    @agent()
    async def slow(_: AgentInput) -> AsyncIterator[AgentEvent]:
        async def pieces() -> AsyncIterator[Message]:
            yield assistant_message("first ")
            await go_on.wait()
            yield assistant_message("second")

        yield message_event(pieces())

    async with Runner(slow).query("x") as events:
        message = (await anext(events)).message
        assert message is not None
        async with message.stream() as reader:
            first = await reader.recv()
            go_on.set()
            rest = [chunk.content async for chunk in reader]

    assert (first.content, rest) == ("first ", ["second"])


async def test_a_stream_that_breaks_off_says_so_to_readers_and_to_the_next_agent() -> None:
    """The reader gets the good part and the error; nobody can go on from it, so the next agent's turn fails."""
    broken = streaming("a", "good ", fails=ValueError("cut"))
    events = await drained(Runner(SequentialAgent(name="seq", agents=[broken, ScriptedAgent("b", ["x"])])).query("x"))

    message = events[0].message
    assert message is not None
    with pytest.raises(ValueError, match="cut"):
        await message.get()
    async with message.stream() as reader:
        assert (await reader.recv()).content == "good "
        with pytest.raises(ValueError, match="cut"):
            await reader.recv()
    assert "a message of agent 'a' broke off" in str(events[-1].error)
    assert [chunk.content for chunk in message.partial] == ["good "]


async def test_an_attempt_that_is_made_again_is_left_out_of_histories() -> None:
    """Its error says so; the next agent sees only the attempt that counts."""

    class AgainError(Exception):
        will_retry = True

    first = SequentialAgent(name="inner", agents=[streaming("a", "bad", fails=AgainError()), streaming("b", "good")])
    last = ScriptedAgent("last", ["done"])

    await drained(Runner(SequentialAgent(name="seq", agents=[first, last])).query("x"))

    assert [each.content for each in last.inputs[0].messages] == ["x", "For context: [b] said: good."]


async def test_an_empty_stream_is_no_message() -> None:
    """It is told, but is not part of the conversation."""
    last = ScriptedAgent("last", ["done"])

    events = await drained(Runner(SequentialAgent(name="seq", agents=[streaming("a"), last])).query("x"))

    assert events[0].message is not None
    with pytest.raises(ConcatError, match="empty stream"):
        await events[0].message.get()
    assert [each.content for each in last.inputs[0].messages] == ["x"]


async def test_chunks_that_do_not_fit_together_are_an_error_of_the_message() -> None:
    """Here of two roles."""
    variant = MessageVariant(StreamReader.from_iterable([assistant_message("a"), user_message("b")]))

    with pytest.raises(ConcatError):
        await variant.get()


def test_what_is_no_message_is_refused() -> None:
    """With the value."""
    with pytest.raises(TypeError, match="got 'hello'"):
        message_event("hello")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"transfer_action\(''\)"):
        transfer_action("")


# The stream of events


async def test_a_run_goes_on_whether_anybody_reads_or_not() -> None:
    """The answer is there without reading; the events are still there behind it."""
    events = Runner(ScriptedAgent("a", ["one", "two"])).query("x")

    async with events:
        assert (await events.answer()).content == "two"
        assert events.done
        assert await said([event async for event in events]) == ["one", "two"]


async def test_leaving_the_block_cancels_the_run() -> None:
    """And waits until the agent has cleaned up; streams that nobody read are closed."""
    log: list[str] = []

    @agent()
    async def endless(_: AgentInput) -> AsyncIterator[AgentEvent]:
        async def pieces() -> AsyncIterator[Message]:
            try:
                yield assistant_message("chunk")
                await anyio.sleep_forever()
            finally:
                log.append("stream closed")

        try:
            yield message_event(assistant_message("hello"))
            yield message_event(pieces())
            await anyio.sleep_forever()
        finally:
            log.append("agent closed")

    async with Runner(SequentialAgent(name="seq", agents=[endless])).query("x") as events:
        await anext(events)
        await anext(events)
        await anyio.wait_all_tasks_blocked()

    assert "agent closed" in log
    assert events.done
    with pytest.raises(RunCancelledError):
        await events.answer()
    assert [event async for event in events] == []


async def test_events_that_are_dropped_unread_cancel_the_run_and_warn() -> None:
    """As any stream that is walked away from."""

    @agent()
    async def endless(_: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message("hello"))
        await anyio.sleep_forever()

    events: EventStream | None = Runner(endless).query("x")
    assert events is not None
    await anext(events)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        events = None
        gc.collect()
    await anyio.wait_all_tasks_blocked()

    assert any("events of a run of agents were dropped" in str(each.message) for each in caught)


async def test_two_tasks_cannot_read_the_events_of_one_run() -> None:
    """The second is told."""

    @agent()
    async def endless(_: AgentInput) -> AsyncIterator[AgentEvent]:
        await anyio.sleep_forever()
        yield AgentEvent()

    async with Runner(endless).query("x") as events, anyio.create_task_group() as group:
        group.start_soon(anext, events)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(StreamInUseError, match="two tasks"):
            await anext(events)
        group.cancel_scope.cancel()


async def test_a_run_that_fails_ends_with_an_event_that_says_why() -> None:
    """Reading does not raise; the answer does. The event names the agent that failed."""
    runner = Runner(SequentialAgent(name="seq", agents=[ScriptedAgent("a", ["fine", ValueError("broken")])]))

    events = await drained(runner.query("x"))

    assert (events[-1].agent_name, events[-1].run_path) == ("a", ("seq", "a"))
    assert isinstance(events[-1].error, RunError)
    assert isinstance(events[-1].error.__cause__, ValueError)
    async with runner.query("x") as again:
        with pytest.raises(RunError, match="broken"):
            await again.answer()


async def test_an_error_event_of_an_agent_ends_the_run_and_is_told_once() -> None:
    """What an agent yields as an error is not told again at the end."""
    failing = ScriptedAgent("a", [AgentEvent(error=ValueError("told")), "never"])
    later = ScriptedAgent("b", ["never"])

    events = await drained(Runner(SequentialAgent(name="seq", agents=[failing, later])).query("x"))

    assert [str(event.error) for event in events] == ["told"]
    assert later.turns == 0


async def test_a_run_without_a_word_has_no_answer() -> None:
    """The answer says so; the last message that was said in vain too."""
    async with Runner(ScriptedAgent("a", [exit_action()])).query("x") as events:
        with pytest.raises(RunError, match="no agent of the run said anything"):
            await events.answer()
    async with Runner(streaming("a", "x", fails=ValueError("cut"))).query("x") as events:
        with pytest.raises(RunError, match="broke off: ValueError: cut"):
            await events.answer()


async def test_a_run_that_stops_has_no_answer_yet() -> None:
    """The answer raises what says where it stopped; without a store as well."""
    async with Runner(ScriptedAgent("a", [Asks("sure?")])).query("x") as events:
        with pytest.raises(GraphInterrupt, match="sure"):
            await events.answer()
        event = await anext(events)

    assert event.action is not None
    assert event.action.interrupted is not None
    assert event.action.interrupted["agent:a"].info == "sure?"
    with pytest.raises(KeyError, match="agent:a"):
        event.action.interrupted["agent:b"]


async def test_custom_outputs_are_events_too() -> None:
    """They reach the reader, and are no part of the conversation."""
    last = ScriptedAgent("b", ["done"])

    @agent(name="a")
    async def custom(_: AgentInput) -> AsyncIterator[AgentEvent]:
        yield AgentEvent(output=AgentOutput(custom={"progress": 1}))
        turn = current_agent_run()
        assert turn is not None
        turn.send_custom("pushed")
        turn.send_action(exit_action())

    events = await drained(Runner(SequentialAgent(name="seq", agents=[custom, last])).query("x"))

    assert [event.output.custom for event in events if event.output] == [{"progress": 1}, "pushed"]
    assert last.turns == 0  # the last action counts, pushed or yielded


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        pytest.param(lambda: Runner("agent"), "is no agent", id="no agent"),  # type: ignore[arg-type]
        pytest.param(lambda: Runner(ScriptedAgent("a"), max_hops=-1), "max_hops=-1", id="negative hops"),
        pytest.param(lambda: Runner(ScriptedAgent("a")).query("x", checkpoint_id="1"), "stores nothing", id="no store"),
        pytest.param(
            lambda: Runner(ScriptedAgent("a")).query("x", timeout=1),  # type: ignore[call-arg]
            "unknown option 'timeout'",
            id="unknown option",
        ),
        pytest.param(lambda: ScriptedAgent("a:b"), "an agent's name", id="a name with a separator"),
        pytest.param(lambda: agent(name="a")(lambda _: None), "async generator", id="no generator"),  # type: ignore[arg-type,return-value]
        pytest.param(lambda: SequentialAgent(name="s", agents=[]), "give a list of agents", id="no steps"),
        pytest.param(
            lambda: ParallelAgent(name="p", agents=[ScriptedAgent("a"), ScriptedAgent("a")]), "called 'a'", id="twins"
        ),
        pytest.param(
            lambda: LoopAgent(name="l", agents=[ScriptedAgent("a")], max_iterations=0), "max_iterations=0", id="rounds"
        ),
        pytest.param(
            lambda: with_sub_agents(ScriptedAgent("a"), [ScriptedAgent("b"), ScriptedAgent("b")]),
            "could not tell them apart",
            id="twin sub-agents",
        ),
        pytest.param(
            lambda: with_sub_agents(with_sub_agents(ScriptedAgent("a"), [ScriptedAgent("b")]), [ScriptedAgent("c")]),
            "has sub-agents already",
            id="sub-agents twice",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_once(made: Any, problem: str) -> None:
    """With the value and the remedy."""
    with pytest.raises(BuildError, match=problem):
        made()


@pytest.mark.parametrize("messages", [user_message("x"), ["x"]], ids=["one message", "no message"])
def test_a_run_takes_a_list_of_messages(messages: Any) -> None:
    """Anything else is refused with the value."""
    with pytest.raises(TypeError, match="takes"):
        Runner(ScriptedAgent("a")).run(messages)


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        pytest.param(["text"], "an agent yields AgentEvents", id="no event"),
        pytest.param(None, "must return an async iterator", id="no iterator"),
    ],
)
async def test_an_agent_that_keeps_no_contract_fails_the_run(steps: Any, problem: str) -> None:
    """The error says what it gave and what to give."""

    class Wrong:
        name, description = "wrong", "Wrong."

        def run(self, _: AgentInput) -> Any:
            return None if steps is None else StreamReader.from_iterable(steps)

    [event] = await drained(Runner(Wrong()).query("x"))

    assert problem in str(event.error)


async def test_an_agent_cannot_say_that_the_run_has_stopped() -> None:
    """It has to ask."""
    [stop] = await drained(Runner(ScriptedAgent("a", [Asks("sure?")])).query("x"))

    [event] = await drained(Runner(ScriptedAgent("b", [AgentEvent(action=stop.action)])).query("x"))

    assert "call interrupt" in str(event.error)


async def test_an_agent_may_be_any_object_with_an_async_iterator() -> None:
    """One without aclose, too."""

    class Once:
        def __init__(self) -> None:
            self._left = [message_event(assistant_message("hi"))]

        def __aiter__(self) -> Once:
            return self

        async def __anext__(self) -> AgentEvent:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop()

    class Plain:
        name, description = "plain", ""

        def run(self, _: AgentInput) -> Any:
            return Once()

    assert await said(await drained(Runner(Plain()).query("x"))) == ["hi"]


# Transfers


async def test_a_transfer_to_nobody_fails_and_names_those_who_are_there() -> None:
    """Unknown to the tree, though not to the program."""
    tree = with_sub_agents(ScriptedAgent("a", [transfer_action("x")]), [ScriptedAgent("b", ["never"])])

    events = await drained(Runner(tree).query("x"))

    assert isinstance(events[-1].error, TransferError)
    assert "agent 'x' not found when transferring from 'a'; it may transfer to ['b']" in str(events[-1].error)


async def test_a_step_of_a_workflow_cannot_hand_over_to_the_workflow() -> None:
    """It is told what to do instead."""
    events = await drained(
        Runner(SequentialAgent(name="seq", agents=[ScriptedAgent("a", [transfer_action("seq")])])).query("x")
    )

    assert isinstance(events[-1].error, TransferError)
    assert "with_sub_agents" in str(events[-1].error)


async def test_agents_that_hand_over_for_ever_are_stopped() -> None:
    """The error names the path."""
    tree = with_sub_agents(ScriptedAgent("a", [transfer_action("b")]), [ScriptedAgent("b", [transfer_action("a")])])

    events = await drained(Runner(tree, max_hops=3).query("x"))

    assert isinstance(events[-1].error, HopLimitError)
    assert "a -> b -> a -> b -> a" in str(events[-1].error)
    assert len(events) == 5


async def test_an_agent_may_be_kept_from_handing_back() -> None:
    """Then its parent is nobody that it knows."""
    child = with_sub_agents(ScriptedAgent("b", [transfer_action("a")]), [], disallow_transfer_to_parent=True)

    events = await drained(Runner(with_sub_agents(ScriptedAgent("a", [transfer_action("b")]), [child])).query("x"))

    assert "may transfer to []" in str(events[-1].error)


async def test_an_agent_may_have_the_conversation_told_in_its_own_way() -> None:
    """A rewriter gets who said what."""
    seen: list[Any] = []

    def rewrite(entries: Any, name: str) -> list[Message]:
        seen.append((name, [(each.agent_name, each.message.content, each.is_user_input) for each in entries]))
        return [user_message("rewritten")]

    child = ScriptedAgent("b", ["done"])
    root = ScriptedAgent("a", [message_event(assistant_message("go"), action=transfer_action("b"))])

    await drained(Runner(with_sub_agents(root, [with_sub_agents(child, [], history_rewriter=rewrite)])).query("x"))

    assert seen == [("b", [("", "x", True), ("a", "go", False)])]
    assert child.inputs[0].messages == (user_message("rewritten"),)


async def test_messages_of_transfers_may_be_left_out() -> None:
    """The call and its result, both."""
    from eino.adk import deterministic_transfer

    last = ScriptedAgent("b", ["done"])
    root = deterministic_transfer(ScriptedAgent("a", ["hello"]), to=["b"])

    await drained(Runner(with_sub_agents(root, [last]), skip_transfer_messages=True).query("x"))

    assert [each.content for each in last.inputs[0].messages] == ["x", "For context: [a] said: hello."]


async def test_an_agent_knows_whom_it_may_hand_over_to() -> None:
    """Its children, then its parent, with their descriptions."""
    known: list[Any] = []

    @agent(name="b", description="B.")
    async def middle(_: AgentInput) -> AsyncIterator[AgentEvent]:
        turn = current_agent_run()
        assert turn is not None
        known.append(turn.transfer_targets)
        yield message_event(assistant_message("done"))

    root = ScriptedAgent("a", [transfer_action("b")])

    await drained(Runner(with_sub_agents(root, [with_sub_agents(middle, [ScriptedAgent("c")])])).query("x"))

    assert known == [(("c", "The agent c."), ("a", "The agent a."))]


async def test_a_tree_runs_inside_a_workflow_and_inside_a_tree() -> None:
    """An agent may be in both at once."""
    leaf = ScriptedAgent("c", ["leaf"])
    middle = with_sub_agents(ScriptedAgent("b", [transfer_action("c")]), [leaf])
    root = with_sub_agents(ScriptedAgent("a", [transfer_action("b")]), [middle])

    whole = SequentialAgent(name="seq", agents=[root, middle])
    events = await drained(Runner(whole).query("x"))

    assert [event.run_path for event in events if event.message] == [
        ("seq", "a", "b", "c"),
        ("seq", "a", "b", "c"),
    ]


# Parallel agents


async def test_agents_beside_each_other_end_though_one_fails() -> None:
    """The error is told when it happens, once, and the answer raises it."""
    agents = [ScriptedAgent("a", [ValueError("first")]), ScriptedAgent("b", ["one", "two"])]
    async with Runner(ParallelAgent(name="p", agents=agents)).query("x") as events:
        with pytest.raises(RunError, match="first"):
            await events.answer()
        heard = [event async for event in events]

    assert [event.agent_name for event in heard if event.error] == ["a"]
    assert await said(heard) == ["one", "two"]


async def test_only_what_failed_beside_others_runs_again() -> None:
    """A stored run that failed is called again: those that ended beside it are not run again."""
    broken = [True]

    @agent(name="a")
    async def failing(_: AgentInput) -> AsyncIterator[AgentEvent]:
        await anyio.wait_all_tasks_blocked()
        if broken.pop() if broken else False:
            raise ValueError("first")
        yield message_event(assistant_message("better now"))

    other = ScriptedAgent("b", ["done"])
    both = ParallelAgent(name="p", agents=[failing, other])
    runner = Runner(both, checkpoint_store=MemoryStore(), durability="step")

    events = await drained(runner.query("x", checkpoint_id="1"))
    again = await drained(runner.query("x", checkpoint_id="1"))

    assert [event.agent_name for event in events if event.error] == ["a"]
    assert await said(again) == ["better now"]
    assert other.turns == 1


@pytest.mark.parametrize("store", [MemoryStore, lambda: None], ids=["stored", "not stored"])
async def test_all_that_is_asked_beside_each_other_is_told_at_once(store: Any) -> None:
    """Also where the run cannot go on; the others end their turns first."""
    agents = [ScriptedAgent("a", [Asks("1")]), ScriptedAgent("b", ["x", Asks("2")]), ScriptedAgent("c", ["y", "z"])]
    runner = Runner(ParallelAgent(name="p", agents=agents), checkpoint_store=store())

    events = await drained(runner.query("x"))

    assert sorted(await said(events)) == ["x", "y", "z"]
    assert events[-1].agent_name == "p"
    assert events[-1].action is not None
    assert events[-1].action.interrupted is not None
    assert {each.address_text for each in events[-1].action.interrupted.contexts} == {
        "agent:p;agent:a",
        "agent:p;agent:b",
    }


async def test_what_was_said_beside_each_other_is_in_the_history_in_the_order_in_which_it_was() -> None:
    """And an exit of one of them ends what is around them."""
    turn = anyio.Event()

    @agent(name="a")
    async def first(_: AgentInput) -> AsyncIterator[AgentEvent]:
        await turn.wait()
        yield message_event(assistant_message("second"))

    @agent(name="b")
    async def second(_: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message("first"))
        turn.set()

    last, never = ScriptedAgent("c", [exit_action()]), ScriptedAgent("d", ["never"])
    both = ParallelAgent(name="p", agents=[first, second])
    leaving = ParallelAgent(name="q", agents=[last])

    await drained(Runner(SequentialAgent(name="seq", agents=[both, leaving, never])).query("x"))

    assert [each.content for each in last.inputs[0].messages] == [
        "x",
        "For context: [b] said: first.",
        "For context: [a] said: second.",
    ]
    assert never.turns == 0


# Session values


async def test_session_values_are_shared_by_all_agents_of_a_run() -> None:
    """Steps, agents beside each other, and agents inside tools."""
    tool = agent_tool(setting("inner", from_tool=3))

    @agent(name="last")
    async def last(_: AgentInput) -> AsyncIterator[AgentEvent]:
        await tool.run('{"request": "x"}')
        yield AgentEvent(output=AgentOutput(custom=(session_values(), session_value("nothing", "default"))))

    beside = ParallelAgent(name="p", agents=[setting("a", one=1), setting("b", two=2)])
    events = await drained(
        Runner(SequentialAgent(name="seq", agents=[beside, last])).query("x", session_values={"zero": 0})
    )

    assert events[-1].output is not None
    assert events[-1].output.custom == ({"zero": 0, "one": 1, "two": 2, "from_tool": 3}, "default")


def test_outside_a_run_there_are_no_session_values() -> None:
    """Setting one does nothing; a key that is no text is refused all the same."""
    set_session_value("a", 1)

    assert session_values() == {}
    assert session_value("a") is None
    with pytest.raises(TypeError, match="the key is a text"):
        set_session_value(1, 1)  # type: ignore[arg-type]


async def test_session_values_outlive_an_interrupt_and_new_ones_win() -> None:
    """The caller's values of the resume are set over the stored ones."""

    @agent(name="last")
    async def last(_: AgentInput) -> AsyncIterator[AgentEvent]:
        set_session_value("mine", current_context().was_interrupted)
        interrupt("go on?")
        yield AgentEvent(output=AgentOutput(custom=session_values()))

    whole = SequentialAgent(name="seq", agents=[setting("a", one=1, two=2), last])
    runner = Runner(whole, checkpoint_store=MemoryStore())

    await drained(runner.query("x", checkpoint_id="1"))
    [event] = await drained(
        runner.resume("1", {"agent:seq;agent:last": None}, session_values={"two": "new", "three": 3})
    )

    assert event.output is not None
    assert event.output.custom == {"one": 1, "two": "new", "three": 3, "mine": True}


# Stored runs


async def test_a_stored_run_keeps_its_mode_of_streaming() -> None:
    """Whatever the runner that goes on with it would do."""
    modes: list[bool] = []

    @agent(name="a")
    async def asking(given: AgentInput) -> AsyncIterator[AgentEvent]:
        modes.append(given.streaming)
        interrupt("sure?")
        yield message_event(assistant_message("done"))

    store = MemoryStore()
    await drained(Runner(asking, checkpoint_store=store, streaming=True).query("x", checkpoint_id="1"))
    await drained(Runner(asking, checkpoint_store=store).resume("1"))
    await drained(Runner(asking, checkpoint_store=store).resume("1", {"agent:a": None}))

    assert modes == [True, True, True]


@pytest.mark.parametrize("fails", [None, ValueError("cut")], ids=["whole", "broken off"])
async def test_streams_are_stored_whole_or_with_why_they_broke_off(fails: Exception | None) -> None:
    """A broken one does not keep the run from being stored; who goes on from it is told."""
    whole = SequentialAgent(
        name="seq", agents=[streaming("a", "one ", "two", fails=fails, asks="?"), ScriptedAgent("b", ["c"])]
    )
    runner = Runner(whole, checkpoint_store=MemoryStore())

    await drained(runner.query("x", checkpoint_id="1"))
    events = await drained(runner.resume("1", {"agent:seq;agent:a": "answer"}))

    if fails is None:
        assert await said(events) == ["answer", "c"]
    else:
        assert "broke off, so nobody can go on from it: ValueError: cut" in str(events[-1].error)


async def test_a_run_goes_on_with_agents_that_were_made_anew(tmp_path: Path) -> None:
    """As after a restart: only the store is the same, here a file that is opened again."""

    def made(store: SQLiteStore) -> tuple[Runner, ScriptedAgent]:
        last = ScriptedAgent("last", ["done"])
        beside = ParallelAgent(name="p", agents=[ScriptedAgent("a", ["said a", Asks("a?")]), ScriptedAgent("b", ["b"])])
        tree = with_sub_agents(ScriptedAgent("root", ["over", transfer_action("sub")]), [beside_of(beside)])
        whole = SequentialAgent(name="seq", agents=[setting("first", key="value"), tree, last])
        return Runner(whole, checkpoint_store=store), last

    def beside_of(parallel: ParallelAgent) -> SequentialAgent:
        return SequentialAgent(name="sub", agents=[parallel])

    async with SQLiteStore(tmp_path / "runs.db") as store:
        events = await drained(made(store)[0].query("x", checkpoint_id="1"))
    assert events[-1].action is not None
    assert events[-1].action.interrupted is not None
    [point] = events[-1].action.interrupted.contexts
    assert point.address_text == "agent:seq;agent:root;agent:sub;agent:p;agent:a"

    async with SQLiteStore(tmp_path / "runs.db") as store:
        runner, last = made(store)
        events = await drained(runner.resume("1", {point.address_text: "yes"}))

    assert await said(events) == ["yes", "done"]
    told = [each.content for each in last.inputs[0].messages]
    assert told[1:3] == ["For context: [first] said: first set.", "For context: [root] said: over."]
    assert sorted(told[3:5]) == ["For context: [a] said: said a.", "For context: [b] said: b."]
    assert told[5:] == ["For context: [a] said: yes."]


async def test_a_run_that_broke_off_goes_on_behind_its_last_step() -> None:
    """With durability="step": finished agents do not run again, and what they said and set is still known."""
    crash = [True]

    @agent(name="c")
    async def crashing(given: AgentInput) -> AsyncIterator[AgentEvent]:
        if crash.pop() if crash else False:
            raise OSError("the machine went away")
        yield message_event(assistant_message(f"{len(given.messages)} {session_values()}"))

    first, second = setting("a", one=1), ScriptedAgent("b", ["b"])
    inner = SequentialAgent(name="inner", agents=[second, crashing])
    runner = Runner(
        SequentialAgent(name="seq", agents=[first, inner]), checkpoint_store=MemoryStore(), durability="step"
    )

    failed = await drained(runner.query("x", checkpoint_id="1", session_values={"zero": 0}))
    events = await drained(runner.query("ignored", checkpoint_id="1"))

    assert "the machine went away" in str(failed[-1].error)
    assert await said(events) == ["3 {'zero': 0, 'one': 1}"]
    assert second.turns == 1


async def test_a_run_that_nobody_stored_cannot_go_on() -> None:
    """The last event says so."""
    [event] = await drained(Runner(ScriptedAgent("a"), checkpoint_store=MemoryStore()).resume("nobody"))

    assert isinstance(event.error, UnknownRunError)


async def test_a_run_whose_tree_has_changed_says_which_agent_is_missing() -> None:
    """The agent that had the turn is gone."""
    store = MemoryStore()
    root = ScriptedAgent("a", [transfer_action("b")])
    before = with_sub_agents(root, [ScriptedAgent("b", [Asks("?")])])
    await drained(Runner(before, checkpoint_store=store).query("x", checkpoint_id="1"))

    after = with_sub_agents(root, [ScriptedAgent("c")])
    [event] = await drained(Runner(after, checkpoint_store=store).resume("1", {"agent:a;agent:b": 1}))

    assert "stands at agent 'b' below 'a', which this tree does not have: ['c']" in str(event.error)


# Agents inside agents, tools and graphs


async def test_an_agent_inside_a_custom_agent_is_part_of_its_turn() -> None:
    """Its events are told with its path, and are in the histories of later agents."""
    inner, later = ScriptedAgent("inner", ["from inner"]), ScriptedAgent("later", ["done"])
    driven = SequentialAgent(name="wrapped", agents=[inner])

    @agent(name="outer")
    async def outer(given: AgentInput) -> AsyncIterator[AgentEvent]:
        async for event in driven.run(AgentInput(messages=(user_message("own question"),))):
            yield event
        yield message_event(assistant_message("outer is done"))

    events = await drained(Runner(SequentialAgent(name="seq", agents=[outer, later])).query("x"))

    assert [event.run_path for event in events] == [
        ("seq", "outer", "wrapped", "inner"),
        ("seq", "outer"),
        ("seq", "outer", "later"),
    ]
    assert [each.content for each in inner.inputs[0].messages] == ["own question"]
    assert [each.content for each in later.inputs[0].messages] == [
        "x",
        "For context: [inner] said: from inner.",
        "For context: [outer] said: outer is done.",
    ]


async def test_a_custom_agent_gets_what_an_agent_inside_it_fails_with() -> None:
    """It may answer for it; what it walks away from is cancelled."""
    cancelled: list[str] = []

    @agent(name="endless")
    async def endless(_: AgentInput) -> AsyncIterator[AgentEvent]:
        try:
            yield message_event(assistant_message("first"))
            await anyio.sleep_forever()
        finally:
            cancelled.append("endless")

    failing = SequentialAgent(name="failing", agents=[ScriptedAgent("bad", [ValueError("broken")])])
    waiting = SequentialAgent(name="waiting", agents=[endless])

    @agent(name="outer")
    async def outer(given: AgentInput) -> AsyncIterator[AgentEvent]:
        try:
            async for event in failing.run(given):
                yield event
        except RunError as error:
            yield message_event(assistant_message(f"caught {error.__cause__}"))
        async with aclosing(waiting.run(given)) as events:  # type: ignore[type-var]  # it is a generator
            yield await anext(events)

    assert await said(await drained(Runner(outer).query("x"))) == ["caught broken", "first"]
    assert cancelled == ["endless"]


async def test_a_built_in_agent_can_be_run_by_itself() -> None:
    """Outside every run it is a run of its own."""
    whole = SequentialAgent(name="seq", agents=[ScriptedAgent("a", ["one"]), ScriptedAgent("b", [ValueError("no")])])

    events = [event async for event in whole.run(AgentInput(messages=(user_message("x"),)))]

    assert await said(events) == ["one"]
    assert "no" in str(events[-1].error)
    assert repr(whole) == "SequentialAgent('seq')"


async def test_a_runner_inside_a_node_of_a_graph_stops_the_graph() -> None:
    """Its place is stored with the graph, and it goes on with it."""
    runner = Runner(ScriptedAgent("a", ["first", Asks("sure?")]))

    async def node(text: str) -> str:
        async with runner.query(text) as events:
            async for _ in events:
                pass
            return (await events.answer()).content

    async def asked(text: str) -> str:
        async with runner.query(text) as events:
            return (await events.answer()).content

    for work in (node, asked):
        graph = Graph[str, str]().add_lambda_node("run", work).add_edge(START, "run").add_edge("run", END)
        runnable = graph.compile(name="outer", checkpoint_store=MemoryStore())
        with pytest.raises(GraphInterrupt) as stop:
            await runnable.invoke("x", checkpoint_id="1")

        [point] = stop.value.contexts
        assert await runnable.invoke(checkpoint_id="1", resume={point.id: "yes"}) == "yes"


async def test_an_agent_tool_outside_every_run_runs_its_agent_alone() -> None:
    """And says what is wrong with its arguments."""
    tool = agent_tool(ScriptedAgent("helper", ["one", "two"]))

    assert await tool.run('{"request": "x"}') == "two"
    for arguments in ("{", "[]", '{"request": 1}'):
        with pytest.raises(ToolArgumentsError, match="helper"):
            await tool.run(arguments)


async def in_tool_graph(tool: Any, arguments: str = '{"request": "x"}') -> Any:
    """Run a tool in a node of a graph."""

    async def node(text: str) -> str:
        return str(await tool.run(text))

    graph = Graph[str, str]().add_lambda_node("run", node).add_edge(START, "run").add_edge("run", END)
    return await graph.compile(name="outer").invoke(arguments)


async def test_an_agent_tool_works_in_any_graph() -> None:
    """Where no agent calls: its result is the text of the last event, empty if that has none."""
    assert await in_tool_graph(agent_tool(ScriptedAgent("a", ["one", "two"]))) == "two"
    assert await in_tool_graph(agent_tool(ScriptedAgent("a", ["one", exit_action()]))) == ""


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        pytest.param([], "no event returned", id="says nothing"),
        pytest.param([ValueError("broken")], "broken", id="fails"),
    ],
)
async def test_an_agent_tool_fails_with_its_agent(steps: Any, problem: str) -> None:
    """As any tool."""
    with pytest.raises(RunError, match=problem):
        await in_tool_graph(agent_tool(ScriptedAgent("a", steps)))


async def test_an_agent_tool_fails_when_the_last_message_of_its_agent_broke_off() -> None:
    """The text says why."""
    with pytest.raises(RunError, match="broke off: ValueError: cut"):
        await in_tool_graph(agent_tool(streaming("a", "x", fails=ValueError("cut"))))


async def test_an_agent_tool_may_be_limited_in_time_and_tried_again() -> None:
    """A try that takes too long is cancelled, and the next one answers."""
    from eino import RetryPolicy

    turns: list[str] = []

    @agent(name="slow", description="Slow at first.")
    async def slow(_: AgentInput) -> AsyncIterator[AgentEvent]:
        turns.append("try")
        if len(turns) == 1:
            await anyio.sleep_forever()
        yield message_event(assistant_message("in time"))

    tool = agent_tool(slow, timeout_s=0.01, retry=RetryPolicy(base_s=0, seed=1))

    assert await in_tool_graph(tool) == "in time"
    assert len(turns) == 2
    with pytest.raises((ToolError, RunError), match="slow"):
        turns.clear()
        await in_tool_graph(agent_tool(slow, timeout_s=0.01))


async def test_an_agent_tool_may_take_other_arguments_than_a_request() -> None:
    """The agent gets them as they are."""
    inner = ScriptedAgent("a", ["done"])
    tool = agent_tool(inner, input_schema={"type": "object", "properties": {"city": {"type": "string"}}})

    await in_tool_graph(tool, '{"city": "Paris"}')

    assert tool.info.parameters == {"type": "object", "properties": {"city": {"type": "string"}}}
    assert inner.inputs[0].messages == (user_message('{"city": "Paris"}'),)


async def test_the_whole_conversation_is_there_for_chat_agents_only() -> None:
    """Elsewhere the tool says so."""
    with pytest.raises(RunError, match="needs the conversation of a chat agent"):
        await in_tool_graph(agent_tool(ScriptedAgent("a", ["x"]), full_history=True), "{}")


def test_code_outside_a_run_has_no_turn() -> None:
    """Asking for it is None, requiring it an error."""
    from eino.adk.run_state import require_agent_run

    assert current_agent_run() is None
    with pytest.raises(NoRunError, match="no agent runs here"):
        require_agent_run()


async def test_handlers_are_told_what_an_agent_got_and_what_it_said() -> None:
    """At the end all events of the turn, with its last action; on resume that it goes on."""
    heard: list[Any] = []
    handler = handler_builder(
        on_start=lambda info, given: heard.append(given) if info.component == "Agent" and info.name == "a" else None,
        on_end=lambda info, output: heard.append(output) if info.component == "Agent" and info.name == "a" else None,
    )
    runner = Runner(
        SequentialAgent(name="seq", agents=[ScriptedAgent("a", ["one", Asks("?"), exit_action()])]),
        checkpoint_store=MemoryStore(),
        callbacks=[handler],
    )

    await drained(runner.query("x", checkpoint_id="1"))
    await drained(runner.resume("1", {"agent:seq;agent:a": "answer"}))

    start, again, end = heard
    assert (start.input.messages[0].content, start.run_path, start.resumed) == ("x", ("seq", "a"), False)
    assert again.resumed
    assert await said(list(end.events)) == ["answer"]
    assert end.action == exit_action()


async def test_a_run_may_take_only_so_long() -> None:
    """Then it fails, and what runs is cancelled."""
    from eino.errors import RunTimeoutError

    @agent(name="endless")
    async def endless(_: AgentInput) -> AsyncIterator[AgentEvent]:
        await anyio.sleep_forever()
        yield AgentEvent()

    runner = Runner(endless)
    [event] = await drained(runner.query("x", timeout_s=0.01))

    assert isinstance(event.error, RunTimeoutError)
    assert repr(runner) == "Runner('endless')"
