"""Embedders: what turns texts into vectors."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from msgspec import UNSET, UnsetType

from eino.components._extra_options import ExtraOptions

__all__ = ["NO_EMBEDDER_OPTIONS", "Embedder", "EmbedderOptions"]


class EmbedderOptions(ExtraOptions, frozen=True, kw_only=True):
    """Options of one call of an embedder; see `Options` for the order in which levels are merged."""

    model: str | UnsetType | None = UNSET
    """Name of the embedding model at the provider."""


NO_EMBEDDER_OPTIONS: Final = EmbedderOptions()
"""Nothing given: the embedder's own settings hold."""


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors whose distance says how far apart the texts are in meaning.

    Implementations allow concurrent calls, let cancellation through, and raise the `ComponentError` classes of
    `eino.errors`.
    """

    async def embed(self, texts: list[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
        """Return one vector for each text, in the same order; all of one length.

        Raises:
            ComponentError: If the texts cannot be embedded; the class says why.
        """
        ...
