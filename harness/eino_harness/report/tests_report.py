"""The report of a test run: what failed, what was slow."""

from __future__ import annotations

import json
from pathlib import Path

from eino_harness.report.junit import TestRun
from eino_harness.report.page import page_environment
from eino_harness.report.schema import report_data

__all__ = ["write_test_report"]

_SLOWEST = 20


def write_test_report(run: TestRun, folder: Path) -> list[Path]:
    """Write `latest.json` and `index.html` into `folder`; return their paths."""
    failed = sum(not check.ok for check in run.checks)
    data = report_data(
        "tests",
        "Tests",
        summary={
            "passed": str(len(run.checks) - failed),
            "failed": str(failed),
            "skipped": str(run.skipped),
            "time": f"{run.seconds:.0f} s",
        },
        checks=run.checks,
    )
    slowest = sorted(run.checks, key=lambda check: -check.seconds)[:_SLOWEST]
    page = page_environment().get_template("tests.html").render(data=data, run=run, slowest=slowest)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "latest.json", folder / "index.html"]
    paths[0].write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(page, encoding="utf-8")
    return paths
