"""`MessageFuture`: the messages of an agent's run as they come, not only the last one."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeAlias

from eino._tasks import Parker
from eino.callbacks import Handler, RunInfo
from eino.compose.tools_node import current_tool_call_id
from eino.errors import StreamInUseError
from eino.schema._concat import concat_messages
from eino.schema.message import Message
from eino.schema.stream import StreamReader
from eino.schema.tool_result import ToolResult

__all__ = ["MessageFuture"]

_Item: TypeAlias = Message | StreamReader[Message] | BaseException


class MessageFuture(Handler):
    """Hears every message of one run of a `ReactAgent`: what the model said, what the tools gave.

    Give it to the run among its `callbacks` and iterate over it in another task, or afterwards. It belongs to one
    run; where the agent is a node of a graph it hears the agent's first run there. Nothing is dropped: what nobody
    reads is kept until the block ends. What the run raised comes behind the last message.

    ```python
    async with MessageFuture() as future, agent.runnable.start(messages, callbacks=[future]) as handle:
        async for message in future:
            print(message)
    ```
    """

    def __init__(self, name: str = "react") -> None:
        """Listen to the agent called `name`: in a graph, the name or key of its node."""
        self._name = name
        self._run: int | None = None
        self._rounds: set[int] = set()
        self._items: deque[_Item] = deque()
        self._ended = False
        self._parker = Parker()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the streams that nobody read; what comes later is not kept."""
        self._ended = True
        while self._items:
            item = self._items.popleft()
            if isinstance(item, StreamReader):
                await item.aclose()

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Yield each message whole, a streamed one when it is complete.

        Raises:
            RunError: What the run failed with, behind its last message.
            StreamInUseError: If another task iterates already.
        """
        async with aclosing(self.streams()) as streams:
            async for item in streams:
                async with item as reader:
                    yield concat_messages([chunk async for chunk in reader])

    async def streams(self) -> AsyncGenerator[StreamReader[Message]]:
        """Yield each message as a stream, which the caller closes; one that did not stream is one chunk.

        Raises:
            RunError: What the run failed with, behind its last message.
            StreamInUseError: If another task iterates already.
        """
        while True:
            while self._items:
                item = self._items.popleft()
                if isinstance(item, BaseException):
                    raise item
                yield item if isinstance(item, StreamReader) else StreamReader.from_iterable((item,))
            if self._ended:
                return
            if self._parker.is_parked:
                raise StreamInUseError("another task iterates over this MessageFuture already; make one for each")
            await self._parker.park()

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - the handler's word
        """Find the agent's run and its rounds of tools."""
        if self._run is None:
            if info.component == "Graph" and info.name == self._name:
                self._run = info.seq
        elif info.component == "ToolsNode" and info.parent_seq == self._run:
            self._rounds.add(info.seq)

    def on_start_stream_input(self, info: RunInfo, reader: StreamReader[Any]) -> None:
        """Do the same where the input streams."""
        reader.close()
        self.on_start(info, None)

    def on_end(self, info: RunInfo, output: Any) -> None:
        """Keep a message that did not stream."""
        if self._is_model(info):
            self._put(output)
        elif self._is_tool(info):
            self._put(_tool_message(output, current_tool_call_id() or "", info.name))
        elif info.seq == self._run:
            self._end()

    def on_end_stream_output(self, info: RunInfo, reader: StreamReader[Any]) -> None:
        """Keep a message that streams."""
        if self._is_model(info):
            self._put(reader.map(_same))
        elif self._is_tool(info):
            call_id, name = current_tool_call_id() or "", info.name
            self._put(reader.map(lambda piece: _tool_message(piece, call_id, name)))
        else:
            reader.close()
            if info.seq == self._run:
                self._end()

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        """Keep what the run failed with."""
        if info.seq == self._run:
            self._put(error)
            self._end()

    def _is_model(self, info: RunInfo) -> bool:
        return info.component == "ChatModel" and self._run is not None and info.parent_seq == self._run

    def _is_tool(self, info: RunInfo) -> bool:
        return info.component == "Tool" and info.parent_seq in self._rounds

    def _put(self, item: _Item) -> None:
        if self._ended:
            if isinstance(item, StreamReader):
                item.close()
            return
        self._items.append(item)
        self._parker.unpark()

    def _end(self) -> None:
        self._ended = True
        self._parker.unpark()


def _same(message: Message) -> Message:
    return message


def _tool_message(result: str | ToolResult, call_id: str, name: str) -> Message:
    if isinstance(result, ToolResult):
        parts = result.to_user_parts()
        return Message(role="tool", content="", user_parts=parts, tool_call_id=call_id, tool_name=name)
    return Message(role="tool", content=result, tool_call_id=call_id, tool_name=name)
