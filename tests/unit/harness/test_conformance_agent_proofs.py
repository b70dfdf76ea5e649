"""The suite for agents: each of its checks finds an agent that breaks just its promise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from eino import Message, assistant_message, current_context, interrupt
from eino.adk import AgentEvent, AgentInput, ChatModelAgent, exit_action, message_event, transfer_action
from eino_fixtures import EchoChatModel
from eino_harness.conformance import AgentConformance, ConformanceError, check_conformance
from eino_harness.conformance._of_component import suite_of


class Clerk:
    """Keeps the contract; the broken ones replace a part of it."""

    name = "clerk"
    description = "Repeats, and asks where it is asked to ask."
    fails = False

    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        text = given.messages[-1].content
        await anyio.lowlevel.checkpoint()
        if self.fails:
            raise ValueError("out of order")
        if not current_context().was_interrupted:
            yield message_event(self.chunks(text) if given.streaming else assistant_message(text))
        if text == "ask":
            answer = interrupt("Sure?")
            yield message_event(assistant_message(f"You said {answer}."))

    async def chunks(self, text: str) -> AsyncIterator[Message]:
        yield assistant_message(text[:1])
        yield assistant_message(text[1:])


def kit(cls: type[Clerk]) -> type[AgentConformance]:
    def make_failing(_: Any) -> Clerk:
        agent = cls()
        agent.fails = True
        return agent

    return type("Kit", (AgentConformance,), {"question": "ask", "make": lambda _: cls(), "make_failing": make_failing})


class TestClerk(AgentConformance):
    question = "ask"

    def make(self) -> Clerk:
        return Clerk()

    def make_failing(self) -> Clerk:
        clerk = Clerk()
        clerk.fails = True
        return clerk


class WithoutDescription(Clerk):
    description = ""


class WithSeparator(Clerk):
    name = "clerk;1"


class Renamed(Clerk):
    count = 0

    @property
    def name(self) -> str:  # type: ignore[override]
        self.count += 1
        return f"clerk{self.count}"


class NoAgent:
    fails = False


class Coroutine(Clerk):
    async def run(self, given: AgentInput) -> Any:  # type: ignore[override]
        return [message_event(assistant_message("hello"))]


class YieldsTexts(Clerk):
    async def run(self, given: AgentInput) -> Any:  # type: ignore[override]
        yield "hello"


class SaysNothing(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        yield AgentEvent()


class UnderAnotherName(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        async for event in super().run(given):
            yield AgentEvent(agent_name="boss", output=event.output)


class OnAPathOfItsOwn(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        async for event in super().run(given):
            yield AgentEvent(agent_name="clerk", run_path=("office", "clerk"), output=event.output)


class Unchunked(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message("hello"))


class EmptyStream(Clerk):
    async def chunks(self, text: str) -> AsyncIterator[Message]:
        return
        yield


class OffTheRecord(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        async for event in super().run(given):
            yield AgentEvent(agent_name="clerk", run_path=("clerk", "clerk"), output=event.output)


class ChangesItsInput(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        async for event in super().run(given):
            yield event
        if given.messages[-1].extra is not None:
            given.messages[-1].extra["seen"] = True


class UsedUp(Clerk):
    used = False

    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        await anyio.lowlevel.checkpoint()
        yield message_event(assistant_message("no more" if self.used else "hello"))
        self.used = True


class OneRunAtOnce(Clerk):
    text = ""

    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        self.text = given.messages[-1].content
        await anyio.lowlevel.checkpoint()
        yield message_event(assistant_message(self.text))


class HidesFailures(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        await anyio.lowlevel.checkpoint()
        yield message_event(assistant_message("All is well."))


class HoldsOn(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        with contextlib.suppress(BaseException):
            await anyio.sleep(0.001)
        yield message_event(assistant_message("still here"))


class LeavesATask(Clerk):
    tasks: set[Any] = set()  # noqa: RUF012

    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        self.tasks.add(asyncio.ensure_future(asyncio.sleep(3600)))
        yield message_event(assistant_message("hello"))


class StartsEarly(Clerk):
    tasks: set[Any] = set()  # noqa: RUF012

    def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        self.tasks.add(asyncio.ensure_future(asyncio.sleep(3600)))
        return super().run(given)


class AsksInWords(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        await anyio.lowlevel.checkpoint()
        yield message_event(assistant_message("Sure?"))


class SaysAllAgain(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message(given.messages[-1].content))
        if given.messages[-1].content == "ask":
            yield message_event(assistant_message(str(interrupt("Sure?"))))


class AsksForEver(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message("well"))
        while True:
            interrupt("Sure?", state=1)
            interrupt("Really?", state=2)
            raise_again = interrupt
            raise_again("?")


class GivesUpAsking(Clerk):
    asked = False

    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        if given.messages[-1].content == "ask" and not self.asked:
            self.asked = True
            yield message_event(assistant_message(str(interrupt("Sure?"))))
        yield message_event(assistant_message("Never mind."))


class TiredInATool(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        if given.messages[-1].content == "Hello" and current_depth() > 1:
            yield message_event(assistant_message("I am no tool."))
        else:
            async for event in super().run(given):
                yield event


def current_depth() -> int:
    """Return how many agents are around the caller."""
    return current_context().address_text.count("agent:")


class Lonely(Clerk):
    async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
        if current_depth() > 1:
            return
        async for event in super().run(given):
            yield event


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (WithoutDescription, "test_it_has_the_form_of_an_agent"),
        (WithSeparator, "test_it_has_the_form_of_an_agent"),
        (Renamed, "test_it_has_the_form_of_an_agent"),
        (NoAgent, "test_it_has_the_form_of_an_agent"),
        (Coroutine, "test_run_returns_an_iterator_at_once"),
        (StartsEarly, "test_run_returns_an_iterator_at_once"),
        (YieldsTexts, "test_its_events_are_well_formed"),
        (SaysNothing, "test_its_events_are_well_formed"),
        (UnderAnotherName, "test_its_events_are_well_formed"),
        (OnAPathOfItsOwn, "test_its_events_are_well_formed"),
        (EmptyStream, "test_messages_can_be_read_more_than_once"),
        (Unchunked, "test_it_streams"),
        (OffTheRecord, "test_what_it_says_is_on_record"),
        (ChangesItsInput, "test_the_input_stays_as_it_is"),
        (UsedUp, "test_it_can_be_used_again"),
        (OneRunAtOnce, "test_runs_beside_each_other_do_not_mix"),
        (HidesFailures, "test_a_failure_becomes_an_event"),
        (HoldsOn, "test_cancellation_passes"),
        (LeavesATask, "test_it_leaves_nothing_behind"),
        (AsksInWords, "test_its_questions_stop_the_run"),
        (SaysAllAgain, "test_its_questions_stop_the_run"),
        (AsksForEver, "test_its_questions_stop_the_run"),
        (GivesUpAsking, "test_questions_that_nobody_answers_are_asked_again"),
        (TiredInATool, "test_it_works_as_a_tool"),
        (Lonely, "test_it_works_in_workflows"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_a_broken_agent_is_found(broken: Any, check: str) -> None:
    assert check in kit(broken).checks()
    with pytest.raises(ConformanceError):
        asyncio.run(getattr(kit(broken)(), check)())


def test_the_clerk_keeps_every_contract_that_the_broken_ones_break() -> None:
    report = asyncio.run(check_conformance(kit(Clerk)))

    assert [str(result.error) for result in report.failed] == []


def test_an_agent_that_ends_the_run_may_be_in_workflows() -> None:
    class Last(Clerk):
        async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
            async for event in super().run(given):
                yield event
            yield AgentEvent(action=exit_action())

    report = asyncio.run(check_conformance(kit(Last)))

    assert [result.name for result in report.failed] == []


def test_a_run_that_hands_over_to_nobody_is_told() -> None:
    class Lost(Clerk):
        async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
            yield AgentEvent(action=transfer_action("nobody"))

    report = asyncio.run(check_conformance(kit(Lost)))

    [told] = [result.error for result in report.failed if result.name == "test_its_events_are_well_formed"]
    assert "nobody" in str(told)


def test_an_agent_is_checked_without_a_suite_of_its_own() -> None:
    suite = suite_of("echo", ChatModelAgent(name="echo", description="Repeats.", model=EchoChatModel()))

    assert issubclass(suite, AgentConformance)
    assert set(suite.without) == {"errors", "questions", "streaming"}
    assert asyncio.run(check_conformance(suite)).ok


def test_runs_that_fail_beside_each_other_are_told_as_such() -> None:
    class OnlyOne(Clerk):
        running = 0

        async def run(self, given: AgentInput) -> AsyncIterator[AgentEvent]:
            if self.running:
                raise ValueError("busy")
            self.running += 1
            await anyio.lowlevel.checkpoint()
            yield message_event(assistant_message("hello"))
            self.running -= 1

    with pytest.raises(ConformanceError, match=r"a run beside others gave .*busy"):
        asyncio.run(kit(OnlyOne)().test_runs_beside_each_other_do_not_mix())


def test_a_suite_must_say_how_its_agent_fails() -> None:
    class Kit(AgentConformance):
        def make(self) -> Clerk:
            return Clerk()

    with pytest.raises(NotImplementedError, match=r"make_failing\(\), an agent that fails"):
        Kit().make_failing()
