"""Timing in a running loop: what is called how often, in which order, and what is returned."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from eino_harness.bench import Arm, LoopDriver, Plan, Rounds, open_loop, quiet_gc

PLAN = Plan(rounds=5, warmup_rounds=2, inner=10)


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def driver(request: pytest.FixtureRequest) -> Iterator[LoopDriver]:
    opened = open_loop(request.param)
    yield opened
    opened.close()


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def plain(self) -> int:
        self.calls += 1
        return self.calls

    async def awaited(self) -> int:
        return self.plain()


@pytest.mark.parametrize("kind", ["plain", "awaited"])
def test_a_round_calls_the_function_inner_times(driver: LoopDriver, kind: str) -> None:
    counter = Counter()
    rounds = Rounds(driver, [getattr(counter, kind)], PLAN)

    rounds.prepare()
    rounds.warm_up()
    for _ in range(5):
        rounds.run_one()
    (samples,) = rounds.samples()

    assert counter.calls == 1 + (2 + 5) * 10  # one look at the result, warm-up, rounds
    assert rounds.arms[0].result == counter.calls
    assert (len(samples.seconds), samples.inner, rounds.pieces) == (5, 10, 1)
    assert all(seconds > 0 for seconds in samples.seconds)


def prepared(*functions: Callable[[], object], **options: Any) -> Rounds:
    driver = open_loop("asyncio")
    rounds = Rounds(driver, functions, replace(PLAN, inner=None, round_s=0.002, **options))
    try:
        rounds.prepare()
    finally:
        driver.close()
    return rounds


def test_fast_code_is_called_often_in_many_short_pieces() -> None:
    rounds = prepared(Counter().plain)

    assert rounds.arms[0].inner > 100
    assert 8 <= rounds.pieces <= 16


def test_slow_code_is_called_once_in_a_round() -> None:
    rounds = prepared(lambda: sum(range(1_000_000)))

    assert (rounds.arms[0].inner, rounds.pieces) == (1, 1)


def test_the_floor_is_called_as_often_as_its_pieces_need() -> None:
    """`inner` is for the subject: a floor that is faster would else have shorter pieces."""
    driver = open_loop("asyncio")
    rounds = Rounds(driver, [lambda: sum(range(10_000)), lambda: None], replace(PLAN, inner=1, round_s=0.001))
    try:
        rounds.prepare()
    finally:
        driver.close()

    assert rounds.arms[0].inner == 1
    assert rounds.arms[1].inner > 1
    assert rounds.samples() == []


def test_functions_are_timed_in_turn_and_the_order_alternates() -> None:
    driver = open_loop("asyncio")
    order: list[str] = []
    rounds = Rounds(
        driver, [lambda: order.append("ours"), lambda: order.append("floor")], replace(PLAN, round_s=0, inner=1)
    )
    try:
        rounds.prepare()
        rounds.pieces = 2
        order.clear()
        first_s = rounds.run_one()
        rounds.run_one()
    finally:
        driver.close()
    ours, floor = rounds.samples()

    assert order == ["ours", "floor", "floor", "ours", "floor", "ours", "ours", "floor"]
    assert first_s == ours.seconds[0]
    assert len(ours.seconds) == len(floor.seconds) == 2


def test_the_fastest_piece_of_a_round_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stops for a moment spoils one piece, not the round."""
    driver = open_loop("asyncio")
    rounds = Rounds(driver, [lambda: None], replace(PLAN, round_s=0, inner=1))
    took = iter([5.0, 2.0, 900.0, 3.0])

    async def time_piece(_: Arm) -> float:
        return next(took)

    try:
        rounds.prepare()
        rounds.pieces = 4
        monkeypatch.setattr(Arm, "time_piece", time_piece)
        assert rounds.run_one() == 2.0
    finally:
        driver.close()


def test_cpu_time_does_not_count_waiting() -> None:
    driver = open_loop("asyncio")
    seconds = {}
    try:
        for clock in ("cpu", "wall"):
            rounds = Rounds(driver, [lambda: asyncio.sleep(0.005)], replace(PLAN, inner=1, clock=clock))
            rounds.prepare()
            seconds[clock] = rounds.run_one()
    finally:
        driver.close()

    assert seconds["cpu"] < seconds["wall"]


def test_all_rounds_run_in_one_loop() -> None:
    """Objects that belong to a loop can be prepared once and used in every round."""
    driver = open_loop("asyncio")
    loops = set()

    async def note() -> None:
        loops.add(asyncio.get_running_loop())

    rounds = Rounds(driver, [note, note], PLAN)
    try:
        rounds.prepare()
        rounds.run_one()
        rounds.run_one()
    finally:
        driver.close()

    assert len(loops) == 1


def test_collection_stays_on_and_sees_only_what_is_new() -> None:
    class Node:
        pass

    with quiet_gc():
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        node = Node()
        node.itself = node  # type: ignore[attr-defined] - a cycle
        del node
        assert gc.collect() >= 1

    assert gc.get_freeze_count() == 0


def test_a_loop_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no event loop is named 'gevent': choose one of \('asyncio', "):
        open_loop("gevent")
