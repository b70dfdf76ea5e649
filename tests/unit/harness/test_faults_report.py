"""The report of the fault campaign: JSON in the common schema, Markdown, and a page that fetches nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from eino_harness.faults.chart import kills_chart, stack_chart
from eino_harness.faults.report import outcome_text, write_campaign_report
from eino_harness.faults.site import Outcome, Sizes, Violation
from eino_harness.report.page import external_requests
from eino_harness.report.schema import read_report

COMMAND = "eino-harness faults --store sqlite --only kill --seed 7 --trial 3"


def outcomes() -> list[Outcome]:
    broken = Violation("kill", "sqlite", "kill-3", 3, 7, "life 2 ran <x> again | twice", COMMAND)
    kill = {"kills": 2, "kill moments": [0.1, 0.9], "progress": [0.0, 1.0], "files": "/tmp/x"}
    told = {"told by": {"CorruptCheckpointError": 9}, "harmless": {"bit flip in runs.owner": 1}, "silent": 0}
    return [
        Outcome("kill", "sqlite", 2, kill, [broken] * 25, 1.5),
        Outcome("resume", "postgres", 1, {"one effect": 1, "refusals": {"RunActiveError": 7}}),
        Outcome("zombie", "postgres", 1, {"ended": {"FencedError": 1}}),
        Outcome("damage", "sqlite", 10, told),
        Outcome("outage", "my_kits:Kit", skipped="no way is known to disturb this store"),
    ]


def test_the_report_is_of_the_common_schema(tmp_path: Path) -> None:
    """One check for each scenario that was run; the failed one says what was broken."""
    write_campaign_report(outcomes(), Sizes(), 7, tmp_path)
    report, data = read_report(tmp_path / "latest.json")

    assert (report.kind, report.verdict, len(report.checks)) == ("reliability", "failed", 4)
    assert [check.name for check in report.failed] == ["SIGKILL at random moments, SQLite"]
    assert "life 2 ran <x> again" in report.failed[0].text
    assert (data["seed"], data["sizes"]["kills"], len(data["outcomes"][0]["violations"])) == (7, 200, 25)


def test_the_page_and_the_text_name_run_seed_and_command(tmp_path: Path) -> None:
    """Whoever reads of a broken promise can repeat it."""
    _, text, page = write_campaign_report(outcomes(), Sizes(), 7, tmp_path)

    assert f"- kill-3: life 2 ran <x> again | twice (`{COMMAND}`)" in text.read_text()
    html = page.read_text()
    assert COMMAND in html
    assert "life 2 ran &lt;x&gt; again" in html
    assert "5 more are in latest.json" in html
    assert html.count("<svg") == 4
    assert external_requests(html) == []


@pytest.mark.parametrize(
    ("number", "text"),
    [
        pytest.param(0, "2 trials; kills: 2", id="counts"),
        pytest.param(1, "1 trials; one effect: 1; refusals: RunActiveError 7", id="by name"),
        pytest.param(4, "not run: no way is known to disturb this store", id="skipped"),
    ],
)
def test_what_was_counted_is_said_in_one_line(number: int, text: str) -> None:
    assert outcome_text(outcomes()[number]) == text


def test_pictures_show_what_was_counted() -> None:
    """A circle for each kill; a bar and a legend for each count, red where it is bad."""
    assert kills_chart([0.1, 0.5, 2.0], [0.0, 0.5, 1.0]).count("<circle") == 3
    bars = stack_chart({"told": 3, "none": 0, "silent": 0}, bad=("silent",))
    assert ("told: 3" in bars, "none" in bars, "silent: 0" in bars, "#b71c1c" in bars) == (True, False, True, True)
