"""Draws a described graph as SVG: igraph places the nodes, matplotlib draws them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eino.compose.draw_label import node_label
from eino.compose.introspect import GraphInfo, NodeInfo
from eino.compose.names import END, START
from eino.errors import MissingExtraError

__all__ = ["to_svg"]

_ROW = 0.95  # inches between layers
_GAP = 0.45  # inches between boxes that stand beside each other
_MARGIN = 0.5  # inches around everything
_TITLE = 0.45  # inches for the line above a graph that is a node
_DPI = 72  # of SVG; box sizes measured at another one would not be those that are drawn
_LINE = "#455a64"
_OTHER = "#f5f7f8"
_COLOURS = {"ChatModel": "#e3f2fd", "ToolsNode": "#fff3e0", **dict.fromkeys(("Graph", "Chain", "Workflow"), "#f3e5f5")}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, small
    "svg.hashsalt": "eino",  # element ids are the same from run to run
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same widths everywhere
    "font.size": 10,
    "text.parse_math": False,  # a dollar is a dollar
}

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Arrow:
    source: str
    target: str
    style: str


@dataclass(frozen=True, slots=True)
class _Panel:
    """One graph, placed: inches, from its own upper left corner."""

    title: str
    boxes: dict[str, tuple[str, str]]
    """Text and colour by node key."""
    arrows: list[_Arrow]
    places: dict[str, Point]
    bends: dict[int, list[Point]]
    """Points that an arrow goes through, by its position: where it passes other layers."""
    width: float
    height: float


def to_svg(info: GraphInfo) -> str:
    """Return the graph as an `<svg>` element.

    Solid arrows always follow, dotted ones are chosen by a branch, dashed ones carry data only. A graph that is a node
    is drawn as one box, and again below, opened.

    Raises:
        MissingExtraError: Without `pip install "eino[draw]"`.
    """
    try:
        import igraph
        import matplotlib as mpl
        from matplotlib.figure import Figure
        from matplotlib.textpath import TextPath
    except ModuleNotFoundError as missing:
        raise MissingExtraError('drawing needs igraph and matplotlib: pip install "eino[draw]"') from missing

    def width_of(text: str) -> float:
        lines = text.split("\n")
        return (
            max(float(TextPath((0, 0), line or " ", size=10, usetex=False).get_extents().width) for line in lines)
            / _DPI
        )

    with mpl.rc_context(_SETTINGS):
        panels = [_panel(title, each, igraph, width_of) for title, each in _opened("", info)]
        width = max(panel.width for panel in panels)
        height = sum(panel.height for panel in panels)
        figure = Figure(figsize=(width, height), dpi=_DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        top = 0.0
        for panel in panels:
            _paint(axes, panel, (width - panel.width) / 2, top)
            top += panel.height
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _opened(path: str, info: GraphInfo) -> Iterable[tuple[str, GraphInfo]]:
    """Yield the graph, and each graph that is a node in it, with its path."""
    yield path, info
    for node in info.nodes:
        if node.graph is not None:
            yield from _opened(f"{path}/{node.key}".lstrip("/"), node.graph)


def _arrows(info: GraphInfo) -> list[_Arrow]:
    plain = [_Arrow(edge.source, edge.target, "--" if edge.kind == "data" else "-") for edge in info.edges]
    chosen = [_Arrow(branch.source, end, ":") for branch in info.branches for end in branch.ends]
    return [*plain, *chosen]


def _boxes(nodes: Iterable[NodeInfo]) -> dict[str, tuple[str, str]]:
    inner = {node.key: (node_label(node), _COLOURS.get(node.component, _OTHER)) for node in nodes}
    return {START: ("start", "#ffffff"), **inner, END: ("end", "#ffffff")}


def _panel(title: str, info: GraphInfo, igraph: Any, width_of: Any) -> _Panel:
    boxes, arrows = _boxes(info.nodes), _arrows(info)
    widest = max(width_of(text) for text, _ in boxes.values())
    places, bends = _layout(list(boxes), arrows, igraph)
    points = [*places.values(), *(point for line in bends.values() for point in line)]
    left, last = min(x for x, _ in points), max(y for _, y in points)
    across = widest + 0.3 + _GAP
    side = _MARGIN + widest / 2 + 0.2
    top = _MARGIN + (_TITLE if title else 0.0)

    def inches(point: Point) -> Point:
        return side + (point[0] - left) * across, top + point[1] * _ROW

    return _Panel(
        title=title,
        boxes=boxes,
        arrows=arrows,
        places={key: inches(point) for key, point in places.items()},
        bends={index: list(map(inches, line)) for index, line in bends.items()},
        width=2 * side + (max(x for x, _ in points) - left) * across + (0.4 if title or arrows else 0.0),
        height=top + last * _ROW + _MARGIN,
    )


def _layout(keys: list[str], arrows: list[_Arrow], igraph: Any) -> tuple[dict[str, Point], dict[int, list[Point]]]:
    """Return where each node stands, in layers by Sugiyama's method, and the bends of arrows that pass layers.

    The layers are found first; then each long arrow gets a place of its own in every layer that it passes, so that it
    runs between the boxes and not through them.
    """
    index = {key: position for position, key in enumerate(keys)}
    pairs = [(index[arrow.source], index[arrow.target]) for arrow in arrows]
    first = igraph.Graph(n=len(keys), edges=pairs, directed=True).layout_sugiyama(hgap=1, vgap=1).coords
    layers = [round(y) for _, y in first[: len(keys)]]
    edges: list[tuple[int, int]] = []
    passed: dict[int, list[int]] = {}
    for number, (source, target) in enumerate(pairs):
        before = source
        step = 1 if layers[target] > layers[source] else -1
        for layer in range(layers[source] + step, layers[target], step):
            passed.setdefault(number, []).append(len(layers))
            edges.append((before, len(layers)) if step > 0 else (len(layers), before))
            before = len(layers)
            layers.append(layer)
        if layers[before] != layers[target]:
            edges.append((before, target) if step > 0 else (target, before))
    placed = igraph.Graph(n=len(layers), edges=edges, directed=True).layout_sugiyama(layers=layers, hgap=1, vgap=1)
    points = [(float(x), float(layer)) for (x, _), layer in zip(placed.coords, layers, strict=False)]
    return (
        {key: points[position] for key, position in index.items()},
        {number: [points[position] for position in positions] for number, positions in passed.items()},
    )


def _paint(axes: Any, panel: _Panel, left: float, top: float) -> None:
    def at(point: Point) -> Point:
        return point[0] + left, point[1] + top

    if panel.title:
        axes.text(left + _MARGIN, top + _MARGIN / 2, panel.title, ha="left", va="center", weight="bold")
    drawn: dict[str, Any] = {}
    for key, (text, colour) in panel.boxes.items():
        box = {"boxstyle": "round,pad=0.45", "facecolor": colour, "edgecolor": _LINE}
        drawn[key] = axes.text(*at(panel.places[key]), text, ha="center", va="center", bbox=box, zorder=4)
    axes.figure.draw_without_rendering()  # gives each box its size, which arrows end at
    seen: set[tuple[str, str]] = set()
    for number, arrow in enumerate(panel.arrows):
        again = (arrow.target, arrow.source) in seen or (arrow.source, arrow.target) in seen
        seen.add((arrow.source, arrow.target))
        box_of = (drawn[arrow.source].get_bbox_patch(), drawn[arrow.target].get_bbox_patch())
        if arrow.source == arrow.target:
            _loop(axes, arrow, box_of[0])
        else:
            line = [panel.places[arrow.source], *panel.bends.get(number, ()), panel.places[arrow.target]]
            _line(axes, arrow, [at(point) for point in line], box_of, bent=again)


def _loop(axes: Any, arrow: _Arrow, box: Any) -> None:
    """Draw an arrow from the right side of a box back to it."""
    axes.annotate(
        "",
        xy=(1.0, 0.3),
        xycoords=box,
        xytext=(1.0, 0.7),
        textcoords=box,
        arrowprops=_properties(arrow, connectionstyle="arc,angleA=0,angleB=0,armA=24,armB=24,rad=4"),
    )


def _line(axes: Any, arrow: _Arrow, points: list[Point], boxes: tuple[Any, Any], *, bent: bool) -> None:
    """Draw an arrow through points, from one box to another."""
    for position, (begin, end) in enumerate(itertools.pairwise(points)):
        is_first, is_last = position == 0, position == len(points) - 2
        properties = _properties(
            arrow,
            arrowstyle="-|>" if is_last else "-",
            patchA=boxes[0] if is_first else None,
            patchB=boxes[1] if is_last else None,
            shrinkA=2 if is_first else 0,
            shrinkB=2 if is_last else 0,
            connectionstyle=f"arc3,rad={0.3 if bent and len(points) == 2 else 0.0}",
        )
        axes.annotate("", xy=end, xytext=begin, arrowprops=properties)


def _properties(arrow: _Arrow, **more: Any) -> dict[str, Any]:
    return {
        "arrowstyle": "-|>",
        "linestyle": arrow.style,
        "color": _LINE,
        "shrinkA": 2,
        "shrinkB": 2,
        "mutation_scale": 12,
        **more,
    }
