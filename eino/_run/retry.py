"""Retry rules, pure: they see an error and a `Random`, never a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from eino._run.causes import causes
from eino.errors import BuildError, ComponentError

__all__ = ["RetryPolicy", "asked_wait_s", "backoff_s", "is_retryable"]

_MOST_DOUBLINGS = 1000  # 2.0**1024 overflows a float


def is_retryable(error: BaseException) -> bool:
    """Return whether the same call may succeed later: what components mark so, time-outs and broken connections.

    A `RunError` of a nested graph counts as what caused it.
    """
    for each in causes(error):
        if isinstance(each, ComponentError):
            return each.retryable
        if isinstance(each, (TimeoutError, ConnectionError)):
            return True
    return False


def backoff_s(attempt: int, *, base_s: float, cap_s: float, rng: Random) -> float:
    """Return how long to wait before retry number `attempt` (1 for the first), in seconds.

    The wait is uniform below a ceiling that doubles ("full jitter"), so that callers that failed together do not
    come back together.

    Raises:
        ValueError: If `attempt` is below 1.

    Source:
        M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if attempt < 1:
        raise ValueError(f"attempt must be at least 1, got {attempt}")
    doublings = min(attempt - 1, _MOST_DOUBLINGS)
    return rng.uniform(0.0, min(cap_s, base_s * 2.0**doublings))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to call again after an error, and how long to wait before.

    A streaming node is called again only while it has not delivered its first chunk.

    Raises:
        BuildError: If a number is out of range.
    """

    max_attempts: int = 3
    """How often the node is called at most, the first call included."""
    base_s: float = 0.5
    """Ceiling of the first wait, in seconds; it doubles with each retry."""
    cap_s: float = 30.0
    """Highest ceiling, in seconds."""
    retry_on: Callable[[BaseException], bool] = is_retryable
    """Says whether an error is worth another try."""
    seed: int | None = None
    """Seed of the jitter; None draws one. Tests set it."""

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise BuildError(f"RetryPolicy(max_attempts={self.max_attempts!r}): at least 1 call is needed")
        if self.base_s < 0 or self.cap_s < 0:
            raise BuildError(f"RetryPolicy(base_s={self.base_s!r}, cap_s={self.cap_s!r}): waits cannot be negative")

    def wait_s(self, attempt: int, error: BaseException, rng: Random) -> float | None:
        """Return how long to wait before the next call, or None to give up.

        Args:
            attempt: Number of calls made so far, at least 1.
            error: What the last of them raised. If it says how long to wait (`retry_after_s`), that is the least.
            rng: Source of the jitter.
        """
        if attempt >= self.max_attempts or not self.retry_on(error):
            return None
        wait = backoff_s(attempt, base_s=self.base_s, cap_s=self.cap_s, rng=rng)
        return max(wait, asked_wait_s(error))


def asked_wait_s(error: BaseException | None) -> float:
    """Return how long the error, or what caused it, asks to wait; 0.0 if neither says."""
    for each in causes(error):
        asked: Any = getattr(each, "retry_after_s", None)
        if isinstance(asked, (int, float)):
            return asked
    return 0.0
