"""Draws the pictures of the documentation: `python scripts/draw_docs.py` writes docs/images/*.svg.

A test compares them with what this script would write now.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from eino import END, START, Branch, Chain, ChainBranch, Graph, Parallel, Runnable, Workflow, map_fields, to_field

__all__ = ["IMAGES", "PICTURES", "drawn", "drawn_with", "main"]

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def _step(value: Any) -> Any:
    return value


def _needs_tools(value: Any) -> str:
    return "tools" if value else END


def _is_question(value: Any) -> str:
    return "question" if value else "other"


def _react() -> Runnable[Any, Any]:
    graph = Graph[Any, Any]()
    graph.add_lambda_node("model", _step)
    graph.add_lambda_node("tools", _step)
    graph.add_edge(START, "model")
    graph.add_branch("model", Branch(_needs_tools, ends=["tools", END]))
    graph.add_edge("tools", "model")
    return graph.compile(name="react")


def _chain() -> Runnable[Any, Any]:
    branch = ChainBranch(_is_question).add_lambda("question", _step).add_lambda("other", _step)
    parallel = Parallel().add_lambda("words", _step).add_lambda("letters", _step)
    return Chain[Any, Any]().append_branch(branch).append_passthrough().append_parallel(parallel).compile()


def _nested() -> Runnable[Any, Any]:
    inner = Chain[Any, Any]().append_lambda(_step, key="clean").append_lambda(_step, key="shorten")
    outer = Chain[Any, Any]().append_graph(inner, key="prepare").append_lambda(_step, key="answer")
    return outer.compile()


def _workflow() -> Runnable[Any, Any]:
    workflow = Workflow[Any, Any]()
    workflow.add_lambda_node("price", _step).add_input(START)
    taxed = workflow.add_lambda_node("tax", _step).add_input("price", to_field("net"))
    taxed.add_input(START, map_fields("country", "country"), data_only=True)
    workflow.end().add_input("tax", to_field("total")).add_input(START, map_fields("sku", "sku"), data_only=True)
    return workflow.compile()


PICTURES = {"react": _react, "chain": _chain, "nested": _nested, "workflow": _workflow}
"""What makes the graph of each picture, by its file name without the ending."""


def drawn_with() -> str:
    """Return the comment that says what drew the pictures."""
    return f"<!-- scripts/draw_docs.py: igraph {version('igraph')}, matplotlib {version('matplotlib')} -->"


def drawn(name: str) -> str:
    """Return a picture as it would be written now."""
    return f"{drawn_with()}\n{PICTURES[name]().to_svg()}"


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(exist_ok=True)
    for name in PICTURES:
        (IMAGES / f"{name}.svg").write_text(drawn(name), encoding="utf-8")


if __name__ == "__main__":
    main()
