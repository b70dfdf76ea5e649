"""Models that stand in: in which order, for which errors, with what, and what the error says when all fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from eino import (
    AuthenticationError,
    BuildError,
    ControlSignal,
    FailedAttempt,
    FailoverChatModel,
    FailoverExhaustedError,
    Message,
    ModelOptions,
    RateLimitError,
    RetryChatModel,
    RetryExhaustedError,
    RetryPolicy,
    ServerError,
    StreamBrokenError,
    ToolInfo,
    user_message,
)
from eino.components import FailoverContext, Fallback
from eino_fixtures import ScriptedChatModel
from eino_fixtures.clock import VirtualClock

HI = [user_message("hi")]


def scripted(*steps: Any) -> ScriptedChatModel:
    return ScriptedChatModel(steps)


async def texts(stream: AsyncIterator[Message]) -> list[str]:
    return [chunk.content async for chunk in stream]


async def asked(model: FailoverChatModel, streamed: bool, options: ModelOptions | None = None) -> str:
    options = options or ModelOptions()
    if streamed:
        return "".join(await texts(model.stream(HI, options)))
    return (await model.generate(HI, options)).content


both = pytest.mark.parametrize("streamed", [False, True], ids=["generate", "stream"])


@both
async def test_the_next_model_answers_when_one_fails(streamed: bool) -> None:
    first, second, third = scripted(ServerError("down")), scripted(AuthenticationError("who?")), scripted("third here")
    told: list[FailedAttempt] = []

    model = FailoverChatModel(first, [second, third], on_failover=told.append)

    assert await asked(model, streamed) == "third here"
    assert [type(each.error) for each in told] == [ServerError, AuthenticationError]
    assert [len(each.calls) for each in (first, second, third)] == [1, 1, 1]


@both
async def test_each_model_has_all_its_tries_first(virtual_clock: VirtualClock, streamed: bool) -> None:
    """A43: retry inside, failover outside."""
    first, second = scripted(*[ServerError("down")] * 3), scripted("second")

    assert await asked(FailoverChatModel(RetryChatModel(first, RetryPolicy(max_attempts=3)), [second]), streamed)

    assert (len(first.calls), len(second.calls)) == (3, 1)


@both
async def test_a_model_that_recovers_needs_nobody(virtual_clock: VirtualClock, streamed: bool) -> None:
    first, second = scripted(ServerError("down"), "back"), scripted()

    assert await asked(FailoverChatModel(RetryChatModel(first), [second]), streamed) == "back"
    assert second.calls == []


@both
async def test_when_all_fail_the_error_lists_them_with_their_reasons(
    virtual_clock: VirtualClock, streamed: bool
) -> None:
    twice = RetryPolicy(max_attempts=2)
    first = RetryChatModel(scripted(ServerError("one"), ServerError("two")), twice)
    second = RetryChatModel(scripted(ServerError("three"), RateLimitError("four", retry_after_s=9.0)), twice)

    with pytest.raises(FailoverExhaustedError, match="all 2 models failed") as caught:
        await asked(FailoverChatModel(first, [second]), streamed)

    assert [type(each.error) for each in caught.value.attempts] == [RetryExhaustedError] * 2
    assert isinstance(caught.value.__cause__, RetryExhaustedError)
    assert caught.value.retry_after_s == 9.0
    assert "2. RetryChatModel(" in str(caught.value)


@both
async def test_a_mistake_of_the_program_is_no_reason(streamed: bool) -> None:
    second = scripted("x")
    model = FailoverChatModel(scripted(TypeError("oops")), [second])

    with pytest.raises(TypeError, match="oops"):
        await asked(model, streamed)
    assert second.calls == []


@both
async def test_what_is_no_reason_later_on_tells_what_came_before(streamed: bool) -> None:
    model = FailoverChatModel(
        scripted(ServerError("down")),
        [scripted(RateLimitError("slow"))],
        failover_on=lambda error: isinstance(error, ServerError),
    )

    with pytest.raises(RateLimitError) as caught:
        await asked(model, streamed)
    assert "ServerError: down" in caught.value.__notes__[0]


class Signal(ControlSignal):
    """Something that steers a run."""


@both
async def test_control_signals_pass(streamed: bool) -> None:
    model = FailoverChatModel(scripted(Signal()), [scripted("x")], failover_on=lambda error: True)

    with pytest.raises(Signal):
        await asked(model, streamed)


@both
async def test_cancellation_asks_nobody(streamed: bool, virtual_clock: VirtualClock) -> None:
    """A44: neither the rule nor another model."""
    second = scripted("x")
    slow = ScriptedChatModel(["late"], first_delay_s=10.0)
    model = FailoverChatModel(slow, [second], failover_on=lambda error: 1 / 0)  # type: ignore[arg-type,return-value]

    with anyio.move_on_after(1) as scope:
        await asked(model, streamed)

    assert scope.cancelled_caught
    assert second.calls == []


async def test_nothing_stands_in_after_the_first_chunk() -> None:
    second = scripted("x")
    model = FailoverChatModel(scripted(["one", StreamBrokenError("gone")]), [second])

    with pytest.raises(StreamBrokenError) as caught:
        await texts(model.stream(HI))
    assert "chunks were delivered already" in caught.value.__notes__[0]
    assert second.calls == []


async def test_a_buffered_stream_is_answered_by_another_unseen() -> None:
    model = FailoverChatModel(
        scripted(["one", StreamBrokenError("gone")]), [scripted(["uno", " dos"])], streaming="buffered"
    )

    assert await texts(model.stream(HI)) == ["uno", " dos"]


async def test_a_stream_may_start_over_with_another_model() -> None:
    shown: list[str] = []
    model = FailoverChatModel(
        scripted(["one", StreamBrokenError("gone")]),
        [scripted(["uno", " dos"])],
        streaming="restart",
        on_failover=lambda failed: shown.clear(),
    )

    async for chunk in model.stream(HI):
        shown.append(chunk.content)  # noqa: PERF401 - cleared meanwhile
    assert shown == ["uno", " dos"]


@both
async def test_a_function_chooses_what_stands_in(streamed: bool) -> None:
    seen: list[FailoverContext] = []
    others = [scripted(ServerError("too")), scripted("yes")]
    reworded = [user_message("please")]

    async def choose(context: FailoverContext) -> Any:
        seen.append(context)
        other = others[context.attempt - 1]
        return Fallback(model=other, messages=reworded) if context.attempt == 2 else other

    partial = Message(role="assistant", content="half")
    first = scripted(StreamBrokenError("gone", partial=partial))

    assert await asked(FailoverChatModel(first, choose), streamed) == "yes"
    assert [each.attempt for each in seen] == [1, 2]
    assert seen[0].last_message == partial
    assert isinstance(seen[1].last_error, ServerError)
    assert seen[1].last_message is None
    assert seen[0].messages == tuple(HI)
    assert list(others[0].calls[0].messages) == HI
    assert list(others[1].calls[0].messages) == reworded


@pytest.mark.parametrize("count", [1, 2])
def test_errors_that_cause_each_other_have_no_last_message(count: int) -> None:
    errors = [ServerError(str(number)) for number in range(count)]
    for number, error in enumerate(errors):
        error.__cause__ = errors[(number + 1) % count]
    failed = (FailedAttempt("first", errors[0]),)

    assert FailoverContext(attempt=1, messages=(), options=ModelOptions(), failed=failed).last_message is None


async def test_a_partial_answer_that_is_no_message_is_none() -> None:
    seen: list[Message | None] = []

    def choose(context: FailoverContext) -> None:
        seen.append(context.last_message)

    with pytest.raises(FailoverExhaustedError):
        await FailoverChatModel(scripted(StreamBrokenError("gone", partial=3)), choose).generate(HI)
    assert seen == [None]


@both
async def test_a_function_that_chooses_nothing_or_fails_ends_the_call(streamed: bool) -> None:
    """A44: what it raises is raised as it is."""
    with pytest.raises(FailoverExhaustedError, match="all 1 models failed"):
        await asked(FailoverChatModel(scripted(ServerError("down")), lambda seen: None), streamed)
    with pytest.raises(ZeroDivisionError):
        await asked(FailoverChatModel(scripted(ServerError("down")), lambda seen: 1 / 0), streamed)  # type: ignore[arg-type,return-value]
    with pytest.raises(BuildError, match="'gpt' cannot stand in for a chat model"):
        await asked(FailoverChatModel(scripted(ServerError("down")), lambda seen: "gpt"), streamed)  # type: ignore[arg-type,return-value]


async def test_a_function_is_asked_a_limited_number_of_times() -> None:
    calls = []

    def choose(context: FailoverContext) -> ScriptedChatModel:
        calls.append(context.attempt)
        return scripted(ServerError("too"))

    with pytest.raises(FailoverExhaustedError, match="all 3 models failed"):
        await FailoverChatModel(scripted(ServerError("down")), choose, max_fallbacks=2).generate(HI)
    assert calls == [1, 2]


async def test_options_go_to_every_model_but_the_name_of_the_first() -> None:
    first, second = scripted(ServerError("down")), scripted("x")
    search = ToolInfo(name="search")
    model = FailoverChatModel(first, [Fallback(model=second, options=ModelOptions(max_tokens=9))]).with_tools([search])

    await model.generate(HI, ModelOptions(model="gpt-4o", temperature=0.5))

    assert first.calls[0].options == ModelOptions(model="gpt-4o", temperature=0.5, tools=[search])
    assert second.calls[0].options == ModelOptions(temperature=0.5, tools=[search], max_tokens=9)


async def test_the_stand_in_that_answered_last_is_asked_first_for_a_while(virtual_clock: VirtualClock) -> None:
    first = scripted(ServerError("down"), "first again")
    second = scripted("second", "second again")
    model = FailoverChatModel(first, [second], prefer_last_s=60.0)

    answers = [(await model.generate(HI)).content for _ in range(2)]
    await anyio.sleep(61)
    answers.append((await model.generate(HI)).content)

    assert answers == ["second", "second again", "first again"]


async def test_a_preferred_stand_in_that_fails_is_asked_once_and_forgotten(virtual_clock: VirtualClock) -> None:
    first = scripted(ServerError("down"), ServerError("down"), "first")
    second = scripted("second", ServerError("too"))
    third = scripted("third")
    model = FailoverChatModel(first, [second, third], prefer_last_s=60.0)

    answers = [(await model.generate(HI)).content for _ in range(2)]

    assert answers == ["second", "third"]
    assert [len(each.calls) for each in (first, second, third)] == [2, 2, 1]


async def test_a_model_that_recovers_while_its_stand_in_fails_is_the_one_preferred(virtual_clock: VirtualClock) -> None:
    first = scripted(ServerError("down"), "first", "first again")
    second = scripted("second", ServerError("too"))
    model = FailoverChatModel(first, [second], prefer_last_s=60.0)

    assert [(await model.generate(HI)).content for _ in range(3)] == ["second", "first", "first again"]


async def test_models_that_tell_by_themselves_are_told_once() -> None:
    class Telling(ScriptedChatModel):
        self_instrumented = True

    assert FailoverChatModel(Telling([]), [Telling([])]).self_instrumented
    assert not FailoverChatModel(Telling([]), [scripted()]).self_instrumented
    assert "Telling" in repr(FailoverChatModel(Telling([]), lambda seen: None))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FailoverChatModel(scripted(), []), "at least one model must stand in"),
        (lambda: FailoverChatModel(scripted(), ["gpt"]), "'gpt' cannot stand in"),  # type: ignore[list-item]
        (lambda: FailoverChatModel("gpt", [scripted()]), "'gpt' is no chat model"),  # type: ignore[arg-type]
        (lambda: FailoverChatModel(scripted(), [scripted()], streaming="x"), "streaming='x'"),  # type: ignore[arg-type]
        (lambda: FailoverChatModel(scripted(), [scripted()], max_fallbacks=0), "max_fallbacks=0"),
    ],
)
def test_what_cannot_work_is_refused_when_built(make: Any, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        make()
    assert message in str(caught.value)
