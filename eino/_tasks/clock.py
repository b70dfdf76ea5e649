"""The loop's clock, and giving way to other tasks."""

from __future__ import annotations

import asyncio

from eino._tasks.backend import asyncio_loop

__all__ = ["checkpoint", "now", "sleep"]


def now() -> float:
    """Return the running loop's time in seconds: monotonic, and virtual when the loop's clock is.

    Raises:
        RuntimeError: If no event loop runs in this thread.
    """
    loop = asyncio_loop()
    if loop is not None:
        return loop.time()
    import trio

    return trio.current_time()


async def sleep(seconds: float) -> None:
    """Wait for `seconds` on the running loop's clock; 0 is a checkpoint."""
    if asyncio_loop() is not None:
        await asyncio.sleep(seconds)
        return
    import trio

    await trio.sleep(seconds)


async def checkpoint() -> None:
    """Let other tasks, timers and cancellation have their turn."""
    if asyncio_loop() is not None:
        await asyncio.sleep(0)
        return
    import trio

    await trio.lowlevel.checkpoint()
