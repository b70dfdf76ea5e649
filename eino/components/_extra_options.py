"""Options that also carry what only some implementations of a component know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from eino.components._options import Options

__all__ = ["ExtraOptions"]


class ExtraOptions(Options, frozen=True, kw_only=True):
    """Options with entries for implementations; one that does not know an entry ignores it."""

    extra_fields: Mapping[str, Any] | UnsetType | None = UNSET
    """Options of single implementations by name; merged key by key with the level below."""

    def __post_init__(self) -> None:
        if isinstance(self.extra_fields, Mapping):
            msgspec.structs.force_setattr(self, "extra_fields", dict(self.extra_fields))
