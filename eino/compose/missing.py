"""`MISSING`: an input that is not given."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["MISSING"]


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()
"""Stands for an input that is not given; legal only where a stored run has one."""
