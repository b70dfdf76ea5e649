"""The wish to stop a run that comes from outside, through its handle. Every graph of the run sees the same one."""

from __future__ import annotations

import anyio

from eino._tasks import sleep

__all__ = ["External"]


class External:
    """Whether, and until when, the run is to stop."""

    def __init__(self) -> None:
        self.requested = False
        self._timeout_s: float | None = None
        self._event: anyio.Event | None = None

    def request(self, timeout_s: float | None) -> None:
        """Ask the run to stop: after the nodes that run, which have `timeout_s` seconds (None for any time)."""
        if self.requested:
            return
        self.requested, self._timeout_s = True, timeout_s
        if self._event is not None:
            self._event.set()

    async def wait_due(self) -> None:
        """Return when running nodes are to be cut short."""
        if self._event is None:
            self._event = anyio.Event()
            if self.requested:
                self._event.set()
        await self._event.wait()
        if self._timeout_s is None:
            await anyio.sleep_forever()
        elif self._timeout_s > 0:
            await sleep(self._timeout_s)
