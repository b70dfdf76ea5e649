"""What the retrievers of this package share: searches that are part of the run around them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from eino.components.retriever import Retriever, RetrieverOptions
from eino.compose.chain import Chain
from eino.compose.runnable import Runnable
from eino.errors import BuildError, RunError
from eino.flow.fusion import Fusion
from eino.schema.document import Document

__all__ = ["awaited", "for_all_retrievers", "fused", "search_of"]

T = TypeVar("T")


def search_of(retriever: Retriever, name: str) -> Runnable[str, list[Document]]:
    """Return a search that callbacks hear and whose errors say where it was.

    Raises:
        BuildError: If it is no retriever.
    """
    if isinstance(retriever, type) or not isinstance(retriever, Retriever):
        raise BuildError(f"{name}: {retriever!r:.200} is no retriever: it needs `async def retrieve(query, options)`")
    return Chain[str, list[Document]]().append_retriever(retriever, key=name).compile(name=name)


def for_all_retrievers(options: RetrieverOptions) -> dict[str, Any]:
    """Return call options that give `options` to every retriever of a run."""
    return {"options": {Retriever: options}} if options.given() else {}


async def fused(fuse: Fusion, results: Sequence[Sequence[Document]]) -> list[Document]:
    """Return the joined results.

    Raises:
        RunError: If `fuse` returns no list of documents.
    """
    joined = await awaited(fuse(results))
    if not isinstance(joined, list) or not all(isinstance(each, Document) for each in joined):
        raise RunError(f"fuse= must return a list of documents, got {joined!r:.200}")
    return joined


async def awaited(value: T | Awaitable[T]) -> T:
    """Return `value`, or what it gives when awaited."""
    return await value if inspect.isawaitable(value) else value
