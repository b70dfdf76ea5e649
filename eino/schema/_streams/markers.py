"""Who of a named merge has ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

__all__ = ["Group", "SourceEnded"]


class SourceEnded(msgspec.Struct, frozen=True):
    """An element of `merge_named`: the source of this name has ended, the others go on."""

    source: str
    """The name that `merge_named` was given."""


class Member(Protocol):
    """What belongs to a group: a source, or a group inside the group."""

    group: Group | None


class Group:
    """What feeds one name of a named merge. Merging named merges nests groups, so that no name is lost."""

    __slots__ = ("_members", "group", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.group: Group | None = None
        self._members = 0

    @property
    def is_empty(self) -> bool:
        return self._members == 0

    def add(self, member: Member) -> None:
        """Take in a source, or the outermost group that it is in."""
        while member.group is not None:
            if member.group is self:
                return
            member = member.group
        member.group = self
        self._members += 1

    def member_ended(self) -> Iterator[SourceEnded]:
        """Yield the markers that are due now, from the inside out."""
        self._members -= 1
        if self._members == 0:
            yield SourceEnded(self.name)
            if self.group is not None:
                yield from self.group.member_ended()
