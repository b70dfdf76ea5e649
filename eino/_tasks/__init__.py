"""Tasks, waking, clocks: the only place that starts tasks, and the only one that knows asyncio from trio."""

from __future__ import annotations

from eino._tasks.backend import Backend, asyncio_loop, backend, is_cancellation
from eino._tasks.background import TaskHandle, spawn
from eino._tasks.clock import checkpoint, now, sleep
from eino._tasks.handoff import HandoffParker
from eino._tasks.parker import Parker
from eino._tasks.place import Place, call_in, here
from eino._tasks.shield import CLEANUP_DEADLINE_S, join_all, shielded

__all__ = [
    "CLEANUP_DEADLINE_S",
    "Backend",
    "HandoffParker",
    "Parker",
    "Place",
    "TaskHandle",
    "asyncio_loop",
    "backend",
    "call_in",
    "checkpoint",
    "here",
    "is_cancellation",
    "join_all",
    "now",
    "shielded",
    "sleep",
    "spawn",
]
