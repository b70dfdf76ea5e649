"""Callbacks: who hears when graphs, nodes and tools start, end and fail.

Write a `Handler` (or build one of functions with `handler_builder`) and give it to a run (`callbacks=[...]`), to one
node (`node_callbacks={"key": [...]}`), or to every run of the process (`add_global_handler`).
"""

from eino.callbacks._around import Span, around
from eino.callbacks._handler import Handler, RunInfo, Timing, add_global_handler, handler_builder, registry
from eino.callbacks._observer import Observer, handler_error, observer_of

__all__ = [
    "Handler",
    "Observer",
    "RunInfo",
    "Span",
    "Timing",
    "add_global_handler",
    "around",
    "handler_builder",
    "handler_error",
    "observer_of",
    "registry",
]
