"""The comparison of two runs as a table, JSON and a page with box plots and the trend over commits."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from eino_harness.bench.compare import Change, Limits
from eino_harness.report.page import page_environment
from eino_harness.report.schema import Check, report_data

__all__ = ["box_plot", "comparison_table", "sparkline", "write_comparison"]

_TEMPLATES = Path(__file__).parent / "templates"
_COLOURS = {"slower": "#b71c1c", "faster": "#2e7d32"}
_MOST_BOXES = 60


def comparison_table(changes: Sequence[Change], limits: Limits) -> list[str]:
    """Return the table as lines of text, and what its verdicts mean."""
    head = ("workload", "measure", "before", "after", "change", "p", "verdict")
    cells = [head, *(_cells(change, limits) for change in changes)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if 1 < column < 6 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    lines += ["", _explanation(limits)]
    return lines


def _explanation(limits: Limits) -> str:
    return (
        f"slower, faster: the {limits.statistic} changed by more than {limits.threshold:.0%} and p < {limits.alpha:g} "
        "in the two-sided Mann-Whitney U test over the rounds. ratio: to the hand-written floor of the same run."
    )


def _cells(change: Change, limits: Limits) -> tuple[str, ...]:
    return (
        change.name,
        change.measure,
        _value(change, change.before, limits),
        _value(change, change.after, limits),
        "-" if change.change is None else f"{change.change:+.1%}",
        "-" if change.p is None else f"{change.p:.2g}",
        change.verdict + (f": {change.reason}" if change.reason else ""),
    )


def _value(change: Change, samples: Sequence[float], limits: Limits) -> str:
    if not samples:
        return "-"
    value = (min if limits.statistic == "min" else median)(samples)
    return f"{value:.2f}x" if change.measure == "ratio" else f"{1e6 * value:,.2f} us"


def write_comparison(
    changes: Sequence[Change],
    limits: Limits,
    runs: Sequence[Mapping[str, Any]],
    lines: Mapping[str, Sequence[tuple[str, float]]],
    folder: Path,
) -> list[Path]:
    """Write `latest.json` and `index.html` into `folder`; return their paths.

    Args:
        changes: What `compare_runs` found.
        limits: When a change counts.
        runs: The two runs, the baseline first.
        lines: What `trend` found.
        folder: Made if it is missing.
    """
    count = {verdict: sum(change.verdict == verdict for change in changes) for verdict in ("slower", "faster", "same")}
    data = report_data(
        "comparison",
        "Comparison of benchmarks",
        summary={verdict: str(number) for verdict, number in count.items()},
        checks=[
            Check(f"not slower: {change.name}", change.verdict != "slower", f"{change.change:+.1%}, p = {change.p:.2g}")
            for change in changes
            if change.change is not None and change.p is not None
        ],
        details={
            "limits": asdict(limits),
            "runs": [{"created": run["created"], "commit": run["commit"], "host": run["host"]} for run in runs],
            "changes": [asdict(change) for change in changes],
            "trend": {name: list(points) for name, points in lines.items()},
        },
    )
    rows = [(change, _cells(change, limits), sparkline(lines.get(change.name, ()))) for change in changes]
    page = page_environment(_TEMPLATES).get_template("comparison.html")
    text = page.render(data=data, rows=rows, explanation=_explanation(limits), chart=box_plot(changes))
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "latest.json", folder / "index.html"]
    paths[0].write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(text, encoding="utf-8")
    return paths


def box_plot(changes: Sequence[Change]) -> str:
    """Return an `<svg>`: for each workload the rounds of both runs, divided by the baseline's median.

    Empty when matplotlib is not installed, or nothing can be compared. Boxes span the quartiles, whiskers 5 % to 95 %.
    """
    shown = sorted((each for each in changes if each.change is not None), key=lambda each: -abs(each.change or 0.0))
    shown = [each for each in changes if each in shown[:_MOST_BOXES]]
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return ""
    if not shown:
        return ""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "eino", "font.family": "sans-serif", "font.size": 10}):
        figure = Figure(figsize=(9, 1.0 + 0.5 * len(shown)), layout="constrained")
        _draw(figure.subplots(), shown)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _draw(axes: Any, shown: Sequence[Change]) -> None:
    for line, change in enumerate(shown):
        middle = median(change.before)
        for samples, offset, colour in (
            (change.before, -0.18, "#90a4ae"),
            (change.after, 0.18, _COLOURS.get(change.verdict, "#1565c0")),
        ):
            axes.boxplot(
                [[value / middle for value in samples]],
                positions=[line + offset],
                orientation="horizontal",
                widths=0.3,
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"facecolor": colour, "edgecolor": "#263238", "alpha": 0.75},
                medianprops={"color": "#000000", "linewidth": 1.5},
            )
    axes.set_yticks(range(len(shown)), [change.name for change in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.axvline(1, color="#263238", linewidth=0.8)
    axes.set_xlabel("times the median of the baseline (upper box, grey: baseline; lower box: now; right is slower)")
    axes.grid(visible=True, axis="x", color="#e0e4e7")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


_WIDTH, _HEIGHT, _PAD = 160, 28, 4


def sparkline(points: Sequence[tuple[str, float]]) -> str:
    """Return a small `<svg>` of a value over commits, from 0 to its largest; empty below two points."""
    if len(points) < 2:
        return ""
    from html import escape

    most = max(value for _, value in points) or 1.0
    step = (_WIDTH - 2 * _PAD) / (len(points) - 1)
    places = [
        (_PAD + number * step, _HEIGHT - _PAD - (_HEIGHT - 2 * _PAD) * value / most)
        for number, (_, value) in enumerate(points)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"><title>{escape(commit)}: {value:.4g}</title></circle>'
        for (x, y), (commit, value) in zip(places, points, strict=True)
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" fill="#1565c0">'
        f'<polyline points="{path}" fill="none" stroke="#1565c0" stroke-width="1.2"/>{dots}</svg>'
    )
