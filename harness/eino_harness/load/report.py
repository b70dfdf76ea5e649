"""The report of a load test: a table for the terminal, JSON for programs, one self-contained page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eino_harness.bench.host import describe_host
from eino_harness.load.latency import KINDS, LatencyLog, Quantiles

__all__ = ["SCHEMA_VERSION", "LoadRun", "load_data", "load_table", "write_load_report"]

SCHEMA_VERSION = 1
"""Of the JSON; grows when a reader of the old form would misread the new one."""

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
    return {
        "schema": "eino-harness/load",
        "version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": describe_host(),
        "run": asdict(run),
        "requests": [
            {**asdict(row), "meaning": KINDS.get(row.kind, ""), "per_s": row.count / max(run.duration_s, 1e-9)}
            for row in log.quantiles()
        ],
    }


def write_load_report(run: LoadRun, log: LatencyLog, folder: Path) -> list[Path]:
    """Write `latest.json`, `table.txt`, `index.html` and `percentiles.svg` into `folder`; return their paths."""
    import jinja2

    from eino_harness.load.chart import percentile_chart, timeline_chart

    data = load_data(run, log)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["ms"] = lambda seconds: f"{1000 * seconds:.2f}"
    charts = [percentile_chart(log), timeline_chart(log)] if log.kinds() else ["", ""]
    page = environment.get_template("load.html").render(data=data, charts=charts)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "latest.json", folder / "table.txt", folder / "index.html", folder / "percentiles.svg"]
    paths[0].write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    paths[1].write_text(load_table(log.quantiles()) + "\n", encoding="utf-8")
    paths[2].write_text(page, encoding="utf-8")
    paths[3].write_text(charts[0], encoding="utf-8")
    return paths
