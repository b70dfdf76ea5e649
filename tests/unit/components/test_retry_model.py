"""Calling a chat model again: which errors, how long between, what a stream may do, what the error says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from eino import (
    AnswerRejectedError,
    AuthenticationError,
    BuildError,
    Chain,
    ControlSignal,
    FailedAttempt,
    Message,
    ModelOptions,
    OverloadedError,
    RateLimitError,
    RetryChatModel,
    RetryContext,
    RetryDecision,
    RetryExhaustedError,
    RetryPolicy,
    RunInfo,
    ServerError,
    StreamBrokenError,
    ToolCallingChatModel,
    ToolInfo,
    concat_messages,
    handler_builder,
    user_message,
)
from eino.components import NO_MODEL_OPTIONS
from eino_fixtures import ScriptedChatModel
from eino_fixtures.clock import VirtualClock

HI = [user_message("hi")]
POLICY = RetryPolicy(max_attempts=3, seed=7)


async def texts(stream: AsyncIterator[Message]) -> list[str]:
    return [chunk.content async for chunk in stream]


async def test_a_call_that_fails_for_now_is_made_again(virtual_clock: VirtualClock) -> None:
    inner = ScriptedChatModel([ServerError("down"), OverloadedError("busy"), "here"])
    told: list[FailedAttempt] = []

    answer = await RetryChatModel(inner, POLICY, on_retry=told.append).generate(HI)

    assert answer.content == "here"
    assert [(type(each.error), each.wait_s) for each in told] == [
        (ServerError, pytest.approx(told[0].wait_s)),
        (OverloadedError, pytest.approx(told[1].wait_s)),
    ]
    assert 0 <= (told[0].wait_s or 0) <= 0.5
    assert 0 <= (told[1].wait_s or 0) <= 1.0
    assert virtual_clock.now() == pytest.approx(sum(each.wait_s or 0 for each in told))


async def test_the_service_says_how_long_to_wait_at_least(virtual_clock: VirtualClock) -> None:
    inner = ScriptedChatModel([RateLimitError("slow", retry_after_s=20.0), "here"])

    await RetryChatModel(inner, POLICY).generate(HI)

    assert virtual_clock.now() == 20.0


async def test_a_service_that_asks_for_too_long_is_not_waited_for(virtual_clock: VirtualClock) -> None:
    inner = ScriptedChatModel([RateLimitError("slow", retry_after_s=3600.0)])

    with pytest.raises(
        RetryExhaustedError, match=r"asks to wait 3600 s, longer than max_wait_s=60; raise it"
    ) as caught:
        await RetryChatModel(inner, POLICY).generate(HI)

    assert virtual_clock.now() == 0.0
    assert caught.value.retry_after_s == 3600.0
    assert isinstance(caught.value.__cause__, RateLimitError)


async def test_without_a_longest_wait_it_is_waited_for(virtual_clock: VirtualClock) -> None:
    inner = ScriptedChatModel([RateLimitError("slow", retry_after_s=3600.0), "here"])

    assert (await RetryChatModel(inner, POLICY, max_wait_s=None).generate(HI)).content == "here"
    assert virtual_clock.now() == 3600.0


@pytest.mark.parametrize("streamed", [False, True])
async def test_when_the_tries_are_used_up_the_error_lists_them(virtual_clock: VirtualClock, streamed: bool) -> None:
    """A38: as many calls as allowed, then an error that has the original."""
    errors = [ServerError("one"), RateLimitError("two", retry_after_s=4.0), ServerError("three\nmore")]
    inner = ScriptedChatModel(errors)
    model = RetryChatModel(inner, POLICY)

    with pytest.raises(RetryExhaustedError, match="all 3 tries failed; raise RetryPolicy") as caught:
        await (texts(model.stream(HI)) if streamed else model.generate(HI))

    assert [each.error for each in caught.value.attempts] == errors
    assert caught.value.last_error is caught.value.__cause__ is errors[-1]
    assert [each.wait_s is None for each in caught.value.attempts] == [False, False, True]
    lines = str(caught.value).splitlines()
    assert "  1. " in lines[1]
    assert "ServerError: one, then waited" in lines[1]
    assert "RateLimitError: two, then waited 4 s" in lines[2]
    assert lines[3].endswith("ServerError: three")
    assert caught.value.retryable is False
    assert caught.value.retry_after_s is None
    inner.assert_complete()


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_will_not_help_is_raised_as_it_is(virtual_clock: VirtualClock, streamed: bool) -> None:
    refused = AuthenticationError("no")
    inner = ScriptedChatModel([ServerError("down"), refused])
    model = RetryChatModel(inner, POLICY)

    with pytest.raises(AuthenticationError) as caught:
        await (texts(model.stream(HI)) if streamed else model.generate(HI))

    assert caught.value is refused
    assert "ServerError: down" in caught.value.__notes__[0]


class Signal(ControlSignal):
    """Something that steers a run."""


@pytest.mark.parametrize("streamed", [False, True])
async def test_control_signals_pass(streamed: bool) -> None:
    inner = ScriptedChatModel([Signal("stop")])
    model = RetryChatModel(inner, RetryPolicy(retry_on=lambda error: True), should_retry=lambda seen: 1 / 0)  # type: ignore[arg-type,return-value]

    with pytest.raises(Signal):
        await (texts(model.stream(HI)) if streamed else model.generate(HI))


async def test_a_stream_is_made_again_before_its_first_chunk(virtual_clock: VirtualClock) -> None:
    model = RetryChatModel(ScriptedChatModel([ServerError("down"), "one two"]), POLICY)

    assert await texts(model.stream(HI)) == ["one", " two"]


async def test_a_stream_is_never_made_again_after_its_first_chunk(virtual_clock: VirtualClock) -> None:
    broken = StreamBrokenError("gone")
    inner = ScriptedChatModel([["one", broken]])
    got: list[str] = []

    with pytest.raises(StreamBrokenError) as caught:
        async for chunk in RetryChatModel(inner, POLICY).stream(HI):
            got.append(chunk.content)  # noqa: PERF401 - what came before the error counts

    assert (caught.value, got) == (broken, ["one"])
    assert "not tried again: chunks were delivered already" in caught.value.__notes__[0]
    inner.assert_complete()


async def test_a_buffered_stream_is_made_again_unseen(virtual_clock: VirtualClock) -> None:
    inner = ScriptedChatModel([["one", StreamBrokenError("gone")], ["uno", " dos"]])

    assert await texts(RetryChatModel(inner, POLICY, streaming="buffered").stream(HI)) == ["uno", " dos"]


async def test_a_stream_may_start_over_in_front_of_its_consumer(virtual_clock: VirtualClock) -> None:
    inner = ScriptedChatModel([["one", StreamBrokenError("gone")], ["uno", " dos"]])
    shown: list[str] = []
    model = RetryChatModel(inner, POLICY, streaming="restart", on_retry=lambda failed: shown.clear())

    async for chunk in model.stream(HI):
        shown.append(chunk.content)  # noqa: PERF401 - cleared meanwhile

    assert shown == ["uno", " dos"]


async def test_leaving_a_stream_early_closes_the_model_s_stream() -> None:
    closed = []

    class Endless:
        async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
            raise AssertionError

        async def stream(
            self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
        ) -> AsyncIterator[Message]:
            try:
                while True:
                    yield Message(role="assistant", content="x")
            finally:
                closed.append(True)

    stream: Any = RetryChatModel(Endless(), POLICY).stream(HI)
    await anext(stream)
    await stream.aclose()

    assert closed == [True]


async def test_an_answer_can_be_rejected(virtual_clock: VirtualClock) -> None:
    """A40: the rule sees each call, and only the accepted answer comes out."""
    seen: list[RetryContext] = []

    def judge(context: RetryContext) -> RetryDecision | None:
        seen.append(context)
        if context.message is not None and context.message.content == "bad":
            return RetryDecision(retry=True, reason="too bad", wait_s=2.0)
        return None

    model = RetryChatModel(ScriptedChatModel(["bad", "good"]), POLICY, should_retry=judge)

    assert (await model.generate(HI, ModelOptions(temperature=0.5))).content == "good"
    assert [(each.attempt, each.message.content if each.message else None, each.error) for each in seen] == [
        (1, "bad", None),
        (2, "good", None),
    ]
    assert seen[0].messages == tuple(HI)
    assert seen[0].options == ModelOptions(temperature=0.5)
    assert virtual_clock.now() == 2.0


@pytest.mark.parametrize("streaming", ["buffered", "restart"])
async def test_a_rejected_stream_is_asked_for_again_in_other_words(virtual_clock: VirtualClock, streaming: Any) -> None:
    """A41: the next call gets the new messages, and the options on top of those before."""
    inner = ScriptedChatModel(["far too long", "short"])
    shorter = [user_message("shorter")]

    async def judge(context: RetryContext) -> RetryDecision | None:
        if context.message is not None and "long" in context.message.content:
            return RetryDecision(retry=True, messages=shorter, options=ModelOptions(max_tokens=5), wait_s=0.0)
        return None

    model = RetryChatModel(inner, POLICY, should_retry=judge, streaming=streaming)
    got = await texts(model.stream(HI, ModelOptions(temperature=0.5)))

    assert got[-1] == "short"
    assert (len(got) > 1) is (streaming == "restart")
    assert list(inner.calls[1].messages) == shorter
    assert inner.calls[1].options == ModelOptions(temperature=0.5, max_tokens=5)


async def test_a_rejected_answer_counts_as_a_failed_try(virtual_clock: VirtualClock) -> None:
    model = RetryChatModel(
        ScriptedChatModel(["bad", "bad"]),
        RetryPolicy(max_attempts=2),
        should_retry=lambda seen: RetryDecision(retry=True, wait_s=0.0),
    )

    with pytest.raises(
        RetryExhaustedError, match="the answer of try 2 was rejected: rejected by should_retry"
    ) as caught:
        await model.generate(HI)

    assert isinstance(caught.value.last_error, AnswerRejectedError)
    assert caught.value.last_error.message.content == "bad"  # type: ignore[attr-defined]


@pytest.mark.parametrize("reply", ["fine", ServerError("down")])
async def test_a_rule_can_raise_something_else(reply: Any) -> None:
    model = RetryChatModel(
        ScriptedChatModel([reply]),
        should_retry=lambda seen: RetryDecision(retry=False, raise_error=ValueError("not like this")),
    )

    with pytest.raises(ValueError, match="not like this"):
        await model.generate(HI)


async def test_a_rule_sees_what_arrived_before_a_stream_broke(virtual_clock: VirtualClock) -> None:
    seen: list[RetryContext] = []
    inner = ScriptedChatModel([["one", ServerError("down")], [StreamBrokenError("gone", partial=HI[0])], "x"])

    def judge(context: RetryContext) -> RetryDecision | None:
        seen.append(context)
        return None

    got = await texts(RetryChatModel(inner, POLICY, should_retry=judge, streaming="buffered").stream(HI))

    assert got == ["x"]
    assert [each.message.content if each.message else None for each in seen] == ["one", "hi", "x"]
    assert [type(each.error) for each in seen] == [ServerError, StreamBrokenError, type(None)]


async def test_chunks_that_do_not_fit_do_not_hide_why_a_stream_broke(virtual_clock: VirtualClock) -> None:
    odd = [Message(role="assistant", content="a"), Message(role="user", content="b")]
    seen: list[RetryContext] = []
    inner = ScriptedChatModel([[*odd, ServerError("down")], "fine"])

    def judge(context: RetryContext) -> RetryDecision | None:
        seen.append(context)
        return None

    got = await texts(RetryChatModel(inner, POLICY, should_retry=judge, streaming="buffered").stream(HI))

    assert got == ["fine"]
    assert seen[0].message is None


async def test_the_wrapper_is_told_to_handlers_as_the_model_it_wraps() -> None:
    infos: list[RunInfo] = []
    handler = handler_builder(on_start=lambda info, _: infos.append(info))
    chain = Chain[list[Message], Message]().append_chat_model(RetryChatModel(ScriptedChatModel(["x"]))).compile()

    await chain.invoke(HI, callbacks=[handler])

    assert [(info.component, info.type) for info in infos][1:] == [("ChatModel", "Scripted")]


async def test_tools_are_offered_by_a_copy() -> None:
    inner = ScriptedChatModel(["x", "x"])
    model = RetryChatModel(inner)
    search = ToolInfo(name="search")

    twin = model.with_tools([search])
    await twin.generate(HI)
    await model.generate(HI)

    assert isinstance(model, ToolCallingChatModel)
    assert [call.options.offered_tools for call in inner.calls] == [(search,), ()]
    assert repr(twin).startswith("RetryChatModel(")


async def test_closing_closes_the_model() -> None:
    closed = []

    class Closable(ScriptedChatModel):
        type_name = "Mine"

        async def aclose(self) -> None:
            closed.append(True)

    async with RetryChatModel(Closable([])) as model:
        assert model.type_name == "Mine"
    async with RetryChatModel(ScriptedChatModel([])):
        pass

    assert closed == [True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RetryChatModel("gpt"), "'gpt' is no chat model: it needs `generate` and `stream`"),  # type: ignore[arg-type]
        (lambda: RetryChatModel(ScriptedChatModel), "is no chat model"),  # type: ignore[arg-type]
        (lambda: RetryChatModel(ScriptedChatModel([]), streaming="later"), "streaming='later'"),  # type: ignore[arg-type]
        (lambda: RetryChatModel(ScriptedChatModel([]), max_wait_s=-1), "max_wait_s=-1"),
        (lambda: RetryDecision(retry=True, raise_error=ValueError()), "only without a retry"),
        (lambda: RetryDecision(retry=True, wait_s=-1.0), "wait_s=-1.0"),
    ],
)
def test_what_cannot_work_is_refused_when_built(make: Any, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        make()
    assert message in str(caught.value)


async def test_a_rule_must_decide() -> None:
    model = RetryChatModel(ScriptedChatModel(["x"]), should_retry=lambda seen: True)  # type: ignore[arg-type,return-value]

    with pytest.raises(BuildError, match="should_retry returned True; it must return a RetryDecision or None"):
        await model.generate(HI)


async def test_concurrent_calls_do_not_share_their_tries(virtual_clock: VirtualClock) -> None:
    import anyio

    inner = ScriptedChatModel([ServerError("1"), ServerError("2"), ServerError("3"), "x", "x", "x"])
    model = RetryChatModel(inner, RetryPolicy(max_attempts=2))
    answers: list[Message] = []

    async def ask() -> None:
        answers.append(await model.generate(HI))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)

    assert concat_messages(answers).content == "xxx"


async def test_an_empty_stream_is_judged_too() -> None:
    class Silent(ScriptedChatModel):
        async def stream(
            self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
        ) -> AsyncIterator[Message]:
            for chunk in ():
                yield chunk

    seen: list[RetryContext] = []

    def judge(context: RetryContext) -> RetryDecision:
        seen.append(context)
        return RetryDecision(retry=len(seen) < 2, wait_s=0.0)

    assert await texts(RetryChatModel(Silent([]), should_retry=judge).stream(HI)) == []
    assert [(each.attempt, each.message, each.error) for each in seen] == [(1, None, None), (2, None, None)]
