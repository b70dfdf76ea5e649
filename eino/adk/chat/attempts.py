"""One logical call of the model, which may take several tries and several models: each streamed try is an event.

The wrappers that retry and stand in (`RetryChatModel`, `FailoverChatModel`) know nothing of events. A try is told what
became of it when the wrapper goes on: another one follows, the whole call gave its answer, or it failed. Until then the
end of its stream is held back; its chunks are not.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, Final

from eino._run.frame import here
from eino.adk.chat.errors import CutShortError, WillRetryError
from eino.adk.chat.message_ids import ID_KEY, message_id, new_message_id, with_message_id
from eino.adk.chat.turn import turn_here
from eino.callbacks import around
from eino.components._model_wrapper import show_model
from eino.components.model import NO_MODEL_OPTIONS, ChatModel, ModelOptions
from eino.components.naming import type_name
from eino.errors import FailedAttempt, InvalidResponseError
from eino.schema import concat_messages
from eino.schema.message import Message
from eino.schema.stream import StreamReader, StreamWriter, pipe

if TYPE_CHECKING:
    from eino.adk.budget import Meter
    from eino.adk.chat.turn import Turn
    from eino.adk.run_state import AgentRun

__all__ = ["Call", "Tries", "accepted", "another_follows", "generated"]

_UNBOUNDED: Final = sys.maxsize
"""Events that nobody reads must not hold up the run."""


class Call:
    """One logical call of the model."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.persisted: tuple[Message, ...] | None = None
        """The conversation that a rule for retries put in the place of the stored one."""
        self._tries = 0
        self._id = ""
        self._said: Message | None = None
        self._writer: StreamWriter[Message] | None = None
        self._chunks: list[Message] = []

    async def answer(self, model: ChatModel, messages: Sequence[Message], options: ModelOptions) -> Message:
        """Return the answer of `model`, which is made of `Tries`, and send the events of its tries.

        Raises:
            InvalidResponseError: If the model streams an answer without a chunk.
            Exception: What the last try failed with.
        """
        try:
            if self.turn.streaming:
                async with StreamReader.from_async(model.stream(messages, options)) as reader:
                    async for _ in reader:
                        pass
                if not self._chunks:
                    raise InvalidResponseError(f"{show_model(model)} answered nothing: its stream had no chunk")
                answer = concat_messages(self._chunks)
            else:
                answer = await model.generate(messages, options)
            if ID_KEY not in answer.extra:
                answer = with_message_id(answer, self._id or new_message_id())
        except BaseException as error:
            self._end(error if isinstance(error, Exception) else CutShortError("the run stopped inside the answer"))
            raise
        self._end(None)
        if self._said is not None:
            self.turn.run.say(self._said)
        return answer

    def begin(self) -> None:
        """Note that a try begins."""
        self._tries += 1
        self._said = None
        self._chunks = []

    def keep(self, chunk: Message) -> None:
        """Keep a chunk of the try, as the wrappers of the middlewares gave it."""
        self._chunks.append(chunk)

    def another_follows(self, failed: FailedAttempt) -> None:
        """End the stream of the try that was under way: it does not count."""
        self._end(WillRetryError(self._tries, f"{type(failed.error).__name__}: {failed.error}", failed.reason))

    def say(self, message: Message) -> Message:
        """Take what will be the event of a whole answer, if the try is accepted; return it with its id."""
        if ID_KEY not in message.extra:
            message = with_message_id(message, new_message_id())
        self._id = message_id(message) or ""
        self._said = message
        return message

    def stream_begins(self) -> StreamWriter[Message]:
        """Send the event of a streamed answer; return the writer of its chunks."""
        self._end(WillRetryError(self._tries, "the model was called once more"))
        reader, self._writer = pipe(_UNBOUNDED)
        self.turn.say_stream(reader)
        return self._writer

    def identified(self, chunk: Message) -> Message:
        """Return the first chunk of an answer with an id; chunks are joined, so no other one may have one."""
        if ID_KEY not in chunk.extra:
            chunk = with_message_id(chunk, new_message_id())
        self._id = message_id(chunk) or ""
        return chunk

    def _end(self, error: Exception | None) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            if error is not None:
                writer.send_error_nowait(error)
            writer.close()


class Tries:
    """A model as a chat agent calls it: each of its calls is one try of the turn's logical call."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    self_instrumented = True

    @property
    def type_name(self) -> str:
        """The name of the model's implementation."""
        return type_name(self._model)

    def __repr__(self) -> str:
        return show_model(self._model)

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the answer of one try."""
        call = _call()
        call.begin()
        wrapped = await _wrapped(self._model, call)
        return await wrapped.generate(messages, options)

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncGenerator[Message, None]:
        """Yield the answer of one try."""
        call = _call()
        call.begin()
        wrapped = await _wrapped(self._model, call)
        async with StreamReader.from_async(wrapped.stream(messages, options)) as reader:
            async for chunk in reader:
                call.keep(chunk)
                yield chunk


def another_follows(failed: FailedAttempt) -> None:
    """Tell the turn's call that a try failed and another one follows."""
    _call().another_follows(failed)


def _call() -> Call:
    return turn_here().call  # only a turn calls its model


async def _wrapped(model: ChatModel, call: Call) -> ChatModel:
    """Return the model with callbacks and ids, the wrappers of the middlewares, and the event at its place."""
    hooks = call.turn.hooks
    made: ChatModel = _Observed(model, call)
    for position in range(len(hooks.wrap_model), -1, -1):
        if position == hooks.model_sender:
            made = _Sending(made, call)
        if position:
            made = await hooks.wrap_model[position - 1](made, ChatModel)
    return made


class _Observed:
    """The innermost part of a try: tells the handlers, and gives the answer an id."""

    def __init__(self, model: ChatModel, call: Call) -> None:
        self._model = model
        self._call = call

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        answer = await generated(self._model, messages, options)
        return self._call.identified(accepted(answer, self._model, self._call.turn.run))

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        with_usage: list[Message] = []
        async with _observed_stream(self._model, messages, options) as reader:
            first = True
            async for chunk in reader:
                if chunk.response_meta is not None and chunk.response_meta.usage is not None:
                    with_usage.append(chunk)
                yield self._call.identified(chunk) if first else chunk
                first = False
        run = self._call.turn.run
        if run.root.meter is not None:
            _charge(concat_messages(with_usage) if with_usage else None, run.root.meter, run)


class _Sending:
    """Makes events of what passes."""

    def __init__(self, model: ChatModel, call: Call) -> None:
        self._model = model
        self._call = call

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        return self._call.say(await self._model.generate(messages, options))

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        writer: StreamWriter[Message] | None = None
        chunks: list[Message] = []
        async with StreamReader.from_async(self._model.stream(messages, options)) as reader:
            async for given in reader:
                chunk = given if writer is not None or chunks else self._call.identified(given)
                if not self._call.turn.streaming:  # a wrapper streams on its own account
                    chunks.append(chunk)
                else:
                    writer = writer or self._call.stream_begins()
                    writer.send_nowait(chunk)
                yield chunk
        if chunks:
            self._call.say(concat_messages(chunks))


def generated(model: ChatModel, messages: Sequence[Message], options: ModelOptions) -> Awaitable[Message]:
    """Return the answer of `model`, to be awaited at once and then `accepted`; the handlers of the run hear it."""
    if here.get().observer is None or getattr(model, "self_instrumented", False):
        return model.generate(messages, options)
    return _told_generate(model, messages, options)


async def _told_generate(model: ChatModel, messages: Sequence[Message], options: ModelOptions) -> Message:
    with around("ChatModel", name="model", type=type_name(model), input=messages) as span:
        answer = await model.generate(messages, options)
        span.end(answer)
        return answer


def accepted(answer: Message, model: ChatModel, run: AgentRun) -> Message:
    """Return what a model answered, having counted what it cost.

    Raises:
        InvalidResponseError: If it is no message.
        BudgetExceededError: If the run may not cost that much.
    """
    if answer.__class__ is not Message:
        raise InvalidResponseError(f"{show_model(model)} answered {answer!r:.200}: a chat model answers with a Message")
    if run.root.meter is not None:
        _charge(answer, run.root.meter, run)
    return answer


def _charge(answer: Message | None, meter: Meter, run: AgentRun) -> None:
    meta = answer.response_meta if answer is not None else None
    meter.charge(run, meta.usage if meta is not None else None)


def _observed_stream(model: ChatModel, messages: Sequence[Message], options: ModelOptions) -> StreamReader[Message]:
    if here.get().observer is None or getattr(model, "self_instrumented", False):
        return StreamReader.from_async(model.stream(messages, options))
    with around("ChatModel", name="model", type=type_name(model), input=messages) as span:
        return span.end_stream(StreamReader.from_async(model.stream(messages, options)))
