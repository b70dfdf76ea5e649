"""Turns what is raised during a run into `RunError`, once, with the path of the node."""

from __future__ import annotations

from eino._run.frame import Frame
from eino.errors import EinoError, RunError, RunErrorKind

__all__ = ["error_text", "graph_failure", "node_failure"]


def node_failure(error: Exception, frame: Frame, doing: str = "", kind: RunErrorKind = "node") -> RunError:
    """Return the error of the node that runs in `frame`, ready to be raised `from` its cause.

    A `RunError` of something deeper keeps its text and kind; its path grows by this node. One that this graph run,
    or one around it, has already put its node on is returned as it is: it stands in a stream that other nodes read.

    Args:
        error: What was raised.
        frame: Whose `node` failed.
        doing: What was being done, when it is not the node's own work ("pre handler").
        kind: Whose failure a new `RunError` is: of the node's own code, or of the graph around it.
    """
    keys = (frame.graph.keys[frame.node],) if frame.node >= 0 else ()
    if isinstance(error, RunError):
        if not _was_marked(error, frame):
            error.node_path = (*keys, *error.node_path)
            error._mark = _mark(frame)
        return error
    text = f"{doing}: {error_text(error)}" if doing else error_text(error)
    failure = RunError(text, node_path=keys, kind=kind)
    failure._mark = _mark(frame)
    failure.__cause__ = error
    return failure


def _mark(frame: Frame) -> object:
    """Return what tells the graph run of a frame from the runs around and beside it."""
    return id(frame.graph), id(frame.parent)


def _was_marked(error: RunError, frame: Frame) -> bool:
    """Return whether the graph run of `frame`, or one around it, has put its node on the error's path."""
    mark, run = error._mark, frame
    while mark != _mark(run):
        if run.parent is None:
            return False
        run = run.parent
    return True


def graph_failure(error: Exception, frame: Frame, doing: str) -> RunError:
    """Return the error of the graph itself: routing, merging, handlers of the graph.

    It carries the key of the node at which it happened, if there is one.
    """
    return node_failure(error, frame, doing, kind="graph")


def error_text(error: BaseException) -> str:
    """Return an error as one text. Ours say all by themselves; others need their type."""
    if isinstance(error, EinoError):
        return str(error)
    text = str(error)
    name = type(error).__qualname__
    return f"{name}: {text}" if text else name
