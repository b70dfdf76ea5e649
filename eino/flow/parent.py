"""`ParentIndexer` and `ParentRetriever`: search in small pieces, and give back the whole documents."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

from eino.components.indexer import NO_INDEXER_OPTIONS, Indexer, IndexerOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS, Retriever, RetrieverOptions
from eino.components.transformer import Transformer
from eino.compose.chain import Chain
from eino.errors import BuildError, ComponentError
from eino.flow._search import as_component, awaited, best, documents_of, for_all_retrievers, search_of
from eino.schema.document import Document

__all__ = ["PARENT_ID", "GetParents", "MakeSubIds", "ParentIndexer", "ParentRetriever"]

PARENT_ID: Final = "parent_id"
"""Key of the metadata under which a piece has the id of the document that it comes from."""

GetParents: TypeAlias = Callable[[list[str]], list[Document] | Awaitable[list[Document]]]
"""Takes the ids of documents and returns the documents; it may be an `async def`."""

MakeSubIds: TypeAlias = Callable[[str, int], Sequence[str] | Awaitable[Sequence[str]]]
"""Takes the id of a document and the number of its pieces, and returns the id of each; it may be an `async def`."""

_MORE: Final = 4
"""How many times as many pieces are asked for when those found are of too few documents: a search more costs more, a
call of the embedder, than pieces more."""


class ParentRetriever:
    """A retriever that searches in pieces of documents and returns the documents that they come from.

    The retriever does not change; tasks and threads may share it.
    """

    component = "Retriever"

    def __init__(self, retriever: Retriever, *, get_parents: GetParents, key: str = PARENT_ID) -> None:
        """Build the retriever.

        Args:
            retriever: Finds the pieces; it gets the options of the call. With `top_k` it is asked again for more
                pieces while those that it found are of fewer documents.
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
        chain = Chain[str, list[Document]]().append_lambda(self._best_pieces, key="search")
        self.runnable = chain.append_lambda(self._parents, key="parents").compile(name="parent")

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return each document that a piece was found of, in the order in which the first pieces were found.

        A document has the score of its first piece. `top_k` limits the documents, `score_threshold` the pieces.

        Raises:
            ComponentError: If the search or `get_parents` fails (what it raised, if that is one). A note names the
                place.
        """
        given: dict[str, Any] = {"options": {"search": {"options": options}}} if options.given() else {}
        return best(await as_component(self.runnable.invoke(query, **given), "ParentRetriever"), options)

    async def _best_pieces(
        self, query: str, *, options: RetrieverOptions = NO_RETRIEVER_OPTIONS
    ) -> dict[str, Document]:
        """Return the first piece of each document, by the document's id, for at most `top_k` documents."""
        wanted = options.top_k
        found = await self._search.invoke(query, **for_all_retrievers(options))
        pieces = self._by_parent(found)
        if not isinstance(wanted, int):
            return pieces
        asked, before = wanted, -1
        while len(pieces) < wanted and len(found) >= asked and len(found) > before:
            asked, before = asked * _MORE, len(found)
            found = await self._search.invoke(query, **for_all_retrievers(options.merge(RetrieverOptions(top_k=asked))))
            pieces = self._by_parent(found)
        return dict(list(pieces.items())[:wanted])

    def _by_parent(self, pieces: list[Document]) -> dict[str, Document]:
        first: dict[str, Document] = {}
        for piece in pieces:
            if self._key in piece.metadata:
                first.setdefault(str(piece.metadata[self._key]), piece)
        return first

    async def _parents(self, pieces: dict[str, Document]) -> list[Document]:
        if not pieces:
            return []
        found = documents_of(await awaited(self._get_parents(list(pieces))), "get_parents=")
        place = {parent_id: number for number, parent_id in enumerate(pieces)}
        ranked = sorted(found, key=lambda document: place.get(document.id, len(place)))
        return [_scored(document, pieces.get(document.id)) for document in ranked]


def _scored(document: Document, piece: Document | None) -> Document:
    if piece is None or piece.score == document.score:
        return document
    return document.with_score(piece.score)


def numbered(parent_id: str, count: int) -> list[str]:
    """Return `parent_id` with `_1`, `_2`, ... behind it."""
    return [f"{parent_id}_{number}" for number in range(1, count + 1)]


class ParentIndexer:
    """An indexer that stores the pieces of documents, each with the id of its document in its metadata.

    The splitter must leave the document's id or metadata on its pieces, and the pieces of one document beside each
    other, as the splitters of eino do. The indexer does not change; tasks and threads may share it.
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
        chain = Chain[list[Document], list[str]]().append_lambda(self._identified, key="identify")
        chain.append_document_transformer(splitter, key="splitter")
        chain.append_lambda(self._named, key="name").append_indexer(indexer, key="indexer")
        self.runnable = chain.compile(name="parent_indexer")

    async def store(self, documents: list[Document], options: IndexerOptions = NO_INDEXER_OPTIONS) -> list[str]:
        """Store the pieces of `documents` and return the pieces' ids.

        A document without an id gets a random one, which its pieces have in their metadata. Pieces of an older, longer
        version of a document stay where they are.

        Raises:
            ComponentError: If a step fails (what it raised, if that is one), a piece does not say of which document it
                is, the pieces of a document are not beside each other, or their ids are too few, too many or not
                different. A note names the place.
        """
        given: dict[str, Any] = {"options": {Indexer: options}} if options.given() else {}
        return await as_component(self.runnable.invoke(documents, **given), "ParentIndexer")

    def _identified(self, documents: list[Document]) -> list[Document]:
        """Return the documents with ids, and with the entry that their pieces will have: splitters change the id."""
        named = [document if document.id else document.replace(id=uuid.uuid4().hex) for document in documents]
        return [document.with_metadata(**{self._key: document.id}) for document in named]

    async def _named(self, pieces: list[Document]) -> list[Document]:
        named: list[Document] = []
        seen: set[str] = set()
        for parent_id, group in groupby(pieces, key=self._parent_of):
            if parent_id in seen:
                raise ComponentError(
                    f"the pieces of document {parent_id!r} do not lie beside each other: sort them by document"
                )
            seen.add(parent_id)
            together = list(group)
            ids = _checked_ids(await awaited(self._make_sub_ids(parent_id, len(together))), parent_id, len(together))
            for piece, sub_id in zip(together, ids, strict=True):
                named.append(piece.with_metadata(**{self._key: parent_id}).replace(id=sub_id))
        return named

    def _parent_of(self, piece: Document) -> str:
        parent_id = piece.metadata.get(self._key, piece.id)
        if not isinstance(parent_id, str) or not parent_id:
            raise ComponentError(
                f"the splitter made a piece that does not say of which document it is, {piece!r:.200}: it must leave "
                "the document's id or metadata on its pieces"
            )
        return parent_id


def _checked_ids(ids: Sequence[str], parent_id: str, count: int) -> Sequence[str]:
    if len(ids) != count:
        raise ComponentError(f"make_sub_ids gave {len(ids)} ids for the {count} pieces of {parent_id!r}")
    if len(set(ids)) != count:
        raise ComponentError(f"make_sub_ids gave two pieces of {parent_id!r} the same id, got {list(ids)!r:.200}")
    return ids
