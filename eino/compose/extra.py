"""What only some runs need: readers to close at the end, and what the call asked for node by node."""

from __future__ import annotations

from typing import Any

from eino._run.frame import Frame, here
from eino._run.session import Session
from eino.errors import RunError
from eino.schema.stream import StreamReader

__all__ = ["RunExtra", "extra_of", "keep"]

_FIRST_SWEEP = 64  # readers kept before the finished ones are let go for the first time


class RunExtra:
    """Belongs to one graph run; the frames of its parallel nodes share it."""

    __slots__ = ("_kept", "_sweep_at", "finished", "session", "step")

    def __init__(self) -> None:
        self._kept: list[StreamReader[Any]] = []
        self._sweep_at = _FIRST_SWEEP
        self.finished = False
        """Whether the run is over and everything of it closed."""
        self.session: Session | None = None
        """Set where the run may stop and go on."""
        self.step = 0
        """Number of the super-step there."""

    def keep(self, reader: StreamReader[Any]) -> None:
        """Close `reader` when the run ends, whoever was to read it."""
        self._kept.append(reader)
        if len(self._kept) >= self._sweep_at:  # a long loop must not gather what is finished
            self._kept = [each for each in self._kept if each.is_open]
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._kept))

    async def finish(self) -> None:
        """Close what is still open, what was opened last first, because it reads from the ones before.

        Raises:
            RunError: If code of a node failed while it was closed; the rest is closed all the same.
        """
        self.finished = True
        failure: Exception | None = None
        while self._kept:
            try:
                await self._kept.pop().aclose()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            text = f"{type(failure).__qualname__}: {failure}"
            raise RunError(f"a stream of the run failed while it was closed: {text}") from failure

    def finish_nowait(self) -> None:
        """The same for callers that cannot wait; clean-up goes on in the background."""
        self.finished = True
        while self._kept:
            self._kept.pop().close()


def extra_of(frame: Frame) -> RunExtra:
    """Return what belongs to the run of `frame`, making it on first use."""
    if frame.extra is None:
        frame.extra = RunExtra()
    extra: RunExtra = frame.extra
    return extra


def keep(reader: StreamReader[Any]) -> StreamReader[Any]:
    """Return `reader`, which is closed when the current run ends, whoever was to read it.

    Between two nodes nobody owns a stream. When a run fails, is cancelled or reaches its end early, what was on its
    way is closed through this.
    """
    extra_of(here.get()).keep(reader)
    return reader
