"""Two runs of the benchmarks side by side: what counts as a change, and what cannot be compared."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from eino_harness.bench import Record, Samples, Workload, build_rows
from eino_harness.bench.compare import Change, Limits, NotComparableError, compare_runs, read_run, trend
from eino_harness.bench.compare_report import box_plot, comparison_table, sparkline
from eino_harness.bench.report import table_data
from eino_harness.bench.stats import rank_sum_p
from eino_harness.cli import main
from eino_harness.report.page import external_requests
from eino_harness.report.schema import ReportError


def rounds(value: float, seed: int) -> tuple[float, ...]:
    """Forty rounds around `value`, 2 % apart."""
    rng = random.Random(seed)
    return tuple(value * rng.uniform(0.98, 1.02) for _ in range(40))


def run_of(*, slow: float = 1.0, seed: int = 1, machine: float = 1.0, **work: Any) -> dict[str, Any]:
    """A run of two workloads: `paired` beside its floor, `alone` without; `slow` times as slow as they were."""
    paired = Workload("paired", **work)
    ours, floor = (
        Samples(rounds(value * machine, seed + number), 1) for number, value in enumerate((2e-6 * slow, 1e-6))
    )
    alone = Samples(rounds(5e-6 * slow * machine, seed + 2), 1)
    return table_data(
        build_rows(
            [
                Record(paired, "t1", "asyncio", ours, floor),
                Record(Workload("alone"), "t2", "none", alone),
            ]
        )
    )


def verdicts(changes: list[Change]) -> dict[str, str]:
    return {change.name: change.verdict for change in changes}


def test_two_runs_of_one_build_are_the_same() -> None:
    changes = compare_runs(run_of(seed=1), run_of(seed=20), Limits(threshold=0.05))

    assert verdicts(changes) == {"alone": "same", "paired": "same"}


@pytest.mark.parametrize("statistic", ["median", "min"])
@pytest.mark.parametrize(
    ("slow", "verdict"),
    [
        pytest.param(1.2, "slower", id="slower"),
        pytest.param(1 / 1.2, "faster", id="faster"),
        pytest.param(1.03, "same", id="less than the threshold"),
    ],
)
def test_a_change_counts_when_it_is_large_and_significant(statistic: Any, slow: float, verdict: str) -> None:
    changes = compare_runs(run_of(), run_of(slow=slow, seed=9), Limits(threshold=0.1, statistic=statistic))

    assert verdicts(changes) == {"alone": verdict, "paired": verdict}
    assert all(change.change == pytest.approx(slow - 1, abs=0.03) for change in changes)


def test_a_large_change_that_may_be_chance_does_not_count() -> None:
    """Two rounds each say nothing, however far apart."""
    few = [
        table_data(build_rows([Record(Workload("W"), "t", "none", Samples((value, 1.1 * value), 1))]))
        for value in (1.0, 2.0)
    ]

    (change,) = compare_runs(few[0], few[1], Limits())

    assert change.change == pytest.approx(1.0)
    assert change.verdict == "same"


def test_ratios_to_the_floor_hide_a_machine_that_was_slower() -> None:
    changes = compare_runs(run_of(), run_of(machine=1.5, seed=7), Limits())

    assert {change.name: (change.measure, change.verdict) for change in changes} == {
        "paired": ("ratio", "same"),
        "alone": ("time", "slower"),
    }


@pytest.mark.parametrize("field", ["cpu", "cores", "python", "system", "optimized"])
def test_runs_of_different_hosts_are_not_comparable(field: str) -> None:
    other = run_of()
    other["host"][field] = "another"

    with pytest.raises(
        NotComparableError, match=f"different hosts .*{field}: .*'another'.*run `pytest --benchmark` here"
    ):
        compare_runs(run_of(), other, Limits())


def test_the_load_of_the_machine_may_differ() -> None:
    other = run_of()
    other["host"]["load_average"] = [9.0, 9.0, 9.0]

    assert verdicts(compare_runs(run_of(), other, Limits())) == {"alone": "same", "paired": "same"}


def test_a_workload_that_declares_other_work_is_not_comparable() -> None:
    changes = compare_runs(run_of(work="10 nodes"), run_of(work="20 nodes"), Limits())

    (paired,) = [change for change in changes if change.name == "paired"]
    assert (paired.verdict, paired.change) == ("not comparable", None)
    assert paired.reason == "work was '10 nodes', is '20 nodes'"


def test_workloads_come_and_go() -> None:
    before, after = run_of(), run_of()
    del before["workloads"][0], after["workloads"][1]

    assert verdicts(compare_runs(before, after, Limits())) == {"alone": "new", "paired": "gone"}


@pytest.mark.parametrize(
    ("one", "other", "p"),
    [
        # scipy 1.17.1: scipy.stats.mannwhitneyu(one, other, method="asymptotic", use_continuity=True)
        pytest.param((1.1, 2.2, 3.3, 4.4), (2.5, 3.5, 4.5, 5.5), 0.1939308522824107, id="no ties"),
        pytest.param((1, 2, 2, 3), (2, 3, 3, 4), 0.1720337089218229, id="ties"),
        pytest.param((1, 1), (1, 1), 1.0, id="all the same"),
        pytest.param(range(20), range(20, 40), 6.795615128173358e-08, id="apart"),
    ],
)
def test_the_rank_sum_test_gives_known_values(one: Any, other: Any, p: float) -> None:
    assert rank_sum_p(one, other) == pytest.approx(p, rel=1e-9)
    assert rank_sum_p(other, one) == pytest.approx(p, rel=1e-9)


def test_the_rank_sum_test_is_rarely_wrong_about_equal_samples() -> None:
    """Of 400 pairs from one distribution about 5 % have p < 0.05."""
    rng = random.Random(7)

    def sample() -> list[float]:
        return [rng.expovariate(1) for _ in range(41)]

    wrong = sum(rank_sum_p(sample(), sample()) < 0.05 for _ in range(400))
    assert 8 <= wrong <= 34


def test_a_rank_sum_test_needs_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        rank_sum_p([], [1.0])


def write(path: Path, run: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run), encoding="utf-8")
    return path


def test_the_trend_leaves_out_other_hosts() -> None:
    runs = [run_of(slow=slow) for slow in (1.0, 1.5, 2.0)]
    for number, run in enumerate(runs):
        run["created"], run["commit"] = f"2026-01-0{number + 1}", f"c{number}"
    runs[1]["host"]["cpu"] = "another"

    lines = trend(runs[::-1], Limits())

    assert [commit for commit, _ in lines["alone"]] == ["c0", "c2"]
    assert lines["paired"][-1][1] == pytest.approx(4.0, rel=0.05)
    assert trend([], Limits()) == {}


def test_a_sparkline_needs_two_points() -> None:
    assert sparkline([("a", 1.0)]) == ""
    line = ET.fromstring(sparkline([("<a>", 1.0), ("b", 2.0)]))
    assert [title.text for title in line.iter("title")] == ["<a>: 1", "b: 2"]


def test_the_box_plot_names_every_workload() -> None:
    changes = compare_runs(run_of(), run_of(slow=1.5), Limits())

    svg = box_plot(changes)

    ET.fromstring(svg)
    assert "paired" in svg
    assert "alone" in svg
    assert box_plot([]) == ""


def test_the_command_writes_a_page_and_fails_when_something_is_slower(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = write(tmp_path / "a.json", run_of())
    after = write(tmp_path / "now" / "latest.json", run_of(slow=1.5))
    old = write(tmp_path / "history" / "1.json", {**run_of(), "created": "2020-01-01"})
    (tmp_path / "history" / "2.json").write_text("{}")
    out = tmp_path / "out"

    options = ["--history", str(old.parent), "--out", str(out)]
    assert main(["compare", str(before), str(after.parent), *options, "--threshold", "10%"]) == 1

    text = capsys.readouterr().out
    assert "slower" in text
    assert "+50" in text or "+49" in text
    page = (out / "index.html").read_text()
    assert external_requests(page) == []
    assert page.count("<svg") == 3
    assert "Mann-Whitney" in page
    assert [check["ok"] for check in json.loads((out / "latest.json").read_text())["checks"]] == [False, False]
    assert main(["compare", str(before), str(before), *options]) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(None, "make one with `pytest --benchmark`", id="no baseline"),
        pytest.param({"kind": "load"}, "is a report of 'load'", id="another kind of report"),
        pytest.param({"smoke": True}, "is of a smoke run", id="smoke run"),
        pytest.param(
            {"errors": {"bench_a.py::test_b": "ZeroDivisionError"}}, "mend them and run again", id="it raised"
        ),
        pytest.param({"version": 2}, "has version 2", id="a newer schema"),
        pytest.param({"host": {}}, "not comparable, the runs are of different hosts", id="another host"),
        pytest.param({"workloads": []}, "no workload in common", id="nothing in common"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any] | None, says: str
) -> None:
    before = tmp_path / "before.json"
    if change is not None:
        write(before, {**run_of(), **change})

    after = write(tmp_path / "after.json", run_of())
    assert main(["compare", str(before), str(after), "--out", str(tmp_path / "out")]) == 2

    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["x", "0", "-5%", "5000%"])
def test_a_threshold_that_is_no_share_is_refused(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "a", "b", f"--threshold={text}"])

    assert stopped.value.code == 2
    assert "write 5% or 0.05" in capsys.readouterr().err


def test_a_run_is_read_from_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "latest.json", run_of())

    assert read_run(tmp_path)["kind"] == "benchmarks"
    with pytest.raises(ReportError, match="there is no benchmark run"):
        read_run(tmp_path / "none")


def test_the_table_has_a_line_for_every_workload() -> None:
    changes = compare_runs(run_of(), run_of(work="other"), Limits())

    lines = comparison_table(changes, Limits())

    assert lines[0].split() == ["workload", "measure", "before", "after", "change", "p", "verdict"]
    assert "not comparable: work was '', is 'other'" in "\n".join(lines)
