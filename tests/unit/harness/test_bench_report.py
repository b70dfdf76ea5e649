"""The saved forms of the table."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from eino_harness.bench import Record, Row, Samples, Workload, build_rows
from eino_harness.bench.chart import ratio_chart
from eino_harness.bench.host import describe_host
from eino_harness.bench.report import report_html, table_data, write_reports


def rows() -> list[Row]:
    def samples(value: float) -> Samples:
        return Samples((value * 0.99, value, value * 1.01), inner=10)

    return build_rows(
        [
            Record(
                Workload("W1", "chain of <10>", goal_ratio=3, gate_ratio=6),
                "t1",
                "asyncio",
                samples(2e-6),
                samples(1e-6),
            ),
            Record(Workload("W2", "fan-out", gate_ratio=1.5), "t2", "uvloop", samples(2e-6), samples(1e-6)),
            Record(Workload("W9", "build"), "t9", "none", samples(5e-5)),
        ]
    )


def test_the_json_says_all_that_the_table_says(tmp_path: Path) -> None:
    as_json, as_html = write_reports(rows(), tmp_path / "reports" / "benchmarks")
    data = json.loads(as_json.read_text())

    assert (data["schema"], data["version"], data["smoke"]) == ("eino-harness/report", 1, False)
    assert set(data["host"]) == {"cpu", "cores", "load_average", "system", "python", "optimized"}
    first, second, third = data["workloads"]
    assert (first["id"], first["test"], first["verdict"], first["rounds"]) == ("W1", "t1", "ok", 3)
    assert first["eino_s"] == {"value": 2e-6, "low": 2e-6 * 0.99, "high": 2e-6 * 1.01}
    assert first["eino_best_s"] == 2e-6 * 0.99
    assert first["ratio"]["value"] == pytest.approx(2.0)
    assert (second["loop"], second["verdict"]) == ("uvloop", "FAILS GATE")
    assert (third["ratio"], third["floor_s"], third["verdict"]) == (None, None, "-")
    assert as_html.name == "index.html"


def test_the_page_needs_nothing_from_the_network_and_escapes_what_it_shows() -> None:
    page = report_html(table_data(rows()))

    assert "chain of &lt;10&gt;" in page
    assert "FAILS GATE" in page
    assert "<svg" in page
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)
    assert "<script" not in page


def test_a_smoke_page_says_that_its_numbers_mean_nothing() -> None:
    assert "The numbers mean nothing" in report_html(table_data(rows(), smoke=True))


def test_the_chart_is_one_svg_with_a_bar_for_each_ratio() -> None:
    svg = ratio_chart(table_data(rows())["workloads"])
    root = ET.fromstring(svg)
    words = "".join(root.itertext())

    assert root.tag.endswith("svg")
    assert "W1" in words
    assert "W2 (uvloop)" in words
    assert "2.00x" in words
    assert "W9" not in words  # nothing to compare with


def test_without_a_floor_there_is_no_chart() -> None:
    assert ratio_chart(table_data(rows()[2:])["workloads"]) == ""
    assert "No chart" in report_html(table_data(rows()[2:]))


def test_without_matplotlib_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    assert 'pip install "eino[bench]"' in report_html(table_data(rows()))


def test_the_host_is_described_without_linux_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError

    assert describe_host()["cpu"]
    monkeypatch.setattr(Path, "read_text", refuse)
    assert isinstance(describe_host()["cpu"], str)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "no such line\n")
    assert isinstance(describe_host()["cpu"], str)
