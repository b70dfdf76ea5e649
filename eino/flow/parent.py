"""`ParentIndexer` and `ParentRetriever`: search in small pieces, and give back the whole documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

from eino.components.indexer import NO_INDEXER_OPTIONS, Indexer, IndexerOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS, Retriever, RetrieverOptions
from eino.components.transformer import Transformer
from eino.compose.chain import Chain
from eino.errors import BuildError, RunError
from eino.flow._search import awaited, for_all_retrievers, search_of
from eino.schema.document import Document

__all__ = ["PARENT_ID", "GetParents", "MakeSubIds", "ParentIndexer", "ParentRetriever"]

PARENT_ID: Final = "parent_id"
"""Key of the metadata under which a piece has the id of the document that it comes from."""

GetParents: TypeAlias = Callable[[list[str]], list[Document] | Awaitable[list[Document]]]
"""Takes the ids of documents and returns the documents; it may be an `async def`."""

MakeSubIds: TypeAlias = Callable[[str, int], Sequence[str] | Awaitable[Sequence[str]]]
"""Takes the id of a document and the number of its pieces, and returns the id of each; it may be an `async def`."""


class ParentRetriever:
    """A retriever that searches in pieces of documents and returns the documents that they come from.

    The retriever does not change; tasks and threads may share it.
    """

    component = "Retriever"

    def __init__(self, retriever: Retriever, *, get_parents: GetParents, key: str = PARENT_ID) -> None:
        """Build the retriever.

        Args:
            retriever: Finds the pieces; it gets the options of the call.
            get_parents: Gets the documents; it is not called when there is no piece.
            key: Key of the pieces' metadata that holds the id of the document; pieces without it are left out.

        Raises:
            BuildError: If `retriever` is none, or `get_parents` is no function.
        """
        if not callable(get_parents):
            raise BuildError(f"ParentRetriever(get_parents={get_parents!r:.200}): give a function of a list of ids")
        self._search = search_of(retriever, "retriever")
        self._get_parents = get_parents
        self._key = key

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return each document that a piece was found of, in the order in which the first pieces were found.

        Raises:
            RunError: If the search fails.
        """
        pieces = await self._search.invoke(query, **for_all_retrievers(options))
        ids = dict.fromkeys(str(piece.metadata[self._key]) for piece in pieces if self._key in piece.metadata)
        return await awaited(self._get_parents(list(ids))) if ids else []


def numbered(parent_id: str, count: int) -> list[str]:
    """Return `parent_id` with `_1`, `_2`, ... behind it."""
    return [f"{parent_id}_{number}" for number in range(1, count + 1)]


class ParentIndexer:
    """An indexer that stores the pieces of documents, each with the id of its document in its metadata.

    The splitter must leave the document's id on its pieces, and the pieces of one document beside each other, as the
    splitters of eino do. The indexer does not change; tasks and threads may share it.
    """

    component = "Indexer"

    def __init__(
        self,
        indexer: Indexer,
        *,
        splitter: Transformer,
        key: str = PARENT_ID,
        make_sub_ids: MakeSubIds = numbered,
    ) -> None:
        """Build the indexer.

        Args:
            indexer: Stores the pieces; it gets the options of the call.
            splitter: Makes pieces of documents.
            key: Key of the pieces' metadata that gets the id of the document.
            make_sub_ids: Makes the ids of the pieces; by default `doc_1`, `doc_2`, ...

        Raises:
            BuildError: If one of them cannot be what it should be.
        """
        if not isinstance(splitter, Transformer):
            raise BuildError(
                f"ParentIndexer(splitter={splitter!r:.200}): it needs `async def transform(documents, ...)`"
            )
        if not isinstance(indexer, Indexer):
            raise BuildError(f"ParentIndexer({indexer!r:.200}): it needs `async def store(documents, options)`")
        self._key = key
        self._make_sub_ids = make_sub_ids
        chain = Chain[list[Document], list[str]]().append_document_transformer(splitter, key="splitter")
        chain.append_lambda(self._named, key="name").append_indexer(indexer, key="indexer")
        self.runnable = chain.compile(name="parent_indexer")

    async def store(self, documents: list[Document], options: IndexerOptions = NO_INDEXER_OPTIONS) -> list[str]:
        """Store the pieces of `documents` and return the pieces' ids.

        Raises:
            RunError: If a step fails, the pieces of a document are not beside each other, or the number of ids is
                not that of the pieces.
        """
        given: dict[str, Any] = {"options": {Indexer: options}} if options.given() else {}
        return await self.runnable.invoke(documents, **given)

    async def _named(self, pieces: list[Document]) -> list[Document]:
        named: list[Document] = []
        seen: set[str] = set()
        for parent_id, group in groupby(pieces, key=lambda piece: piece.id):
            if parent_id in seen:
                raise RunError(
                    f"the pieces of document {parent_id!r} do not lie beside each other: sort them by document"
                )
            seen.add(parent_id)
            together = list(group)
            ids = await awaited(self._make_sub_ids(parent_id, len(together)))
            if len(ids) != len(together):
                raise RunError(f"make_sub_ids gave {len(ids)} ids for the {len(together)} pieces of {parent_id!r}")
            for piece, sub_id in zip(together, ids, strict=True):
                named.append(piece.with_metadata(**{self._key: parent_id}).replace(id=sub_id))
        return named
