"""What a graph remembers of a node: what it can do, and the options that it was added with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

import msgspec

from eino._run.retry import RetryPolicy
from eino.compose.body import Body
from eino.compose.types import UNKNOWN

__all__ = ["Effect", "NodeOptions", "NodeSpec", "StateHandler"]

Effect = Literal["idempotent", "at_most_once", "transactional"]


class NodeOptions(TypedDict, total=False):
    """Keywords of every `add_..._node`."""

    name: str
    """Display name, shown by `RunInfo.name`; the key when not given. Need not be unique."""
    input_key: str
    """The input is a mapping; the node gets the value under this key."""
    output_key: str
    """What the node gives is put into a dict under this key."""
    pre: Callable[..., Any]
    """`(value, state) -> value`: changes the input, with the state held. Concatenates a stream."""
    post: Callable[..., Any]
    """`(value, state) -> value`: changes the output, with the state held. Concatenates a stream."""
    stream_pre: Callable[..., Any]
    """`(reader, state) -> stream`: changes the input stream; the state is held only while it runs."""
    stream_post: Callable[..., Any]
    """`(reader, state) -> stream`: changes the output stream; the state is held only while it runs."""
    compile_options: Mapping[str, Any]
    """For graphs as nodes: keywords of their `compile`."""
    timeout_s: float
    """How long one try may take, in seconds; for a streaming node until its last chunk."""
    retry: RetryPolicy
    """When to call the node again after an error."""
    effect: Effect
    """What repeating the node means; used by durable runs."""


class StateHandler(msgspec.Struct, frozen=True):
    """A function on a value or stream, and the state of the graph."""

    function: Callable[..., Any]
    is_coroutine: bool
    on_stream: bool


class NodeSpec(msgspec.Struct, frozen=True):
    """One node of a graph that is being built."""

    key: str
    body: Body | None
    """What it can do; None for a passthrough."""
    name: str
    input_key: str | None = None
    output_key: str | None = None
    pre: StateHandler | None = None
    post: StateHandler | None = None
    compile_options: Mapping[str, Any] | None = None
    timeout_s: float | None = None
    retry: RetryPolicy | None = None
    effect: Effect | None = None

    @property
    def input_type(self) -> Any:
        """What arrives at the node from outside."""
        if self.input_key is not None:
            return dict[str, Any]
        return UNKNOWN if self.body is None and self.output_key is None else self._inner()[0]

    @property
    def output_type(self) -> Any:
        """What leaves the node."""
        if self.output_key is not None:
            return dict[str, Any]
        return UNKNOWN if self.body is None and self.input_key is None else self._inner()[1]

    def _inner(self) -> tuple[Any, Any]:
        return (Any, Any) if self.body is None else (self.body.input_type, self.body.output_type)

    def with_body(self, body: Body) -> NodeSpec:
        """Return the same node with another body: a graph that has been compiled."""
        return msgspec.structs.replace(self, body=body)
