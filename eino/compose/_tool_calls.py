"""The tool calls of one message, in turn or beside each other: all run to their end, whatever one of them raises."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from eino._run.address import AddressSegment, address_text
from eino._run.frame import Frame, current
from eino._run.interrupt import InterruptSignal
from eino._run.session import address_of, session_of
from eino._tasks import is_cancellation, shielded
from eino._tasks.group import task_group
from eino.compose._tool_endpoint import HandlerFailure, UnknownTool, Way, run_tool
from eino.compose._tool_input import ToolInput, awaited
from eino.compose._tool_messages import PieceWriter, joined, result_message
from eino.compose._tool_policy import SIGNALS, ToolErrorPolicy, call_failure
from eino.schema import concat
from eino.schema.message import Message
from eino.schema.stream import StreamReader
from eino.schema.stream_ops import merge
from eino.schema.tool_result import ToolResult

__all__ = ["Caller", "Outcome", "current_tool_call_id", "unless_failed"]

Outcome: TypeAlias = Message | BaseException
"""What a call came to: its message, or what it raised."""

Cell: TypeAlias = tuple[int, Outcome]
"""Position of a call, and a message of it or what it raised."""


def current_tool_call_id() -> str | None:
    """Return the id of the tool call that the caller is part of; None outside tool calls and outside runs.

    It also works in the nodes of a graph that the tool runs. The id is empty where the model gave none.
    """
    frame = current.get()
    while frame is not None:
        for segment in reversed(frame.place):
            if segment.type == _SEGMENT:
                return segment.sub_id
        frame = frame.parent
    return None


_SEGMENT = "tool"


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes tool calls: how, and what becomes of those that fail."""

    way: Way
    """The middlewares and the tool."""
    policy: ToolErrorPolicy | None
    sequential: bool

    def invoke(self, calls: Sequence[ToolInput]) -> Awaitable[list[Message]]:
        """Return the result of each call, in their order; to be awaited at once.

        Raises:
            ToolError: What the first of the calls that failed raised, when all have come to their end.
        """
        frame = current.get()
        return self._apart(calls[0], frame) if len(calls) == 1 else self._all(calls, frame)

    def invoke_as_node(self, calls: Sequence[ToolInput]) -> Awaitable[list[Message]]:
        """Do as `invoke` where the calls are all that runs in the frame: one that is alone needs none of its own."""
        frame = current.get()
        return self._alone(calls[0], frame) if len(calls) == 1 else self._all(calls, frame)

    async def _all(self, calls: Sequence[ToolInput], frame: Frame | None) -> list[Message]:
        if self.sequential:
            return unless_failed([await self._outcome(call, frame) for call in calls])
        return unless_failed(await self._beside(calls, frame))

    def cells(self, calls: Sequence[ToolInput]) -> AsyncGenerator[Cell, None] | StreamReader[Cell]:
        """Return what the calls come to as it comes; to be closed. A call that fails ends with what it raised."""
        frame = current.get()
        streams = [self._cells(index, call, frame) for index, call in enumerate(calls)]
        if len(streams) == 1:
            return streams[0]
        return _in_turn(streams) if self.sequential else merge(map(StreamReader.from_async, streams))

    async def _beside(self, calls: Sequence[ToolInput], frame: Frame | None) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        async with task_group() as group:
            for index, call in enumerate(calls):
                group.start(index, self._outcome(call, frame))
            while len(outcomes) < len(calls):
                if not group.done:
                    await group.wait()
                index, outcome, error = group.done.popleft()
                outcomes[index] = outcome if error is None else error
        return [outcomes[index] for index in range(len(calls))]

    async def _outcome(self, call: ToolInput, outer: Frame | None) -> Outcome:
        """Return what a call came to; only what ends the task itself is raised."""
        try:
            [message] = await self._apart(call, outer)
        except BaseException as error:
            if _ends_the_task(error):
                raise
            return error
        return message

    async def _apart(self, call: ToolInput, outer: Frame | None) -> list[Message]:
        """Return the result of a call, which may run beside others, in a frame of its own."""
        frame = None if outer is None else outer.branch_off(outer.node)
        token = current.set(frame)
        try:
            return await self._alone(call, frame)
        finally:
            current.reset(token)

    async def _alone(self, call: ToolInput, frame: Frame | None) -> list[Message]:
        """Return the result of one call, the only one that runs in `frame`, which stands at the call meanwhile.

        The result is a list so that a message with one call costs no coroutine around this one.
        """
        if frame is not None:
            outer_place = frame.place
            frame.place = (*outer_place, AddressSegment(_SEGMENT, call.called_name, call.call_id))
        try:
            stores = session_of(frame) is not None
            if stores and (kept := kept_result(frame)) is not None:
                return [kept]
            try:
                result = await self._way_of(call)(call)
                if isinstance(result, StreamReader):
                    async with result:
                        result = joined(call, [piece async for piece in result])
                message = result_message(call, result)
            except HandlerFailure as failure:
                raise failure.error from failure.error.__cause__
            except Exception as error:
                message = await self._answer(call, error, partial(result_message, call), on_stream=False)
            if stores:
                await keep_result(frame, message)
            return [message]
        finally:
            if frame is not None:
                frame.place = outer_place

    async def _cells(self, index: int, call: ToolInput, outer: Frame | None) -> AsyncGenerator[Cell, None]:
        """Yield the messages of a call, or what it raised, each pull inside the call's own frame."""
        frame = _frame_of(call, outer)
        kept = kept_result(frame)
        if kept is not None:
            yield index, kept
            return
        pieces = self._pieces(call)
        written: list[Message] | None = None if session_of(frame) is None else []
        ended = False
        try:
            while not ended:
                token = current.set(frame)
                try:
                    outcome: Outcome = await anext(pieces)
                except BaseException as error:
                    ended = True  # as a generator is that raised
                    if isinstance(error, StopAsyncIteration):
                        if written:
                            await keep_result(frame, concat(written))
                        return
                    if _ends_the_task(error):
                        raise
                    outcome = error
                finally:
                    current.reset(token)
                if written is not None and isinstance(outcome, Message):
                    written.append(outcome)
                yield index, outcome
        finally:
            if not ended:
                token = current.set(frame)
                try:
                    await shielded(pieces.aclose)
                finally:
                    current.reset(token)

    async def _pieces(self, call: ToolInput) -> AsyncGenerator[Message, None]:
        writer = PieceWriter(call)
        failed: Exception | None = None
        try:
            result = await self._way_of(call)(call)
            if isinstance(result, StreamReader):
                async with result:
                    async for piece in result:
                        yield writer.write(piece)
            else:
                yield writer.write(result)
        except HandlerFailure as failure:
            raise failure.error from failure.error.__cause__
        except Exception as error:
            failed = error
        if failed is not None:
            yield await self._answer(call, failed, writer.write, on_stream=True)
        elif not writer.wrote:
            yield writer.write("")

    def _way_of(self, call: ToolInput) -> Way:
        return run_tool if isinstance(call.tool, UnknownTool) else self.way

    async def _answer(
        self, call: ToolInput, error: Exception, write: Callable[[str | ToolResult], Message], *, on_stream: bool
    ) -> Message:
        """Return what stands in for the result of a call that failed; raise if nothing does."""
        if isinstance(error, SIGNALS):
            raise error
        if self.policy is not None:
            try:
                return write(await awaited(self.policy(call, error)))
            except SIGNALS:
                raise
            except Exception as again:
                error = again
        failure = call_failure(call, error, on_stream=on_stream)
        raise failure from failure.__cause__


def unless_failed(outcomes: Sequence[Outcome]) -> list[Message]:
    """Return the messages if all calls succeeded.

    Raises:
        BaseException: The error of the first call that failed; the others become notes on it. What steers the run
            (interrupts, cancellation) is raised if nothing failed.
    """
    messages = [outcome for outcome in outcomes if isinstance(outcome, Message)]
    if len(messages) == len(outcomes):
        return messages
    raised = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if all(isinstance(each, InterruptSignal) for each in raised):
        raise InterruptSignal.merged([each for each in raised if isinstance(each, InterruptSignal)])
    failures = [each for each in raised if isinstance(each, Exception) and not isinstance(each, SIGNALS)]
    first, *others = failures or raised
    for other in others if failures else ():
        first.add_note(f"another tool call of the same message failed as well: {other}")
    raise first


def kept_result(frame: Frame | None) -> Message | None:
    """Return the result that a call had before its run stopped; it is not made again."""
    session = session_of(frame)
    if frame is None or session is None or not session.kept:
        return None
    return session.kept.get(address_text(address_of(frame)))


async def keep_result(frame: Frame | None, message: Message) -> None:
    """Remember the result of a call, in case its run stops before the others have ended."""
    session: Any = session_of(frame)
    if frame is not None and session is not None:
        await session.keep_part(address_text(address_of(frame)), message)


def _frame_of(call: ToolInput, outer: Frame | None) -> Frame | None:
    return None if outer is None else outer.at(AddressSegment(_SEGMENT, call.called_name, call.call_id))


def _ends_the_task(error: BaseException) -> bool:
    """Whether an error is meant for the task that runs the call, not for the node."""
    return is_cancellation(error) or isinstance(error, (GeneratorExit, KeyboardInterrupt, SystemExit))


async def _in_turn(streams: Sequence[AsyncGenerator[Cell, None]]) -> AsyncGenerator[Cell, None]:
    for stream in streams:
        async with aclosing(stream):
            async for cell in stream:
                yield cell
