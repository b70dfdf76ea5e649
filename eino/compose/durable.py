"""What a graph is compiled with so that its runs can stop and go on, and what a call adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from eino.compose.journal import MAX_RECORD_BYTES
from eino.compose.node import NodeSpec
from eino.compose.store import offers_transactions
from eino.errors import BuildError
from eino.schema._codec_discovery import register_with_fields
from eino.schema.codec import TYPES

__all__ = ["CALL_OPTIONS", "COMPILE_OPTIONS", "Durability", "Durable", "durable_of"]

Durability = Literal["interrupt", "step"]
"""When a run is saved: when it is interrupted, or after every step as well."""

COMPILE_OPTIONS = frozenset(
    {
        "checkpoint_store",
        "interrupt_before",
        "interrupt_after",
        "durability",
        "keep",
        "migrate",
        "max_checkpoint_bytes",
    }
)
"""Compile options that make the runs of a graph resumable."""

CALL_OPTIONS = frozenset(
    {"checkpoint_id", "write_checkpoint_id", "force_new_run", "resume", "state_modifier", "take_over", "_external"}
)
"""Call options that concern a run's interrupts and what is stored of it."""

Migrate = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Durable:
    """How the runs of one graph stop and go on."""

    store: Any = None
    """Where runs are stored; None if they are not."""
    before: frozenset[int] = frozenset()
    after: frozenset[int] = frozenset()
    durability: Durability = "interrupt"
    keep: bool = False
    """Whether a run that is done stays in the store."""
    max_bytes: int = MAX_RECORD_BYTES
    """Size of the largest record, and of the largest answer."""
    migrate: Migrate | None = None
    """Called with the `GraphChange` when a stored run is of another version of the graph."""


def durable_of(
    options: Mapping[str, Any], specs: Mapping[str, NodeSpec], state: Callable[[], Any] | None
) -> Durable | None:
    """Return what the compile options ask for; None if nothing.

    Raises:
        BuildError: If an option is wrong, or the state can never be stored.
    """
    effects = [spec.key for spec in specs.values() if spec.effect == "transactional"]
    store = options.get("checkpoint_store")
    if effects and store is not None and not offers_transactions(store):
        raise BuildError(
            f"node {effects[0]!r}: effect='transactional' needs a store that runs the effect inside its transaction, "
            f"which {type(store).__qualname__} does not offer; use 'at_most_once', or 'idempotent' with ctx.attempt_id"
        )
    if COMPILE_OPTIONS.isdisjoint(options):
        return None if not any(_has_stops(spec) for spec in specs.values()) else Durable()
    durability = options.get("durability", "interrupt")
    if durability not in get_args(Durability):
        raise BuildError(f"compile(durability={durability!r}): it is 'interrupt' or 'step'")
    if store is None and not {"durability", "keep", "migrate", "max_checkpoint_bytes"}.isdisjoint(options):
        raise BuildError(
            "compile(durability=, keep=, migrate=, max_checkpoint_bytes=) need a checkpoint_store=, such as"
            " MemoryStore()"
        )
    max_bytes = options.get("max_checkpoint_bytes", MAX_RECORD_BYTES)
    if not isinstance(max_bytes, int) or max_bytes < 1:
        raise BuildError(f"compile(max_checkpoint_bytes={max_bytes!r}): at least 1 byte is needed")
    if not isinstance(options.get("keep", False), bool):
        raise BuildError(f"compile(keep={options['keep']!r}): it is True or False")
    if store is not None and isinstance(state, type):
        register_with_fields(state, TYPES)
    return Durable(
        store=store,
        before=_indices(options, "interrupt_before", specs),
        after=_indices(options, "interrupt_after", specs),
        durability=durability,
        keep=options.get("keep", False),
        max_bytes=max_bytes,
        migrate=options.get("migrate"),
    )


def _has_stops(spec: NodeSpec) -> bool:
    """Whether a node is a graph that stops before or after one of its nodes: the graph around it must be able to."""
    return spec.body is not None and spec.body.runnable is not None and spec.body.runnable.plan.durable is not None


def _indices(options: Mapping[str, Any], name: str, specs: Mapping[str, NodeSpec]) -> frozenset[int]:
    given: Iterable[str] = options.get(name) or ()
    if isinstance(given, str) or not isinstance(given, (Sequence, frozenset, set)):
        raise BuildError(f"compile({name}={given!r}): give a list of node keys")
    keys = list(specs)
    for key in given:
        if key not in specs:
            raise BuildError(f"compile({name}=...): {key!r} is no node of this graph; the nodes are {keys}")
    return frozenset(keys.index(key) for key in given)
