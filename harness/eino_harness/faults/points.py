"""Labelled fault points: places in a worker where it can be made to die or to stop, by name and number.

`EINO_FAULT=append.level.after:3` kills the worker (SIGKILL) when it passes that point for the third time;
`EINO_FAULT=append.level.after:3=stop` stops it (SIGSTOP). Only the worker program of the campaign reads the variable.
The points lie around the calls of the store and around the effects, which is all that a run does that outlasts it:

| point | lies |
|---|---|
| `claim.before`, `claim.after` | around the claim of the run |
| `append.KIND.before`, `.after` | around each record (`start`, `level`, `kept`, `intent`, `result`, `interrupt`, ...) |
| `status.STATUS.before`, `.after` | around each record that changes the status of the run |
| `answer.before`, `.after` and so on | around each other call of the store |
| `effect.before`, `.after` | around the effects themselves |
| `commit.before`, `.after` | around each COMMIT inside the store, where the kit can see it |
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

__all__ = ["FAULT_VARIABLE", "Fault", "FaultPoints", "PointedStore"]

FAULT_VARIABLE: Final = "EINO_FAULT"
_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a worker is hit, and with what."""

    label: str
    nth: int
    """Which passage of the point, from 1."""
    action: str = "kill"
    """`kill` or `stop`."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the fault that a text such as `effect.before:2=stop` names; None for an empty one.

        Raises:
            ValueError: If it names none.
        """
        if not text:
            return None
        place, _, action = text.partition("=")
        label, _, number = place.partition(":")
        if not label or not number.isdigit() or int(number) < 1 or (action or "kill") not in _SIGNALS:
            raise ValueError(
                f"{text!r} is no fault: write LABEL:NUMBER, or LABEL:NUMBER=stop, such as append.level.after:3"
            )
        return cls(label, int(number), action or "kill")

    def __str__(self) -> str:
        return f"{self.label}:{self.nth}" + ("" if self.action == "kill" else f"={self.action}")


class FaultPoints:
    """Counts the points that a worker passes, and hits it at one of them."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.passed: Counter[str] = Counter()
        self._fault = fault

    def hit(self, label: str) -> None:
        """Pass a point."""
        self.passed[label] += 1
        fault = self._fault
        if fault is not None and label == fault.label and self.passed[label] == fault.nth:
            os.kill(os.getpid(), _SIGNALS[fault.action])


class PointedStore:
    """A store with fault points around each of its calls. What else a store has is passed on."""

    def __init__(self, store: Any, points: FaultPoints) -> None:
        self._store = store
        self._points = points

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if name.startswith("_") or not callable(attribute):
            return attribute
        return self._pointed(name, attribute)

    def _pointed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            labels = _labels(name, args, kwargs)
            for label in labels:
                self._points.hit(f"{label}.before")
            result = await method(*args, **kwargs)
            for label in labels:
                self._points.hit(f"{label}.after")
            return result

        return call


def _labels(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Return the names of a call: appends are told apart by the record and by the status that they set."""
    if name != "append":
        return [name]
    records = kwargs["records"] if "records" in kwargs else args[1]
    status = kwargs.get("status")
    labels = [f"append.{record.kind}" for record in records]
    return labels if status is None else [*labels, f"status.{status}"]
