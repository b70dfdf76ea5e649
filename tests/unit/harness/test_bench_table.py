"""The table: which rows there are, in which order, and what they say about their goals."""

from __future__ import annotations

from typing import Any

import pytest

from eino_harness.bench import Record, Samples, Verdict, Workload, build_rows, render_table
from eino_harness.bench.table import format_time, goal_text, one_sided


def samples(value: float, spread: float = 0.0) -> Samples:
    return Samples(tuple(value * (1 + spread * step) for step in range(-3, 4)), inner=1)


def record(name: str = "W1", *, eino: float | None = None, floor: float | None = None, **options: Any) -> Record:
    loop = options.pop("loop", "asyncio")
    return Record(
        Workload(name, "some work", **options),
        nodeid=f"benchmarks/bench_x.py::test_{name}",
        loop=loop,
        eino=None if eino is None else samples(eino),
        floor=None if floor is None else samples(floor),
    )


@pytest.mark.parametrize(
    ("goals", "verdict"),
    [
        pytest.param({}, Verdict.NO_GOAL, id="no goal"),
        pytest.param({"goal_ratio": 2.0}, Verdict.OK, id="ratio reached"),
        pytest.param({"goal_ratio": 1.9}, Verdict.MISSES_GOAL, id="ratio missed"),
        pytest.param({"goal_us": 2.0}, Verdict.OK, id="time reached"),
        pytest.param({"goal_us": 1.9}, Verdict.MISSES_GOAL, id="time missed"),
        pytest.param({"gate_ratio": 2.0}, Verdict.OK, id="gate holds"),
        pytest.param({"gate_ratio": 1.9}, Verdict.FAILS_GATE, id="gate broken"),
        pytest.param({"gate_ratio": 1.9, "goal_us": 1.0}, Verdict.FAILS_GATE, id="a gate weighs more than a goal"),
        pytest.param({"gate_ratio": 6.0, "goal_ratio": 1.5}, Verdict.MISSES_GOAL, id="goal missed, gate holds"),
    ],
)
def test_goals_are_judged(goals: dict[str, float], verdict: Verdict) -> None:
    (row,) = build_rows([record(eino=2e-6, floor=1e-6, **goals)])

    assert row.verdict is verdict


def test_a_gate_fails_only_when_the_whole_interval_lies_above_it() -> None:
    noisy = Record(Workload("W1", gate_ratio=2.0), "t", "asyncio", samples(2.1e-6, spread=0.1), samples(1e-6))
    (row,) = build_rows([noisy])

    assert row.ratio is not None
    assert row.ratio.low < 2.0 < row.ratio.value
    assert row.verdict is Verdict.OK


def test_times_are_those_of_the_best_round_and_medians_are_kept() -> None:
    """A busy machine only ever adds time."""
    busy = Record(Workload("W1", goal_us=1.0), "t", "asyncio", Samples((1e-6, 3e-6, 3e-6), inner=1))
    (row,) = build_rows([busy])

    assert row.eino_s is not None
    assert (row.eino_best_s, row.eino_s.value, row.verdict) == (1e-6, 3e-6, Verdict.OK)


def test_a_ratio_without_its_floor_is_named() -> None:
    (row,) = build_rows([record(eino=2e-6, gate_ratio=3.0)])

    assert (row.ratio, row.verdict) == (None, Verdict.NO_FLOOR)


def test_sides_from_different_tests_are_joined_by_id_variant_and_loop() -> None:
    rows = build_rows(
        [
            record("W7", floor=1e-6, variant="text"),
            record("W7", eino=3e-6, variant="text"),
            record("W7", eino=5e-6, variant="tools"),
            record("W7", eino=5e-6, variant="text", loop="uvloop"),
        ]
    )
    joined = {(row.workload.variant, row.loop): row.ratio and row.ratio.value for row in rows}

    assert joined == {("text", "asyncio"): pytest.approx(3.0), ("text", "uvloop"): None, ("tools", "asyncio"): None}
    assert not any(row.paired for row in rows)


def test_a_floor_alone_is_shown() -> None:
    (row,) = build_rows([record("W7", floor=1e-6, goal_ratio=3.0)])

    assert (row.eino_best_s, row.ratio, row.verdict) == (None, None, Verdict.OK)
    assert row.floor_best_s == 1e-6


def test_rows_are_ordered_as_people_count() -> None:
    rows = build_rows([record(name, eino=1e-6) for name in ("W10", "W2b", "W1", "W2", "check")])

    assert [row.workload.id for row in rows] == ["W1", "W2", "W2b", "W10", "check"]


def test_times_are_divided_by_what_one_call_does_and_ratios_are_not() -> None:
    (row,) = build_rows([record(eino=2e-3, floor=1e-3, per=1000, unit="us/chunk")])

    assert row.eino_best_s == pytest.approx(2e-6)
    assert row.eino_s is not None
    assert row.eino_s.value == pytest.approx(2e-6)
    assert row.ratio is not None
    assert row.ratio.value == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("seconds", "unit", "text"),
    [
        (1.2345e-6, "us/op", "1.23"),
        (12.345e-6, "us/op", "12.3"),
        (1234.5e-6, "us/op", "1,234"),
        (0.12345e-6, "us/op", "0.123"),
        (0.0123, "ms/run", "12.3"),
        (1e-9, "ns", "1.00"),
        (2.0, "s/run", "2.00"),
    ],
)
def test_times_have_three_digits(seconds: float, unit: str, text: str) -> None:
    assert format_time(seconds, unit) == text


def test_goals_are_written_in_the_unit_of_the_row() -> None:
    work = Workload("W12", unit="ms/run", goal_us=12_000, goal_ratio=1.6, gate_ratio=3)

    assert goal_text(work) == "<= 12.0 ms, <= 1.6x, gate 3x"
    assert goal_text(Workload("W1")) == "-"


def test_the_table_shows_every_row_and_explains_itself() -> None:
    separate = [record("W7", eino=4e-6), record("W7", floor=2e-6)]
    lines = render_table(build_rows([record(eino=2e-6, floor=1e-6, goal_ratio=3.0, loop="uvloop"), *separate]))
    text = "\n".join(lines)

    assert lines[0].split() == ["id", "work", "floor", "eino", "unit", "ratio", "95", "%", "goal", "verdict"]
    assert "W1 (uvloop)  some work   1.00  2.00  us/op  2.00x  2.00..2.00    <= 3x  ok" in text
    assert "2.00..2.00 *" in text
    assert "*: the sides were timed in different tests" in text
    assert "*:" not in "\n".join(render_table(build_rows([record(eino=2e-6, floor=1e-6)])))


def test_the_clock_is_named_when_it_is_not_the_wall() -> None:
    row = one_sided(Workload("W12", unit="ms/run"), "t", "asyncio", samples(5e-3), "cpu")

    assert "ms/run cpu" in render_table(build_rows([row]))[2]


def test_a_test_that_measures_one_side_says_which() -> None:
    assert one_sided(Workload("W7", role="floor"), "t", "none", samples(1.0)).eino is None
    assert one_sided(Workload("W7"), "t", "none", samples(1.0)).floor is None
