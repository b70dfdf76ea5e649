"""The agent that each framework builds: a model that calls `add` five times, one call an answer, and then answers.

The model answers from memory at once, so what is timed is the framework: its loop, its messages, the validation of the
arguments, and the call of the tool. Each run must give the answer and have called the tool five times.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from workloads import measure

ROUNDS = 5
QUESTION = "hi"
ANSWER = "done"
ARGUMENTS = {"a": 1, "b": 2}
TOOL = "add"

called = 0
"""How often the tool was called, in all runs."""


def added(a: int, b: int) -> int:
    """Do the work of the tool."""
    global called  # one process measures one framework
    called += 1
    return a + b


def measure_agent(name: str, run: Callable[[], Awaitable[str]], *, distribution: str = "") -> None:
    """Time one agent; see `measure`."""

    async def checked() -> int:
        before = called
        answer = await run()
        if answer != ANSWER:
            raise SystemExit(f"{name} answered {answer!r}, expected {ANSWER!r}")
        return called - before

    measure(name, {"W8": checked}, distribution=distribution)
