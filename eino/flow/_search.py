"""What the retrievers of this package share: searches that are part of the run around them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from eino._run.retry import is_retryable
from eino.components.retriever import Retriever, RetrieverOptions
from eino.compose.chain import Chain
from eino.compose.runnable import Runnable
from eino.errors import BuildError, ComponentError, RunError
from eino.flow.fusion import Fusion
from eino.schema.document import Document

__all__ = ["as_component", "awaited", "best", "documents_of", "for_all_retrievers", "fused", "search_of"]

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


async def as_component(run: Awaitable[T], name: str) -> T:
    """Return what a run gives that does the work of the component `name`.

    Raises:
        ComponentError: If the run fails: what a component in it raised, or else an error whose `__cause__` is what
            was raised. A note names the place.
    """
    try:
        return await run
    except RunError as failure:
        error = _component_error(failure, name)
    raise error  # out here, so that the error of the run does not become its context: they would point at each other


def _component_error(failure: RunError, name: str) -> ComponentError:
    cause = failure.__cause__
    if isinstance(cause, ComponentError):
        error = cause
    else:
        error = ComponentError(failure.message)
        error.retryable = is_retryable(failure)
        error.__cause__ = cause or failure
    place = f"{name}, node path: [{', '.join(failure.node_path)}]"
    if place not in getattr(error, "__notes__", ()):
        error.add_note(place)
    return error


def best(documents: list[Document], options: RetrieverOptions) -> list[Document]:
    """Return the documents that `top_k` leaves: several searches found up to as many each."""
    return documents[: options.top_k] if isinstance(options.top_k, int) else documents


async def fused(fuse: Fusion, results: Sequence[Sequence[Document]]) -> list[Document]:
    """Return the joined results.

    Raises:
        ComponentError: If `fuse` returns no list of documents.
    """
    return documents_of(await awaited(fuse(results)), "fuse=")


def documents_of(found: object, maker: str) -> list[Document]:
    """Return what the user's function `maker` gave.

    Raises:
        ComponentError: If it is no list of documents.
    """
    if not isinstance(found, list) or not all(isinstance(each, Document) for each in found):
        raise ComponentError(f"{maker} must return a list of documents, got {found!r:.200}")
    return found


async def awaited(value: T | Awaitable[T]) -> T:
    """Return `value`, or what it gives when awaited."""
    return await value if inspect.isawaitable(value) else value
