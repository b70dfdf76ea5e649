"""Budgets of runs of agents."""

from __future__ import annotations

from typing import Any

import pytest

from eino import BuildError, MemoryStore, Message, RetryPolicy, RunError, interrupt, tool, tool_call
from eino.adk import (
    Budget,
    BudgetExceededError,
    ChatModelAgent,
    ModelRetry,
    Price,
    Runner,
    agent_tool,
)
from eino.components.retry_model import RetryContext, RetryDecision
from eino.schema import PromptTokenDetails, ResponseMeta, TokenUsage, assistant_message
from eino_fixtures import FunctionChatModel, ScriptedChatModel


def usage(prompt: int, completion: int, cached: int = 0) -> TokenUsage:
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_token_details=PromptTokenDetails(cached_tokens=cached),
    )


def answer(given: Any, tokens: int = 10) -> Message:
    meta = ResponseMeta(usage=usage(tokens - 1, 1))
    return (
        assistant_message(given, response_meta=meta)
        if isinstance(given, str)
        else assistant_message("", tool_calls=[given], response_meta=meta)
    )


@tool
async def look() -> str:
    """Look."""
    return "seen"


def looks(id: str = "1") -> Message:  # noqa: A002 - as in tool_call
    return answer(tool_call("look", {}, id=id))


def helper(*steps: Any, **more: Any) -> ChatModelAgent[Any]:
    return ChatModelAgent(name="helper", description="helps", model=ScriptedChatModel(steps), tools=[look], **more)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_model_is_not_asked_again_when_the_limit_is_reached(streaming: bool) -> None:
    runner = Runner(helper(looks(), looks("2"), "never"), budget=Budget(max_tokens=15), streaming=streaming)
    async with runner.query("hi") as events:
        found = [event async for event in events]
        with pytest.raises(BudgetExceededError, match="20 tokens are spent, max_tokens=15 after 2 answers") as caught:
            await events.answer()

    assert "run path: helper" in str(caught.value)
    assert len([event for event in found if event.message is not None]) == 4  # nothing that was paid for is lost
    assert isinstance(found[-1].error, RunError)


async def test_the_answer_that_reaches_the_limit_counts() -> None:
    async with Runner(helper(answer("done", 100)), budget=Budget(max_tokens=15)).query("hi") as events:
        assert (await events.answer()).content == "done"


async def test_agents_in_tools_and_tries_that_failed_count() -> None:
    inner = ChatModelAgent(
        name="inner",
        description="inner",
        model=ScriptedChatModel([answer("bad"), answer("good")]),
        retry=ModelRetry(should_retry=_reject, policy=RetryPolicy(max_attempts=3, base_s=0.0)),
    )
    ask = answer(tool_call("inner", {"request": "go"}, id="1"))
    outer = ChatModelAgent(name="outer", model=ScriptedChatModel([ask, "never"]), tools=[agent_tool(inner)])

    async with Runner(outer, budget=Budget(max_tokens=30)).query("hi") as events:
        with pytest.raises(BudgetExceededError, match="30 tokens are spent"):
            await events.answer()


def _reject(context: RetryContext) -> RetryDecision | None:
    said = context.message.content if context.message is not None else ""
    return RetryDecision(retry=True) if said == "bad" else None


async def test_costs() -> None:
    price = Price(input=1_000_000.0, output=2_000_000.0)  # 9 + 2 an answer
    agent = helper(looks(), looks("2"), "never")
    async with Runner(agent, budget=Budget(max_cost=20.0, price=price)).query("hi") as events:
        with pytest.raises(BudgetExceededError, match="22 is spent, max_cost=20 after 2 answers"):
            await events.answer()


def test_cached_tokens_have_a_price_of_their_own() -> None:
    assert Price(input=10, output=20)(usage(1_000_000, 500_000, cached=400_000)) == 20.0
    assert Price(input=10, output=20, cached_input=1)(usage(1_000_000, 500_000, cached=400_000)) == 16.4


async def test_what_was_spent_is_stored_with_the_run() -> None:
    @tool
    async def ask() -> str:
        """Ask."""
        return str(interrupt("sure?"))

    store = MemoryStore()

    def runner(*steps: Any) -> Runner:
        agent = ChatModelAgent(name="helper", model=ScriptedChatModel(steps), tools=[ask])
        return Runner(agent, checkpoint_store=store, budget=Budget(max_tokens=10))

    async with runner(answer(tool_call("ask", {}, id="1"))).query("hi", checkpoint_id="run") as events:
        stop = [event async for event in events][-1]
    assert stop.action is not None
    assert stop.action.interrupted is not None
    (context,) = stop.action.interrupted.contexts

    async with runner("never").resume("run", {context.id: "yes"}) as events:
        with pytest.raises(BudgetExceededError, match="10 tokens are spent"):
            await events.answer()


async def test_a_model_that_reports_no_usage_cannot_be_budgeted() -> None:
    silent = FunctionChatModel(lambda *_: Message(role="assistant", content="hi"))
    async with Runner(ChatModelAgent(name="helper", model=silent), budget=Budget(max_tokens=10)).query("hi") as events:
        with pytest.raises(RunError, match="reports no token usage"):
            await events.answer()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "max_tokens= or max_cost="),
        ({"max_tokens": 0}, "above 0"),
        ({"max_tokens": "many"}, "above 0"),
        ({"max_cost": -1.0, "price": Price(input=1, output=1)}, "above 0"),
        ({"max_cost": 1.0}, "needs price="),
    ],
)
def test_budgets_that_limit_nothing_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(BuildError, match=text):
        Budget(**settings)
