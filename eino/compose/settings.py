"""Call options: what one call of a runnable sets, sorted by graph level and node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from eino.callbacks import Handler
from eino.compose.body import Body
from eino.compose.durable import CALL_OPTIONS
from eino.compose.plan import Plan
from eino.compose.stage import Stage
from eino.errors import RunError

__all__ = ["CallOptions", "NodeSettings", "Settings", "sort_options"]


class CallOptions(TypedDict, total=False):
    """Keywords of `invoke`, `stream`, `collect` and `transform`."""

    callbacks: Sequence[Handler]
    """Handlers that hear this run and all below it."""
    options: Mapping[Any, Any]
    """Options of components: by node key, by path (`"sub/model"`), or by kind (`ChatModel`, `Lambda`, or the class of
    the component). A lambda takes a mapping of its keyword-only parameters, a component its options object."""
    node_callbacks: Mapping[str, Sequence[Handler]]
    """Handlers that hear one node and all below it, by key or path."""
    max_steps: int | Mapping[str, int]
    """Limit of super-steps for this run; a mapping gives it by path of the graph, `""` for the outermost."""
    timeout_s: float
    """How long the run may take, in seconds; for a stream until its last chunk."""
    checkpoint_id: str
    """Id under which the run is stored. If a run that is not done is stored under it, that one goes on, and the input
    is ignored."""
    write_checkpoint_id: str
    """Id under which the run is stored from now on, if it is another one."""
    force_new_run: bool
    """Whether to discard what is stored under the id."""
    resume: Mapping[str, Any]
    """Answers to interrupts, by id or address; None goes on without data."""
    state_modifier: Callable[[str, Any], Any]
    """`(address of the graph, state) -> state`: changes stored states as they are taken up; None leaves one."""
    take_over: bool
    """Whether to go on with a run that another worker seems to be running; that worker is refused from then on."""


_NAMES = frozenset(CallOptions.__annotations__)


@dataclass(slots=True)
class NodeSettings:
    """What a call sets for one node."""

    options: list[Any] = field(default_factory=list)
    """Options for the component itself, the most general first."""
    handlers: list[Handler] = field(default_factory=list)
    inner: dict[str, Any] = field(default_factory=dict)
    """For a graph as a node: call options of its own run."""


@dataclass(slots=True)
class Settings:
    """What a call sets for one level."""

    max_steps: int | None = None
    timeout_s: float | None = None
    nodes: dict[int, NodeSettings] = field(default_factory=dict)


def sort_options(plan: Plan, given: Mapping[str, Any]) -> Settings:
    """Sort call options by node.

    Raises:
        RunError: If one is unknown or malformed, or names a node or path that is not there.
    """
    wrong = sorted(set(given) - _NAMES - CALL_OPTIONS)
    if wrong:
        raise RunError(f"unknown call option {wrong[0]!r}; the call options are {', '.join(sorted(_NAMES))}")
    settings = Settings(timeout_s=given.get("timeout_s"))
    timeout_s = settings.timeout_s
    if timeout_s is not None and not (isinstance(timeout_s, (int, float)) and timeout_s > 0):
        raise RunError(f"timeout_s={timeout_s!r} must be above 0 seconds")
    for name in ("options", "node_callbacks"):
        if not isinstance(given.get(name) or {}, Mapping):
            raise RunError(f"{name}={given[name]!r:.200} must be a mapping, by node key or path")
    _sort_component_options(plan, given.get("options") or {}, settings)
    for path, handlers in (given.get("node_callbacks") or {}).items():
        node, rest = _designated(plan, path, settings)
        if rest:
            node.inner.setdefault("node_callbacks", {})[rest] = handlers
        elif _inner(plan, path):
            node.inner["callbacks"] = [*node.inner.get("callbacks", ()), *handlers]
        else:
            node.handlers.extend(handlers)
    _sort_max_steps(plan, given.get("max_steps"), settings)
    return settings


def _sort_component_options(plan: Plan, options: Mapping[Any, Any], settings: Settings) -> None:
    """By kind first, then by node: what names a node wins."""
    if not options:
        return
    by_kind = {key: value for key, value in options.items() if not isinstance(key, str)}
    for index, stage in enumerate(plan.stages):
        for kind, value in by_kind.items():
            if _has_inner(stage):
                settings.nodes.setdefault(index, NodeSettings()).inner.setdefault("options", {})[kind] = value
            elif stage.spec.body is not None and kind in stage.spec.body.option_kinds:
                checked = _fitting(stage, value, designated=False)
                settings.nodes.setdefault(index, NodeSettings()).options.append(checked)
    for key, value in options.items():
        if not isinstance(key, str):
            continue
        node, rest = _designated(plan, key, settings)
        if rest:
            node.inner.setdefault("options", {})[rest] = value
        elif _inner(plan, key):
            if not isinstance(value, Mapping):
                raise RunError(
                    f"options={{{key!r}: ...}} designates a graph: give a mapping of kinds or keys, got {value!r:.200}"
                )
            node.inner.setdefault("options", {}).update(value)
        else:
            node.options.append(_fitting(plan.stages[plan.keys.index(key)], value, designated=True))


def _designated(plan: Plan, path: object, settings: Settings) -> tuple[NodeSettings, str]:
    """Return the settings of the first node of a path, and the rest of the path."""
    if not isinstance(path, str) or not path:
        raise RunError(f"call option has designated an empty path: {path!r}; give a node key, or keys joined by '/'")
    key, _, rest = path.partition("/")
    if key not in plan.keys:
        raise RunError(f"option has designated an unknown node: {key}; the nodes are {list(plan.keys)}")
    index = plan.keys.index(key)
    if rest and not _has_inner(plan.stages[index]):
        raise RunError(f"cannot designate sub path of a component, path: {path}: node {key!r} is no graph")
    return settings.nodes.setdefault(index, NodeSettings()), rest


def _inner(plan: Plan, key: str) -> bool:
    return _has_inner(plan.stages[plan.keys.index(key)])


def _has_inner(stage: Stage) -> bool:
    return stage.spec.body is not None and stage.spec.body.runnable is not None


def _fitting(stage: Stage, value: Any, *, designated: bool) -> Any:
    """Return options as the node takes them. What a node does not declare is an error where the node was named."""
    body = stage.spec.body
    if body is None:
        raise RunError(f"options={{{stage.key!r}: ...}}: a passthrough node takes no options")
    shape = next(iter(body.shapes.values()))
    if shape.options is None:
        return _component_options(stage.key, body, value)
    if not isinstance(value, Mapping):
        raise RunError(
            f"option type[{type(value).__qualname__}] is different from which the designated node[{stage.key}] "
            f"expects[dict]: give a mapping of its keyword-only parameters, got {value!r:.200}"
        )
    declared = frozenset[str]().union(*(each.options or () for each in body.shapes.values()))
    if any(each.takes_any_option for each in body.shapes.values()):
        return dict(value)
    unknown = sorted(set(value) - declared)
    if unknown and designated:
        raise RunError(
            f"node {stage.key!r} has no option {unknown[0]!r}; its keyword-only parameters are {sorted(declared)}"
        )
    return {name: each for name, each in value.items() if name in declared}


def _component_options(key: str, body: Body, value: Any) -> Any:
    wanted = body.options_type
    if wanted is None:
        raise RunError(f"options={{{key!r}: ...}}: a {body.component} takes no options")
    if not isinstance(value, wanted):
        raise RunError(
            f"option type[{type(value).__qualname__}] is different from which the designated node[{key}] "
            f"expects[{wanted.__qualname__}]: give the options object of a {body.component}, got {value!r:.200}"
        )
    return value


def _sort_max_steps(plan: Plan, given: int | Mapping[str, int] | None, settings: Settings) -> None:
    if given is None:
        return
    by_path = given if isinstance(given, Mapping) else {"": given}
    for path, steps in by_path.items():
        if not isinstance(steps, int) or steps < 1:
            raise RunError(f"max_steps={given!r}: at least 1 step is needed")
        if not path:
            if plan.trigger == "all":
                raise RunError("cannot set max run steps in dag: each node runs at most once; leave max_steps out")
            settings.max_steps = steps
            continue
        node, rest = _designated(plan, path, settings)
        if not rest and not _inner(plan, path):
            raise RunError(f"max_steps={{{path!r}: {steps}}} designates a node that is no graph")
        node.inner.setdefault("max_steps", {})[rest] = steps
