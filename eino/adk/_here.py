"""Where the caller is in a run of agents: the one variable that says whose turn it is."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from eino.adk.run_state import AgentRun

    Slot = ContextVar[AgentRun | None]

__all__ = ["current_turn"]

current_turn: Final[Slot] = ContextVar("eino_agent_run", default=None)
"""The running turn; None outside every run of agents. Only the driver sets it."""
