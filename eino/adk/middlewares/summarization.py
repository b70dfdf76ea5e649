"""`Summarize`: when a conversation grows too long, a summary takes its place."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from eino._run.retry import RetryPolicy
from eino.adk.chat.message_ids import ensure_message_id
from eino.adk.chat.turn import send_event
from eino.adk.events import AgentAction, AgentEvent
from eino.adk.middleware import Middleware, ModelTurn
from eino.adk.middlewares.tokens import CountTokens, estimate_tokens, text_tokens
from eino.components._model_wrapper import resolved
from eino.components.failover_model import FailoverChatModel
from eino.components.model import NO_MODEL_OPTIONS, ChatModel, ModelOptions
from eino.components.retry_model import RetryChatModel
from eino.errors import BuildError, ComponentError, ControlSignal, RunCancelledError
from eino.schema.codec import register
from eino.schema.message import Message, system_message, user_message
from eino.schema.tool import ToolInfo

__all__ = ["Finalize", "Summarize", "SummaryError", "SummaryEvent", "is_summary"]

SUMMARY_KEY: Final = "_eino_summary"
"""Marks summaries in `Message.extra`."""

_MAX_TOKENS: Final = 160_000
_USER_TOKENS: Final = 30_000
_CUT: Final = 1_000
"""Characters that stay of both ends of a user's message that is too long by itself."""

_RETRY: Final = RetryPolicy(max_attempts=4, base_s=1.0, cap_s=10.0, retry_on=lambda _: True)

_SYSTEM: Final = "You summarize a conversation between a user and an assistant that works with tools."

_PROMPT: Final = """Summarize the conversation so far, so that the work can go on from the summary alone. Its parts:
1. What the user wants, in full.
2. What was found out and decided, with names, paths and numbers.
3. What was done, with what result, and which errors came up.
4. All messages of the user, as <all_user_messages>...</all_user_messages>.
5. What is left to do, and the next step.
Answer with the summary only, and call no tools."""

_PREAMBLE: Final = "The conversation so far became too long. This is a summary of it:"
_CONTINUE: Final = "Go on from there, without asking the user anything that the summary answers."


class SummaryError(ComponentError):
    """A conversation could not be summarized; why is the `__cause__`."""


@register("eino.adk.SummaryEvent")
class SummaryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a `Summarize(emit_events=True)` tells of, as `action.custom` of events."""

    kind: Literal["before_summarize", "generate_summary", "after_summarize"]
    messages: tuple[Message, ...] = ()
    """The conversation before, or after."""
    attempt: int = 0
    """Number of a try to get a summary, from 1."""
    response: Message | None = None
    error: str = ""


Finalize: TypeAlias = Callable[[Sequence[Message], Message], Sequence[Message] | Awaitable[Sequence[Message]]]
"""`finalize(messages, summary)`: the conversation that goes on; `summary` is the model's answer as it is."""


def is_summary(message: Message) -> bool:
    """Return whether a message is a summary of an earlier conversation."""
    return bool(message.extra.get(SUMMARY_KEY))


class Summarize(Middleware):
    """Puts a summary in the place of a conversation that is too long; system messages stay.

    What the user said is not left to the model: the block `<all_user_messages>` of the summary is filled with the
    messages themselves, the newest first to get their place.
    """

    def __init__(
        self,
        model: ChatModel | None = None,
        *,
        max_tokens: int | None = None,
        max_messages: int | None = None,
        count_tokens: CountTokens = estimate_tokens,
        system: str = _SYSTEM,
        prompt: str = _PROMPT,
        user_tokens: int = _USER_TOKENS,
        transcript_path: str = "",
        retry: RetryPolicy | None = _RETRY,
        fallbacks: Sequence[ChatModel] | Callable[..., Any] | None = None,
        max_fallbacks: int = 3,
        model_options: ModelOptions | None = None,
        finalize: Finalize | None = None,
        emit_events: bool = False,
    ) -> None:
        """Make one.

        Args:
            model: What writes summaries; the agent's own model unless given.
            max_tokens: Length above which the conversation is summarized; 160,000 if neither limit is given.
            max_messages: Number of messages above which it is.
            count_tokens: Measures conversations.
            system: What the model is told to be.
            prompt: What it is asked for, behind the conversation.
            user_tokens: How many tokens of the user's own messages stay.
            transcript_path: Where the whole conversation can be read; empty if nowhere.
            retry: When the model is asked again; None: never.
            fallbacks: What writes the summary if the model cannot; see `FailoverChatModel`.
            max_fallbacks: Most of them, if a function chooses.
            model_options: Options of the call.
            finalize: Makes the conversation that goes on, instead of all of the above.
            emit_events: Whether events tell of it, see `SummaryEvent`.

        Raises:
            BuildError: If a limit is out of range.
        """
        for name, value in (("max_tokens", max_tokens), ("max_messages", max_messages), ("user_tokens", user_tokens)):
            if value is not None and value < 1:
                raise BuildError(f"Summarize({name}={value!r}): give 1 or more, or leave it out")
        self._model = model
        self._max_tokens = _MAX_TOKENS if max_tokens is None and max_messages is None else max_tokens
        self._max_messages = max_messages
        self._count = count_tokens
        self._system = system
        self._prompt = prompt
        self._user_tokens = user_tokens
        self._transcript_path = transcript_path
        self._retry = retry
        self._fallbacks = fallbacks
        self._max_fallbacks = max_fallbacks
        self._options = (model_options or ModelOptions()).merge(ModelOptions(tools=()))
        self._finalize = finalize
        self._emit_events = emit_events

    async def before_model(self, turn: ModelTurn) -> ModelTurn:
        """Return the conversation, or what takes its place.

        Raises:
            SummaryError: If there is no summary.
        """
        if not self.is_needed(turn.messages, turn.tools):
            return turn
        self._tell(SummaryEvent(kind="before_summarize", messages=turn.messages))
        messages = await self.summarize(turn.messages, turn.model)
        self._tell(SummaryEvent(kind="after_summarize", messages=messages))
        return turn.replace(messages=messages)

    def is_needed(self, messages: Sequence[Message], tools: Sequence[ToolInfo] = ()) -> bool:
        """Return whether a conversation is too long."""
        if self._max_messages is not None and len(messages) > self._max_messages:
            return True
        return self._max_tokens is not None and self._count(messages, tools) > self._max_tokens

    async def summarize(self, messages: Sequence[Message], model: ChatModel | None = None) -> tuple[Message, ...]:
        """Return the conversation that takes the place of `messages`.

        Raises:
            BuildError: If there is no model.
            SummaryError: If there is no summary.
        """
        asked = self._model if self._model is not None else model
        if asked is None:
            raise BuildError("Summarize() has no model: give it one, or hand one to summarize(messages, model)")
        said = [message for message in messages if message.role != "system"]
        answer = await self._answer(asked, [system_message(self._system), *said, user_message(self._prompt)])
        if self._finalize is not None:
            return tuple(await resolved(self._finalize(messages, answer)))
        system = (message for message in messages if message.role == "system")
        return (*system, ensure_message_id(self._summary(answer.content, said)))

    async def _answer(self, model: ChatModel, messages: list[Message]) -> Message:
        tries = _Tries(self._tell)
        stack: ChatModel = _Told(model, tries)
        if self._retry is not None:
            stack = RetryChatModel(stack, self._retry)
        if self._fallbacks is not None:
            stack = FailoverChatModel(
                stack, self._told_fallbacks(self._fallbacks, tries), failover_on=_any, max_fallbacks=self._max_fallbacks
            )
        try:
            return await stack.generate(messages, self._options)
        except (ControlSignal, RunCancelledError):
            raise
        except Exception as error:
            raise SummaryError(f"failed to generate summary: {type(error).__name__}: {error}") from error

    def _told_fallbacks(self, fallbacks: Any, tries: _Tries) -> Any:
        if not callable(fallbacks):
            return [_Told(each, tries) for each in fallbacks]

        async def choose(context: Any) -> Any:
            chosen = await resolved(fallbacks(context))
            return _Told(chosen, tries) if isinstance(chosen, ChatModel) else chosen

        return choose

    def _summary(self, text: str, said: Sequence[Message]) -> Message:
        whole = [_PREAMBLE, with_user_messages(text, said, self._user_tokens)]
        if self._transcript_path:
            whole.append(f"The whole conversation can be read at: {self._transcript_path}")
        return user_message("\n\n".join([*whole, _CONTINUE]), extra={SUMMARY_KEY: True})

    def _tell(self, event: SummaryEvent) -> None:
        if self._emit_events:
            send_event(AgentEvent(action=AgentAction(custom=event)))


class _Tries:
    """Counts the tries of one summary, and tells of them."""

    def __init__(self, tell: Callable[[SummaryEvent], None]) -> None:
        self._tell = tell
        self._count = 0

    def ended(self, response: Message | None, error: str) -> None:
        self._count += 1
        self._tell(SummaryEvent(kind="generate_summary", attempt=self._count, response=response, error=error))


class _Told:
    """A model whose calls are told of, and that must say something."""

    def __init__(self, model: ChatModel, tries: _Tries) -> None:
        self._model = model
        self._tries = tries

    def __repr__(self) -> str:
        return repr(self._model)

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        try:
            answer = await self._model.generate(messages, options)
            if not answer.content.strip():
                raise SummaryError(f"{self._model!r:.200} gave an empty summary")
        except Exception as error:
            self._tries.ended(None, f"{type(error).__name__}: {error}")
            raise
        self._tries.ended(answer, "")
        return answer

    def stream(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> AsyncIterator[Message]:
        return self._model.stream(messages, options)


def _any(_: Exception) -> bool:
    return True


_BLOCK = re.compile(r"<all_user_messages>.*?</all_user_messages>", re.DOTALL)


def with_user_messages(text: str, messages: Sequence[Message], tokens: int) -> str:
    """Return a summary whose last `<all_user_messages>` block holds what the user said, as much as `tokens` allow.

    Summaries of earlier conversations are left out. A single message is kept whole.
    """
    blocks = list(_BLOCK.finditer(text))
    if not blocks:
        return text
    last = blocks[-1]
    texts = [_text(message) for message in messages if message.role == "user" and not is_summary(message)]
    kept = [each for each in texts if each]
    if len(kept) > 1:
        kept = _newest(kept, tokens)
    listed = "\n".join(f"- {each}" for each in kept)
    note = f"\n({len(texts) - len(kept)} earlier ones are left out)" if len(kept) < len([t for t in texts if t]) else ""
    return f"{text[: last.start()]}<all_user_messages>\n{listed}{note}\n</all_user_messages>{text[last.end() :]}"


def _newest(texts: list[str], tokens: int) -> list[str]:
    kept: list[str] = []
    for text in reversed(texts):
        shown = text if text_tokens(text) <= tokens else f"{text[:_CUT]}\n[...]\n{text[-_CUT:]}"
        tokens -= text_tokens(shown)
        if tokens < 0 and kept:
            break
        kept.append(shown)
    return kept[::-1]


def _text(message: Message) -> str:
    parts = (part.text for part in message.user_parts if getattr(part, "text", None))  # type: ignore[union-attr]  # asked
    return message.content or "\n".join(parts)
