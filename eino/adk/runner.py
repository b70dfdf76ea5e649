"""`Runner`: runs agents, stores their runs, and goes on with stored ones."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

import msgspec

from eino.adk._here import current_turn
from eino.adk.agent import Agent, AgentInput
from eino.adk.budget import Budget, Meter, Spending
from eino.adk.cancel import CancelRequest
from eino.adk.drive import agent_segment
from eino.adk.event_stream import EventStream
from eino.adk.lanes import Lane, SessionValues
from eino.adk.run_state import AgentRun, RootRun, Sink, require_agent_run
from eino.adk.tree import MAX_HOPS, TreeNode, TreeState, node_of, tree_graph
from eino.callbacks import Handler
from eino.compose.durable import Durability
from eino.compose.external import External
from eino.compose.runnable import MISSING, Runnable
from eino.compose.store import CheckpointStore
from eino.errors import BuildError
from eino.schema.codec import register
from eino.schema.message import Message, user_message

__all__ = ["RunInput", "RunOptions", "Runner"]


@register("eino.adk.RunInput")
class RunInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of agents begins with."""

    messages: tuple[Message, ...]
    streaming: bool = False
    values: dict[str, Any] = msgspec.field(default_factory=dict)


@register("eino.adk.RootState")
@dataclass(slots=True)
class RootState(TreeState):
    """Where a run stands, with what all its agents share."""

    messages: tuple[Message, ...] = ()
    streaming: bool = False
    session: SessionValues = field(default_factory=lambda: require_agent_run().root.session)
    spending: Spending | None = None
    begun: bool = False


class RunOptions(TypedDict, total=False):
    """Keywords of `run`, `query` and `resume`."""

    session_values: Mapping[str, Any]
    """Values that the agents share; when a run goes on they win over the stored ones."""
    callbacks: Sequence[Handler]
    """Handlers that hear the run."""
    agent_callbacks: Mapping[str, Sequence[Handler]]
    """Handlers that hear single agents and all below them, by name; each hears a turn once."""
    agent_options: Mapping[str, Any]
    """Options of single agents, by name; each kind of agent says which it takes."""
    timeout_s: float
    """How long the run may take, in seconds."""
    write_checkpoint_id: str
    """Id under which the run is stored from now on, if it is another one."""
    force_new_run: bool
    """Whether to discard what is stored under the id."""
    take_over: bool
    """Whether to go on with a run whose worker is gone."""


_NAMES = frozenset(RunOptions.__annotations__)
_FOR_STORED = ("write_checkpoint_id", "force_new_run", "take_over")


class Runner:
    """Runs an agent, or the tree of agents that it is the root of.

    A runner does not change; any number of runs may go on at once. `run` and `query` begin one, `resume` goes on with
    one that is stored.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        checkpoint_store: CheckpointStore | None = None,
        streaming: bool = False,
        durability: Durability = "interrupt",
        keep: bool = False,
        callbacks: Sequence[Handler] = (),
        max_hops: int = MAX_HOPS,
        budget: Budget | None = None,
        skip_transfer_messages: bool = False,
    ) -> None:
        """Make a runner of `agent`.

        Args:
            agent: Whose turn is the first.
            checkpoint_store: Keeps the runs that have a `checkpoint_id`.
            streaming: Whether messages are wanted chunk by chunk.
            durability: When a run is stored: `"interrupt"`, when it stops to ask; `"step"`, after each step as well.
            keep: Whether a run that is done stays in the store.
            callbacks: Handlers that hear every run.
            max_hops: How often agents may hand over to each other in one run, until it fails.
            budget: What the models of one run may cost, until it fails.
            skip_transfer_messages: Whether agents do not see the messages by which others hand over.

        Raises:
            BuildError: If `agent` is no agent, two of a tree share a name, or an option is wrong.
        """
        if not isinstance(max_hops, int) or max_hops < 0:
            raise BuildError(f"Runner(max_hops={max_hops!r}): give a number of transfers, 0 or more")
        self._tree = node_of(agent)
        self._store = checkpoint_store
        self._streaming = streaming
        self._callbacks = tuple(callbacks)
        self._budget = budget
        self._skip_transfer_messages = skip_transfer_messages
        self._plain = _root_graph(self._tree, max_hops)
        self._stored: Runnable[Any, Lane] | None = None
        if checkpoint_store is not None:
            options: dict[str, Any] = {"checkpoint_store": checkpoint_store, "durability": durability, "keep": keep}
            self._stored = _root_graph(self._tree, max_hops, **options)

    def __repr__(self) -> str:
        return f"Runner({self._tree.name!r})"

    def run(
        self, messages: Sequence[Message], *, checkpoint_id: str | None = None, **options: Unpack[RunOptions]
    ) -> EventStream:
        """Return the events of a run, which begins when they are asked for.

        Args:
            messages: The conversation so far.
            checkpoint_id: Id under which the run is stored. If one that waits, failed or broke off is stored under it,
                that one goes on, and `messages` are ignored.
            options: See `RunOptions`.

        Raises:
            TypeError: If `messages` is no sequence of messages.
            BuildError: If an option is wrong.
        """
        values = dict(options.get("session_values") or {})
        given = RunInput(messages=_checked(messages), streaming=self._streaming, values=values)
        return self._begin(given, checkpoint_id, options)

    def query(self, text: str, *, checkpoint_id: str | None = None, **options: Unpack[RunOptions]) -> EventStream:
        """Return the events of a run that begins with a user's message; see `run`."""
        return self.run([user_message(text)], checkpoint_id=checkpoint_id, **options)

    def resume(
        self, checkpoint_id: str, targets: Mapping[str, Any] | None = None, **options: Unpack[RunOptions]
    ) -> EventStream:
        """Return the events of a stored run from where it stopped.

        Args:
            checkpoint_id: Id of the run.
            targets: Answers, by id or address of the places at which the run stopped; None as an answer goes on
                without data. Places that nobody answers ask again.
            options: See `RunOptions`.

        Raises:
            BuildError: If an option is wrong, or the runner stores nothing.
        """
        return self._begin(MISSING, checkpoint_id, options, resume=dict(targets or {}))

    def _begin(self, given: Any, checkpoint_id: str | None, options: RunOptions, **more: Any) -> EventStream:
        if not options.keys() <= _NAMES:
            unknown = sorted(options.keys() - _NAMES)
            raise BuildError(f"unknown option {unknown[0]!r} of a run; the options are {', '.join(sorted(_NAMES))}")
        graph = self._plain
        call: dict[str, Any] = {}
        if checkpoint_id is not None:
            if self._stored is None:
                raise BuildError(
                    f"checkpoint_id={checkpoint_id!r}: this runner stores nothing; give it a checkpoint_store=, such "
                    "as MemoryStore()"
                )
            graph = self._stored
            call = {name: value for name, value in options.items() if name in _FOR_STORED and value}
            call.update(more, checkpoint_id=checkpoint_id)
        if options.get("timeout_s") is not None:
            call["timeout_s"] = options["timeout_s"]
        handlers = (*self._callbacks, *(options.get("callbacks") or ()))
        if handlers:
            call["callbacks"] = handlers
        cancel: CancelRequest | None = None
        if checkpoint_id is not None:
            call["_external"] = external = External()
            cancel = CancelRequest(external)
        root = RootRun(
            cancel=cancel,
            meter=Meter(self._budget) if self._budget is not None else None,
            streaming=self._streaming,
            handlers=options.get("agent_callbacks"),
            options=options.get("agent_options"),
            new_values=options.get("session_values"),
            skip_transfer_messages=self._skip_transfer_messages,
        )
        return EventStream(_Beginning(self._tree, root, graph, given, call), root)


class _Beginning(msgspec.Struct):
    """A run before its begin."""

    tree: TreeNode
    root: RootRun
    graph: Runnable[Any, Lane]
    given: Any
    options: dict[str, Any]

    def __call__(self, sink: Sink) -> Awaitable[Lane]:
        """Begin in the running task, which is the run's own: its context is as well."""
        tree, root = self.tree, self.root
        root.top = turn = AgentRun(
            tree.agent, agent_name=tree.name, run_path=(tree.name,), root=root, outer=None, messages=(), sink=sink
        )
        current_turn.set(turn)
        return self.graph.invoke(self.given, **self.options)


def _root_graph(tree: TreeNode, max_hops: int, **options: Any) -> Runnable[Any, Lane]:
    place = (agent_segment(tree.name),)
    return tree_graph(tree, max_hops=max_hops, root_place=place, state=RootState, enter=_enter, **options)


def _enter(state: RootState, turn: AgentRun, given: RunInput | None) -> AgentInput:
    """Link the state with the run, and return what the root agent begins with."""
    root = turn.root
    if not state.begun and given is not None:
        state.begun = True
        state.messages, state.streaming = given.messages, given.streaming
        state.session.win(given.values, state.lane)
        root.new_values = {}
    if root.meter is not None:
        root.meter.spending = state.spending = state.spending or root.meter.spending
    root.streaming, root.session, turn.messages = state.streaming, state.session, state.messages
    if root.new_values:
        state.session.win(dict(root.new_values), state.lane)
        root.new_values = {}
    return AgentInput(messages=state.messages, streaming=state.streaming)


def _checked(messages: Sequence[Message]) -> tuple[Message, ...]:
    if isinstance(messages, Message):
        raise TypeError(f"run(messages) takes a list of messages; write run([message]), got {messages!r:.200}")
    given = tuple(messages)
    for each in given:
        if not isinstance(each, Message):
            raise TypeError(f"run(messages) takes messages, such as user_message('hi'), got {each!r:.200}")
    return given
