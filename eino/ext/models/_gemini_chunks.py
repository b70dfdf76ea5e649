"""From the events of a streamed answer to the chunks of a message. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from eino.ext.models._gemini_answer import (
    DETAILS,
    MODEL_VERSION,
    RESPONSE_ID,
    details_of,
    identity_of,
    parts_of,
    read_call,
    read_logprobs,
    read_parts,
    read_usage,
)
from eino.ext.models._gemini_calls import StreamedCalls
from eino.ext.models._gemini_parts import PARTS, call_id, emptied, is_media, skeleton
from eino.ext.models._json_fields import text_of
from eino.schema import Message, ResponseMeta
from eino.schema.parts import AssistantPart, AudioPart
from eino.schema.tool import ToolCall
from eino.schema.usage import TokenUsage

__all__ = ["AnswerSoFar"]

JSON: TypeAlias = dict[str, Any]


class AnswerSoFar:
    """Reads events one after another.

    Texts, calls and media are told as they come. Usage, sources and ratings are running totals, in several events:
    they are told at the end, once.
    """

    def __init__(self) -> None:
        self.finished = False
        """Whether the model has said why it stopped."""
        self.usage: TokenUsage | None = None
        """The last token counts."""
        self.calls = StreamedCalls()
        """The calls that are not whole yet."""
        self._told_usage: TokenUsage | None = None
        self._call_count = 0
        self._identity = ""
        self._version = ""
        self._details: JSON = {}
        self._parts: list[JSON] = []
        self._audio = _StreamedAudio()

    def read(self, payload: JSON, candidate: Mapping[str, Any] | None) -> Message | None:
        """Return the chunk that an event carries, or None if it carries nothing."""
        extra = self._names(payload)
        _merge(self._details, details_of(payload, candidate))
        self.usage = read_usage(payload.get("usageMetadata")) or self.usage
        parts = [whole for part in parts_of(candidate) if (whole := self._whole(part)) is not None]
        for part in parts:
            self._remember(part)
        said = read_parts(parts)
        content, reasoning = "".join(said.content), "".join(said.reasoning)
        calls = tuple(self._call(part) for part in said.calls)
        media = tuple(self._audio.cut(said.media)) if said.media else ()
        meta = self._meta(candidate)
        if not (content or reasoning or calls or media or meta or extra):
            return None
        return Message(
            role="assistant",
            content=content,
            assistant_parts=media,
            tool_calls=calls,
            reasoning_content=reasoning,
            response_meta=meta,
            extra=extra,
        )

    def rest(self) -> Iterator[Message]:
        """Yield the chunk that tells what is known at the end only, if there is anything."""
        media = tuple(self._audio.rest())
        found = {PARTS: skeleton(self._parts), DETAILS: self._details}
        extra = {name: value for name, value in found.items() if value}
        late = self.usage is not None and self.usage != self._told_usage
        meta = ResponseMeta(usage=self.usage) if late else None
        if media or extra or meta:
            yield Message(role="assistant", content="", assistant_parts=media, response_meta=meta, extra=extra)

    def _names(self, payload: JSON) -> JSON:
        """Return the id and the version, once: joining chunks would string them together."""
        extra: JSON = {}
        if not self._identity and (identity := identity_of(payload)):
            self._identity = extra[RESPONSE_ID] = identity
        if not self._version and (version := text_of(payload, "modelVersion")):
            self._version = extra[MODEL_VERSION] = version
        return extra

    def _whole(self, part: JSON) -> JSON | None:
        return self.calls.whole(part) if isinstance(part.get("functionCall"), dict) else part

    def _call(self, part: JSON) -> ToolCall:
        index = self._call_count
        self._call_count += 1
        return read_call(part, call_id(self._identity, index), index)

    def _meta(self, candidate: Mapping[str, Any] | None) -> ResponseMeta | None:
        if candidate is None:
            return None
        reason = text_of(candidate, "finishReason")
        logprobs = read_logprobs(candidate.get("logprobsResult"))
        if reason:
            self.finished = True
            self._told_usage = self.usage
        elif logprobs is None:
            return None
        return ResponseMeta(finish_reason=reason, usage=self.usage if reason else None, logprobs=logprobs)

    def _remember(self, part: JSON) -> None:
        """Keep what a part is, not its data. Pieces of audio will be one part in the message, so they are one here."""
        bare = emptied(part)
        pieces = is_media(part) and str(part["inlineData"]["mimeType"]).startswith("audio/")
        if not (pieces and self._parts and self._parts[-1] == bare):
            self._parts.append(bare)


class _StreamedAudio:
    """Cuts pieces of audio so that their Base64 texts can be strung together: all but the last hold whole triples."""

    def __init__(self) -> None:
        self._left = b""
        self._last: AudioPart | None = None

    def cut(self, parts: Iterable[AssistantPart]) -> Iterator[AssistantPart]:
        """Yield the parts, with what does not fill a triple moved to the next piece."""
        for part in parts:
            if not isinstance(part, AudioPart):
                yield from self.rest()
                yield part
                continue
            if self._last is not None and self._last.audio.mime_type != part.audio.mime_type:
                yield from self.rest()
            try:
                data = self._left + base64.b64decode(part.audio.base64_data or "", validate=True)
            except binascii.Error:
                yield from self.rest()  # what cannot be read is passed on as it is
                yield part
                continue
            whole = len(data) - len(data) % 3
            self._left, self._last = data[whole:], part
            yield _with_data(part, data[:whole])

    def rest(self) -> Iterator[AssistantPart]:
        """Yield what is left of the last piece."""
        if self._left and self._last is not None:
            yield _with_data(self._last.replace(extra={}), self._left)
        self._left = b""


def _with_data(part: AudioPart, data: bytes) -> AudioPart:
    return part.replace(audio=part.audio.replace(base64_data=base64.b64encode(data).decode()))


def _merge(known: JSON, more: Mapping[str, Any]) -> None:
    """Add what an event says to what is known: what sources say grows, of all else the last counts."""
    for name, value in more.items():
        if name in _GROWING and isinstance(known.get(name), dict) and isinstance(value, dict):
            _grow(known[name], value)
        else:
            known[name] = value


_GROWING: Final = frozenset({"groundingMetadata", "citationMetadata", "urlContextMetadata"})
"""Of which each event may tell a part."""


def _grow(known: JSON, more: JSON) -> None:
    for name, value in more.items():
        before = known.get(name)
        if isinstance(before, list) and isinstance(value, list) and before != value[: len(before)]:
            known[name] = before + [item for item in value if item not in before]
        else:
            known[name] = value
