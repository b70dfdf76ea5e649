"""The table of workloads: each beside its floor, with ratio, goal and verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from eino_harness.bench.measure import ClockName, Samples
from eino_harness.bench.stats import Interval, median_interval, ratio_of_pairs, ratio_of_runs
from eino_harness.bench.workload import SCALES, Workload

__all__ = ["Record", "Row", "Verdict", "build_rows", "format_time", "goal_text", "one_sided", "render_table"]


class Verdict(Enum):
    """What a row says about its goals."""

    OK = "ok"
    MISSES_GOAL = "misses goal"
    FAILS_GATE = "FAILS GATE"
    NO_FLOOR = "no floor"
    """A ratio is asked for, but its floor was not measured in this run."""
    NO_GOAL = "-"


@dataclass(frozen=True)
class Record:
    """What one test measured."""

    workload: Workload
    nodeid: str
    loop: str
    """`"asyncio"`, `"uvloop"`, `"trio"`, or `"none"` for synchronous code."""
    eino: Samples | None = None
    floor: Samples | None = None
    clock: ClockName = "wall"


def one_sided(workload: Workload, nodeid: str, loop: str, samples: Samples, clock: ClockName = "wall") -> Record:
    """Return the record of a test that measured only the side that its workload names."""
    if workload.role == "floor":
        return Record(workload, nodeid, loop, floor=samples, clock=clock)
    return Record(workload, nodeid, loop, eino=samples, clock=clock)


@dataclass(frozen=True)
class Row:
    """One line of the table; times in seconds per thing counted.

    `eino_s` and `floor_s` are medians, with the interval that holds them; the table shows the best round, which a busy
    machine moves least, and the ratio of neighbouring rounds.
    """

    workload: Workload
    loop: str
    nodeid: str
    clock: ClockName
    eino_s: Interval | None
    floor_s: Interval | None
    eino_best_s: float | None
    floor_best_s: float | None
    ratio: Interval | None
    paired: bool
    """Whether both sides were measured in turn, which makes the ratio hold on a busy machine."""
    rounds: int
    eino_samples_s: tuple[float, ...] = ()
    """Every round, for tests of significance."""
    floor_samples_s: tuple[float, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Judge the goals; a gate fails only when the whole interval lies above it."""
        work = self.workload
        if self.ratio is None and self.eino_s is not None and (work.gate_ratio or work.goal_ratio):
            return Verdict.NO_FLOOR
        if work.gate_ratio is not None and self.ratio is not None and self.ratio.low > work.gate_ratio:
            return Verdict.FAILS_GATE
        best_s = self.eino_best_s
        too_slow = work.goal_us is not None and best_s is not None and best_s > work.goal_us * SCALES["us"]
        too_far = work.goal_ratio is not None and self.ratio is not None and self.ratio.value > work.goal_ratio
        if too_slow or too_far:
            return Verdict.MISSES_GOAL
        if work.goal_us is None and work.goal_ratio is None and work.gate_ratio is None:
            return Verdict.NO_GOAL
        return Verdict.OK


def build_rows(records: Iterable[Record]) -> list[Row]:
    """Return one row for each workload, variant and loop, ordered by id as people count: W2 before W10.

    Sides that different tests measured are joined when id, variant and loop are the same.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.workload.id, record.workload.variant, record.loop), []).append(record)
    rows = [row for group in groups.values() for row in _join(group)]
    return sorted(rows, key=lambda row: (_natural(row.workload.id), row.workload.variant, row.loop))


def _join(group: Sequence[Record]) -> list[Row]:
    pairs = [record for record in group if record.eino is not None and record.floor is not None]
    subjects = [record for record in group if record.eino is not None and record.floor is None]
    floors = [record for record in group if record.eino is None and record.floor is not None]
    rows = [_row(record, record.eino, record.floor, paired=True) for record in pairs]
    shared_floor = floors[0].floor if floors else None
    rows += [_row(record, record.eino, shared_floor, paired=False) for record in subjects]
    if not rows:
        rows = [_row(record, None, record.floor, paired=False) for record in floors]
    return rows


def _row(record: Record, eino: Samples | None, floor: Samples | None, *, paired: bool) -> Row:
    per = record.workload.per
    ratio = None
    if eino is not None and floor is not None:
        ratio = (ratio_of_pairs if paired else ratio_of_runs)(eino.seconds, floor.seconds)
    measured = eino or floor
    return Row(
        workload=record.workload,
        loop=record.loop,
        nodeid=record.nodeid,
        clock=record.clock,
        eino_s=_per_thing(eino, per),
        floor_s=_per_thing(floor, per),
        eino_best_s=_best(eino, per),
        floor_best_s=_best(floor, per),
        ratio=ratio,
        paired=paired,
        rounds=len(measured.seconds) if measured is not None else 0,
        eino_samples_s=_each(eino, per),
        floor_samples_s=_each(floor, per),
    )


def _per_thing(samples: Samples | None, per: int) -> Interval | None:
    return None if samples is None else median_interval([seconds / per for seconds in samples.seconds])


def _each(samples: Samples | None, per: int) -> tuple[float, ...]:
    return () if samples is None else tuple(seconds / per for seconds in samples.seconds)


def _best(samples: Samples | None, per: int) -> float | None:
    return None if samples is None else min(samples.seconds) / per


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Split into words and numbers, so that W2 sorts before W10."""
    pieces = re.findall(r"\d+|\D+", text)
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in pieces]


def format_time(seconds: float, unit: str) -> str:
    """Return `seconds` in the time unit of `unit` (`"us/op"`), with three significant digits."""
    value = seconds / SCALES[unit.partition("/")[0]]
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


def _cells(row: Row) -> tuple[str, ...]:
    work = row.workload
    clock = "" if row.clock == "wall" else f" {row.clock}"
    loop = "" if row.loop in {"asyncio", "none"} else f" ({row.loop})"
    return (
        work.label + loop,
        work.work,
        "-" if row.floor_best_s is None else format_time(row.floor_best_s, work.unit),
        "-" if row.eino_best_s is None else format_time(row.eino_best_s, work.unit),
        work.unit + clock,
        f"{row.ratio.value:.2f}x" if row.ratio else "-",
        f"{row.ratio.low:.2f}..{row.ratio.high:.2f}" + ("" if row.paired else " *") if row.ratio else "-",
        goal_text(work),
        row.verdict.value,
    )


def goal_text(work: Workload) -> str:
    """Return the goals in a few words: `"<= 2.00 us, <= 3x, gate 6x"`."""
    parts = []
    if work.goal_us is not None:
        parts.append(f"<= {format_time(work.goal_us * SCALES['us'], work.unit)} {work.time_unit}")
    if work.goal_ratio is not None:
        parts.append(f"<= {work.goal_ratio:g}x")
    if work.gate_ratio is not None:
        parts.append(f"gate {work.gate_ratio:g}x")
    return ", ".join(parts) or "-"


HEADINGS = ("id", "work", "floor", "eino", "unit", "ratio", "95 %", "goal", "verdict")
_RIGHT = {2, 3, 5}


def render_table(rows: Sequence[Row]) -> list[str]:
    """Return the table as lines of text: headings, a rule, one line a row, and what the columns mean."""
    table = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in table
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    lines.append("")
    lines.append(
        "floor: hand-written code that does the same work, in the same run. Times: the best round's, per thing."
    )
    lines.append("ratio: median over rounds in which both sides were timed in turn, with its 95 % interval.")
    if any(row.ratio is not None and not row.paired for row in rows):
        lines.append(
            "*: the sides were timed in different tests; the ratio is less certain, its range spans their quartiles."
        )
    return lines
