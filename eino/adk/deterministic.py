"""An agent that always hands over when its turn ends."""

from __future__ import annotations

from collections.abc import Sequence

from eino.adk.agent import Agent, AgentInput, checked_name
from eino.adk.builtin import Builtin, as_driven
from eino.adk.drive import turn
from eino.adk.events import transfer_action
from eino.adk.lanes import Lane
from eino.adk.run_state import AgentRun
from eino.adk.transfer import transfer_messages
from eino.errors import BuildError

__all__ = ["deterministic_transfer"]


def deterministic_transfer(agent: Agent, to: Sequence[str]) -> Agent:
    """Return an agent like `agent` that hands over when its turn ends, whatever it said: to the last of `to`.

    It does not hand over when it exits, fails or stops to ask; in the last case it does after it has gone on.

    Raises:
        BuildError: If it is no agent, or `to` is empty.
    """
    if isinstance(to, str) or not to:
        raise BuildError(f"deterministic_transfer({agent.name!r}, to={to!r}): give a list of names of agents")
    return _DeterministicTransfer(as_driven(agent), tuple(map(checked_name, to)))


class _DeterministicTransfer(Builtin):
    kind = "DeterministicTransfer"

    def __init__(self, agent: Agent, to: tuple[str, ...]) -> None:
        super().__init__(agent.name, agent.description)
        self._agent = agent
        self._to = to
        self.interrupt_info = getattr(agent, "interrupt_info", "")
        self.tells_interrupts = getattr(agent, "tells_interrupts", False)

    async def _drive(self, input: AgentInput, run: AgentRun) -> Lane:  # noqa: A002 - the field's word
        run.agent, run.transfer_targets = self._agent, ()  # it hands over by itself
        run.lane = await turn(self._agent, input, run)
        await run.settle()
        action = run.lane.action
        if action is not None and action.exit:
            return run.lane
        for name in self._to:
            call, result = transfer_messages(name)
            run.send_message(call)
            run.send_message(result, action=transfer_action(name))
        return run.lane
