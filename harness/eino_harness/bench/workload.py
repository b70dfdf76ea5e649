"""What a benchmark declares about itself: the workload it measures, and the goals for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

__all__ = ["SCALES", "Role", "TimeUnit", "Workload"]

Role = Literal["eino", "floor"]
"""`"eino"`: the code that is judged. `"floor"`: hand-written code that does the same work without the framework."""

TimeUnit = Literal["ns", "us", "ms", "s"]

SCALES: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
"""Seconds in one unit."""


@dataclass(frozen=True)
class Workload:
    """One row of the table, as `@pytest.mark.workload(id, work, ...)` declares it.

    Raises:
        ValueError: If a value makes no sense; the text names it.
    """

    id: str
    """Short name, unique together with `variant`: `"W1"`."""
    work: str = ""
    """What is done, in a few words."""
    variant: str = ""
    """Tells several measurements of one workload apart: `"bound"`, `"tool-call chunks"`."""
    role: Role = "eino"
    """Which side a test measures that uses `benchmark` or `abenchmark(...)`; `abenchmark.compare` measures both."""
    unit: str = "us/op"
    """How times are shown: `ns`, `us`, `ms` or `s`, a slash, and the thing that is counted."""
    per: int = 1
    """How many such things one call does; times are divided by it."""
    goal_us: float | None = None
    """Time to reach, in microseconds per thing. Shown, never a gate: it holds on one class of machine only."""
    goal_ratio: float | None = None
    """Multiple of the floor to reach. Shown; not a gate."""
    gate_ratio: float | None = None
    """Multiple of the floor above which the run fails."""

    def __post_init__(self) -> None:
        if not self.id or not isinstance(self.id, str):
            raise ValueError(f"workload id must be a non-empty string, got {self.id!r}")
        if self.role not in get_args(Role):
            raise ValueError(f"workload {self.id!r}: role must be one of {get_args(Role)}, got {self.role!r}")
        if self.unit.partition("/")[0] not in SCALES:
            raise ValueError(
                f"workload {self.id!r}: unit must look like 'us/op', its time one of {list(SCALES)}, got {self.unit!r}"
            )
        if not isinstance(self.per, int) or self.per < 1:
            raise ValueError(f"workload {self.id!r}: per must be a whole number of at least 1, got {self.per!r}")
        for name in ("goal_us", "goal_ratio", "gate_ratio"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"workload {self.id!r}: {name} must be above 0, got {value!r}")

    @classmethod
    def from_marker(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Workload:
        """Return the workload that the arguments of a marker describe.

        Raises:
            ValueError: If an argument is missing, unknown or makes no sense.
        """
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(kwargs) - set(known)):
            raise ValueError(f"workload marker does not know {unknown}: its arguments are {known}")
        if len(args) > 2:
            raise ValueError(f"workload marker takes the id and the work by position, the rest by name; got {args!r}")
        try:
            return cls(*args, **kwargs)
        except TypeError as error:
            raise ValueError(f"workload marker: {error}; write workload('W1', 'what is done', ...)") from error

    @property
    def time_unit(self) -> str:
        """The unit of time in `unit`, without the thing that is counted."""
        return self.unit.partition("/")[0]

    @property
    def label(self) -> str:
        """The id, with the variant if there is one."""
        return f"{self.id} {self.variant}" if self.variant else self.id
