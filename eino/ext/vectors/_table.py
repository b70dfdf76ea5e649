"""Vectors of one length in one block of memory, searched exactly. Pure but for numpy; knows no documents."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from eino.errors import InvalidRequestError

__all__ = ["Accept", "Metric", "VectorTable", "Vectors", "as_vectors", "check_length"]

Vectors: TypeAlias = NDArray[np.float32]
Metric = Literal["cosine", "dot", "euclidean"]
"""How alike two vectors are: the cosine of their angle (-1 to 1), their dot product, or `1 / (1 + distance)` (0 to 1).
More is always more alike."""

LARGEST: Final = 1e15
"""Values beyond this would overflow a sum of products in single precision."""
FIRST_LOOK: Final = 4
"""How many times the wanted number of rows is looked at first when rows can be refused; four times more each time."""

CHUNK_ROWS: Final = 4096
"""Rows whose differences to a query are held at once."""

K = TypeVar("K", bound=Hashable)
Accept: TypeAlias = Callable[[list[K]], Sequence[bool]]
"""Which of some keys may be found; asked for the likeliest first."""


def as_vectors(vectors: Sequence[Sequence[float]] | NDArray[Any], what: str) -> Vectors:
    """Return vectors as rows in single precision.

    Args:
        vectors: The vectors, all of one length.
        what: What they belong to, for error texts.

    Raises:
        InvalidRequestError: If they differ in length, are empty, or hold something that is no finite number.
    """
    try:
        rows = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        lengths = sorted({len(vector) for vector in vectors if hasattr(vector, "__len__")})
        raise InvalidRequestError(
            f"the vectors of {what} are no lists of numbers of one length (lengths: {lengths}): {error}"
        ) from error
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise InvalidRequestError(f"the vectors of {what} must be lists of at least one number, got shape {rows.shape}")
    if not bool((np.abs(rows) <= LARGEST).all()):  # false for NaN too
        place = int(np.argmin((np.abs(rows) <= LARGEST).all(axis=1)))
        raise InvalidRequestError(
            f"vector {place} of {what} holds a value that is no number between -{LARGEST:g} and {LARGEST:g}"
        )
    return rows.astype(np.float32)


def check_length(found: int, wanted: int, what: str, place: str) -> None:
    """Refuse vectors of another length than those of the place they go to.

    Raises:
        InvalidRequestError: If they differ.
    """
    if found != wanted:
        raise InvalidRequestError(
            f"{what} has {found} dimensions, but the vectors of {place} have {wanted}; "
            "use the embedder (and its dimensions=) that the index was made with, or another index"
        )


class VectorTable(Generic[K]):
    """Vectors by key, in the order in which the keys came; not safe for concurrent use."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._rows: Vectors = np.zeros((0, dimensions), np.float32)
        self._norms: Vectors = np.zeros(0, np.float32)
        self._keys: list[K] = []
        self._places: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def upsert(self, keys: Sequence[K], vectors: Vectors) -> None:
        """Add vectors; a key that is there already gets the new one and keeps its place."""
        self._grow(len(self._keys) + len(keys))
        for key in keys:
            if key not in self._places:
                self._places[key] = len(self._keys)
                self._keys.append(key)
        places = [self._places[key] for key in keys]
        self._rows[places] = vectors
        self._norms[places] = np.linalg.norm(vectors.astype(np.float64), axis=1)

    def delete(self, keys: Sequence[K]) -> None:
        """Remove keys; those that are not there are ignored."""
        gone = {key for key in keys if key in self._places}
        if not gone:
            return
        kept = [place for place, key in enumerate(self._keys) if key not in gone]
        self._rows, self._norms = self._rows[kept], self._norms[kept]
        self._keys = [self._keys[place] for place in kept]
        self._places = {key: place for place, key in enumerate(self._keys)}

    def search(
        self,
        query: Vectors,
        metric: Metric,
        *,
        top_k: int | None,
        score_threshold: float | None,
        accept: Accept[K] | None = None,
    ) -> list[tuple[K, float]]:
        """Return keys and scores, best first; equal scores in the order of the keys.

        Args:
            query: One vector of the table's length.
            metric: How alike two vectors are.
            top_k: Most keys to return; None sets no limit.
            score_threshold: Least score; None sets none.
            accept: Which keys may be returned; None: all.
        """
        scores = self._scores(query, metric)
        wanted = len(scores) if top_k is None else min(top_k, len(scores))
        found: list[tuple[K, float]] = []
        done, look = 0, wanted if accept is None else min(len(scores), max(wanted * FIRST_LOOK, 64))
        while wanted and done < len(scores) and len(found) < wanted:
            places = _best(scores, look)[done:]
            if score_threshold is not None:
                places = places[scores[places] >= score_threshold]
            keys = [self._keys[place] for place in places.tolist()]
            verdicts = [True] * len(keys) if accept is None or not keys else accept(keys)
            scored = zip(keys, scores[places].tolist(), verdicts, strict=True)
            found += [(key, score) for key, score, accepted in scored if accepted]
            if len(places) < look - done:
                break  # the rest is below the threshold
            done, look = look, min(len(scores), look * FIRST_LOOK)
        return found[:wanted]

    def _scores(self, query: Vectors, metric: Metric) -> NDArray[np.float64]:
        count = len(self._keys)
        if metric == "euclidean":
            return 1.0 / (1.0 + self._distances(query))
        products = (self._rows[:count] @ query).astype(np.float64)
        if metric == "dot":
            return products
        norms = self._norms[:count].astype(np.float64)
        own = float(np.linalg.norm(query.astype(np.float64)))
        lengths = norms * own
        # A vector without length points nowhere: it is like nothing, and like nothing's opposite.
        return np.clip(np.divide(products, lengths, out=np.zeros(count), where=lengths > 0), -1.0, 1.0)

    def _distances(self, query: Vectors) -> NDArray[np.float64]:
        """Return distances from the differences: those from norms and products lose half of the digits."""
        distances = np.zeros(len(self._keys))
        for start in range(0, len(distances), CHUNK_ROWS):
            rows = self._rows[start : min(start + CHUNK_ROWS, len(distances))]
            distances[start : start + len(rows)] = np.linalg.norm((rows - query).astype(np.float64), axis=1)
        return distances

    def _grow(self, count: int) -> None:
        if count <= len(self._rows):
            return
        size = max(count, 2 * len(self._rows))
        rows, norms = np.zeros((size, self.dimensions), np.float32), np.zeros(size, np.float32)
        rows[: len(self._keys)] = self._rows[: len(self._keys)]
        norms[: len(self._keys)] = self._norms[: len(self._keys)]
        self._rows, self._norms = rows, norms


def _best(scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the places of the `count` best scores, best first; equal ones in their order."""
    if count >= len(scores):
        return np.argsort(-scores, kind="stable")
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    places = np.flatnonzero(scores >= least)
    return places[np.argsort(-scores[places], kind="stable")][:count]
