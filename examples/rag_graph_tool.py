"""A graph as a tool: an agent searches by a graph that asks in several ways and in several places.

The graph is drawn in Mermaid first. Needs no key and no network: the embedder is a fake one whose vectors depend on the
words of a text. Run it with `python examples/rag_graph_tool.py`; needs `pip install "eino[vectors]"`.
"""

from __future__ import annotations

import asyncio

from eino import END, START, Document, Graph, Runnable, tool, tool_call
from eino.adk import ChatModelAgent, Runner
from eino.components.tools import Tool
from eino.ext.vectors.memory import MemoryVectorStore
from eino.flow import MultiQueryRetriever, RouterRetriever
from eino_fixtures import FakeEmbedder, ScriptedChatModel

TOURS = {
    "fjord": "The fjord tour takes four hours by boat, every day at nine.",
    "glacier": "The glacier tour takes eight hours on foot; boots and ropes are lent.",
}
TERMS = {
    "cancelling": "Cancelling a tour is free until seven days before the start.",
    "paying": "Tours are paid when they are booked.",
}


async def filled(texts: dict[str, str]) -> MemoryVectorStore:
    """Return a store with these texts, by id."""
    store = MemoryVectorStore(FakeEmbedder(dim=256), top_k=1)
    await store.store([Document(id=key, content=text) for key, text in texts.items()])
    return store


async def route(query: str) -> list[str]:
    """Say where to search: the terms know about money, the tours about everything else."""
    return ["terms"] if "cancel" in query.lower() or "pay" in query.lower() else ["tours"]


def as_notes(found: list[Document]) -> str:
    """Return documents as a model reads them."""
    return "\n".join(f"[{each.id}] {each.content}" for each in found)


async def make_search() -> Runnable[str, str]:
    """Return the graph: from a question to notes."""
    places = RouterRetriever({"tours": await filled(TOURS), "terms": await filled(TERMS)}, route=route)
    rewriter = ScriptedChatModel(["How long is the glacier tour?\nCan I cancel a tour for free?"])
    graph = Graph[str, str]()
    graph.add_retriever_node("search", MultiQueryRetriever(places, model=rewriter))
    graph.add_lambda_node("notes", as_notes)
    graph.add_edge(START, "search").add_edge("search", "notes").add_edge("notes", END)
    return graph.compile(name="search")


def as_tool(search: Runnable[str, str]) -> Tool:
    """Return the graph as a tool. It runs inside the agent's run: its interrupts and events are the run's."""

    @tool
    async def search_notes(question: str) -> str:
        """Search the notes on tours.

        Args:
            question: What to find.
        """
        return await search.invoke(question)

    return search_notes


async def ask(question: str) -> str:
    """Draw the graph, let the agent search, and return its answer."""
    search = await make_search()
    print(search.to_mermaid())
    model = ScriptedChatModel(
        [
            tool_call("search_notes", {"question": question}, id="1"),
            "It takes eight hours, and cancelling is free until seven days before. [glacier, cancelling]",
        ]
    )
    guide = ChatModelAgent(
        name="guide", instruction="Answer from notes only, and name them.", model=model, tools=[as_tool(search)]
    )
    async with Runner(guide).query(question) as events:
        async for event in events:
            if event.error is not None:
                raise event.error
            if event.message is not None and (message := await event.message.get()).content:
                print(message.content)
        return (await events.answer()).content


def main() -> str:
    """Run the example and return the agent's answer."""
    return asyncio.run(ask("How long is the glacier tour, and may I cancel it?"))


if __name__ == "__main__":
    main()
