"""The agents of a workflow, and the turn of one of them."""

from __future__ import annotations

from collections.abc import Sequence

from eino.adk.agent import Agent, checked_name
from eino.adk.builtin import as_driven
from eino.adk.drive import agent_segment, drive
from eino.adk.lanes import Lane
from eino.adk.run_state import AgentRun
from eino.adk.tree import TransferError, input_for
from eino.errors import BuildError

__all__ = ["give_turn", "members_of"]


def members_of(kind: str, name: str, agents: Sequence[Agent]) -> tuple[Agent, ...]:
    """Return the agents of a workflow as they take their turns.

    Raises:
        BuildError: If there are none, one is no agent, or two have one name.
    """
    checked_name(name)
    if not isinstance(agents, Sequence) or not agents:
        raise BuildError(f"{kind}({name!r}): give a list of agents, got {agents!r:.200}")
    members = tuple(map(as_driven, agents))
    names = [each.name for each in members]
    for each in names:
        if names.count(each) > 1:
            raise BuildError(f"{kind}({name!r}): two of its agents are called {each!r}; their addresses would be one")
    return members


async def give_turn(run: AgentRun) -> Lane:
    """Give a member of a workflow its turn, with the conversation as it sees it.

    Raises:
        TransferError: If it wants to hand over: it has no sub-agents, and to the workflow no agent hands back.
    """
    lane = await drive(run.agent, input_for(run), run, (agent_segment(run.agent_name),))
    action = lane.action
    if action is not None and action.transfer_to and not action.exit:
        raise TransferError(
            f"transfer failed: agent {action.transfer_to!r} not found when transferring from {run.agent_name!r}, which "
            "is a step of a workflow; give it sub-agents with with_sub_agents(...)"
        )
    return lane
