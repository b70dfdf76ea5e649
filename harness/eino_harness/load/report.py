"""The report of a load test: a table for the terminal, JSON for programs, one self-contained page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eino_harness.load.latency import KINDS, LatencyLog, Quantiles
from eino_harness.report.page import page_environment
from eino_harness.report.schema import Check, report_data

__all__ = ["LoadRun", "load_data", "load_table", "write_load_report"]

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class LoadRun:
    """What was run."""

    target: str
    """What was driven, in a few words."""
    users: int
    """Users at the same time; each sends its next request when the last one was answered (closed loop)."""
    duration_s: float


def load_table(rows: Sequence[Quantiles]) -> str:
    """Return the table: milliseconds by kind of request."""
    header = f"{'request':<16}{'count':>9}{'failed':>8}{'mean':>10}{'P50':>10}{'P95':>10}{'P99':>10}{'max':>10}  ms"
    lines = [header, "-" * len(header)]
    for row in rows:
        times = "".join(f"{1000 * value:>10.2f}" for value in (row.mean_s, row.p50_s, row.p95_s, row.p99_s, row.max_s))
        lines.append(f"{row.kind:<16}{row.count:>9}{row.failures:>8}{times}")
    return "\n".join(lines)


def load_data(run: LoadRun, log: LatencyLog) -> dict[str, Any]:
    """Return the report as plain data; times in seconds."""
    rows = log.quantiles()
    return report_data(
        "load",
        "Load test",
        summary={
            row.kind: f"P95 {1000 * row.p95_s:.1f} ms, P99 {1000 * row.p99_s:.1f} ms" for row in rows if row.count
        },
        checks=[
            Check(f"no failed request: {row.kind}", not row.failures, f"{row.failures} failed, {row.count} answered")
            for row in rows
        ],
        details={
            "run": asdict(run),
            "requests": [
                {**asdict(row), "meaning": KINDS.get(row.kind, ""), "per_s": row.count / max(run.duration_s, 1e-9)}
                for row in rows
            ],
        },
    )


def write_load_report(run: LoadRun, log: LatencyLog, folder: Path) -> list[Path]:
    """Write `latest.json`, `table.txt`, `index.html` and `percentiles.svg` into `folder`; return their paths."""
    from eino_harness.load.chart import percentile_chart, timeline_chart

    data = load_data(run, log)
    page_of = page_environment(_TEMPLATES)
    page_of.filters["ms"] = lambda seconds: f"{1000 * seconds:.2f}"
    charts = [percentile_chart(log), timeline_chart(log)] if log.kinds() else ["", ""]
    page = page_of.get_template("load.html").render(data=data, charts=charts)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "latest.json", folder / "table.txt", folder / "index.html", folder / "percentiles.svg"]
    paths[0].write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    paths[1].write_text(load_table(log.quantiles()) + "\n", encoding="utf-8")
    paths[2].write_text(page, encoding="utf-8")
    paths[3].write_text(charts[0], encoding="utf-8")
    return paths
