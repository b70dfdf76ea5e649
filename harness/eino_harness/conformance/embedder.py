"""Does an embedder keep the contract of `Embedder`?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from eino.components.embedder import Embedder, EmbedderOptions
from eino_harness.conformance._suite import (
    Conformance,
    at_once,
    require,
    require_cancellation,
    require_component_error,
)

__all__ = ["EmbedderConformance"]

_TOLERANCE = 1e-3
"""How far the numbers of one text may lie apart in two calls: services round, and batch."""


class EmbedderConformance(Conformance, suite=True):
    """Checks an embedder. The ability `"errors"` can be left out with a reason."""

    _is_suite = True
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {"errors": ("test_failures_are_component_errors",)}

    texts: ClassVar[Sequence[str]] = ("red fox", "blue sea", "red fox", "Füchse 🦊 jagen", "x" * 2000)
    """Texts to embed; the first and the third are the same."""

    def make(self) -> Any:
        """Return a new embedder: itself, an awaitable, or an async context manager that closes it."""
        return super().make()

    def make_failing(self) -> Any:
        """Return an embedder whose service refuses every request, such as one with a wrong key."""
        raise NotImplementedError(
            f"{type(self).__name__} must define make_failing(), or leave it out: without = {{'errors': 'the reason'}}"
        )

    async def test_it_has_the_method_of_an_embedder(self) -> None:
        """It is an `Embedder`."""
        async with self.component() as embedder:
            require(isinstance(embedder, Embedder), f"{type(embedder).__name__} must have `embed`")

    async def test_each_text_has_one_vector_of_the_same_length(self) -> None:
        """One vector for each text, all of one length, of finite numbers."""
        async with self.component() as embedder:
            vectors = await embedder.embed(list(self.texts))
        require(len(vectors) == len(self.texts), f"{len(self.texts)} texts gave {len(vectors)} vectors")
        lengths = {len(vector) for vector in vectors}
        require(len(lengths) == 1 and lengths != {0}, f"the vectors have different lengths, or none: {lengths}")
        finite = all(isinstance(number, int | float) and math.isfinite(number) for v in vectors for number in v)
        require(finite, "a vector holds what is no finite number")

    async def test_vectors_come_in_the_order_of_the_texts(self) -> None:
        """A text has the same vector alone and among others, in its place."""
        async with self.component() as embedder:
            together = await embedder.embed(list(self.texts))
            alone = [(await embedder.embed([text]))[0] for text in self.texts]
        for place, (one, other) in enumerate(zip(together, alone, strict=False)):
            require(_close(one, other), f"the vector at place {place} is not the one of its text")
        require(not _close(together[0], together[1]), "two different texts have the same vector")

    async def test_no_texts_give_no_vectors(self) -> None:
        """An empty list gives an empty list."""
        async with self.component() as embedder:
            require(list(await embedder.embed([])) == [], "no texts must give no vectors")

    async def test_texts_are_not_changed(self) -> None:
        """The caller's list stays as it is."""
        async with self.component() as embedder:
            texts = list(self.texts)
            await embedder.embed(texts)
        require(texts == list(self.texts), "the list of texts was changed")

    async def test_options_are_taken(self) -> None:
        """Options of a call are taken, switched-off ones (`None`) too."""
        async with self.component() as embedder:
            vectors = await embedder.embed(["one"], EmbedderOptions(extra_fields=None))
        require(len(vectors) == 1, "a call with options gave no vector")

    async def test_concurrent_calls_do_not_mix(self) -> None:
        """Calls beside each other get the vectors of their own texts."""
        async with self.component() as embedder:
            expected = await embedder.embed([self._text(number) for number in range(8)])
            found = await at_once(lambda number: embedder.embed([self._text(number)]))
        for number, vectors in enumerate(found):
            require(_close(vectors[0], expected[number]), "a call beside others got the vector of another text")

    async def test_cancellation_passes(self) -> None:
        """A cancelled call ends as cancelled, and the next one is answered."""
        async with self.component() as embedder:
            await require_cancellation(lambda: embedder.embed(["cancelled before"]))
            require(len(await embedder.embed(["after"])) == 1, "no vector after a cancelled call")

    async def test_failures_are_component_errors(self) -> None:
        """What the service refuses is a `ComponentError`."""
        async with self.component(self.make_failing) as embedder:
            await require_component_error(lambda: embedder.embed(["one"]), "`embed`")

    def _text(self, number: int) -> str:
        words = ("fox", "sea", "sun", "moon", "tree", "bird", "stone", "cloud")
        return words[number % len(words)]


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in zip(one, other, strict=True)
    )
