"""`RouterRetriever`: chooses among several retrievers, and joins what they find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from eino._run import RunContext
from eino.components.retriever import NO_RETRIEVER_OPTIONS, Retriever, RetrieverOptions
from eino.compose.branch import Branch
from eino.compose.graph import Graph
from eino.compose.names import END, START
from eino.compose.runnable import Runnable
from eino.errors import BuildError, ComponentError
from eino.flow._search import as_component, awaited, best, for_all_retrievers, fused, search_of
from eino.flow.fusion import Fusion, reciprocal_rank_fusion
from eino.schema.codec import register
from eino.schema.document import Document

__all__ = ["RouteQuery", "RouterRetriever"]

RouteQuery: TypeAlias = Callable[[str], Iterable[str] | Awaitable[Iterable[str]]]
"""Takes a query and returns the names of the retrievers to ask; it may be an `async def`."""

_ROUTE, _FUSE = "route", "fuse"


class RouterRetriever:
    """A retriever that asks some of several retrievers at once, and joins what they find.

    The retriever does not change; tasks and threads may share it.
    """

    component = "Retriever"

    def __init__(
        self,
        retrievers: Mapping[str, Retriever],
        *,
        route: RouteQuery | None = None,
        fuse: Fusion = reciprocal_rank_fusion,
    ) -> None:
        """Build the retriever.

        Args:
            retrievers: What may be asked, by name; they get the options of the call.
            route: Chooses by name; by default all are asked.
            fuse: Joins the results, which come in the order of the names chosen.

        Raises:
            BuildError: If there is no retriever, or one has no usable name.
        """
        if not isinstance(retrievers, Mapping) or not retrievers:
            raise BuildError(f"RouterRetriever({retrievers!r:.200}): give at least one retriever by name")
        for name in (_ROUTE, _FUSE):
            if name in retrievers:
                raise BuildError(f"a retriever cannot be called {name!r}: a step of the router has that name")
        self.names = tuple(retrievers)
        self._route = route
        self._fuse = fuse
        self.runnable = self._graph(retrievers)

    def __repr__(self) -> str:
        return f"RouterRetriever({list(self.names)!r})"

    async def retrieve(self, query: str, options: RetrieverOptions = NO_RETRIEVER_OPTIONS) -> list[Document]:
        """Return what the chosen retrievers found, joined: at most `top_k` documents, which limits each of them too.

        Raises:
            ComponentError: If a retriever fails (what it raised, if that is one), or `route` chose none or one that is
                not there. A note names the place.
        """
        run = self.runnable.invoke(query, **for_all_retrievers(options))
        return best(await as_component(run, "RouterRetriever"), options)

    def _graph(self, retrievers: Mapping[str, Retriever]) -> Runnable[str, list[Document]]:
        graph = Graph[str, list[Document]](state=_Chosen)
        graph.add_lambda_node(_ROUTE, self._choose)
        graph.add_lambda_node(_FUSE, self._joined)
        graph.add_edge(START, _ROUTE)
        for name, retriever in retrievers.items():
            graph.add_graph_node(name, search_of(retriever, name), output_key=name)
            graph.add_edge(name, _FUSE)
        graph.add_branch(_ROUTE, Branch(_chosen, ends=self.names))
        graph.add_edge(_FUSE, END)
        return graph.compile(name="router")

    async def _choose(self, query: str, ctx: RunContext[_Chosen]) -> str:
        names = self.names if self._route is None else list(dict.fromkeys(await awaited(self._route(query))))
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise ComponentError(
                f"route= chose {unknown[0]!r}, which is no retriever; the names are {list(self.names)}"
            )
        if not names:
            raise ComponentError(f"route= chose no retriever for {query!r:.200}; the names are {list(self.names)}")
        ctx.state.names = list(names)
        return query

    async def _joined(self, found: dict[str, list[Document]], ctx: RunContext[_Chosen]) -> list[Document]:
        return await fused(self._fuse, [found[name] for name in ctx.state.names])


@register("eino.flow.RouterRetriever")
@dataclass(slots=True)
class _Chosen:
    """What one search remembers; it is stored with the run that the search is part of."""

    names: list[str] = field(default_factory=list)
    """The retrievers to ask, in the order of the choice."""


def _chosen(_: str, ctx: RunContext[_Chosen]) -> list[str]:
    return ctx.state.names
