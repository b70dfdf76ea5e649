"""One run of a plan, as the engines pass it around."""

from __future__ import annotations

import msgspec

from eino._run.frame import GRAPH_LEVEL, Frame
from eino.compose.extra import extra_of
from eino.compose.failures import graph_failure
from eino.compose.mode import Mode
from eino.compose.plan import Plan
from eino.compose.table import CallTable
from eino.errors import RunError

__all__ = ["CHECKPOINT_EVERY", "START_INDEX", "Run"]

CHECKPOINT_EVERY = 1024
"""Steps between two yields to the loop, so that time-outs work in graphs that never wait."""

START_INDEX = -1
"""Stands for the start where the index of a node is expected."""


class Run(msgspec.Struct):
    """What belongs together while a plan runs."""

    frame: Frame
    """The frame of the run, set already."""
    plan: Plan
    """The compiled graph."""
    table: CallTable
    """The functions of its nodes for this kind of run."""
    mode: Mode
    """How values travel."""
    max_steps: int
    """How many super-steps may run."""
    steps: int = 0
    """How many have, when the engine looked last."""
    sources: tuple[int, ...] = ()
    """The nodes that had run then."""
    checkpoint_at: int = CHECKPOINT_EVERY
    """The step before which the engine yields to the loop the next time."""

    def share_extra(self) -> None:
        """Prepare for nodes beside each other: what they open belongs to this run, so it is one for all of them."""
        if self.table.may_keep:
            extra_of(self.frame)

    def at_graph(self, error: RunError) -> RunError:
        """Return `error` as one of the graph, not of the node that ran last."""
        self.frame.node = GRAPH_LEVEL
        return error

    def routing_failure(self, error: Exception, source: int) -> RunError:
        """Return an error of the way from a node to the next ones: its branches, or the checks on its edges."""
        self.frame.node = source
        doing = f"failed to calculate next tasks: calculate next step fail, node: {self.plan.key_of(source)}"
        return graph_failure(error, self.frame, doing)

    def input_failure(self, error: Exception, target: int) -> RunError:
        """Return an error of making one input of what arrived at a node."""
        self.frame.node = GRAPH_LEVEL
        return graph_failure(error, self.frame, self.plan.making_input(target))

    def stuck(self, last: tuple[int, ...]) -> RunError:
        """Return the error for a run that stopped before its end."""
        if not last or last == (START_INDEX,):
            return self.at_graph(RunError("no tasks to execute after graph start: no branch chose a node"))
        names = ", ".join(self.plan.key_of(index) for index in last)
        return self.at_graph(
            RunError(
                f"no tasks to execute, last completed nodes: [{names}]: nothing follows them, because no branch chose "
                "a node or no edge leads on"
            )
        )
