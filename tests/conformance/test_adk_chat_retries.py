"""Retries and stand-ins of the chat agent (rows A37 to A44 of `agents-scenarios.md`), with an event a try."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from eino import ComponentError, Message, ModelOptions, RetryPolicy, assistant_message, user_message
from eino.adk import ModelFailover, ModelRetry, WillRetryError
from eino.components.failover_model import FailoverContext
from eino.components.model import NO_MODEL_OPTIONS, ChatModel
from eino.components.retry_model import RetryContext, RetryDecision
from eino.errors import AnswerRejectedError, FailoverExhaustedError, OverloadedError, RetryExhaustedError
from eino.schema import concat_messages
from eino_fixtures import FunctionChatModel, ScriptedChatModel, fake_tool
from tests.conformance.adk_chat_agents import NOW, STREAMING, agent_of, call, cause_of, events_of, text_of, texts_of


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
