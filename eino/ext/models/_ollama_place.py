"""Where an Ollama server is, and what to do when it does not accept who asks. Used by the model and the embedder."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from eino.errors import BuildError

__all__ = ["KEY_HINT", "address_of", "host_of"]

DEFAULT_ADDRESS: Final = "http://localhost:11434"
KEY_HINT: Final = 'give the key that it wants as headers={"Authorization": "Bearer ..."}, or set OLLAMA_API_KEY'
"""The library sends that variable itself."""


def address_of(base_url: str | None) -> str:
    """Return the address of the server: the one given, else that of `OLLAMA_HOST`, else this machine's.

    Raises:
        BuildError: If it is none.
    """
    address = base_url or os.environ.get("OLLAMA_HOST") or DEFAULT_ADDRESS
    scheme, mark, rest = address.partition("://")
    try:
        parts = urlsplit(f"http://{rest if mark else address}")
        known = (parts.port is not None or bool(parts.hostname)) and " " not in address
    except ValueError:
        known = False
    if not known or (mark and scheme not in ("http", "https")):
        raise BuildError(f"base_url must be an address such as {DEFAULT_ADDRESS!r}, got {address!r}")
    return address


def host_of(address: str) -> str:
    """Return what error texts call the server: without path and credentials."""
    return address.rpartition("//")[2].partition("/")[0].rpartition("@")[2]
