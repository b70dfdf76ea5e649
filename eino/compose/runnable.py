"""`Runnable`: a compiled graph, called in four ways."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, Unpack

from eino._run.frame import Frame, current
from eino._run.interrupt import InterruptSignal
from eino._run.session import session_of
from eino._run.state import StateLevel
from eino._tasks.portal import call_in_portal
from eino.callbacks import registry
from eino.compose.batch import DEFAULT_CONCURRENCY, BatchItem, Progress, as_completed, run_batch
from eino.compose.body import Body, Shape
from eino.compose.checks import type_text
from eino.compose.delivery import whole_output
from eino.compose.draw import to_dot, to_mermaid
from eino.compose.draw_svg import to_svg
from eino.compose.execute import Execution, finish, new_state
from eino.compose.external import External
from eino.compose.failures import node_failure
from eino.compose.handle import RunHandle
from eino.compose.introspect import GraphInfo, describe
from eino.compose.missing import MISSING
from eino.compose.mode import STREAMS, VALUES
from eino.compose.names import keys_text
from eino.compose.opening import Opening
from eino.compose.plan import Plan
from eino.compose.run import Run
from eino.compose.settings import CallOptions
from eino.errors import EndOfStream, MissingExtraError, RunError
from eino.schema.stream import StreamReader

__all__ = ["MISSING", "Runnable"]

I = TypeVar("I")  # noqa: E741 - input and output, as everywhere in eino
O = TypeVar("O")  # noqa: E741


class Runnable(Generic[I, O]):
    """A compiled graph, chain or workflow.

    It does not change: any number of tasks, threads and event loops may run it at once. Inside a node of another
    graph it becomes part of that run: it sees its callbacks and states, and its errors carry the whole path.
    """

    __slots__ = ("__weakref__", "_execution", "input_type", "output_type", "plan")

    def __init__(self, plan: Plan, input_type: Any, output_type: Any) -> None:
        """Private: use `compile()` of a graph, chain or workflow."""
        self.plan = plan
        self.input_type = input_type
        self.output_type = output_type
        self._execution = Execution(plan)

    @property
    def name(self) -> str:
        """Name that the graph was compiled with."""
        return self.plan.name

    @property
    def kind(self) -> str:
        """`"Graph"`, `"Chain"` or `"Workflow"`."""
        return self.plan.kind

    async def invoke(self, input: I = MISSING, /, **options: Unpack[CallOptions]) -> O:  # noqa: A002
        """Return the output for one input.

        Args:
            input: A value.
            options: See `CallOptions`.

        Raises:
            RunError: If a node fails or the graph cannot go on; `node_path` says where, `__cause__` says why.
            RunTimeoutError: If the run takes longer than `timeout_s`.
            GraphInterrupt: If a node interrupts, or the graph is to stop at one.
        """
        execution = self._execution
        plan = self.plan
        outer = current.get()
        is_watched = registry.handlers if outer is None else outer.observer is not None or session_of(outer) is not None
        if options or is_watched or not execution.is_simple or input is MISSING:
            return await execution.run(_given(input, options), VALUES, options)  # type: ignore[no-any-return]  # nodes are Any
        # The same as execution.run for a run that nobody observes and that asks for nothing: half of what a graph of
        # ten nodes costs would be asking what there is not.
        frame = Frame(plan, outer, None, None if outer is None else outer.state)
        token = current.set(frame)
        failure: RunError | None = None
        try:
            if plan.state is not None:
                frame.state = StateLevel(new_state(plan.state, frame), frame.state)
            if plan.input_check is not None:
                plan.input_check(input)
            run = Run(frame, plan, execution.plain, VALUES, plan.max_steps)
            return await execution.engine(run, input)  # type: ignore[no-any-return]  # nodes are Any
        except Exception as error:
            failure = node_failure(error, frame, kind="graph")
            raise failure from failure.__cause__
        except InterruptSignal as signal:
            raise (signal if outer is not None else signal.told()) from None
        finally:
            current.reset(token)
            if frame.extra is not None:
                await finish(frame.extra, failure)

    def stream(self, input: I = MISSING, /, **options: Unpack[CallOptions]) -> Opening[O]:  # noqa: A002
        """Return the output for one input as a stream, open in any of three ways (see `Opening`).

        Raises:
            RunError: When it is opened or read, as for `invoke`.
        """
        return Opening(functools.partial(self._opened, StreamReader.from_iterable, input, options))

    async def collect(self, input: AsyncIterable[I], /, **options: Unpack[CallOptions]) -> O:  # noqa: A002
        """Return the output for a stream of input, as one value.

        Raises:
            RunError: As for `invoke`.
        """
        reader = await self._execution.run(_reader(input), STREAMS, options)
        return await whole_output(reader, self.plan.concat)  # type: ignore[no-any-return]  # nodes are Any

    def transform(self, input: AsyncIterable[I], /, **options: Unpack[CallOptions]) -> Opening[O]:  # noqa: A002
        """Return the output for a stream of input as a stream, open in any of three ways (see `Opening`).

        Raises:
            RunError: When it is opened or read, as for `invoke`.
        """
        return Opening(functools.partial(self._opened, _reader, input, options))

    def start(self, input: Any = MISSING, /, *, stream: bool = False, **options: Unpack[CallOptions]) -> RunHandle[O]:  # noqa: A002
        """Return a handle of a run in the background: `async with runnable.start(x) as handle`.

        Args:
            input: A value; an async iterable makes it a stream of input.
            stream: Whether the output is read with `handle.stream()`.
            options: See `CallOptions`.
        """
        is_stream = isinstance(input, AsyncIterable)
        external = External()
        given: Any = {**options, "_external": external}
        if stream:
            opened = functools.partial(self._opened, _reader if is_stream else StreamReader.from_iterable, input, given)
            return RunHandle(opened, streams=True, name=self.name, concat=self.plan.concat, external=external)
        if is_stream:
            begin: Callable[[], Awaitable[Any]] = functools.partial(self.collect, input, **given)
        else:
            begin = functools.partial(self.invoke, input, **given)
        return RunHandle(begin, streams=False, name=self.name, concat=self.plan.concat, external=external)

    def invoke_sync(self, input: I = MISSING, /, **options: Unpack[CallOptions]) -> O:  # noqa: A002
        """Return the output for one input, for code that cannot await. The run goes on in a thread with its own loop.

        Raises:
            RunningLoopError: Inside a running event loop; write `await runnable.invoke(...)` there.
            RunError: As for `invoke`.
        """
        call = functools.partial(self.invoke, input, **options)
        return call_in_portal(call, instead="await runnable.invoke(...)")

    def stream_sync(self, input: I = MISSING, /, **options: Unpack[CallOptions]) -> Iterator[O]:  # noqa: A002
        """Yield the chunks of the output, for code that cannot await. Closing the generator closes the stream.

        Raises:
            RunningLoopError: Inside a running event loop; write `async for chunk in runnable.stream(...)` there.
            RunError: As for `stream`.
        """
        instead = "async for chunk in runnable.stream(...)"
        opened = functools.partial(self._opened, StreamReader.from_iterable, input, options)
        reader: StreamReader[O] = call_in_portal(opened, instead=instead)
        try:
            while True:
                try:
                    yield call_in_portal(reader.recv, instead=instead)
                except EndOfStream:
                    return
        finally:
            call_in_portal(reader.aclose, instead=instead)

    async def batch(
        self,
        inputs: Iterable[I] | AsyncIterable[I],
        /,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        return_errors: bool = False,
        on_progress: Progress | None = None,
        **options: Unpack[CallOptions],
    ) -> list[Any]:
        """Return the output of each input, in the order of the inputs.

        Args:
            inputs: Any number of them; one is taken when a run can use it.
            concurrency: Most runs under way at once.
            return_errors: Put what a run raised in the place of its output, instead of raising it and cancelling the
                other runs.
            on_progress: Called as `on_progress(done, total)` after each run; `total` is None when it is not known.
            options: Call options of every run, see `CallOptions`.

        Raises:
            BuildError: If `concurrency` is below 1, or `inputs` cannot be iterated.
            RunError: What the first run that failed raised, unless `return_errors`.
        """
        invoke = functools.partial(self.invoke, **options)
        return await run_batch(
            invoke, inputs, concurrency=concurrency, return_errors=return_errors, on_progress=on_progress
        )

    def batch_as_completed(
        self,
        inputs: Iterable[I] | AsyncIterable[I],
        /,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        on_progress: Progress | None = None,
        **options: Unpack[CallOptions],
    ) -> StreamReader[BatchItem[O]]:
        """Return a stream of `BatchItem`s as runs end; each has the position of its input, and an output or an error.

        A reader that does not keep up holds the runs back; closing the stream cancels them. Use `async with`.

        Args:
            inputs: As for `batch`.
            concurrency: Most runs under way at once.
            on_progress: As for `batch`.
            options: Call options of every run, see `CallOptions`.

        Raises:
            BuildError: If `concurrency` is below 1, or `inputs` cannot be iterated.
        """
        invoke = functools.partial(self.invoke, **options)
        return as_completed(invoke, inputs, concurrency=concurrency, on_progress=on_progress)

    def describe(self) -> GraphInfo:
        """Return what the graph looks like, as plain data."""
        return describe(self.plan, self.input_type, self.output_type)

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart."""
        return to_mermaid(self.describe())

    def to_dot(self) -> str:
        """Return the graph in Graphviz' DOT language."""
        return to_dot(self.describe())

    def to_svg(self) -> str:
        """Return the graph as an `<svg>` element.

        Raises:
            MissingExtraError: Without `pip install "eino[draw]"`.
        """
        return to_svg(self.describe())

    def _repr_svg_(self) -> str | None:
        """Show the picture in Jupyter, where what draws it is installed."""
        try:
            return self.to_svg()
        except MissingExtraError:
            return None

    def as_body(self, name: str, options: Mapping[str, Any] | None = None) -> Body:
        """Return what this graph can do as a node of another one.

        Args:
            name: Display name of the node.
            options: Call options of its runs.
        """
        run = functools.partial(self._execution.run, options=options or {}, node_name=name)
        return Body(
            shapes={
                "invoke": Shape(functools.partial(_call, run, VALUES), is_coroutine=True),
                "transform": Shape(functools.partial(_call, run, STREAMS), is_coroutine=True),
            },
            input_type=self.input_type,
            output_type=self.output_type,
            component=self.plan.kind,
            instance=self,
            runnable=self,
            self_instrumented=True,
        )

    async def _opened(self, as_reader: Any, input: Any, options: CallOptions) -> StreamReader[O]:  # noqa: A002
        given = _given(input, options)
        reader = given if given is MISSING else as_reader((given,)) if as_reader is not _reader else _reader(given)
        return await self._execution.run(reader, STREAMS, options)  # type: ignore[no-any-return]  # nodes are Any

    def __repr__(self) -> str:
        named = f" {self.plan.name!r}" if self.plan.name else ""
        takes, gives = type_text(self.input_type), type_text(self.output_type)
        return f"<Runnable {self.plan.kind}[{takes}, {gives}]{named}: {keys_text(self.plan.keys)}>"


async def _call(run: Any, mode: Any, value: Any) -> Any:
    return await run(value, mode)


def _given(input: Any, options: Mapping[str, Any]) -> Any:  # noqa: A002
    if input is MISSING and "checkpoint_id" not in options:
        raise RunError("no input was given; only a run that is stored under a checkpoint_id can go on without one")
    return input


def _reader(input: Any) -> StreamReader[Any]:  # noqa: A002
    if isinstance(input, StreamReader):
        return input
    if hasattr(input, "__aiter__"):
        return StreamReader.from_async(input)
    raise RunError(
        f"collect and transform take an async iterable, got {type(input).__qualname__}: "
        "use invoke or stream for a value, or StreamReader.from_iterable([...])"
    )
