"""Latencies by kind of request, in histograms that do not round to milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

__all__ = ["KINDS", "LatencyLog", "Quantiles"]

_LOWEST_US = 1
_HIGHEST_US = 600_000_000  # ten minutes
_DIGITS = 3  # significant digits that survive: an error below 0.1 %

KINDS = {
    "invoke": "whole answer as JSON",
    "stream": "whole answer as events",
    "first chunk": "until the first event with content (TTFT)",
    "between chunks": "between two events (ITL)",
}
"""Kinds that the load tests of this project measure, with what each means."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Latencies of one kind of request, in seconds."""

    kind: str
    count: int
    failures: int
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


@dataclass(slots=True)
class _Kind:
    histogram: Any
    failures: int = 0
    timeline: list[tuple[float, float]] = field(default_factory=list)


class LatencyLog:
    """Takes one latency after another; one thread writes."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def record(self, kind: str, at_s: float, latency_s: float) -> None:
        """Note that a request of `kind`, which ended `at_s` seconds into the test, took `latency_s`."""
        entry = self._entry(kind)
        entry.histogram.record_value(min(_HIGHEST_US, max(_LOWEST_US, round(latency_s * 1e6))))
        entry.timeline.append((at_s, latency_s))

    def record_failure(self, kind: str) -> None:
        """Note that a request of `kind` failed; it has no latency."""
        self._entry(kind).failures += 1

    def quantiles(self) -> list[Quantiles]:
        """Return what was measured, by kind, in the order in which kinds first came."""
        return [self._quantiles(kind, entry) for kind, entry in self._kinds.items()]

    def curve(self, kind: str) -> list[tuple[float, float]]:
        """Return pairs of percentile (0 to 100) and latency in seconds, for a plot."""
        histogram = self._kinds[kind].histogram
        points = [*range(95), *(95 + step / 4 for step in range(16)), *(99 + step / 20 for step in range(20)), 100]
        return [(float(point), histogram.get_value_at_percentile(point) / 1e6) for point in points]

    def timeline(self, kind: str) -> list[tuple[float, float]]:
        """Return pairs of seconds into the test and latency in seconds."""
        return list(self._kinds[kind].timeline)

    def kinds(self) -> list[str]:
        """Return the kinds of which something was measured."""
        return [kind for kind, entry in self._kinds.items() if entry.timeline]

    def _entry(self, kind: str) -> _Kind:
        if kind not in self._kinds:
            self._kinds[kind] = _Kind(HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS))
        return self._kinds[kind]

    @staticmethod
    def _quantiles(kind: str, entry: _Kind) -> Quantiles:
        histogram = entry.histogram
        count = histogram.get_total_count()

        def at(percentile: float) -> float:
            return float(histogram.get_value_at_percentile(percentile)) / 1e6 if count else 0.0

        return Quantiles(
            kind=kind,
            count=count,
            failures=entry.failures,
            mean_s=histogram.get_mean_value() / 1e6 if count else 0.0,
            p50_s=at(50),
            p95_s=at(95),
            p99_s=at(99),
            max_s=at(100),
        )
