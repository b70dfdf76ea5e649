"""Runs blocking functions in worker threads, and waits for them when the run is cancelled."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread

from eino._tasks.backend import is_cancellation
from eino._tasks.place import call_in, here

__all__ = ["THREAD_GRACE_S", "in_thread"]

T = TypeVar("T")

THREAD_GRACE_S = 5.0
"""How long a cancelled run waits for a thread to end, in seconds. Python cannot stop a thread."""


async def in_thread(function: Callable[..., T], *args: Any, grace_s: float = THREAD_GRACE_S) -> T:
    """Return `function(*args)`, called in a worker thread with the caller's context variables.

    A cancelled caller waits at most `grace_s` seconds for the thread; after that it is left to end by itself. If the
    function has not begun, it is never called, and there is nothing to wait for.
    """
    context, place = contextvars.copy_context(), here()
    ended = anyio.Event()
    turn = threading.Lock()  # taken once: by the thread that begins, or by the caller that gives up before

    def work() -> T:
        if not turn.acquire(blocking=False):
            return cast("T", None)  # the caller has gone
        try:
            return context.run(function, *args)
        finally:
            call_in(place, ended.set)

    try:
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    except BaseException as error:
        if is_cancellation(error) and not turn.acquire(blocking=False):
            with anyio.move_on_after(grace_s, shield=True):
                await ended.wait()
        raise
