"""The picture of the table: how many times the floor each workload takes, as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ratio_chart"]

_COLOURS = {"ok": "#2e7d32", "misses goal": "#b26a00", "FAILS GATE": "#b71c1c"}
_OTHER = "#546e7a"


def ratio_chart(workloads: Sequence[Mapping[str, Any]]) -> str:
    """Return an `<svg>` element; empty when matplotlib is not installed or no workload has a floor.

    Bars start at 1x, the floor; whiskers are the 95 % interval, black ticks the goals.
    """
    measured = [work for work in workloads if work["ratio"]]
    if not measured:
        return ""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return ""
    import matplotlib as mpl

    # Text stays text (selectable, small); a fixed salt keeps the element ids the same from run to run.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "eino", "font.family": "sans-serif", "font.size": 10}):
        figure = Figure(figsize=(8, 0.8 + 0.38 * len(measured)), layout="constrained")
        _draw(figure.subplots(), measured)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _draw(axes: Any, measured: Sequence[Mapping[str, Any]]) -> None:
    names = [_name(work) for work in measured]
    values = [work["ratio"]["value"] for work in measured]
    below = [max(0.0, work["ratio"]["value"] - work["ratio"]["low"]) for work in measured]
    above = [max(0.0, work["ratio"]["high"] - work["ratio"]["value"]) for work in measured]
    axes.barh(
        range(len(measured)),
        [value - 1 for value in values],
        left=1,
        xerr=[below, above],
        height=0.6,
        color=[_COLOURS.get(work["verdict"], _OTHER) for work in measured],
        error_kw={"ecolor": "#263238", "elinewidth": 1, "capsize": 2},
    )
    for line, work in enumerate(measured):
        if work["goal_ratio"]:
            axes.plot([work["goal_ratio"]] * 2, [line - 0.38, line + 0.38], color="black", linewidth=2)
        end = max(values[line] + above[line], 1, work["goal_ratio"] or 0)
        axes.annotate(f"{values[line]:.2f}x", (end, line), xytext=(7, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(measured)), names)
    axes.invert_yaxis()
    axes.axvline(1, color="#263238", linewidth=1)
    axes.set_xlabel("times the hand-written floor (1 = no cost of the framework; black tick = goal)")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def _name(work: Mapping[str, Any]) -> str:
    loop = "" if work["loop"] in {"asyncio", "none"} else f" ({work['loop']})"
    return f"{work['label']}{loop}"
