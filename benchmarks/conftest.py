"""What every benchmark shares."""

from __future__ import annotations

import random

import pytest


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Give every benchmark the same random numbers, so that two runs do the same work."""
    random.seed(20_240_601)
