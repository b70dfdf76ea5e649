"""The page that the demo leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eino_harness.bench.host import describe_host
from eino_harness.bench.table import Row, format_time
from eino_harness.demo.conversation import Conversation
from eino_harness.demo.under_load import LoadResult
from eino_harness.report.schema import report_data

__all__ = ["DemoReport", "write_demo_report"]

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo did."""

    recording: str
    conversation: Conversation
    rows: Sequence[Row]
    """Workloads of the benchmark; empty when it was left out."""
    load: LoadResult | None


def write_demo_report(report: DemoReport, folder: Path) -> Path:
    """Write `index.html` and `latest.json` into `folder`; return the path of the page, which makes no request."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["time"] = lambda seconds, unit: "-" if seconds is None else format_time(seconds, unit)
    environment.filters["ms"] = lambda seconds: f"{1000 * seconds:.2f}"
    page = environment.get_template("demo.html").render(
        report=report, host=describe_host(), created=datetime.now(UTC).isoformat(timespec="seconds")
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    (folder / "latest.json").write_text(json.dumps(_data(report), indent=1) + "\n", encoding="utf-8")
    return path


def _data(report: DemoReport) -> dict[str, Any]:
    conversation = report.conversation
    summary = {
        "first text": f"{1000 * conversation.first_chunk_s:.1f} ms",
        "whole answer": f"{1000 * conversation.total_s:.1f} ms",
        **{row.workload.label: f"{row.ratio.value:.2f}x by hand" for row in report.rows if row.ratio is not None},
    }
    if report.load is not None:
        summary["under load"] = report.load.summary
    return report_data("demo", "Demo", summary=summary, details={"recording": report.recording})
