"""Does an indexer keep the contract of `Indexer`?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from eino.components.indexer import Indexer, IndexerOptions
from eino.schema.document import Document
from eino_harness.conformance._suite import (
    Conformance,
    at_once,
    require,
    require_cancellation,
    require_component_error,
)

__all__ = ["IndexerConformance"]


class IndexerConformance(Conformance, suite=True):
    """Checks an indexer. A new one from `make` stores into an empty index.

    Abilities that can be left out with a reason: `"read_back"` (unless `contents` is defined), `"errors"`.
    """

    _is_suite = True
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {
        "read_back": (
            "test_what_is_stored_is_there",
            "test_the_same_id_replaces",
            "test_concurrent_calls_lose_nothing",
        ),
        "errors": ("test_failures_are_component_errors",),
    }

    def make(self) -> Any:
        """Return a new indexer over an empty index: itself, an awaitable, or an async context manager."""
        return super().make()

    def make_failing(self) -> Any:
        """Return an indexer whose store cannot be reached."""
        raise NotImplementedError(
            f"{type(self).__name__} must define make_failing(), or leave it out: without = {{'errors': 'the reason'}}"
        )

    async def contents(self, indexer: Any) -> dict[str, str]:
        """Return the contents of all documents that `indexer` has stored, by id."""
        raise NotImplementedError(
            f"{type(self).__name__} must define contents(), or leave it out: without = {{'read_back': 'the reason'}}"
        )

    async def test_it_has_the_method_of_an_indexer(self) -> None:
        """It is an `Indexer`."""
        async with self.component() as indexer:
            require(isinstance(indexer, Indexer), f"{type(indexer).__name__} must have `store`")

    async def test_ids_come_in_the_order_of_the_documents(self) -> None:
        """One id for each document, in their order; documents that have an id keep it."""
        async with self.component() as indexer:
            ids = await indexer.store(_documents("b", "a", "c"))
        require(ids == ["b", "a", "c"], f"the documents with the ids b, a, c were stored as {ids!r}")

    async def test_documents_without_an_id_get_one(self) -> None:
        """Documents without an id get different ones, which are texts."""
        async with self.component() as indexer:
            ids = await indexer.store([Document(content="one fox"), Document(content="two foxes")])
        require(len(ids) == 2 and all(isinstance(each, str) and each for each in ids), f"the ids are {ids!r}")
        require(ids[0] != ids[1], f"two documents have the same id {ids[0]!r}")

    async def test_no_documents_give_no_ids(self) -> None:
        """An empty list gives an empty list."""
        async with self.component() as indexer:
            require(list(await indexer.store([])) == [], "no documents must give no ids")

    async def test_documents_are_not_changed(self) -> None:
        """The caller's documents, and the list that they are in, stay as they are."""
        documents, same = _documents("a", "b"), _documents("a", "b")
        async with self.component() as indexer:
            await indexer.store(documents)
        require(documents == same, f"the documents were changed to {documents!r:.300}")

    async def test_options_are_taken(self) -> None:
        """Options of a call are taken, switched-off ones (`None`) too."""
        async with self.component() as indexer:
            ids = await indexer.store(_documents("a"), IndexerOptions(extra_fields=None))
        require(ids == ["a"], f"a call with options gave the ids {ids!r}")

    async def test_what_is_stored_is_there(self) -> None:
        """All documents can be found afterwards, with their contents."""
        async with self.component() as indexer:
            await indexer.store(_documents("a", "b"))
            found = await self.contents(indexer)
        require(found == {"a": "fox a", "b": "fox b"}, f"documents a and b were stored, but the store has {found!r}")

    async def test_the_same_id_replaces(self) -> None:
        """A document with an id that is there already replaces the old one."""
        async with self.component() as indexer:
            await indexer.store(_documents("a", "b"))
            await indexer.store([Document(id="a", content="another fox")])
            found = await self.contents(indexer)
        require(found == {"a": "another fox", "b": "fox b"}, f"a was stored again, but the store has {found!r}")

    async def test_concurrent_calls_lose_nothing(self) -> None:
        """Calls beside each other all store what they were given."""
        async with self.component() as indexer:
            await at_once(lambda number: indexer.store(_documents(str(number))))
            found = await self.contents(indexer)
        require(sorted(found) == [str(number) for number in range(8)], f"of 8 documents the store has {sorted(found)}")

    async def test_cancellation_passes(self) -> None:
        """A cancelled call ends as cancelled, and the next one stores."""
        async with self.component() as indexer:
            await require_cancellation(lambda: indexer.store(_documents("a")))
            require(await indexer.store(_documents("b")) == ["b"], "nothing was stored after a cancelled call")

    async def test_failures_are_component_errors(self) -> None:
        """A store that cannot be reached is a `ComponentError`."""
        async with self.component(self.make_failing) as indexer:
            await require_component_error(lambda: indexer.store(_documents("a")), "`store`")


def _documents(*ids: str) -> list[Document]:
    return [Document(id=each, content=f"fox {each}", metadata={"place": each}) for each in ids]
