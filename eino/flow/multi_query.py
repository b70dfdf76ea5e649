"""`MultiQueryRetriever`: asks the same question in several ways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from eino.components.model import ChatModel
from eino.components.prompt import ChatTemplate
from eino.components.retriever import NO_RETRIEVER_OPTIONS, Retriever, RetrieverOptions
from eino.compose.chain import Chain
from eino.compose.runnable import Runnable
from eino.errors import BuildError, ComponentError
from eino.flow._search import as_component, awaited, best, for_all_retrievers, fused, search_of
from eino.flow.fusion import Fusion, first_occurrences
from eino.schema.document import Document
from eino.schema.message import Message, user_message

__all__ = ["MAX_QUERIES", "MULTI_QUERY_PROMPT", "MultiQueryRetriever", "RewriteQuery"]

RewriteQuery: TypeAlias = Callable[[str], Sequence[str] | Awaitable[Sequence[str]]]
"""Takes a query and returns those to search for instead; it may be an `async def`."""

MAX_QUERIES: Final = 5
"""Most queries that are searched for when no other limit is given."""

MULTI_QUERY_PROMPT: Final = (
    "Rewrite the question below as {count} different search queries, so that a search by similarity also finds "
    "documents that use other words. Write one query per line and nothing else.\n\nQuestion: {query}"
)
"""What the model is asked when no other template is given; it has the variables `query` and `count`."""


class MultiQueryRetriever:
    """A retriever that rewrites a query in several ways, searches for all at once, and joins what was found.

    The retriever does not change; tasks and threads may share it.
    """

    component = "Retriever"

    def __init__(
        self,
        retriever: Retriever,
        *,
        model: ChatModel | None = None,
        template: ChatTemplate | None = None,
        parse: Callable[[Message], Sequence[str]] | None = None,
        rewrite: RewriteQuery | None = None,
        max_queries: int = MAX_QUERIES,
        fuse: Fusion = first_occurrences,
    ) -> None:
        """Build the retriever.

        Args:
            retriever: What searches; it gets the options of the call.
            model: What rewrites the query.
            template: What the model is asked, with the variables `query` and `count`.
            parse: Takes the queries out of the model's answer; by default each line that is not empty is one.
            rewrite: Rewrites the query instead of a model.
            max_queries: Most queries that are searched for; what comes behind is left out.
            fuse: Joins the results; by default each document counts once, in the order of the queries.

        Raises:
            BuildError: If neither or both of `model` and `rewrite` are given, or `max_queries` is below 1.
        """
        if (model is None) == (rewrite is None):
            raise BuildError("MultiQueryRetriever: give either model= or rewrite=, one of the two")
        if rewrite is not None and (template is not None or parse is not None):
            raise BuildError("MultiQueryRetriever: template= and parse= are for model=; rewrite= does the whole work")
        if isinstance(max_queries, bool) or not isinstance(max_queries, int) or max_queries < 1:
            raise BuildError(f"MultiQueryRetriever(max_queries={max_queries!r}): give a number of at least 1")
        self._search = search_of(retriever, "retriever")
        self._fuse = fuse
        self._max_queries = max_queries
        asking = _asking(model, template, parse or _lines, max_queries) if model is not None else None
        self.runnable = self._chain(asking or _told(rewrite))

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return what was found for all ways to ask `query`: at most `top_k` documents, which limits each search too.

        Raises:
            ComponentError: If the model or a search fails (what it raised, if that is one), or there is no query to
                search for. A note names the place.
        """
        given: dict[str, Any] = {"options": {"search": {"options": options}}} if options.given() else {}
        return best(await as_component(self.runnable.invoke(query, **given), "MultiQueryRetriever"), options)

    def _chain(self, rewriting: Any) -> Runnable[str, list[Document]]:
        async def search(
            queries: list[str], *, options: RetrieverOptions = NO_RETRIEVER_OPTIONS
        ) -> list[list[Document]]:
            wanted = queries[: self._max_queries]
            return await self._search.batch(wanted, concurrency=len(wanted), **for_all_retrievers(options))

        async def fuse(results: list[list[Document]]) -> list[Document]:
            return await fused(self._fuse, results)

        chain = Chain[str, list[Document]]()
        rewriting(chain)
        chain.append_lambda(_checked, key="check")
        return chain.append_lambda(search, key="search").append_lambda(fuse, key="fuse").compile(name="multi_query")


def _asking(
    model: ChatModel, template: ChatTemplate | None, parse: Callable[[Message], Sequence[str]], count: int
) -> Callable[[Chain[Any, Any]], None]:
    asked = template or ChatTemplate.from_messages(user_message(MULTI_QUERY_PROMPT))

    def variables(query: str) -> dict[str, object]:
        return {"query": query, "count": count}

    def queries(answer: Message) -> Any:
        return parse(answer)

    def add(chain: Chain[Any, Any]) -> None:
        chain.append_lambda(variables, key="variables").append_chat_template(asked, key="template")
        chain.append_chat_model(model, key="model").append_lambda(queries, key="parse")

    return add


def _told(rewrite: RewriteQuery | None) -> Callable[[Chain[Any, Any]], None]:
    async def queries(query: str) -> Any:
        return await awaited(rewrite(query)) if rewrite is not None else [query]

    def add(chain: Chain[Any, Any]) -> None:
        chain.append_lambda(queries, key="rewrite")

    return add


def _lines(answer: Message) -> list[str]:
    return [line.strip() for line in answer.content.splitlines() if line.strip()]


def _checked(queries: Any) -> list[str]:
    if (
        isinstance(queries, str)
        or not isinstance(queries, Sequence)
        or not all(isinstance(each, str) for each in queries)
    ):
        raise ComponentError(f"the queries to search for must be a sequence of texts, got {queries!r:.200}")
    if not queries:
        raise ComponentError("there is no query to search for: rewrite= gave none, or the model's answer was empty")
    return list(queries)
