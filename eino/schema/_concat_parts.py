"""Joining streamed parts: neighbours of the same kind and position become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from eino.schema._registry import JoinMaps
from eino.schema.parts import AssistantPart, AudioPart, Media, Reasoning, ReasoningPart, TextPart, UserPart


def join_extras(extras: Sequence[dict[str, Any]], join_maps: JoinMaps) -> dict[str, Any]:
    """Join free-form data; the result is always a new dictionary."""
    present = [extra for extra in extras if extra]
    if len(present) < 2:
        return dict(present[0]) if present else {}
    return join_maps(present)


def join_user_parts(parts: Sequence[UserPart]) -> tuple[UserPart, ...]:
    """Join neighbouring texts; everything else stays. The free-form data of joined texts is dropped."""
    groups = _neighbours(parts, lambda part, following: type(part) is type(following) is TextPart)
    return tuple([group[0] if len(group) == 1 else TextPart("".join([p.text for p in group])) for group in groups])


def join_assistant_parts(parts: Sequence[AssistantPart], join_maps: JoinMaps) -> tuple[AssistantPart, ...]:
    """Join neighbouring texts, thoughts and pieces of audio that have the same index, or none."""
    return tuple([_join_group(group, join_maps) for group in _neighbours(parts, _belong_together)])


def _neighbours(parts: Sequence[Any], belong_together: Callable[[Any, Any], bool]) -> list[list[Any]]:
    groups: list[list[Any]] = []
    for part in parts:
        if groups and belong_together(groups[-1][0], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _belong_together(part: AssistantPart, following: AssistantPart) -> bool:
    if type(part) is not type(following) or part.index != following.index:
        return False
    if isinstance(part, AudioPart):
        return _is_inline(part) and isinstance(following, AudioPart) and _is_inline(following)
    return isinstance(part, TextPart | ReasoningPart)


def _is_inline(part: AudioPart) -> bool:
    return part.audio.base64_data is not None and part.audio.url is None


def _join_group(group: Sequence[Any], join_maps: JoinMaps) -> AssistantPart:
    first = group[0]
    if len(group) == 1:
        return first  # type: ignore[no-any-return]  # groups hold one kind of part
    extra = join_extras([part.extra for part in group], join_maps)
    if isinstance(first, TextPart):
        return TextPart("".join([part.text for part in group]), extra=extra, index=first.index)
    if isinstance(first, ReasoningPart):
        return ReasoningPart(reasoning=_join_reasoning(group), extra=extra, index=first.index)
    return AudioPart(audio=_join_audio([part.audio for part in group], join_maps), extra=extra, index=first.index)


def _join_reasoning(parts: Sequence[ReasoningPart]) -> Reasoning:
    signatures = [part.signature for part in parts if part.signature]
    return Reasoning(text="".join([part.text for part in parts]), signature=signatures[-1] if signatures else "")


def _join_audio(pieces: Sequence[Media], join_maps: JoinMaps) -> Media:
    types = [piece.mime_type for piece in pieces if piece.mime_type]
    return Media(
        base64_data="".join([piece.base64_data or "" for piece in pieces]),
        mime_type=types[0] if types else "",
        extra=join_extras([piece.extra for piece in pieces], join_maps),
    )
