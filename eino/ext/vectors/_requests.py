"""What vector stores ask of documents, options and embedders before they touch their data."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from eino.components.embedder import Embedder
from eino.components.retriever import RetrieverOptions
from eino.errors import BuildError, InvalidRequestError, InvalidResponseError
from eino.ext.vectors._filters import Predicate, metadata_filter
from eino.ext.vectors._table import Metric, Vectors, as_vectors
from eino.schema.document import Document

__all__ = [
    "DEFAULT_TOP_K",
    "RESERVED",
    "check_settings",
    "checked_documents",
    "embed_query",
    "index_name",
    "needed_embedder",
    "predicate_of",
    "vectors_of",
    "without_vector",
]

DEFAULT_TOP_K: Final = 4
"""Documents that a retriever returns unless told otherwise: about what a prompt has room for."""

RESERVED: Final = ("_dense_vector", "_score")
"""Keys of the metadata that a store keeps elsewhere (the vector) or gives out itself (the score)."""

_METRICS: Final = ("cosine", "dot", "euclidean")


def check_settings(metric: Metric, batch_size: int) -> None:
    """Refuse settings of a store that cannot work.

    Raises:
        BuildError: If they cannot.
    """
    if metric not in _METRICS:
        raise BuildError(f"unknown metric {metric!r}; use one of {', '.join(_METRICS)}")
    if batch_size < 1:
        raise BuildError(f"batch_size must be at least 1, got {batch_size!r}")


def checked_documents(documents: Sequence[Document], sub_indexes: Sequence[str] = ()) -> list[Document]:
    """Return the documents, each with an id and with the sub-indexes that the call names.

    Raises:
        InvalidRequestError: If one is no document with text.
    """
    checked = []
    for place, document in enumerate(documents):
        if not isinstance(document, Document) or not _is_text(document.content) or not _is_text(document.id):
            raise InvalidRequestError(
                f"item {place} of the documents to store is {document!r}; it must be a Document whose content and id "
                "are valid Unicode texts"
            )
        named = document if document.id else document.replace(id=uuid.uuid4().hex)
        names = dict.fromkeys((*named.sub_indexes, *sub_indexes))
        checked.append(named.with_sub_indexes(list(names)) if sub_indexes else named)
    return checked


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


async def vectors_of(documents: Sequence[Document], embedder: Embedder | None) -> list[Sequence[float] | None]:
    """Return one vector for each document: its own if it has one, else the embedder's; None without an embedder.

    Raises:
        InvalidResponseError: If the embedder does not return one vector for each text.
        ComponentError: What the embedder raises.
    """
    vectors: list[Sequence[float] | None] = [document.dense_vector or None for document in documents]
    missing = [place for place, vector in enumerate(vectors) if vector is None]
    if embedder is None or not missing:
        return vectors
    made = await embedder.embed([documents[place].content for place in missing])
    if len(made) != len(missing):
        raise InvalidResponseError(f"{embedder!r} returned {len(made)} vectors for {len(missing)} texts")
    for place, vector in zip(missing, made, strict=True):
        vectors[place] = vector
    return vectors


def needed_embedder(wanted: Mapping[str, Any]) -> Embedder:
    """Return the embedder among the options.

    Raises:
        InvalidRequestError: If there is none.
    """
    embedder: Embedder | None = wanted.get("embedder")
    if embedder is None:
        raise InvalidRequestError(
            "a query by vector needs an embedder; give the store embedder=, or RetrieverOptions(embedder=...)"
        )
    return embedder


async def embed_query(query: str, embedder: Embedder) -> Vectors:
    """Return the vector of a query.

    Raises:
        InvalidResponseError: If the embedder does not return one vector.
        ComponentError: What the embedder raises.
    """
    made = await embedder.embed([query])
    if len(made) != 1:
        raise InvalidResponseError(f"{embedder!r} returned {len(made)} vectors for 1 text")
    rows: Vectors = as_vectors(made, "the query")
    vector: Vectors = rows[0]
    return vector


def index_name(wanted: Mapping[str, Any]) -> str:
    """Return the name of the index among the options; the default one has an empty name.

    Raises:
        InvalidRequestError: If it is no text.
    """
    name = wanted.get("index", "")
    if not _is_text(name):
        raise InvalidRequestError(f"the index is {name!r}; its name must be a text")
    return str(name)


def predicate_of(options: RetrieverOptions) -> Predicate | None:
    """Return what the metadata must pass because of the filter and the sub-index; None when there is neither.

    Raises:
        InvalidRequestError: If the filter is none.
    """
    wanted = options.wanted()
    parts: list[Predicate] = []
    if wanted.get("dsl"):
        parts.append(metadata_filter(wanted["dsl"]))
    if "sub_index" in wanted:
        name = wanted["sub_index"]
        parts.append(lambda metadata: name in Document(content="", metadata=dict(metadata)).sub_indexes)
    if not parts:
        return None
    return lambda metadata: all(part(metadata) for part in parts)


def without_vector(document: Document) -> Document:
    """Return the document without what the store keeps elsewhere or gives out itself."""
    if not any(key in document.metadata for key in RESERVED):
        return document
    return document.replace(metadata={key: value for key, value in document.metadata.items() if key not in RESERVED})
