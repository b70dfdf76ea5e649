"""A short load test of a served graph, by locust in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eino_harness.demo.recording import DemoError

__all__ = ["LoadResult", "load_test"]

_USERS = Path(__file__).parent.parent / "load" / "users.py"
_SPARE_S = 60  # what starting and stopping may take beside the test itself


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What was measured."""

    data: dict[str, Any]
    table: str
    chart: str
    """Latency over percentile, as an `<svg>` element."""

    @property
    def summary(self) -> str:
        """The line of P95 and P99."""
        row = next(row for row in self.data["requests"] if row["kind"] == "stream")
        return (
            f"stream: P95 {1000 * row['p95_s']:.1f} ms, P99 {1000 * row['p99_s']:.1f} ms over {row['count']} requests"
        )


def load_test(folder: Path, *, users: int, duration_s: int) -> LoadResult:
    """Drive the demo's target and return what came of it; the report is in `folder`.

    Raises:
        DemoError: If a request failed, or locust did.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "locust", "-f", str(_USERS), "--headless", "--only-summary", "--loglevel", "WARNING"),
        *("--users", str(users), "--spawn-rate", str(users), "--run-time", f"{duration_s}s", "--stop-timeout", "5"),
    ]
    environment = {**os.environ, "EINO_LOAD_REPORTS": str(folder), "LOCUST_CONFIG": os.devnull}
    done = subprocess.run(  # noqa: S603 - our own command
        command, env=environment, capture_output=True, text=True, timeout=duration_s + _SPARE_S, check=False
    )
    report = folder / "latest.json"
    if done.returncode != 0 or not report.exists():
        raise DemoError(f"the load test failed with exit code {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return LoadResult(
        data=json.loads(report.read_text(encoding="utf-8")),
        table=(folder / "table.txt").read_text(encoding="utf-8").rstrip(),
        chart=(folder / "percentiles.svg").read_text(encoding="utf-8"),
    )
