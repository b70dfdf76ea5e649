"""Compares two runs of the same benchmarks: what changed, by how much, and could it be chance?

Only medians or minima are compared. A change counts when it is both larger than the threshold and significant by the
Mann-Whitney U test over the rounds. Where both runs timed a workload beside its floor, the ratios to the floor are
compared, which a busy machine moves least; else the times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from eino_harness.bench.stats import rank_sum_p
from eino_harness.report.schema import ReportError, read_report

__all__ = ["Change", "Limits", "NotComparableError", "Statistic", "Verdict", "compare_runs", "read_run", "trend"]

Statistic = Literal["median", "min"]
Verdict = Literal["slower", "faster", "same", "new", "gone", "not comparable"]

_HOST = ("cpu", "cores", "system", "python", "optimized")
"""What must be the same on both sides; the load need not be."""

_DECLARED = ("work", "unit", "per", "clock")
"""What a workload must declare alike on both sides to be the same work."""


class NotComparableError(ReportError):
    """Two runs cannot be compared; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a change counts."""

    threshold: float = 0.15
    """Smallest relative change: 0.15 is 15 %."""
    alpha: float = 0.01
    """Largest p of the test."""
    statistic: Statistic = "median"


@dataclass(frozen=True, slots=True)
class Change:
    """One workload in both runs."""

    name: str
    work: str
    measure: Literal["ratio", "time"]
    """What is compared: the ratio to the floor, or the seconds per thing."""
    before: tuple[float, ...]
    """The rounds of the baseline."""
    after: tuple[float, ...]
    change: float | None
    """Relative change of the median or minimum; 0.1 is 10 % slower. None where there is nothing to compare."""
    p: float | None
    verdict: Verdict
    reason: str = ""


def read_run(path: Path) -> dict[str, Any]:
    """Return the report of a benchmark run; of a folder, its `latest.json`.

    Raises:
        ReportError: If there is none, it is no report of a benchmark run, or a benchmark in it raised.
    """
    path = path / "latest.json" if path.is_dir() else path
    if not path.exists():
        raise ReportError(
            f"there is no benchmark run {str(path)!r}: make one with `pytest --benchmark`, and keep "
            "reports/benchmarks/latest.json of it under another name, or commit it as a baseline"
        )
    report, data = read_report(path)
    if report.kind != "benchmarks":
        raise ReportError(f"{str(path)!r} is a report of {report.kind!r}: compare reports of `pytest --benchmark`")
    if data.get("smoke"):
        raise ReportError(f"{str(path)!r} is of a smoke run, whose numbers mean nothing: run `pytest --benchmark`")
    if errors := data.get("errors"):
        listed = "".join(f"\n  {test}: {text}" for test, text in errors.items())
        raise ReportError(f"in {str(path)!r} benchmarks raised, so it is incomplete: mend them and run again{listed}")
    return data


def compare_runs(before: Mapping[str, Any], after: Mapping[str, Any], limits: Limits) -> list[Change]:
    """Return one line for each workload of either run, in the order of `after`.

    Raises:
        NotComparableError: If the runs are of different hosts or Pythons.
    """
    _check_hosts(before, after)
    old = {_key(work): work for work in before["workloads"]}
    new = {_key(work): work for work in after["workloads"]}
    changes = [_change(old.get(key), work, limits) for key, work in new.items()]
    return changes + [_gone(work) for key, work in old.items() if key not in new]


def _check_hosts(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    one, other = before["host"], after["host"]
    differing = [
        f"{name}: {one.get(name)!r} and {other.get(name)!r}" for name in _HOST if one.get(name) != other.get(name)
    ]
    if differing:
        raise NotComparableError(
            f"not comparable, the runs are of different hosts ({'; '.join(differing)}): check out the older commit and "
            "run `pytest --benchmark` here, on this host and Python, then compare with that"
        )


def _key(work: Mapping[str, Any]) -> tuple[str, str]:
    return work["label"], work["loop"]


def _name(work: Mapping[str, Any]) -> str:
    return work["label"] if work["loop"] in {"asyncio", "none"} else f"{work['label']} ({work['loop']})"


def _gone(work: Mapping[str, Any]) -> Change:
    return Change(_name(work), work["work"], "time", tuple(work["eino_samples_s"]), (), None, None, "gone")


def _change(old: Mapping[str, Any] | None, new: Mapping[str, Any], limits: Limits) -> Change:
    name, work = _name(new), new["work"]
    if old is None:
        return Change(name, work, "time", (), tuple(new["eino_samples_s"]), None, None, "new")
    if differing := [field for field in _DECLARED if old[field] != new[field]]:
        reason = "; ".join(f"{field} was {old[field]!r}, is {new[field]!r}" for field in differing)
        return Change(name, work, "time", (), (), None, None, "not comparable", reason)
    as_ratio = old["paired"] and new["paired"]
    before, after = (_ratios(old), _ratios(new)) if as_ratio else (_times(old), _times(new))
    if not before or not after:
        return Change(name, work, "time", (), (), None, None, "not comparable", "one run measured only the floor")
    value = min if limits.statistic == "min" else median
    change = value(after) / value(before) - 1
    p = rank_sum_p(before, after)
    verdict: Verdict = "same"
    # Symmetric in the ratio: twice as slow and half as slow are the same distance.
    if p < limits.alpha and max(1 + change, 1 / (1 + change)) > 1 + limits.threshold:
        verdict = "slower" if change > 0 else "faster"
    return Change(name, work, "ratio" if as_ratio else "time", before, after, change, p, verdict)


def _times(work: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(work["eino_samples_s"])


def _ratios(work: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(ours / floor for ours, floor in zip(work["eino_samples_s"], work["floor_samples_s"], strict=True))


def trend(runs: Sequence[Mapping[str, Any]], limits: Limits) -> dict[str, list[tuple[str, float]]]:
    """Return for each workload of the last run its value in every run that is comparable with that, oldest first.

    A value stands beside the commit that it is of; it is a ratio to the floor where the last run has one, else seconds.
    """
    if not runs:
        return {}
    ordered = sorted(runs, key=lambda run: str(run["created"]))
    host = [ordered[-1]["host"].get(name) for name in _HOST]
    value = min if limits.statistic == "min" else median
    lines: dict[str, list[tuple[str, float]]] = {}
    for work in ordered[-1]["workloads"]:
        points = []
        for run in ordered:
            same = [
                other for other in run["workloads"] if _key(other) == _key(work) and other["paired"] == work["paired"]
            ]
            if same and [run["host"].get(name) for name in _HOST] == host and same[0]["eino_samples_s"]:
                samples = _ratios(same[0]) if work["paired"] else _times(same[0])
                points.append((str(run["commit"]) or str(run["created"]), value(samples)))
        lines[_name(work)] = points
    return lines
