"""Runs a plan: context, callbacks, options, limits and clean-up around the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cached_property, partial
from typing import Any

import anyio
from msgspec import structs

from eino._run.frame import GRAPH_LEVEL, Frame, NodeFrame, current, here
from eino._run.ids import next_seq
from eino._run.interrupt import InterruptSignal
from eino._run.session import session_of
from eino._run.state import StateLevel
from eino._tasks import now
from eino.callbacks import Observer, RunInfo, observer_of
from eino.compose import instrument
from eino.compose.binding import converted
from eino.compose.dag import run_dag
from eino.compose.dag_plain import run_plain_dag
from eino.compose.dag_state import PlainShape, is_plain
from eino.compose.delivery import deliver
from eino.compose.durable import CALL_OPTIONS
from eino.compose.durable_run import DurableSession, run_root
from eino.compose.extra import RunExtra, extra_of, keep
from eino.compose.failures import graph_failure, node_failure
from eino.compose.mode import Mode
from eino.compose.plan import Plan
from eino.compose.pregel import run_pregel
from eino.compose.resumable import Begun, begin
from eino.compose.run import Run
from eino.compose.settings import NodeSettings, Settings, sort_options
from eino.compose.stage import Async, Call, Stage, compile_stage
from eino.compose.table import CallTable
from eino.errors import RunError, RunTimeoutError

__all__ = ["Execution", "finish", "new_state"]

Engine = Callable[[Run, Any], Awaitable[Any]]


class Execution:
    """How one plan is run. Holds the call tables, each made when the first run of its kind needs it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.engine = _engine(plan)
        """Runs the graph on values."""
        self.stream_engine: Engine = run_pregel if plan.trigger == "any" else run_dag
        self.remake()
        instrument.executions.add(self)

    def remake(self) -> None:
        """Make the call tables again, around them the instrument that is in use."""
        plan, profiler = self._plan, instrument.active
        for made in ("_observed_table", "_streamed_table", "run"):
            self.__dict__.pop(made, None)
        if profiler is not None:
            self.run = profiler.run(plan, self.run)  # type: ignore[assignment,method-assign]  # this plan's
        self.is_simple = plan.durable is None and profiler is None
        """Whether a run needs little but the engine when nobody listens and the call asks for nothing."""
        self.plain = self._table(plan.stages, _plain, on_stream=False)

    @cached_property
    def _observed_table(self) -> CallTable:
        return self._table(self._plan.stages, _observed, on_stream=False)

    @cached_property
    def _streamed_table(self) -> CallTable:
        return self._table(self._plan.stages, _streamed, on_stream=True)

    def _table(self, stages: tuple[Stage, ...], call: Callable[[Stage], Call], *, on_stream: bool) -> CallTable:
        plain = stages is self._plan.stages and call is _plain
        calls, profiler = tuple(map(call, stages)), instrument.active
        if profiler is not None:
            pairs = zip(stages, calls, strict=True)
            calls = tuple(profiler.node(self._plan, stage, own, on_stream=on_stream) for stage, own in pairs)
        return CallTable(self._plan, calls, on_stream=on_stream, may_keep=not plain)

    async def run(
        self,
        value: Any,
        mode: Mode,
        options: Mapping[str, Any],
        node_name: str | None = None,
        session: DurableSession | None = None,
    ) -> Any:
        """Run once.

        Args:
            value: Input: a value, or a reader in stream runs.
            mode: What kind of run it is.
            options: Call options.
            node_name: Display name, if this graph is a node of the graph around it; None if it was called by code.
            session: The resumable run that this is the outermost graph of; inside it is found by itself.

        Returns:
            The output: a value, or a reader in stream runs.
        """
        plan = self._plan
        outer = current.get()
        if session is None:
            session = session_of(outer)  # type: ignore[assignment]  # the runner makes no others
            if session is None and (plan.durable is not None or (options and not CALL_OPTIONS.isdisjoint(options))):
                return await run_root(self.run, plan, value, mode, options=options, node_name=node_name)
        observer, level = (None, None) if outer is None else (outer.observer, outer.state)
        if options or outer is None:  # else who hears the run around this one hears this one
            observer = observer_of(observer, options.get("callbacks") or ())
        frame = (Frame if node_name is None else NodeFrame)(plan, outer, observer, level)
        token = current.set(frame)
        info: RunInfo | None = None
        failure: RunError | None = None
        delivered = False
        begun: Begun | None = None
        try:
            if session is not None:
                extra_of(frame).session = session
                begun = begin(session, plan, frame)
            if mode.on_stream:
                keep(value)
            if plan.state is not None:
                frame.state = StateLevel(new_state(plan.state, frame), level)
                if begun is not None:
                    begun.restore_state(frame.state)
            if observer is not None:
                info = _info(frame, outer, plan.name if node_name is None else node_name, plan.kind)
                value = _tell_start(observer, info, value, mode, frame)
            # Callbacks are dealt with above; a call that sets no more has nothing to sort.
            settings = _NOTHING if not options or options.keys() == _ONLY_CALLBACKS else sort_options(plan, options)
            deadline_s = None if settings.timeout_s is None else now() + settings.timeout_s
            if plan.input_check is not None and (begun is None or begun.restored is None):
                value = converted(value, plan.input_check) if mode.on_stream else plan.input_check(value)
            running = self._start(settings, frame, value, mode, begun)
            result = await (running if settings.timeout_s is None else _in_time(running, settings.timeout_s, frame))
            frame.node = GRAPH_LEVEL
            if observer is not None and info is not None:
                result = _tell_end(observer, info, result, mode, frame)
            if mode.on_stream:
                result = deliver(result, frame, extra_of(frame), deadline_s)
                delivered = True
            return result
        except Exception as error:
            failure = node_failure(error, frame, kind="graph")
            if observer is not None and info is not None:
                observer.error(info, failure)
            raise failure from failure.__cause__
        except BaseException as error:
            if observer is not None and info is not None:
                observer.error(info, error)
            if outer is None and session is None and isinstance(error, InterruptSignal):
                raise error.told() from None
            raise
        finally:
            current.reset(token)
            if begun is not None:
                begun.over()
            if frame.extra is not None and not delivered:
                await finish(frame.extra, failure)

    def _start(self, settings: Settings, frame: Frame, value: Any, mode: Mode, begun: Begun | None) -> Awaitable[Any]:
        """Return the engine at its start, to be awaited."""
        plan = self._plan
        table = self._table_for(settings, frame, mode)
        run = Run(frame, plan, table, mode, settings.max_steps or plan.max_steps)
        if begun is not None:
            again = begun.without_pre()
            first = self._table_for(settings, frame, mode, again) if again else None
            return begun.result(run, first, value)
        return (self.stream_engine if mode.on_stream else self.engine)(run, value)

    def _table_for(self, settings: Settings, frame: Frame, mode: Mode, again: Collection[int] = ()) -> CallTable:
        """Return the calls of the run; nodes in `again` are called without their pre handlers."""
        if settings.nodes or again:
            stages = list(self._plan.stages)
            for index in again:
                stages[index] = compile_stage(structs.replace(stages[index].spec, pre=None), self._plan.concat)
            for index, node in settings.nodes.items():
                stages[index] = _with_settings(stages[index], node, self._plan)
            kind = _streamed if mode.on_stream else _plain if frame.observer is None else _observed
            return self._table(tuple(stages), kind, on_stream=mode.on_stream)
        if mode.on_stream:
            return self._streamed_table
        return self.plain if frame.observer is None else self._observed_table


_NOTHING = Settings()
_ONLY_CALLBACKS = {"callbacks"}


async def _in_time(running: Awaitable[Any], timeout_s: float, frame: Frame) -> Any:
    """Run the engine within the time-out of the call."""
    with anyio.move_on_after(timeout_s):
        return await running
    where = ", ".join(frame.path()) or "before the first node"
    raise RunTimeoutError(
        f"the run did not finish within timeout_s={timeout_s}, last nodes: [{where}]: raise it, or find out what "
        "the run waits for"
    )


def _engine(plan: Plan) -> Engine:
    if plan.trigger == "any":
        return run_pregel
    if plan.eager and is_plain(plan) and all(plan.data_before) and not any(plan.makers):  # every node gets its turn
        return partial(run_plain_dag, shape=PlainShape(plan))
    return run_dag


def new_state(make: Callable[[], Any], frame: Frame) -> Any:
    """Return a state for the run in `frame`.

    Raises:
        RunError: If it cannot be made.
    """
    try:
        return make()
    except Exception as error:
        failure = graph_failure(error, frame, "make the state of the run fail")
        raise failure from failure.__cause__


async def finish(extra: RunExtra, failure: Exception | None) -> None:
    """Close what the run opened. What goes wrong here does not hide why the run failed: it becomes a note on that."""
    try:
        await extra.finish()
    except RunError as error:
        if failure is None:
            raise
        failure.add_note(error.message)


def _plain(stage: Stage) -> Call:
    return stage.plain


def _observed(stage: Stage) -> Call:
    return stage.observed, True


def _streamed(stage: Stage) -> Call:
    return stage.stream, True


def _info(frame: Frame, outer: Frame | None, name: str, kind: str) -> RunInfo:
    frame.seq = next_seq()
    parent = 0 if outer is None else outer.seq if frame.is_node else outer.node_seq or outer.seq
    return RunInfo(name, "", kind, frame.seq, parent)


def _tell_start(observer: Observer, info: RunInfo, value: Any, mode: Mode, frame: Frame) -> Any:
    if mode.on_stream:
        return keep(observer.start_stream(info, value, extra_of(frame).keep))
    observer.start(info, value)
    return value


def _tell_end(observer: Observer, info: RunInfo, result: Any, mode: Mode, frame: Frame) -> Any:
    if mode.on_stream:
        return observer.end_stream(info, result, extra_of(frame).keep)
    observer.end(info, result)
    return result


def _with_settings(stage: Stage, settings: NodeSettings, plan: Plan) -> Stage:
    """Return a stage whose node gets the options and handlers of this call."""
    spec = stage.spec
    body = spec.body
    if body is not None and settings.inner and body.runnable is not None:
        spec = spec.with_body(body.runnable.as_body(spec.name, settings.inner))
    elif body is not None and settings.options:
        shapes = {kind: shape.with_options(settings.options) for kind, shape in body.shapes.items()}
        spec = spec.with_body(structs.replace(body, shapes=shapes))
    fresh = compile_stage(spec, plan.concat)
    return _heard_by(fresh, settings.handlers) if settings.handlers else fresh


def _heard_by(stage: Stage, handlers: list[Any]) -> Stage:
    """Return a stage whose node, and all below it, further handlers hear."""

    def joined(call: Async) -> Async:
        async def heard(value: Any) -> Any:
            frame = here.get()
            outer = frame.observer
            frame.observer = observer_of(outer, handlers)
            try:
                return await call(value)
            finally:
                frame.observer = outer

        return heard

    heard = joined(stage.observed)
    return Stage(stage.spec, (heard, True), lambda: heard, lambda: joined(stage.stream))
