"""What Graph and Workflow share: nodes with their options, checks of handlers, the state."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, get_args

from msgspec import structs

from eino._run.retry import RetryPolicy
from eino.compose.body import Body
from eino.compose.checks import Fit, assignable, normalise, type_text
from eino.compose.node import Effect, NodeOptions, NodeSpec, StateHandler
from eino.compose.signature import callable_name, read_signature, return_type
from eino.compose.topology import Topology
from eino.compose.types import UNKNOWN
from eino.errors import BuildError
from eino.schema._concat import CONCAT, ConcatRegistry
from eino.schema._merge import MERGE, MergeRegistry

__all__ = ["BuilderBase", "node_spec"]

I = TypeVar("I")  # noqa: E741 - input and output, as everywhere in eino
O = TypeVar("O")  # noqa: E741

_OPTIONS = frozenset(NodeOptions.__annotations__)
_KINDS_OF_OPTION: dict[str, type] = {"name": str, "retry": RetryPolicy, "compile_options": Mapping}


class BuilderBase(Generic[I, O]):
    """The types, the state and the registries of a graph under construction."""

    kind = "Graph"

    def __init__(
        self,
        *,
        state: Callable[[], Any] | None = None,
        concat: Mapping[type, Callable[[Any], Any]] | None = None,
        merge: Mapping[type, Callable[[Any], Any]] | None = None,
    ) -> None:
        """Start an empty graph.

        Args:
            state: Makes the state of a run: a class, or a function without parameters. Called once per run.
            concat: Functions of this graph that join the chunks of a stream, by type; see `register_concat`.
            merge: Functions of this graph that merge values at a fan-in, by type; see `register_merge`.
        """
        if state is not None and not callable(state):
            raise BuildError(f"{self.kind}(state={state!r}): give a class or a function that makes the state of a run")
        if inspect.iscoroutinefunction(state) or inspect.isasyncgenfunction(state):
            raise BuildError(
                f"{self.kind}(state={callable_name(state)}): it is async, but the state of a run is made without "
                "waiting; fill it in the first node instead"
            )
        self._state = state
        self._concat = ConcatRegistry(CONCAT, concat) if concat else CONCAT
        self._merge = MergeRegistry(MERGE, merge) if merge else MERGE
        self._topology = Topology()
        self._given_types: tuple[Any, Any] | None = None
        self._compiled = False

    @property
    def _types(self) -> tuple[Any, Any]:
        """Input and output type: from `Graph[I, O]()`, or from the bases of a subclass; `Any` when not given."""
        if self._given_types is not None:
            return self._given_types
        alias = getattr(self, "__orig_class__", None)
        arguments = get_args(alias) if alias is not None else _base_arguments(type(self))
        if len(arguments) != 2:
            return Any, Any
        return normalise(arguments[0]), normalise(arguments[1])

    @property
    def input_type(self) -> Any:
        """Type of the graph's input."""
        return self._types[0]

    @property
    def output_type(self) -> Any:
        """Type of the graph's output."""
        return self._types[1]

    def _spec(self, key: str, body: Body | None, options: NodeOptions) -> NodeSpec:
        return node_spec(key, body, options, state=self._state)


def _base_arguments(cls: type) -> tuple[Any, ...]:
    for base in getattr(cls, "__orig_bases__", ()):
        arguments = get_args(base)
        if arguments:
            return arguments
    return ()


def node_spec(key: str, body: Body | None, options: NodeOptions, *, state: Callable[[], Any] | None) -> NodeSpec:
    """Return a node with its options checked.

    Raises:
        BuildError: If an option is unknown, out of range, or a state handler does not fit the node or the state.
    """
    if not options:
        return NodeSpec(key=key, body=body, name=key)
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise BuildError(f"node {key!r}: unknown option {unknown[0]!r}; the options are {', '.join(sorted(_OPTIONS))}")
    timeout_s = options.get("timeout_s")
    if timeout_s is not None and not (isinstance(timeout_s, (int, float)) and timeout_s > 0):
        raise BuildError(f"node {key!r}: timeout_s={timeout_s!r} must be above 0 seconds")
    for name, kind in _KINDS_OF_OPTION.items():
        value = options.get(name)
        if value is not None and not isinstance(value, kind):
            raise BuildError(f"node {key!r}: {name}={value!r:.200} must be a {kind.__name__}")
    effect = options.get("effect")
    if effect is not None and effect not in get_args(Effect):
        raise BuildError(f"node {key!r}: effect={effect!r} is none of {', '.join(get_args(Effect))}")
    bare = NodeSpec(
        key=key,
        body=body,
        name=options.get("name") or key,
        input_key=_key_option(key, options, "input_key"),
        output_key=_key_option(key, options, "output_key"),
        compile_options=options.get("compile_options"),
        timeout_s=timeout_s,
        retry=options.get("retry"),
        effect=effect,
    )
    pre = _handler(bare, options, "pre", state)
    post = _handler(bare, options, "post", state)
    return bare if pre is None and post is None else structs.replace(bare, pre=pre, post=post)


def _key_option(key: str, options: Mapping[str, Any], name: str) -> str | None:
    value = options.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise BuildError(f"node {key!r}: {name}={value!r} must be a non-empty string")
    return value


def _handler(
    spec: NodeSpec, options: Mapping[str, Any], which: str, state: Callable[[], Any] | None
) -> StateHandler | None:
    """Return the handler given as `pre`/`stream_pre` (or `post`/`stream_post`), checked."""
    on_value, on_stream = options.get(which), options.get(f"stream_{which}")
    if on_value is not None and on_stream is not None:
        raise BuildError(f"node {spec.key!r}: give either {which}= or stream_{which}=, not both")
    function = on_stream if on_value is None else on_value
    if function is None:
        return None
    if not callable(function):
        raise BuildError(f"node {spec.key!r}: {which}= must be a function (value, state) -> value, got {function!r}")
    if state is None:
        raise BuildError(
            f"node {spec.key!r} needs state but graph state is not enabled: give the graph one, Graph(state=...)"
        )
    signature = read_signature(function, values=2, role=f"the {which} handler of node {spec.key!r}")
    _check_state_type(spec, which, signature.second_type, function, state)
    _check_value_type(spec, which, signature.input_type, signature.output_type)
    is_coroutine = signature.is_coroutine and not inspect.isasyncgenfunction(function)
    return StateHandler(function, is_coroutine, on_stream=on_stream is not None)


def _check_state_type(
    spec: NodeSpec, which: str, wanted: Any, function: Callable[..., Any], state: Callable[[], Any]
) -> None:
    given = state if isinstance(state, type) else return_type(state)
    if assignable(given, wanted) is Fit.NEVER:
        raise BuildError(
            f"node[{spec.key}]'s {which} handler state type[{type_text(wanted)}] is different from "
            f"graph[{type_text(given)}]: annotate the second parameter of {callable_name(function)} with the graph's"
        )


def _check_value_type(spec: NodeSpec, which: str, takes: Any, gives: Any) -> None:
    side = "input" if which == "pre" else "output"
    own = spec.input_type if which == "pre" else spec.output_type
    if own is UNKNOWN:
        if takes is not Any or gives is not Any:
            shown = type_text(takes if takes is not Any else gives)
            raise BuildError(
                f"passthrough node[{spec.key}]'s {which} handler type isn't any: it is {shown}, but a passthrough "
                "takes whatever its neighbours give; leave the handler without annotations"
            )
        return
    # A pre handler sees what arrives and gives what the node takes; a post handler the other way round.
    for annotation in (takes, gives):
        if assignable(annotation, own) is Fit.NEVER and assignable(own, annotation) is Fit.NEVER:
            raise BuildError(
                f"node[{spec.key}]'s {which} handler type[{type_text(annotation)}] is different from its {side} "
                f"type[{type_text(own)}]"
            )
