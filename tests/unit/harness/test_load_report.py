"""Latencies of a load test: percentiles, table, report, charts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from eino_harness.load.latency import LatencyLog
from eino_harness.load.process import TargetError, running_target, start_target
from eino_harness.load.report import LoadRun, load_table, write_load_report


def log_of(*latencies_ms: float) -> LatencyLog:
    log = LatencyLog()
    for number, latency in enumerate(latencies_ms):
        log.record("stream", float(number), latency / 1000)
    return log


def test_percentiles_keep_fractions_of_a_millisecond() -> None:
    """Locust would call all of these 0."""
    (row,) = log_of(*([0.2] * 98), 0.4, 0.9).quantiles()

    assert row.count == 100
    assert row.p50_s == pytest.approx(0.0002, rel=0.01)
    assert row.p99_s == pytest.approx(0.0004, rel=0.01)
    assert row.max_s == pytest.approx(0.0009, rel=0.01)


def test_a_kind_that_only_failed_has_no_latency() -> None:
    log = LatencyLog()
    log.record_failure("invoke")
    (row,) = log.quantiles()

    assert (row.count, row.failures, row.p99_s) == (0, 1, 0.0)
    assert log.kinds() == []


def test_the_table_is_in_milliseconds() -> None:
    table = load_table(log_of(10, 20, 30).quantiles())

    kind, count, failures, *times = table.splitlines()[2].split()
    assert (kind, count, failures) == ("stream", "3", "0")
    assert [float(time) for time in times] == pytest.approx([20, 20, 30, 30, 30], rel=0.001)


def test_the_report_is_json_text_and_a_page_without_requests(tmp_path: Path) -> None:
    run = LoadRun(target="a <fake> model", users=3, duration_s=2.0)
    paths = write_load_report(run, log_of(10, 20, 30), tmp_path / "load")

    assert [path.name for path in paths] == ["latest.json", "table.txt", "index.html", "percentiles.svg"]
    data = json.loads(paths[0].read_text(encoding="utf-8"))
    assert data["requests"][0]["per_s"] == 1.5
    page = paths[2].read_text(encoding="utf-8")
    assert "a &lt;fake&gt; model, 3 users" in page
    assert page.count("<svg") == 2
    assert "src=" not in page
    assert "@import" not in page


def test_a_report_without_latencies_has_no_charts(tmp_path: Path) -> None:
    log = LatencyLog()
    log.record_failure("invoke")
    paths = write_load_report(LoadRun(target="x", users=1, duration_s=1.0), log, tmp_path)

    assert "<svg" not in paths[2].read_text(encoding="utf-8")


def test_a_target_runs_as_long_as_the_block() -> None:
    program = "import time; print('ready on http://127.0.0.1:1', flush=True); time.sleep(60)"
    with running_target(sys.executable, "-c", program) as url:
        assert url == "http://127.0.0.1:1"


def test_a_target_that_ends_at_once_is_an_error() -> None:
    with pytest.raises(TargetError, match="exit code 3"):
        start_target([sys.executable, "-c", "raise SystemExit(3)"])
