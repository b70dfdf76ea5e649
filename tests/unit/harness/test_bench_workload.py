"""What a benchmark may declare about itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from eino_harness.bench import Workload


def test_a_marker_gives_a_workload() -> None:
    work = Workload.from_marker(["W4", "stream 1000 chunks"], {"variant": "bound", "unit": "us/chunk", "per": 1000})

    assert (work.label, work.time_unit, work.per, work.role) == ("W4 bound", "us", 1000, "eino")
    assert Workload("W1").label == "W1"


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        pytest.param([], {}, "write workload('W1', 'what is done', ...)", id="no id"),
        pytest.param(["W1", "work", "extra"], {}, "by position, the rest by name", id="too many"),
        pytest.param([""], {}, "id must be a non-empty string, got ''", id="empty id"),
        pytest.param([7], {}, "id must be a non-empty string, got 7", id="id is a number"),
        pytest.param(["W1"], {"goal": 3}, "does not know ['goal']: its arguments are ['id', ", id="unknown"),
        pytest.param(["W1"], {"role": "peer"}, "role must be one of ('eino', 'floor'), got 'peer'", id="role"),
        pytest.param(["W1"], {"unit": "parsec"}, "unit must look like 'us/op'", id="unit"),
        pytest.param(["W1"], {"per": 0}, "per must be a whole number of at least 1, got 0", id="per is 0"),
        pytest.param(["W1"], {"per": 2.5}, "per must be a whole number of at least 1, got 2.5", id="per is a fraction"),
        pytest.param(["W1"], {"goal_us": -1}, "goal_us must be above 0, got -1", id="negative goal"),
        pytest.param(
            ["W1"], {"gate_ratio": float("nan")}, "gate_ratio must be above 0, got nan", id="gate is no number"
        ),
    ],
)
def test_a_marker_that_makes_no_sense_is_refused(args: list[Any], kwargs: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Workload.from_marker(args, kwargs)
