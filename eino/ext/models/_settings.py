"""What a model of every provider does with its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from eino.components.model import ModelOptions
from eino.errors import BuildError

if TYPE_CHECKING:
    import httpx2

__all__ = ["host_of", "own_options", "secrets_of", "timeouts"]

_CONNECT_TIMEOUT_S: Final = 5.0
"""How long a server may take to accept a connection, in seconds: it can be silent for long only once it is there."""
_SHORTEST_SECRET: Final = 8
"""Characters of the shortest key that is taken out of error texts: what is shorter could be any word of theirs."""


def own_options(model: str, **settings: Any) -> ModelOptions:
    """Return the options that a constructor was given; what is None there was left out."""
    return ModelOptions(model=model, **{name: value for name, value in settings.items() if value is not None})


def secrets_of(*keys: object) -> tuple[str, ...]:
    """Return what error texts must not contain: those of `keys` that are texts, not functions that return one."""
    return tuple(key for key in keys if isinstance(key, str) and len(key) >= _SHORTEST_SECRET)


def timeouts(timeout_s: float | None) -> httpx2.Timeout:
    """Return the limits of a client: for each silence `timeout_s` in seconds, None for ever; less to connect."""
    import httpx2

    return httpx2.Timeout(timeout_s, connect=min(_CONNECT_TIMEOUT_S, timeout_s or _CONNECT_TIMEOUT_S))


def host_of(base_url: str, like: str) -> str:
    """Return what error texts call the service at an address: without path, query and credentials.

    Raises:
        BuildError: If it is no address; the text shows one that is, `like`.
    """
    try:
        parts = urlsplit(base_url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # of the port, or of an IPv6 address
        known = False
    if not known:
        raise BuildError(f"base_url must be an address such as {like!r}, got {base_url!r}")
    return parts.netloc.rpartition("@")[2]
