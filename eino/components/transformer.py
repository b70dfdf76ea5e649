"""Document transformers: what splits, filters, ranks or enriches documents."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from eino.components._extra_options import ExtraOptions
from eino.schema.document import Document

__all__ = ["NO_TRANSFORMER_OPTIONS", "Transformer", "TransformerOptions"]


class TransformerOptions(ExtraOptions, frozen=True, kw_only=True):
    """Options of one call of a transformer; see `Options` for the order in which levels are merged."""


NO_TRANSFORMER_OPTIONS: Final = TransformerOptions()
"""Nothing given: the transformer's own settings hold."""


@runtime_checkable
class Transformer(Protocol):
    """Makes documents of documents. Implementations allow concurrent calls and let cancellation through."""

    async def transform(
        self, documents: list[Document], options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    ) -> list[Document]:
        """Return new documents; those given, and the list they are in, are not changed.

        Raises:
            ComponentError: If they cannot be transformed; the class says why.
        """
        ...
