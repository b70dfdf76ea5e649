"""Input and output keys: a node takes one value out of a mapping, or puts its output under a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from eino.compose.node import NodeSpec
from eino.errors import RunError
from eino.schema.stream import DROP, StreamReader
from eino.schema.stream_ops import SourceEnded

__all__ = ["with_keys"]

Async = Callable[[Any], Awaitable[Any]]


def with_keys(spec: NodeSpec, call: Async, *, on_stream: bool) -> Async:
    """Return `call` with the keys of the node around it."""
    if spec.input_key is not None:
        call = _taking(spec.input_key, call, on_stream=on_stream)
    if spec.output_key is not None:
        call = _putting(spec.output_key, call, on_stream=on_stream)
    return call


def _taking(key: str, call: Async, *, on_stream: bool) -> Async:
    def take(value: Any) -> Any:
        _check_mapping(value, key)
        if key not in value:
            raise RunError(f"cannot find input key: {key} (the input has {sorted(map(str, value))})", kind="node")
        return value[key]

    def take_chunk(value: Any) -> Any:
        if value.__class__ is SourceEnded:
            return value
        _check_mapping(value, key)
        return value.get(key, DROP)

    if on_stream:
        return lambda reader: call(reader.map(take_chunk))

    async def taken(value: Any) -> Any:
        return await call(take(value))

    return taken


def _check_mapping(value: Any, key: str) -> None:
    if not isinstance(value, Mapping):
        raise RunError(
            f"input key {key!r} needs a mapping, got {type(value).__qualname__}: {value!r:.200}", kind="node"
        )


def _putting(key: str, call: Async, *, on_stream: bool) -> Async:
    def put_chunk(chunk: Any) -> Any:
        return chunk if chunk.__class__ is SourceEnded else {key: chunk}

    if on_stream:

        async def streamed(reader: StreamReader[Any]) -> StreamReader[Any]:
            output: StreamReader[Any] = await call(reader)
            return output.map(put_chunk)

        return streamed

    async def put(value: Any) -> Any:
        return {key: await call(value)}

    return put
