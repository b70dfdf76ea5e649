"""What a run of agents tells of the places at which it stopped: agents and tools, without the graphs in between."""

from __future__ import annotations

from collections.abc import Sequence

from eino._run.address import visible_address
from eino._run.interrupt import InterruptContext

__all__ = ["agent_contexts"]


def agent_contexts(contexts: Sequence[InterruptContext]) -> tuple[InterruptContext, ...]:
    """Return the places with addresses of agents and tools only; places around several of them are one object."""
    around: dict[int, InterruptContext | None] = {}
    return tuple(
        InterruptContext(
            each.id,
            visible_address(each.address),
            each.info,
            each.is_root_cause,
            _around(each.parent, len(visible_address(each.address)), around),
            each.is_static,
        )
        for each in contexts
    )


def _around(
    place: InterruptContext | None, below: int, known: dict[int, InterruptContext | None]
) -> InterruptContext | None:
    """Return the nearest place around one whose address has `below` segments that is an agent or a tool itself."""
    while place is not None:
        address = visible_address(place.address)
        if len(address) < below and address and place.address[-1] == address[-1]:
            if id(place) not in known:
                outer = _around(place.parent, len(address), known)
                known[id(place)] = InterruptContext(place.id, address, place.info, place.is_root_cause, outer)
            return known[id(place)]
        place = place.parent
    return None
