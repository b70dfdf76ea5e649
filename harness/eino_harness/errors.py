"""What the harness raises in a test that does something it must not.

They are no `EinoError`: code under test that handles the framework's errors must not swallow a verdict about the test.
"""

from __future__ import annotations

__all__ = ["LeakError", "NetworkBlockedError", "UnawaitedCoroutineError"]


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine; the text names the address and what to do instead.

    It is not an `OSError`, so clients do not take it for a network that is down and try again.
    """

    def __init__(self, address: str, *, action: str) -> None:
        super().__init__(
            f"the network is blocked in tests, but the code under test tried to {action} {address!r}: use a scripted "
            "model or a cassette; or allow the host with @pytest.mark.allow_network(hosts=[...]), for the whole "
            "project with the setting eino_allowed_hosts"
        )
        self.address = address
        """Host name or IP address, as the code gave it."""
        self.action = action


class LeakError(AssertionError):
    """A test passed but left something open: the text names each thing and the line that opened it."""


class UnawaitedCoroutineError(TypeError):
    """The plain `benchmark` fixture was given a function that returns a coroutine."""
