"""Reasoning in structured form, as OpenRouter sends it and wants it back: texts, summaries, encrypted blocks.

Source: https://openrouter.ai/docs/use-cases/reasoning-tokens, "Preserving reasoning blocks".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["REASONING_DETAILS", "StreamedDetails", "whole_details"]

REASONING_DETAILS: Final = "openai-reasoning-details"
"""Key in `Message.extra`: the blocks of the reasoning as the server sent them, to be sent back unchanged."""

_JOINED: Final = ("text", "summary", "data")
"""Fields whose streamed pieces are strung together; of all others the last one given counts."""


def whole_details(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of a whole message; empty when there are none."""
    details = said.get("reasoning_details")
    return [dict(block) for block in details if isinstance(block, dict)] if isinstance(details, list) else []


class StreamedDetails:
    """Joins the pieces of blocks: those with the same index and type belong together."""

    def __init__(self) -> None:
        self.blocks: list[dict[str, Any]] = []
        """The blocks so far."""

    def read(self, delta: Mapping[str, Any]) -> None:
        """Take the pieces of one chunk."""
        for piece in whole_details(delta):
            block = self._block_of(piece)
            if block is None:
                self.blocks.append(piece)
            else:
                _add(block, piece)

    def _block_of(self, piece: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the block that `piece` goes on; without an index, that is the last one if it is of the same type."""
        index, kind = piece.get("index"), piece.get("type")
        known = self.blocks if index is not None else self.blocks[-1:]
        return next((each for each in known if each.get("type") == kind and each.get("index") == index), None)


def _add(block: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        if name in _JOINED and isinstance(value, str) and isinstance(block.get(name), str):
            block[name] += value
        elif value is not None:
            block[name] = value
