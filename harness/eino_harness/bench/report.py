"""The saved forms of the table: JSON for programs, one self-contained HTML page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eino_harness.bench.stats import Interval
from eino_harness.bench.table import Row, Verdict, format_time, goal_text
from eino_harness.report.page import page_environment
from eino_harness.report.schema import Check, report_data

__all__ = ["report_html", "table_data", "write_reports"]

_TEMPLATES = Path(__file__).parent / "templates"
_HISTORY = "history"
"""Folder of earlier runs, for the trend over commits."""


def table_data(rows: Sequence[Row], *, smoke: bool = False, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the report as plain data: times in seconds per thing counted, intervals as value, low and high.

    Args:
        rows: What was measured.
        smoke: Whether the numbers mean nothing.
        errors: Benchmarks that raised, by the id of their test, with the text of the error.
    """
    judged = [] if smoke else [row for row in rows if row.workload.gate_ratio is not None and row.ratio is not None]
    checks = [
        Check(f"gate {row.workload.label} ({row.loop})", row.verdict is not Verdict.FAILS_GATE, _gate(row))
        for row in judged
    ]
    checks += [Check(test, ok=False, text=f"raised: {text}") for test, text in (errors or {}).items()]
    verdicts = [row.verdict for row in rows]
    return report_data(
        "benchmarks",
        "Benchmarks",
        summary={
            "workloads": str(len(rows)),
            "goals missed": str(verdicts.count(Verdict.MISSES_GOAL)),
            "gates broken": str(verdicts.count(Verdict.FAILS_GATE)),
        },
        checks=checks,
        note="Smoke run: the numbers mean nothing." if smoke else "",
        details={"smoke": smoke, "errors": dict(errors or {}), "workloads": [_row_data(row) for row in rows]},
    )


def _gate(row: Row) -> str:
    ratio = row.ratio
    return "" if ratio is None else f"{ratio.value:.2f}x the floor, allowed {row.workload.gate_ratio:g}x"


def _row_data(row: Row) -> dict[str, Any]:
    return {
        **asdict(row.workload),
        "label": row.workload.label,
        "goal": goal_text(row.workload),
        "test": row.nodeid,
        "loop": row.loop,
        "clock": row.clock,
        "rounds": row.rounds,
        "paired": row.paired,
        "eino_s": _interval_data(row.eino_s),
        "floor_s": _interval_data(row.floor_s),
        "eino_samples_s": list(row.eino_samples_s),
        "floor_samples_s": list(row.floor_samples_s),
        "eino_best_s": row.eino_best_s,
        "floor_best_s": row.floor_best_s,
        "ratio": _interval_data(row.ratio),
        "verdict": row.verdict.value,
    }


def _interval_data(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else asdict(interval)


def report_html(data: dict[str, Any]) -> str:
    """Return the page: table, chart of the ratios, host; it makes no request."""
    from eino_harness.bench.chart import ratio_chart

    environment = page_environment(_TEMPLATES)
    environment.filters["time"] = lambda seconds, unit: "-" if seconds is None else format_time(seconds, unit)
    return environment.get_template("benchmarks.html").render(data=data, chart=ratio_chart(data["workloads"]))


def write_reports(
    rows: Sequence[Row], folder: Path, *, smoke: bool = False, errors: Mapping[str, str] | None = None
) -> list[Path]:
    """Write `latest.json` and `index.html` into `folder`; return their paths.

    A copy of the JSON stays in `history/`, named after its time, unless it is that of a smoke run.
    """
    data = table_data(rows, smoke=smoke, errors=errors)
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_html = folder / "latest.json", folder / "index.html"
    text = json.dumps(data, indent=1) + "\n"
    as_json.write_text(text, encoding="utf-8")
    as_html.write_text(report_html(data), encoding="utf-8")
    if not smoke:
        (folder / _HISTORY).mkdir(exist_ok=True)
        stamp = data["created"].replace(":", "").replace("+0000", "Z")
        (folder / _HISTORY / f"{stamp}.json").write_text(text, encoding="utf-8")
    return [as_json, as_html]
