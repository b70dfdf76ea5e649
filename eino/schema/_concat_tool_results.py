"""Joining the chunks of a tool's result."""

from __future__ import annotations

from collections.abc import Sequence

from eino.errors import ConcatError
from eino.schema._concat_parts import join_extras
from eino.schema._registry import JoinMaps
from eino.schema.parts import TextPart, ToolPart
from eino.schema.tool_result import ToolResult, kinds_of


def join_tool_results(chunks: Sequence[ToolResult | None], join_maps: JoinMaps) -> ToolResult:
    """Return the result that `chunks` are the pieces of: texts side by side are joined, media may come once a kind."""
    parts: list[ToolPart] = []
    seen: dict[str, int] = {}
    for position, chunk in enumerate(chunks):
        if chunk is None:
            continue
        _note_kinds(chunk, position, seen)
        parts.extend(chunk.parts)
    return ToolResult(parts=_join_texts(parts, join_maps))


def _note_kinds(chunk: ToolResult, position: int, seen: dict[str, int]) -> None:
    for kind in kinds_of(chunk.parts):
        if kind == "text":
            continue
        if kind in seen:
            raise ConcatError(
                f"conflicting {kind} parts found in chunk {seen[kind]} and chunk {position}: "
                "non-text modality parts cannot appear in multiple chunks; send each of them whole and once"
            )
        seen[kind] = position


def _join_texts(parts: Sequence[ToolPart], join_maps: JoinMaps) -> tuple[ToolPart, ...]:
    joined: list[ToolPart] = []
    texts: list[TextPart] = []
    for part in parts:
        if isinstance(part, TextPart):
            texts.append(part)
            continue
        joined += _one_text(texts, join_maps)
        texts = []
        joined.append(part)
    return (*joined, *_one_text(texts, join_maps))


def _one_text(texts: Sequence[TextPart], join_maps: JoinMaps) -> list[TextPart]:
    if len(texts) < 2:
        return list(texts)
    extra = join_extras([part.extra for part in texts], join_maps)
    return [TextPart("".join([part.text for part in texts]), extra=extra)]
