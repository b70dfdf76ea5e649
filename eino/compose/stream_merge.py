"""Fan-in of streams: they are interleaved, after a check that their chunks can be made one value at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eino.compose.binding import at_graph
from eino.errors import MergeError
from eino.schema._merge import MergeRegistry
from eino.schema.stream import StreamReader
from eino.schema.stream_ops import merge, merge_named

__all__ = ["merged_stream"]


def merged_stream(
    readers: Mapping[str, StreamReader[Any]], *, named: bool, registry: MergeRegistry, doing: str
) -> StreamReader[Any]:
    """Return the chunks of all readers as they come.

    Args:
        readers: The streams by the key of the node that gives them.
        named: Whether a `SourceEnded` stands where a source ends.
        registry: The merge functions of the graph.
        doing: What error texts say was being done.
    """
    if len(readers) == 1:
        return merge_named(readers)
    merged = merge_named(readers) if named else merge(list(readers.values()))
    return merged.map(at_graph(_same_type(registry), doing))


def _same_type(registry: MergeRegistry) -> Callable[[Any], Any]:
    """Return a check that all chunks have one type, for which a merge is defined.

    Merge functions are not called on streams; they only say that values of the type belong together.
    """
    first: list[type] = []

    def check(chunk: Any) -> Any:
        kind = type(chunk)
        if first and kind is first[0]:
            return chunk
        if not first:
            if not registry.supports(kind):
                raise MergeError(
                    f"(mergeValues | stream type) unsupported chunk type: {kind.__qualname__}; give the nodes an "
                    "output_key, or register a merge function with register_merge"
                )
            first.append(kind)
            return chunk
        if issubclass(kind, Mapping) and issubclass(first[0], Mapping):
            return chunk
        raise MergeError(
            f"(mergeStream) chunk type mismatch. expected: {first[0].__qualname__}, got: {kind.__qualname__}"
        )

    return check
