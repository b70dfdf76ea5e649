"""Many streams into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from eino.errors import StreamInUseError
from eino.schema._streams.arrays import ArraySource, IteratorSource
from eino.schema._streams.channel import Channel, Inlet
from eino.schema._streams.feeders import pulling_ahead
from eino.schema._streams.markers import Group, SourceEnded
from eino.schema._streams.outlet import Outlet
from eino.schema._streams.source import Source
from eino.schema.stream import StreamReader

__all__ = ["SourceEnded", "merge", "merge_named"]

T = TypeVar("T")

PULL_AHEAD = 5
"""Elements that a task may pull ahead of the reader from each source that must be awaited."""


def merge(readers: Iterable[StreamReader[T]]) -> StreamReader[T]:
    """Return one reader of all elements and errors, in the order of their arrival; the readers are handed on.

    Each source keeps its own order. Arrays come one after another if there are only arrays. The end comes when all
    sources have ended; closing the merged reader closes them all. Merges may be merged again.

    Raises:
        StreamInUseError: If a reader is in use, was handed on, or is given twice.
        StreamClosedError: If a reader was closed.
    """
    given = list(readers)
    if len(given) == 1:
        return given[0]
    sources = _free_sources(given)
    arrays = [source for source in sources if isinstance(source, ArraySource)]
    if len(arrays) == len(sources):
        return StreamReader.from_iterable([item for array in arrays for item in array.take_over().rest()])
    channel: Channel[Any] = Channel()
    for source in sources:
        _connect(channel, source, None)
    return StreamReader(Outlet(channel))


def merge_named(readers: Mapping[str, StreamReader[T]]) -> StreamReader[T | SourceEnded]:
    """Return one reader like `merge`, with a `SourceEnded` element where a source ends.

    Each name gets one marker, behind all that its source delivered. The markers of a named merge inside another one
    are kept: they come before the marker of the outer name.

    Raises:
        StreamInUseError: If a reader is in use, was handed on, or is given twice.
        StreamClosedError: If a reader was closed.
    """
    sources = dict(zip(readers, _free_sources(list(readers.values())), strict=True))
    arrays = {name: source for name, source in sources.items() if isinstance(source, ArraySource)}
    if len(arrays) == len(sources):
        return StreamReader.from_iterable(
            [item for name, array in arrays.items() for item in (*array.take_over().rest(), SourceEnded(name))]
        )
    channel: Channel[Any] = Channel()
    for name, source in sources.items():
        _connect(channel, source, Group(name))
    return StreamReader(Outlet(channel))


def _free_sources(readers: list[StreamReader[T]]) -> list[Source[T]]:
    """Return what the readers read from, after a look at all of them: a merge takes all or none."""
    sources = [reader._source for reader in readers]
    if len({id(source) for source in sources}) < len(sources):
        raise StreamInUseError("one reader was given twice to a merge: give it `reader.copy(2)`")
    for source in sources:
        source.require_free()
    return sources


def _connect(channel: Channel[Any], source: Source[Any], group: Group | None) -> None:
    """Let a source flow into the channel: pipes and merges by moving their inlets, what must be awaited by a task."""
    if isinstance(source, Outlet):
        channel.absorb(source.detach(), group)
        if group is not None and group.is_empty:
            channel.mark_ended(group)
        return
    if isinstance(source, ArraySource | IteratorSource):
        inlet = Inlet(PULL_AHEAD, nowait=source.take_over())
    else:
        inlet = Inlet(PULL_AHEAD)
        inlet.feeder = pulling_ahead(inlet, source.take_over())
    if group is not None:
        group.add(inlet)
    channel.add(inlet)
