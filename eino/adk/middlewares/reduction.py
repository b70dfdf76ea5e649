"""`ReduceToolResults`: big results of tools are cut, old ones are cleared; the whole of them goes into files."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from eino.adk.middleware import Middleware, ModelTurn
from eino.adk.middlewares.tokens import CountTokens, estimate_tokens
from eino.components._model_wrapper import resolved
from eino.compose.tools_node import ToolInput, ToolNext, ToolOutput
from eino.errors import BuildError
from eino.schema.message import Message
from eino.schema.stream import StreamReader
from eino.schema.tool import ToolInfo
from eino.schema.tool_result import ToolResult

__all__ = ["ClearedRound", "FileWriter", "ReduceToolResults"]

PROCESSED: Final = "_reduction_mw_processed"
"""Marks, in `Message.extra`, calls whose results were cleared. Source: the Go original."""

_MAX_LENGTH: Final = 50_000
_CLEAR_ABOVE: Final = 160_000
"""Four fifths of the context window of common models. Source: the Go original."""

CLEARED: Final = "[Old tool result content cleared]"


class FileWriter(Protocol):
    """Keeps what was cut off."""

    async def write(self, path: str, content: str) -> None:
        """Write a file as a whole.

        Raises:
            OSError: If it cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClearedRound:
    """An assistant's message with tool calls, and the results, for a function that puts others in their place."""

    call: Message
    results: tuple[Message, ...]
    """The results as they were, not cleared."""


class ReduceToolResults(Middleware):
    """Keeps conversations short: a result that is too big is cut at once, old results are cleared when space runs out.

    A text result above `max_length` is replaced by its beginning and its end, and where the whole of it is. Of a
    stream, what comes before the limit passes as it comes; its end says where the whole is. Results in parts stay.

    When the conversation takes `clear_above_tokens` or more, the results of all but the last rounds of tools give way
    to a note. What was cleared is not cleared again, and stays cleared.
    """

    def __init__(
        self,
        files: FileWriter | None = None,
        *,
        root: str = "/tmp",  # noqa: S108 - a name in the given store, as the Go original has it
        read_tool: str = "read_file",
        max_length: int | None = None,
        keep_whole: Collection[str] = (),
        clear_above_tokens: int | None = _CLEAR_ABOVE,
        clear_at_least_tokens: int = 0,
        keep_rounds: int = 1,
        never_clear: Collection[str] = (),
        count_tokens: CountTokens = estimate_tokens,
        rewrite: Callable[[ClearedRound], Sequence[Message] | Awaitable[Sequence[Message]]] | None = None,
    ) -> None:
        """Make one.

        Args:
            files: Keeps what is cut off; without it what was cleared is gone, and nothing is cut unless `max_length`
                is given.
            root: Where the files are: `{root}/trunc/{call id}` and `{root}/clear/{call id}`.
            read_tool: Name of the tool that the model reads them with.
            max_length: Longest result, in characters; 50,000 with files. Above 0.
            keep_whole: Names of tools whose results are not cut.
            clear_above_tokens: From which length on old results are cleared; None: never.
            clear_at_least_tokens: How much must be won, in tokens; if it is less, nothing is cleared.
            keep_rounds: How many of the last rounds of tools stay.
            never_clear: Names of tools whose results are not cleared.
            count_tokens: Measures conversations.
            rewrite: Gives the messages that take the place of a round, instead of clearing its results; may be async.

        Raises:
            BuildError: If a number is out of range.
        """
        if max_length is not None and max_length < 1:
            raise BuildError(f"ReduceToolResults(max_length={max_length!r}): it must be 1 or more")
        if keep_rounds < 0 or clear_at_least_tokens < 0:
            raise BuildError(
                f"ReduceToolResults(keep_rounds={keep_rounds!r}, clear_at_least_tokens={clear_at_least_tokens!r}): "
                "they cannot be negative"
            )
        if clear_above_tokens is not None and clear_above_tokens < 1:
            raise BuildError(f"ReduceToolResults(clear_above_tokens={clear_above_tokens!r}): give 1 or more, or None")
        self._files = files
        self._root = root.rstrip("/")
        self._read_tool = read_tool
        self._max_length = _MAX_LENGTH if max_length is None and files is not None else max_length
        self._keep_whole = frozenset(keep_whole)
        self._clear_above = clear_above_tokens
        self._at_least = clear_at_least_tokens
        self._keep_rounds = keep_rounds
        self._never_clear = frozenset(never_clear)
        self._count = count_tokens
        self._rewrite = rewrite

    # Cutting

    async def wrap_tool(self, call: ToolInput, next: ToolNext) -> ToolOutput:  # noqa: A002 - the hook's word
        """Return the result, cut if it is too long."""
        result = await next(call)
        limit = self._max_length
        if limit is None or call.name in self._keep_whole:
            return result
        if isinstance(result, StreamReader):
            return StreamReader.from_async(self._cut_stream(call, result, limit))
        if isinstance(result, ToolResult) or len(result) <= limit:
            return result
        return await self._cut(call, result, limit)

    async def _cut(self, call: ToolInput, text: str, limit: int) -> str:
        half = limit // 2
        where, is_saved = await self._saved(call, text)
        read = f"\nUse {self._read_tool} to view" if is_saved else ""
        return (
            f"<persisted-output>\nOutput too large ({len(text)}). {where}\n"
            f"Preview (first {half}):\n{text[:half]}\n\n"
            f"Preview (last {half}):\n{text[len(text) - half :]}\n{read}\n</persisted-output>"
        )

    async def _cut_stream(
        self, call: ToolInput, pieces: StreamReader[Any], limit: int
    ) -> AsyncGenerator[str | ToolResult, None]:
        passed: list[str] = []
        held: list[str] = []
        length = 0
        async with pieces:
            try:
                async for piece in pieces:
                    if not isinstance(piece, str):
                        yield piece
                        continue
                    if not held and length + len(piece) <= limit:
                        length += len(piece)
                        passed.append(piece)
                        yield piece
                    else:
                        held.append(piece)
            except Exception:
                if held:
                    yield "".join(held)
                raise
        if held:
            rest = "".join(held)
            where, _ = await self._saved(call, "".join(passed) + rest)
            yield f"{rest[: limit - length]}\nOutput truncated after {limit} characters were streamed. {where}"

    async def _saved(self, call: ToolInput, text: str) -> tuple[str, bool]:
        """Return where the whole text is, and whether it is anywhere."""
        if self._files is None:
            return "Failed to save full output: there is no place for files", False
        path = f"{self._root}/trunc/{_file_name(call.call_id)}"
        try:
            await self._files.write(path, text)
        except Exception as error:  # a result that cannot be kept is still a result
            return f"Failed to save full output: {type(error).__name__}: {error}", False
        return f"Full output saved to: {path}", True

    # Clearing

    async def before_model(self, turn: ModelTurn) -> ModelTurn:
        """Return the conversation, with old results cleared if it is too long."""
        messages = await self.cleared(turn.messages, turn.tools)
        return turn if messages is turn.messages else turn.replace(messages=messages)

    async def cleared(self, messages: tuple[Message, ...], tools: Sequence[ToolInfo] = ()) -> tuple[Message, ...]:
        """Return the messages with old results cleared; the very same if there is nothing to do."""
        if self._clear_above is None or self._count(messages, tools) < self._clear_above:
            return messages
        rounds = _rounds(messages)
        old = rounds[: len(rounds) - self._keep_rounds] if self._keep_rounds else rounds
        old = [each for each in old if PROCESSED not in messages[each.start].extra]
        if not old:
            return messages
        writes: list[Callable[[], Awaitable[None]]] = []
        whole: list[Message] = []
        done = 0
        for each in old:
            whole += messages[done : each.start]
            whole += await self._clear(messages[each.start], messages[each.start + 1 : each.stop], writes)
            done = each.stop
        result = tuple(map(_without_usage, (*whole, *messages[done:])))
        if self._at_least and self._won(messages, result) < self._at_least:
            return messages
        for write in writes:
            await write()
        return result

    def _won(self, before: tuple[Message, ...], after: tuple[Message, ...]) -> int:
        """Return how many tokens shorter it is."""
        return self._count(tuple(map(_without_usage, before)), ()) - self._count(after, ())

    async def _clear(
        self, call: Message, results: tuple[Message, ...], writes: list[Callable[[], Awaitable[None]]]
    ) -> list[Message]:
        if self._rewrite is not None:
            rewritten = await resolved(self._rewrite(ClearedRound(call, results)))
            return [_processed(message) if message.tool_calls else message for message in rewritten]
        return [_processed(call), *(self._clear_result(result, writes) for result in results)]

    def _clear_result(self, result: Message, writes: list[Callable[[], Awaitable[None]]]) -> Message:
        if result.tool_name in self._never_clear:
            return result
        note = CLEARED
        if self._files is not None and result.content:
            path = f"{self._root}/clear/{_file_name(result.tool_call_id)}"
            writes.append(functools.partial(self._files.write, path, result.content))
            note = f"{CLEARED} Full output saved to: {path}. Use {self._read_tool} to view"
        return result.replace(content=note, user_parts=())


def _rounds(messages: Sequence[Message]) -> list[range]:
    """Return where each assistant's message with tool calls and its results are."""
    rounds: list[range] = []
    for start, message in enumerate(messages):
        if message.tool_calls:
            stop = start + 1
            while stop < len(messages) and messages[stop].role == "tool":
                stop += 1
            rounds.append(range(start, stop))
    return rounds


def _processed(message: Message) -> Message:
    return message.replace(extra={**message.extra, PROCESSED: True})


def _without_usage(message: Message) -> Message:
    """Return the message without what its model reported to have read: that was the longer conversation."""
    meta = message.response_meta
    return message if meta is None or meta.usage is None else message.replace(response_meta=meta.replace(usage=None))


def _file_name(call_id: str) -> str:
    """Return a name that leads nowhere else: ids come from outside."""
    return "".join(each if each.isalnum() or each in "-_." else "_" for each in call_id).lstrip(".") or "unnamed"
