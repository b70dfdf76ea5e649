"""Addresses: where in a run something happens, from the outermost graph down."""

from __future__ import annotations

import msgspec

__all__ = ["Address", "AddressSegment", "address_text", "visible_address"]


class AddressSegment(msgspec.Struct, frozen=True, gc=False):
    """One step of an address: a runnable, a node, a tool, or a custom part."""

    type: str
    """`"runnable"`, `"node"`, `"tool"`, or a custom word."""
    id: str
    """Name of the runnable, key of the node, name of the tool."""
    sub_id: str = ""
    """What tells parallel segments with one id apart: the id of the tool call."""

    def __str__(self) -> str:
        return f"{self.type}:{self.id}:{self.sub_id}" if self.sub_id else f"{self.type}:{self.id}"


Address = tuple[AddressSegment, ...]


def address_text(address: Address) -> str:
    """Return an address as text: `runnable:root;node:tools;tool:search:call_1`."""
    return ";".join(map(str, address))


_VISIBLE = frozenset({"agent", "tool"})


def visible_address(address: Address) -> Address:
    """Return an address without its graphs and nodes: what a user of agents knows of it."""
    return tuple(segment for segment in address if segment.type in _VISIBLE)
