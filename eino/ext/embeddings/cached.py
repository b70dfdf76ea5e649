"""An embedder that remembers: each text goes to the embedder behind it once."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from eino.components._closing import Closing
from eino.components.embedder import NO_EMBEDDER_OPTIONS, Embedder, EmbedderOptions
from eino.errors import BuildError, InvalidRequestError, InvalidResponseError
from eino.ext._sqlite import Database

__all__ = ["CachedEmbedder", "EmbeddingCache", "MemoryEmbeddingCache", "SQLiteEmbeddingCache"]


class EmbeddingCache(Protocol):
    """Keeps vectors by key. Implementations allow concurrent calls."""

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, list[float]]:
        """Return the vectors of the keys that are there."""
        ...

    async def put(self, vectors: Mapping[bytes, list[float]]) -> None:
        """Keep vectors; those of keys that are there already are replaced."""
        ...


class MemoryEmbeddingCache:
    """Keeps vectors in memory, the ones used last. Safe to share by tasks, threads and event loops.

    Args:
        max_entries: Most vectors; None sets no limit.

    Raises:
        BuildError: If `max_entries` is below 1.
    """

    def __init__(self, max_entries: int | None = 100_000) -> None:
        if max_entries is not None and max_entries < 1:
            raise BuildError(f"max_entries must be at least 1, got {max_entries!r}")
        self._max_entries = max_entries
        self._vectors: OrderedDict[bytes, tuple[float, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, list[float]]:
        """Return the vectors of the keys that are there."""
        with self._lock:
            found = {key: list(self._vectors[key]) for key in keys if key in self._vectors}
            for key in found:
                self._vectors.move_to_end(key)
        return found

    async def put(self, vectors: Mapping[bytes, list[float]]) -> None:
        """Keep vectors, and forget those that were not used for longest when there are too many."""
        with self._lock:
            for key, vector in vectors.items():
                self._vectors[key] = tuple(vector)
                self._vectors.move_to_end(key)
            while self._max_entries is not None and len(self._vectors) > self._max_entries:
                self._vectors.popitem(last=False)


_APPLICATION_ID: Final = 0x45_69_45_43  # "EiEC"


class SQLiteEmbeddingCache(Closing):
    """Keeps vectors in an SQLite file, exactly as they came. Safe to share by tasks, threads, loops and processes.

    `async with cache:` or `await cache.aclose()` closes the file.

    Args:
        path: The file, made if it is not there.

    Raises:
        BuildError: If the path is empty.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._database = Database(path, application_id=_APPLICATION_ID, version=1, tables=_make_tables)

    async def aclose(self) -> None:
        """Close the file. Safe to call again."""
        await self._database.aclose()

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, list[float]]:
        """Return the vectors of the keys that are there.

        Raises:
            ComponentError: If the file cannot be used.
        """

        def work(connection: sqlite3.Connection) -> dict[bytes, list[float]]:
            found = {}
            for key in keys:
                row = connection.execute("SELECT vector FROM embeddings WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = msgspec.msgpack.decode(row[0], type=list[float])
            return found

        return await self._database.read(work)

    async def put(self, vectors: Mapping[bytes, list[float]]) -> None:
        """Keep vectors.

        Raises:
            ComponentError: If the file cannot be used.
        """
        packed = [(key, _packed(vector)) for key, vector in vectors.items()]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO embeddings (key, vector) VALUES (?, ?)", packed)

        await self._database.write(work)


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE embeddings (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")


def _packed(vector: Sequence[float]) -> bytes:
    return msgspec.msgpack.encode(array("d", vector).tolist())


class CachedEmbedder:
    """An embedder that asks another one only for what its cache does not have; each text once a call.

    A vector belongs to the embedder's identity, the options of the call, and the text. Two calls at once that miss the
    same text both ask for it, and get the same.

    Args:
        embedder: The embedder behind the cache.
        cache: Where the vectors are kept; unless given, a `MemoryEmbeddingCache` of its own.
        identity: What tells vectors of `embedder` from those of others in the same cache; unless given, the
            embedder's own `identity`. A cache that is given needs one.

    Raises:
        BuildError: If the cache is given, but no identity, and the embedder has none.
    """

    def __init__(self, embedder: Embedder, cache: EmbeddingCache | None = None, *, identity: str | None = None) -> None:
        known = identity if identity is not None else getattr(embedder, "identity", None)
        if cache is not None and not known:
            raise BuildError(
                f"a cache may hold vectors of other embedders, and {embedder!r} does not say which are its own; "
                "give identity=, such as the name of its model"
            )
        self._embedder = embedder
        self._cache: EmbeddingCache = MemoryEmbeddingCache() if cache is None else cache
        self.identity = str(known or "")

    def __repr__(self) -> str:
        return f"CachedEmbedder({self._embedder!r})"

    async def embed(self, texts: Sequence[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
        """Return one vector for each text, in the same order.

        Raises:
            InvalidRequestError: If the options hold something that has no JSON form, so that nothing names them.
            InvalidResponseError: If the embedder does not return one vector for each text.
            ComponentError: What the embedder or the cache raises; then nothing new is kept.
        """
        prefix = self._prefix(options)
        keys = [hashlib.sha256(prefix + text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        by_key = dict(zip(keys, texts, strict=True))
        vectors = dict(await self._cache.get(list(by_key)))
        missing = [key for key in by_key if key not in vectors]
        if missing:
            made = await self._embedder.embed([by_key[key] for key in missing], options)
            if len(made) != len(missing):
                raise InvalidResponseError(f"{self._embedder!r} returned {len(made)} vectors for {len(missing)} texts")
            new = dict(zip(missing, made, strict=True))
            await self._cache.put(new)
            vectors |= new
        return [list(vectors[key]) for key in keys]

    def _prefix(self, options: EmbedderOptions) -> bytes:
        try:
            named = msgspec.json.encode([self.identity, options.given()], order="deterministic")
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(f"the options {options!r} have no JSON form: {error}; leave them out") from error
        return hashlib.sha256(named).digest()
