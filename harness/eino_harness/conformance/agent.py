"""Does an agent keep the contract of `Agent`, alone and among others?"""

from __future__ import annotations

import copy
import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

import anyio

from eino import MemoryStore, Message, assistant_message, tool_call, user_message
from eino.adk import (
    Agent,
    AgentEvent,
    AgentInput,
    AgentInterrupt,
    ChatModelAgent,
    EventStream,
    FunctionAgent,
    LoopAgent,
    ParallelAgent,
    Runner,
    SequentialAgent,
    agent_tool,
    message_event,
    transfer_action,
    with_sub_agents,
)
from eino.adk.agent import checked_name
from eino.errors import BuildError, RunError
from eino.schema import concat
from eino_harness._leaks import GeneratorWatch, TaskWatch, settle
from eino_harness.conformance._suite import Conformance, ConformanceError, at_once, require

__all__ = ["AgentConformance"]

_ROLES: Final = frozenset({"system", "user", "assistant", "tool"})
_ROUNDS: Final = 2


class AgentConformance(Conformance, suite=True):
    """Checks an agent.

        class TestClerk(AgentConformance):
            query = "Where is my parcel?"
            question, answer = "Send it back.", "yes"

            def make(self):
                return Clerk()

            def make_failing(self):
                return Clerk(shop=ClosedShop())

    Abilities that can be left out with a reason: `"streaming"` (it streams messages when they are wanted so),
    `"questions"` (it stops with `interrupt()`), `"errors"` (it can fail), `"repeatable"` (the same messages give the
    same answer), `"waiting"` (it has a point where it waits), `"tool"` (it is of use as a tool of another agent).
    """

    _is_suite = True
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {
        "streaming": ("test_it_streams",),
        "questions": ("test_its_questions_stop_the_run", "test_questions_that_nobody_answers_are_asked_again"),
        "errors": ("test_a_failure_becomes_an_event",),
        "repeatable": ("test_it_can_be_used_again", "test_runs_beside_each_other_do_not_mix"),
        "waiting": ("test_cancellation_passes",),
        "tool": ("test_it_works_as_a_tool",),
    }

    query: ClassVar[str] = "Hello"
    """What a user says that the agent answers without a question of its own."""
    question: ClassVar[str] = "Hello"
    """What a user says that makes the agent ask."""
    answer: ClassVar[Any] = "yes"
    """What is answered to each of its questions."""

    def make(self) -> Any:
        """Return a new agent: itself, an awaitable, or an async context manager that closes it."""
        return super().make()

    def make_failing(self) -> Any:
        """Return a new agent that fails when it is asked `query`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define make_failing(), an agent that fails; or leave it out with "
            "without = {'errors': 'the reason'}"
        )

    async def test_it_has_the_form_of_an_agent(self) -> None:
        """It has a name that addresses can hold and a description, always the same, and a method `run`."""
        async with self.component() as agent:
            require(isinstance(agent, Agent), f"{type(agent).__name__} must have `name`, `description` and `run`")
            name, description = agent.name, agent.description
            try:
                checked_name(name)
            except BuildError as error:
                raise ConformanceError(str(error)) from error
            require(isinstance(description, str), f"`description` must be a text, got {description!r:.200}")
            require(description.strip(), f"agent {name!r} needs a description: other agents choose by it")
            require((agent.name, agent.description) == (name, description), "name and description must not change")

    async def test_run_returns_an_iterator_at_once(self) -> None:
        """`run(input)` returns an async iterator without waiting; nothing happens before the first pull."""
        async with self.component() as agent, _nothing_left("a turn that nobody pulled"):
            events = agent.run(_input(self.query))
            if inspect.iscoroutine(events):
                events.close()
                raise ConformanceError("`run` must return an async iterator at once: make it an async generator")
            require(hasattr(events, "__anext__"), f"`run` must return an async iterator, got {events!r:.200}")
            await _closed(events)

    async def test_its_events_are_well_formed(self) -> None:
        """Each event says something, in its own name, on a path that begins with the agent; there is an answer."""
        async with self.component() as agent:
            events = await _events_of(Runner(agent), self.query)
            for event in events:
                await _require_well_formed(agent.name, event)
        require(any(event.message is not None for event in events), "no event has a message: the agent answers nothing")

    async def test_messages_can_be_read_more_than_once(self) -> None:
        """Each message can be read by many and as often as they like, and the chunks join into the whole."""
        async with self.component() as agent:
            for event in await _events_of(Runner(agent, streaming=True), self.query):
                if event.message is not None:
                    first = [chunk async for chunk in event.message.stream()]
                    again = [chunk async for chunk in event.message.stream()]
                    require(first, f"a message of {event.agent_name!r} is an empty stream")
                    require(first == again, f"the second reader of a message of {event.agent_name!r} got other chunks")
                    whole = await event.message.get()
                    require(concat(first) == whole, f"the chunks {first!r:.200} do not join into {whole!r:.200}")

    async def test_it_streams(self) -> None:
        """When chunks are wanted, at least one message streams, and its text is that of the whole message."""
        async with self.component() as agent:
            streamed = await _events_of(Runner(agent, streaming=True), self.query)
        require(
            any(event.message is not None and event.message.is_streaming for event in streamed),
            "no message streamed although `input.streaming` was True: give message_event() an async iterator of chunks",
        )

    async def test_what_it_says_is_on_record(self) -> None:
        """The agent that has the next turn in a sequence sees what this one said."""
        async with self.component() as agent:
            listener = _Listener()
            events = await _events_of(Runner(SequentialAgent(name="line", agents=[agent, listener.agent])), self.query)
            said = [await event.message.get() for event in events if event.message and event.agent_name == agent.name]
        if any(event.action is not None and event.action.exit for event in events):
            require(not listener.heard, "an agent got a turn although one before it had ended the run")
            return
        require(listener.heard, "the agent behind it in a sequence got no turn")
        seen = "\n".join(message.content for message in listener.heard[0][1:])  # behind the query
        for message in said:
            require(
                message.content in seen,
                f"the next agent does not see {message.content!r:.200}; leave `run_path` of its own events empty",
            )

    async def test_the_input_stays_as_it_is(self) -> None:
        """The messages that it gets are not changed."""
        messages = _messages(self.query)
        before = copy.deepcopy(messages)
        async with self.component() as agent, Runner(agent).run(messages) as events:
            async for _ in events:
                pass
        require(messages == before, f"the messages became {messages!r:.300}")

    async def test_it_can_be_used_again(self) -> None:
        """A second run gives what the first one gave."""
        async with self.component() as agent:
            first, second = await _answer_of(agent, self.query), await _answer_of(agent, self.query)
        require(first == second, f"the first run gave {first!r:.200}, the second one {second!r:.200}")

    async def test_runs_beside_each_other_do_not_mix(self) -> None:
        """Runs beside each other, each with messages of its own, give what they give alone."""
        async with self.component() as agent:
            answers = await at_once(lambda number: _answer_or_error(agent, f"{self.query} ({number})"))
            for number, answer in enumerate(answers):
                alone = await _answer_of(agent, f"{self.query} ({number})")
                require(answer == alone, f"a run beside others gave {answer!r:.200} instead of {alone!r:.200}")

    async def test_a_failure_becomes_an_event(self) -> None:
        """A failure ends the run with an event that has the error; the agent behind it gets no turn."""
        async with self.component(self.make_failing) as agent:
            listener = _Listener()
            runner = Runner(SequentialAgent(name="line", agents=[agent, listener.agent]))
            async with _nothing_left("a run that failed"), runner.query(self.query) as stream:
                events = [event async for event in stream]
                failures = [event.error for event in events if event.error is not None]
                require(failures, "a run that fails must have an event with the error")
                require(all(str(each) for each in failures), f"an error says nothing: {failures!r}")
                try:
                    answer = await stream.answer()
                except RunError:
                    pass
                else:
                    raise ConformanceError(f"a run that fails has no answer, but got {answer.content!r:.200}")
        require(not listener.heard, "the agent behind one that failed got a turn")

    async def test_cancellation_passes(self) -> None:
        """A turn that is cancelled where it first waits ends as cancelled, and the next run gives an answer."""
        async with self.component() as agent:
            caught: list[bool] = []

            async def cancels(given: AgentInput) -> AsyncIterator[AgentEvent]:
                turn = agent.run(given)
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    try:
                        async for _ in turn:
                            pass
                    finally:
                        with anyio.CancelScope(shield=True):
                            await _closed(turn)
                caught.append(scope.cancelled_caught)
                yield message_event(assistant_message("cancelled"))

            async with _nothing_left("a turn that was cancelled"):
                await _answer_of(FunctionAgent(cancels, name="around"), self.query)
            require(
                caught == [True], "a cancelled turn must end as cancelled, but it went on; let cancellation through"
            )
            await _answer_of(agent, self.query)

    async def test_it_leaves_nothing_behind(self) -> None:
        """Behind a run that nobody read, one that was left early and one that was cancelled, nothing stays open."""
        async with self.component() as agent:
            runner = Runner(agent, streaming=True)
            async with _nothing_left("a run whose messages nobody read"):
                await _drained(runner.query(self.query))
            async with _nothing_left("a run that was left early"), runner.query(self.query) as events:
                await anext(events)
            async with _nothing_left("a run that was cancelled"), runner.query(self.query) as events:
                await anext(events)
                handle = events.cancel()
                async for _ in events:
                    pass
                await handle.wait()

    async def test_its_questions_stop_the_run(self) -> None:
        """A question stops the run; with the answer a new agent goes on from the store, without saying all again."""
        store = MemoryStore()
        async with self.component() as agent:
            events = await _events_of(Runner(agent, checkpoint_store=store), self.question, checkpoint_id="1")
            stop = _stop_of(events)
            before = await _texts_of(events)
            for context in stop.contexts:
                _require_address(agent.name, context.address_text)
        async with self.component() as agent:
            runner = Runner(agent, checkpoint_store=store)
            for _ in range(100):
                events = await _drained(runner.resume("1", {each.id: self.answer for each in stop.contexts}))
                after = await _texts_of(events)
                if not _is_stopped(events):
                    break
                stop, before = _stop_of(events), [*before, *after]
            else:
                raise ConformanceError("the agent asks for ever: 100 answers were not enough")
        require(
            not before or after[: len(before)] != before,
            f"the run said {before[0]!r:.200} again when it went on: ask current_context().was_interrupted first",
        )
        require(after, "the run that went on with the answers said nothing")

    async def test_questions_that_nobody_answers_are_asked_again(self) -> None:
        """A run that goes on without an answer asks the same again, at the same places."""
        store = MemoryStore()
        async with self.component() as agent:
            runner = Runner(agent, checkpoint_store=store)
            first = _stop_of(await _events_of(runner, self.question, checkpoint_id="1"))
            again = _stop_of(await _drained(runner.resume("1")))
        places = [sorted(context.address_text for context in stop.contexts) for stop in (first, again)]
        require(places[0] == places[1], f"it asked at {places[0]}, and without an answer at {places[1]}")

    async def test_it_works_as_a_tool(self) -> None:
        """As a tool of a chat agent its result is the message of its last event; nothing, if that has none."""
        async with self.component() as agent:
            last = (await _events_of(Runner(agent), self.query))[-1]
            alone = (await last.message.get()).content if last.message is not None else ""
            tool = agent_tool(agent)
            caller = ChatModelAgent(name="caller", model=_Calls(tool.info.name, self.query), tools=[tool])
            events = await _events_of(Runner(caller), "go")
        results = [await each.message.get() for each in events if each.message and each.message.role == "tool"]
        require(
            results and results[0].content == alone, f"as a tool it gave {results!r:.200} instead of {alone!r:.200}"
        )

    async def test_it_works_in_workflows(self) -> None:
        """Beside another agent, in a loop and below one that hands over to it, it has its turn and says something."""
        async with self.component() as agent:
            other = _Listener().agent
            boss = _Boss(agent.name).agent
            for around, wanted in (
                (ParallelAgent(name="both", agents=[agent, other]), 1),
                (LoopAgent(name="rounds", agents=[agent], max_iterations=_ROUNDS), _ROUNDS),
                (with_sub_agents(boss, [agent]), 1),
            ):
                events = await _events_of(Runner(around), self.query)
                ends = any(each.action is not None and (each.action.exit or each.action.break_loop) for each in events)
                turns = 1 if ends else wanted
                paths = [event.run_path for event in events if event.message is not None]
                own = {path[: index + 1] for path in paths for index, name in enumerate(path) if name == agent.name}
                require(
                    len(own) >= turns,
                    f"inside {around.name!r} it must say something in {turns} turns; the paths were {paths}",
                )


class _Listener:
    """An agent that notes what it sees."""

    def __init__(self) -> None:
        self.heard: list[tuple[Message, ...]] = []
        self.agent = FunctionAgent(self._run, name="conformance_listener", description="Listens.")

    async def _run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        self.heard.append(given.messages)
        yield message_event(assistant_message("heard"))


class _Boss:
    """An agent that hands over to another one, once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.agent = FunctionAgent(self._run, name="conformance_boss", description="Hands over.")

    async def _run(self, _: AgentInput) -> AsyncIterator[AgentEvent]:
        yield AgentEvent(action=transfer_action(self._name))


class _Calls:
    """A model that calls one tool once, and then is done."""

    def __init__(self, tool: str, request: str) -> None:
        self._call = assistant_message("", [tool_call(tool, {"request": request}, id="1")])

    def with_tools(self, _: Sequence[Any]) -> _Calls:
        return self

    async def generate(self, messages: Sequence[Message], options: Any = None) -> Message:
        return assistant_message("done") if messages[-1].role == "tool" else self._call

    async def stream(self, messages: Sequence[Message], options: Any = None) -> AsyncIterator[Message]:
        yield await self.generate(messages, options)


@asynccontextmanager
async def _nothing_left(behind: str) -> AsyncIterator[None]:
    """Require that the block leaves no task and no open generator behind."""
    tasks, generators = TaskWatch(), GeneratorWatch()
    generators.install()
    try:
        yield
        await settle()
        leaks = tasks.leaks() + generators.leaks()
    finally:
        generators.remove()
    require(not leaks, f"{behind} left something behind: {'; '.join(leaks)}")


async def _closed(events: Any) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


def _messages(text: str) -> list[Message]:
    return [user_message(text)]


def _input(text: str) -> AgentInput:
    return AgentInput(messages=tuple(_messages(text)))


async def _events_of(runner: Runner, text: str, **options: Any) -> list[AgentEvent]:
    """Return the events of a run that must not fail."""
    return await _drained(runner.run(_messages(text), **options))


async def _drained(stream: EventStream) -> list[AgentEvent]:
    async with stream as events:
        found = [event async for event in events]
    for event in found:
        if event.error is not None:
            raise ConformanceError(f"the run failed in agent {event.agent_name!r}: {event.error}") from event.error
    return found


async def _answer_of(agent: Any, text: str) -> str:
    async with Runner(agent).run(_messages(text)) as events:
        try:
            return (await events.answer()).content
        except RunError as error:
            raise ConformanceError(f"the run failed: {error}") from error


async def _answer_or_error(agent: Any, text: str) -> str | ConformanceError:
    try:
        return await _answer_of(agent, text)
    except ConformanceError as error:  # of several beside each other the caller tells the first one
        return error


async def _texts_of(events: Sequence[AgentEvent]) -> list[str]:
    return [(await event.message.get()).content for event in events if event.message is not None]


async def _require_well_formed(name: str, event: AgentEvent) -> None:
    path = event.run_path
    require(
        path[:1] == (name,), f"the path of an event is {path}, but must begin with {name!r}; leave `run_path` empty"
    )
    require(path[-1] == event.agent_name, f"an event at {path} says that it is from {event.agent_name!r}")
    said = event.output is not None and (event.output.message is not None or event.output.custom is not None)
    require(said or event.action is not None, f"an event of {name!r} has neither output nor action nor error")
    if event.message is not None:
        message = await event.message.get()
        require(message.role in _ROLES, f"the role of a message is {message.role!r}")
        require(
            message.role == event.message.role, f"the event says {event.message.role!r}, its message {message.role!r}"
        )


def _is_stopped(events: Sequence[AgentEvent]) -> bool:
    return bool(events) and events[-1].action is not None and events[-1].action.interrupted is not None


def _stop_of(events: Sequence[AgentEvent]) -> AgentInterrupt:
    if not events or events[-1].action is None or events[-1].action.interrupted is None:
        raise ConformanceError("the run must stop to ask: call interrupt(...), or say in `question` what makes it ask")
    return events[-1].action.interrupted


def _require_address(name: str, address: str) -> None:
    below = address == f"agent:{name}" or address.startswith(f"agent:{name};")
    require(below, f"the question at {address!r} is not below agent:{name}")
