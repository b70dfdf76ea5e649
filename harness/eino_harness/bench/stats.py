"""Medians and ratios with an interval; no mean, because one hiccup of the machine moves it by a third."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

__all__ = ["Interval", "median_interval", "ratio_of_pairs", "ratio_of_runs"]

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


def _quartiles(samples: Sequence[float]) -> Interval:
    if len(samples) < 2:
        return median_interval(samples)
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return Interval(middle, low, high)
