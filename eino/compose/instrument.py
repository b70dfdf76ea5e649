"""Lets a profiler stand around runs, nodes and tool calls. Without one it costs nothing: call tables are made once.

The harness uses it (`eino_harness.profile`); handlers (`eino.callbacks`) are for everybody else.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from eino.compose.plan import Plan
from eino.compose.stage import Call, Stage

if TYPE_CHECKING:
    from eino.compose.execute import Execution

__all__ = ["Instrument", "active", "executions", "use"]


class Instrument(Protocol):
    """Stands around what runs. Its functions must give what the ones that they get would give."""

    def run(self, plan: Plan, run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return a function to call instead of `run`, which runs a graph once."""
        ...

    def node(self, plan: Plan, stage: Stage, call: Call, *, on_stream: bool) -> Call:
        """Return the function of a node to call instead of `call`; as async as that."""
        ...

    async def tool(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `await call()` returns: one call of a tool inside a tools node."""
        ...


active: Instrument | None = None
"""The instrument that is in use."""

executions: weakref.WeakSet[Execution] = weakref.WeakSet()
"""All compiled graphs, since those that were compiled before are to be seen as well."""


def use(instrument: Instrument | None) -> None:
    """Put `instrument` around everything that runs from now on; None takes it away. Not while a graph runs."""
    global active  # noqa: PLW0603 - one for the process: a profiler sees all of it
    active = instrument
    for execution in list(executions):
        execution.remake()
