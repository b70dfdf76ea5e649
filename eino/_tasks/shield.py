"""Cleanup that finishes although its task was cancelled, but not without end."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from eino._tasks.background import TaskHandle
from eino._tasks.clock import now

__all__ = ["CLEANUP_DEADLINE_S", "join_all", "shielded"]

CLEANUP_DEADLINE_S = 5.0
"""How long cleanup may hold up a task that was told to stop, in seconds."""


async def shielded(cleanup: Callable[[], Awaitable[object]], *, deadline_s: float = CLEANUP_DEADLINE_S) -> bool:
    """Run `cleanup()` in the caller's task, shielded from cancel scopes; return whether it ended in time.

    On asyncio a native `task.cancel()` that comes while it runs still goes through.
    """
    import anyio

    with anyio.move_on_after(deadline_s, shield=True) as scope:
        await cleanup()
    return not scope.cancelled_caught


async def join_all(handles: Iterable[TaskHandle], *, deadline_s: float = CLEANUP_DEADLINE_S) -> None:
    """Wait for the end of tasks that were told to stop, even if the caller is cancelled meanwhile.

    The caller's own task is left out. What the tasks raised is theirs; a cancellation of the caller is raised
    at the end. Tasks that do not end within `deadline_s` seconds are named in a `ResourceWarning`.
    """
    waiting = [handle for handle in handles if not handle.done and not handle.is_current]
    if not waiting:
        return
    give_up_at = now() + deadline_s
    cancelled: asyncio.CancelledError | None = None
    while waiting and (left_s := give_up_at - now()) > 0:
        try:
            await shielded(partial(_ends_of, waiting), deadline_s=left_s)
        except asyncio.CancelledError as error:  # a native cancel of the caller: wait on, raise it later
            cancelled = error
        waiting = [handle for handle in waiting if not handle.done]
    if waiting:
        warnings.warn(
            f"background tasks did not end within {deadline_s} s of being cancelled: {waiting!r}; "
            "code that they run swallows cancellation",
            ResourceWarning,
            stacklevel=2,
        )
    if cancelled is not None:
        raise cancelled


async def _ends_of(handles: list[TaskHandle]) -> None:
    for handle in handles:
        await handle.wait_ended()
