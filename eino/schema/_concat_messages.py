"""Joining chunks of messages: texts, calls by index, parts by position, usage, free-form data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from eino.errors import ConcatError
from eino.schema._concat_calls import join_tool_calls
from eino.schema._concat_parts import join_assistant_parts, join_extras, join_user_parts
from eino.schema._concat_plain import plain_text
from eino.schema._registry import JoinMaps
from eino.schema.message import Message, MessageRole
from eino.schema.tool import ToolCall
from eino.schema.usage import CompletionTokenDetails, LogProbs, PromptTokenDetails, ResponseMeta, TokenUsage


def join_messages(messages: Sequence[Message], join_maps: JoinMaps) -> Message:
    """Return the message that `messages` are the chunks of; they are not changed."""
    if not messages:
        return Message(role="", content="")
    try:
        # Texts or pieces of a call stream in by the hundred, all alike: a chunk from the middle tells which.
        typical = messages[len(messages) // 2]
        if typical.tool_calls:
            others = _with_more_than_calls(messages, typical.role)
            content = "".join([m.content for m in others])
            calls = _calls_of(messages)
        else:
            content, others = _join_texts(messages, typical)
            calls = _calls_of(others)
    except (AttributeError, TypeError):
        _refuse_foreign(messages)
        raise
    tool_calls = join_tool_calls(calls)
    if not others:
        return Message(role=typical.role, content=content, tool_calls=tool_calls)
    return _join_others(others, typical.role, content, tool_calls, join_maps)


_EDGE: Final = 4
"""Chunks at either end of a stream that are looked at one by one: there lie role, usage and finish reason."""
_LONG: Final = 64
"""Chunks from which on it pays to look at the middle as a whole."""


def _join_texts(messages: Sequence[Message], typical: Message) -> tuple[str, list[Message]]:
    """Return the text, and the chunks that carry more than a text and the role of the typical chunk."""
    role = typical.role
    if len(messages) >= _LONG and not _with_more_than_role([typical], role):
        head, tail = messages[:_EDGE], messages[-_EDGE:]
        text = plain_text(messages[_EDGE:-_EDGE], role)
        if text is not None:
            content = "".join([*[m.content for m in head], text, *[m.content for m in tail]])
            return content, _with_more_than_role([*head, *tail], role)
    return "".join([m.content for m in messages]), _with_more_than_role(messages, role)


# The two functions below are written out, and differ in one line, because they run once a chunk: what they find is
# joined field by field, which costs more.


def _with_more_than_role(messages: Sequence[Message], role: MessageRole) -> list[Message]:
    return [
        m
        for m in messages
        if m.tool_calls
        or m.response_meta is not None
        or m.reasoning_content
        or m.extra
        or m.assistant_parts
        or m.name
        or m.tool_call_id
        or m.tool_name
        or m.user_parts
        or m.multi_content
        or m.role is not role
    ]


def _with_more_than_calls(messages: Sequence[Message], role: MessageRole) -> list[Message]:
    return [
        m
        for m in messages
        if m.content
        or m.response_meta is not None
        or m.reasoning_content
        or m.extra
        or m.assistant_parts
        or m.name
        or m.tool_call_id
        or m.tool_name
        or m.user_parts
        or m.multi_content
        or m.role is not role
    ]


def _calls_of(messages: Sequence[Message]) -> Sequence[ToolCall]:
    groups = [m.tool_calls for m in messages]
    try:
        return [call for (call,) in groups]  # one call a chunk: the usual case, and twice as fast
    except ValueError:
        return list(chain.from_iterable(groups))


def _join_others(
    others: Sequence[Message],
    role: MessageRole,
    content: str,
    tool_calls: tuple[ToolCall, ...],
    join_maps: JoinMaps,
) -> Message:
    return Message(
        role=_agreed("roles", [*[m.role for m in others], role]),
        content=content,
        multi_content=tuple([part for m in others for part in m.multi_content]),
        user_parts=join_user_parts([part for m in others for part in m.user_parts]),
        assistant_parts=join_assistant_parts([part for m in others for part in m.assistant_parts], join_maps),
        name=_agreed("names", [m.name for m in others]),
        tool_calls=tool_calls,
        tool_call_id=_agreed("toolCallIDs", [m.tool_call_id for m in others]),
        tool_name=_agreed("toolNames", [m.tool_name for m in others]),
        response_meta=_join_metas([m.response_meta for m in others if m.response_meta is not None]),
        reasoning_content="".join([m.reasoning_content for m in others]),
        extra=join_extras([m.extra for m in others if m.extra], join_maps),
    )


def _agreed(what: str, values: Sequence[Any]) -> Any:
    present = list(dict.fromkeys([value for value in values if value]))
    if len(present) > 1:
        raise ConcatError(
            f"cannot concat messages with different {what}: {present[0]!r} {present[1]!r}; "
            "the chunks of one message must agree, an empty value agrees with all"
        )
    return present[0] if present else ""


def _refuse_foreign(messages: Sequence[object]) -> None:
    for position, message in enumerate(messages):
        if message is None:
            raise ConcatError(f"unexpected nil chunk in message stream, index: {position}; leave None out")
        if not isinstance(message, Message):
            raise ConcatError(f"unexpected chunk in message stream, index: {position}: {message!r} is not a Message")
        if not isinstance(message.content, str):
            raise ConcatError(f"the content of chunk {position} must be a string, got {message.content!r}")


def _join_metas(metas: Sequence[ResponseMeta]) -> ResponseMeta | None:
    if not metas:
        return None
    reasons = [meta.finish_reason for meta in metas if meta.finish_reason]
    usages = [meta.usage for meta in metas if meta.usage is not None]
    logprobs = [meta.logprobs for meta in metas if meta.logprobs is not None]
    return ResponseMeta(
        finish_reason=reasons[-1] if reasons else "",
        usage=_highest_usage(usages) if usages else None,
        logprobs=LogProbs(content=tuple([entry for probs in logprobs for entry in probs.content]))
        if logprobs
        else None,
    )


def _highest_usage(usages: Sequence[TokenUsage]) -> TokenUsage:
    """Providers report running totals, some of them in several chunks: the highest count of each kind is the last."""
    if len(usages) == 1:
        return usages[0]
    return TokenUsage(
        prompt_tokens=max(usage.prompt_tokens for usage in usages),
        prompt_token_details=PromptTokenDetails(cached_tokens=max(usage.cached_tokens for usage in usages)),
        completion_tokens=max(usage.completion_tokens for usage in usages),
        total_tokens=max(usage.total_tokens for usage in usages),
        completion_token_details=CompletionTokenDetails(
            reasoning_tokens=max(usage.reasoning_tokens for usage in usages)
        ),
    )


def are_message_rows(items: Sequence[Any]) -> bool:
    """Tell whether `items` are lists (or tuples) of messages and None, with one message at least."""
    if not isinstance(items[0], list | tuple):
        return False
    cells = [cell for row in items for cell in row]
    return all(cell is None or isinstance(cell, Message) for cell in cells) and any(cells)


def join_message_rows(rows: Sequence[Any], join_maps: JoinMaps) -> Any:
    """Join lists of messages position by position; None is left out, a position without a message stays None."""
    expected = len(rows[0])
    for row in rows:
        if len(row) != expected:
            raise ConcatError(
                f"unexpected array length. Got {len(row)}, expected {expected}: all chunks of a list of "
                "messages must have the same length"
            )
    columns = [[cell for cell in column if cell is not None] for column in zip(*rows, strict=True)]
    return type(rows[0])([_join_column(column, join_maps) for column in columns])


def _join_column(column: Sequence[Message], join_maps: JoinMaps) -> Message | None:
    if len(column) < 2:
        return column[0] if column else None
    return join_messages(column, join_maps)
