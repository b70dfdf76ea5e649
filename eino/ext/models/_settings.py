"""What a model of every provider does with its settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from msgspec import UNSET

from eino.errors import BuildError

__all__ = ["given", "host_of"]


def given(value: Any) -> Any:
    """Return an argument of the constructor as an option: None there means that it was left out."""
    return UNSET if value is None else value


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
