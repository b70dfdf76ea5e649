"""The saved forms of the table: JSON for programs, one self-contained HTML page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eino_harness.bench.host import describe_host
from eino_harness.bench.stats import Interval
from eino_harness.bench.table import Row, format_time, goal_text

__all__ = ["SCHEMA_VERSION", "report_data", "report_html", "write_reports"]

SCHEMA_VERSION = 1
"""Of the JSON; grows when a reader of the old form would misread the new one."""

_TEMPLATES = Path(__file__).parent / "templates"


def report_data(rows: Sequence[Row], *, smoke: bool = False) -> dict[str, Any]:
    """Return the rows as plain data: times in seconds per thing counted, intervals as value, low and high."""
    return {
        "schema": "eino-harness/benchmarks",
        "version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "smoke": smoke,
        "host": describe_host(),
        "workloads": [_row_data(row) for row in rows],
    }


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
        "eino_best_s": row.eino_best_s,
        "floor_best_s": row.floor_best_s,
        "ratio": _interval_data(row.ratio),
        "verdict": row.verdict.value,
    }


def _interval_data(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else asdict(interval)


def report_html(data: dict[str, Any]) -> str:
    """Return the page: table, chart of the ratios, host; it makes no request."""
    import jinja2

    from eino_harness.bench.chart import ratio_chart

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["time"] = lambda seconds, unit: "-" if seconds is None else format_time(seconds, unit)
    return environment.get_template("benchmarks.html").render(data=data, chart=ratio_chart(data["workloads"]))


def write_reports(rows: Sequence[Row], folder: Path, *, smoke: bool = False) -> list[Path]:
    """Write `latest.json` and `index.html` into `folder`; return their paths."""
    data = report_data(rows, smoke=smoke)
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_html = folder / "latest.json", folder / "index.html"
    as_json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    as_html.write_text(report_html(data), encoding="utf-8")
    return [as_json, as_html]
