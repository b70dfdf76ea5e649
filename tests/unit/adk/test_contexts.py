"""What a run of agents tells of the places at which it stopped."""

from __future__ import annotations

import pytest

from eino import InterruptContext
from eino._run.address import AddressSegment
from eino.adk.contexts import agent_contexts


@pytest.mark.parametrize("is_static", [False, True])
def test_a_place_stays_what_it_is(is_static: bool) -> None:
    """Only its address changes: graphs and nodes are not in it."""
    agent = AddressSegment("agent", "boss")
    address = (agent, AddressSegment("runnable", "loop"), AddressSegment("node", "tools"))

    (seen,) = agent_contexts([InterruptContext("1", address, "why", True, is_static=is_static)])

    assert seen == InterruptContext("1", (agent,), "why", True, is_static=is_static)
