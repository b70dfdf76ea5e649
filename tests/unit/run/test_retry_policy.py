"""`RetryPolicy`: how long it waits, and when it gives up."""

from __future__ import annotations

from random import Random

import pytest

from eino import RateLimitError, RetryPolicy, RunError, ServerError
from eino._run.retry import asked_wait_s, backoff_s, is_retryable


@pytest.mark.parametrize("asked_s", [0.0, 7.5, 90.0])
def test_a_wait_is_never_shorter_than_the_service_asked(asked_s: float) -> None:
    """Not even where the policy's own ceiling is lower."""
    policy = RetryPolicy(max_attempts=5, base_s=0.5, cap_s=2.0)
    error = RateLimitError("slow down", retry_after_s=asked_s)
    waits = [policy.wait_s(attempt, error, Random(seed)) for attempt in (1, 4) for seed in range(20)]

    assert all(wait is not None and wait >= asked_s for wait in waits)
    assert max(wait or 0.0 for wait in waits) <= max(asked_s, 2.0)


def test_what_a_cause_asks_for_counts_as_well() -> None:
    error = ServerError("it failed")
    error.__cause__ = RateLimitError("slow down", retry_after_s=33.0)

    assert (RetryPolicy().wait_s(1, error, Random(1)) or 0.0) >= 33.0


@pytest.mark.parametrize(
    ("errors", "retryable"),
    [
        pytest.param([RunError("it")], False, id="its own cause"),
        pytest.param([RunError("one"), ValueError("two")], False, id="two that cause each other"),
        pytest.param([RunError("one"), TimeoutError("late")], True, id="two of which one may pass"),
    ],
)
def test_errors_that_cause_each_other_are_judged_once(errors: list[Exception], retryable: bool) -> None:
    for number, error in enumerate(errors):
        error.__cause__ = errors[(number + 1) % len(errors)]

    assert is_retryable(errors[0]) is retryable
    assert asked_wait_s(errors[0]) == 0.0
    assert (RetryPolicy().wait_s(1, errors[0], Random(1)) is not None) is retryable


@pytest.mark.parametrize(
    ("attempt", "ceiling_s"),
    [pytest.param(1, 0.5, id="first"), pytest.param(3, 2.0, id="doubles"), pytest.param(5000, 30.0, id="capped")],
)
def test_a_wait_stays_below_its_ceiling(attempt: int, ceiling_s: float) -> None:
    waits = [backoff_s(attempt, base_s=0.5, cap_s=30.0, rng=Random(seed)) for seed in range(200)]

    assert min(waits) >= 0.0
    assert 0.9 * ceiling_s <= max(waits) <= ceiling_s


def test_it_gives_up_after_the_last_attempt_and_at_errors_that_stay() -> None:
    policy = RetryPolicy(max_attempts=2)

    assert policy.wait_s(1, ServerError("again"), Random(1)) is not None
    assert policy.wait_s(2, ServerError("again"), Random(1)) is None
    assert policy.wait_s(1, ValueError("for ever"), Random(1)) is None
