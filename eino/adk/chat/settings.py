"""What a program may set for the model of a chat agent beside the model: retries, stand-ins, options of one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eino._run.retry import RetryPolicy
from eino.adk.chat.attempts import Tries, another_follows
from eino.adk.chat.turn import turn_here
from eino.components._model_wrapper import resolved
from eino.components.failover_model import (
    FailoverChatModel,
    FailoverContext,
    Fallback,
    is_failure_of_the_service,
)
from eino.components.model import ChatModel, ModelOptions
from eino.components.retry_model import MAX_WAIT_S, RetryChatModel, RetryContext, RetryDecision, ShouldRetry
from eino.compose.tools_node import ToolsOptions
from eino.errors import BuildError, FailedAttempt

if TYPE_CHECKING:
    from eino.adk.chat.turn import AfterTools, EditHistory
    from eino.components.failover_model import ChooseFallback

__all__ = ["ChatAgentOptions", "ModelFailover", "ModelRetry", "stack_of"]


@dataclass(frozen=True, kw_only=True)
class ModelRetry:
    """When a chat agent asks its model once more; see `RetryChatModel`.

    A streamed answer is an event while it comes. If it does not count, its stream ends in a `WillRetryError`.
    """

    policy: RetryPolicy = RetryPolicy()  # noqa: RUF009 - immutable
    should_retry: ShouldRetry | None = None
    """Judges each try, good answers included. `RetryDecision(messages=..., persist=True)` changes the conversation."""
    max_wait_s: float | None = MAX_WAIT_S
    """Longest wait that a service may ask for, in seconds; None waits for ever."""
    on_retry: Callable[[FailedAttempt], None] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelFailover:
    """What answers in the place of a chat agent's model; see `FailoverChatModel`. Each model has all its retries.

    Within a turn, the stand-in that answered last is asked first.
    """

    fallbacks: Sequence[ChatModel | Fallback] | ChooseFallback
    failover_on: Callable[[Exception], bool] = is_failure_of_the_service
    max_fallbacks: int = 3
    """Most stand-ins of one call, if a function chooses them."""
    on_failover: Callable[[FailedAttempt], None] | None = None


@dataclass(frozen=True, kw_only=True)
class ChatAgentOptions:
    """Options of a chat agent for one run: `runner.run(..., agent_options={"name": ChatAgentOptions(...)})`."""

    model: ModelOptions | None = None
    """Options of each call of the model."""
    tools: ToolsOptions | None = None
    """Options of each round of tools."""
    after_tools: AfterTools | None = None
    """Told of the conversation behind each round of tools, before the model is asked again. May be async; what it
    raises ends the run."""
    edit_history: EditHistory | None = None
    """Returns the conversation that the turn goes on with, if a stored run is resumed in the middle of it."""


def stack_of(model: ChatModel, retry: ModelRetry | None, failover: ModelFailover | None) -> Callable[[], ChatModel]:
    """Return what makes the model of one turn, with its retries and stand-ins.

    Raises:
        BuildError: If one of them is no chat model, or a setting is wrong.
    """
    first = _tried(model, retry)
    if failover is None:
        return lambda: first
    if callable(failover.fallbacks):
        fallbacks: Any = _chosen(failover.fallbacks, retry)
    else:
        fallbacks = [_stand_in(each, retry) for each in failover.fallbacks]

    def told(failed: FailedAttempt) -> None:
        another_follows(failed)
        if failover.on_failover is not None:
            failover.on_failover(failed)

    def made() -> ChatModel:
        return FailoverChatModel(
            first,
            fallbacks,
            failover_on=failover.failover_on,
            max_fallbacks=failover.max_fallbacks,
            streaming="restart",
            prefer_last_s=float("inf"),
            on_failover=told,
        )

    made()  # what is wrong with it is told when the agent is built
    return made


def _tried(model: ChatModel, retry: ModelRetry | None) -> ChatModel:
    if isinstance(model, type) or not isinstance(model, ChatModel):
        raise BuildError(f"{model!r:.200} is no chat model: it needs `generate` and `stream`")
    if retry is None:
        return Tries(model)

    def told(failed: FailedAttempt) -> None:
        another_follows(failed)
        if retry.on_retry is not None:
            retry.on_retry(failed)

    return RetryChatModel(
        Tries(model),
        retry.policy,
        should_retry=_remembering(retry.should_retry) if retry.should_retry is not None else None,
        streaming="restart",
        max_wait_s=retry.max_wait_s,
        on_retry=told,
    )


def _stand_in(given: ChatModel | Fallback, retry: ModelRetry | None) -> Fallback:
    fallback = given if isinstance(given, Fallback) else Fallback(model=given)
    return Fallback(model=_tried(fallback.model, retry), messages=fallback.messages, options=fallback.options)


def _chosen(choose: ChooseFallback, retry: ModelRetry | None) -> ChooseFallback:
    async def chosen(context: FailoverContext) -> Fallback | None:
        given = await resolved(choose(context))
        return None if given is None else _stand_in(given, retry)

    return chosen


def _remembering(should_retry: ShouldRetry) -> ShouldRetry:
    """Return the rule that also keeps the conversation which it puts in the place of the stored one."""

    async def judged(context: RetryContext) -> RetryDecision | None:
        decision = await resolved(should_retry(context))
        if isinstance(decision, RetryDecision) and decision.persist and decision.messages is not None:
            turn_here().call.persisted = tuple(decision.messages)
        return decision

    return judged
