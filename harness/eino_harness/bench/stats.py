"""Medians and ratios with an interval; no mean, because one hiccup of the machine moves it by a third."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

__all__ = ["Interval", "median_interval", "rank_sum_p", "ratio_of_pairs", "ratio_of_runs"]

_Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the range that holds the true value in about 95 of 100 runs."""

    value: float
    low: float
    high: float


def median_interval(samples: Sequence[float]) -> Interval:
    """Return the median with its 95 % interval, whatever the distribution of the samples.

    Below six samples no interval of that confidence exists: then it spans all of them.

    Raises:
        ValueError: If there is no sample.

    Source:
        Confidence interval of a quantile from order statistics, normal approximation of the binomial:
        W. J. Conover, "Practical Nonparametric Statistics", 3rd ed., section 3.2.
    """
    if not samples:
        raise ValueError("no samples: measure at least one round")
    ordered = sorted(samples)
    count = len(ordered)
    reach = _Z_95 * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - reach) - 1)
    high = min(count - 1, math.ceil(count / 2 + reach))
    return Interval(median(ordered), ordered[low], ordered[high])


def ratio_of_pairs(subject: Sequence[float], floor: Sequence[float]) -> Interval:
    """Return the median of the ratios of rounds that were measured right after one another.

    Raises:
        ValueError: If the two do not have the same number of rounds.
    """
    return median_interval([ours / theirs for ours, theirs in zip(subject, floor, strict=True)])


def ratio_of_runs(subject: Sequence[float], floor: Sequence[float]) -> Interval:
    """Return the ratio of two medians that were measured one after the other, with a range from their quartiles.

    The machine may have changed in between, which no number of samples shows: so the range does not narrow with them.
    """
    ours, theirs = _quartiles(subject), _quartiles(floor)
    return Interval(ours.value / theirs.value, ours.low / theirs.high, ours.high / theirs.low)


def rank_sum_p(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how likely two samples differ at least as much as these if they come from the same distribution.

    The two-sided Mann-Whitney U test (Wilcoxon's rank sums): it looks at the order only, so that a hiccup counts no
    more than a slow round. Normal approximation with corrections for ties and continuity, good from about eight samples
    each; with fewer, a small p is not reached.

    Raises:
        ValueError: If one of them is empty.

    Source:
        H. B. Mann and D. R. Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than
        the Other", Annals of Mathematical Statistics 18 (1947); ties: W. J. Conover, "Practical Nonparametric
        Statistics", 3rd ed., section 5.1.
    """
    if not one or not other:
        raise ValueError("no samples: measure at least one round of each")
    ranks, ties = _ranks([*one, *other])
    few, many = len(one), len(other)
    total = few + many
    u = sum(ranks[:few]) - few * (few + 1) / 2
    variance = few * many / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:  # all values are the same
        return 1.0
    z = max(0.0, abs(u - few * many / 2) - 0.5) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def _ranks(values: Sequence[float]) -> tuple[list[float], float]:
    """Return the rank of each value from 1, equal values sharing their mean; and the sum of t**3 - t over ties of t."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    ties = 0.0
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for position in range(start, end + 1):
            ranks[order[position]] = (start + end) / 2 + 1
        count = end - start + 1
        ties += count**3 - count
        start = end + 1
    return ranks, ties


def _quartiles(samples: Sequence[float]) -> Interval:
    if len(samples) < 2:
        return median_interval(samples)
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return Interval(middle, low, high)
