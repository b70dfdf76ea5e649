"""The page that the demo leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eino_harness.bench.host import describe_host
from eino_harness.bench.table import Row, format_time
from eino_harness.demo.conversation import Conversation
from eino_harness.demo.under_load import LoadResult

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
    """Write `index.html` into `folder` and return its path. The page makes no request."""
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
    return path
