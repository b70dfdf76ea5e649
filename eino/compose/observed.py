"""Tells the handlers of a run about one node. Timings follow the shape that is called, not the mode of the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from eino._run.frame import here
from eino._run.ids import next_seq
from eino.callbacks import Observer, RunInfo, Timing, handler_error
from eino.compose.body import Body, ShapeKind
from eino.compose.extra import extra_of, keep
from eino.compose.node import NodeSpec

__all__ = ["observed"]

Async = Callable[[Any], Awaitable[Any]]


def observed(spec: NodeSpec, body: Body, kind: ShapeKind, call: Async) -> Async:
    """Return `call` with the callbacks of the node around it. Components that fire their own get none from here."""
    if body.self_instrumented:
        return call if body.runnable is not None else _apart(call)
    name, type_name, component = spec.name, body.type, body.component
    if kind == "invoke":
        return _observed_invoke(name, type_name, component, call)
    takes_stream = kind in ("collect", "transform")
    gives_stream = kind in ("stream", "transform")

    async def watched(value: Any) -> Any:
        frame = here.get()
        observer: Observer | None = frame.observer
        if observer is None:
            return await call(value)
        info = RunInfo(name, type_name, component, next_seq(), frame.seq)
        frame.node_seq = info.seq
        try:
            if takes_stream:
                value = keep(observer.start_stream(info, value, extra_of(frame).keep))
            else:
                observer.start(info, value)
            result = await call(value)
            if gives_stream:
                return observer.end_stream(info, result, extra_of(frame).keep)
            observer.end(info, result)
            return result
        except BaseException as failure:
            observer.error(info, failure)
            raise

    return watched


def _observed_invoke(name: str, type_name: str, component: str, call: Async) -> Async:
    """The commonest shape, without the questions of the others."""

    async def watched(value: Any) -> Any:
        frame = here.get()
        observer: Observer | None = frame.observer
        if observer is None:
            return await call(value)
        frame.node_seq = seq = next_seq()
        info = RunInfo(name, type_name, component, seq, frame.seq)
        timing: Timing | None = "on_start"
        try:
            for hear in observer.starts:
                hear(info, value)
            timing = None
            result = await call(value)
            timing = "on_end"
            for hear in observer.ends:
                hear(info, result)
            return result
        except BaseException as failure:
            raised = failure if timing is None else handler_error(timing, info, failure)
            observer.error(info, raised)
            if raised is failure:
                raise
            raise raised from failure

    return watched


def _apart(call: Async) -> Async:
    """Return `call` for a component that fires its own callbacks: below the graph, not below the node before it."""

    async def apart(value: Any) -> Any:
        here.get().node_seq = 0
        return await call(value)

    return apart
