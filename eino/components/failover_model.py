"""A chat model that has others to stand in for it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET

from eino._run.causes import causes
from eino._tasks import now
from eino.components._model_wrapper import ChatModelWrapper, Streaming, check_streaming, resolved, show_model
from eino.components.model import NO_MODEL_OPTIONS, ChatModel, ModelOptions
from eino.errors import (
    BuildError,
    ComponentError,
    ControlSignal,
    FailedAttempt,
    FailoverExhaustedError,
    StreamBrokenError,
)
from eino.schema.message import Message
from eino.schema.stream import StreamReader

__all__ = ["FailoverChatModel", "FailoverContext", "Fallback", "is_failure_of_the_service"]


def is_failure_of_the_service(error: BaseException) -> bool:
    """Return whether another model may do better: whatever a component raises, time-outs and broken connections."""
    return isinstance(error, ComponentError | TimeoutError | ConnectionError)


@dataclass(frozen=True, kw_only=True)
class FailoverContext:
    """Calls that have failed, for the function that chooses what stands in."""

    attempt: int
    """1 for the first stand-in."""
    messages: tuple[Message, ...]
    """What the caller asked."""
    options: ModelOptions
    """The options of the caller."""
    failed: tuple[FailedAttempt, ...]
    """The calls so far, first to last."""

    @property
    def last_error(self) -> Exception:
        """What the last call raised."""
        return self.failed[-1].error

    @property
    def last_message(self) -> Message | None:
        """What had arrived when the last call broke off."""
        for error in causes(self.last_error):
            if isinstance(error, StreamBrokenError):
                return error.partial if isinstance(error.partial, Message) else None
        return None


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """A model that stands in, and what it is asked."""

    model: ChatModel
    messages: Sequence[Message] | None = None
    """What it is asked; None: what the caller asked."""
    options: ModelOptions = NO_MODEL_OPTIONS
    """Options on top of the caller's. The caller's `model` names one of the first service, and is left out."""


ChooseFallback: TypeAlias = Callable[
    [FailoverContext], "Fallback | ChatModel | Awaitable[Fallback | ChatModel | None] | None"
]
"""Chooses what stands in, or None: nothing does. May be async. What it raises ends the call."""

_MOST_CHOSEN: Final = 3


class FailoverChatModel(ChatModelWrapper):
    """Calls another chat model when one fails.

        model = FailoverChatModel(RetryChatModel(first), [RetryChatModel(second)])

    Retries belong inside: each model then has all its tries before the next one is asked. When all have failed,
    `FailoverExhaustedError` lists them with their reasons.

    Args:
        model: The model that is called first.
        fallbacks: What stands in, in this order; or a function that chooses.
        failover_on: Says whether an error is a reason to go on; unless given, whatever a service or the way to it
            can fail with. Other errors are raised as they are.
        max_fallbacks: Most stand-ins of one call, if a function chooses them.
        streaming: What happens to streams: nothing stands in after the first chunk (`"live"`), chunks are held back
            until the answer is whole (`"buffered"`), or it starts over in front of the consumer (`"restart"`).
        prefer_last_s: How long the stand-in that answered last is asked first, in seconds; 0.0: never.
        on_failover: Told of each failed call that a stand-in follows. Must not wait.

    Raises:
        BuildError: If one is no chat model, or there is no fallback.
    """

    def __init__(
        self,
        model: ChatModel,
        fallbacks: Sequence[ChatModel | Fallback] | ChooseFallback,
        *,
        failover_on: Callable[[Exception], bool] = is_failure_of_the_service,
        max_fallbacks: int = _MOST_CHOSEN,
        streaming: Streaming = "live",
        prefer_last_s: float = 0.0,
        on_failover: Callable[[FailedAttempt], None] | None = None,
    ) -> None:
        listed = () if callable(fallbacks) else tuple(map(_fallback, fallbacks))
        super().__init__([model, *(each.model for each in listed)])
        check_streaming("FailoverChatModel", streaming)
        if not callable(fallbacks) and not listed:
            raise BuildError("FailoverChatModel(fallbacks=[]): at least one model must stand in")
        if max_fallbacks < 1 or prefer_last_s < 0:
            raise BuildError(
                f"FailoverChatModel(max_fallbacks={max_fallbacks!r}, prefer_last_s={prefer_last_s!r}): "
                "at least one stand-in, and no negative time"
            )
        self._first = Fallback(model=model)
        self._listed = listed
        self._choose = fallbacks if callable(fallbacks) else None
        self._failover_on = failover_on
        self._max_fallbacks = max_fallbacks
        self._streaming = streaming
        self._prefer_last_s = prefer_last_s
        self._on_failover = on_failover
        self._last = _LastGood()

    def __repr__(self) -> str:
        shown = ", ".join(map(show_model, self._models))
        return f"FailoverChatModel({shown}{', ...' if self._choose is not None else ''})"

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the answer of the first model that gives one.

        Raises:
            FailoverExhaustedError: If all failed.
            Exception: What is no reason to ask another.
        """
        calls = self._calls(messages, options)
        while True:
            turn = await calls.next()
            try:
                answer = await turn.model.generate(turn.messages, turn.options)
            except ControlSignal:
                raise
            except Exception as error:
                calls.failed(turn, error)
            else:
                calls.succeeded(turn)
                return answer

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        """Yield the chunks of the first model that answers; see `streaming`.

        Raises:
            FailoverExhaustedError: If all failed.
            Exception: What is no reason to ask another, or comes too late for one.
        """
        calls = self._calls(messages, options)
        hold = self._streaming == "buffered"
        while True:
            turn = await calls.next()
            chunks: list[Message] = []
            delivered = False
            try:
                async with StreamReader.from_async(turn.model.stream(turn.messages, turn.options)) as reader:
                    async for chunk in reader:
                        if hold:
                            chunks.append(chunk)
                        else:
                            delivered = True
                            yield chunk
            except ControlSignal:
                raise
            except Exception as error:
                if delivered and self._streaming == "live":
                    error.add_note("no other model was asked: chunks were delivered already (see streaming=)")
                    raise
                calls.failed(turn, error)
            else:
                break
        calls.succeeded(turn)
        for chunk in chunks:
            yield chunk

    def _calls(self, messages: Sequence[Message], options: ModelOptions) -> _Calls:
        return _Calls(self, tuple(messages), self._bound.merge(options))


class _LastGood:
    """The stand-in that answered last, shared by the copies of a wrapper."""

    def __init__(self) -> None:
        self.fallback: Fallback | None = None
        self.until_s = 0.0


@dataclass(frozen=True)
class _Turn:
    """One call that is about to be made."""

    fallback: Fallback
    model: ChatModel
    messages: Sequence[Message]
    options: ModelOptions


class _Calls:
    """The calls that one call of the wrapper makes."""

    def __init__(self, owner: FailoverChatModel, messages: tuple[Message, ...], options: ModelOptions) -> None:
        self._owner = owner
        self._messages = messages
        self._options = options
        self._failed: list[FailedAttempt] = []
        self._chosen = 0
        last = owner._last
        first = last.fallback if last.fallback is not None and now() < last.until_s else None
        usual = [owner._first, *owner._listed]
        self._waiting = deque(usual if first is None else [first, *(each for each in usual if each is not first)])

    async def next(self) -> _Turn:
        """Return the next call to make.

        Raises:
            FailoverExhaustedError: If there is none.
        """
        fallback = self._waiting.popleft() if self._waiting else await self._choice()
        if fallback is None:
            raise self._exhausted() from self._failed[-1].error
        if self._failed and self._owner._on_failover is not None:
            self._owner._on_failover(self._failed[-1])
        options = self._options
        if fallback is not self._owner._first and options.model is not UNSET:
            options = msgspec.structs.replace(options, model=UNSET)
        asked = self._messages if fallback.messages is None else fallback.messages
        return _Turn(fallback, fallback.model, asked, options.merge(fallback.options))

    def failed(self, turn: _Turn, error: Exception) -> None:
        """Note the failure, or raise it if it is no reason to go on."""
        if not self._owner._failover_on(error):
            if self._failed:
                error.add_note(f"raised by {show_model(turn.model)}; before it:\n{self._list()}")
            raise error
        self._failed.append(FailedAttempt(show_model(turn.model), error))
        if turn.fallback is self._owner._last.fallback:
            self._owner._last.fallback = None

    def succeeded(self, turn: _Turn) -> None:
        """Note who answered, for those who prefer it the next time."""
        owner = self._owner
        if owner._prefer_last_s and self._failed:
            owner._last.fallback, owner._last.until_s = turn.fallback, now() + owner._prefer_last_s

    async def _choice(self) -> Fallback | None:
        owner = self._owner
        if owner._choose is None or self._chosen >= owner._max_fallbacks:
            return None
        self._chosen += 1
        seen = FailoverContext(
            attempt=self._chosen, messages=self._messages, options=self._options, failed=tuple(self._failed)
        )
        chosen = await resolved(owner._choose(seen))
        return None if chosen is None else _fallback(chosen)

    def _list(self) -> str:
        return "\n".join(f"  {number}. {attempt}" for number, attempt in enumerate(self._failed, start=1))

    def _exhausted(self) -> FailoverExhaustedError:
        text = f"all {len(self._failed)} models failed\n{self._list()}"
        return FailoverExhaustedError(text, attempts=tuple(self._failed))


def _fallback(given: Fallback | ChatModel) -> Fallback:
    fallback = given if isinstance(given, Fallback) else Fallback(model=given)
    if isinstance(fallback.model, type) or not isinstance(fallback.model, ChatModel):
        raise BuildError(f"{fallback.model!r} cannot stand in for a chat model: it needs `generate` and `stream`")
    return fallback
