"""A chat model that tries again: rules by error or by answer, waits with jitter, errors that say what was tried."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from eino._run.retry import RetryPolicy, asked_wait_s, backoff_s
from eino._tasks import sleep
from eino.components._model_wrapper import ChatModelWrapper, Streaming, check_streaming, resolved, show_model
from eino.components.model import NO_MODEL_OPTIONS, ChatModel, ModelOptions
from eino.errors import (
    AnswerRejectedError,
    BuildError,
    ConcatError,
    ControlSignal,
    FailedAttempt,
    RetryExhaustedError,
    StreamBrokenError,
)
from eino.schema import concat_messages
from eino.schema.message import Message
from eino.schema.stream import StreamReader

__all__ = ["RetryChatModel", "RetryContext", "RetryDecision", "ShouldRetry"]

MAX_WAIT_S: Final = 60.0
"""A service that asks for more than a minute is better reported, or left for another, than waited for."""


@dataclass(frozen=True, kw_only=True)
class RetryContext:
    """One call of a model that is over, for the function that judges it.

    A message and no error: an answer to look at. An error and no message: a failure. Both: a stream that broke off.
    Neither: a stream without a chunk.
    """

    attempt: int
    """1 for the first call."""
    messages: tuple[Message, ...]
    """What the model was asked in this call."""
    options: ModelOptions
    """The options of this call."""
    message: Message | None = None
    """The answer, or what there is of it."""
    error: Exception | None = None
    """What the model raised."""


@dataclass(frozen=True, kw_only=True)
class RetryDecision:
    """What comes after a call."""

    retry: bool
    """Whether the model is called again."""
    reason: str = ""
    """Why, for error texts and `on_retry`."""
    wait_s: float | None = None
    """Seconds before the next call; None: as the policy says."""
    messages: Sequence[Message] | None = None
    """What to ask from now on; None: the same."""
    persist: bool = False
    """Whether an agent keeps `messages` as its conversation; a bare model has none."""
    options: ModelOptions = NO_MODEL_OPTIONS
    """Options on top of those of the calls so far."""
    raise_error: Exception | None = None
    """Raised instead of the answer or of the model's error, if there is no retry."""

    def __post_init__(self) -> None:
        if self.retry and self.raise_error is not None:
            raise BuildError("RetryDecision(retry=True, raise_error=...): an error is raised only without a retry")
        if self.wait_s is not None and self.wait_s < 0:
            raise BuildError(f"RetryDecision(wait_s={self.wait_s!r}): waits cannot be negative")


ShouldRetry: TypeAlias = Callable[[RetryContext], RetryDecision | Awaitable[RetryDecision | None] | None]
"""Judges a call; None leaves it to the policy if it failed, and accepts the answer otherwise. May be async."""


class RetryChatModel(ChatModelWrapper):
    """Calls a chat model again when it fails for now.

        model = RetryChatModel(OpenAIChatModel(model="gpt-4o-mini"), RetryPolicy(max_attempts=4))

    Waits are random below a ceiling that doubles, at least what the service asks for (`retry_after_s`), on the event
    loop's clock. What is not retryable is raised as it is. When the tries are used up, `RetryExhaustedError` lists
    them; the last error is its `__cause__`.

    Args:
        model: The model to call.
        policy: How often, how long between, and after which errors.
        should_retry: Judges each call, answers included; see `RetryContext` and `RetryDecision`. With
            `streaming="live"` it sees no call that has delivered a chunk.
        streaming: What happens to streams: never again after the first chunk (`"live"`), held back until whole
            (`"buffered"`), or started over in front of the consumer (`"restart"`).
        max_wait_s: Longest wait that a service may ask for, in seconds; if it asks for more, there is no retry. None
            waits for ever.
        on_retry: Told of each failed call that another one follows, before the wait. Must not wait.

    Raises:
        BuildError: If `model` is no chat model, or a setting is out of range.
    """

    def __init__(
        self,
        model: ChatModel,
        policy: RetryPolicy | None = None,
        *,
        should_retry: ShouldRetry | None = None,
        streaming: Streaming = "live",
        max_wait_s: float | None = MAX_WAIT_S,
        on_retry: Callable[[FailedAttempt], None] | None = None,
    ) -> None:
        super().__init__([model])
        check_streaming("RetryChatModel", streaming)
        if max_wait_s is not None and max_wait_s < 0:
            raise BuildError(f"RetryChatModel(max_wait_s={max_wait_s!r}): waits cannot be negative")
        self._policy = RetryPolicy() if policy is None else policy
        self._should_retry = should_retry
        self._streaming = streaming
        self._max_wait_s = max_wait_s
        self._on_retry = on_retry

    def __repr__(self) -> str:
        return f"RetryChatModel({show_model(self._models[0])}, {self._policy.max_attempts} attempts)"

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the first answer that is accepted.

        Raises:
            RetryExhaustedError: If every try failed, or the service asks for too long a wait.
            Exception: What the model raises that is not worth another try.
        """
        tries = self._tries(messages, options)
        while True:
            answer, failure = None, None
            try:
                answer = await self._models[0].generate(tries.messages, tries.options)
            except ControlSignal:
                raise
            except Exception as error:
                failure = error
            if await tries.accept(answer, failure) and answer is not None:
                return answer

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        """Yield the chunks of the first answer that is accepted; see `streaming`.

        Raises:
            RetryExhaustedError: If every try failed, or the service asks for too long a wait.
            Exception: What the model raises that is not worth another try, or comes too late for one.
        """
        tries = self._tries(messages, options)
        hold = self._streaming == "buffered"
        keep = self._should_retry is not None and self._streaming != "live"
        while True:
            chunks: list[Message] = []
            delivered, failure = False, None
            try:
                async with StreamReader.from_async(self._models[0].stream(tries.messages, tries.options)) as reader:
                    async for chunk in reader:
                        if hold or keep:
                            chunks.append(chunk)
                        if not hold:
                            delivered = True
                            yield chunk
            except ControlSignal:
                raise
            except Exception as error:
                failure = error
            if delivered and self._streaming == "live":
                if failure is not None:
                    failure.add_note("not tried again: chunks were delivered already (see streaming=)")
                    raise failure
                return
            if await tries.accept(_joined(chunks, failure), failure):
                break
        if hold:
            for chunk in chunks:
                yield chunk

    def _tries(self, messages: Sequence[Message], options: ModelOptions) -> _Tries:
        return _Tries(self, tuple(messages), self._bound.merge(options))


class _Tries:
    """The calls that one call of the wrapper makes."""

    def __init__(self, owner: RetryChatModel, messages: tuple[Message, ...], options: ModelOptions) -> None:
        self.messages = messages
        self.options = options
        self._owner = owner
        self._rng = Random(owner._policy.seed)  # noqa: S311 - jitter, no secret
        self._failed: list[FailedAttempt] = []

    async def accept(self, message: Message | None, error: Exception | None) -> bool:
        """Return whether the call was good; else wait for the next one, or raise what ends the tries."""
        attempt = len(self._failed) + 1
        decision = await self._judged(attempt, message, error)
        if not decision.retry:
            if decision.raise_error is not None:
                raise decision.raise_error from error
            if error is None:
                return True
            if self._failed:
                error.add_note(f"try {attempt} of {self._owner!r}; before it:\n{_listed(self._failed)}")
            raise error
        reason = decision.reason or "rejected by should_retry"
        failure = error or AnswerRejectedError(f"the answer of try {attempt} was rejected: {reason}", message=message)
        wait_s = self._wait_s(attempt, failure, decision)
        failed = FailedAttempt(show_model(self._owner._models[0]), failure, wait_s, decision.reason)
        self._failed.append(failed)
        if self._owner._on_retry is not None:
            self._owner._on_retry(failed)
        if decision.messages is not None:
            self.messages = tuple(decision.messages)
        self.options = self.options.merge(decision.options)
        await sleep(wait_s)
        return False

    async def _judged(self, attempt: int, message: Message | None, error: Exception | None) -> RetryDecision:
        owner = self._owner
        decision = None
        if owner._should_retry is not None:
            seen = RetryContext(
                attempt=attempt, messages=self.messages, options=self.options, message=message, error=error
            )
            decision = await resolved(owner._should_retry(seen))
        if decision is None:
            return RetryDecision(retry=error is not None and owner._policy.retry_on(error))
        if not isinstance(decision, RetryDecision):
            raise BuildError(f"should_retry returned {decision!r}; it must return a RetryDecision or None")
        return decision

    def _wait_s(self, attempt: int, failure: Exception, decision: RetryDecision) -> float:
        """Return how long to wait, or raise that there is no next call."""
        policy, longest_s = self._owner._policy, self._owner._max_wait_s
        last = FailedAttempt(show_model(self._owner._models[0]), failure, None, decision.reason)
        if attempt >= policy.max_attempts:
            raise self._exhausted(last, f"all {attempt} tries failed; raise RetryPolicy(max_attempts=)") from failure
        wait_s = decision.wait_s
        if wait_s is not None:
            return wait_s
        asked_s = asked_wait_s(failure)
        if longest_s is not None and asked_s > longest_s:
            why = f"the service asks to wait {asked_s:g} s, longer than max_wait_s={longest_s:g}; raise it"
            raise self._exhausted(last, why) from failure
        return max(asked_s, backoff_s(attempt, base_s=policy.base_s, cap_s=policy.cap_s, rng=self._rng))

    def _exhausted(self, last: FailedAttempt, why: str) -> RetryExhaustedError:
        attempts = (*self._failed, last)
        text = f"{last.model} gave no answer: {why}, or add a FailoverChatModel\n{_listed(attempts)}"
        return RetryExhaustedError(text, attempts=attempts)


def _listed(attempts: Sequence[FailedAttempt]) -> str:
    return "\n".join(f"  {number}. {attempt}" for number, attempt in enumerate(attempts, start=1))


def _joined(chunks: list[Message], error: Exception | None) -> Message | None:
    """Return what a stream gave, or what its error says that had arrived."""
    if isinstance(error, StreamBrokenError) and isinstance(error.partial, Message):
        return error.partial
    try:
        return concat_messages(chunks) if chunks else None
    except ConcatError:
        if error is None:
            raise
        return None
