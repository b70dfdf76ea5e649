"""Loaders: what fetches documents from where they lie."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

import msgspec
from msgspec import UNSET, UnsetType

from eino.components._extra_options import ExtraOptions
from eino.components.parser import ParserOptions
from eino.schema.document import Document

__all__ = ["NO_LOADER_OPTIONS", "Loader", "LoaderOptions", "Source"]


class Source(msgspec.Struct, frozen=True):
    """Where documents lie."""

    uri: str
    """A path or a URL; which kinds there are is up to the loader."""


class LoaderOptions(ExtraOptions, frozen=True, kw_only=True):
    """Options of one call of a loader; see `Options` for the order in which levels are merged."""

    parser: ParserOptions | UnsetType | None = UNSET
    """Options for the parser that the loader uses."""


NO_LOADER_OPTIONS: Final = LoaderOptions()
"""Nothing given: the loader's own settings hold."""


@runtime_checkable
class Loader(Protocol):
    """Fetches documents. Implementations allow concurrent calls and let cancellation through."""

    async def load(self, source: Source, options: LoaderOptions = NO_LOADER_OPTIONS) -> list[Document]:
        """Return the documents that lie at `source`, in order.

        Raises:
            ComponentError: If they cannot be fetched or read; the class says why.
        """
        ...
