"""Joining the pieces of streamed tool calls."""

from __future__ import annotations

from collections.abc import Sequence

from eino.errors import ConcatError
from eino.schema.tool import FunctionCall, ToolCall


def join_tool_calls(pieces: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """Return whole calls: those without an index as they are, then one for each index, in ascending order."""
    if not pieces:
        return ()
    index = pieces[0].index
    # Id, type and name come with the first piece of a call, as a rule; only the arguments are in all of them.
    marked = [piece for piece in pieces if piece.index != index or piece.id or piece.type or piece.function.name]
    if index is not None and all(piece.index == index for piece in marked):
        return (_join_pieces(pieces, marked),)
    whole = [piece for piece in pieces if piece.index is None]
    groups: dict[int, list[ToolCall]] = {}
    for piece in pieces:
        if piece.index is not None:
            groups.setdefault(piece.index, []).append(piece)
    return (*whole, *[_join_pieces(groups[index], groups[index]) for index in sorted(groups)])


def _join_pieces(pieces: Sequence[ToolCall], marked: Sequence[ToolCall]) -> ToolCall:
    """Join pieces of one call; those that are not `marked` have arguments only."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    return ToolCall(
        index=first.index,
        id=_agreed("id", [piece.id for piece in marked]),
        type=_agreed("type", [piece.type for piece in marked]),
        function=FunctionCall(
            name=_agreed("name", [piece.function.name for piece in marked]),
            arguments="".join([piece.function.arguments for piece in pieces]),
        ),
        extra=first.extra,
    )


def _agreed(what: str, values: Sequence[str]) -> str:
    present = list(dict.fromkeys([value for value in values if value]))
    if len(present) > 1:
        raise ConcatError(
            f"cannot concat ToolCalls with different tool {what}: {present[0]!r} {present[1]!r}; "
            "pieces with the same index belong to one call"
        )
    return present[0] if present else ""
