"""The tables of the SQLite store, and the statements that read and write them. All run inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from eino.errors import CodecError, InvalidRequestError
from eino.ext.vectors._requests import without_vector
from eino.ext.vectors._table import Vectors, VectorTable, check_length
from eino.schema.codec import Codec
from eino.schema.document import Document

__all__ = [
    "APPLICATION_ID",
    "VERSION",
    "Index",
    "count_documents",
    "delete_ids",
    "delete_index",
    "documents_of",
    "find_index",
    "make_index",
    "make_tables",
    "matches_of",
    "metadata_of",
    "refresh",
    "rows_of",
    "write_documents",
]

APPLICATION_ID: Final = 0x45_69_56_53  # "EiVS"
VERSION: Final = 1

_VECTOR: Final = np.dtype("<f4")
"""How a vector lies in the file: single precision, least significant byte first on every machine."""
_CODEC: Final = Codec()
_PARAMETERS: Final = 500
"""Values that one statement is given at most; old versions of SQLite take 999."""

# Numbers and rows are never used again (AUTOINCREMENT): what lies in memory goes by them.
_TABLES: Final = """
CREATE TABLE indexes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, dimensions INTEGER,
    change INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE documents (
    row INTEGER PRIMARY KEY AUTOINCREMENT, index_number INTEGER NOT NULL REFERENCES indexes (number) ON DELETE CASCADE,
    id TEXT NOT NULL, content TEXT NOT NULL, metadata BLOB NOT NULL, change INTEGER NOT NULL, UNIQUE (index_number, id)
);
CREATE INDEX documents_by_change ON documents (index_number, change);
CREATE TABLE vectors (
    row INTEGER PRIMARY KEY REFERENCES documents (row) ON DELETE CASCADE, vector BLOB NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5 (body, tokenize = '{tokenizer}');
CREATE TRIGGER words_of_deleted AFTER DELETE ON documents BEGIN DELETE FROM words WHERE rowid = old.row; END;
"""


@dataclass(frozen=True, slots=True)
class Index:
    """One index as the file knows it at the moment."""

    number: int
    name: str
    dimensions: int | None
    """Length of its vectors; None while it has none."""
    change: int
    """How often it was written to."""


def make_tables(connection: sqlite3.Connection, tokenizer: str) -> None:
    """Make the tables in an empty file."""
    statement = ""
    for line in _TABLES.replace("{tokenizer}", tokenizer).splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def find_index(connection: sqlite3.Connection, name: str) -> Index | None:
    """Return the index, or None if there is none of the name."""
    found = connection.execute(
        "SELECT number, name, dimensions, change FROM indexes WHERE name = ?", (name,)
    ).fetchone()
    return None if found is None else Index(*found)


def make_index(connection: sqlite3.Connection, name: str) -> Index:
    """Return the index, made if it was not there, with its next change begun."""
    connection.execute("INSERT INTO indexes (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    connection.execute("UPDATE indexes SET change = change + 1 WHERE name = ?", (name,))
    found = find_index(connection, name)
    assert found is not None  # noqa: S101 - it was made two lines above
    return found


def write_documents(
    connection: sqlite3.Connection,
    index: Index,
    documents: Sequence[Document],
    vectors: Sequence[Any],
    words: Sequence[str | None],
) -> None:
    """Add documents or replace those with the same ids.

    Args:
        connection: Inside a transaction that writes.
        index: Where to, as `make_index` returned it.
        documents: Documents with ids.
        vectors: For each its vector as a row of numbers, or None.
        words: For each the text to find it by, or None.

    Raises:
        InvalidRequestError: If a vector has the wrong length, or the metadata of a document cannot be stored.
    """
    length = next((len(vector) for vector in vectors if vector is not None), None)
    if length is not None:
        check_length(length, index.dimensions or length, "the vector of a document", f"index {index.name!r}")
        connection.execute("UPDATE indexes SET dimensions = ? WHERE number = ?", (length, index.number))
    for document, vector, text in zip(documents, vectors, words, strict=True):
        connection.execute(
            "INSERT INTO documents (index_number, id, content, metadata, change) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (index_number, id) DO UPDATE SET content = excluded.content, metadata = excluded.metadata,"
            " change = excluded.change",
            (index.number, document.id, document.content, _encoded(document), index.change),
        )
        [row] = rows_of(connection, index, [document.id])
        connection.execute("DELETE FROM vectors WHERE row = ?", (row,))
        connection.execute("DELETE FROM words WHERE rowid = ?", (row,))
        if vector is not None:
            blob = np.asarray(vector, _VECTOR).tobytes()
            connection.execute("INSERT INTO vectors (row, vector) VALUES (?, ?)", (row, blob))
        if text is not None:
            connection.execute("INSERT INTO words (rowid, body) VALUES (?, ?)", (row, text))


def refresh(
    connection: sqlite3.Connection, index: Index, table: VectorTable[int] | None, known: int
) -> VectorTable[int]:
    """Return the vectors of an index, brought up to date from what a table held after change `known`.

    What was added or replaced is read again. Whether something was removed shows in the number of vectors; then all
    are read.
    """
    dimensions = index.dimensions or 0
    if table is not None and table.dimensions == dimensions:
        _read_vectors(connection, index, table, known)
        (count,) = connection.execute(
            "SELECT count(*) FROM documents JOIN vectors USING (row) WHERE index_number = ?", (index.number,)
        ).fetchone()
        if count == len(table):
            return table
    fresh: VectorTable[int] = VectorTable(dimensions)
    _read_vectors(connection, index, fresh, -1)
    return fresh


def _read_vectors(connection: sqlite3.Connection, index: Index, table: VectorTable[int], known: int) -> None:
    cursor = connection.execute(
        "SELECT row, vector FROM documents JOIN vectors USING (row) WHERE index_number = ? AND change > ? ORDER BY row",
        (index.number, known),
    )
    while found := cursor.fetchmany(4096):
        block: Vectors = np.frombuffer(b"".join(vector for _, vector in found), _VECTOR).astype(np.float32)
        table.upsert([row for row, _ in found], block.reshape(len(found), table.dimensions))


def metadata_of(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the metadata of documents by row."""
    return {
        row: _decoded(metadata)
        for marks, part in _parts(rows)
        for row, metadata in connection.execute(f"SELECT row, metadata FROM documents WHERE row IN ({marks})", part)  # noqa: S608
    }


def documents_of(connection: sqlite3.Connection, rows: Sequence[int]) -> list[Document]:
    """Return the documents in these rows, in their order."""
    found = {
        row: Document(id=identity, content=content, metadata=_decoded(metadata))
        for marks, part in _parts(rows)
        for row, identity, content, metadata in connection.execute(
            f"SELECT row, id, content, metadata FROM documents WHERE row IN ({marks})",  # noqa: S608
            part,
        )
    }
    return [found[row] for row in rows]


def rows_of(connection: sqlite3.Connection, index: Index, ids: Sequence[str]) -> list[int]:
    """Return the rows of the ids that are there, in the order of the ids."""
    found: dict[str, int] = {}
    for marks, part in _parts(ids):
        found |= connection.execute(
            f"SELECT id, row FROM documents WHERE index_number = ? AND id IN ({marks})",  # noqa: S608
            (index.number, *part),
        ).fetchall()
    return [found[each] for each in ids if each in found]


def matches_of(connection: sqlite3.Connection, index: Index, query: str) -> Iterator[tuple[int, float]]:
    """Yield rows and BM25 scores of the documents that match a query of the full-text index, best first."""
    found = connection.execute(
        "SELECT words.rowid, bm25(words) AS score FROM words JOIN documents ON documents.row = words.rowid"
        " WHERE words MATCH ? AND index_number = ? ORDER BY score, words.rowid",
        (query, index.number),
    )
    for row, score in found:
        yield row, -score  # SQLite's are the better the lower


def delete_ids(connection: sqlite3.Connection, index: Index, ids: Sequence[str]) -> int:
    """Remove documents; return how many were there."""
    rows = set(rows_of(connection, index, ids))
    connection.executemany("DELETE FROM documents WHERE row = ?", ((row,) for row in rows))
    (left,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM documents JOIN vectors USING (row) WHERE index_number = ?)", (index.number,)
    ).fetchone()
    if not left:  # an index without vectors takes any length again
        connection.execute("UPDATE indexes SET dimensions = NULL WHERE number = ?", (index.number,))
    return len(rows)


def delete_index(connection: sqlite3.Connection, name: str) -> None:
    """Remove an index and its documents."""
    connection.execute("DELETE FROM indexes WHERE name = ?", (name,))


def count_documents(connection: sqlite3.Connection, name: str) -> int:
    """Return how many documents an index has."""
    count: int
    (count,) = connection.execute(
        "SELECT count(*) FROM documents JOIN indexes ON number = index_number WHERE name = ?", (name,)
    ).fetchone()
    return count


def _parts(values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Cut the values of a statement into parts that it can take; yield the question marks and the part."""
    for start in range(0, len(values), _PARAMETERS):
        part = values[start : start + _PARAMETERS]
        yield _marks(part), part


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)


def _encoded(document: Document) -> bytes:
    try:
        return _CODEC.encode(without_vector(document).metadata)
    except CodecError as error:
        raise InvalidRequestError(f"the metadata of document {document.id!r} cannot be stored: {error}") from error


def _decoded(metadata: bytes) -> dict[str, Any]:
    value: dict[str, Any] = _CODEC.decode(metadata)
    return value
