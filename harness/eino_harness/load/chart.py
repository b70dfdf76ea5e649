"""Pictures of a load test, as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from eino_harness.load.latency import LatencyLog

__all__ = ["percentile_chart", "timeline_chart"]

_COLOURS = ("#1565c0", "#b26a00", "#2e7d32", "#6a1b9a", "#546e7a")


def percentile_chart(log: LatencyLog) -> str:
    """Return latency over percentile, one line a kind of request."""

    def draw(axes: Any) -> None:
        for colour, kind in zip(_COLOURS, log.kinds(), strict=False):
            points = [(_nines(percentile), 1000 * latency) for percentile, latency in log.curve(kind)]
            axes.plot(*zip(*points, strict=True), color=colour, label=kind)
        marks = (0, 50, 90, 95, 99, 99.9)
        axes.set_xticks([_nines(mark) for mark in marks], [f"P{mark:g}" for mark in marks])
        axes.set_yscale("log")
        axes.set_ylabel("latency in ms")
        axes.legend(frameon=False, ncols=len(_COLOURS), loc="lower left", bbox_to_anchor=(0, 1))
        axes.grid(visible=True, color="#e0e4e7")

    return _svg(draw)


def timeline_chart(log: LatencyLog) -> str:
    """Return the latency of each request over the time of the test."""

    def draw(axes: Any) -> None:
        for colour, kind in zip(_COLOURS, log.kinds(), strict=False):
            points = [(at, 1000 * latency) for at, latency in log.timeline(kind)]
            axes.plot(*zip(*points, strict=True), color=colour, label=kind, marker=".", markersize=2, linestyle="none")
        axes.set_yscale("log")
        axes.set_xlabel("seconds into the test")
        axes.set_ylabel("latency in ms")
        axes.legend(frameon=False, markerscale=5, ncols=len(_COLOURS), loc="lower left", bbox_to_anchor=(0, 1))
        axes.grid(visible=True, color="#e0e4e7")

    return _svg(draw)


def _nines(percentile: float) -> float:
    """Stretch the upper end: P90, P99 and P99.9 stand at equal distances."""
    from math import log10

    return -log10(max(1e-4, 1 - percentile / 100))


def _svg(draw: Callable[[Any], None]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "eino", "font.family": "sans-serif", "font.size": 10}):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
