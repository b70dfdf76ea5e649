"""The run of agents around the caller: who has the turn, what was said so far, and where events go."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from eino._run.causes import causes
from eino._run.context import NoRunError
from eino._run.interrupt import InterruptSignal
from eino.adk._here import current_turn
from eino.adk.events import AgentAction, AgentEvent, AgentOutput, BreakLoop, MessageVariant, message_event
from eino.adk.lanes import Lane, LogEntry, SessionValues
from eino.callbacks import Handler
from eino.errors import ConcatError
from eino.schema._concat import CONCAT
from eino.schema.message import Message, MessageRole

if TYPE_CHECKING:
    from eino.adk.budget import Meter
    from eino.adk.cancel import CancelRequest
    from eino.adk.chat.turn import Turn

__all__ = ["AgentRun", "LoopMark", "RootRun", "Sink", "current_agent_run", "require_agent_run"]

Sink = Callable[[AgentEvent], None]
"""Takes an event, at once and without waiting."""


class RootRun:
    """What all turns of one run share. It is made anew when a run goes on; what must last is in the graphs' states."""

    __slots__ = (
        "cancel", "failed", "handlers", "meter", "new_values", "options", "session", "skip_transfer_messages",
        "stopped", "streaming", "told", "top",
    )  # fmt: skip

    def __init__(
        self,
        *,
        streaming: bool = False,
        handlers: Mapping[str, Sequence[Handler]] | None = None,
        options: Mapping[str, Any] | None = None,
        new_values: Mapping[str, Any] | None = None,
        skip_transfer_messages: bool = False,
        cancel: CancelRequest | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.streaming = streaming
        """Whether messages are wanted chunk by chunk; the stored run's wish wins when it goes on."""
        self.session = SessionValues()
        """Those of the stored run when it goes on."""
        self.handlers: Mapping[str, Sequence[Handler]] = handlers or {}
        """Handlers for single agents, by name."""
        self.options: Mapping[str, Any] = options or {}
        """Options for single agents, by name; each kind of agent says which it takes."""
        self.new_values: Mapping[str, Any] = new_values or {}
        """Session values that the call brought, which win over stored ones."""
        self.skip_transfer_messages = skip_transfer_messages
        """Whether histories leave out the messages by which agents hand over."""
        self.cancel = cancel
        """The wishes to stop that come from outside; None as long as there is none."""
        self.meter = meter
        """Counts what the models of the run cost; None if nobody wants to know."""
        self.top: AgentRun | None = None
        """The turn around all others."""
        self.stopped: AgentRun | None = None
        """The turn that an interrupt is told in the name of."""
        self.failed: AgentRun | None = None
        """The innermost turn that failed."""
        self.told: tuple[BaseException, ...] = ()
        """Errors that an event has told of already."""

    def has_told(self, error: BaseException) -> bool:
        """Whether an event has told of this error, or of what caused it, already."""
        return any(each is told for each in causes(error) for told in self.told)

    def untell(self, error: BaseException) -> None:
        """Note that the event which told of this error may have reached nobody."""
        chain = tuple(causes(error))
        self.told = tuple(told for told in self.told if not any(each is told for each in chain))
        self.failed = None

    def over(self) -> None:
        """Close what was sent and not read to its end. Nothing of the run is to wait for the collector."""
        top, self.top = self.top, None  # they know each other
        if top is not None:
            top.discard()


class LoopMark(Protocol):
    """A loop, as the agents in it know it."""

    def broken_by(self, action: BreakLoop) -> BreakLoop:
        """Note that the loop is to end after this turn; return the action as readers see it."""
        ...


class AgentRun:
    """One turn of one agent.

    Whatever makes events sends them here: `send` returns at once, whether anybody reads or not.
    """

    __slots__ = (
        "_pending", "agent", "agent_name", "chat", "emit_internal_events", "failures", "heard", "lane", "loop",
        "messages", "outer", "root", "run_path", "sink", "transfer_targets",
    )  # fmt: skip

    def __init__(
        self,
        agent: Any,
        *,
        agent_name: str,
        run_path: tuple[str, ...],
        root: RootRun,
        outer: AgentRun | None,
        messages: tuple[Message, ...],
        sink: Sink,
    ) -> None:
        """Private: the driver makes one for each turn."""
        self.agent = agent
        self.agent_name = agent_name
        self.run_path = run_path
        """Who had a turn on the way here; grows with each transfer and each step of a workflow."""
        self.root = root
        self.outer = outer
        """The turn around this one whose history this one sees; None where a conversation of its own begins."""
        self.messages = messages
        """The conversation that the run began with."""
        self.sink = sink
        self.lane = Lane()
        self.chat: Turn | None = None
        """What a chat agent works with while this is its turn; None for other agents."""
        self.loop: LoopMark | None = None if outer is None else outer.loop
        """The innermost loop around the turn; None if there is none."""
        self.transfer_targets: tuple[tuple[str, str], ...] = ()
        """Name and description of each agent that this one may hand over to."""
        self.failures: tuple[Exception | InterruptSignal, ...] = ()
        """What failed or stopped of the agents that run beside each other in this one."""
        self.emit_internal_events = False
        """Whether agents inside tools of this one send their events to the reader as well."""
        self.heard: list[AgentEvent] | None = None
        """All events of the turn, where somebody wants to know; None where nobody does."""
        self._pending: list[AgentEvent] | None = None
        """Events whose message still comes, and those behind them; made when there is the first."""

    @property
    def streaming(self) -> bool:
        """Whether messages are wanted chunk by chunk."""
        return self.root.streaming

    @property
    def options(self) -> Any:
        """What the call gave as options of this very agent; None if nothing."""
        return self.root.options.get(self.agent_name)

    @property
    def values(self) -> dict[str, Any]:
        """The session values; to be set with `set_value`."""
        return self.root.session.values

    def set_value(self, key: str, value: Any) -> None:
        """Set a session value."""
        self.root.session.set(key, value, self.lane)

    def send(self, event: AgentEvent) -> None:
        """Send an event. Only what is the agent's own is recorded, and steers: not what agents inside it say."""
        if not event.run_path:
            event = AgentEvent(
                agent_name=event.agent_name or self.agent_name,
                run_path=self.run_path,
                output=event.output,
                action=event.action,
                error=event.error,
            )
        variant = event.output.message if event.output is not None else None
        if event.run_path == self.run_path:
            if event.action is not None:
                event = self._steered(event)
                self.lane.action = event.action
            if self._pending or (variant is not None and variant.message is None):
                self._await(event)
            else:
                self.lane.entries.append(self._entry(event, variant))
        elif variant is not None and variant.is_streaming:
            self._await(event)  # read to its end as well, so that nothing of it is left open
        if self.heard is not None:
            self.heard.append(event)
        self.sink(event)

    def say(self, message: Message, action: AgentAction | None = None) -> None:
        """Send an event of a whole message of the agent's own."""
        output = AgentOutput(message=MessageVariant(message))
        event = AgentEvent(agent_name=self.agent_name, run_path=self.run_path, output=output, action=action)
        if action is not None or self._pending or self.heard is not None:
            self.send(event)
            return
        session = self.root.session  # the same as send and _entry, for the event that nearly all events are
        session.entries = number = session.entries + 1
        self.lane.entries.append(LogEntry(self.agent_name, message, None, "", False, number))
        self.sink(event)

    def forward(self, event: AgentEvent) -> None:
        """Hand on what an agent inside this one said: it is neither recorded here, nor does it steer."""
        if self.heard is not None:
            self.heard.append(event)
        self.sink(event)

    def send_message(
        self,
        message: Message | AsyncIterable[Message] | MessageVariant,
        *,
        role: MessageRole | None = None,
        tool_name: str | None = None,
        action: AgentAction | None = None,
    ) -> MessageVariant:
        """Send a message, or a stream of one, and return it as consumers get it."""
        variant = message
        if not isinstance(variant, MessageVariant):
            variant = MessageVariant(variant, role=role, tool_name=tool_name)
        self.send(message_event(variant, action=action))
        return variant

    def send_action(self, action: AgentAction) -> None:
        """Send an action without a message."""
        self.send(AgentEvent(action=action))

    def send_custom(self, output: Any, *, action: AgentAction | None = None) -> None:
        """Send a value of the program's own."""
        self.send(AgentEvent(output=AgentOutput(custom=output), action=action))

    async def settle(self) -> None:
        """Read the streams that were sent to their end, so that the record is complete and can be stored.

        Call it at the end of each step that sends a stream; it costs nothing when none is open.
        """
        while self._pending:
            event = self._pending[0]
            if event.message is not None:
                await event.message.settle()
            if self._pending and self._pending[0] is event:
                self._pending.pop(0)
                if event.run_path == self.run_path:
                    self.lane.entries.append(self._entry(event, event.message))

    def _await(self, event: AgentEvent) -> None:
        if self._pending is None:
            self._pending = []
        self._pending.append(event)

    def discard(self) -> None:
        """Close what was sent and not read to its end: the turn was cut short."""
        while self._pending:
            event = self._pending.pop()
            if event.message is not None:
                event.message.close()

    def absorb(self, inner: Lane) -> None:
        """Take up a turn that has ended inside this one; it may have ended before the run was stored."""
        if inner.values:
            self.root.session.replay(inner)
        self.lane.absorb(inner)

    def adopt(self, lane: Lane) -> None:
        """Go on with a lane that comes from a checkpoint."""
        self.lane = lane
        self.root.session.replay(lane)

    def history(self) -> list[LogEntry]:
        """Return what was said so far, as far as this agent sees it: around it and by itself, not beside it."""
        entries: list[LogEntry] = [] if self.outer is None else self.outer.history()
        entries.extend(self.lane.entries)
        return entries

    def _entry(self, event: AgentEvent, variant: MessageVariant | None) -> LogEntry:
        session = self.root.session
        session.entries = number = session.entries + 1
        if variant is None:
            return LogEntry(event.agent_name, None, event.action, "", False, number)
        error = variant.error
        if error is None:
            return LogEntry(event.agent_name, variant.message, event.action, "", False, number)
        skipped = getattr(error, "will_retry", False) is True
        text = f"{type(error).__qualname__}: {error}"
        return LogEntry(event.agent_name, _joined(variant.partial), event.action, text, skipped, number)

    def _steered(self, event: AgentEvent) -> AgentEvent:
        """Return the event, having told the loop around if it says that the loop is to end."""
        action = event.action
        if action is None or action.break_loop is None or action.break_loop.done or self.loop is None:
            return event
        told = self.loop.broken_by(action.break_loop)
        return msgspec.structs.replace(event, action=msgspec.structs.replace(action, break_loop=told))


def _joined(chunks: Sequence[Message]) -> Message | None:
    """Return what arrived of a message; None if it does not even fit together."""
    try:
        return CONCAT.concat(list(chunks)) if chunks else None
    except ConcatError:
        return None


def current_agent_run() -> AgentRun | None:
    """Return the turn that the caller is part of; None outside every run of agents."""
    return current_turn.get()


def require_agent_run() -> AgentRun:
    """Return the turn that the caller is part of.

    Raises:
        NoRunError: Outside every run of agents.
    """
    run = current_turn.get()
    if run is None:
        raise NoRunError("no agent runs here: call this in an agent, or in a tool or middleware of one")
    return run
