"""Microbenchmarks: workloads with goals, measured beside a hand-written floor in the same run."""

from __future__ import annotations

from eino_harness.bench.loops import LOOP_NAMES, LoopDriver, open_loop
from eino_harness.bench.measure import Arm, Plan, Rounds, Samples, quiet_gc
from eino_harness.bench.stats import Interval, median_interval, ratio_of_pairs, ratio_of_runs
from eino_harness.bench.table import Record, Row, Verdict, build_rows, render_table
from eino_harness.bench.workload import Role, Workload

__all__ = [
    "LOOP_NAMES",
    "Arm",
    "Interval",
    "LoopDriver",
    "Plan",
    "Record",
    "Role",
    "Rounds",
    "Row",
    "Samples",
    "Verdict",
    "Workload",
    "build_rows",
    "median_interval",
    "open_loop",
    "quiet_gc",
    "ratio_of_pairs",
    "ratio_of_runs",
    "render_table",
]
