"""What agents say while they run: events, with messages that may stream, and actions that steer who runs next."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

import msgspec

from eino._run.interrupt import InterruptContext
from eino.errors import ConcatError, EndOfStream
from eino.schema._concat import CONCAT
from eino.schema.codec import register
from eino.schema.message import Message, MessageRole
from eino.schema.stream import StreamReader

__all__ = [
    "AgentAction",
    "AgentEvent",
    "AgentInterrupt",
    "AgentOutput",
    "BreakLoop",
    "MessageVariant",
    "break_loop_action",
    "exit_action",
    "message_event",
    "transfer_action",
]


@register("eino.adk.BreakLoop")
class BreakLoop(msgspec.Struct, frozen=True, kw_only=True):
    """The wish to end the loop around the agent."""

    from_agent: str = ""
    """The agent that asked for it."""
    done: bool = False
    """Whether a loop has taken notice: outer loops do not."""
    current_iterations: int = 0
    """Number of the round in which it was asked for, from 0; set by the loop."""


class AgentInterrupt(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stopped, and what it asks."""

    contexts: tuple[InterruptContext, ...]
    """The places, each with what `interrupt(info)` was given. Addresses name agents and tools only."""

    def __getitem__(self, address: str) -> InterruptContext:
        """Return the place with this address, such as `"agent:helper;tool:send:call_1"`.

        Raises:
            KeyError: If the run did not stop there.
        """
        for context in self.contexts:
            if context.address_text == address:
                return context
        raise KeyError(f"{address!r} is none of {[context.address_text for context in self.contexts]}")


@register("eino.adk.AgentAction")
class AgentAction(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent wants to happen next. Only the last action of its own events counts."""

    exit: bool = False
    """End the run: nobody else gets a turn."""
    transfer_to: str = ""
    """Name of the agent that gets the next turn."""
    break_loop: BreakLoop | None = None
    interrupted: AgentInterrupt | None = None
    """The run has stopped and waits; only in the last event of a run."""
    custom: Any = None
    """Any value of the program's own; storable, if runs are stored."""


def exit_action() -> AgentAction:
    """Return the wish to end the run."""
    return AgentAction(exit=True)


def transfer_action(agent_name: str) -> AgentAction:
    """Return the wish to hand over to another agent of the tree.

    Raises:
        ValueError: If the name is empty.
    """
    if not isinstance(agent_name, str) or not agent_name:
        raise ValueError(f"transfer_action({agent_name!r}): give the name of an agent")
    return AgentAction(transfer_to=agent_name)


def break_loop_action(from_agent: str = "") -> AgentAction:
    """Return the wish to end the innermost loop."""
    return AgentAction(break_loop=BreakLoop(from_agent=from_agent))


class MessageVariant:
    """A message that is there, or still streams in.

    Any number of consumers may read it, each as often as it likes. The run itself reads a stream to its end, so a
    consumer that does not care holds nothing up.
    """

    __slots__ = ("_chunks", "_error", "_message", "_spare", "is_streaming", "role", "tool_name")

    def __init__(
        self,
        message: Message | AsyncIterable[Message],
        *,
        role: MessageRole | None = None,
        tool_name: str | None = None,
    ) -> None:
        """Make one of a message or a stream of its chunks.

        Args:
            message: The message, or an async iterable of chunks, which belongs to the variant from now on.
            role: Who says it; of a stream `"assistant"` unless told otherwise.
            tool_name: The tool that a tool message comes from.

        Raises:
            TypeError: If it is neither a message nor an async iterable.
        """
        self._spare: StreamReader[Message] | None = None
        self._chunks: list[Message] | None = None
        self._error: Exception | None = None
        if isinstance(message, Message):
            self._message: Message | None = message
            self.is_streaming = False
            """Whether it came as a stream."""
            self.role: MessageRole = role or message.role or "assistant"
            self.tool_name = message.tool_name if tool_name is None else tool_name
            return
        if not isinstance(message, AsyncIterable):
            raise TypeError(f"an event's message is a Message or an async iterable of chunks, got {message!r:.200}")
        self._message = None
        self._spare = StreamReader.from_async(message)
        self.is_streaming = True
        self.role = role or "assistant"
        self.tool_name = tool_name or ""

    @property
    def message(self) -> Message | None:
        """The whole message if it is there already; else None."""
        return self._message

    async def get(self) -> Message:
        """Return the whole message, waiting for its stream to end.

        Raises:
            Exception: What the stream failed with.
            ConcatError: If the stream was empty.
        """
        await self.settle()
        if self._error is not None:
            raise self._error
        if self._message is None:
            raise ConcatError(f"the {self.role} message was an empty stream, or its run ended before it was read")
        return self._message

    def stream(self) -> StreamReader[Message]:
        """Return a reader of its own for the caller, from the first chunk on; a message that is whole is one chunk."""
        if self._chunks is not None:
            return StreamReader.from_async(_replayed(self._chunks, self._error)) if self._error else _of(self._chunks)
        if self._spare is None:
            return _of([self._message] if self._message is not None else [])
        self._spare, reader = self._spare.copy(2)
        return reader

    async def settle(self) -> None:
        """Read the stream to its end and keep it: from then on nothing is open. Its error is kept, not raised."""
        if self._spare is None or self._chunks is not None:
            return
        chunks: list[Message] = []
        error: Exception | None = None
        async with self.stream() as reader:
            try:
                while True:
                    chunks.append(await reader.recv())
            except EndOfStream:
                pass
            except Exception as failure:
                error = failure
        if self._chunks is None:  # another task may have been faster
            self._keep(chunks, error)
            self.close()

    def _keep(self, chunks: list[Message], error: Exception | None) -> None:
        self._chunks, self._error = chunks, error
        if error is None and chunks:
            try:
                self._message = CONCAT.concat(chunks)
            except ConcatError as failure:
                self._error = failure

    def close(self) -> None:
        """Give up what nobody has read yet, without waiting. Readers that were handed out go on."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    @property
    def partial(self) -> tuple[Message, ...]:
        """The chunks of a stream that was read to its end, or to its error."""
        return tuple(self._chunks or ())

    @property
    def error(self) -> Exception | None:
        """What the stream failed with, once it was read to its end."""
        return self._error

    def __repr__(self) -> str:
        what = repr(self._message) if self._message is not None else "a stream"
        return f"MessageVariant({what}, role={self.role!r}, tool_name={self.tool_name!r})"


def _of(chunks: list[Message]) -> StreamReader[Message]:
    return StreamReader.from_iterable(chunks)


async def _replayed(chunks: list[Message], error: Exception | None) -> AsyncGenerator[Message]:
    for chunk in chunks:
        yield chunk
    if error is not None:
        raise error


class AgentOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says."""

    message: MessageVariant | None = None
    custom: Any = None
    """Any value of the program's own."""


class AgentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened in a run of agents. An event may carry an output and an action."""

    agent_name: str = ""
    """Who says it; filled in by the run where it is empty."""
    run_path: tuple[str, ...] = ()
    """Names of the agents that had a turn on the way to this one: history, which grows with each transfer. Filled in
    by the run where it is empty."""
    output: AgentOutput | None = None
    action: AgentAction | None = None
    error: BaseException | None = None
    """Why the agent failed."""

    @property
    def message(self) -> MessageVariant | None:
        """The message of the output; None if there is none."""
        return self.output.message if self.output is not None else None


def message_event(
    message: Message | AsyncIterable[Message] | MessageVariant,
    *,
    role: MessageRole | None = None,
    tool_name: str | None = None,
    action: AgentAction | None = None,
) -> AgentEvent:
    """Return an event that says `message`, which may be a stream; see `MessageVariant`.

    Raises:
        TypeError: If it is no message and no stream.
    """
    variant = (
        message if isinstance(message, MessageVariant) else MessageVariant(message, role=role, tool_name=tool_name)
    )
    return AgentEvent(output=AgentOutput(message=variant), action=action)
