"""Telling that a long run of chunks carries texts and nothing else, without looking at eleven fields of each.

A run of a thousand chunks is read field by field in 135 us, and encoded as a whole in 55 us: msgspec leaves fields out
that have their defaults, so the length of the encoded run says whether any other field is set. Since JSON escapes
each character for itself, texts are as long together as one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from eino.schema.message import Message, MessageRole

_encode: Final = msgspec.json.Encoder().encode


def plain_text(chunks: Sequence[Message], role: MessageRole) -> str | None:
    """Return the joined texts of `chunks` if each carries `role`, a text and nothing else; None if that is unclear."""
    texts = [chunk.content for chunk in chunks if chunk.role is role]
    if len(texts) != len(chunks):
        return None
    text = "".join(texts)
    try:
        found = len(_encode(chunks))
        with_text = len(_encode(text)) - len('""')
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None  # a text that is no valid Unicode, or a field with something that JSON cannot hold
    without_text = len(_encode(Message(role=role, content=""))) + len(",")
    return text if found == len("[]") - len(",") + without_text * len(chunks) + with_text else None
