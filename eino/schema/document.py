"""Documents: texts with metadata, as loaders, indexers and retrievers exchange them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, TypeGuard

import msgspec

from eino.schema._value import Value

__all__ = ["Document"]

_SUB_INDEXES: Final = "_sub_indexes"
_SCORE: Final = "_score"
_EXTRA_INFO: Final = "_extra_info"
_DSL: Final = "_dsl"
_DENSE_VECTOR: Final = "_dense_vector"
_SPARSE_VECTOR: Final = "_sparse_vector"


def _no_metadata() -> dict[str, Any]:
    return {}


class Document(Value, frozen=True, kw_only=True):
    """A text with metadata. `str(document)` is its content.

    Scores, vectors and index hints lie under reserved keys of the metadata (`_score`, ...), where the Go original
    keeps them. Read them through the properties, which give 0, an empty text or an empty collection where the key is
    missing or holds a value of another type; set them through the `with_...` methods, which return a new document.
    """

    id: str = msgspec.field(default_factory=str)
    content: str
    # A factory other than dict is never omitted from the JSON form.
    metadata: dict[str, Any] = msgspec.field(default_factory=_no_metadata, name="meta_data")

    def __str__(self) -> str:
        return self.content

    def with_metadata(self, **entries: Any) -> Self:
        """Return a copy with `entries` added to the metadata."""
        return self.replace(metadata={**self.metadata, **entries})

    @property
    def sub_indexes(self) -> tuple[str, ...]:
        """Names of the indexes inside a store that the document belongs to."""
        found = self.metadata.get(_SUB_INDEXES)
        if isinstance(found, list | tuple) and all(isinstance(name, str) for name in found):
            return tuple(found)
        return ()

    def with_sub_indexes(self, names: Sequence[str]) -> Self:
        """Return a copy that belongs to the indexes in `names`."""
        if isinstance(names, str):
            raise TypeError(f"sub indexes must be a sequence of names, got the single text {names!r}; put it in a list")
        return self.with_metadata(**{_SUB_INDEXES: list(names)})

    @property
    def score(self) -> float:
        """How well the document matched a query; what it means is up to the retriever."""
        found = self.metadata.get(_SCORE)
        return float(found) if _is_number(found) else 0.0

    def with_score(self, score: float) -> Self:
        """Return a copy with this score."""
        return self.with_metadata(**{_SCORE: score})

    @property
    def extra_info(self) -> str:
        """A text that a store keeps beside the content."""
        found = self.metadata.get(_EXTRA_INFO)
        return found if isinstance(found, str) else ""

    def with_extra_info(self, text: str) -> Self:
        """Return a copy with this extra text."""
        return self.with_metadata(**{_EXTRA_INFO: text})

    @property
    def dsl_info(self) -> dict[str, Any]:
        """The store's own query language for this document."""
        found = self.metadata.get(_DSL)
        return dict(found) if isinstance(found, Mapping) else {}

    def with_dsl_info(self, dsl: Mapping[str, Any]) -> Self:
        """Return a copy with this query."""
        return self.with_metadata(**{_DSL: dict(dsl)})

    @property
    def dense_vector(self) -> tuple[float, ...]:
        """The document's embedding."""
        found = self.metadata.get(_DENSE_VECTOR)
        if isinstance(found, list | tuple) and all(_is_number(number) for number in found):
            return tuple(map(float, found))
        return ()

    def with_dense_vector(self, vector: Sequence[float]) -> Self:
        """Return a copy with this embedding."""
        return self.with_metadata(**{_DENSE_VECTOR: list(vector)})

    @property
    def sparse_vector(self) -> dict[int, float]:
        """The document's sparse embedding: dimension to weight."""
        found = self.metadata.get(_SPARSE_VECTOR)
        if not isinstance(found, Mapping):
            return {}
        try:
            # JSON has no whole numbers as keys: they come back as text.
            return {int(dimension): float(weight) for dimension, weight in found.items()}
        except (TypeError, ValueError):
            return {}

    def with_sparse_vector(self, vector: Mapping[int, float]) -> Self:
        """Return a copy with this sparse embedding."""
        return self.with_metadata(**{_SPARSE_VECTOR: dict(vector)})


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
