"""What a chat agent raises by itself."""

from __future__ import annotations

from eino.errors import EinoError, RunCancelledError, RunError

__all__ = ["CutShortError", "MaxIterationsError", "MiddlewareError", "WillRetryError"]


class CutShortError(RunCancelledError):
    """Stands at the end of a streamed message that came to no end, because the run was stopped inside it.

    When the run goes on, the model or tool is called again; histories leave the piece out.
    """

    will_retry = True
    """Tells histories to leave the message out."""


class MaxIterationsError(RunError):
    """A chat agent asked its model as often as it may, and the model still wants more."""


class MiddlewareError(EinoError):
    """A hook of a middleware of a chat agent failed; its error is the `__cause__`."""


class WillRetryError(EinoError):
    """Stands at the end of a streamed answer that does not count: another try, or another model, follows.

    Histories leave such answers out.
    """

    will_retry = True
    """Tells histories to leave the message out."""

    def __init__(self, attempt: int, cause: str, reason: str = "") -> None:
        why = f" ({reason})" if reason else ""
        super().__init__(f"try {attempt} does not count, another one follows: {cause}{why}")
        self.attempt = attempt
        """1 for the first call of the model."""
        self.reason = reason
        """What the rule said that rejected the answer; empty when none did."""
