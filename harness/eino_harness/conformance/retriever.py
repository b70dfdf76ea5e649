"""Does a retriever keep the contract of `Retriever`?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from eino.components.retriever import Retriever, RetrieverOptions
from eino.schema.document import Document
from eino_harness.conformance._suite import (
    Conformance,
    at_once,
    require,
    require_cancellation,
    require_component_error,
)

__all__ = ["RetrieverConformance"]


class RetrieverConformance(Conformance, suite=True):
    """Checks a retriever over at least three documents that match `query`.

    Abilities that can be left out with a reason: `"unmatched"` (a query that nothing matches), `"scores"`, `"errors"`.
    """

    _is_suite = True
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {
        "unmatched": ("test_nothing_that_matches_is_an_empty_list",),
        "scores": ("test_documents_come_best_first", "test_the_score_threshold_drops_what_is_below"),
        "errors": ("test_failures_are_component_errors",),
    }

    query: ClassVar[str] = "fox"
    """A query that at least three documents match."""
    unmatched_query: ClassVar[str] = "zzz qqq xxx"
    """A query that nothing matches."""

    def make(self) -> Any:
        """Return a new retriever: itself, an awaitable, or an async context manager that closes it."""
        return super().make()

    def make_failing(self) -> Any:
        """Return a retriever whose store cannot be reached."""
        raise NotImplementedError(
            f"{type(self).__name__} must define make_failing(), or leave it out: without = {{'errors': 'the reason'}}"
        )

    async def test_it_has_the_method_of_a_retriever(self) -> None:
        """It is a `Retriever`."""
        async with self.component() as retriever:
            require(isinstance(retriever, Retriever), f"{type(retriever).__name__} must have `retrieve`")

    async def test_documents_are_found(self) -> None:
        """`retrieve` returns a list of documents."""
        async with self.component() as retriever:
            found = await retriever.retrieve(self.query)
        require(isinstance(found, list), f"`retrieve` must return a list, got {type(found).__name__}")
        require(all(isinstance(each, Document) for each in found), "`retrieve` must return documents only")
        require(len(found) >= 3, f"at least three documents must match {self.query!r}, found {len(found)}")
        ids = [each.id for each in found if each.id]
        require(len(set(ids)) == len(ids), f"a document was found twice: {ids}")

    async def test_the_same_query_finds_the_same(self) -> None:
        """A list that the caller changes is not the one that the next caller gets."""
        async with self.component() as retriever:
            first = await retriever.retrieve(self.query)
            kept = list(first)
            first.clear()
            require(await retriever.retrieve(self.query) == kept, "the same query found something else the second time")

    async def test_top_k_limits(self) -> None:
        """`top_k` is the most documents, the best ones; without a limit (`None`) there are not fewer."""
        async with self.component() as retriever:
            all_found = await retriever.retrieve(self.query, RetrieverOptions(top_k=None))
            two = await retriever.retrieve(self.query, RetrieverOptions(top_k=2))
            usual = await retriever.retrieve(self.query)
        require(len(two) == 2, f"top_k=2 gave {len(two)} documents")
        require([each.id for each in two] == [each.id for each in all_found[:2]], "top_k=2 gave others than the best")
        require(len(all_found) >= len(usual), "top_k=None gave fewer documents than the retriever's own limit")

    async def test_documents_come_best_first(self) -> None:
        """Scores do not rise from one document to the next."""
        async with self.component() as retriever:
            scores = [each.score for each in await retriever.retrieve(self.query)]
        require(any(scores), "no document has a score; without = {'scores': 'the reason'} if there are none")
        require(scores == sorted(scores, reverse=True), f"documents must come best first, got the scores {scores}")

    async def test_the_score_threshold_drops_what_is_below(self) -> None:
        """`score_threshold` keeps documents with that score or a higher one."""
        async with self.component() as retriever:
            best = (await retriever.retrieve(self.query))[0].score
            kept = await retriever.retrieve(self.query, RetrieverOptions(score_threshold=best))
            none = await retriever.retrieve(self.query, RetrieverOptions(score_threshold=best + 1e6))
        require(kept, "the document whose score is the threshold was dropped")
        require(all(each.score >= best for each in kept), "documents below the threshold were kept")
        require(none == [], "documents below a threshold that none reaches were kept")

    async def test_nothing_that_matches_is_an_empty_list(self) -> None:
        """Nothing that matches is an empty list, not an error."""
        async with self.component() as retriever:
            found = await retriever.retrieve(self.unmatched_query)
        require(found == [], f"{self.unmatched_query!r} must find nothing, found {found!r:.200}")

    async def test_concurrent_calls_do_not_mix(self) -> None:
        """Calls beside each other find what they find alone."""
        async with self.component() as retriever:
            alone = await retriever.retrieve(self.query)
            for found in await at_once(lambda _: retriever.retrieve(self.query)):
                require(found == alone, "a call beside others found something else")

    async def test_cancellation_passes(self) -> None:
        """A cancelled call ends as cancelled, and the next one is answered."""
        async with self.component() as retriever:
            await require_cancellation(lambda: retriever.retrieve(self.query))
            require(await retriever.retrieve(self.query), "nothing was found after a cancelled call")

    async def test_failures_are_component_errors(self) -> None:
        """A store that cannot be reached is a `ComponentError`."""
        async with self.component(self.make_failing) as retriever:
            await require_component_error(lambda: retriever.retrieve(self.query), "`retrieve`")
