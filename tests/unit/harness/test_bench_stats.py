"""Medians, their intervals, and ratios that hold on a busy machine."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino_harness.bench import Interval, median_interval, ratio_of_pairs, ratio_of_runs

positive = st.floats(min_value=1e-9, max_value=1e3)


@given(st.lists(positive, min_size=1, max_size=200))
def test_the_median_lies_in_its_interval_and_the_interval_in_the_samples(samples: list[float]) -> None:
    found = median_interval(samples)

    assert min(samples) <= found.low <= found.value <= found.high <= max(samples)


def test_the_interval_holds_the_true_median_in_about_95_of_100_runs() -> None:
    rng = Random(7)
    hits = 0
    for _ in range(1000):
        found = median_interval([rng.expovariate(1.0) for _ in range(31)])
        hits += found.low <= 0.6931471805599453 <= found.high  # ln 2, the median of the distribution

    assert 930 <= hits <= 995


def test_few_samples_give_all_there_is() -> None:
    assert median_interval([3.0, 1.0, 2.0]) == Interval(2.0, 1.0, 3.0)
    assert median_interval([5.0]) == Interval(5.0, 5.0, 5.0)


def test_no_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="measure at least one round"):
        median_interval([])


def test_what_slows_neighbouring_rounds_alike_leaves_their_ratio_alone() -> None:
    """The machine is three times slower in two rounds out of three; the ratio of neighbours does not see it."""
    rng = Random(11)
    slowness = [rng.choice([1.0, 3.0, 3.0]) for _ in range(31)]
    floor = [1e-6 * slow for slow in slowness]
    subject = [2e-6 * slow * rng.uniform(0.99, 1.01) for slow in slowness]

    ratio = ratio_of_pairs(subject, floor)

    assert 1.99 <= ratio.low <= ratio.value <= ratio.high <= 2.01


def test_pairs_need_as_many_rounds_of_each() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio_of_pairs([1.0, 2.0], [1.0])


def test_runs_that_were_not_timed_in_turn_have_a_wide_range() -> None:
    subject = [2.0, 2.0, 4.0, 4.0, 4.0]
    floor = [1.0, 1.0, 1.0, 2.0, 2.0]

    assert ratio_of_runs(subject, floor) == Interval(4.0, 1.0, 4.0)
    assert ratio_of_runs([6.0], [2.0]) == Interval(3.0, 3.0, 3.0)
